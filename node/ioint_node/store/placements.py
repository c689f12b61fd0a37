"""In which event of the MISP feed each indicator stands.

What consumers of a MISP feed fetched they keep: they take in changes of an event, and do not see what is no longer in
it. So an indicator stays in the event that it was first put into, whatever becomes of it; an event is what was first
heard of here in one month, of one layer, and of so many indicators at most. When a label rises above what a reader may
see, the reader who knew the indicator is told that it is gone, with nothing else of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store.clearance import LABELS, visible
from ioint_node.store.rows import among
from ioint_node.store.schema import indicators, misp_placements
from ioint_node.store.times import to_text

EVENT_INDICATORS: Final = 250
UNKNOWN_LAYER: Final = "unclassified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An indicator as an event shows it; `novel` is the pattern itself where the catalogue does not have it."""

    id: str
    tlp: str
    changed_at: str
    row: Mapping[str, Any]
    novel: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """An indicator that readers of this clearance knew, and may see no more."""

    id: str
    changed_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """An event that a reader may see: the time of its last change, and the most closed label in it."""

    event: str
    changed_at: str
    tlp: str


async def changed_since(
    connection: AsyncConnection, after: str, limit: int
) -> tuple[tuple[str, str, str], ...]:
    """Id, label and instant of the indicators that changed after an instant, the oldest change first."""
    statement = (
        select(indicators.c.id, indicators.c.tlp, indicators.c.added_at)
        .where(indicators.c.added_at > after)
        .order_by(indicators.c.added_at)
        .limit(limit)
    )
    return tuple((name, tlp, at) for name, tlp, at in await connection.execute(statement))


