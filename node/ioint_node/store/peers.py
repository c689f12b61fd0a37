"""What this node remembers of each member as a peer: last success, refusals by name, quarantine."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store.schema import peers
from ioint_node.store.times import to_text


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRow:
    """A member as a peer; times are RFC 3339 text."""

    member: str
    last_success_at: str | None = None
    refused: dict[str, int] = field(default_factory=dict)
    quarantined_at: str | None = None
    quarantine_reason: str | None = None


async def get(connection: AsyncConnection, member: str) -> PeerRow:
    """What is known of a member; of a stranger, nothing."""
    row = (await connection.execute(select(peers).where(peers.c.member == member))).one_or_none()
    return PeerRow(member=member) if row is None else _as_value(row)


async def known(connection: AsyncConnection) -> tuple[PeerRow, ...]:
    """Every member that has a row, by member id."""
    rows = await connection.execute(select(peers).order_by(peers.c.member))
    return tuple(_as_value(row) for row in rows)


async def quarantined(connection: AsyncConnection) -> frozenset[str]:
    """The members that are in quarantine."""
    rows = await connection.execute(select(peers.c.member).where(peers.c.quarantined_at.is_not(None)))
    return frozenset(rows.scalars())


async def note_success(connection: AsyncConnection, member: str, now: int) -> None:
    """An exchange with this member succeeded."""
    await _ensure(connection, member)
    await connection.execute(
        update(peers).where(peers.c.member == member).values(last_success_at=to_text(now))
    )


async def note_refusal(connection: AsyncConnection, member: str, reason: str, count: int = 1) -> None:
    """Something this member delivered was refused, under its name."""
    refused = dict((await _ensure(connection, member)).refused)
    refused[reason] = refused.get(reason, 0) + count
    await connection.execute(
        update(peers).where(peers.c.member == member).values(refused=json.dumps(refused, sort_keys=True))
    )


async def quarantine(connection: AsyncConnection, member: str, reason: str, now: int) -> bool:
    """Put a member in quarantine; False when it was there already, which keeps its first reason."""
    if (await _ensure(connection, member)).quarantined_at is not None:
        return False
    await connection.execute(
        update(peers)
        .where(peers.c.member == member)
        .values(quarantined_at=to_text(now), quarantine_reason=reason)
    )
    return True


async def release(connection: AsyncConnection, member: str) -> None:
    """End a member's quarantine."""
    await connection.execute(
        update(peers).where(peers.c.member == member).values(quarantined_at=None, quarantine_reason=None)
    )


async def _ensure(connection: AsyncConnection, member: str) -> PeerRow:
    # The one writer serialises jobs, so that looking first cannot race with another insert.
    row = (await connection.execute(select(peers.c.member).where(peers.c.member == member))).one_or_none()
    if row is None:
        await connection.execute(peers.insert().values(member=member, refused="{}"))
    return await get(connection, member)


def _as_value(row: Row[Any]) -> PeerRow:
    return PeerRow(
        member=row.member,
        last_success_at=row.last_success_at,
        refused=json.loads(row.refused),
        quarantined_at=row.quarantined_at,
        quarantine_reason=row.quarantine_reason,
    )
