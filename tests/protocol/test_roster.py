"""The roster: whom a threshold of stewards names, and that it never goes back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_protocol import (
    Member,
    ProtocolError,
    Release,
    Roster,
    SigningKey,
    add_signature,
    member_id,
    peer_id,
    sign_roster,
    verify_roster,
)

STEWARDS = tuple(SigningKey(bytes([n]) * 32) for n in (11, 12, 13))


def public(key: SigningKey) -> str:
    return bytes(key.verify_key).hex()


def member(number: int, since: int = 1) -> Member:
    record, node = SigningKey(bytes([number]) * 32), SigningKey(bytes([number + 100]) * 32)
    return Member(
        id=member_id(bytes(record.verify_key)),
        name=f"Org {number}",
        node_key=public(node),
        record_key=public(record),
        group=f"org-{number}",
        since=since,
    )


FIRST = Roster(
    version=1,
    issued_day=20_000,
    expires=20_090 * 86_400,
    threshold=2,
    stewards=tuple(sorted(public(key) for key in STEWARDS)),
    members=(member(1), member(2)),
    taxonomy=Release(version="2026.11", digest="0" * 64),
    catalogue="1" * 64,
)
WIRE = sign_roster(FIRST, STEWARDS[:2])
TRUSTED = verify_roster(WIRE, None).roster


def test_the_first_version_fills_in_day_and_consortium() -> None:
    verified = verify_roster(WIRE, None)
    assert verified.roster.consortium == verified.consortium
    assert [found.since_day for found in verified.roster.members] == [20_000, 20_000]
    assert verified.roster.founders == verified.roster.members


def test_a_verified_roster_signs_to_the_same_bytes() -> None:
    assert sign_roster(TRUSTED, STEWARDS[:2]) == WIRE


def test_signatures_of_absent_stewards_are_added_later() -> None:
    alone = sign_roster(FIRST, STEWARDS[:1])
    with pytest.raises(ProtocolError, match="below_threshold: 1 stewards of version 1, fewer than 2"):
        verify_roster(alone, None)
    assert verify_roster(add_signature(alone, STEWARDS[2]), None).consortium == TRUSTED.consortium


def test_the_same_steward_again_adds_nothing() -> None:
    assert add_signature(WIRE, STEWARDS[0]) == WIRE


def test_a_chain_is_followed_version_by_version() -> None:
    trusted = TRUSTED
    for version in (2, 3, 4):
        joined = replace(
            trusted,
            version=version,
            issued_day=trusted.issued_day + 1,
            members=(*trusted.members, member(version + 1, since=version)),
        )
        trusted = verify_roster(sign_roster(joined, STEWARDS[1:]), trusted).roster
    assert trusted.consortium == TRUSTED.consortium
    assert [found.since_day for found in trusted.members] == [20_000, 20_000, 20_001, 20_002, 20_003]
    assert trusted.founders == TRUSTED.members


def test_a_removed_member_may_be_forgotten_one_version_later() -> None:
    removed = replace(
        TRUSTED, version=2, members=(replace(TRUSTED.members[0], state="removed"), TRUSTED.members[1])
    )
    second = verify_roster(sign_roster(removed, STEWARDS), TRUSTED).roster
    gone = replace(second, version=3, members=second.members[1:])
    assert verify_roster(sign_roster(gone, STEWARDS), second).roster.member(TRUSTED.members[0].id) is None


def test_a_new_node_key_keeps_the_member() -> None:
    key = public(SigningKey(b"\x77" * 32))
    rotated = replace(
        TRUSTED, version=2, members=(replace(TRUSTED.members[0], node_key=key), TRUSTED.members[1])
    )
    found = verify_roster(sign_roster(rotated, STEWARDS), TRUSTED).roster
    assert found.by_peer_id(peer_id(bytes.fromhex(key))) == found.members[0]
    assert found.by_peer_id(TRUSTED.members[0].peer_id) is None


def test_groups_are_those_that_have_a_voice() -> None:
    first, second = FIRST.members
    assert FIRST.groups == ("org-1", "org-2")
    assert replace(FIRST, members=(first, replace(second, state="suspended"))).groups == ("org-1",)
    assert replace(FIRST, members=(first, replace(second, class_="observer"))).groups == ("org-1",)
    assert replace(FIRST, members=(first, replace(second, group="org-1"))).groups == ("org-1",)


def test_the_stewards_before_cannot_be_passed_over() -> None:
    mine = SigningKey(b"\x55" * 32)
    taken = replace(TRUSTED, version=2, threshold=1, stewards=(public(mine),))
    with pytest.raises(ProtocolError, match="below_threshold: 0 stewards of version 1"):
        verify_roster(sign_roster(taken, [mine]), TRUSTED)


@given(st.integers(0, len(WIRE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_rejected(at: int, change: int) -> None:
    with pytest.raises(ProtocolError):
        verify_roster(WIRE[:at] + bytes([WIRE[at] ^ change]) + WIRE[at + 1 :], TRUSTED)


def test_five_hundred_members_fit() -> None:
    def numbered(number: int) -> Member:
        record, node = (SigningKey(number.to_bytes(32, which)) for which in ("big", "little"))
        return replace(
            member(1),
            id=member_id(bytes(record.verify_key)),
            record_key=public(record),
            node_key=public(node),
            addresses=("/dns4/node.organisation.example/tcp/4001",),
        )

    full = replace(FIRST, members=tuple(numbered(number) for number in range(1, 501)))
    assert len(verify_roster(sign_roster(full, STEWARDS), None).roster.members) == 500
