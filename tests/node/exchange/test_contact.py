"""How many members a node must have heard before it signs anew."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from ioint_node.flows.contact import heard_enough
from ioint_protocol import sync

from tests.node.exchange.memory import Air, Host, clock, join, running

Make = Callable[..., Awaitable[Any]]
DAY_MS = 86_400_000
NOW = 20_000 * DAY_MS + 36_000_000


@pytest.mark.parametrize(("size", "least"), [(2, 1), (3, 2), (4, 2), (7, 3), (10, 4)])
async def test_one_group_more_is_heard_than_may_lie(make: Make, size: int, least: int) -> None:
    net = await make(size)
    others = [node.member for node in net.nodes[1:]]
    enough = [
        heard_enough(net.roster, net[0].member, others[:count], others, waited=False)
        for count in range(len(others) + 1)
    ]
    assert enough.index(True) == least


async def test_who_waited_for_others_in_vain_goes_on_with_those_that_are_there(make: Make) -> None:
    net = await make(7)
    own, one, other = (node.member for node in net.nodes[:3])
    assert not heard_enough(net.roster, own, [], [], waited=True)
    assert not heard_enough(net.roster, own, [one], [one, other], waited=True)
    assert heard_enough(net.roster, own, [one], [one], waited=True)


async def restored(net: Any, air: Air) -> Host:
    """The first node with database and anchor of an older copy, whose log the others have a segment more of."""
    await net[0].find_bad(net.patterns[0])
    copy, anchor = net[0].copied("old.db"), net[0].parts.anchor.read()
    await net[0].find_bad(net.patterns[1], session="later")
    await net.deliver()
    old = type(net[0].parts.anchor)()
    old.write(anchor)
    return join(air, net, await net.restored(net[0], copy, anchor=old), clock(NOW))


async def test_a_member_that_says_it_has_the_same_is_not_enough_to_sign_anew(make: Make) -> None:
    net = await make(4)
    air = Air()
    host = await restored(net, air)
    liar, honest = (join(air, net, node, clock(NOW)) for node in net.nodes[1:3])

    async def same(member: str, body: bytes) -> bytes:
        return b'{"r":"same"}'

    liar.link.handlers = replace(liar.link.handlers, heads=same)
    async with running([host], "intake"):
        assert await host.network.catch_up(liar.node.member)
        assert not host.network._met.is_set()
        assert await host.network.catch_up(honest.node.member)
        assert host.network._met.is_set()
    assert (await host.node.vector())[net[0].member][0] == 2


async def test_before_it_signs_a_node_has_members_spell_out_what_they_have(make: Make) -> None:
    net = await make(4)
    air = Air()
    host = await restored(net, air)
    for node in net.nodes[1:3]:
        join(air, net, node, clock(NOW))
    nothing, asked = sync.encode_heads_request({}), []
    async with running([host], "intake"):
        for node in (*net.nodes[1:3], net[1]):
            air.asked.clear()
            await host.network.catch_up(node.member)
            asked += [body == nothing for _, _, protocol, body in air.asked if protocol == sync.HEADS]
    assert asked == [True, True, False]