async def unsettled(
    connection: AsyncConnection, labels: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Of these indicators, given with their labels: those without a place, and those whose label was another before."""
    known = await connection.execute(
        select(misp_placements.c.indicator, misp_placements.c.label).where(
            misp_placements.c.indicator.in_(among(connection, labels))
        )
    )
    noted = {str(name): str(label) for name, label in known}
    fresh = {name: label for name, label in labels.items() if name not in noted}
    moved = {name: label for name, label in labels.items() if name in noted and noted[name] != label}
    return fresh, moved


async def place(connection: AsyncConnection, fresh: Mapping[str, str], now: int) -> None:
    """Put indicators, given with their labels, into events of this month; one that has its place keeps it."""
    fresh, _ = await unsettled(connection, fresh)
    if not fresh:
        return
    at = to_text(now)
    bodies = await connection.execute(
        select(indicators.c.id, indicators.c.body)
        .where(indicators.c.id.in_(among(connection, fresh)))
        .order_by(indicators.c.added_at)
    )
    layers = {name: json.loads(body)["row"].get("layer") or UNKNOWN_LAYER for name, body in bodies}
    filled: dict[str, int] = {}
    rows = []
    for name, layer in layers.items():
        kind = f"{at[:7]}/{layer}"
        if kind not in filled:
            filled[kind] = await _count(connection, kind)
        event = f"{kind}/{filled[kind] // EVENT_INDICATORS + 1}"
        filled[kind] += 1
        label = fresh[name]
        rows.append({"indicator": name, "event": event, "widest": label, "label": label, "moved_at": at})
    await connection.execute(insert(misp_placements), rows)


async def relabel(connection: AsyncConnection, moved: Mapping[str, str], now: int) -> None:
    """Note the labels that indicators have now."""
    if not moved:
        return
    known = await connection.execute(
        select(misp_placements.c.indicator, misp_placements.c.widest).where(
            misp_placements.c.indicator.in_(among(connection, moved))
        )
    )
    at = to_text(now)
    rows = [
        {
            "known": name,
            "now_label": moved[name],
            "now_widest": min(widest, moved[name], key=LABELS.index),
            "at": at,
        }
        for name, widest in known
    ]
    if rows:
        statement = (
            update(misp_placements)
            .where(misp_placements.c.indicator == bindparam("known"))
            .values(label=bindparam("now_label"), widest=bindparam("now_widest"), moved_at=bindparam("at"))
        )
        await connection.execute(statement, rows)


async def forget(connection: AsyncConnection) -> None:
    """Drop the places of indicators that are no more."""
    there = select(indicators.c.id)
    await connection.execute(delete(misp_placements).where(misp_placements.c.indicator.not_in(there)))


async def mark(connection: AsyncConnection, clearance: str) -> tuple[str, str]:
    """When anything last changed that a reader may see, and when a label did: while both stay, so does the feed."""
    labels = visible(clearance)
    newest = select(func.max(indicators.c.added_at)).where(indicators.c.tlp.in_(labels))
    moved = select(func.max(misp_placements.c.moved_at)).where(misp_placements.c.widest.in_(labels))
    changed_at = (await connection.execute(newest)).scalar_one()
    moved_at = (await connection.execute(moved)).scalar_one()
    return changed_at or "", moved_at or ""


async def events(
    connection: AsyncConnection, clearance: str, only: str | None = None
) -> tuple[EventRow, ...]:
    """The events in which a reader may see, or could see, anything, in the order of their names; or one of them."""
    labels = visible(clearance)
    placed = misp_placements.join(indicators, indicators.c.id == misp_placements.c.indicator)
    seen = (
        select(misp_placements.c.event, indicators.c.tlp, func.max(indicators.c.added_at))
        .select_from(placed)
        .where(indicators.c.tlp.in_(labels))
        .group_by(misp_placements.c.event, indicators.c.tlp)
    )
    gone = (
        select(misp_placements.c.event, func.max(misp_placements.c.moved_at))
        .select_from(placed)
        .where(misp_placements.c.widest.in_(labels), indicators.c.tlp.not_in(labels))
        .group_by(misp_placements.c.event)
    )
    if only is not None:
        seen, gone = (each.where(misp_placements.c.event == only) for each in (seen, gone))
    found: dict[str, tuple[str, str]] = {}
    told = [(event, tlp, at) for event, tlp, at in await connection.execute(seen)]
    told += [(event, LABELS[0], at) for event, at in await connection.execute(gone)]
    for event, tlp, at in told:
        newest, closed = found.get(event, ("", LABELS[0]))
        found[event] = max(newest, at), max(closed, tlp, key=LABELS.index)
    return tuple(EventRow(event=event, changed_at=at, tlp=tlp) for event, (at, tlp) in sorted(found.items()))


async def shown_in(
    connection: AsyncConnection, event: str, clearance: str
) -> tuple[Sequence[Placed], Sequence[Gone]]:
    """What a reader may see of an event, and what was to be seen of it before; in the order of ids."""
    labels = visible(clearance)
    placed = misp_placements.join(indicators, indicators.c.id == misp_placements.c.indicator)
    seen = (
        select(indicators.c.id, indicators.c.tlp, indicators.c.added_at, indicators.c.body)
        .select_from(placed)
        .where(misp_placements.c.event == event, indicators.c.tlp.in_(labels))
        .order_by(indicators.c.id)
    )
    gone = (
        select(indicators.c.id, misp_placements.c.moved_at)
        .select_from(placed)
        .where(
            misp_placements.c.event == event,
            misp_placements.c.widest.in_(labels),
            indicators.c.tlp.not_in(labels),
        )
        .order_by(indicators.c.id)
    )
    shown = [_placed(*row) for row in await connection.execute(seen)]
    return shown, [Gone(id=name, changed_at=at) for name, at in await connection.execute(gone)]


async def _count(connection: AsyncConnection, kind: str) -> int:
    counted = select(func.count()).where(misp_placements.c.event.startswith(f"{kind}/", autoescape=True))
    return int((await connection.execute(counted)).scalar_one())


def _placed(name: str, tlp: str, changed_at: str, text: str) -> Placed:
    body = json.loads(text)
    return Placed(id=name, tlp=tlp, changed_at=changed_at, row=body["row"], novel=body["details"]["novel"])
