"""An author that signs two histories is convicted wherever they part, and whichever of them it goes on with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ioint_node.flows.sync import catch_up
from ioint_node.store import log
from ioint_protocol import parse_segment, sync

from tests.node.exchange.memory import Air, clock, join, running, until

Make = Callable[..., Awaitable[Any]]
DAY_MS = 86_400_000
NOW = 20_000 * DAY_MS + 36_000_000


def dispute(number: int) -> bytes:
    return b'{"of":"%064x","reason":"mistake","v":1}' % number


def chain(net: Any, author: Any, numbers: range) -> list[bytes]:
    """A history with one dispute in each segment."""
    wires: list[bytes] = []
    for number in numbers:
        prev = parse_segment(wires[-1]).head if wires else ""
        wires.append(net.sign(author, len(wires) + 1, prev, [dispute(number)]))
    return wires


async def convicted(node: Any, member: str) -> bool:
    async with node.store.read() as connection:
        return member in await log.equivocators(connection)


@pytest.mark.parametrize(("one", "other"), [(1, 2), (1, 7), (3, 4), (4, 9)])
async def test_who_goes_on_with_one_of_two_histories_is_convicted_when_they_are_compared(
    make: Make, one: int, other: int
) -> None:
    net = await make(3)
    liar = net[2]
    for node, wires in (
        (net[0], chain(net, liar, range(1, 1 + one))),
        (net[1], chain(net, liar, range(100, 100 + other))),
    ):
        for wire in wires:
            await net.hand(wire, node, liar)
    await net.catch_up(net[0], net[1])
    assert await convicted(net[0], liar.member)
    await net.catch_up(net[1], net[0])
    assert await convicted(net[1], liar.member)
    assert (await net.catch_up(net[0], net[1])).behind == 0


async def test_a_pushed_segment_of_another_history_convicts_its_author(make: Make) -> None:
    net = await make(3)
    liar = net[2]
    air = Air()
    hosts = [join(air, net, node, clock(NOW)) for node in net.nodes]
    ours, theirs = chain(net, liar, range(1, 2)), chain(net, liar, range(100, 102))
    await net.hand(ours[0], net[0], liar)
    for wire in theirs:
        await net.hand(wire, net[1], liar)
    async with running(hosts[:1], "pulls", "intake"):
        await hosts[0].link.handlers.push(net[1].member, theirs[1])
        await until(lambda: convicted(net[0], liar.member))


async def test_a_lie_about_what_comes_before_costs_one_question_each_time(make: Make) -> None:
    net = await make(3)
    author = net[2]
    (first,) = chain(net, author, range(1, 2))
    for node in net.nodes[:2]:
        await net.hand(first, node, author)
    false = net.sign(author, 2, "f" * 64, [dispute(9)])
    asked: list[str] = []

    async def ask(protocol: str, body: bytes) -> bytes:
        asked.append(protocol)
        if protocol == sync.HEADS:
            return sync.encode_heads_answer({author.member: (2, parse_segment(false).head)}, "")
        wanted = sync.decode_pull_request(body)
        return sync.encode_pull_answer([false] if wanted.from_seq == 2 else [first])

    assert (await catch_up(net[0].parts, ask, net[1].member, NOW)).rejected is None
    assert asked == [sync.HEADS, sync.PULL, sync.PULL]
    assert not await convicted(net[0], author.member)
