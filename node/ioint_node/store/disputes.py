"""Disputes among the records of the members, and records by the first digits of their ids."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from ioint_protocol import record_id
from sqlalchemy import Row, Select, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.reputation.disputes import Dispute
from ioint_node.reputation.rule import Statement
from ioint_node.store.clearance import visible
from ioint_node.store.listings import Page
from ioint_node.store.log import StoredRecord, stored
from ioint_node.store.rows import among
from ioint_node.store.schema import IS_DISPUTE, records

ROWS_AT_A_TIME: Final = 1_000
_AFTER_HEX: Final = "g"


async def newest_disputes(
    connection: AsyncConnection,
    *,
    clearance: str,
    limit: int,
    before: int | None = None,
    subject: str | None = None,
    author: str | None = None,
    of: Collection[str] | None = None,
) -> Page[tuple[int, StoredRecord]]:
    """Signed disputes that this node holds, newest first, each with its number for paging."""
    # The condition is spelled out, or SQLite does not find the index of disputes alone.
    statement = (
        select(records)
        .where(literal_column(IS_DISPUTE), records.c.tlp.in_(visible(clearance)))
        .order_by(records.c.seq.desc())
        .limit(limit + 1)
    )
    if before is not None:
        statement = statement.where(records.c.seq < before)
    for column, value in ((records.c.subject, subject), (records.c.author, author)):
        if value is not None:
            statement = statement.where(column == value)
    if of is not None:
        statement = statement.where(records.c.of.in_(among(connection, of)))
    rows = (await connection.execute(statement)).all()
    return Page(tuple((row.seq, stored(row)) for row in rows[:limit]), len(rows) > limit)


async def as_disputes(connection: AsyncConnection, found: Sequence[StoredRecord]) -> dict[str, Dispute]:
    """Stored disputes with what else is held of them: who signed the report and when, and what was taken back.

    They are named by author and record id, as in `statement_of`.
    """
    named = [(one, one.of or "") for one in found]
    reports = {of for _, of in named}
    reporters, days = await reporters_of(connection, reports), await _days_of(connection, reports)
    disputed = await _disputed_since(connection, reports)
    gone = await _taken_back(connection, {one.id for one in found} | reports)
    return {
        statement_of(one): Dispute(
            said=Statement(id=one.id, author=one.author, kind=one.kind, of=of, day=one.day),
            reporters=reporters.get(of, ()),
            recanted=frozenset([who for who in reporters.get(of, ()) if (who, of) in gone]),
            report_day=days.get(of),
            disputed=disputed.get(of, {}),
            withdrawn=(one.author, one.id) in gone,
        )
        for one, of in named
    }


def statement_of(record: StoredRecord) -> str:
    """What tells a statement from the same words of another member."""
    return f"{record.author}/{record.id}"


async def reporters_of(connection: AsyncConnection, reports: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The members who signed each of these reports, ascending."""
    rows = await connection.execute(
        select(records.c.of, records.c.author)
        .where(records.c.of.in_(among(connection, reports)), records.c.kind == "report")
        .order_by(records.c.of, records.c.author)
    )
    found: dict[str, tuple[str, ...]] = {}
    for of, author in rows:
        found[of] = (*found.get(of, ()), author)
    return found


async def statements_named(connection: AsyncConnection, digits: str) -> tuple[StoredRecord, ...]:
    """The reports, sightings and disputes whose record id begins with these hex digits, by id and author.

    Reports are found by an index. The ids of the others are computed from their bytes, one after another, where no
    report begins so.
    """
    begins = (records.c.of >= digits, records.c.of < digits + _AFTER_HEX)
    reports = await _all(connection, select(records).where(*begins, records.c.kind == "report"))
    if reports:
        return reports
    others = select(records).where(records.c.kind.in_(("sighting", "dispute")))
    async with connection.stream(others.execution_options(yield_per=ROWS_AT_A_TIME)) as rows:
        found = [stored(row) async for row in rows if record_id(bytes(row.body)).startswith(digits)]
    return _sorted(found)


async def subjects_named(connection: AsyncConnection, digits: str) -> frozenset[str]:
    """The patterns that something is said of and whose ids begin with these hex digits."""
    begins = (records.c.subject >= digits, records.c.subject < digits + _AFTER_HEX)
    return frozenset(
        (await connection.execute(select(records.c.subject).where(*begins).distinct())).scalars()
    )


async def _days_of(connection: AsyncConnection, reports: Collection[str]) -> dict[str, int]:
    """The UTC day of each of these reports that is held."""
    rows = await connection.execute(
        select(records.c.of, records.c.day)
        .where(records.c.of.in_(among(connection, reports)), records.c.kind == "report")
        .distinct()
    )
    return {row.of: row.day for row in rows}


async def _disputed_since(connection: AsyncConnection, reports: Collection[str]) -> dict[str, dict[str, int]]:
    """Since which UTC day each of these reports is disputed, by member."""
    rows = await connection.execute(
        select(records.c.of, records.c.author, func.min(records.c.day))
        .where(literal_column(IS_DISPUTE), records.c.of.in_(among(connection, reports)))
        .group_by(records.c.of, records.c.author)
    )
    found: dict[str, dict[str, int]] = {}
    for of, author, day in rows:
        found.setdefault(of, {})[author] = day
    return found


async def _taken_back(connection: AsyncConnection, ids: Collection[str]) -> frozenset[tuple[str, str]]:
    """Author and record id of the statements with these record ids that their author withdrew."""
    rows = await connection.execute(
        select(records.c.author, records.c.of).where(
            records.c.of.in_(among(connection, ids)), records.c.kind == "withdrawal"
        )
    )
    return frozenset((author, of) for author, of in rows)


async def _all(connection: AsyncConnection, statement: Select[Any]) -> tuple[StoredRecord, ...]:
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return _sorted([stored(row) for row in rows])


def _sorted(found: Collection[StoredRecord]) -> tuple[StoredRecord, ...]:
    return tuple(sorted(found, key=lambda one: (one.id, one.author)))
