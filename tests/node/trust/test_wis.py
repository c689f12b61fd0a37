from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.scoring.levels import autonomy, friction
from ioint_node.scoring.wis import time_left, wis

unit = st.floats(0, 1)


@given(unit, unit, unit, unit)
def test_the_score_is_between_nought_and_one(o: float, c: float, r: float, d: float) -> None:
    assert 0 <= wis(o, c, r, d) <= 1


@given(unit, unit, unit, unit, unit)
def test_it_rises_with_clarity(o: float, more: float, c: float, r: float, d: float) -> None:
    low, high = sorted((o, more))
    assert wis(low, c, r, d) <= wis(high, c, r, d)


@given(unit, unit, unit, unit, unit)
def test_it_rises_with_fit(o: float, c: float, more: float, r: float, d: float) -> None:
    low, high = sorted((c, more))
    assert wis(o, low, r, d) <= wis(o, high, r, d)


@given(unit, unit, unit, unit, unit)
def test_it_falls_with_risk(o: float, c: float, r: float, more: float, d: float) -> None:
    low, high = sorted((r, more))
    assert wis(o, c, high, d) <= wis(o, c, low, d)


@given(unit, unit, unit, unit, unit)
def test_it_falls_with_time(o: float, c: float, r: float, d: float, less: float) -> None:
    low, high = sorted((d, less))
    assert wis(o, c, r, low) <= wis(o, c, r, high)


def test_the_corners_are_those_of_the_formula() -> None:
    assert wis(1, 1, 1, 1) == 1
    assert wis(0, 1, 1, 1) == 0
    assert wis(0, 0, 0, 1) == 1
    assert wis(0.5, 0.5, 0.8, 0.5) == pytest.approx(0.2)


@pytest.mark.parametrize(("elapsed", "left"), [(-5, 1.0), (0, 1.0), (900, 0.75), (3600, 0.0), (9999, 0.0)])
def test_time_is_left_until_the_grant_is_over(elapsed: int, left: float) -> None:
    assert time_left(elapsed, 3600) == pytest.approx(left)


@pytest.mark.parametrize("granted", [0, -1])
def test_where_no_time_was_granted_none_is_left(granted: int) -> None:
    assert time_left(0, granted) == 0.0


@pytest.mark.parametrize(
    ("lower", "level", "name"),
    [
        (0.0, 1, "strict"),
        (0.2999, 1, "strict"),
        (0.3, 2, "strict"),
        (0.5, 3, "standard"),
        (0.7, 4, "trusted"),
        (0.9, 5, "trusted"),
        (1.0, 5, "trusted"),
    ],
)
def test_levels_begin_at_their_bound(lower: float, level: int, name: str) -> None:
    assert autonomy(lower) == level
    assert friction(lower) == name
