"""Invitations that this node gave out, and who applied with them: one row each, one applicant each."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import BusyError, NotFoundError
from ioint_node.store.schema import invitations
from ioint_node.store.times import DAY_MS, to_text

OPEN: Final = 256
"""Invitations that may be out, or wait for a decision, at once."""
WRONG: Final = 10
"""Wrong codes after which an invitation is worth nothing."""
KEPT_DAYS: Final = 30
"""For which an invitation is kept after it expired, and its applicant may ask what became of it."""

Outcome = Literal["new", "known", "wrong_code", "expired_code", "used_code", "listed_member"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenInvitation:
    """An invitation with which nobody has applied yet."""

    id: str
    created_at: str
    expires_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Who applied with an invitation, whose id names it: the member id of the card, its name, and the card."""

    id: str
    member: str
    name: str
    card: bytes = field(repr=False)
    applied_at: str
    refused_at: str | None


async def create(connection: AsyncConnection, identity: str, code: str, now: int, expires: int) -> None:
    """Keep a new invitation; of its code, the hash.

    Raises:
        BusyError: too many are out.
    """
    before = to_text(now - KEPT_DAYS * DAY_MS)
    await connection.execute(delete(invitations).where(invitations.c.expires_at < before))
    count = await connection.execute(select(func.count()).select_from(invitations))
    if count.scalar_one() >= OPEN:
        raise BusyError(f"{OPEN} invitations are out: wait until some have expired")
    await connection.execute(
        insert(invitations).values(
            id=identity,
            code_hash=_hash(code),
            created_at=to_text(now),
            expires_at=to_text(expires),
            wrong=0,
        )
    )


async def apply(
    connection: AsyncConnection, code: str, *, member: str, name: str, card: bytes, now: int, listed: bool
) -> Outcome:
    """Note who applies with a code. The same member again is `known`, with its newest card.

    Who is `listed` on the roster has nothing to apply for, unless it applied before: the code stays unused.
    """
    row = await _row(connection, code)
    if row is None or not _is_good(row, code):
        return "wrong_code"
    here = update(invitations).where(invitations.c.id == row.id)
    if row.member not in {None, member}:
        return "used_code"
    if row.member is None and row.expires_at <= to_text(now):
        return "expired_code"
    if row.member is None and listed:
        return "listed_member"
    fresh = {"member": member, "name": name, "card": card}
    if row.member is None:
        await connection.execute(here.values(**fresh, applied_at=to_text(now)))
        return "new"
    await connection.execute(here.values(**fresh))
    return "known"


async def is_good(connection: AsyncConnection, code: str) -> bool:
    """Whether a code is one that this node gave out and still stands by; it may have expired, or be used."""
    row = await _row(connection, code)
    return row is not None and _is_good(row, code)


async def note_wrong(connection: AsyncConnection, code: str) -> int:
    """Count a wrong code against the invitation that it names; gives how many there were, 0 when it names none."""
    row = await _row(connection, code)
    if row is None:
        return 0
    wrong = min(int(row.wrong) + 1, WRONG)
    await connection.execute(update(invitations).where(invitations.c.id == row.id).values(wrong=wrong))
    return wrong


async def still_open(connection: AsyncConnection, now: int) -> tuple[OpenInvitation, ...]:
    """The invitations with which somebody may still apply, the oldest first."""
    rows = await connection.execute(
        select(invitations.c.id, invitations.c.created_at, invitations.c.expires_at)
        .where(
            invitations.c.member.is_(None),
            invitations.c.expires_at > to_text(now),
            invitations.c.wrong < WRONG,
        )
        .order_by(invitations.c.created_at)
    )
    return tuple(OpenInvitation(**row) for row in rows.mappings())


async def revoke(connection: AsyncConnection, identity: str, now: int) -> OpenInvitation:
    """Take back an open invitation by the first digits of its id.

    Raises:
        NotFoundError: none, or more than one.
    """
    found = [each for each in await still_open(connection, now) if each.id.startswith(identity)]
    if len(identity) < 4 or len(found) != 1:
        raise NotFoundError(
            f"{identity[:32]!r} names {len(found)} open invitations: see `ioint consortium invite --list`; "
            "an application is refused by `admit --application ID --refuse`"
        )
    await connection.execute(delete(invitations).where(invitations.c.id == found[0].id))
    return found[0]


async def applications(connection: AsyncConnection) -> tuple[Application, ...]:
    """Everyone who applied, the oldest first."""
    rows = await connection.execute(
        select(invitations).where(invitations.c.member.is_not(None)).order_by(invitations.c.applied_at)
    )
    return tuple(map(_application, rows))


async def application(connection: AsyncConnection, identity: str) -> Application:
    """One application by the first digits of its id.

    Raises:
        NotFoundError: none, or more than one.
    """
    found = [each for each in await applications(connection) if each.id.startswith(identity)]
    if len(identity) < 4 or not found:
        raise NotFoundError(
            f"no application {identity[:32]!r} is at this node; it lies at the node that invited: "
            "there `ioint consortium show` lists it"
        )
    if len(found) > 1:
        raise NotFoundError(f"{identity[:32]!r} names {len(found)} applications: write more of the id")
    return found[0]


async def refuse(connection: AsyncConnection, identity: str, now: int) -> None:
    """Note that an application was refused; its applicant is told so."""
    await connection.execute(
        update(invitations).where(invitations.c.id == identity).values(refused_at=to_text(now))
    )


async def _row(connection: AsyncConnection, code: str) -> Row[Any] | None:
    identity = code.partition(".")[0]
    found = await connection.execute(select(invitations).where(invitations.c.id == identity))
    return found.one_or_none()


def _is_good(row: Row[Any], code: str) -> bool:
    return row.wrong < WRONG and hmac.compare_digest(row.code_hash, _hash(code))


def _hash(code: str) -> str:
    # 192 random bits need neither salt nor a slow function: there is nothing to guess.
    return hashlib.sha256(code.encode()).hexdigest()


def _application(row: Row[Any]) -> Application:
    return Application(
        id=row.id,
        member=row.member,
        name=row.name,
        card=bytes(row.card),
        applied_at=row.applied_at,
        refused_at=row.refused_at,
    )
