"""Forgetting what is dead, the beginning of a log; and dropping what stands no more, the end of one."""

from __future__ import annotations

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store.schema import records, segments


async def lowest(connection: AsyncConnection, author: str, from_seq: int = 1) -> int | None:
    """The lowest segment of `from_seq` or later that we hold of an author."""
    statement = select(func.min(segments.c.seq)).where(
        segments.c.author == author, segments.c.seq >= from_seq
    )
    found: int | None = (await connection.execute(statement)).scalar_one()
    return found


async def cuts(connection: AsyncConnection, dead_before: int) -> dict[str, int]:
    """For each author of whom something may go: the lowest segment to keep.

    That is its newest `low`, or its lowest segment with a record of the day `dead_before` or later when that is lower.
    """
    newest = (
        select(
            segments.c.author, func.max(segments.c.seq).label("seq"), func.min(segments.c.seq).label("least")
        )
        .group_by(segments.c.author)
        .subquery()
    )
    said = await connection.execute(
        select(segments.c.author, segments.c.low, newest.c.least)
        .join(newest, (segments.c.author == newest.c.author) & (segments.c.seq == newest.c.seq))
        .where(newest.c.least < segments.c.low)
    )
    lows = {row.author: (row.low, row.least) for row in said}
    alive = await connection.execute(
        select(records.c.author, func.min(records.c.segment).label("segment"))
        .where(records.c.author.in_(list(lows)), records.c.day >= dead_before)
        .group_by(records.c.author)
    )
    living = {row.author: row.segment for row in alive}
    kept = {author: min(low, living.get(author, low)) for author, (low, _) in lows.items()}
    return {author: keep for author, keep in kept.items() if keep > lows[author][1]}


async def drop_below(connection: AsyncConnection, author: str, seq: int) -> int:
    """Forget the segments of an author below `seq` and the records in them; returns how many segments."""
    await connection.execute(delete(records).where(records.c.author == author, records.c.segment < seq))
    gone = await connection.execute(delete(segments).where(segments.c.author == author, segments.c.seq < seq))
    return gone.rowcount


async def drop_from(connection: AsyncConnection, author: str, seq: int) -> tuple[str, ...]:
    """Drop the segments of an author from `seq` on and the records in them; returns what those were about."""
    gone = (records.c.author == author) & (records.c.segment >= seq)
    subjects = await connection.execute(
        select(records.c.subject).where(gone, records.c.subject != "").distinct()
    )
    named = tuple(sorted(subjects.scalars()))
    await connection.execute(delete(records).where(gone))
    await connection.execute(delete(segments).where(segments.c.author == author, segments.c.seq >= seq))
    return named
