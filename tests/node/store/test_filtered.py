"""Filters in the database: they take the rows that they take in memory, page by page, and no plan reads the table."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from alembic import command
from hypothesis import given, settings
from hypothesis import strategies as st
from ioint_node.filtering import Filter, parse
from ioint_node.filtering.keys import LABELS
from ioint_node.store import filtered, indicators, listings, migrate, postings
from ioint_node.store.clearance import visible
from ioint_node.store.engine import Store, make_engine, open_store, usable
from ioint_node.store.filtered import Order, plan
from ioint_node.store.migrate import upgrade
from ioint_node.store.schema import filter_terms, indicator_terms
from ioint_node.store.schema import indicators as table
from ioint_node.store.times import to_text
from sqlalchemy import Connection, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.node.filtering.made import filters, row_of

NOW = 1_795_000_000_000
ROWS = 150
T = TypeVar("T")


class Held:
    """A store in a loop of its own, with the rows that it should hold."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._runner.run(upgrade(url))
        self.store: Store = self._runner.run(self._stack.enter_async_context(open_store(url)))
        self.rows: dict[str, dict[str, Any]] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def write(self, made: Sequence[dict[str, Any]], now: int = NOW) -> None:
        changed = [(row, indicators.body_of(row, {"novel": None})) for row in made]
        self.run(self.store.write(partial(indicators.upsert, changed=changed, now=now)))
        self.rows |= {row["id"]: row for row in made}

    def read(self, work: Any) -> Any:
        async def reading() -> Any:
            async with self.store.read() as connection:
                return await work(connection)

        return self.run(reading())

    def close(self) -> None:
        self.run(self._stack.aclose())
        self._runner.close()


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    path = tmp_path_factory.mktemp("filtered") / "node.db"
    made = Held(f"sqlite+aiosqlite:///{path}")
    made.write([row_of(seed) for seed in range(ROWS)])
    yield made
    made.close()


async def pages(
    connection: AsyncConnection, wanted: Filter, clearance: str, order: Order, limit: int
) -> list[str]:
    """The ids that all pages together have."""
    found: list[str] = []
    after: Any = None
    while True:
        if order is Order.NEWEST:
            page = await listings.newest_indicators(connection, wanted, clearance, limit, after)
        elif order is Order.STABLE:
            page = await listings.all_indicators(connection, wanted, clearance, limit, after)
        else:
            query = listings.FeedQuery(clearance=clearance, wanted=wanted, key=after, limit=limit)
            page = await listings.feed(connection, query)
        assert len(page.items) <= limit
        found += [one.id for one in page.items]
        if not page.more:
            return found
        after = page.last


def expected(held: Held, wanted: Filter, clearance: str) -> list[str]:
    return [
        row["id"] for row in held.rows.values() if row["tlp"] in visible(clearance) and wanted.matches(row)
    ]


@settings(deadline=None)
@given(filters(), st.sampled_from(LABELS), st.sampled_from(list(Order)), st.sampled_from((1_000, 3)))
def test_the_database_takes_the_rows_that_a_filter_takes(
    held: Held, said: str, clearance: str, order: Order, limit: int
) -> None:
    wanted = parse(said).at(NOW)
    found = held.read(lambda connection: pages(connection, wanted, clearance, order, limit))
    in_order = expected(held, wanted, clearance)
    assert found == (in_order[::-1] if order is Order.NEWEST else in_order)


@settings(deadline=None, max_examples=25)
@given(filters(), st.sampled_from(list(Order)))
def test_a_walk_that_is_cut_goes_on_where_it_ended(held: Held, said: str, order: Order) -> None:
    wanted = parse(said).at(NOW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filtered, "GATHER_MOST", 0)
        patch.setattr(filtered, "WALK_MOST", 7)
        found = held.read(lambda connection: pages(connection, wanted, "amber", order, 5))
    in_order = expected(held, wanted, "amber")
    assert found == (in_order[::-1] if order is Order.NEWEST else in_order)


def test_terms_are_found_by_their_names(held: Held) -> None:
    async def explained(connection: AsyncConnection) -> list[str]:
        spans = [
            ("state:a", "state:a"),
            ("kind:pattern", "kind:pattern"),
            ("q:a", "q:b"),
            ("score:1", "score:2"),
        ]
        statement = filtered._looked_up(spans).compile(
            connection.engine, compile_kwargs={"literal_binds": True}
        )
        return [row.detail for row in await connection.execute(text(f"explain query plan {statement}"))]

    steps = held.read(explained)
    assert [one for one in steps if one.startswith("SCAN")] == []
    assert len([one for one in steps if one.startswith("SEARCH filter_terms USING INDEX")]) == 3


