"""What is usual for an actor: learned slowly, forgotten slowly, bounded, and never fooled by a clock."""

from __future__ import annotations

import gc
import json
import math
import random
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.scoring.baseline import (
    HISTORY_HOURS,
    HOUR_MS,
    NO_PULSE,
    NOTHING_UNUSUAL,
    Baseline,
    Pulse,
    Sample,
    beat,
)

from tests.node.around.samples import AFTER, DAY_MS, MONDAY, SALT, USUAL, step, worked

ACTOR_BYTES = 1_500


def usual_pulse(at: int) -> Pulse:
    pulse = NO_PULSE
    for turn in range(3):
        pulse = beat(pulse, USUAL[turn][1], at - (3 - turn) * 10_000)
    return pulse


def test_what_was_always_done_is_no_surprise() -> None:
    baseline = worked()
    assert baseline.known
    found = baseline.surprise("files/read", step(), AFTER, pulse=usual_pulse(AFTER), tokens=1_050)
    assert found == NOTHING_UNUSUAL


def test_a_new_tool_on_a_new_resource_in_a_new_order_is_one() -> None:
    found = worked().surprise("bank/pay", step("pay", "payment"), AFTER, pulse=usual_pulse(AFTER))
    assert (found.first_tool, found.first_resource, found.sequence) == (1.0, 1.0, 1.0)


def test_a_new_order_of_usual_steps_is_one_and_only_that() -> None:
    pulse = beat(NO_PULSE, USUAL[2][1], AFTER - 10_000)
    found = worked().surprise("mail/search", USUAL[1][1], AFTER, pulse=pulse)
    assert found.sequence == 1.0
    assert (found.first_tool, found.first_resource, found.pace) == (0.0, 0.0, 0.0)


def test_nobody_is_surprising_before_there_is_enough_history() -> None:
    baseline = Baseline(SALT)
    for hour in range(HISTORY_HOURS - 1):
        baseline.learn("files/read", step(), MONDAY + hour * HOUR_MS)
    at = MONDAY + HISTORY_HOURS * HOUR_MS
    assert baseline.surprise("bank/pay", step("pay", "payment"), at, tokens=1e9) is NOTHING_UNUSUAL
    baseline.learn("files/read", step(), at)
    assert baseline.surprise("bank/pay", step("pay", "payment"), at).first_tool == 1.0


def test_actions_that_come_much_faster_are_surprising() -> None:
    baseline, at = worked(), AFTER
    pulse = usual_pulse(at)
    for _ in range(8):
        at += 40
        pulse = beat(pulse, step(), at)
    assert baseline.surprise("files/read", step(), at + 40, pulse=pulse).pace == 1.0
    assert baseline.surprise("files/read", step(), at + 40, pulse=usual_pulse(at)).pace < 1.0


def test_one_quick_action_is_none() -> None:
    at = AFTER + 300
    assert worked().surprise("files/read", step(), at, pulse=usual_pulse(AFTER)).pace < 0.5


def test_many_more_actions_within_an_hour_are_surprising_over_any_number_of_sessions() -> None:
    baseline = worked()
    for turn in range(2_000):
        baseline.learn("files/read", step(), AFTER + turn)
    assert baseline.surprise("files/read", step(), AFTER + 2_000).pace == 1.0


def test_the_night_and_the_weekend_are_surprising_for_who_works_office_hours() -> None:
    baseline = worked()
    hours = {at: baseline.surprise("files/read", step(), at).hours for at in (AFTER, AFTER + 16 * HOUR_MS)}
    assert list(hours.values()) == [0.0, 1.0]
    assert baseline.surprise("files/read", step(), AFTER + 7 * HOUR_MS).hours < 0.7  # the hour after the last
    assert baseline.surprise("files/read", step(), AFTER + 5 * DAY_MS).hours == 1.0


def test_no_hour_is_surprising_for_who_works_round_the_clock() -> None:
    baseline = worked(hours=range(24))
    assert baseline.surprise("files/read", step(), AFTER + 16 * HOUR_MS).hours == 0.0


