"""The stream under kill -9 of either end: a consumer that others wrote resumes, and what it holds is what is so."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import aconnect_sse
from ioint_node.store import stream, tokens
from ioint_node.store.engine import open_store
from ioint_node.store.migrate import upgrade

from tests.node.web.conftest import NOW

pytestmark = pytest.mark.network
WAIT_S = 60.0


@dataclass(kw_only=True)
class Consumer:
    """Somebody with the stream's state in hand: what each pattern's newest event said, and where it is."""

    token: str
    last: str = "0"
    heard: list[int] = field(default_factory=list)
    state: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def follow(self, url: str) -> None:
        """Listen until the connection ends."""
        headers = {"Authorization": f"Bearer {self.token}", "Last-Event-ID": self.last}
        async with (
            httpx.AsyncClient(base_url=url, timeout=WAIT_S, trust_env=False) as client,
            aconnect_sse(client, "GET", "/api/v1/stream", headers=headers) as source,
        ):
            async for event in source.aiter_sse():
                if not event.data:  # this library makes an event of the greeting's `retry:` too
                    continue
                said = event.json()
                async with self.more:
                    self.heard.append(int(event.id))
                    self.last = event.id
                    self.state[said["pattern"]] = tuple(said[name] for name in ("state", "tier", "effect"))
                    self.more.notify_all()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(WAIT_S), self.more:
            await self.more.wait_for(lambda: len(self.heard) >= count)

    async def reach(self, seq: int) -> None:
        async with asyncio.timeout(WAIT_S), self.more:
            await self.more.wait_for(lambda: int(self.last) >= seq)

    async def snapshot(self, url: str) -> tuple[int, dict[str, tuple[Any, ...]]]:
        """What is so, by the snapshot, and up to which event."""
        rows: dict[str, tuple[Any, ...]] = {}
        cursor: dict[str, str] = {}
        async with httpx.AsyncClient(base_url=url, timeout=WAIT_S, trust_env=False) as client:
            while True:
                headers = {"Authorization": f"Bearer {self.token}"}
                answer = await client.get("/api/v1/snapshot", headers=headers, params={"limit": 7, **cursor})
                page = answer.raise_for_status().json()
                for row in page["items"]:
                    rows[row["id"]] = tuple(row[name] for name in ("state", "tier", "effect"))
                if page["next"] is None:
                    return page["seq"], rows
                cursor = {"cursor": page["next"]}


@dataclass(kw_only=True)
class Running:
    """A node's process, where it listens, and how many segments there are."""

    process: asyncio.subprocess.Process
    url: str
    segments: int

    def take(self, *numbers: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{number}\n" for number in numbers).encode())

    async def taken(self, last: int) -> None:
        """Wait until a segment has been taken in, and all before it."""
        assert self.process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            while int(await self.process.stdout.readline()) != last:
                pass

    async def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def running(database: Path) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.clients.killable",
        str(database),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(WAIT_S):
            url, segments = (await process.stdout.readline()).decode().split()
        yield Running(process=process, url=url, segments=int(segments))
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@asynccontextmanager
async def listening(consumer: Consumer, url: str) -> AsyncIterator[None]:
    """The consumer listens, until it is killed in its turn."""
    task = asyncio.create_task(consumer.follow(url))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, httpx.HTTPError):
            await task


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    await upgrade(f"sqlite+aiosqlite:///{tmp_path / 'node.db'}")
    return tmp_path / "node.db"


@pytest.fixture
async def consumer(database: Path) -> Consumer:
    async with open_store(f"sqlite+aiosqlite:///{database}") as store:
        made = await store.write(lambda c: tokens.create(c, "engine", None, "amber", None, now=NOW))
    return Consumer(token=made.token)


async def test_whichever_end_is_killed_nothing_is_missed_or_doubled_and_the_fold_is_the_snapshot(
    database: Path, consumer: Consumer
) -> None:
    async with running(database) as node:
        half = node.segments // 2
        async with listening(consumer, node.url):
            node.take(*range(half))
            await consumer.until(5)  # and the rest is on its way
            await node.kill()
    async with running(database) as node:
        # A peer sends again what it does not know to have arrived.
        node.take(*range(half))
        async with listening(consumer, node.url):
            await consumer.until(half // 2)
            node.take(*range(half, node.segments))
            await consumer.until(half)
        # The consumer is gone in mid-stream, and comes back while more is written.
        async with listening(consumer, node.url):
            await node.taken(node.segments - 1)
            newest, _ = await consumer.snapshot(node.url)
            await consumer.reach(newest)
        seq, rows = await consumer.snapshot(node.url)
    async with open_store(f"sqlite+aiosqlite:///{database}") as store, store.read() as connection:
        told = [row.seq for row in await stream.since(connection, 0, 10_000)]

    assert consumer.heard == told
    assert seq == told[-1]
    assert consumer.state == rows
