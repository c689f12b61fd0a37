"""Pages for readers: keyset paging over a key that only grows, one row more than asked tells whether more follow."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.filtering import EVERYTHING, Filter
from ioint_node.reputation.dossier import PUBLIC
from ioint_node.reputation.view import indicator_id
from ioint_node.store.clearance import visible
from ioint_node.store.filtered import Order, plan, total
from ioint_node.store.rows import among
from ioint_node.store.schema import indicators, records, roster_files, sessions

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, whether more may follow, and where a page of indicators ended in its order."""

    items: tuple[T, ...]
    more: bool
    last: str | int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredIndicator:
    """One indicator as it is kept: its keys for paging, its row of the contract, what records call it.

    `novel` is the pattern itself where it is not one of the catalogue.
    """

    id: str
    n: int
    seq: int
    tlp: str
    added_at: str
    state: str
    subject: str
    row: Mapping[str, Any]
    novel: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedQuery:
    """What a poll of the feed asks for: what changed after a key (the `Page.last` of the page before), some ids only.

    `wanted` is without spans.
    """

    clearance: str
    wanted: Filter = EVERYTHING
    key: str | None = None
    ids: tuple[str, ...] | None = None
    limit: int


async def newest_indicators(
    connection: AsyncConnection, wanted: Filter, clearance: str, limit: int, before: str | None
) -> Page[StoredIndicator]:
    """Indicators by the time of their last change, newest first; `before` is the `Page.last` of the page before.

    The filter of this and of the others is without spans. A page may be short, and more follow.
    """
    return await _filtered(connection, wanted, clearance, order=Order.NEWEST, after=before, limit=limit)


async def all_indicators(
    connection: AsyncConnection, wanted: Filter, clearance: str, limit: int, after: int | None
) -> Page[StoredIndicator]:
    """Indicators in the order in which they came first, so that none is missed while others change."""
    return await _filtered(connection, wanted, clearance, order=Order.STABLE, after=after, limit=limit)


async def feed(connection: AsyncConnection, wanted: FeedQuery) -> Page[StoredIndicator]:
    """Indicators in the order of their last change, oldest first."""
    extra: list[ColumnElement[bool]] = []
    if wanted.ids is not None:
        extra.append(indicators.c.id.in_(wanted.ids))
    return await _filtered(
        connection,
        wanted.wanted,
        wanted.clearance,
        order=Order.OLDEST,
        after=wanted.key,
        limit=wanted.limit,
        extra=extra,
    )


async def state(connection: AsyncConnection) -> tuple[str, int]:
    """When an indicator changed last, and how many there are: one of these moves with every change of any."""
    newest = (await connection.execute(select(func.max(indicators.c.added_at)))).scalar_one()
    return newest or "", await total(connection)


async def rows_of(connection: AsyncConnection, ids: Collection[str]) -> dict[str, Mapping[str, Any]]:
    """The indicator rows with these ids, as far as they exist, whatever their labels."""
    found = await connection.execute(
        select(indicators.c.id, indicators.c.body).where(indicators.c.id.in_(among(connection, ids)))
    )
    return {key: msgspec.json.decode(body)["row"] for key, body in found}


async def indicator(connection: AsyncConnection, key: str, clearance: str) -> StoredIndicator | None:
    """One indicator, None when it is not there or not to be seen."""
    row = (await connection.execute(_visible(clearance).where(indicators.c.id == key))).one_or_none()
    return None if row is None else stored_indicator(row)


async def by_uuid(connection: AsyncConnection, uuid: str, clearance: str) -> StoredIndicator | None:
    """The indicator whose STIX objects have this UUID, None when it is not there or not to be seen."""
    found = await connection.execute(_visible(clearance).where(indicators.c.uuid == uuid).limit(1))
    row = found.one_or_none()
    return None if row is None else stored_indicator(row)


async def subject_of(connection: AsyncConnection, key: str, clearance: str) -> str | None:
    """The subject whose indicator has this id, as far as it may be seen; also a package whose reports have no voice.

    An indicator comes with the first voice. Until then a package is found among the names that records have.
    """
    found = await indicator(connection, key, clearance)
    if found is not None:
        return found.subject
    names = (
        select(records.c.subject)
        .where(records.c.subject.startswith(PUBLIC), records.c.tlp.in_(visible(clearance)))
        .distinct()
    )
    async with connection.stream(names) as rows:
        async for (name,) in rows:
            if indicator_id(name) == key:
                return str(name)
    return None


