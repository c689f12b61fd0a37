"""One database, many readers, one writer.

Writes are jobs: coroutines that get a connection. The writer runs the jobs that came within a few milliseconds in
one transaction, each in a savepoint of its own, so that a job that fails takes nobody with it. `write` returns
when the transaction is on disk; `submit` returns at once and the future tells the same.

While the database itself fails (a full disk, another process that holds it), callers are refused at once instead of
being told yes, and the writer tries a small write from time to time, so that the store recovers by itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, event, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ioint_node.errors import BusyError, ConfigError
from ioint_node.store.faults import DATABASE_ERRORS, REMEDIES, Health, Seldom, described, fault_of
from ioint_node.store.hops import connect
from ioint_node.store.reading import Reader

T = TypeVar("T")
Job = Callable[[AsyncConnection], Awaitable[T]]
_Queued = tuple[Job[Any], asyncio.Future[Any], bool]

BUSY_MS: Final = 1_000  # of one attempt to get at a locked database; the writer makes several
LOCK_PAUSE_S: Final = 0.05
WRITER_CACHE_KIB: Final = 16_384  # of SQLite's pages, at each connection that has written: two or three
ROOM_BYTES: Final = 16 * 1024 * 1024  # free space below which a disk that was full counts as full still
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterLimits:
    """How long a write may wait for company, for a lock or for the disk, and how many may wait."""

    group_s: float = 0.02
    group_jobs: int = 256
    queue_jobs: int = 20_000
    lock_s: float = 10.0  # until a lock of another process is a failure
    probe_s: float = 5.0  # between attempts while writes fail


class Store:
    """The node's database. Made by `open_store`; every other module of `store` is functions over its connections."""

    def __init__(self, engine: AsyncEngine, limits: WriterLimits) -> None:
        self.engine = engine
        self.reader = Reader(engine, _file_of(engine.url))
        self.health = Health()
        self.doubted = (
            False  # no group has reached the disk since writes failed: an answer had better wait for it
        )
        self._writing = engine.execution_options(writes=True)
        self._limits = limits
        self._seldom = Seldom()
        self._told = False
        self._queue: asyncio.Queue[_Queued | None] = asyncio.Queue(limits.queue_jobs)

    @property
    def failing(self) -> str | None:
        """What is wrong and what to do, None when the last commit succeeded."""
        return None if self.health.fault is None else REMEDIES[self.health.fault]

    @property
    def failed(self) -> int:
        """How many writes were lost to faults of the database since the start."""
        return self.health.failed

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading; it sees what was committed when it asked first."""
        async with self.engine.connect() as connection:
            yield connection

    def submit(self, job: Job[T], *, alone: bool = False) -> asyncio.Future[T]:
        """Put a write in the queue; its future fails with BusyError when the database fails.

        One that is content to be `alone`, being much or hurried, waits for no company.

        Raises:
            BusyError: the queue is full or writes fail; nothing was written.
        """
        if self.failing is not None:
            raise BusyError(self.failing)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((job, future, alone))
        except asyncio.QueueFull:
            raise BusyError(f"{self._limits.queue_jobs} writes are waiting: try again later") from None
        return future

    async def write(self, job: Job[T], *, alone: bool = False) -> T:
        """Run a write and return its result once it is on disk; `alone` as `submit` has it."""
        return await self.submit(job, alone=alone)

    async def run_writer(self) -> None:
        """Commit groups of jobs until `stop`. One task of the node's task group."""
        while True:
            pause_s = None if self.failing is None else self._limits.probe_s
            try:
                first = await asyncio.wait_for(self._queue.get(), pause_s)
            except TimeoutError:
                await self._probe()
                continue
            if first is None:
                return
            jobs, last = await self._gather(first)
            await self._commit(jobs)
            if last:
                return

    async def stop(self) -> None:
        """Let the writer finish what is queued, then end."""
        await self._queue.put(None)

    async def _gather(self, first: _Queued) -> tuple[list[_Queued], bool]:
        jobs = [first]
        deadline = asyncio.get_running_loop().time() + self._limits.group_s
        while len(jobs) < self._limits.group_jobs:
            wait_s = 0.0 if jobs[-1][2] else deadline - asyncio.get_running_loop().time()
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

    async def _commit(self, jobs: list[_Queued]) -> None:
        try:
            done = await self._transact(jobs)
        except Exception as error:  # nobody's write is on disk, and each caller hears it
            self._give_up(jobs, error)
            return
        self.doubted = False
        for future, result in done:
            if not future.done():
                future.set_result(result)

    async def _transact(self, jobs: list[_Queued]) -> list[tuple[asyncio.Future[Any], Any]]:
        """Run jobs in one transaction, and return the results of those that did not fail by themselves."""
        done = []
        alone = (
            len(jobs) == 1
        )  # then nobody is to be spared by a savepoint, which costs as much as all the rest
        async with AsyncExitStack() as stack:
            connection = await self._begin(stack)
            for job, future, _ in jobs:
                try:
                    done.append((future, await _run_job(connection, job, alone=alone)))
                except Exception as error:
                    if fault_of(error) is not None:
                        raise  # it may have ended the transaction: what the others wrote is gone with it
                    if alone:
                        await connection.rollback()
                    _fail(future, error)  # the job's own fault: the group goes on, its caller hears it
        return done

    async def _begin(self, stack: AsyncExitStack) -> AsyncConnection:
        """Begin a transaction with the right to write; a lock of another process is waited out for a while."""
        deadline = time.monotonic() + self._limits.lock_s
        while True:
            try:
                return await stack.enter_async_context(self._writing.begin())
            except DATABASE_ERRORS as error:
                # No job has run yet, so that trying again repeats nothing.
                if fault_of(error) != "locked" or time.monotonic() >= deadline:
                    raise
                await asyncio.sleep(LOCK_PAUSE_S)

    def _give_up(self, jobs: list[_Queued], error: Exception) -> None:
        fault = fault_of(error) or ("unreachable" if isinstance(error, OSError) else None)
        if fault is None:
            for _, future, _ in jobs:
                _fail(future, error)
            return
        self.doubted = True
        # Who waits behind would meet the same, each after another wait for the lock.
        refused = [*jobs, *self._take_queued()]
        self.health = Health(
            fault=fault,
            since=self.health.since or time.time_ns() // 1_000_000,
            failed=self.health.failed + len(refused),
        )
        for _, future, _ in refused:
            _fail(future, BusyError(REMEDIES[fault]))
        if self._seldom.due(time.monotonic()) is not None:
            self._told = True
            _log.error("writes_fail failed=%d error=%s: %s", self.failed, described(error), REMEDIES[fault])

    def _take_queued(self) -> list[_Queued]:
        taken: list[_Queued] = []
        ended = False
        while not self._queue.empty():
            item = self._queue.get_nowait()
            if item is None:
                ended = True
            else:
                taken.append(item)
        if ended:
            self._queue.put_nowait(None)
        return taken

    async def _probe(self) -> None:
        """Try whether a small write reaches the disk again."""
        if self.health.fault == "full" and not self._has_room():
            return
        try:
            async with AsyncExitStack() as stack:
                await _run_job(await self._begin(stack), touch)
        except Exception as error:  # whatever it is, the store goes on failing and trying
            self._give_up([], error)
            return
        self.health = Health(failed=self.failed)
        if self._told:  # a store that fails and recovers in turn says neither more than once in a period
            _log.warning("writes reach the disk again failed=%d", self.failed)
            self._told = False

    def _has_room(self) -> bool:
        # What is left of a full disk may take the probe's one page and refuse the next group.
        path = _file_of(self.engine.url)
        return path is None or shutil.disk_usage(path.parent).free >= ROOM_BYTES


