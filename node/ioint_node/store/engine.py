"""One database, many readers, one writer.

Writes are jobs: coroutines that get a connection. The writer runs the jobs that came within a few milliseconds in
one transaction, each in a savepoint of its own, so that a job that fails takes nobody with it. `write` returns
when the transaction is on disk; `submit` returns at once and the future tells the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ioint_node.errors import BusyError

T = TypeVar("T")
Job = Callable[[AsyncConnection], Awaitable[T]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterLimits:
    """How long a write may wait for company, and how many may wait."""

    group_s: float = 0.02
    group_jobs: int = 256
    queue_jobs: int = 20_000


class Store:
    """The node's database. Made by `open_store`; every other module of `store` is functions over its connections."""

    def __init__(self, engine: AsyncEngine, limits: WriterLimits) -> None:
        self.engine = engine
        self._limits = limits
        self._queue: asyncio.Queue[tuple[Job[Any], asyncio.Future[Any]] | None] = asyncio.Queue(
            limits.queue_jobs
        )

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading; it sees what is committed."""
        async with self.engine.connect() as connection:
            yield connection

    def submit(self, job: Job[T]) -> asyncio.Future[T]:
        """Put a write in the queue.

        Raises:
            BusyError: the queue is full; nothing was written.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((job, future))
        except asyncio.QueueFull:
            raise BusyError(f"{self._limits.queue_jobs} writes are waiting: try again later") from None
        return future

    async def write(self, job: Job[T]) -> T:
        """Run a write and return its result once it is on disk."""
        return await self.submit(job)

    async def run_writer(self) -> None:
        """Commit groups of jobs until `stop`. One task of the node's task group."""
        while (first := await self._queue.get()) is not None:
            jobs, last = await self._gather(first)
            await self._commit(jobs)
            if last:
                return

    async def stop(self) -> None:
        """Let the writer finish what is queued, then end."""
        await self._queue.put(None)

    async def _gather(
        self, first: tuple[Job[Any], asyncio.Future[Any]]
    ) -> tuple[list[tuple[Job[Any], asyncio.Future[Any]]], bool]:
        jobs = [first]
        deadline = asyncio.get_running_loop().time() + self._limits.group_s
        while len(jobs) < self._limits.group_jobs:
            wait_s = deadline - asyncio.get_running_loop().time()
            try:
                item = (
                    await asyncio.wait_for(self._queue.get(), wait_s)
                    if wait_s > 0
                    else self._queue.get_nowait()
                )
            except (TimeoutError, asyncio.QueueEmpty):
                break
            if item is None:
                return jobs, True
            jobs.append(item)
        return jobs, False

    async def _commit(self, jobs: list[tuple[Job[Any], asyncio.Future[Any]]]) -> None:
        done: list[tuple[asyncio.Future[Any], Any]] = []
        try:
            async with self.engine.begin() as connection:
                for job, future in jobs:
                    try:
                        async with connection.begin_nested():
                            done.append((future, await job(connection)))
                    except Exception as error:  # the job's own fault: the group goes on, its caller hears it
                        _fail(future, error)
        except Exception as error:  # the commit failed: nobody's write is on disk
            for _, future in jobs:
                _fail(future, error)
            return
        for future, result in done:
            if not future.done():
                future.set_result(result)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


@asynccontextmanager
async def open_store(url: str, limits: WriterLimits | None = None) -> AsyncIterator[Store]:
    """Open the database at an SQLAlchemy URL (`sqlite+aiosqlite:///…` or `postgresql+asyncpg://…`) and run its writer.

    The schema must exist: `ioint_node.store.migrate.upgrade` makes it.
    """
    engine = create_async_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _set_pragmas)
    store = Store(engine, limits or WriterLimits())
    writer = asyncio.create_task(store.run_writer(), name="store-writer")
    try:
        yield store
    finally:
        await store.stop()
        await writer
        await engine.dispose()


def _set_pragmas(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DB-API connection has no common type
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
