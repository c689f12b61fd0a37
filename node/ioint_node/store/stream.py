"""What engines must hear: rows written in the transaction that made them true, read in the order of `seq`.

`seq` is strictly increasing and never reused. The newest row is never removed, so the high-water mark and the
edge of retention can both be read from the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store.clearance import visible
from ioint_node.store.rows import insert_rows
from ioint_node.store.schema import stream
from ioint_node.store.times import to_text

EVENTS = frozenset({"reputation", "trust", "response", "withdrawal", "reset"})
# Made once: the hub asks after every commit.
_SINCE = (
    select(stream).where(stream.c.seq > bindparam("after")).order_by(stream.c.seq).limit(bindparam("most"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRow:
    """One thing that subscribers hear; `body` is the JSON object of `data:` without its `seq`."""

    seq: int
    at: str
    event: str
    tlp: str
    body: str


async def append(connection: AsyncConnection, event: str, body: Mapping[str, Any], tlp: str, now: int) -> int:
    """Write one event and return its `seq`; `at` and `event` are added to the body.

    Raises:
        ValueError: an event or a label that the contract does not know.
    """
    statement = insert(stream).values(row_of(event, body, tlp, now)).returning(stream.c.seq)
    return int((await connection.execute(statement)).scalar_one())


async def append_all(connection: AsyncConnection, rows: Sequence[Mapping[str, str]]) -> Sequence[int]:
    """Write several events, each made by `row_of`, and return the `seq` of each in their order."""
    if not rows:
        return ()
    numbers = await _reserve(connection, len(rows))
    await insert_rows(
        connection,
        stream,
        ("seq", "at", "event", "tlp", "body"),
        [
            (number, row["at"], row["event"], row["tlp"], row["body"])
            for number, row in zip(numbers, rows, strict=True)
        ],
    )
    return numbers


async def _reserve(connection: AsyncConnection, count: int) -> Sequence[int]:
    """The next so many numbers, for rows of this transaction."""
    if connection.dialect.name == "postgresql":
        taken = text(
            "select nextval(pg_get_serial_sequence('stream', 'seq')) from generate_series(1, :count)"
        )
        return tuple((await connection.execute(taken, {"count": count})).scalars())
    # Nobody else writes meanwhile, and the newest row is never removed.
    first = await high_water(connection) + 1
    return range(first, first + count)


def row_of(event: str, body: Mapping[str, Any], tlp: str, now: int) -> dict[str, str]:
    """The row of one event, without its `seq`; `at` and `event` are added to the body.

    Raises:
        ValueError: an event or a label that the contract does not know.
    """
    if event not in EVENTS:
        raise ValueError(f"{event!r} is no stream event: {', '.join(sorted(EVENTS))}")
    visible(tlp)
    at = to_text(now)
    written = msgspec.json.encode({"at": at, "event": event, **body}).decode()
    return {"at": at, "event": event, "tlp": tlp, "body": written}


async def since(
    connection: AsyncConnection, seq: int, limit: int, clearance: str | None = None
) -> tuple[StreamRow, ...]:
    """Up to `limit` rows after `seq`, in order; all labels when no clearance is given."""
    if clearance is None:
        rows = await connection.execute(_SINCE, {"after": seq, "most": limit})
    else:
        seen = _SINCE.where(stream.c.tlp.in_(visible(clearance)))
        rows = await connection.execute(seen, {"after": seq, "most": limit})
    return tuple(StreamRow(seq=r.seq, at=r.at, event=r.event, tlp=r.tlp, body=r.body) for r in rows)


async def high_water(connection: AsyncConnection) -> int:
    """The `seq` of the newest row, 0 when nothing was ever written."""
    return int((await connection.execute(select(func.max(stream.c.seq)))).scalar_one() or 0)


async def oldest(connection: AsyncConnection) -> int:
    """The `seq` of the oldest row that is still kept, 1 when nothing was ever written."""
    return int((await connection.execute(select(func.min(stream.c.seq)))).scalar_one() or 1)


async def trim(connection: AsyncConnection, before: int) -> int:
    """Remove rows older than an instant, but never the newest, and return how many went."""
    newest = await high_water(connection)
    done = await connection.execute(
        delete(stream).where(stream.c.at < to_text(before), stream.c.seq < newest)
    )
    return done.rowcount
