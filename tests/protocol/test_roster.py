"""The roster's document: what it says, and what may follow it. Its signed files are in the vectors."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_protocol import (
    LIMITS,
    Member,
    ProtocolError,
    RecordKey,
    Release,
    Roster,
    Ruling,
    SigningKey,
    Steward,
    bundle,
    check_follows,
    decode_roster,
    encode_roster,
    member_id,
    peer_id,
)


def public(seed: int) -> str:
    return bytes(SigningKey(seed.to_bytes(32, "big")).verify_key).hex()


def member(number: int, since: int = 1) -> Member:
    record = public(number)
    return Member(
        id=member_id(bytes.fromhex(record)),
        name=f"Org {number}",
        node_key=public(number + 10_000),
        record_keys=(RecordKey(key=record),),
        group=f"org-{number}",
        since=since,
    )


def read(roster: Roster) -> Roster:
    return decode_roster(encode_roster(roster))


FIRST = read(
    Roster(
        version=1,
        consortium="c" * 64,
        issued_day=20_000,
        members=(member(1), member(2)),
        taxonomy=Release(version="2026.11", digest="0" * 64),
        catalogue="1" * 64,
        council=(Steward(member=member(1).id, steward_key=public(901), clock_key=public(902)),),
    )
)
ONE, TWO = FIRST.members


def after(*members: Member, version: int = 2, day: int = 20_001) -> Roster:
    return read(replace(FIRST, version=version, issued_day=day, members=members))


def test_who_is_new_gets_the_day_of_its_version() -> None:
    assert [found.since_day for found in FIRST.members] == [20_000, 20_000]
    assert FIRST.founders == FIRST.members


def test_a_document_that_is_read_is_written_to_the_same_bytes() -> None:
    data = encode_roster(FIRST)
    assert encode_roster(decode_roster(data, threshold=2, expires=9)) == data


def test_what_the_signed_files_say_is_not_in_the_document() -> None:
    found = decode_roster(encode_roster(FIRST), threshold=2, expires=9)
    assert (found.threshold, found.expires, found.stewards) == (2, 9, (public(901),))


def test_a_roster_without_rulings_has_the_bytes_that_it_always_had() -> None:
    assert b"rulings" not in encode_roster(FIRST)


def test_rulings_are_read_as_they_are_written() -> None:
    ruled = replace(
        FIRST,
        rulings=(
            Ruling(kind="false", author=ONE.id, of="a" * 64, day=20_000),
            Ruling(kind="stands", author=TWO.id, of="b" * 64, day=19_990),
            Ruling(kind="review", author="", of="pkg:npm/left-pad", day=19_995),
        ),
    )
    assert read(ruled).rulings == ruled.rulings


@pytest.mark.parametrize(("kind", "days"), [("false", 84), ("stands", 84), ("review", 14)])
def test_a_ruling_holds_for_its_days_with_its_own_one(kind: str, days: int) -> None:
    ruling = Ruling(kind=kind, author="", of="a" * 64, day=20_000)
    assert ruling.holds(20_000)
    assert ruling.holds(20_000 + days - 1)
    assert not ruling.holds(ruling.until)


def test_as_many_rulings_as_there_may_be_leave_room_for_the_members() -> None:
    most = tuple(
        Ruling(kind="false", author=ONE.id, of=f"{number:064x}", day=20_000)
        for number in range(LIMITS.rulings)
    )
    assert read(replace(FIRST, rulings=most)).rulings == most
    assert len(encode_roster(replace(FIRST, rulings=most))) <= LIMITS.roster_bytes // 8


def test_a_newcomer_and_the_next_version_may_follow() -> None:
    second = after(ONE, TWO, member(3, since=2))
    check_follows(second, FIRST)
    assert second.members[2].since_day == 20_001
    assert second.founders == FIRST.members


def test_a_removed_member_may_be_forgotten_one_version_later() -> None:
    removed = after(replace(ONE, state="removed"), TWO)
    council = (replace(FIRST.council[0], member=TWO.id),)
    gone = read(replace(FIRST, version=3, issued_day=20_002, members=(TWO,), council=council))
    check_follows(removed, FIRST)
    check_follows(gone, removed)


def test_a_new_node_key_keeps_the_member() -> None:
    rotated = after(replace(ONE, node_key=public(77)), TWO)
    check_follows(rotated, FIRST)
    assert rotated.by_peer_id(peer_id(bytes.fromhex(public(77)))) == rotated.members[0]
    assert rotated.by_peer_id(ONE.peer_id) is None


def test_a_segment_is_signed_by_the_newest_record_key_that_has_begun() -> None:
    keys = (*ONE.record_keys, RecordKey(key=public(78), from_seq=5), RecordKey(key=public(79), from_seq=9))
    found = replace(ONE, record_keys=keys)
    signers = [found.record_key_at(seq) for seq in (1, 4, 5, 8, 9, 10_000)]
    assert signers == [keys[0].key, keys[0].key, keys[1].key, keys[1].key, keys[2].key, keys[2].key]
    assert found.record_key == keys[2].key


def test_record_keys_are_only_ever_added() -> None:
    first, newer = ONE.record_keys[0], RecordKey(key=public(78), from_seq=5)
    second = after(replace(ONE, record_keys=(first, newer)), TWO)
    check_follows(second, FIRST)
    for keys in ((first,), (first, replace(newer, from_seq=6)), (first, replace(newer, key=public(79)))):
        third = after(replace(ONE, record_keys=keys), TWO, version=3)
        with pytest.raises(ProtocolError, match="member_changed"):
            check_follows(third, second)


def test_who_was_away_may_skip_versions() -> None:
    met_late = replace(member(3, since=2), since_day=20_001)
    check_follows(after(ONE, TWO, met_late, member(4, since=5), version=5, day=20_009), FIRST)


def test_groups_are_those_that_have_a_voice() -> None:
    assert FIRST.groups == ("org-1", "org-2")
    assert replace(FIRST, members=(ONE, replace(TWO, state="suspended"))).groups == ("org-1",)
    assert replace(FIRST, members=(ONE, replace(TWO, class_="observer"))).groups == ("org-1",)
    assert replace(FIRST, members=(ONE, replace(TWO, group="org-1"))).groups == ("org-1",)


def test_five_hundred_members_with_addresses_fit_into_one_document() -> None:
    full = tuple(
        replace(member(number), addresses=("/dns4/node.organisation.example/tcp/4001",))
        for number in range(1, 501)
    )
    data = encode_roster(replace(FIRST, members=full))
    assert len(decode_roster(data).members) == 500
    assert len(data) <= LIMITS.roster_bytes


FILES = {"1.root.json": b"r", "timestamp.json": b"t", "2.snapshot.json": b"s", "9.targets.json": b"g"}


def test_a_bundle_is_read_back_in_the_order_in_which_its_files_are_needed() -> None:
    shuffled = dict(reversed(FILES.items()))
    assert list(bundle.read_bundle(bundle.write_bundle(shuffled)).items()) == list(FILES.items())


@given(st.binary(max_size=64))
def test_a_bundle_is_read_or_refused(data: bytes) -> None:
    try:
        files = bundle.read_bundle(data)
    except ProtocolError:
        return
    assert bundle.read_bundle(bundle.write_bundle(files)) == files


@pytest.mark.parametrize(
    "name",
    ["", "root.json", "0.root.json", "../1.root.json", "1.root.json.bak", "1.timestamp.json", "x\0.json"],
)
def test_a_file_with_a_foreign_name_is_refused(name: str) -> None:
    with pytest.raises(ProtocolError, match="bad_frame"):
        bundle.kind_of(name)


def test_one_name_twice_is_refused() -> None:
    one = bundle.write_files({"timestamp.json": b"t"})
    with pytest.raises(ProtocolError, match="twice"):
        bundle.read_files(one + one)


def test_the_largest_bundle_that_can_be_fits_its_bound() -> None:
    others = LIMITS.timestamp_bytes + LIMITS.snapshot_bytes + LIMITS.targets_bytes + LIMITS.roster_bytes
    assert LIMITS.root_versions * LIMITS.root_bytes + others + 300 * 96 <= LIMITS.bundle_bytes
    assert others + 4 * 96 <= LIMITS.frame_bytes
