"""What another tolerance would have done last week."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from ioint_node.errors import RequestError
from ioint_node.flows import tolerance
from ioint_node.flows.gap import LoopParts
from ioint_node.scoring.model import Model, load_model
from ioint_node.scoring.operating import OperatingPoint
from ioint_node.store.times import DAY_MS

from tests.node.loop.conftest import NOW, Past, call, out_of_scope

POINTS = (
    OperatingPoint(per_1000=0.1, borderline=0.9, out_of_scope=0.999),
    OperatingPoint(per_1000=1.0, borderline=0.4, out_of_scope=0.7),
    OperatingPoint(per_1000=30.0, borderline=0.05, out_of_scope=0.1),
)


@pytest.fixture
def loop(loop: LoopParts, model: Model) -> LoopParts:
    return replace(loop, shipped=replace(model, operating=POINTS))


async def test_a_week_is_counted_by_family_as_answered_now_and_then(loop: LoopParts, past: Past) -> None:
    await past.add("s-1", call("1", "read_file", path="a"), out_of_scope("2"))
    await past.add("s-2", call("1", "read_file", path="a"), family="summarise_document")
    await past.add("old", out_of_scope(), at=NOW - 8 * DAY_MS)
    found = await tolerance.preview(loop, 0.1, NOW)
    assert (found["actions"], found["whole"], found["days"]) == (3, True, 7)
    assert found["total"]["answered"] == {"in_scope": 2, "borderline": 0, "out_of_scope": 1}
    assert found["total"]["now"] == found["total"]["answered"]
    assert found["total"]["then"] == {"in_scope": 2, "borderline": 1, "out_of_scope": 0}
    by_family = {one["family"]: one for one in found["families"]}
    assert set(by_family) == {"research", "summarise_document"}
    assert (
        by_family["summarise_document"]["then"]["in_scope"] == by_family["summarise_document"]["actions"] == 1
    )


async def test_a_larger_tolerance_stops_at_least_as_much(loop: LoopParts, past: Past) -> None:
    await past.add("s-1", call("1", "read_file", path="a"), out_of_scope("2"))
    stopped = [
        (await tolerance.preview(loop, one, NOW))["total"]["then"]["out_of_scope"] for one in (0.1, 1.0, 30.0)
    ]
    assert stopped == sorted(stopped)
    assert stopped[-1] == 2


async def test_nothing_happened_is_an_answer(loop: LoopParts) -> None:
    found = await tolerance.preview(loop, 1.0, NOW)
    assert (found["actions"], found["families"], found["whole"]) == (0, [], True)


async def test_pages_miss_nothing_and_the_count_is_bounded(
    loop: LoopParts, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        await past.add(f"s-{number}", *(call(str(one), "read_file", path="a") for one in range(3)))
    monkeypatch.setattr(tolerance, "PAGE", 4)
    assert (await tolerance.preview(loop, 1.0, NOW))["actions"] == 15
    monkeypatch.setattr(tolerance, "DECISIONS", 8)
    found = await tolerance.preview(loop, 1.0, NOW)
    assert (found["actions"], found["whole"]) == (8, False)


@pytest.mark.parametrize("wrong", [0.0, -1.0, 1e9, math.nan, math.inf])
async def test_a_tolerance_out_of_range_is_refused(loop: LoopParts, wrong: float) -> None:
    with pytest.raises(RequestError, match="tolerance"):
        await tolerance.preview(loop, wrong, NOW)


def test_tolerance_one_is_the_model_as_it_ships() -> None:
    shipped = load_model()
    assert tolerance.model_at(shipped, 1.0).thresholds == shipped.thresholds
