"""The view of a pattern or subject that the SOC and engines see: one row each, rewritten when what is believed changes."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import RequestError
from ioint_node.store.clearance import visible
from ioint_node.store.schema import indicators
from ioint_node.store.times import from_text, to_text
from ioint_node.store.upsert import upserting

COLUMNS: Final = (
    "id", "kind", "label", "intents", "layer", "declared", "state", "score", "confidence", "tier", "effect",
    "reporters", "first_reporter", "first_seen", "last_seen", "valid_until", "trend", "seen_locally", "local_hits",
    "blast_radius", "disputed", "revoked", "tlp", "taxonomy_version", "why", "seq",
)  # fmt: skip
"""The keys of an indicator row, in the order of the contract."""
EXACT: Final = ("kind", "state", "tier", "tlp")
LEAST: Final = {"min_score": "score", "min_confidence": "confidence", "min_effect": "effect"}
PAGE_ROWS: Final = 1_000


async def upsert(connection: AsyncConnection, row: Mapping[str, Any], details: Mapping[str, Any], now: int) -> None:
    """Write an indicator row of the contract, with what `details` remembers of how it came about.

    `added_at` is made greater than that of any other row: a poller that asks for what came after its newest row
    misses nothing, even when two rows are written in one millisecond.
    """
    newest = (await connection.execute(select(func.max(indicators.c.added_at)))).scalar_one()
    added_at = now if newest is None else max(now, from_text(newest) + 1)
    values = {
        "id": row["id"],
        "seq": row["seq"],
        "kind": row["kind"],
        "state": row["state"],
        "score": row["score"],
        "confidence": row["confidence"],
        "tier": row["tier"],
        "effect": row["effect"],
        "tlp": row["tlp"],
        "last_seen": row["last_seen"],
        "added_at": to_text(added_at),
        "body": json.dumps(
            {"row": {name: row[name] for name in COLUMNS}, "details": details}, separators=(",", ":"), ensure_ascii=False
        ),
    }
    statement = upserting(connection, indicators).values(values)
    changed = {name: statement.excluded[name] for name in values if name != "id"}
    await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changed))


async def get(connection: AsyncConnection, indicator: str, clearance: str | None = None) -> dict[str, Any] | None:
    """The indicator row of a pattern or subject, or None; with a clearance, only what it may see."""
    statement = select(indicators).where(indicators.c.id == indicator)
    if clearance is not None:
        statement = statement.where(indicators.c.tlp.in_(visible(clearance)))
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _row(row)


async def details_of(connection: AsyncConnection, ids: Collection[str]) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Row and details of each indicator that exists, by id."""
    rows = await connection.execute(select(indicators).where(indicators.c.id.in_(list(ids))))
    return {row.id: (_row(row), json.loads(row.body)["details"]) for row in rows}


async def everything(connection: AsyncConnection) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Row and details of every indicator, to start from after a restart."""
    rows = await connection.execute(select(indicators).order_by(indicators.c.seq))
    return [(_row(row), json.loads(row.body)["details"]) for row in rows]


async def query(
    connection: AsyncConnection,
    filters: Mapping[str, str],
    clearance: str,
    limit: int,
    cursor: str | None = None,
) -> dict[str, Any]:
    """A page of indicator rows, newest change first: `{"items", "next"}`.

    Filters: kind, state, tier, tlp (exact); min_score, min_confidence, min_effect.

    Raises:
        RequestError: an unknown filter, a value that is none, a limit out of range, or a foreign cursor.
    """
    if not 1 <= limit <= PAGE_ROWS:
        raise RequestError(f"limit: {limit}, must be 1 to {PAGE_ROWS}")
    statement = (
        select(indicators)
        .where(indicators.c.tlp.in_(visible(clearance)), *_wanted(filters))
        .order_by(indicators.c.seq.desc(), indicators.c.id)
        .limit(limit + 1)
    )
    if cursor is not None:
        if not cursor.isdecimal():
            raise RequestError(f"cursor: {cursor[:32]!r} is none of this list")
        statement = statement.where(indicators.c.seq < int(cursor))
    rows = (await connection.execute(statement)).all()
    page = rows[:limit]
    return {"items": [_row(row) for row in page], "next": str(page[-1].seq) if len(rows) > limit else None}


async def added_since(
    connection: AsyncConnection, after: str, clearance: str, limit: int
) -> list[tuple[str, dict[str, Any]]]:
    """`added_at` and row of what was written after an instant (RFC 3339 text), oldest first."""
    rows = await connection.execute(
        select(indicators)
        .where(indicators.c.tlp.in_(visible(clearance)), indicators.c.added_at > after)
        .order_by(indicators.c.added_at)
        .limit(limit)
    )
    return [(row.added_at, _row(row)) for row in rows]


def _wanted(filters: Mapping[str, str]) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    for name, value in filters.items():
        if name in EXACT:
            wanted.append(indicators.c[name] == value)
        elif name in LEAST:
            wanted.append(indicators.c[LEAST[name]] >= _number(name, value))
        else:
            raise RequestError(f"{name[:32]}: not a filter; there are {', '.join((*EXACT, *LEAST))}")
    return wanted


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise RequestError(f"{name}: {value[:32]!r} is not a number") from None


def _row(row: Row[Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row.body)["row"]
    return found
