"""Dead letters: rows of the stream that a webhook's receiver did not take, and that were given up.

They stay until somebody has them posted once more or drops them: the stream forgets, this does not. There are only so
many of one hook; the hook is disabled before it would lose one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Row, delete, func, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import NotFoundError
from ioint_node.store.clearance import visible
from ioint_node.store.schema import dead_letters
from ioint_node.store.stream import StreamRow
from ioint_node.store.times import to_text

PER_HOOK: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One row that was given up: after how many attempts, why and when; `due` when it is to be posted once more."""

    row: StreamRow
    attempts: int
    reason: str
    given_up_at: str
    due: bool = False

    def to_json(self) -> dict[str, Any]:
        """The letter as the API lists it, with the data that was to be posted."""
        return {
            "seq": self.row.seq,
            "event": self.row.event,
            "at": self.row.at,
            "attempts": self.attempts,
            "reason": self.reason,
            "given_up_at": self.given_up_at,
            "due": self.due,
            "data": msgspec.json.decode(self.row.body),
        }


async def put(
    connection: AsyncConnection, hook: str, row: StreamRow, *, attempts: int, reason: str, now: int
) -> None:
    """Keep a row that is given up, in the place of an earlier letter of the same row."""
    await drop(connection, hook, row)
    await connection.execute(
        insert(dead_letters).values(
            hook=hook,
            seq=row.seq,
            event=row.event,
            at=row.at,
            tlp=row.tlp,
            body=row.body,
            attempts=attempts,
            reason=reason,
            given_up_at=to_text(now),
            due=0,
        )
    )


async def drop(connection: AsyncConnection, hook: str, row: StreamRow) -> None:
    """Forget the letter of one row."""
    d = dead_letters.c
    await connection.execute(
        delete(dead_letters).where(d.hook == hook, d.seq == row.seq, d.event == row.event)
    )


async def page(
    connection: AsyncConnection, hook: str, clearance: str, limit: int, after: tuple[int, str] = (-1, "")
) -> tuple[DeadLetter, ...]:
    """The letters of a hook that may be seen, in the order of their rows; `after` is the `seq` and event of one."""
    d = dead_letters.c
    statement = (
        select(dead_letters)
        .where(d.hook == hook, tuple_(d.seq, d.event) > after, d.tlp.in_(visible(clearance)))
        .order_by(d.seq, d.event)
        .limit(limit)
    )
    return tuple(_value(row) for row in await connection.execute(statement))


async def due(connection: AsyncConnection, hook: str, clearance: str, limit: int) -> tuple[DeadLetter, ...]:
    """The letters that are to be posted once more and may be seen, in the order of their rows."""
    d = dead_letters.c
    statement = (
        select(dead_letters)
        .where(d.hook == hook, d.due == 1, d.tlp.in_(visible(clearance)))
        .order_by(d.seq, d.event)
        .limit(limit)
    )
    return tuple(_value(row) for row in await connection.execute(statement))


async def owed(connection: AsyncConnection) -> frozenset[str]:
    """The hooks that have letters which are to be posted once more."""
    found = await connection.execute(select(dead_letters.c.hook).where(dead_letters.c.due == 1).distinct())
    return frozenset(found.scalars())


async def want(connection: AsyncConnection, hook: str, seq: int | None) -> int:
    """Have one letter of a hook posted once more, or all; how many that are.

    Raises:
        NotFoundError: there is no such letter.
    """
    done = await connection.execute(update(dead_letters).where(*_which(hook, seq)).values(due=1))
    return _some(done.rowcount, seq)


async def forget(connection: AsyncConnection, hook: str, seq: int | None) -> int:
    """Drop one letter of a hook, or all; how many that were.

    Raises:
        NotFoundError: there is no such letter.
    """
    done = await connection.execute(delete(dead_letters).where(*_which(hook, seq)))
    return _some(done.rowcount, seq)


async def count(connection: AsyncConnection, hook: str | None = None) -> int:
    """How many letters there are, of one hook or of all."""
    statement = select(func.count()).select_from(dead_letters)
    if hook is not None:
        statement = statement.where(dead_letters.c.hook == hook)
    return int((await connection.execute(statement)).scalar_one())


def _which(hook: str, seq: int | None) -> tuple[Any, ...]:
    same = (dead_letters.c.hook == hook,)
    return same if seq is None else (*same, dead_letters.c.seq == seq)


def _some(count: int, seq: int | None) -> int:
    if seq is not None and not count:
        raise NotFoundError(f"seq: no dead letter of {seq}")
    return count


def _value(row: Row[Any]) -> DeadLetter:
    return DeadLetter(
        row=StreamRow(seq=row.seq, at=row.at, event=row.event, tlp=row.tlp, body=row.body),
        attempts=row.attempts,
        reason=row.reason,
        given_up_at=row.given_up_at,
        due=bool(row.due),
    )