@pytest.mark.parametrize("tokens", [1e6, math.inf, math.nan, -1.0])
def test_far_more_tokens_or_a_number_that_cannot_be_is_surprising(tokens: float) -> None:
    assert worked().surprise("files/read", step(), AFTER, tokens=tokens).tokens == 1.0


@pytest.mark.parametrize("tokens", [math.inf, math.nan, -1.0])
def test_a_number_of_tokens_that_cannot_be_teaches_nothing(tokens: float) -> None:
    one, other = worked(), worked()
    one.learn("files/read", step(), AFTER, tokens=tokens)
    other.learn("files/read", step(), AFTER)
    assert one.to_json() == other.to_json()


def test_a_burst_within_one_hour_makes_nothing_usual() -> None:
    baseline = worked()
    pulse, at = NO_PULSE, AFTER
    for _ in range(5_000):
        baseline.learn("bank/pay", step("pay", "payment"), at, pulse=pulse, tokens=1e6)
        pulse = beat(pulse, step("pay", "payment"), at)
        at += 10
    later = AFTER + HOUR_MS
    found = baseline.surprise("bank/pay", step("pay", "payment"), later, pulse=pulse, tokens=1e6)
    assert found.first_tool == found.first_resource == 0.5
    assert found.tokens == 1.0
    fast = Pulse("read", "file", later, math.log2(11))
    assert baseline.surprise("files/read", step(), later + 10, pulse=fast).pace > 0.9


def test_a_tool_is_usual_after_two_different_hours() -> None:
    baseline = worked()
    surprises = []
    for hour in range(3):
        at = AFTER + hour * HOUR_MS
        surprises.append(baseline.surprise("notes/write", step(), at).first_tool)
        baseline.learn("notes/write", step(), at)
    assert surprises == [1.0, 0.5, 0.0]


def test_what_is_not_done_any_more_is_forgotten_in_months() -> None:
    baseline = worked()
    surprises = [
        baseline.surprise("files/read", step(), AFTER + weeks * 7 * DAY_MS).first_tool for weeks in (0, 4, 40)
    ]
    assert surprises[0] == surprises[1] == 0.0
    assert surprises[2] == 1.0


def test_looking_changes_nothing() -> None:
    baseline = worked()
    before = baseline.to_json()
    for at in (AFTER, AFTER + 400 * DAY_MS, 0):
        baseline.surprise("bank/pay", step("pay", "payment"), at, pulse=usual_pulse(AFTER), tokens=5.0)
    assert baseline.to_json() == before


@given(away=st.integers(min_value=-(10**13), max_value=10**13))
def test_no_clock_makes_a_new_thing_less_surprising(away: int) -> None:
    baseline, at = worked(), max(0, AFTER + away)
    found = baseline.surprise("bank/pay", step("pay", "payment"), at, pulse=usual_pulse(AFTER))
    assert (found.first_tool, found.first_resource, found.sequence) == (1.0, 1.0, 1.0)


def test_a_clock_that_jumps_ahead_and_back_teaches_nothing_and_stops_nothing() -> None:
    baseline = worked()
    far = AFTER + 5_000 * DAY_MS
    baseline.learn("bank/pay", step("pay", "payment"), far)
    for turn in range(20):
        baseline.learn("bank/pay", step("pay", "payment"), AFTER + turn)
    assert baseline.surprise("bank/pay", step("pay", "payment"), AFTER).first_tool == 0.5
    assert baseline.known
    for hour in range(1, 3):
        baseline.learn("bank/pay", step("pay", "payment"), AFTER + hour * HOUR_MS)
    assert baseline.surprise("bank/pay", step("pay", "payment"), AFTER + 3 * HOUR_MS).first_tool == 0.0


def test_a_gap_that_runs_backwards_counts_as_none() -> None:
    pulse = beat(beat(NO_PULSE, step(), AFTER), step(), AFTER - 60_000)
    assert (pulse.gap, pulse.at) == (0.0, AFTER)


def test_other_actors_keep_other_cells_for_the_same_names() -> None:
    one, other = Baseline(1), Baseline(2)
    for baseline in (one, other):
        baseline.learn("files/read", step(), MONDAY)
    assert one.to_json()["cells"] != other.to_json()["cells"]