async def touch(connection: AsyncConnection) -> None:
    """The smallest write: it changes nothing, and yet it reaches the disk of an SQLite database."""
    if connection.dialect.name == "sqlite":
        version = (await connection.execute(text("pragma user_version"))).scalar_one()
        await connection.execute(text(f"pragma user_version = {int(version)}"))
    else:
        await connection.execute(text("select 1"))


async def _run_job(connection: AsyncConnection, job: Job[T], *, alone: bool = False) -> T:
    if alone:
        return await job(connection)
    async with connection.begin_nested():
        return await job(connection)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


@asynccontextmanager
async def open_store(url: str, limits: WriterLimits | None = None) -> AsyncIterator[Store]:
    """Open the database at an SQLAlchemy URL (`sqlite+aiosqlite:///…` or `postgresql+asyncpg://…`) and run its writer.

    The schema must exist: `ioint_node.store.migrate.upgrade` makes it.

    Raises:
        ConfigError: there is no database that can be opened.
    """
    engine = make_engine(url)
    try:
        async with usable(engine) as connection:
            await connection.execute(text("select 1"))
        store = Store(engine, limits or WriterLimits())
        writer = asyncio.create_task(store.run_writer(), name="store-writer")
        try:
            yield store
        finally:
            await store.reader.close()
            await store.stop()
            await writer
    finally:
        await engine.dispose()


