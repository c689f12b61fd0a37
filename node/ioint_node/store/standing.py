"""Standing approvals as they were given; one that ended or was taken back stays listed."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import ConflictError, NotFoundError, RequestError, TooLargeError
from ioint_node.privacy.standing import CATEGORIES, SCOPES, Standing
from ioint_node.store.schema import standing_approvals
from ioint_node.store.times import DAY_MS, from_text, to_text

IN_FORCE_MOST = 1_000  # approvals
DAYS_MOST = 366
REASON_CHARS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One standing approval; instants are RFC 3339 text."""

    id: str
    scope: str
    value: str
    reason: str
    by: str
    at: str
    expires_at: str
    revoked_at: str | None = None
    revoked_by: str | None = None


async def give(
    connection: AsyncConnection, *, scope: str, value: str, reason: str, by: str, days: int, now: int
) -> Approval:
    """Record that a person lets a class leave for some days.

    Raises:
        RequestError: no such scope or category, or a reason or number of days out of bounds.
        TooLargeError: too many are in force.
    """
    if scope not in SCOPES:
        raise RequestError(f"scope: {scope[:32]!r} is none of {', '.join(SCOPES)}")
    if scope == "category" and value not in CATEGORIES:
        raise RequestError(f"value: {value[:32]!r} is none of {', '.join(CATEGORIES)}")
    if not 1 <= len(reason) <= REASON_CHARS or not reason.isprintable():
        raise RequestError(f"reason: must be 1 to {REASON_CHARS} printable characters")
    if not 1 <= days <= DAYS_MOST:
        raise RequestError(f"days: {days}, must be 1 to {DAYS_MOST}")
    at = to_text(now)
    held = select(func.count()).where(
        standing_approvals.c.revoked_at.is_(None), standing_approvals.c.expires_at > at
    )
    if (count := (await connection.execute(held)).scalar_one()) >= IN_FORCE_MOST:
        raise TooLargeError(f"{count} standing approvals are in force, the most that may be: revoke some")
    made = Approval(
        id=secrets.token_hex(16),
        scope=scope,
        value=value,
        reason=reason,
        by=by,
        at=at,
        expires_at=to_text(now + days * DAY_MS),
    )
    await connection.execute(
        insert(standing_approvals).values(
            id=made.id,
            scope=scope,
            value=value,
            reason=reason,
            by=by,
            at=at,
            expires_at=made.expires_at,
        )
    )
    return made


async def revoke(connection: AsyncConnection, approval: str, *, by: str, now: int) -> Approval:
    """Take an approval back.

    Raises:
        NotFoundError: there is none.
        ConflictError: it was taken back before, or has run out.
    """
    found = await _get(connection, approval)
    if found is None:
        raise NotFoundError(f"no standing approval {approval[:32]!r}")
    if found.revoked_at is not None:
        raise ConflictError(f"standing approval {approval} was revoked at {found.revoked_at}")
    if found.expires_at <= to_text(now):
        raise ConflictError(f"standing approval {approval} ended at {found.expires_at}")
    await connection.execute(
        update(standing_approvals)
        .where(standing_approvals.c.id == approval)
        .values(revoked_at=to_text(now), revoked_by=by)
    )
    return await _get(connection, approval) or found


async def listed(
    connection: AsyncConnection, limit: int, after: tuple[str, str] | None = None
) -> tuple[tuple[Approval, ...], bool]:
    """A page of all approvals that were ever given, the newest first, and whether more follow.

    `after` are the instant and the id of the last one of the page before.
    """
    columns = standing_approvals.c
    statement = select(standing_approvals).order_by(columns.at.desc(), columns.id).limit(limit + 1)
    if after is not None:
        at, last = after
        statement = statement.where((columns.at < at) | ((columns.at == at) & (columns.id > last)))
    found = tuple(_approval(row) for row in await connection.execute(statement))
    return found[:limit], len(found) > limit


async def in_force(connection: AsyncConnection, now: int) -> tuple[Standing, ...]:
    """The approvals that hold, the oldest first."""
    statement = (
        select(standing_approvals)
        .where(standing_approvals.c.revoked_at.is_(None), standing_approvals.c.expires_at > to_text(now))
        .order_by(standing_approvals.c.at, standing_approvals.c.id)
    )
    return tuple(
        Standing(id=row.id, scope=row.scope, value=row.value, expires=from_text(row.expires_at))
        for row in await connection.execute(statement)
    )


async def _get(connection: AsyncConnection, approval: str) -> Approval | None:
    statement = select(standing_approvals).where(standing_approvals.c.id == approval)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _approval(row)


def _approval(row: Row[tuple[object, ...]]) -> Approval:
    return Approval(
        id=row.id,
        scope=row.scope,
        value=row.value,
        reason=row.reason,
        by=row.by,
        at=row.at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
    )
