"""Leaving a consortium: take back everything that this node said and that still counts, let others hear it, be alone.

The last step is the operator's: how long to wait for members that are away is nothing that a node can know.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ioint_protocol import Roster, record_id
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import ConflictError, NotFoundError
from ioint_node.flows import opinions
from ioint_node.flows.joining import JoiningParts
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.publish import LEAVING
from ioint_node.reputation.rule import LIFE_DAYS
from ioint_node.store.outgoing import refuse_unsaid
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

    From then on it says nothing new, until it has left or is started again. A steward hands over first, unless it has
    to leave `at_once`: the others may be out of reach for ever.

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
    parts.farewell.begun = True
    withdrawn = 0
    subjects = await parts.store.write(partial(_last_word, member=parts.member, now=now))
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


async def end(parts: ExchangeParts, joining: JoiningParts, now: int, *, at_once: bool = False) -> None:
    """Forget the roster: from now on this node is alone.

    Raises:
        ConflictError: something that it said still counts, and nobody could take it back any more; unless `at_once`.
    """
    last = joining.book.last
    heard = last is not None and parts.member is not None and not nobody_hears(last, parts.member)
    if heard and not at_once and not (await progress(parts, now)).done:
        raise ConflictError("some have not heard yet that all was taken back: wait, or leave at once")
    async with joining.book.turn:  # a roster that is being installed would come back
        await joining.store.write(forget)
        joining.book.held = None
    parts.farewell.begun = False
    await joining.left()


async def _last_word(connection: AsyncConnection, *, member: str, now: int) -> tuple[str, ...]:
    """Let nothing more be said; gives the subjects that are to be taken back."""
    await refuse_unsaid(connection, LEAVING)
    return await _standing(connection, member, now)


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
