"""One statement, one snapshot, one visit to the database: for what is asked often and answered from an index.

`Store.read` begins and ends a transaction around its statements, and each of the three is a visit to the connection's
thread; a single statement is a snapshot by itself. SQLite is met through connections of its own that can only read;
any other database through the engine.

What an index answers with few rows takes SQLite some twenty microseconds, less than to wake a thread and to wait for
it: that is read on the spot, as long as the disk keeps up. Once it did not, threads wait for it for a while.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Dialect, Select
from sqlalchemy.ext.asyncio import AsyncEngine

from ioint_node.store.hops import OneHopConnection, connect

CONNECTIONS: Final = 4  # at once; who comes then waits for a turn
CACHE_KIB: Final = 16_384  # of SQLite's pages, at each
MAPPED_BYTES: Final = 1 << 30  # of the file, which the system shares among them and takes back when it must
STATEMENTS: Final = 256  # whose text is kept
SLOW_S: Final = 0.02  # a reading on the spot that took longer is one too many
PATIENCE_S: Final = 10.0  # for which threads read then
PRAGMAS: Final = ("query_only=ON", f"cache_size=-{CACHE_KIB}", f"mmap_size={MAPPED_BYTES}")
Given = Mapping[str, object]


class Reader:
    """Reads single statements; `path` is the file of an SQLite database, None of any other."""

    def __init__(self, engine: AsyncEngine, path: Path | None) -> None:
        self._engine, self._path = engine, path
        self._idle: list[OneHopConnection] = []
        self._turn = asyncio.Semaphore(CONNECTIONS)
        self._here: sqlite3.Connection | None = None  # of the loop's own thread
        self._threads_until_s = 0.0

    async def rows(self, statement: Select[Any], given: Given, *, few: bool = False) -> Sequence[Any]:
        """The rows of a statement; it is one that is made once and kept, with a `bindparam` for every value.

        `few` is what an index answers with a hundred rows at most.
        """
        if self._path is None:
            async with self._engine.connect() as connection:
                there: Sequence[Any] = (await connection.execute(statement, dict(given))).all()
                return there
        text, names, fixed = _compiled(statement, self._engine.dialect)
        values = {**fixed, **given}
        placed = tuple([values[name] for name in names])
        if few and time.monotonic() >= self._threads_until_s:
            try:
                return self._read_here(self._path, text, placed)
            except sqlite3.OperationalError:  # locked: a thread waits till it is not
                self._threads_until_s = time.monotonic() + PATIENCE_S
        async with self._connection(self._path) as direct:
            cursor = direct.cursor()
            await cursor.execute(text, placed)
            found: Sequence[Any] = await cursor.fetchall()
            return found

    def _read_here(self, path: Path, text: str, values: tuple[object, ...]) -> Sequence[Any]:
        if self._here is None:
            self._here = sqlite3.connect(path, isolation_level=None, timeout=0.0)
            for pragma in PRAGMAS:
                self._here.execute(f"PRAGMA {pragma}")
        begin = time.monotonic()
        found = self._here.execute(text, values).fetchall()
        if (ends := time.monotonic()) - begin > SLOW_S:
            self._threads_until_s = ends + PATIENCE_S
        return found

    async def close(self) -> None:
        """Let the connections go."""
        if self._here is not None:
            self._here.close()
        while self._idle:
            await self._idle.pop().close()

    @asynccontextmanager
    async def _connection(self, path: Path) -> AsyncIterator[OneHopConnection]:
        async with self._turn:
            # Last in, first out: what was read lately is in the pages of the connection that did it.
            found = self._idle.pop() if self._idle else await _opened(path)
            try:
                yield found
            except Exception:
                await found.close()
                raise
            else:
                self._idle.append(found)


async def _opened(path: Path) -> OneHopConnection:
    made = await connect(path)
    for pragma in (*PRAGMAS, "busy_timeout=1000"):
        await made.cursor().execute(f"PRAGMA {pragma}")
    return made


@lru_cache(maxsize=STATEMENTS)
def _compiled(statement: Select[Any], dialect: Dialect) -> tuple[str, tuple[str, ...], dict[str, object]]:
    """Text, the names of its parameters in their places, and the values that it has by itself."""
    made = statement.compile(dialect=dialect)
    return str(made), tuple(made.positiontup or ()), dict(made.params)
