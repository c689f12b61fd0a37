"""Rows in bulk: what is there is left or replaced, and the statements are those of either database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ioint_node.store.engine import Store, open_store
from ioint_node.store.migrate import upgrade
from ioint_node.store.rows import _compiled, insert_rows
from ioint_node.store.schema import first_reports
from sqlalchemy import select
from sqlalchemy.dialects import postgresql

COLUMNS = ("day", "group", "pattern", "counts")  # in another order than the table's
KEY = ("group", "pattern")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'rows.db'}"
    await upgrade(url)
    async with open_store(url) as opened:
        yield opened


async def days(store: Store) -> dict[str, int]:
    async with store.read() as connection:
        rows = await connection.execute(select(first_reports.c.pattern, first_reports.c.day))
        return {row.pattern: row.day for row in rows}


async def test_rows_go_into_the_columns_that_are_named(store: Store) -> None:
    await store.write(lambda c: insert_rows(c, first_reports, COLUMNS, [(7, "g", "a", 1), (8, "g", "b", 1)]))
    assert await days(store) == {"a": 7, "b": 8}


async def test_what_is_there_is_left_and_not_counted(store: Store) -> None:
    await store.write(lambda c: insert_rows(c, first_reports, COLUMNS, [(7, "g", "a", 1)]))
    rows = [(9, "g", "a", 1), (8, "g", "b", 1)]
    assert await store.write(lambda c: insert_rows(c, first_reports, COLUMNS, rows, unless=KEY)) == 1
    assert await days(store) == {"a": 7, "b": 8}


async def test_what_is_there_is_replaced_where_that_is_asked_for(store: Store) -> None:
    await store.write(lambda c: insert_rows(c, first_reports, COLUMNS, [(7, "g", "a", 1)]))
    await store.write(lambda c: insert_rows(c, first_reports, COLUMNS, [(9, "g", "a", 1)], replacing=KEY))
    assert await days(store) == {"a": 9}


async def test_no_rows_are_no_statement(store: Store) -> None:
    assert await store.write(lambda c: insert_rows(c, first_reports, COLUMNS, [])) == 0


def test_postgresql_gets_numbered_places_in_its_own_order() -> None:
    dialect = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call] # SQLAlchemy's
    text, places = _compiled(dialect, first_reports, COLUMNS, KEY, ())
    assert "$1" in text
    assert "ON CONFLICT" in text
    named = text.split("(")[1].split(")")[0].replace('"', "").split(", ")
    order = range(len(COLUMNS)) if places is None else places
    assert [COLUMNS[at] for at in order] == named
