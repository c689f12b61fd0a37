"""Following the roster: what is taken over, what no attacker gets through. More refusals are in the vectors."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ioint_node.membership import (
    Membership,
    Terms,
    client,
    files,
    follow,
    found,
    next_version,
    propose_change,
    publish,
    recall,
    sign,
    stamp,
)
from ioint_node.membership.client import AHEAD_S
from ioint_node.membership.files import read_metadata
from ioint_node.membership.keys import SodiumKey
from ioint_protocol import Files, ProtocolError, RecordKey, bundle
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Key, Signature
from tuf.api.metadata import Metadata

from tests.node.membership.founding import (
    DAY_MS,
    FIRST,
    NOW,
    TERMS,
    after,
    member,
    public,
    seat,
    seeded,
    stewards,
    with_state,
)

IDENTITY = "01" + "00" * 31


def refusal(trusted: Membership | None, files: Files) -> str:
    with pytest.raises(ProtocolError) as caught:
        follow(trusted, files)
    return caught.value.name


def test_three_of_five_found_a_consortium_that_a_newcomer_takes_over() -> None:
    taken = follow(None, FIRST.files)
    assert taken == FIRST
    assert taken.roster.threshold == 3
    assert len(taken.roster.stewards) == 5


def test_the_roster_expires_with_the_first_of_its_files() -> None:
    assert FIRST.roster.expires == (NOW + 7 * DAY_MS) // 1000


def test_a_member_that_was_away_is_brought_to_the_newest_version_at_once() -> None:
    held = FIRST
    for name in "bcd":
        held = after(held, members=with_state(held, name, "suspended"))
    states = [each.state for each in follow(FIRST, held.files).roster.members]
    assert states == ["active", "suspended", "suspended", "suspended", "active", "active"]


def test_two_of_five_change_nothing() -> None:
    with pytest.raises(ProtocolError, match="below_threshold: 1 more"):
        after(FIRST, by="ab")


def test_who_took_a_proposal_that_the_others_gave_up_follows_past_it() -> None:
    late = after(FIRST, members=(*FIRST.roster.members, member("g", since=2)))
    past = propose_change(FIRST, Terms.of(FIRST.roster), NOW + 2_000, version=4)
    for key in stewards("cde"):
        past = sign(past, key)
    given = publish(past, FIRST, seeded("c clock"), NOW + 2_000)
    assert follow(late, given).roster == follow(FIRST, given).roster


def test_absent_stewards_stop_nothing() -> None:
    second = after(FIRST, by="cde", clock="e", members=with_state(FIRST, "f", "suspended"))
    assert follow(FIRST, second.files).roster.version == 2


def test_a_steward_whose_key_was_lost_is_replaced_by_the_others() -> None:
    council = (*TERMS.council[1:], seat("f"))
    second = after(FIRST, by="bcd", clock="b", council=council)
    taken = follow(FIRST, second.files)
    assert public("a steward") not in taken.roster.stewards
    assert public("f steward") in taken.roster.stewards
    third = after(taken, by="bcf", clock="f", now=NOW + 2_000)
    assert follow(taken, third.files).roster.version == 3


def test_a_steward_who_was_dropped_signs_nothing_any_more() -> None:
    second = after(FIRST, by="bcd", clock="b", council=(*TERMS.council[1:], seat("f")))
    with pytest.raises(ProtocolError, match="below_threshold"):
        after(second, by="abc", clock="b")
    assert refusal(second, stamp(second, seeded("a clock"), NOW + 5_000)) == "below_threshold"


def numbered_from(version: int) -> Files:
    """What a stolen clock signs with the number after this one."""
    ahead = replace(FIRST, versions=replace(FIRST.versions, timestamp=version))
    return stamp(ahead, seeded("a clock"), NOW)


def test_a_stolen_clock_that_numbered_ahead_ends_with_the_root_that_drops_it() -> None:
    number = NOW // 1000 + AHEAD_S - 60
    stolen = follow(FIRST, numbered_from(number))
    assert stolen.versions.timestamp == number + 1
    assert refusal(stolen, stamp(FIRST, seeded("b clock"), NOW + DAY_MS)) == "rollback"
    mended = after(FIRST, by="bcd", clock="b", council=(*TERMS.council[1:], seat("f")))
    assert follow(stolen, mended.files).versions.timestamp == mended.versions.timestamp


def test_a_stolen_clock_takes_no_number_that_honest_ones_cannot_go_on_from() -> None:
    assert refusal(FIRST, numbered_from(2**53 - 3)) == "bad_field"
    assert refusal(None, {**FIRST.files, **numbered_from(2**53 - 3)}) == "bad_field"


def test_stewards_who_took_the_highest_number_there_may_be_go_on_and_drop_the_clock() -> None:
    stolen = follow(FIRST, numbered_from(NOW // 1000 + AHEAD_S - 60))
    stamped = follow(stolen, stamp(stolen, seeded("b clock"), NOW + 1_000))
    mended = after(stamped, by="bcd", clock="b", council=(*TERMS.council[1:], seat("f")))
    assert follow(stamped, mended.files) == mended


def test_a_freeze_is_noticed_when_the_timestamp_runs_out() -> None:
    old = found(TERMS, stewards("abc"), seeded("a clock"), NOW - 8 * DAY_MS)
    assert refusal(None, old.files) == "expired"
    later = stamp(old, seeded("b clock"), NOW)
    assert follow(old, later).roster.version == 1
    assert follow(None, {**old.files, **later}).roster.version == 1


def test_what_expired_here_is_still_read_and_may_be_followed() -> None:
    old = found(TERMS, stewards("abc"), seeded("a clock"), NOW - 8 * DAY_MS)
    assert recall(old.files).roster.version == 1
    newer = next_version(old, Terms.of(old.roster), stewards("abc"), seeded("a clock"), NOW)
    assert follow(recall(old.files), newer.files).roster.version == 2


def test_each_file_is_kept_from_going_back() -> None:
    second = follow(FIRST, after(FIRST, members=with_state(FIRST, "f", "suspended")).files)
    assert refusal(second, FIRST.files) == "rollback"
    assert refusal(second, stamp(FIRST, seeded("a clock"), NOW + 60_000)) == "rollback"


def test_files_of_two_versions_do_not_mix() -> None:
    second = after(FIRST, members=with_state(FIRST, "f", "suspended"))
    other = after(FIRST, members=with_state(FIRST, "e", "suspended"))
    for kind in ("snapshot", "targets"):
        name = next(name for name in second.files if bundle.kind_of(name) == kind)
        assert refusal(FIRST, {**second.files, name: other.files[name]}) == "mixed_files"


def numbered(held: Membership, kind: str) -> dict[str, bytes]:
    """Well-formed files of one kind under many numbers; no signature on them is good."""
    name = next(name for name in held.files if bundle.kind_of(name) == kind)
    metadata: Metadata[Any] = Metadata.from_bytes(held.files[name])
    made = {}
    for version in range(2, 50):
        metadata.signed.version = version
        made[f"{version}.{kind}.json"] = metadata.to_bytes()
    return made


STRANGER = found(
    replace(TERMS, council=(seat("f"),), threshold=1), [seeded("f steward")], seeded("f clock"), NOW + 1_000
)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (dict(FIRST.files) | numbered(FIRST, "root"), ["2.root.json"]),
        (
            {"timestamp.json": STRANGER.files["timestamp.json"]} | numbered(FIRST, "snapshot"),
            ["timestamp.json"],
        ),
    ],
)
def test_of_files_that_nobody_signed_the_first_is_the_last_that_is_read(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, bytes], read: list[str]
) -> None:
    seen = []

    def noted(name: str, data: bytes, kind: Any) -> Any:
        if FIRST.files.get(name) != data:
            seen.append(name)
        return read_metadata(name, data, kind)

    for module in (client, files):
        monkeypatch.setattr(module, "read_metadata", noted)
    assert refusal(FIRST, given) == "below_threshold"
    assert seen == read


def test_a_refused_bundle_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    second = after(FIRST, members=with_state(FIRST, "f", "suspended"))
    assert refusal(FIRST, {name: data for name, data in second.files.items() if "targets" not in name})
    assert list(tmp_path.iterdir()) == []


def test_the_identity_as_a_key_is_refused_for_council_and_clock() -> None:
    for name in ("steward_key", "clock_key"):
        council = (replace(TERMS.council[0], **{name: IDENTITY}), *TERMS.council[1:])
        with pytest.raises(ProtocolError, match="bad_key"):
            found(replace(TERMS, council=council), stewards("bcd"), seeded("b clock"), NOW)


def test_the_library_reads_every_ed25519_key_as_ours() -> None:
    key = SodiumKey(bytes.fromhex(public("a steward")))
    read = Key.from_dict(key.keyid, key.to_dict())
    assert isinstance(read, SodiumKey)
    with pytest.raises(UnverifiedSignatureError):
        read.verify_signature(Signature(key.keyid, IDENTITY + "00" * 32), b"anything")
    with pytest.raises(ProtocolError, match="bad_key"):
        Key.from_dict(key.keyid, {**key.to_dict(), "keyval": {"public": IDENTITY}})


def test_one_steward_of_two_is_no_threshold() -> None:
    with pytest.raises(ProtocolError, match="not more than half"):
        found(replace(TERMS, council=TERMS.council[:2], threshold=1), stewards("a"), seeded("a clock"), NOW)


def test_a_record_key_ends_at_a_height() -> None:
    entry = FIRST.roster.members[0]
    newer = RecordKey(key=public("a record 2"), from_seq=8)
    changed = replace(entry, record_keys=(*entry.record_keys, newer))
    second = after(FIRST, members=(changed, *FIRST.roster.members[1:]))
    taken = follow(FIRST, second.files).roster.member(member("a").id)
    assert taken is not None
    assert (taken.record_key_at(7), taken.record_key_at(8)) == (public("a record"), newer.key)


def test_a_change_near_the_end_of_a_root_renews_it() -> None:
    old = found(TERMS, stewards("abc"), seeded("a clock"), NOW - 340 * DAY_MS)
    newer = next_version(old, Terms.of(old.roster), stewards("abc"), seeded("a clock"), NOW)
    assert newer.versions.root == 2
    assert follow(None, newer.files).roster.version == 2
