"""Validity follows the state."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from ioint_node.reputation.gate import PARAMS, judge
from ioint_node.reputation.rule import AHEAD_DAYS, LIFE_DAYS, network_part
from ioint_node.reputation.view import SILENT, valid_until, why_line

from tests.node.reputation.test_gate import grounds
from tests.node.reputation.test_rule import dispute, founders, report

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


def test_the_line_says_what_is_benign_and_that_stewards_look_at_it() -> None:
    said = [*map(report, range(3)), dispute(3)]
    for review in (False, True):
        found = network_part(said, founders(5), TODAY, review=review)
        local = judge(one := grounds(found.tier))
        line = why_line(found, local, one, PARAMS)
        assert "benign voices 1.00, 0.00 without the 1 largest of these" in line
        assert ("under review by the stewards" in line) == review
