"""A statement is one visit to the thread, and says what SQLite says."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from ioint_node.store.engine import make_engine
from ioint_node.store.hops import OneHopConnection, connect
from sqlalchemy import text


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[OneHopConnection]:
    made = await connect(tmp_path / "hops.db")
    await made.cursor().execute("create table t (a integer primary key, b text)")
    yield made
    await made.close()


async def test_rows_are_there_when_the_statement_has_run(connection: OneHopConnection) -> None:
    cursor = await connection.cursor().executemany("insert into t (b) values (?)", [("x",), ("y",), ("z",)])
    assert (cursor.rowcount, cursor.description) == (3, None)
    found = await connection.cursor().execute("select a, b from t where a > ? order by a", (1,))
    assert [column[0] for column in found.description] == ["a", "b"]
    assert await found.fetchone() == (2, "y")
    assert list(await found.fetchall()) == [(3, "z")]
    assert await found.fetchmany(5) == []


async def test_an_insert_tells_its_row_and_what_it_returns(connection: OneHopConnection) -> None:
    cursor = await connection.cursor().execute("insert into t (b) values ('x') returning a, b")
    assert (cursor.lastrowid, cursor.rowcount) == (1, 1)
    assert await cursor.fetchone() == (1, "x")


async def test_a_statement_is_one_visit_to_the_thread(
    connection: OneHopConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    visits: list[Any] = []
    whole: Any = connection._execute

    async def counted(work: Any, *rest: Any) -> Any:
        visits.append(work)
        return await whole(work, *rest)

    monkeypatch.setattr(connection, "_execute", counted)
    cursor = await connection.cursor().__aenter__()
    await cursor.execute("select 1")
    assert list(await cursor.fetchall()) == [(1,)]
    await cursor.close()
    assert len(visits) == 1


async def test_a_wrong_statement_fails_as_sqlite_says(connection: OneHopConnection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await connection.cursor().execute("select * from missing")
    assert await (await connection.cursor().execute("select 7")).fetchone() == (7,)


async def test_the_engine_goes_over_it(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite+aiosqlite:///{tmp_path / 'engine.db'}")
    async with engine.connect() as connection:
        assert (await connection.execute(text("select 1"))).scalar_one() == 1
        raw = await connection.get_raw_connection()
        assert isinstance(raw.driver_connection, OneHopConnection)
    await engine.dispose()
