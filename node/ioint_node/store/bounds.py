"""What people decided of actors' levels, in the table of overrides under the kind `trust`, one for each actor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Row, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.scoring.bounds import Bound
from ioint_node.store.schema import overrides
from ioint_node.store.times import from_text, to_text

KIND: Final = "trust"


async def put_bound(connection: AsyncConnection, actor: str, bound: Bound, now: int) -> None:
    """Keep a bound in place of an earlier one about the same actor."""
    await remove_bound(connection, actor)
    row = {
        "subject": actor,
        "kind": KIND,
        # The column holds one short text; the bound itself comes before the person's reason.
        "reason": f"{bound.way} {bound.level}: {bound.reason}",
        "by": bound.by,
        "at": to_text(now),
        "expires_at": to_text(bound.expires),
    }
    await connection.execute(insert(overrides), [row])


async def remove_bound(connection: AsyncConnection, actor: str) -> bool:
    """Take a bound back; False when there was none."""
    gone = await connection.execute(
        delete(overrides).where(overrides.c.subject == actor, overrides.c.kind == KIND)
    )
    return gone.rowcount > 0


async def find_bound(connection: AsyncConnection, actor: str, now: int) -> Bound | None:
    """The bound that holds for an actor, or None."""
    statement = select(overrides).where(
        overrides.c.subject == actor, overrides.c.kind == KIND, overrides.c.expires_at > to_text(now)
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _bound(row)


async def bounds_of(connection: AsyncConnection, actors: Sequence[str], now: int) -> dict[str, Bound]:
    """The bounds that hold now of some actors, by actor."""
    statement = select(overrides).where(
        overrides.c.subject.in_(actors), overrides.c.kind == KIND, overrides.c.expires_at > to_text(now)
    )
    return {row.subject: _bound(row) for row in await connection.execute(statement)}


async def bounds_by_person(connection: AsyncConnection, now: int) -> dict[str, int]:
    """How many bounds of each person hold now."""
    statement = (
        select(overrides.c.by, func.count())
        .where(overrides.c.kind == KIND, overrides.c.expires_at > to_text(now))
        .group_by(overrides.c.by)
    )
    return {by: int(count) for by, count in await connection.execute(statement)}


def _bound(row: Row[tuple[object, ...]]) -> Bound:
    said, _, reason = row.reason.partition(": ")
    way, _, level = said.partition(" ")
    return Bound(way=way, level=level, reason=reason, by=row.by, expires=from_text(row.expires_at))