async def reporters(
    connection: AsyncConnection, patterns: Sequence[str], clearance: str
) -> dict[str, tuple[str, ...]]:
    """The members of which a report or sighting about each of these patterns may be seen, in the order of their ids."""
    statement = (
        select(records.c.subject, records.c.author)
        .where(
            records.c.subject.in_(patterns),
            records.c.kind.in_(("report", "sighting")),
            records.c.tlp.in_(visible(clearance)),
        )
        .distinct()
        .order_by(records.c.subject, records.c.author)
    )
    found: dict[str, tuple[str, ...]] = {}
    for subject, author in await connection.execute(statement):
        found[subject] = (*found.get(subject, ()), author)
    return found


async def newest_records(
    connection: AsyncConnection,
    *,
    clearance: str,
    limit: int,
    before: int | None,
    kind: str | None = None,
    subject: str | None = None,
    author: str | None = None,
) -> Page[Mapping[str, Any]]:
    """Signed records that this node holds, its own among them, newest first."""
    statement = (
        select(records)
        .where(records.c.tlp.in_(visible(clearance)))
        .order_by(records.c.seq.desc())
        .limit(limit + 1)
    )
    if before is not None:
        statement = statement.where(records.c.seq < before)
    for column, value in ((records.c.kind, kind), (records.c.subject, subject), (records.c.author, author)):
        if value is not None:
            statement = statement.where(column == value)
    rows = [dict(row) for row in (await connection.execute(statement)).mappings()]
    return Page(tuple(rows[:limit]), len(rows) > limit)


async def statements(
    connection: AsyncConnection, ids: Collection[str], *, clearance: str
) -> tuple[Mapping[str, Any], ...]:
    """The signed records with these statement ids, by author."""
    statement = (
        select(records)
        .where(records.c.id.in_(list(ids)), records.c.tlp.in_(visible(clearance)))
        .order_by(records.c.author)
    )
    return tuple(dict(row) for row in (await connection.execute(statement)).mappings())


async def hidden_in(connection: AsyncConnection, author: str, segment: int, *, clearance: str) -> bool:
    """Whether a segment holds a record that may not be seen."""
    statement = (
        select(records.c.seq)
        .where(
            records.c.author == author,
            records.c.segment == segment,
            records.c.tlp.not_in(visible(clearance)),
        )
        .limit(1)
    )
    return (await connection.execute(statement)).scalar_one_or_none() is not None


async def session_actor(connection: AsyncConnection, session_id: str) -> str | None:
    """Whose session this is, None when there is none."""
    return (
        await connection.execute(select(sessions.c.actor).where(sessions.c.id == session_id))
    ).scalar_one_or_none()


async def all_roster_files(connection: AsyncConnection) -> tuple[Mapping[str, Any], ...]:
    """The signed files of the roster that this node has installed, by name."""
    found = await connection.execute(select(roster_files).order_by(roster_files.c.name))
    return tuple(dict(row) for row in found.mappings())


async def count_indicators(connection: AsyncConnection, clearance: str) -> dict[str, int]:
    """How many indicators that may be seen are in each state."""
    statement = (
        select(indicators.c.state, func.count())
        .where(indicators.c.tlp.in_(visible(clearance)))
        .group_by(indicators.c.state)
    )
    return {state: int(count) for state, count in await connection.execute(statement)}


LISTED: Final = (
    indicators.c.id,
    indicators.c.n,
    indicators.c.seq,
    indicators.c.tlp,
    indicators.c.added_at,
    indicators.c.state,
    indicators.c.subject,
    indicators.c.body,
)
"""The columns that `stored_indicator` reads."""


def _visible(clearance: str) -> Select[Any]:
    return select(*LISTED).where(indicators.c.tlp.in_(visible(clearance)))


async def _filtered(
    connection: AsyncConnection,
    wanted: Filter,
    clearance: str,
    *,
    order: Order,
    after: str | int | None,
    limit: int,
    extra: Sequence[ColumnElement[bool]] = (),
) -> Page[StoredIndicator]:
    found = await plan(connection, wanted, clearance, order=order, after=after, limit=limit + 1, extra=extra)
    if found is None:
        return Page((), more=False)
    rows = (await connection.execute(found.statement)).all()
    items = tuple(map(stored_indicator, rows[:limit]))
    more = len(rows) > limit
    if not more and found.floor is not None:
        return Page(items, more=True, last=found.floor)
    last = None if not items else items[-1].n if order is Order.STABLE else items[-1].added_at
    return Page(items, more=more, last=last)


def stored_indicator(row: Row[Any]) -> StoredIndicator:
    """An indicator of a row with the columns `LISTED`."""
    body = msgspec.json.decode(row.body)
    return StoredIndicator(
        id=row.id,
        n=row.n,
        seq=row.seq,
        tlp=row.tlp,
        added_at=row.added_at,
        state=row.state,
        subject=row.subject,
        row=body["row"],
        novel=body["details"]["novel"],
    )
