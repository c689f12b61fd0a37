"""What engines must hear: rows written in the transaction that made them true, read in the order of `seq`.

`seq` is strictly increasing and never reused. The newest row is never removed, so the high-water mark and the
edge of retention can both be read from the table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store.clearance import visible
from ioint_node.store.schema import stream
from ioint_node.store.times import to_text

EVENTS = frozenset({"reputation", "trust", "response", "withdrawal", "reset"})


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


async def append_all(connection: AsyncConnection, rows: Sequence[Mapping[str, str]]) -> list[int]:
    """Write several events, each made by `row_of`, and return the `seq` of each in their order."""
    if not rows:
        return []
    statement = insert(stream).returning(stream.c.seq, sort_by_parameter_order=True)
    return list((await connection.execute(statement, list(rows))).scalars())


def row_of(event: str, body: Mapping[str, Any], tlp: str, now: int) -> dict[str, str]:
    """The row of one event, without its `seq`; `at` and `event` are added to the body.

    Raises:
        ValueError: an event or a label that the contract does not know.
    """
    if event not in EVENTS:
        raise ValueError(f"{event!r} is no stream event: {', '.join(sorted(EVENTS))}")
    visible(tlp)
    at = to_text(now)
    text = json.dumps({"at": at, "event": event, **body}, separators=(",", ":"), ensure_ascii=False)
    return {"at": at, "event": event, "tlp": tlp, "body": text}


async def since(
    connection: AsyncConnection, seq: int, limit: int, clearance: str | None = None
) -> tuple[StreamRow, ...]:
    """Up to `limit` rows after `seq`, in order; all labels when no clearance is given."""
    statement = select(stream).where(stream.c.seq > seq).order_by(stream.c.seq).limit(limit)
    if clearance is not None:
        statement = statement.where(stream.c.tlp.in_(visible(clearance)))
    rows = await connection.execute(statement)
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
