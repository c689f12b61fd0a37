"""SQLite behind SQLAlchemy's asyncio in one hop for a statement.

A statement goes to the connection's thread and its answer comes back; each way wakes somebody up, which costs more than
most statements do. aiosqlite makes four such hops of one: to open a cursor, to execute, to fetch, to close. This
connection, which is one of aiosqlite otherwise, does all of it in the one visit and keeps the rows.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiosqlite

CHUNK_ROWS: Final = 64  # of an iteration, which nothing here uses
STATEMENTS_CACHED: Final = 128


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one visit brought back."""

    description: Any
    rows: Sequence[Any]
    rowcount: int
    lastrowid: int | None


NOTHING: Final = _Answer(None, (), -1, None)


class OneHopCursor:
    """A cursor whose statement has been fetched to the end when `execute` returns."""

    arraysize = 1

    def __init__(self, run: Callable[[Callable[[], _Answer]], Any], connection: sqlite3.Connection) -> None:
        self._run, self._connection = run, connection
        self._answer, self._rows = NOTHING, deque[Any]()

    async def __aenter__(self) -> OneHopCursor:
        return self

    async def execute(self, sql: str, parameters: Any = ()) -> OneHopCursor:  # noqa: ANN401 - as DB-API has it
        """Run a statement and fetch its rows."""
        return await self._visit(partial(_run, self._connection, sql, parameters, many=False))

    async def executemany(self, sql: str, parameters: Any) -> OneHopCursor:  # noqa: ANN401 - as DB-API has it
        """Run a statement once for each row of parameters."""
        return await self._visit(partial(_run, self._connection, sql, parameters, many=True))

    async def fetchone(self) -> Any:  # noqa: ANN401 - a row
        """The next row, or None."""
        return self._rows.popleft() if self._rows else None

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next rows."""
        return [self._rows.popleft() for _ in range(min(len(self._rows), size or self.arraysize))]

    async def fetchall(self) -> Sequence[Any]:
        """The rows that are left."""
        rows, self._rows = self._rows, deque()
        return rows

    async def close(self) -> None:
        """Forget the rows; SQLite's own cursor is closed already."""
        self._rows.clear()

    @property
    def description(self) -> Any:  # noqa: ANN401 - as DB-API has it
        """The columns of the rows, None of a statement that has none."""
        return self._answer.description

    @property
    def rowcount(self) -> int:
        """How many rows were changed, −1 when that means nothing."""
        return self._answer.rowcount

    @property
    def lastrowid(self) -> int | None:
        """The row that was inserted last."""
        return self._answer.lastrowid

    async def _visit(self, work: Callable[[], _Answer]) -> OneHopCursor:
        self._answer = await self._run(work)
        self._rows = deque(self._answer.rows)
        return self


class OneHopConnection(aiosqlite.Connection):
    """A connection with a thread of its own."""

    def cursor(self) -> OneHopCursor:  # type: ignore[override] # awaiting it would be a hop
        """A cursor; there is nothing to wait for."""
        return OneHopCursor(self._execute, self._conn)


async def connect(path: Path | str) -> OneHopConnection:
    """Open a database file."""

    def opened() -> sqlite3.Connection:
        return sqlite3.connect(path, check_same_thread=False, cached_statements=STATEMENTS_CACHED)

    connection = OneHopConnection(opened, CHUNK_ROWS)
    connection._thread.daemon = True  # noqa: SLF001 - as SQLAlchemy does: a thread must not keep the process alive
    await connection
    return connection


def _run(connection: sqlite3.Connection, sql: str, parameters: Any, *, many: bool) -> _Answer:  # noqa: ANN401
    cursor = connection.cursor()
    try:
        if many:
            cursor.executemany(sql, parameters)
        else:
            cursor.execute(sql, parameters)
        rows = cursor.fetchall() if cursor.description else ()
        return _Answer(cursor.description, rows, cursor.rowcount, cursor.lastrowid)
    finally:
        cursor.close()
