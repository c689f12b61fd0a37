"""What people make of an incident: who looks at it, what they find, what it is closed as.

Closing is evidence: its matches are judged flagged or benign by it, which the own record, the gate and the calibration
of what is believed here go by. It is told to nobody; what may be told next is offered, and asked for by a person.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, Final

from ioint_taxonomy import Catalogue
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.flows.believe import Believed, believe, put_in_force
from ioint_node.flows.parts import ExchangeParts
from ioint_node.reputation.view import indicator_id, label_of
from ioint_node.store import incidents
from ioint_node.store.incidents import Incident

# What may be said to others of what an incident was closed as: the opinion, its reason, and what it does.
_NEXT: Final[Mapping[str, tuple[tuple[str, str | None, str], ...]]] = {
    "true_positive": (("confirm", None, "report that we saw it too"),),
    "false_positive": (
        ("dispute", "false_positive", "tell the members that it accuses ordinary work"),
        ("allow", "false_positive", "let it have no effect here"),
    ),
    "expected_use": (("allow", "expected_use", "let it have no effect here"),),
    "benign": (("allow", "benign", "let it have no effect here"),),
}
Step = Callable[[AsyncConnection], Awaitable[Incident]]


async def assign(parts: ExchangeParts, name: str, assignee: str, *, by: str, now: int) -> dict[str, Any]:
    """Give an incident to somebody, or with "" back to nobody.

    Raises:
        NotFoundError: there is none.
        ConflictError: it is closed, or has as many notes as one may have.
    """
    return await _settle(
        parts, partial(incidents.assign, name=name, assignee=assignee, by=by, now=now), None, now
    )


async def note(parts: ExchangeParts, name: str, text: str, *, by: str, now: int) -> dict[str, Any]:
    """Say something of an incident.

    Raises:
        NotFoundError: there is none.
        ConflictError: it has as many notes as one may have.
    """
    return await _settle(parts, partial(incidents.note, name=name, text=text, by=by, now=now), None, now)


async def close(
    parts: ExchangeParts, name: str, closed_as: str, text: str, *, by: str, now: int
) -> dict[str, Any]:
    """Close an incident; its answer offers under `then` what may be said to others.

    Raises:
        NotFoundError: there is none.
        ConflictError: it is closed as something else.
    """
    step = partial(incidents.close, name=name, closed_as=closed_as, text=text, by=by, now=now)
    return await _settle(parts, step, closed_as, now)


async def reopen(parts: ExchangeParts, name: str, text: str, *, by: str, now: int) -> dict[str, Any]:
    """Take a closing back.

    Raises:
        NotFoundError: there is none.
        ConflictError: it has as many notes as one may have.
    """
    return await _settle(parts, partial(incidents.reopen, name=name, text=text, by=by, now=now), None, now)


async def show(parts: ExchangeParts, name: str) -> dict[str, Any]:
    """An incident with all that was done to it.

    Raises:
        NotFoundError: there is none.
    """
    async with parts.store.read() as connection:
        found = await incidents.find(connection, name)
        return await _whole(connection, parts.catalogue, found)


def row_of(found: Incident, catalogue: Catalogue) -> dict[str, Any]:
    """An incident as a row of the API."""
    row = asdict(found) | {"label": label_of(found.pattern, catalogue)}
    del row["seq"]
    return row


async def _settle(parts: ExchangeParts, step: Step, closed_as: str | None, now: int) -> dict[str, Any]:
    async def write(connection: AsyncConnection) -> tuple[dict[str, Any], Believed]:
        found = await step(connection)
        # How its matches are judged decides what is believed of the pattern here.
        believed = await believe(connection, parts, (found.pattern,), now)
        return await _whole(connection, parts.catalogue, found), believed

    whole, believed = await parts.store.write(write)
    put_in_force(parts, believed)
    return whole | {"then": _then(whole["pattern"], closed_as)} if closed_as else whole


async def _whole(connection: AsyncConnection, catalogue: Catalogue, found: Incident) -> dict[str, Any]:
    notes = await incidents.notes_of(connection, found.id)
    return row_of(found, catalogue) | {"notes": [asdict(one) for one in notes]}


def _then(pattern: str, closed_as: str) -> list[dict[str, Any]]:
    """What a person may ask for next."""
    return [
        {
            "does": does,
            "method": "POST",
            "path": f"/api/v1/patterns/{indicator_id(pattern)}/opinion",
            "body": {"kind": kind} | ({"reason": reason} if reason else {}),
        }
        for kind, reason, does in _NEXT.get(closed_as, ())
    ]
