"""Whether something may be told, and when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.privacy.gate import (
    DAY_MS,
    EVERY_COUNT,
    PARAMS,
    Everyday,
    Hold,
    Mode,
    Proposal,
    Refuse,
    Release,
    Said,
    Told,
    bucket,
    decide,
    last_said,
    speak_for,
)

NOW = 20_000 * DAY_MS + 12_345_678


def middle(below: int) -> int:
    return below // 2


def proposal(
    *,
    novel: bool = False,
    confirmed: bool = True,
    principals: int = 1,
    bad: int = 0,
    benign_rate: float | None = None,
    said: Said | None = None,
    approved: bool = False,
    refresh: bool = False,
) -> Proposal:
    return Proposal(
        novel=novel,
        confirmed=confirmed,
        principals=principals,
        bad=bad,
        benign_rate=benign_rate,
        said=said,
        approved=approved,
        refresh=refresh,
    )


def decided(
    given_: Proposal, mode: Mode = "catalogue", draw: Callable[[int], int] = middle
) -> Release | Hold | Refuse:
    return decide(given_, mode=mode, now=NOW, draw=draw)


def test_the_first_report_of_a_catalogue_pattern_leaves_at_once() -> None:
    outcome = decided(proposal())
    assert isinstance(outcome, Release)
    assert outcome.not_before == NOW


def test_hold_shows_everything_to_an_operator_first() -> None:
    assert isinstance(decided(proposal(), "hold"), Hold)


def test_off_refuses() -> None:
    assert isinstance(decided(proposal(approved=True), "off"), Refuse)


def test_what_is_not_confirmed_does_not_leave() -> None:
    assert isinstance(decided(proposal(confirmed=False)), Refuse)


def test_the_same_count_is_not_said_twice_in_thirty_days() -> None:
    said = Said(bad=0, day=NOW // DAY_MS - 29)
    assert isinstance(decided(proposal(said=said)), Refuse)


def test_after_thirty_days_it_is_said_again() -> None:
    said = Said(bad=0, day=NOW // DAY_MS - 30)
    assert isinstance(decided(proposal(said=said)), Release)


@pytest.mark.parametrize("bad", [1, 2])
def test_counts_up_to_four_are_updated_at_once(bad: int) -> None:
    outcome = decided(proposal(bad=bad, said=Said(bad=bad - 1, day=NOW // DAY_MS)))
    assert isinstance(outcome, Release)
    assert outcome.not_before == NOW


def test_a_later_count_waits_for_its_slot_and_a_random_delay_in_it() -> None:
    outcome = decided(proposal(bad=3, said=Said(bad=2, day=NOW // DAY_MS)))
    assert isinstance(outcome, Release)
    slot = (NOW // PARAMS.slot_ms + 1) * PARAMS.slot_ms
    assert outcome.not_before == slot + PARAMS.slot_ms // 2


def test_a_novel_pattern_from_four_people_waits_for_an_operator() -> None:
    assert isinstance(decided(proposal(novel=True, principals=4)), Hold)


def test_a_novel_pattern_from_five_people_leaves_in_a_later_slot() -> None:
    outcome = decided(proposal(novel=True, principals=5))
    assert isinstance(outcome, Release)
    assert outcome.not_before > NOW


def test_a_novel_pattern_that_is_not_specific_is_refused_even_to_an_operator() -> None:
    outcome = decided(replace(proposal(novel=True, principals=9, approved=True), broad="no step says"))
    assert outcome == Refuse(reason="it is not specific: no step says")


def test_an_operator_may_approve_a_novel_pattern_of_one() -> None:
    assert isinstance(decided(proposal(novel=True, approved=True)), Release)


def test_a_pattern_that_ordinary_work_completes_is_refused_and_the_rate_is_named() -> None:
    outcome = decided(proposal(benign_rate=0.0123))
    assert isinstance(outcome, Refuse)
    assert "12.30 times in 1,000" in outcome.reason


@given(st.integers(1, 2**30))
def test_a_bucket_holds_its_count(count: int) -> None:
    assert 2 ** bucket(count) <= count < 2 ** (bucket(count) + 1)


@dataclass(frozen=True, kw_only=True)
class Met:
    """So many bad sessions were met in the last 30 days, so many minutes after what was before."""

    count: int
    minutes: int
    withdraw: bool
    delay: int


HISTORIES = st.lists(
    st.builds(
        Met,
        count=st.integers(1, 5_000),
        minutes=st.integers(0, 20_000),
        withdraw=st.integers(0, 19).map(lambda number: number == 0),
        delay=st.integers(0, 2**40),
    ),
    min_size=1,
    max_size=40,
)


def told(history: Sequence[Met], *, novel: bool) -> list[tuple[int, Told]]:
    """What leaves of a pattern over a history, with when it was proposed, as the rows of a node say it.

    Nothing else is carried from one moment to the next: the drawn delay is in the row, so a restart changes nothing. A
    row whose slot has not come gives way to a newer count.
    """
    rows: list[tuple[int, Told]] = []
    now = NOW
    for met in history:
        now += met.minutes * 60_000
        if met.withdraw:
            rows.append((now, Told(leaves=now, bad=None)))
            continue
        said = last_said([row for _, row in rows], now)
        given_ = proposal(novel=novel, principals=5, bad=bucket(met.count), said=said)
        outcome = decide(given_, mode="catalogue", now=now, draw=partial(_below, met.delay))
        if isinstance(outcome, Release):
            rows = [(at, row) for at, row in rows if row.bad is None or row.leaves <= now]
            rows.append((now, Told(leaves=outcome.not_before, bad=given_.bad)))
    return rows


def _below(drawn: int, below: int) -> int:
    return drawn % below


@given(HISTORIES, st.booleans())
def test_no_two_reports_of_a_pattern_within_thirty_days_differ_by_less_than_a_doubling(
    history: list[Met], novel: bool
) -> None:
    rows = [row for _, row in told(history, novel=novel)]
    assert [row.leaves for row in rows if row.bad is not None] == sorted(
        row.leaves for row in rows if row.bad is not None
    )
    for earlier, later in pairwise(rows):
        if earlier.bad is not None and later.bad is not None and later.leaves - earlier.leaves < 29 * DAY_MS:
            assert later.bad > earlier.bad


@given(HISTORIES, st.booleans())
def test_after_a_withdrawal_nothing_leaves_by_itself_for_thirty_days(history: list[Met], novel: bool) -> None:
    rows = told(history, novel=novel)
    taken_back = [row.leaves for _, row in rows if row.bad is None]
    for proposed, row in rows:
        if row.bad is not None:
            assert not any(0 < proposed - at < 30 * DAY_MS - DAY_MS for at in taken_back)


@given(HISTORIES)
def test_novel_patterns_leave_in_a_later_slot_and_first_reports_of_catalogue_patterns_at_once(
    history: list[Met],
) -> None:
    for proposed, row in told(history, novel=True):
        if row.bad is not None:
            slot = (proposed // PARAMS.slot_ms + 1) * PARAMS.slot_ms
            assert slot <= row.leaves < slot + PARAMS.slot_ms
    first = next((pair for pair in told(history, novel=False) if pair[1].bad is not None), None)
    assert first is None or first[0] == first[1].leaves


DAY = NOW // DAY_MS


@pytest.mark.parametrize(("days", "leaves"), [(0, False), (6, False), (7, True), (29, True)])
def test_what_was_said_is_kept_fresh_once_a_week_in_a_slot(days: int, *, leaves: bool) -> None:
    outcome = decided(proposal(refresh=True, said=Said(bad=0, day=DAY - days)))

    assert isinstance(outcome, Release if leaves else Refuse)
    if isinstance(outcome, Release):
        assert outcome.not_before // PARAMS.slot_ms > NOW // PARAMS.slot_ms


def test_a_refresh_counts_from_the_last_one() -> None:
    lately = Said(bad=0, day=DAY - 20, again=DAY - 3)

    assert isinstance(decided(proposal(refresh=True, said=lately)), Refuse)


def test_what_was_taken_back_is_not_kept_fresh() -> None:
    assert isinstance(decided(proposal(refresh=True, said=Said(bad=EVERY_COUNT, day=DAY - 10))), Refuse)


@pytest.mark.parametrize(("people", "outcome"), [(4, Hold), (5, Release)])
def test_a_novel_pattern_is_kept_fresh_for_five_people_alone(people: int, outcome: type) -> None:
    given_ = proposal(refresh=True, novel=True, principals=people, said=Said(bad=0, day=DAY - 10))

    assert isinstance(decided(given_), outcome)


def test_what_only_keeps_fresh_does_not_put_off_the_next_report() -> None:
    told_ = [Told(leaves=NOW - 31 * DAY_MS, bad=2), Told(leaves=NOW - 5 * DAY_MS, bad=2, refresh=True)]

    assert last_said(told_, NOW) is None


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 5), st.booleans()), max_size=12))
def test_a_refresh_changes_neither_the_day_nor_lowers_the_count(said: list[tuple[int, int, bool]]) -> None:
    rows = [Told(leaves=NOW - days * DAY_MS, bad=bad, refresh=again) for days, bad, again in said]
    with_, without = (last_said(some, NOW) for some in (rows, [row for row in rows if not row.refresh]))

    assert (with_ is None) == (without is None)
    if with_ is not None and without is not None:
        assert with_.day == without.day
        assert with_.bad >= without.bad


CLEAN = Everyday(benign=14, flagged=0, principals=5)


@pytest.mark.parametrize(
    ("everyday", "mode", "outcome"),
    [
        (CLEAN, "catalogue", Release),
        (CLEAN, "hold", Hold),
        (CLEAN, "off", Refuse),
        (replace(CLEAN, benign=13), "catalogue", Refuse),
        (replace(CLEAN, flagged=1), "catalogue", Refuse),
        (replace(CLEAN, principals=4), "catalogue", Refuse),
        (replace(CLEAN, spoken_day=DAY - 13), "catalogue", Refuse),
        (replace(CLEAN, spoken_day=DAY - 14), "catalogue", Release),
        (Everyday(approved=True), "hold", Release),
        (Everyday(approved=True), "off", Refuse),
    ],
)
def test_everyday_work_is_spoken_for_by_a_clean_record_of_five_people(
    everyday: Everyday, mode: Mode, outcome: type
) -> None:
    assert isinstance(speak_for(everyday, mode=mode, now=NOW), outcome)
