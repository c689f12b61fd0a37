"""Thresholds for another tolerance of false verdicts."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.scoring import Model, load_model
from ioint_node.scoring.operating import OperatingPoint, Tail, between, points_of, tail_of


def test_tolerance_one_is_what_is_shipped(model: Model) -> None:
    assert model.at_tolerance(1.0).thresholds == model.thresholds


def test_the_file_holds_the_shipped_point(model: Model) -> None:
    point = between(model.operating, 1.0)
    assert (point.borderline, point.out_of_scope) == (
        model.thresholds.borderline,
        model.thresholds.out_of_scope,
    )


@given(low=st.floats(0.01, 100), high=st.floats(0.01, 100))
def test_more_tolerance_never_raises_a_threshold(low: float, high: float) -> None:
    model = load_model()
    strict, lax = (model.at_tolerance(one).thresholds for one in sorted((low, high)))
    assert strict.out_of_scope >= lax.out_of_scope
    assert strict.borderline >= lax.borderline


@given(per_1000=st.floats(0, 1e6))
def test_at_every_tolerance_the_thresholds_are_in_order(per_1000: float) -> None:
    limits = load_model().at_tolerance(per_1000).thresholds
    assert 0 < limits.borderline <= limits.out_of_scope <= limits.publish < 1


def test_no_tolerance_tells_others_on_less(model: Model) -> None:
    assert model.at_tolerance(1_000.0).thresholds.publish == model.thresholds.publish


def test_no_number_is_no_tolerance_beyond_the_strictest(model: Model) -> None:
    assert model.at_tolerance(math.nan).thresholds == model.at_tolerance(0.0).thresholds


def test_a_model_without_points_says_so(model: Model) -> None:
    with pytest.raises(ValueError, match="operating points"):
        replace(model, operating=()).at_tolerance(2.0)


def test_a_tail_is_carried_on_exponentially() -> None:
    tail = tail_of([(0.0, 1.0)] * 98 + [(3.0, 1.0), (5.0, 1.0)], 2.0)
    assert tail == Tail(start=2.0, share=0.02, scale=2.0)
    assert tail.at(0.002) == pytest.approx(2.0 + 2.0 * math.log(10))


def test_points_move_both_thresholds_alike() -> None:
    points = points_of(0.4, 0.7, Tail(start=0.0, share=0.05, scale=1.0))
    assert OperatingPoint(per_1000=1.0, borderline=0.4, out_of_scope=0.7) in points
    shifts = [
        math.log(point.out_of_scope / (1 - point.out_of_scope))
        - math.log(point.borderline / (1 - point.borderline))
        for point in points
    ]
    assert shifts == pytest.approx([shifts[0]] * len(shifts))