@asynccontextmanager
async def usable(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction on a database that is being opened.

    Raises:
        ConfigError: the database itself is at fault, and what to do.
    """
    try:
        async with engine.begin() as connection:
            if engine.dialect.name == "sqlite":
                # Opening reads nothing but the file's head; this reads the schema, and fails on a file that is none.
                await connection.execute(text("select count(*) from sqlite_master"))
            yield connection
    except DATABASE_ERRORS as error:
        fault = fault_of(error) or ("unreachable" if isinstance(error, OSError) else None)
        if fault is None:
            raise
        named = _file_of(engine.url) or engine.url.render_as_string(hide_password=True)
        raise ConfigError(f"{named}: {REMEDIES[fault]}") from None


def make_engine(url: str, *, foreign_keys: bool = True) -> AsyncEngine:
    """An engine for an SQLAlchemy URL whose errors never hold values, and whose SQLite file is private and durable.

    Raises:
        ConfigError: the file cannot be made.
    """
    # What agents and people say is in the values, and an error's text goes to logs.
    path = _file_of(make_url(url))
    # A database in memory is one connection's: SQLAlchemy knows how to share it.
    # Last in, first out: what was read or written lately is in the pages of the connection that did it.
    how: dict[str, Any] = (
        {} if path is None else {"async_creator": partial(connect, path), "pool_use_lifo": True}
    )
    engine = create_async_engine(url, hide_parameters=True, **how)
    if engine.dialect.name == "sqlite":
        _make_private(engine.url)
        keys = "ON" if foreign_keys else "OFF"
        event.listen(engine.sync_engine, "connect", partial(_prepare, foreign_keys=keys))
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _file_of(url: URL) -> Path | None:
    """The file of an SQLite database."""
    named = url.get_backend_name() == "sqlite" and url.database not in {None, "", ":memory:"}
    return Path(str(url.database)) if named else None


def _make_private(url: URL) -> None:
    path = _file_of(url)
    if path is None:
        return
    try:
        # SQLite gives its journals the mode of the database.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise ConfigError(f"{path} cannot be opened ({error.strerror}): {REMEDIES['closed']}") from None


def _prepare(connection: Any, _record: object, *, foreign_keys: str) -> None:  # noqa: ANN401 - a DB-API connection has no common type
    # The driver would begin a transaction only at the first change and after the savepoint, whose release would then
    # commit: each job alone. It keeps out of it, and `_begin_sqlite` begins.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        for pragma in (
            f"busy_timeout={BUSY_MS}",
            "journal_mode=WAL",
            # What was answered as durable, or was sent to members, must be there after a loss of power.
            "synchronous=FULL",
            f"foreign_keys={foreign_keys}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
    except Exception:
        connection.close()  # the pool does not know it yet
        raise


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once: taking it later would fail instead of waiting when somebody wrote meanwhile.
    writes = connection.get_execution_options().get("writes")
    if writes and not connection.info.get("wide"):
        # Records come in the order of no index: what the writer changes should stay in memory between commits.
        connection.exec_driver_sql(f"PRAGMA cache_size=-{WRITER_CACHE_KIB}")
        connection.info["wide"] = True
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
