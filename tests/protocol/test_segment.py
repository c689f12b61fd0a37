"""Segments: one signature for many records, and proof against who signs two histories."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_protocol import (
    Member,
    ProtocolError,
    RecordKey,
    Release,
    Roster,
    Sighting,
    SigningKey,
    Withdrawal,
    build_segment,
    encode_record,
    equivocation_proof,
    inclusion_proof,
    member_id,
    parse_segment,
    verify_equivocation,
    verify_inclusion,
    verify_segment,
)
from ioint_protocol.limits import LIMITS
from ioint_protocol.segment import EVERY_STATE, GENESIS, merkle_root

KEY, NODE, OTHER = (SigningKey(bytes([n]) * 32) for n in (1, 2, 3))
CONSORTIUM = "c" * 64
AUTHOR = member_id(bytes(KEY.verify_key))
MEMBER = Member(
    id=AUTHOR,
    name="Org",
    node_key=bytes(NODE.verify_key).hex(),
    record_keys=(RecordKey(key=bytes(KEY.verify_key).hex()),),
    group="org",
    since=1,
)
ROSTER = Roster(
    version=1,
    consortium=CONSORTIUM,
    issued_day=20_000,
    expires=20_090 * 86_400,
    members=(MEMBER,),
    taxonomy=Release(version="2026.11", digest="0" * 64),
    catalogue="0" * 64,
)


def bodies(count: int, first: int = 0) -> list[bytes]:
    return [encode_record(Sighting(of=f"{first + n:064x}", seen=0, day=20_000)) for n in range(count)]


def first(count: int = 3) -> bytes:
    return build_segment(KEY, CONSORTIUM, AUTHOR, 1, GENESIS, 1, bodies(count))


def roster_of(state: str) -> Roster:
    return replace(ROSTER, members=(replace(MEMBER, state=state),))


@pytest.mark.parametrize("count", [1, 2, 3, 255, 256])
def test_what_is_built_verifies_with_its_records_in_order(count: int) -> None:
    wire = first(count)
    segment = verify_segment(parse_segment(wire), CONSORTIUM, ROSTER)
    assert [record.body for record in segment.records] == bodies(count)
    assert (segment.author, segment.seq, segment.prev, segment.low, segment.wire) == (
        AUTHOR,
        1,
        GENESIS,
        1,
        wire,
    )


def test_the_head_is_the_hash_of_the_header_as_it_came() -> None:
    segment = parse_segment(first())
    assert segment.head == hashlib.sha256(segment.header_bytes).hexdigest()


@pytest.mark.parametrize("count", [0, 257])
def test_a_segment_of_none_or_too_many_is_not_built(count: int) -> None:
    with pytest.raises(ProtocolError, match="bad_field: n is"):
        first(count)


def test_a_segment_of_large_records_that_does_not_fit_is_not_built() -> None:
    with pytest.raises(ProtocolError, match="too_large"):
        build_segment(KEY, CONSORTIUM, AUTHOR, 1, GENESIS, 1, [b"x" * 2_048] * 128)


def test_a_record_of_2049_bytes_is_not_built() -> None:
    with pytest.raises(ProtocolError, match="too_large: a field of 2049 bytes, more than 2048"):
        build_segment(KEY, CONSORTIUM, AUTHOR, 1, GENESIS, 1, [b"x" * 2_049])


@given(st.integers(0, len(first()) - 1), st.integers(1, 255))
def test_a_changed_byte_is_rejected(at: int, change: int) -> None:
    wire = first()
    changed = wire[:at] + bytes([wire[at] ^ change]) + wire[at + 1 :]
    with pytest.raises(ProtocolError):
        verify_segment(parse_segment(changed), CONSORTIUM, ROSTER)


@given(st.integers(0, len(first()) - 1))
def test_a_part_of_a_segment_is_rejected(length: int) -> None:
    with pytest.raises(ProtocolError):
        parse_segment(first()[:length])


def test_a_suspended_member_is_heard_only_where_every_state_is_asked_for() -> None:
    segment = parse_segment(first())
    for state in ("suspended", "removed"):
        with pytest.raises(ProtocolError, match="inactive_member"):
            verify_segment(segment, CONSORTIUM, roster_of(state))
        assert verify_segment(segment, CONSORTIUM, roster_of(state), states=EVERY_STATE).seq == 1


def rfc_root(leaves: list[bytes]) -> bytes:
    """RFC 9162, 2.1.1, as it is written: split at the largest power of two below n."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + rfc_root(leaves[:split]) + rfc_root(leaves[split:])).digest()


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=LIMITS.segment_records))
def test_the_tree_is_that_of_the_rfc(leaves: list[bytes]) -> None:
    assert merkle_root(leaves) == rfc_root(leaves)


