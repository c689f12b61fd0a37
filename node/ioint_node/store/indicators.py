"""The view of a pattern or subject that the SOC and engines see: one row each, rewritten when belief changes."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store.schema import indicators
from ioint_node.store.times import from_text, to_text
from ioint_node.store.upsert import upserting

COLUMNS: Final = (
    "id", "kind", "label", "intents", "layer", "declared", "state", "score", "confidence", "tier", "effect",
    "reporters", "first_reporter", "first_seen", "last_seen", "valid_until", "trend", "seen_locally", "local_hits",
    "blast_radius", "disputed", "revoked", "tlp", "taxonomy_version", "why", "seq",
)  # fmt: skip
"""The keys of an indicator row, in the order of the contract."""
COPIED: Final = ("id", "seq", "kind", "state", "score", "confidence", "tier", "effect", "tlp", "last_seen")
"""The keys that are columns too, to filter by."""


async def upsert(
    connection: AsyncConnection, changed: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], now: int
) -> None:
    """Write indicator rows of the contract, each with the details of how it came about.

    `added_at` is made greater than that of any row before: a poller that asks for what came after its newest row misses
    nothing, even when many rows are written in one millisecond.
    """
    if not changed:
        return
    newest = (await connection.execute(select(func.max(indicators.c.added_at)))).scalar_one()
    first = now if newest is None else max(now, from_text(newest) + 1)
    rows = [
        {
            **{name: row[name] for name in COPIED},
            "added_at": to_text(first + place),
            "body": json.dumps(
                {"row": {name: row[name] for name in COLUMNS}, "details": details},
                separators=(",", ":"),
                ensure_ascii=False,
            ),
        }
        for place, (row, details) in enumerate(changed)
    ]
    statement = upserting(connection, indicators)
    replaced = {name: statement.excluded[name] for name in rows[0] if name != "id"}
    await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=replaced), rows)


async def get(connection: AsyncConnection, indicator: str) -> dict[str, Any] | None:
    """The indicator row of a pattern or subject, or None."""
    row = (await connection.execute(select(indicators).where(indicators.c.id == indicator))).one_or_none()
    return None if row is None else _row(row)


async def details_of(
    connection: AsyncConnection, ids: Collection[str]
) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Row and details of each indicator that exists, by id."""
    rows = await connection.execute(select(indicators).where(indicators.c.id.in_(list(ids))))
    return {row.id: (_row(row), json.loads(row.body)["details"]) for row in rows}


async def everything(connection: AsyncConnection) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Row and details of every indicator, to start from after a restart."""
    rows = await connection.execute(select(indicators).order_by(indicators.c.seq))
    return [(_row(row), json.loads(row.body)["details"]) for row in rows]


def _row(row: Row[Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row.body)["row"]
    return found
