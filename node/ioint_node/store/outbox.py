"""What other members must still hear: rows made in the transaction that made them true, removed once acknowledged.

A row names a segment and a destination. Order within a destination is the order of insertion, because a segment is
only of use after the one before it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import and_, case, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store.rows import insert_rows
from ioint_node.store.schema import outbox, segments
from ioint_node.store.times import from_text, to_text

ROWS_PER_DESTINATION = 10_000
"""Rows kept for a member that is away; beyond them catching up by pull is cheaper and repairs the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One row of the outbox with the segment it names; `wire` is None when the segment is no longer kept."""

    id: int
    author: str
    seq: int
    attempts: int
    wire: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A destination with something waiting, and the instant (Unix ms) before which not to try."""

    destination: str
    not_before: int


async def add(
    connection: AsyncConnection,
    destinations: Collection[str],
    author: str,
    seq: int,
    now: int,
    *,
    rows: int = ROWS_PER_DESTINATION,
) -> None:
    """Queue a segment for members; one that already waits is not queued twice, one over the bound is not queued."""
    is_this = case((and_(outbox.c.author == author, outbox.c.seq == seq), 1), else_=0)
    counted = await connection.execute(
        select(outbox.c.destination, func.count(), func.max(is_this))
        .where(outbox.c.destination.in_(list(destinations)))
        .group_by(outbox.c.destination)
    )
    full_or_queued = {name for name, waiting, queued in counted if waiting >= rows or queued}
    new = [
        {"destination": name, "author": author, "seq": seq, "attempts": 0, "not_before": to_text(now)}
        for name in dict.fromkeys(destinations)
        if name not in full_or_queued
    ]
    if new:
        await connection.execute(outbox.insert(), new)


async def add_all(
    connection: AsyncConnection,
    parcels: Collection[tuple[str, str, int]],
    now: int,
    *,
    rows: int = ROWS_PER_DESTINATION,
) -> None:
    """Queue segments (destination, author, seq); one that waits already, or is over its destination's bound, is not."""
    if not parcels:
        return
    counted = await connection.execute(
        select(outbox.c.destination, func.count())
        .where(outbox.c.destination.in_({destination for destination, _, _ in parcels}))
        .group_by(outbox.c.destination)
    )
    room = {name: rows - waiting for name, waiting in counted}
    queued = []
    for destination, author, seq in parcels:
        left = room.get(destination, rows)
        if left > 0:
            room[destination] = left - 1
            queued.append((destination, author, seq, 0, to_text(now)))
    await insert_rows(
        connection,
        outbox,
        ("destination", "author", "seq", "attempts", "not_before"),
        queued,
        unless=("destination", "author", "seq"),
    )


async def due(connection: AsyncConnection) -> tuple[Due, ...]:
    """Each destination with rows, by when its first row may be tried."""
    first = select(func.min(outbox.c.id)).group_by(outbox.c.destination)
    rows = await connection.execute(
        select(outbox.c.destination, outbox.c.not_before)
        .where(outbox.c.id.in_(first))
        .order_by(outbox.c.not_before, outbox.c.id)
    )
    return tuple(Due(destination=name, not_before=from_text(at)) for name, at in rows)


async def parcels(connection: AsyncConnection, destination: str, limit: int) -> tuple[Parcel, ...]:
    """The oldest rows for a destination, in order."""
    same = and_(segments.c.author == outbox.c.author, segments.c.seq == outbox.c.seq)
    rows = await connection.execute(
        select(outbox.c.id, outbox.c.author, outbox.c.seq, outbox.c.attempts, segments.c.wire)
        .select_from(outbox.outerjoin(segments, same))
        .where(outbox.c.destination == destination)
        .order_by(outbox.c.id)
        .limit(limit)
    )
    return tuple(
        Parcel(id=row.id, author=row.author, seq=row.seq, attempts=row.attempts, wire=row.wire)
        for row in rows
    )


async def remove(connection: AsyncConnection, ids: Collection[int]) -> None:
    """Forget rows that were answered."""
    await connection.execute(delete(outbox).where(outbox.c.id.in_(list(ids))))


async def postpone(connection: AsyncConnection, row: int, not_before: int) -> None:
    """Note one more attempt that failed, and when to try again."""
    await connection.execute(
        update(outbox)
        .where(outbox.c.id == row)
        .values(attempts=outbox.c.attempts + 1, not_before=to_text(not_before))
    )


async def hasten(connection: AsyncConnection, destination: str, now: int) -> None:
    """A member is reachable again: what waits for it may go at once."""
    await connection.execute(
        update(outbox)
        .where(outbox.c.destination == destination, outbox.c.not_before > to_text(now))
        .values(not_before=to_text(now))
    )


async def drop(connection: AsyncConnection, destination: str) -> None:
    """Forget everything for a member that is no longer one."""
    await connection.execute(delete(outbox).where(outbox.c.destination == destination))


async def waiting(connection: AsyncConnection) -> dict[str, int]:
    """How many rows wait for each destination."""
    rows = await connection.execute(select(outbox.c.destination, func.count()).group_by(outbox.c.destination))
    return {row[0]: row[1] for row in rows}
