"""Invitations as strings, and cards as bytes: what is read, and what is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.membership.cards import admitted, make_card, read_card, replaced
from ioint_node.membership.changes import changes
from ioint_node.membership.invitations import Invitation, new_code, read_invitation, write_invitation
from ioint_protocol import ProtocolError

from tests.node.membership.founding import FIRST, after, member, public, seeded, with_state

ROSTER = FIRST.roster
INVITATION = Invitation(url="https://node.example:8470", consortium="c" * 64, code=new_code()[1])


def test_an_invitation_is_one_string_that_reads_back() -> None:
    assert read_invitation(write_invitation(INVITATION) + "\n") == INVITATION


def test_a_code_is_not_in_the_text_of_an_invitation() -> None:
    assert INVITATION.code not in repr(INVITATION)


@pytest.mark.parametrize(
    "url",
    [
        "http://node.example",
        "http://10.0.0.1:8470",
        "ftp://node.example",
        "https://user:secret@node.example",
        "https://node.example/?x=1",
        "https://",
        "http://127.0.0.1.node.example",
    ],
)
def test_a_code_is_sent_over_https_or_to_this_machine(url: str) -> None:
    with pytest.raises(ProtocolError):
        write_invitation(Invitation(url=url, consortium="c" * 64, code=INVITATION.code))


@pytest.mark.parametrize("url", ["http://127.0.0.1:8470", "http://[::1]:8470", "http://localhost:1"])
def test_plain_http_leads_to_this_machine(url: str) -> None:
    there = Invitation(url=url, consortium="c" * 64, code=INVITATION.code)
    assert read_invitation(write_invitation(there)).url == url


@given(st.text(max_size=80))
def test_what_is_no_invitation_is_refused(text: str) -> None:
    for spoiled in (text, write_invitation(INVITATION)[: -1 - len(text)]):
        with pytest.raises(ProtocolError):
            read_invitation(spoiled)


def card(name: str, *, signer: str = "", **changed: object) -> bytes:
    fields = {
        "v": 1,
        "member": member(name).id,
        "name": name,
        "group": f"group-{name}",
        "node_key": public(f"{name} node"),
        "record_key": public(f"{name} record"),
        "addresses": [],
    }
    return json.dumps(make_card({**fields, **changed}, seeded(signer or f"{name} record"))).encode()


def refusal(data: bytes) -> str:
    with pytest.raises(ProtocolError) as caught:
        read_card(data, ROSTER)
    return caught.value.name


def test_a_newcomers_card_makes_an_entry_of_the_next_version() -> None:
    entry = admitted(read_card(card("z"), ROSTER), ROSTER, sponsor=member("a").id)
    assert (entry.id, entry.since, entry.sponsor) == (member("z").id, 2, member("a").id)


def test_only_the_record_key_on_the_roster_speaks_for_a_member() -> None:
    thief: dict[str, Any] = {"record_key": public("thief"), "from_seq": 9}
    assert refusal(card("a", signer="thief", **thief)) == "bad_signature"
    entry = admitted(read_card(card("a", **thief), ROSTER), ROSTER, sponsor="")
    assert [item.from_seq for item in entry.record_keys] == [1, 9]


def test_a_newcomer_cannot_take_the_id_of_another_key() -> None:
    assert refusal(card("z", member="f" * 32)) == "bad_field"


def test_a_member_does_not_change_its_group() -> None:
    moved = read_card(card("a", group="group-b"), ROSTER)
    with pytest.raises(ProtocolError, match="member_changed"):
        admitted(moved, ROSTER, sponsor="")


def test_who_was_removed_stays_removed() -> None:
    gone = after(FIRST, members=with_state(FIRST, "f", "removed")).roster
    with pytest.raises(ProtocolError, match="inactive_member"):
        admitted(read_card(card("f"), gone), gone, sponsor="")


def test_fresh_keys_take_the_place_of_lost_ones_from_a_height_on() -> None:
    lost = ROSTER.members[5]
    entry = replaced(read_card(card("z"), None), lost, 12)
    assert (entry.id, entry.since, entry.node_key) == (lost.id, lost.since, public("z node"))
    assert (entry.record_key_at(11), entry.record_key_at(12)) == (lost.record_key, public("z record"))


@given(st.binary(max_size=64))
def test_what_is_no_card_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_card(data, ROSTER)


def test_a_table_of_changes_names_every_field_that_differs() -> None:
    then = after(FIRST, members=with_state(FIRST, "f", "suspended"), by="abcd", threshold=4).roster
    told = [(each.of, each.what, each.before, each.after) for each in changes(ROSTER, then)]
    assert told == [
        (member("f").id, "state", "active", "suspended"),
        ("consortium", "threshold", "3", "4"),
    ]


def test_of_a_founding_everything_is_told() -> None:
    told = changes(None, ROSTER)
    assert {each.before for each in told} == {""}
    assert {each.of for each in told} == {*(each.id for each in ROSTER.members), "consortium"}
