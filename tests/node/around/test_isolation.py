"""The forest in plain Python says what scikit-learn says, and nobody fills the reservoir alone."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import numpy as np
import pytest
from ioint_node.scoring.baseline import NOTHING_UNUSUAL, Unusual
from ioint_node.scoring.isolation import (
    NUMBERS,
    ROWS,
    ROWS_NEEDED,
    ROWS_PER_ACTOR,
    SAMPLES,
    TREES,
    Forest,
    Reservoir,
    Row,
    fit,
    path_length,
    row_of,
)
from ioint_taxonomy import load_taxonomy
from sklearn.ensemble import IsolationForest

from tests.node.around.samples import step


def rows(count: int, seed: int = 1) -> list[Row]:
    choose = random.Random(seed)  # noqa: S311
    return [
        tuple(round(min(1.0, choose.betavariate(1, 9)), 4) for _ in range(len(NUMBERS))) for _ in range(count)
    ]


@pytest.fixture(scope="module")
def forest() -> Forest:
    made = fit(rows(ROWS), seed=3)
    assert made is not None
    return made


def test_its_scores_are_those_of_scikit_learn(forest: Forest) -> None:
    reference = IsolationForest(n_estimators=TREES, max_samples=SAMPLES, random_state=3)
    reference.fit([list(row) for row in rows(ROWS)])
    unseen = [*rows(400, seed=9), (0.0,) * len(NUMBERS), (1.0,) * len(NUMBERS)]
    wanted = -reference.score_samples(np.array(unseen))
    assert [forest.score(row) for row in unseen] == pytest.approx(list(wanted), abs=1e-12)


def test_the_same_rows_and_seed_make_the_same_forest(forest: Forest) -> None:
    assert fit(rows(ROWS), seed=3) == forest


def test_about_one_action_in_a_hundred_counts_at_all_and_the_outlying_one_fully(forest: Forest) -> None:
    counted = [forest.unlikeness(row) for row in rows(2_000, seed=5)]
    assert sum(one > 0 for one in counted) / len(counted) < 0.03
    assert forest.unlikeness((1.0,) * len(NUMBERS)) == 1.0
    assert forest.unlikeness((0.05,) * len(NUMBERS)) == 0.0


def test_too_few_actions_make_no_forest() -> None:
    assert fit(rows(ROWS_NEEDED - 1)) is None


def test_actions_that_are_all_alike_make_one_in_which_nothing_counts() -> None:
    alike = (0.0,) * len(NUMBERS)
    made = fit([alike] * ROWS_NEEDED)
    assert made is not None
    assert made.unlikeness(alike) == 0.0


def test_it_comes_back_from_json_to_the_last_bit(forest: Forest) -> None:
    assert Forest.from_json(json.loads(json.dumps(forest.to_json()))) == forest


SPOILED: list[dict[str, Any]] = [
    {"v": 0},
    {"roots": []},
    {"roots": [10**9]},
    {"roots": None},
    {"feature": [0]},
    {"left": "abc"},
    {"scale": 0.0},
    {"scale": math.nan},
    {"usual": 2.0},
    {"unlike": math.inf},
]


@pytest.mark.parametrize("change", SPOILED)
def test_a_forest_of_another_shape_is_refused(forest: Forest, change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no forest"):
        Forest.from_json({**forest.to_json(), **change})


def test_a_forest_with_a_way_that_leads_back_is_refused(forest: Forest) -> None:
    spoiled = forest.to_json()
    spoiled["left"][0] = 0
    with pytest.raises(ValueError, match="leads nowhere"):
        Forest.from_json(spoiled)


@pytest.mark.parametrize(("count", "length"), [(0, 0.0), (1, 0.0), (2, 1.0), (256, 10.2448)])
def test_the_mean_path_length_is_that_of_the_paper(count: int, length: float) -> None:
    assert path_length(count) == pytest.approx(length, abs=1e-4)


def test_an_actor_fills_its_share_of_the_reservoir_and_no_more() -> None:
    reservoir = Reservoir()
    for owner in range(4):
        for row in rows(200, seed=owner):
            reservoir.add(owner, row)
    before = len(reservoir)
    for row in rows(20_000, seed=99):
        reservoir.add(77, row)
    assert len(reservoir) == before + ROWS_PER_ACTOR


def test_the_reservoir_never_holds_more_than_its_bound_and_follows_what_is_new() -> None:
    reservoir = Reservoir()
    for owner in range(400):
        for row in rows(40, seed=owner):
            reservoir.add(owner, row)
    assert len(reservoir) == ROWS
    mark = (0.5,) * len(NUMBERS)
    for turn in range(20_000):
        reservoir.add(1_000 + turn % 100, mark)
    assert reservoir.rows.count(mark) > ROWS // 2
    assert len(reservoir) == ROWS


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1, 1.1])
def test_a_number_out_of_bounds_does_not_enter(bad: float) -> None:
    reservoir = Reservoir()
    reservoir.add(1, (bad, *(0.0,) * (len(NUMBERS) - 1)))
    assert len(reservoir) == 0


def test_the_reservoir_comes_back_from_json() -> None:
    reservoir = Reservoir()
    for row in rows(300):
        reservoir.add(5, row)
    again = Reservoir.from_json(json.loads(json.dumps(reservoir.to_json())))
    assert again.rows == reservoir.rows
    for row in rows(3_000, seed=2):
        again.add(5, row)
    assert len(again) == ROWS_PER_ACTOR


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"v": 1, "rows": [], "owners": [1]},
        {"v": 1, "rows": [[0.0]], "owners": [1]},
        {"v": 1, "rows": [[2.0] * len(NUMBERS)], "owners": [1]},
        {"v": 1, "rows": [["x"] * len(NUMBERS)], "owners": [1]},
        {"v": 1, "rows": [[0.0] * len(NUMBERS)], "owners": ["a"]},
        {"v": 1, "rows": [[0.0] * len(NUMBERS)] * (ROWS + 1), "owners": [1] * (ROWS + 1)},
    ],
)
def test_a_reservoir_of_another_shape_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="reservoir"):
        Reservoir.from_json(value)


def test_a_row_is_numbers_of_0_to_1_without_a_name() -> None:
    row = row_of(Unusual(first_tool=1.0), step("pay", "payment", "public"), 9, load_taxonomy())
    assert len(row) == len(NUMBERS)
    assert row[:6] == (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    quiet = row_of(
        NOTHING_UNUSUAL, step("no such verb", "no such resource", "no such place"), 4, load_taxonomy()
    )
    assert all(0.0 <= number <= 1.0 for number in quiet)
