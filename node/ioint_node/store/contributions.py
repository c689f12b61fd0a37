"""What analysts' tools sent over TAXII: the objects that were taken, and what became of each request.

Both are bounded: the oldest goes when there are too many, and a status after `STATUS_DAYS`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import ConflictError
from ioint_node.store.clearance import visible
from ioint_node.store.schema import contributions, taxii_statuses
from ioint_node.store.times import DAY_MS, from_text, to_text

OBJECTS_MOST: Final = 10_000
STATUSES_MOST: Final = 1_000
STATUS_DAYS: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An object as it was sent, in its newest version."""

    id: str
    version: str
    type: str
    tlp: str
    added_at: str
    by: str
    body: bytes


async def put(connection: AsyncConnection, made: Kept, now: int) -> None:
    """Keep an object in the place of its older version; `added_at` is made greater than that of any other."""
    newest = (await connection.execute(select(func.max(contributions.c.added_at)))).scalar_one()
    added = now if newest is None else max(now, from_text(newest) + 1)
    await connection.execute(delete(contributions).where(contributions.c.id == made.id))
    await connection.execute(
        insert(contributions).values(
            id=made.id,
            version=made.version,
            type=made.type,
            tlp=made.tlp,
            added_at=to_text(added),
            by=made.by,
            body=made.body,
        )
    )
    surplus = select(contributions.c.seq).order_by(contributions.c.seq.desc()).offset(OBJECTS_MOST).limit(1)
    last = (await connection.execute(surplus)).scalar_one_or_none()
    if last is not None:
        await connection.execute(delete(contributions).where(contributions.c.seq <= last))


async def version_of(connection: AsyncConnection, key: str, clearance: str) -> str | None:
    """The version of an object that is kept, None when there is none.

    Raises:
        ConflictError: what is kept under this id may not be seen, and so not be replaced.
    """
    kept = select(contributions.c.version, contributions.c.tlp).where(contributions.c.id == key)
    found = (await connection.execute(kept)).one_or_none()
    if found is not None and found.tlp not in visible(clearance):
        raise ConflictError("id: another object has it")
    return None if found is None else str(found.version)


async def after(
    connection: AsyncConnection,
    clearance: str,
    instant: str,
    limit: int,
    *,
    ids: Collection[str] | None = None,
    types: Collection[str] | None = None,
) -> tuple[Kept, ...]:
    """Objects that were added after an instant, oldest first."""
    statement = (
        select(contributions)
        .where(contributions.c.added_at > instant, contributions.c.tlp.in_(visible(clearance)))
        .order_by(contributions.c.added_at)
        .limit(limit)
    )
    for column, wanted in ((contributions.c.id, ids), (contributions.c.type, types)):
        if wanted is not None:
            statement = statement.where(column.in_(wanted))
    return tuple(
        Kept(
            id=row.id,
            version=row.version,
            type=row.type,
            tlp=row.tlp,
            added_at=row.added_at,
            by=row.by,
            body=bytes(row.body),
        )
        for row in await connection.execute(statement)
    )


async def remove(connection: AsyncConnection, key: str, clearance: str) -> bool:
    """Forget an object; False when there is none that may be seen."""
    gone = await connection.execute(
        delete(contributions).where(contributions.c.id == key, contributions.c.tlp.in_(visible(clearance)))
    )
    return gone.rowcount > 0


async def put_status(connection: AsyncConnection, key: str, token: str, body: str, now: int) -> None:
    """Keep what became of a request."""
    await connection.execute(
        delete(taxii_statuses).where(taxii_statuses.c.at < to_text(now - STATUS_DAYS * DAY_MS))
    )
    await connection.execute(insert(taxii_statuses).values(id=key, token=token, at=to_text(now), body=body))
    surplus = (
        select(taxii_statuses.c.at)
        .order_by(taxii_statuses.c.at.desc(), taxii_statuses.c.id)
        .offset(STATUSES_MOST)
        .limit(1)
    )
    last = (await connection.execute(surplus)).scalar_one_or_none()
    if last is not None:
        await connection.execute(delete(taxii_statuses).where(taxii_statuses.c.at <= last))


async def status(connection: AsyncConnection, key: str, token: str, now: int) -> str | None:
    """What became of a request that this token made, None when nothing is known of it."""
    found = await connection.execute(
        select(taxii_statuses.c.body).where(
            taxii_statuses.c.id == key,
            taxii_statuses.c.token == token,
            taxii_statuses.c.at >= to_text(now - STATUS_DAYS * DAY_MS),
        )
    )
    return found.scalar_one_or_none()