def fork() -> tuple[bytes, bytes]:
    head = parse_segment(first()).head
    made = [build_segment(KEY, CONSORTIUM, AUTHOR, 2, head, 1, bodies(1, number)) for number in (1, 2)]
    return made[0], made[1]


def test_two_histories_of_one_height_convict_their_author_in_either_order() -> None:
    a, b = fork()
    assert equivocation_proof(a, b) == equivocation_proof(b, a)
    assert verify_equivocation(equivocation_proof(a, b), CONSORTIUM, ROSTER) == (AUTHOR, 2)


def test_a_removed_member_can_still_be_convicted() -> None:
    assert verify_equivocation(equivocation_proof(*fork()), CONSORTIUM, roster_of("removed")) == (AUTHOR, 2)


def test_one_segment_twice_or_two_heights_convict_nobody() -> None:
    a, _ = fork()
    for pair in ((a, a), (a, first())):
        with pytest.raises(ProtocolError, match="no_equivocation"):
            equivocation_proof(*pair)


def test_nobody_is_convicted_by_what_another_signed() -> None:
    a, _ = fork()
    head = parse_segment(first()).head
    forged = build_segment(
        OTHER, CONSORTIUM, AUTHOR, 2, head, 1, [encode_record(Withdrawal(of=head, reason="mistake"))]
    )
    with pytest.raises(ProtocolError, match="unknown_signer"):
        verify_equivocation(equivocation_proof(a, forged), CONSORTIUM, ROSTER)


def test_a_proof_of_another_consortium_convicts_nobody() -> None:
    with pytest.raises(ProtocolError, match="bad_signature"):
        verify_equivocation(equivocation_proof(*fork()), "d" * 64, ROSTER)


@given(st.integers(1, 256), st.data())
def test_every_record_of_a_segment_can_be_proven_by_itself(count: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, count - 1))
    wire = first(count)
    proof = inclusion_proof(wire, index)
    found = verify_inclusion(proof, CONSORTIUM, ROSTER)
    assert (found.author, found.seq, found.index, found.record.body) == (
        AUTHOR,
        1,
        index,
        bodies(count)[index],
    )
    assert found.head == parse_segment(wire).head
    assert len(proof) <= LIMITS.inclusion_bytes


@given(st.integers(1, 9), st.data())
def test_a_changed_byte_of_a_proof_of_inclusion_is_refused(count: int, data: st.DataObject) -> None:
    proof = bytearray(inclusion_proof(first(count), data.draw(st.integers(0, count - 1))))
    proof[data.draw(st.integers(0, len(proof) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ProtocolError):
        verify_inclusion(bytes(proof), CONSORTIUM, ROSTER)


def test_a_record_of_a_removed_member_stays_provable_unless_the_caller_asks_for_active_ones() -> None:
    proof = inclusion_proof(first(), 0)
    assert verify_inclusion(proof, CONSORTIUM, roster_of("removed")).author == AUTHOR
    with pytest.raises(ProtocolError, match="inactive_member"):
        verify_inclusion(proof, CONSORTIUM, roster_of("removed"), states={"active"})


def test_there_is_no_proof_of_a_record_past_the_end() -> None:
    with pytest.raises(ProtocolError, match="bad_field"):
        inclusion_proof(first(3), 3)
