"""One organisation's incident, over real libp2p, through real databases, into another's decisions."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from ioint_node import app
from ioint_node.app import Node
from ioint_node.demo.client import Client
from ioint_node.store import overrides
from ioint_node.store.schema import overrides as overrides_table
from sqlalchemy import select

pytestmark = [pytest.mark.network, pytest.mark.timeout(120)]
INCIDENT = "demo-08"
PATTERN = "ab" * 32
NOW = 1_795_000_000_000
MakeClient = Callable[[Node, str], Awaitable[Client]]
Until = Callable[..., Awaitable[Any]]
Play = Callable[..., Awaitable[list[Any]]]


async def reports(client: Client) -> list[Mapping[str, Any]]:
    return [row async for row in client.items("/api/v1/records", kind="report")]


async def test_a_report_reaches_the_others_and_lowers_the_trust_in_a_matching_agent(
    consortium: Any, client: MakeClient, until: Until, play: Play
) -> None:
    async with consortium.running(0, 1) as (first, second):
        await play(await client(first, "engine"), INCIDENT, agent="a-1", name="s-1")
        soc = await client(second, "soc")
        arrived = await until(lambda: reports(soc))
        assert {row["author"] for row in arrived} == {first.keys.member}
        played = await play(await client(second, "engine"), INCIDENT, agent="a-2", name="s-2")
        effects = [each.decision["network"]["effect"] for each in played]
        assert max(effects) == pytest.approx(0.05)
        hit = next(each for each in played if each.decision["network"]["effect"] > 0)
        assert hit.decision["trust"]["used"] == pytest.approx(hit.decision["trust"]["lower"] - 0.05, abs=1e-3)


async def test_a_node_that_was_away_catches_up(
    consortium: Any, client: MakeClient, until: Until, play: Play
) -> None:
    async with consortium.running(0, 1) as (first, second):
        await play(await client(first, "engine"), INCIDENT, agent="a-1", name="s-1")
        soc = await client(second, "soc")
        known = {row["id"] for row in await until(lambda: reports(soc))}
    async with consortium.running(1, 2) as (_, third):
        late = await client(third, "soc")

        async def all_known() -> bool:
            return known <= {row["id"] for row in await reports(late)}

        await until(all_known)


async def test_a_killed_exchange_process_is_replaced_and_decisions_go_on(
    consortium: Any, client: MakeClient, until: Until, play: Play
) -> None:
    async with consortium.running(0, 1) as (first, second):
        killed = first.exchange.process_id
        os.kill(killed, signal.SIGKILL)
        played = await play(await client(first, "engine"), INCIDENT, agent="a-1", name="s-1")
        assert played

        async def replaced() -> bool:
            return first.exchange.process_id not in {None, killed}

        await until(replaced)
        soc = await client(second, "soc")
        assert await until(lambda: reports(soc))


async def test_both_nodes_compute_the_same_network_part(
    consortium: Any, client: MakeClient, until: Until, play: Play
) -> None:
    async with consortium.running(0, 1) as (first, second):
        await play(await client(first, "engine"), INCIDENT, agent="a-1", name="s-1")
        ours, theirs = await client(first, "soc"), await client(second, "soc")
        await until(lambda: reports(theirs))
        pattern = (await reports(theirs))[0]["subject"]
        why = await asyncio.gather(*(each.get(f"/api/v1/patterns/{pattern}/why") for each in (ours, theirs)))
        assert why[0]["network"] == why[1]["network"]


async def test_an_opinion_ends_with_its_time(consortium: Any) -> None:
    async with consortium.running(0) as (node,):
        await node.store.write(
            lambda connection: overrides.put(
                connection,
                subject=PATTERN,
                kind="allow",
                reason="ours",
                by="a test",
                expires=NOW + 1,
                now=NOW,
            )
        )
        job = next(job for job in app._jobs(node) if job.name == "expiry")
        await job.run(NOW + 2)
        async with node.store.read() as connection:
            left = await connection.execute(select(overrides_table.c.subject))
            assert left.scalars().all() == []
