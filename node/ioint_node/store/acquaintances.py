"""Since when this node knows each affiliation group."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import and_, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store.rows import among
from ioint_node.store.schema import acquaintances, segments
from ioint_node.store.times import day_of, from_text
from ioint_node.store.upsert import upserting


async def known(connection: AsyncConnection) -> dict[str, int]:
    """The UTC day since which each group is known."""
    rows = await connection.execute(select(acquaintances.c.group, acquaintances.c.since))
    return {row.group: row.since for row in rows}


async def note(connection: AsyncConnection, met: Mapping[str, int], gone: Collection[str]) -> None:
    """Remember new groups with their days, and forget those that are on the roster no more."""
    if gone:
        await connection.execute(
            delete(acquaintances).where(acquaintances.c.group.in_(among(connection, gone)))
        )
    for group, day in met.items():
        await connection.execute(
            upserting(connection, acquaintances).values(group=group, since=day).on_conflict_do_nothing()
        )


async def first_heard(connection: AsyncConnection, authors: Collection[str]) -> dict[str, int]:
    """The UTC day on which the oldest segment that is kept of each author came; who said nothing is left out."""
    oldest = (
        select(segments.c.author, func.min(segments.c.seq).label("seq"))
        .where(segments.c.author.in_(among(connection, authors)))
        .group_by(segments.c.author)
        .subquery()
    )
    rows = await connection.execute(
        select(segments.c.author, segments.c.received_at).join(
            oldest, and_(segments.c.author == oldest.c.author, segments.c.seq == oldest.c.seq)
        )
    )
    return {row.author: day_of(from_text(row.received_at)) for row in rows}
