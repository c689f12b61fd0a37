"""Whether something may be told, and when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.privacy.gate import (
    DAY_MS,
    PARAMS,
    Hold,
    Mode,
    Proposal,
    Refuse,
    Release,
    Said,
    bucket,
    decide,
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
) -> Proposal:
    return Proposal(
        novel=novel,
        confirmed=confirmed,
        principals=principals,
        bad=bad,
        benign_rate=benign_rate,
        said=said,
        approved=approved,
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
