"""Jobs: a failure stays its own, and what is old is forgotten."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ioint_node.jobs import Job, Jobs
from ioint_node.store.retention import Retention, forget
from ioint_node.store.schema import events
from ioint_node.store.times import DAY_MS
from sqlalchemy import func, select

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

NOW = 1_795_000_000_000


async def test_a_job_that_fails_is_counted_and_the_others_go_on() -> None:
    seen: list[int] = []
    both = asyncio.Event()

    async def work(now: int) -> None:
        seen.append(now)
        if jobs.failed["broken"]:
            both.set()

    async def broken(now: int) -> None:
        raise RuntimeError("as planned")

    jobs = Jobs(
        [
            Job(name="broken", every_s=3_600, run=broken, at_start=True),
            Job(name="work", every_s=0.01, run=work, at_start=True),
        ],
        now=lambda: NOW,
    )
    running = asyncio.create_task(jobs.run())
    async with asyncio.timeout(10):
        await both.wait()
    running.cancel()
    assert await asyncio.gather(running, return_exceptions=True)
    assert seen[0] == NOW
    assert jobs.failed == {"broken": 1}


async def test_raw_events_of_closed_sessions_are_forgotten_and_decisions_stay(node: Node) -> None:
    await node.open_session()
    action = {"action_id": "1", "tool": "search_orders", "durable": True}
    assert (await node.post("/api/v1/sessions/s-1/actions", action)).status == 200

    async def kept() -> int:
        async with node.parts.store.read() as connection:
            return int((await connection.execute(select(func.count()).select_from(events))).scalar_one())

    later = node.clock.now + 31 * DAY_MS
    await node.parts.store.write(lambda c: forget(c, later, Retention()))
    assert await kept() > 0
    assert (await node.post("/api/v1/sessions/s-1/close", {"outcome": "done"})).status == 200
    await node.parts.store.write(lambda c: forget(c, later, Retention()))
    assert await kept() == 0
    assert len((await node.json("/api/v1/sessions/s-1", "admin"))["decisions"]) == 1
