"""All that bears on an action from outside, put together: bounded, never better for bad input."""

from __future__ import annotations

import math

import pytest
from ioint_node.errors import RequestError
from ioint_node.scoring.around import expansion_of, surroundings, tokens_of, unusual_of
from ioint_node.scoring.baseline import Baseline
from ioint_node.scoring.bounds import DAY_MS, Bound, bounded, check_bound
from ioint_node.scoring.features import NAMES
from ioint_node.scoring.isolation import NUMBERS, fit
from ioint_node.scoring.model import load_model
from ioint_node.scoring.values import NOTHING_AROUND
from ioint_taxonomy import load_taxonomy

from tests.node.around.samples import AFTER, SALT, step, worked
from tests.node.around.test_isolation import rows

TAXONOMY = load_taxonomy()


def test_nothing_known_is_nothing_around() -> None:
    found = surroundings(tool="t", step=step(), at=AFTER, taxonomy=TAXONOMY, baseline=Baseline(SALT))
    assert found is NOTHING_AROUND


def test_the_parts_are_put_in_their_places() -> None:
    forest = fit(rows(512))
    assert forest is not None
    found = surroundings(
        tool="bank/pay",
        step=step("pay", "payment", "public"),
        at=AFTER,
        taxonomy=TAXONOMY,
        departures=3,
        baseline=worked(),
        forest=forest,
        widenings=3,
        delegator=0.4,
        observed=0.7,
        tokens=1e7,
    )
    assert (found.first_tool, found.first_resource, found.tokens, found.isolation) == (1.0, 1.0, 1.0, 1.0)
    assert (found.expansion, found.delegator, found.observed) == (0.5, 0.4, 0.7)
    assert unusual_of(found).first_tool == 1.0
    assert len(NUMBERS) == 13


HABIT = ("first_tool", "first_resource", "sequence", "pace", "hours", "tokens", "isolation")


def drift(**signals: float) -> float:
    return load_model().drift([signals.get(name, 0.0) for name in NAMES])


@pytest.mark.parametrize("acts", [0.0, 1.0])
def test_every_departure_from_habit_together_is_not_out_of_scope(acts: float) -> None:
    limits = load_model().thresholds
    assert drift(acts=acts, **dict.fromkeys(HABIT, 1.0)) < limits.out_of_scope
    assert drift(acts=1.0, observed=1.0) >= limits.borderline


@pytest.mark.parametrize(("widenings", "share"), [(0, 0.0), (1, 0.0), (2, 0.25), (5, 1.0), (500, 1.0)])
def test_asking_once_is_normal_and_asking_on_is_not(widenings: int, share: float) -> None:
    assert expansion_of(widenings) == share


@pytest.mark.parametrize(
    ("told", "counted"), [(math.nan, 1.0), (math.inf, 1.0), (-math.inf, 0.0), (7.0, 1.0)]
)
def test_a_number_that_cannot_be_never_helps(told: float, counted: float) -> None:
    found = surroundings(tool="t", step=step(), at=AFTER, taxonomy=TAXONOMY, observed=told, delegator=told)
    assert (found.observed, found.delegator) == (counted, counted)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, None),
        ({"tokens": 12}, 12.0),
        ({"usage": {"total_tokens": 30, "input_tokens": 1}}, 30.0),
        ({"gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 7}, 12.0),
        ({"usage": {"input_tokens": 5, "output_tokens": 7}}, 12.0),
        ({"usage": "many"}, None),
    ],
)
def test_tokens_are_read_where_they_are_usually_told(data: dict[str, object], told: float | None) -> None:
    assert tokens_of(data) == told


@pytest.mark.parametrize("value", ["7", True, None, -1, 1e300, math.nan, [1]])
def test_forged_tokens_are_not_a_number_and_count_as_the_most_unusual(value: object) -> None:
    told = tokens_of({"tokens": value})
    assert told is not None
    assert math.isnan(told)
    assert worked().surprise("files/read", step(), AFTER, tokens=told).tokens == 1.0


def bound(way: str = "at_most", level: str = "strict", **more: object) -> Bound:
    values = {"reason": "an audit is on", "by": "token:1", "days": 3, "now": AFTER, **more}
    return check_bound(way=way, level=level, **values)  # type: ignore[arg-type]


def test_a_person_can_tighten_a_level_for_a_time() -> None:
    decided = bound()
    assert bounded(0.95, decided, AFTER) < 0.5
    assert bounded(0.2, decided, AFTER) == 0.2
    assert bounded(0.95, decided, AFTER + 3 * DAY_MS) == 0.95
    assert 0.5 <= bounded(0.95, bound(level="standard"), AFTER) < 0.7


def test_what_a_person_loosens_reaches_standard_and_ends_with_a_clear_risk() -> None:
    decided = bound("at_least", "standard")
    assert bounded(0.1, decided, AFTER) == 0.5
    assert bounded(0.8, decided, AFTER) == 0.8
    assert bounded(0.1, decided, AFTER, clear=True) == 0.1
    assert bounded(0.1, None, AFTER) == 0.1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"way": "always"}, "way"),
        ({"level": "trusted"}, "at_most"),
        ({"way": "at_least", "level": "trusted"}, "at_least"),
        ({"days": 0}, "days"),
        ({"days": 91}, "days"),
        ({"way": "at_least", "level": "standard", "days": 8}, "days"),
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 41}, "reason"),
        ({"reason": "a\nb"}, "reason"),
    ],
)
def test_a_bound_out_of_bounds_is_refused_by_the_name_of_its_field(
    change: dict[str, object], field: str
) -> None:
    with pytest.raises(RequestError, match=f"^{field}:"):
        bound(**change)  # type: ignore[arg-type]
