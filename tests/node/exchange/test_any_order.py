"""What members say comes in any order: before what it names, twice, too early; one belief follows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest
from ioint_node.admission import Accepted, Ignored
from ioint_node.flows.receive import receive_segments
from ioint_node.flows.why import why
from ioint_protocol import Dispute, Sighting, Withdrawal, canonical, encode_record, record_id

from tests.node.exchange.said import DAY_MS, NOW, TODAY, chain, report

Make = Callable[..., Awaitable[Any]]


def logs(net: Any) -> dict[str, list[bytes]]:
    """Four logs about two patterns, with everything in them that may come at the wrong time."""
    one, other = net.patterns[0], net.patterns[1]
    first, second = report(one, bad=1), report(one, bad=2)
    tomorrow, strange = report(one, bad=5, day=TODAY + 1), report(other, bad=3, tax="2031.04")
    named = record_id(first)
    sighting = encode_record(Sighting(of=named, seen=1, day=TODAY - 3))
    dispute = encode_record(Dispute(of=record_id(second), reason="too_broad", day=TODAY - 1))
    later = canonical.encode({"v": 2, "tax": "x", "of": named})
    return {
        net[0].member: chain(net, net[0], *[[first], [second], [first, report(other)]]),
        net[1].member: chain(
            net,
            net[1],
            *[[encode_record(Withdrawal(of=record_id(second), reason="mistake"))], [first], [second]],
        ),
        net[2].member: chain(net, net[2], *[[sighting], [tomorrow], [later], [dispute]]),
        net[3].member: chain(
            net, net[3], *[[dispute], [strange], [encode_record(Sighting(of=named, seen=4, day=TODAY))]]
        ),
    }


def mixed(waiting: dict[str, list[bytes]], seed: int) -> list[tuple[str, bytes]]:
    """The segments of all logs in some order, each log's in its own."""
    draw, left = Random(seed), {author: list(wires) for author, wires in waiting.items()}  # noqa: S311 - no secret
    found = []
    while left:
        author = draw.choice(sorted(left))
        found.append((author, left[author].pop(0)))
        if not left[author]:
            del left[author]
    return found


@pytest.mark.parametrize("seed", range(3))
async def test_the_same_is_believed_whatever_came_first(make: Make, seed: int) -> None:
    net = await make()
    expected, found = net[4], net[3]
    said = logs(net)
    for author, wires in said.items():
        for wire in wires:
            assert isinstance((await receive_segments(expected.parts, [wire], author, NOW))[0], Accepted)
    for author, wire in mixed(logs(net), seed):
        (answer,) = await receive_segments(found.parts, [wire], author, NOW)
        assert isinstance(answer, Accepted)
    for pattern in net.patterns[:2]:
        for day in (0, 1, 13, 31):
            at = NOW + day * DAY_MS
            here = await why(expected.parts, pattern, at)
            there = await why(found.parts, pattern, at)
            assert here["network"] == there["network"]


async def test_what_says_a_day_that_has_not_begun_anywhere_waits_with_its_author(make: Make) -> None:
    net = await make()
    (wire,) = chain(net, net[0], *[[report(net.patterns[0], day=TODAY + 2)]])
    for day, expected in ((0, Ignored), (1, Accepted)):
        (answer,) = await receive_segments(net[4].parts, [wire], net[0].member, NOW + day * DAY_MS)
        assert isinstance(answer, expected)
    assert net[4].belief(net.patterns[0]).groups == 1


async def test_a_sighting_says_nothing_once_its_report_may_be_forgotten(make: Make) -> None:
    net = await make()
    pattern, parts = net.patterns[0], net[4].parts
    told = report(pattern)
    sighting = encode_record(Sighting(of=record_id(told), seen=2, day=TODAY + 20))
    for number, body, days in ((0, told, 0), (1, sighting, 20)):
        (wire,) = chain(net, net[number], [body])
        await receive_segments(parts, [wire], net[number].member, NOW + days * DAY_MS)
    states = [
        (await why(parts, pattern, NOW + days * DAY_MS))["network"]["state"] for days in (20, 29, 30, 40)
    ]
    assert states == ["watched", "watched", "unknown", "unknown"]
