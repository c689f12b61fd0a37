"""What happened here, in the order in which it did, for readers that go on where they stopped."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import JSON, cast, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store.clearance import visible
from ioint_node.store.incidents import Incident, Note
from ioint_node.store.rows import among
from ioint_node.store.schema import decisions, incident_notes, incidents, indicators

OUT_OF_SCOPE: Final = "out_of_scope"


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Something that was done to an incident, with the incident as it is now; `seq` grows."""

    seq: int
    note: Note
    incident: Incident


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision with the verdict `out_of_scope`; `body` is the DECISION as it was answered."""

    id: str
    session_id: str
    actor: str
    at: str
    body: Mapping[str, Any]


async def notes_after(connection: AsyncConnection, after: int, limit: int) -> tuple[Noted, ...]:
    """What was done to incidents after a note, the oldest first."""
    statement = (
        select(incident_notes, *[incidents.c[name].label(f"of_{name}") for name in _INCIDENT])
        .join(incidents, incidents.c.id == incident_notes.c.incident)
        .where(incident_notes.c.seq > after)
        .order_by(incident_notes.c.seq)
        .limit(limit)
    )
    return tuple(_noted(dict(row)) for row in (await connection.execute(statement)).mappings())


async def deviations_after(
    connection: AsyncConnection, after: tuple[str, str], before: str, limit: int
) -> tuple[Decided, ...]:
    """Decisions out of scope after one (its instant and id) and before an instant, the oldest first."""
    statement = (
        select(decisions)
        .where(
            decisions.c.at >= after[0],
            decisions.c.at < before,
            tuple_(decisions.c.at, decisions.c.id) > after,
            decisions.c.verdict == OUT_OF_SCOPE,
        )
        .order_by(decisions.c.at, decisions.c.id)
        .limit(limit)
    )
    return tuple(
        Decided(
            id=row.id,
            session_id=row.session_id,
            actor=row.actor,
            at=row.at,
            body=json.loads(row.body),
        )
        for row in await connection.execute(statement)
    )


async def rows_of(
    connection: AsyncConnection, ids: Collection[str], clearance: str
) -> dict[str, Mapping[str, Any] | None]:
    """The indicator rows of these by id; None for one that is there and may not be seen."""
    wanted, seen = indicators.c.id.in_(among(connection, ids)), indicators.c.tlp.in_(visible(clearance))
    hidden = await connection.execute(select(indicators.c.id).where(wanted, ~seen))
    found: dict[str, Mapping[str, Any] | None] = dict.fromkeys(hidden.scalars())
    rows = await connection.execute(select(indicators.c.id, indicators.c.body).where(wanted, seen))
    return found | {name: json.loads(body)["row"] for name, body in rows}


async def intents_seen(
    connection: AsyncConnection, states: Collection[str], clearance: str
) -> tuple[tuple[tuple[str, ...], int, int], ...]:
    """Each combination of intents of indicators in these states: how many have it, and the highest score."""
    if connection.dialect.name == "postgresql":
        named = cast(indicators.c.body, JSON)["row"]["intents"].as_string()
    else:
        named = func.json_extract(indicators.c.body, "$.row.intents")
    # A select of its own: PostgreSQL takes the expression in a GROUP BY for another one.
    seen = (
        select(named.label("intents"), indicators.c.score)
        .where(indicators.c.state.in_(states), indicators.c.tlp.in_(visible(clearance)))
        .subquery()
    )
    statement = select(seen.c.intents, func.count(), func.max(seen.c.score)).group_by(seen.c.intents)
    rows = await connection.execute(statement)
    return tuple((tuple(json.loads(text)), int(count), int(score)) for text, count, score in rows)


_INCIDENT: Final = (
    "seq", "id", "pattern", "session_id", "actor", "found", "tier", "state", "warning", "assignee", "closed_as",
    "sessions", "opened_at", "updated_at",
)  # fmt: skip


def _noted(row: Mapping[str, Any]) -> Noted:
    held = {name: row[f"of_{name}"] for name in _INCIDENT}
    held |= {name: held[name] or None for name in ("session_id", "actor")}
    return Noted(
        seq=row["seq"],
        note=Note(what=row["what"], text=row["text"], by=row["by"], at=row["at"]),
        incident=Incident(**held),
    )
