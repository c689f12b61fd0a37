"""Validity follows the state."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from ioint_node.reputation.rule import AHEAD_DAYS, LIFE_DAYS
from ioint_node.reputation.view import SILENT, valid_until

TODAY = 20_000
STATES = ("malicious", "suspicious", "watched", "disputed", "benign", *sorted(SILENT))


@given(st.sampled_from(STATES), st.integers(TODAY - LIFE_DAYS + 1, TODAY + AHEAD_DAYS))
def test_what_lives_is_valid_for_as_long_as_it_is_heard(state: str, last_day: int) -> None:
    until = valid_until(state, last_day, TODAY)
    assert (until > TODAY) == (state not in SILENT)
    assert until <= last_day + LIFE_DAYS


@given(st.sampled_from(STATES), st.integers(TODAY - 400, TODAY - LIFE_DAYS))
def test_what_died_of_age_was_valid_until_then_whatever_is_said_of_it_now(state: str, last_day: int) -> None:
    assert valid_until(state, last_day, TODAY) == last_day + LIFE_DAYS <= TODAY