async def kept(connection: AsyncConnection) -> tuple[dict[Any, int], Counter[Any], dict[str, Any]]:
    """The lists of the index by term with how long they say they are, and what each row says it is listed under."""
    names = {row.id: (row.term, row.rows) for row in await connection.execute(select(filter_terms))}
    by_n = {row.n: (row.id, row.terms) for row in await connection.execute(select(table))}
    lists: Counter[Any] = Counter()
    listed: dict[str, Any] = {key: set() for key, _ in by_n.values()}
    for row in await connection.execute(select(indicator_terms)):
        lists[names[row.term][0]] += 1
        listed[by_n[row.n][0]].add(names[row.term][0])
    return {term: rows for term, rows in names.values() if rows}, lists, listed


def check_index(held: Held) -> None:
    lengths, lists, listed = held.read(kept)
    assert listed == {key: postings.terms_of(row) for key, row in held.rows.items()}
    assert lengths == lists


def test_the_index_lists_what_rows_answer_through_changes_and_removals(tmp_path: Any) -> None:
    held = Held(f"sqlite+aiosqlite:///{tmp_path / 'node.db'}")
    try:
        for seed in range(3):
            made = [row_of(one) for one in range(40)]
            held.write(
                [
                    one | {"id": made[place]["id"]}
                    for place, one in enumerate(map(row_of, range(seed, seed + 40)))
                ]
            )
            check_index(held)
        gone = held.run(held.store.write(partial(indicators.forget_silent, before=NOW + 10**9, most=1_000)))
        assert gone
        held.rows = {key: row for key, row in held.rows.items() if row["state"] != "unknown"}
        check_index(held)
    finally:
        held.close()


def upgrade_to(url: str, revision: str) -> None:
    async def work() -> None:
        engine, config = make_engine(url, foreign_keys=False), migrate._config()

        def run(connection: Connection) -> None:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)

        async with usable(engine) as connection:
            await connection.run_sync(run)
        await engine.dispose()

    asyncio.run(work())


def test_an_upgrade_lists_the_rows_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "node.db"
    url = f"sqlite+aiosqlite:///{path}"
    upgrade_to(url, "0011")
    made = [row_of(seed) for seed in range(30)]
    names = ("id", "seq", "kind", "state", "score", "confidence", "tier", "effect", "tlp", "last_seen")
    with sqlite3.connect(path) as database:
        database.executemany(
            f"insert into indicators ({', '.join(names)}, added_at, body) values ({', '.join('?' * 12)})",  # noqa: S608
            [
                (
                    *(row[name] for name in names),
                    to_text(NOW + place),
                    indicators.body_of(row, {"novel": None}),
                )
                for place, row in enumerate(made)
            ],
        )
    database.close()
    monkeypatch.setattr("ioint_node.store.filtered.WALK_MOST", 10)
    held = Held(url)
    try:
        held.rows = {row["id"]: row for row in made}
        check_index(held)
        found = held.read(lambda connection: pages(connection, parse(""), "red", Order.STABLE, 7))
        assert found == list(held.rows)
        held.write([row_of(31)])  # what is numbered anew stays apart from what is numbered already
        check_index(held)
    finally:
        held.close()


@pytest.mark.parametrize("order", list(Order))
@pytest.mark.parametrize("clearance", ["clear", "red"])
@pytest.mark.parametrize(
    "said",
    [
        "",
        "state:malicious",
        "-state:malicious intent:goal_drift",
        "score>=90 -verb:send",
        "since:2026-11-18 family:any",
        "q:pay",
        "subject:pkg:npm/*",
        "subject:0000*",
        f"subject:{'0' * 64}",
        "effect>0 tlp:clear",
    ],
)
@pytest.mark.parametrize("gathered", [True, False])
def test_no_plan_reads_the_table_from_end_to_end(
    held: Held, said: str, clearance: str, order: Order, gathered: bool
) -> None:
    async def explained(connection: AsyncConnection) -> list[str]:
        found = await plan(connection, parse(said), clearance, order=order, after=None, limit=10)
        if found is None:
            return []
        statement = found.statement.compile(connection.engine, compile_kwargs={"literal_binds": True})
        return [row.detail for row in await connection.execute(text(f"explain query plan {statement}"))]

    with pytest.MonkeyPatch.context() as patch:
        # As in a table where little matches, or much.
        patch.setattr(filtered, "_steps", lambda *_: 10**9 if gathered else 1)
        patch.setattr(filtered, "WALK_MOST", 10**9)
        steps = held.read(explained)
    # In the order of a page a table is read through, and left when the page is full.
    found = {one for one in steps if re.match(r"(SCAN|SEARCH) indicators\b", one)}
    if gathered and (said or clearance != "red"):
        by = r"INTEGER PRIMARY KEY|INDEX (sqlite_autoindex_indicators_1|ix_indicators_subject)"
        assert all(
            re.match(rf"SEARCH indicators USING ({by}) \((rowid|id|subject)[=>]", one) for one in found
        ), steps
    else:
        by = r"USING INDEX ix_indicators_added_at"
        assert all(
            re.fullmatch(rf"SCAN indicators( {by})?|SEARCH indicators.*(id|subject).*", one) for one in found
        ), steps
        assert order is Order.STABLE or all("added_at" in one for one in found) or "subject" in said, steps
