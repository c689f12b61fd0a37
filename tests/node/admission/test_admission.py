"""Each check alone: who is ignored, who is rejected, and in which case nobody pays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.admission import (
    HOUR_MS,
    Floors,
    Ignored,
    Known,
    Limits,
    Quotas,
    Rejected,
    check_age,
    check_author,
    check_place,
    check_shape,
    check_signature,
)
from ioint_protocol import (
    Member,
    RecordKey,
    Release,
    Roster,
    Sighting,
    VerifiedSegment,
    build_segment,
    encode_record,
    member_id,
    parse_segment,
)
from ioint_protocol.segment import GENESIS
from nacl.signing import SigningKey

NOW = 20_000 * 86_400_000
LIMITS = Limits()
CONSORTIUM, OTHER = "c" * 64, "d" * 64
KEY = SigningKey(bytes([1]) * 32)
AUTHOR = member_id(bytes(KEY.verify_key))


def roster(state: str = "active", expires: int = NOW // 1000 + 60) -> Roster:
    member = Member(
        id=AUTHOR,
        name="one",
        node_key=bytes(SigningKey(bytes([2]) * 32).verify_key).hex(),
        record_keys=(RecordKey(key=bytes(KEY.verify_key).hex()),),
        group="one",
        sponsor="",
        class_="member",
        since=1,
        since_day=19_000,
        addresses=(),
        state=state,
    )
    return Roster(
        version=1,
        consortium=CONSORTIUM,
        issued_day=19_000,
        expires=expires,
        members=(member,),
        taxonomy=Release(version="2026.11", digest="0" * 64),
        catalogue="0" * 64,
    )


def wire(day: int = 20_000, consortium: str = CONSORTIUM) -> bytes:
    body = encode_record(Sighting(of="ab" * 32, seen=0, day=day))
    return build_segment(KEY, consortium, AUTHOR, 1, GENESIS, 1, [body])


def verified(day: int) -> VerifiedSegment:
    found = check_signature(parse_segment(wire(day)), CONSORTIUM, roster())
    assert isinstance(found, VerifiedSegment)
    return found


def test_more_bytes_than_the_bound_are_rejected_unread() -> None:
    assert check_shape(bytes(LIMITS.segment_bytes + 1), LIMITS) == Rejected(reason="too_large")


@given(st.binary(max_size=400))
def test_garbage_is_rejected_and_raises_nothing(data: bytes) -> None:
    assert isinstance(check_shape(data, LIMITS), Rejected)


def test_a_signature_for_another_consortium_is_rejected() -> None:
    found = check_signature(parse_segment(wire(consortium=OTHER)), CONSORTIUM, roster())
    assert found == Rejected(reason="bad_signature")


@pytest.mark.parametrize("position", [60, 200, -1])
def test_a_changed_byte_is_rejected(position: int) -> None:
    changed = bytearray(wire())
    changed[position] ^= 1
    shape = check_shape(bytes(changed), LIMITS)
    assert isinstance(shape, Rejected) or isinstance(check_signature(shape, CONSORTIUM, roster()), Rejected)


def test_the_first_segment_of_an_unheard_author_is_next() -> None:
    assert check_place(1, GENESIS, "h1", Known(), low=1) == "next"


def test_a_segment_that_we_have_is_a_duplicate() -> None:
    assert check_place(1, GENESIS, "h1", Known(seq=3, head="h3", same_height="h1"), low=1) == Ignored(
        reason="duplicate"
    )


def test_another_segment_of_one_height_is_a_conflict() -> None:
    assert check_place(1, GENESIS, "other", Known(seq=3, head="h3", same_height="h1"), low=1) == "conflict"


def test_a_segment_after_a_missing_one_is_a_gap() -> None:
    assert check_place(5, "h4", "h5", Known(seq=3, head="h3"), low=1) == Ignored(reason="gap")


def test_a_log_may_be_begun_where_its_author_says_that_all_before_is_dead_and_no_later() -> None:
    known = Known(seq=3, head="h3", floor=40)
    assert check_place(40, "h39", "h40", known, low=12) == "next"
    assert check_place(30, "h29", "h30", known, low=12) == "next"
    assert check_place(41, "h40", "h41", known, low=40) == Ignored(reason="gap")


def test_what_an_author_lets_be_forgotten_it_never_takes_back() -> None:
    known = Known(seq=3, head="h3", low=3)
    assert check_place(4, "h3", "h4", known, low=3) == "next"
    assert check_place(4, "h3", "h4", known, low=2) == Rejected(reason="rollback")


def test_a_floor_never_goes_back() -> None:
    floors = Floors()
    for low in (5, 9, 7):
        floors.learn("a", low)
    assert (floors.of("a"), floors.of("b")) == (9, 0)


def test_a_segment_that_names_another_history_is_a_fork() -> None:
    assert check_place(4, "other", "h4", Known(seq=3, head="h3"), low=1) == Ignored(reason="fork")


@pytest.mark.parametrize(
    ("known", "quarantined", "reason"),
    [
        (None, (), "no_roster"),
        (roster(expires=NOW // 1000), (), "no_roster"),
        (roster(state="suspended"), (), "inactive_author"),
        (roster(), (AUTHOR,), "quarantined"),
    ],
)
def test_an_author_that_is_not_to_be_heard_is_ignored(
    known: Roster | None, quarantined: tuple[str, ...], reason: str
) -> None:
    assert check_author(AUTHOR, known, NOW, quarantined) == Ignored(reason=reason)


def test_a_stranger_is_ignored_because_our_roster_may_be_behind() -> None:
    assert check_author("f" * 32, roster(), NOW, ()) == Ignored(reason="unknown_author")


def test_a_record_of_tomorrow_passes_and_one_of_the_day_after_waits() -> None:
    assert check_age(verified(20_001), NOW, LIMITS) is None
    assert check_age(verified(20_002), NOW, LIMITS) == Ignored(reason="early")


def test_an_author_over_its_hourly_share_waits_and_is_heard_again_an_hour_later() -> None:
    quotas, limits = Quotas(), Limits(segments_per_hour=2)
    assert quotas.admit("a", 1, NOW, limits) is None
    assert quotas.admit("a", 1, NOW + 1, limits) is None
    assert quotas.admit("a", 1, NOW + 2, limits) == Ignored(reason="quota")
    assert quotas.admit("b", 1, NOW + 2, limits) is None
    assert quotas.admit("a", 1, NOW + HOUR_MS, limits) is None


def test_records_count_as_well_as_segments() -> None:
    quotas, limits = Quotas(), Limits(records_per_hour=300)
    assert quotas.admit("a", 256, NOW, limits) is None
    assert quotas.admit("a", 256, NOW, limits) == Ignored(reason="quota")


def test_no_member_costs_more_than_some_records_a_second() -> None:
    assert (LIMITS.records_per_hour, LIMITS.segments_per_hour) == (20_000, 2_000)
