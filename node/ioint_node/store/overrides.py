"""What people of this organisation decided about a pattern or subject, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, delete, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import RequestError
from ioint_node.store.schema import overrides
from ioint_node.store.times import to_text

OFF: Final = "off"  # the kind of the one decision about all effects
EVERYTHING: Final = "*"  # its subject
KINDS: Final = ("allow", "mute", "release", OFF)
LIMIT: Final = 10_000  # decisions of people that hold at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One decision of a person; instants are RFC 3339 text."""

    subject: str
    kind: str
    reason: str
    by: str
    at: str
    expires_at: str | None


async def put(
    connection: AsyncConnection,
    *,
    subject: str,
    kind: str,
    reason: str,
    by: str,
    expires: int | None,
    now: int,
) -> Override:
    """Record a decision in place of an earlier one of its kind about its subject; times in milliseconds.

    Raises:
        RequestError: an unknown kind, an expiry in the past, or `LIMIT` decisions hold.
    """
    if kind not in KINDS:
        raise RequestError(f"kind: {kind[:32]!r} is none of {', '.join(KINDS)}")
    check_end(expires, now)
    made = Override(
        subject=subject,
        kind=kind,
        reason=reason,
        by=by,
        at=to_text(now),
        expires_at=None if expires is None else to_text(expires),
    )
    await remove(connection, subject, kind)
    counted = await connection.execute(select(func.count()).where(overrides.c.kind.in_(KINDS)))
    if kind != OFF and counted.scalar_one() >= LIMIT:
        raise RequestError(f"{LIMIT} decisions of people hold already: take some back, or let them end")
    await connection.execute(
        insert(overrides).values(
            subject=subject, kind=kind, reason=reason, by=by, at=made.at, expires_at=made.expires_at
        )
    )
    return made


def check_end(expires: int | None, now: int) -> None:
    """See that a decision ends later than now, or never; in milliseconds.

    Raises:
        RequestError: it ends in the past.
    """
    if expires is not None and expires <= now:
        raise RequestError(f"expires: {to_text(expires)} is in the past")


async def remove(connection: AsyncConnection, subject: str, kind: str) -> bool:
    """Take a decision back; False when there was none."""
    done = await connection.execute(
        delete(overrides).where(overrides.c.subject == subject, overrides.c.kind == kind)
    )
    return done.rowcount > 0


async def active(
    connection: AsyncConnection, now: int, *, kind: str | None = None, subject: str | None = None
) -> tuple[Override, ...]:
    """The decisions that still hold, by subject and kind."""
    wanted: list[ColumnElement[bool]] = [
        or_(overrides.c.expires_at.is_(None), overrides.c.expires_at > to_text(now))
    ]
    if kind is not None:
        wanted.append(overrides.c.kind == kind)
    if subject is not None:
        wanted.append(overrides.c.subject == subject)
    statement = select(overrides).where(*wanted).order_by(overrides.c.subject, overrides.c.kind)
    return tuple(
        Override(
            subject=row.subject,
            kind=row.kind,
            reason=row.reason,
            by=row.by,
            at=row.at,
            expires_at=row.expires_at,
        )
        for row in await connection.execute(statement)
    )


async def expire(connection: AsyncConnection, now: int) -> tuple[str, ...]:
    """Remove the decisions that have run out and return the patterns and subjects they were about."""
    gone = await connection.execute(
        delete(overrides)
        .where(overrides.c.expires_at <= to_text(now))
        .returning(overrides.c.subject, overrides.c.kind)
    )
    # Those of other kinds are about an actor's level, of which nothing is believed.
    return tuple(sorted({row.subject for row in gone if row.kind in KINDS}))
