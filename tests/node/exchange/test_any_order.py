"""What members say comes in any order: before what it names, twice, too early; one belief follows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

import pytest
from ioint_node.admission import Accepted, Ignored
from ioint_node.flows.receive import receive_segments
from ioint_node.flows.why import why
from ioint_protocol import (
    Dispute,
    Report,
    Sighting,
    Withdrawal,
    build_segment,
    canonical,
    encode_record,
    parse_segment,
    record_id,
)
from ioint_protocol.segment import GENESIS

Make = Callable[..., Awaitable[Any]]
DAY_MS = 86_400_000
TODAY = 20_000
NOW = TODAY * DAY_MS + 36_000_000


def report(pattern: str, *, bad: int = 0, day: int = TODAY, tax: str = "2026.11") -> bytes:
    return encode_record(
        Report(
            tax=tax,
            kind="pattern",
            pat=pattern,
            intents=(),
            basis="threshold",
            bad=bad,
            seen=bad,
            agents=0,
            day_from=day,
            day_until=day,
            det="ad" * 32,
            tlp="green",
        )
    )


def chain(net: Any, node: Any, parts: Sequence[Sequence[bytes]]) -> list[bytes]:
    wires, head = [], GENESIS
    for seq, bodies in enumerate(parts, start=1):
        wires.append(build_segment(node.key, net.consortium, node.member, seq, head, 1, bodies))
        head = parse_segment(wires[-1]).head
    return wires


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
        net[0].member: chain(net, net[0], [[first], [second], [first, report(other)]]),
        net[1].member: chain(
            net,
            net[1],
            [[encode_record(Withdrawal(of=record_id(second), reason="mistake"))], [first], [second]],
        ),
        net[2].member: chain(net, net[2], [[sighting], [tomorrow], [later], [dispute]]),
        net[3].member: chain(
            net, net[3], [[dispute], [strange], [encode_record(Sighting(of=named, seen=4, day=TODAY))]]
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
    (wire,) = chain(net, net[0], [[report(net.patterns[0], day=TODAY + 2)]])
    for day, expected in ((0, Ignored), (1, Accepted)):
        (answer,) = await receive_segments(net[4].parts, [wire], net[0].member, NOW + day * DAY_MS)
        assert isinstance(answer, expected)
    assert net[4].belief(net.patterns[0]).groups == 1
