"""Many nodes with real stores on a network in memory that delays, loses and parts; and members that lie."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from ioint_node.errors import BusyError
from ioint_node.store import log, outbox, peers
from ioint_node.store.schema import records as stored
from ioint_protocol import equivocation_proof, parse_segment, sync

from tests.node.exchange.memory import Air, Host, clock, join, kinds, running, same_everywhere, until

Make = Callable[..., Awaitable[Any]]
DAY_MS = 86_400_000
NOW = 20_000 * DAY_MS + 36_000_000


def on_the_air(air: Air, net: Any, *, skews: dict[int, int] | None = None) -> list[Host]:
    given = skews or {}
    return [join(air, net, node, clock(NOW, given.get(i, 0))) for i, node in enumerate(net.nodes)]


async def knows(node: Any, pattern: str) -> bool:
    belief = node.belief(pattern)
    return belief is not None and belief.state != "unknown"


async def convicted(node: Any, member: str) -> bool:
    async with node.store.read() as connection:
        return member in await log.equivocators(connection)


async def records(node: Any) -> int:
    async with node.store.read() as connection:
        return len((await connection.execute(stored.select().with_only_columns(stored.c.id))).all())


async def test_every_record_reaches_every_node_once_over_a_network_that_loses_a_fifth(make: Make) -> None:
    net = await make(8)
    air = Air(loss=0.2, delay_s=0.01)
    async with running(on_the_air(air, net)):
        for number, node in enumerate(net.nodes):
            await node.find_bad(net.patterns[number])
        await until(partial(same_everywhere, net.nodes, 8))
    assert [await records(node) for node in net.nodes] == [8] * 8


async def test_a_segment_goes_whole_to_a_few_and_the_others_fetch_what_was_announced(make: Make) -> None:
    net = await make(10)
    net[0].parts = replace(net[0].parts, limits=replace(net[0].parts.limits, push_members=2))
    for node in net.nodes[1:]:
        node.parts = replace(
            node.parts, limits=replace(node.parts.limits, relay_members=0, relay_announcements=0)
        )
    air = Air()
    async with running(on_the_air(air, net)):
        await until(partial(quiet, air))
        air.asked.clear()
        await net[0].find_bad(net.patterns[0])
        await until(partial(same_everywhere, net.nodes, 1))
    assert kinds(air)["push"] == 2
    assert kinds(air)["announce"] == 7
    assert {body for _, _, protocol, body in air.asked if protocol == sync.PUSH} == set(
        await net[0].own_wires()
    )


async def quiet(air: Air) -> bool:
    """Whether everyone has met everyone."""
    met = {(one, other) for one, other, protocol, _ in air.asked if protocol == sync.HEADS}
    return len(met) == len(air.links) * (len(air.links) - 1)


async def test_a_segment_over_the_bound_is_only_announced(make: Make) -> None:
    net = await make(4)
    net[0].parts = replace(net[0].parts, limits=replace(net[0].parts.limits, push_bytes=10))
    air = Air()
    async with running(on_the_air(air, net)):
        await net[0].find_bad(net.patterns[0])
        await until(partial(same_everywhere, net.nodes, 1))
        async with net[0].store.read() as connection:
            assert await outbox.waiting(connection) == {}
    assert net[0].member not in {one for one, _, protocol, _ in air.asked if protocol == sync.PUSH}


async def test_both_sides_of_a_partition_go_on_and_agree_once_it_is_over(make: Make) -> None:
    net = await make(6)
    air = Air()
    left, right = ({node.member for node in part} for part in (net.nodes[:3], net.nodes[3:]))
    async with running(on_the_air(air, net)):
        air.part(left, right)
        await net[0].find_bad(net.patterns[0])
        await net[5].find_bad(net.patterns[1])
        await until(lambda: knows(net[2], net.patterns[0]))
        await until(lambda: knows(net[3], net.patterns[1]))
        assert not await knows(net[5], net.patterns[0])
        air.heal()
        await until(partial(same_everywhere, net.nodes, 2))
    assert all([await knows(node, net.patterns[0]) for node in net.nodes])


async def test_who_was_away_brings_over_all_that_it_missed(make: Make) -> None:
    net = await make(5)
    air = Air()
    hosts = on_the_air(air, net)
    away = air.links.pop(net[4].member)
    async with running(hosts[:4]):
        for number in range(12):
            await net[number % 4].find_bad(net.patterns[number], session=f"s{number}")
        await until(partial(same_everywhere, net.nodes[:4], 12))
    async with net[0].store.read() as connection:
        assert net[4].member not in await outbox.waiting(connection)
    air.links[net[4].member] = away
    async with running(hosts):
        await until(partial(same_everywhere, net.nodes, 12))


async def test_two_members_that_nobody_can_dial_exchange_records_through_a_third(make: Make) -> None:
    net = await make(3)
    air = Air(outbound_only={net[0].member, net[2].member})
    async with running(on_the_air(air, net)):
        await net[0].find_bad(net.patterns[0])
        await net[2].find_bad(net.patterns[1])
        await until(partial(same_everywhere, net.nodes, 2))
    assert not any({one, other} == air.outbound_only for one, other, _, _ in air.asked)


async def test_a_member_whose_clock_is_a_day_ahead_is_heard_and_hears(make: Make) -> None:
    net = await make(4)
    async with running(on_the_air(Air(), net, skews={0: DAY_MS, 1: -DAY_MS})):
        await net[0].find_bad(net.patterns[0], now=NOW + DAY_MS)
        await net[2].find_bad(net.patterns[1])
        await until(partial(same_everywhere, net.nodes[::2], 2))
        assert await knows(net[3], net.patterns[0])
        assert await knows(net[0], net.patterns[1])


async def test_what_is_too_early_for_one_clock_waits_and_costs_nobody(make: Make) -> None:
    net = await make(4)
    air = Air()
    hosts = on_the_air(air, net, skews={0: DAY_MS, 3: -DAY_MS})
    async with running(hosts):
        await net[0].find_bad(net.patterns[0], now=NOW + DAY_MS)
        await until(partial(same_everywhere, net.nodes[:3], 1))
        assert await net[3].vector() == {}
    late = join(air, net, net[3], clock(NOW))
    async with running([*hosts[:3], late]):
        await until(partial(same_everywhere, net.nodes, 1))


async def test_a_proof_reaches_every_member_and_makes_all_vectors_the_same(make: Make) -> None:
    net = await make(6)
    air = Air(loss=0.1)
    liar = net[5]
    one = net.sign(liar, 1, "", [b'{"of":"%064x","reason":"mistake","v":1}' % 1])
    other = net.sign(liar, 1, "", [b'{"of":"%064x","reason":"mistake","v":1}' % 2])
    hosts = on_the_air(air, net)
    async with running(hosts[:5]):
        await net.hand(one, net[0], liar)
        await net.hand(other, net[4], liar)

        async def everyone() -> bool:
            return all([await convicted(node, liar.member) for node in net.nodes[:5]])

        await until(everyone)
    answers = {await node.answer(sync.HEADS, sync.encode_heads_request({})) for node in net.nodes[:5]}
    assert answers == {sync.encode_heads_answer({liar.member: sync.CONVICTED}, "")}
    for node in net.nodes[:5]:
        async with node.store.read() as connection:
            assert await peers.quarantined(connection) == {liar.member}


async def test_a_false_proof_costs_only_who_delivers_it(make: Make) -> None:
    net = await make(3)
    air = Air()
    hosts = on_the_air(air, net)
    wire = net.sign(net[2], 1, "", [b'{"of":"%064x","reason":"mistake","v":1}' % 1])
    other = net.sign(net[2], 1, "", [b'{"of":"%064x","reason":"mistake","v":1}' % 2])
    proof = bytearray(equivocation_proof(wire, other))
    proof[-1] ^= 1

    async def lie(member: str, body: bytes) -> bytes:
        return sync.encode_proof_answer([bytes(proof)])

    liar = hosts[1].link
    liar.handlers = replace(liar.handlers, proof=lie)
    async with running([hosts[0]]):
        said = sync.Announcement(heads={net[2].member: sync.CONVICTED}, roster=0)
        await air.carry(net[1].member, net[0].member, sync.ANNOUNCE, sync.encode_announcement(said))

        async def counted() -> bool:
            return (await hosts[0].refused(net[1])).get("bad_signature", 0) > 0

        await until(counted)
    assert not await convicted(net[0], net[2].member)
    assert await hosts[0].refused(net[2]) == {}


async def test_a_busy_store_is_tried_again_and_gets_everything_once(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = await make(2)
    air = Air()
    hosts = on_the_air(air, net)
    store, busy = net[1].store, asyncio.Event()
    write = store.write

    async def refuse(job: Any, **how: Any) -> Any:
        if busy.is_set():
            raise BusyError("the disk is full")
        return await write(job, **how)

    monkeypatch.setattr(store, "write", refuse)
    async with running(hosts):
        await until(partial(quiet, air))
        busy.set()
        await net[0].find_bad(net.patterns[0])

        async def told() -> bool:
            return hosts[1].refusals._counts[net[0].member, "busy"] > 0

        await until(told)
        async with net[0].store.read() as connection:
            assert await outbox.waiting(connection) == {net[1].member: 1}
        busy.clear()
        await until(partial(same_everywhere, net.nodes, 1))
    assert await records(net[1]) == 1


async def test_a_node_whose_roster_has_expired_asks_and_answers_for_rosters_alone(make: Make) -> None:
    net = await make(3)
    air = Air()
    past = net.roster.expires * 1000 + 1 - NOW
    hosts = on_the_air(air, net, skews={2: past})
    async with running(hosts):
        await net[0].find_bad(net.patterns[0])
        await until(partial(same_everywhere, net.nodes[:2], 1))
        for protocol, body in (
            (sync.PULL, sync.encode_pull_request(sync.Range(author=net[0].member, from_seq=1, to_seq=1))),
            (sync.PROOF, sync.encode_proof_request([net[0].member])),
        ):
            assert await air.carry(net[0].member, net[2].member, protocol, body) == b""

        async def asked() -> bool:
            return any(one == net[2].member and p == sync.ROSTER for one, _, p, _ in air.asked)

        await until(asked)
    assert {protocol for one, _, protocol, _ in air.asked if one == net[2].member} == {sync.ROSTER}
    assert await net[2].vector() == {}


async def test_who_is_suspended_is_let_in_nowhere_as_soon_as_the_roster_is_known(make: Make) -> None:
    net = await make(3)
    air = Air()
    hosts = on_the_air(air, net)
    assert air.open(net[0].member, net[2].member)
    members = [
        replace(member, state="suspended") if member.id == net[2].member else member
        for member in net.roster.members
    ]
    assert hosts[0].book.held is not None
    newer = replace(net.roster, version=2, members=tuple(members))
    hosts[0].book.held = replace(hosts[0].book.held, roster=newer)
    await hosts[0].network.roster_changed()
    assert hosts[0].link.connected() == {net[1].member}


async def test_a_newer_roster_is_asked_for_as_soon_as_somebody_has_it(make: Make) -> None:
    net = await make(3)
    air = Air()
    hosts = on_the_air(air, net)
    async with running(hosts):
        await until(partial(quiet, air))
        air.asked.clear()
        newer = replace(net.roster, version=2)
        assert hosts[0].book.held is not None
        versions = replace(hosts[0].book.versions, timestamp=hosts[0].book.versions.timestamp + 1)
        hosts[0].book.held = replace(hosts[0].book.held, roster=newer, versions=versions)
        await hosts[0].network.roster_changed()

        async def asked() -> bool:
            wanted = (sync.ROSTER, net[0].member)
            return {one for one, other, p, _ in air.asked if (p, other) == wanted} >= {
                node.member for node in net.nodes[1:]
            }

        await until(asked)


async def test_what_comparing_brings_is_announced_and_not_pushed_on(make: Make) -> None:
    net = await make(3)
    await net[0].find_bad(net.patterns[0])
    told: list[Any] = []
    net[1].parts = replace(net[1].parts, announce=told.append)
    await net.catch_up(net[1], net[0])
    async with net[1].store.read() as connection:
        assert await outbox.waiting(connection) == {}
    assert [news.to for news in told] == [frozenset({net[2].member})]


async def test_an_announcement_of_what_is_held_asks_nothing_and_one_of_another_history_does(
    make: Make,
) -> None:
    net = await make(3)
    air = Air()
    hosts = on_the_air(air, net)
    liar = net[2]
    one, other = (net.sign(liar, 1, "", [b'{"of":"%064x","reason":"mistake","v":1}' % n]) for n in (1, 2))
    await net.hand(one, net[0], liar)
    await net.hand(other, net[1], liar)
    async with running(hosts[:1], "pulls", "intake"):
        for wire in (one, other):
            said = sync.Announcement(heads={liar.member: (1, parse_segment(wire).head)}, roster=0)
            await air.carry(net[1].member, net[0].member, sync.ANNOUNCE, sync.encode_announcement(said))

        async def caught() -> bool:
            return await convicted(net[0], liar.member)

        await until(caught)
    assert [p for one, _, p, _ in air.asked if one == net[0].member and p == sync.PULL] == [sync.PULL]


async def test_after_comparing_it_is_known_how_far_either_side_was_behind(make: Make) -> None:
    net = await make(2)
    hosts = on_the_air(Air(), net)
    for number, node in enumerate((net[0], net[1], net[1])):
        await node.find_bad(net.patterns[number], session=f"s{number}")
    intake = asyncio.create_task(hosts[1].network.intake.run())
    assert await hosts[1].network.catch_up(net[0].member)
    intake.cancel()
    assert hosts[1].link.lag == {net[0].member: (0, 2)}


async def test_an_announcement_of_garbage_is_counted(make: Make) -> None:
    net = await make(2)
    air = Air()
    hosts = on_the_air(air, net)
    async with running(hosts[:1]):
        with pytest.raises(Exception, match="bad_"):
            await air.carry(net[1].member, net[0].member, sync.ANNOUNCE, b"{}")
        assert await hosts[0].refused(net[1]) == {"bad_shape": 1}


async def test_nothing_waits_in_the_outbox_for_whom_comparing_serves(make: Make) -> None:
    net = await make(5)
    air = Air()
    on_the_air(air, net)
    air.part({net[0].member}, {net[3].member, net[4].member})
    await net[0].find_bad(net.patterns[0])
    async with net[0].store.read() as connection:
        assert set(await outbox.waiting(connection)) == {net[1].member, net[2].member}
    air.part({net[0].member}, {node.member for node in net.nodes})
    await net[0].find_bad(net.patterns[1], session="alone")
    async with net[0].store.read() as connection:
        assert set(await outbox.waiting(connection)) == {node.member for node in net.nodes[1:]}


async def test_a_member_that_announces_what_it_never_gives_is_asked_once(make: Make) -> None:
    net = await make(2)
    air = Air()
    hosts = on_the_air(air, net)
    said = sync.Announcement(heads={net[1].member: (7, "a" * 64)}, roster=0)
    async with running(hosts[:1]):
        await air.carry(net[1].member, net[0].member, sync.ANNOUNCE, sync.encode_announcement(said))

        async def pulled() -> bool:
            return kinds(air)["pull"] > 0

        await until(pulled)
    assert kinds(air)["pull"] == 1
    assert await net[0].vector() == {}
