"""Leaving a consortium: take back everything that this node said and that still counts, let others hear it, be alone.

The last step is the operator's: how long to wait for members that are away is nothing that a node can know.
"""

from __future__ import annotations

from dataclasses import dataclass

from ioint_protocol import Roster, record_id
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import ConflictError, NotFoundError
from ioint_node.flows import opinions
from ioint_node.flows.joining import JoiningParts
from ioint_node.flows.parts import ExchangeParts
from ioint_node.reputation.rule import LIFE_DAYS
from ioint_node.store.schema import outbox, outgoing, records, roster_files
from ioint_node.store.times import day_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """How far leaving is: records that still count, records of ours not signed yet, and deliveries by member."""

    standing: int
    unsigned: int
    undelivered: dict[str, int]

    @property
    def done(self) -> bool:
        """Whether everyone has heard that all was taken back."""
        return not (self.standing or self.unsigned or self.undelivered)


def nobody_hears(roster: Roster, member: str) -> bool:
    """Whether nobody would hear what this node takes back: it is no member, or not any more, or the only one."""
    own = roster.member(member)
    others = any(each.id != member and each.state != "removed" for each in roster.members)
    return own is None or own.state == "removed" or not others


async def withdraw_all(
    parts: ExchangeParts, joining: JoiningParts, *, by: str, now: int, at_once: bool = False
) -> int:
    """Take back all that this node said; returns how many withdrawals that made.

    A steward hands over first, unless it has to leave `at_once`: the others may be out of reach for ever.

    Raises:
        ConflictError: this node is a steward, is no member, or publishing is off.
    """
    last = joining.book.last
    if last is None or parts.member is None or nobody_hears(last, parts.member):
        raise ConflictError("nobody hears what this node says: it is alone, or no member of a consortium")
    if not at_once and any(steward.member == parts.member for steward in last.council):
        raise ConflictError(
            f"this node is a steward: first another one runs `ioint consortium rotate --steward {parts.member}`; "
            "where none is left, run this with --now"
        )
    withdrawn = 0
    async with parts.store.read() as connection:
        subjects = await _standing(connection, parts.member, now)
    for subject in subjects:
        try:
            made = await opinions.withdraw_pattern(parts, subject, reason="policy", by=by, now=now)
        except NotFoundError:
            continue  # taken back before
        withdrawn += len(made)
    return withdrawn


async def progress(parts: ExchangeParts, now: int) -> Leaving:
    """How far leaving is."""
    if parts.member is None:
        return Leaving(standing=0, unsigned=0, undelivered={})
    async with parts.store.read() as connection:
        standing = await _standing(connection, parts.member, now)
        unsigned = await connection.execute(
            select(func.count())
            .select_from(outgoing)
            .where(outgoing.c.state == "ready", outgoing.c.kind == "withdrawal")
        )
        waiting = await connection.execute(
            select(outbox.c.destination, func.count())
            .where(outbox.c.author == parts.member)
            .group_by(outbox.c.destination)
        )
        return Leaving(
            standing=len(standing),
            unsigned=int(unsigned.scalar_one()),
            undelivered={str(member): int(count) for member, count in waiting},
        )


async def end(joining: JoiningParts) -> None:
    """Forget the roster: from now on this node is alone."""
    await joining.store.write(forget)
    joining.book.held = None
    await joining.left()


async def forget(connection: AsyncConnection) -> None:
    """Forget the roster, and what waits for members to take it."""
    await connection.execute(delete(roster_files))
    await connection.execute(delete(outbox))


async def _standing(connection: AsyncConnection, member: str, now: int) -> tuple[str, ...]:
    """The subjects about which something of ours still counts."""
    own = (records.c.author == member, records.c.day >= day_of(now) - LIFE_DAYS)
    said = await connection.execute(
        select(records.c.subject, records.c.body).where(*own, records.c.kind != "withdrawal")
    )
    gone = await connection.execute(
        select(records.c.of).where(records.c.author == member, records.c.kind == "withdrawal")
    )
    taken_back = set(gone.scalars())
    return tuple(sorted({row.subject for row in said if record_id(bytes(row.body)) not in taken_back}))