def test_runs_from_before_teach_tools_pace_and_orders_but_no_hours() -> None:
    baseline = Baseline(SALT)
    run = [Sample(tool, one, None if turn == 0 else 9_000) for turn, (tool, one) in enumerate(USUAL * 4)]
    for _ in range(HISTORY_HOURS):
        assert baseline.learn_run(run, AFTER) == 12
    assert baseline.known
    found = baseline.surprise("bank/pay", step("pay", "payment"), AFTER, pulse=usual_pulse(AFTER))
    assert (found.first_tool, found.sequence, found.hours) == (1.0, 1.0, 0.0)
    assert baseline.surprise("files/read", step(), AFTER, pulse=usual_pulse(AFTER)) == NOTHING_UNUSUAL
    said = baseline.describe(AFTER)
    assert (said["runs_loaded"], said["hours_utc"], said["tools"]) == (HISTORY_HOURS, "", 3)


def test_an_empty_run_is_no_history() -> None:
    baseline = Baseline(SALT)
    for _ in range(HISTORY_HOURS):
        baseline.learn_run([], AFTER)
    assert not baseline.known


def test_it_says_what_is_usual_in_words_and_holds_no_name() -> None:
    baseline = worked()
    said = baseline.describe(AFTER)
    assert (said["known"], said["hours_utc"], said["weekends"]) == (True, "09–17", "rarely or never")
    assert all(2 <= said[name] <= 4 for name in ("tools", "resources", "orders_of_steps"))  # about three
    assert said["seconds_between_actions"] == pytest.approx(10.6, abs=0.5)
    assert said["actions_per_hour"] == pytest.approx(12, abs=0.5)
    assert said["tokens_per_action"] == pytest.approx(1_050, abs=10)
    assert "files" not in json.dumps(baseline.to_json())


def test_it_comes_back_from_json_as_it_was() -> None:
    baseline = worked()
    again = Baseline.from_json(json.loads(json.dumps(baseline.to_json())))
    assert again.to_json() == baseline.to_json()
    assert again.describe(AFTER) == baseline.describe(AFTER)


SPOILED: list[dict[str, Any]] = [
    {"v": 2},
    {"cells": "AAAA"},
    {"cells": "!"},
    {"cells": 7},
    {"numbers": []},
    {"numbers": [math.nan] * 17},
    {"numbers": [-1.0] * 17},
    {"numbers": ["x"] * 17},
    {"numbers": None},
    {"salt": "zz"},
    {"salt": None},
    {"mask": "f" * 40},
    {"mask": 3},
    {"hour": 1.5},
    {"hour": 1 << 60},
    {"week": True},
    {"week": None},
]


@pytest.mark.parametrize("change", SPOILED)
def test_json_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no baseline"):
        Baseline.from_json({**worked(days=1).to_json(), **change})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=7), inner, max_size=4),
        max_leaves=8,
    )
)
def test_garbage_is_refused_and_never_crashes(value: object) -> None:
    with pytest.raises(ValueError, match="baseline"):
        Baseline.from_json(value)


@given(st.text(max_size=300), st.text(max_size=40), st.integers(min_value=0, max_value=1 << 45))
def test_any_name_can_be_learned(tool: str, resource: str, at: int) -> None:
    baseline = Baseline(SALT)
    baseline.learn(tool, step("read", resource), at)
    found = baseline.surprise(tool, step("read", resource), at)
    assert all(0.0 <= number <= 1.0 for number in found)


def test_an_actor_costs_less_than_1500_bytes_in_memory() -> None:
    choose = random.Random(7)  # noqa: S311
    worked(days=1)  # names that every actor shares are cached once
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        actors = []
        for _ in range(2_000):
            baseline = Baseline.from_json({**worked_json(), "salt": f"{choose.getrandbits(64):016x}"})
            actors.append(baseline)
        each = (tracemalloc.get_traced_memory()[0] - before) / len(actors)
    finally:
        tracemalloc.stop()
    assert each <= ACTOR_BYTES


def worked_json(kept: dict[str, Any] = {}) -> dict[str, Any]:  # noqa: B006 - made once
    if not kept:
        kept.update(worked(days=5).to_json())
    return kept
