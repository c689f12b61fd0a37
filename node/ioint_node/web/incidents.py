"""The doors of incidents: own sessions that contain what others warn of, and what people make of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from aiohttp import web
from msgspec import Meta
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.flows import incidents as flow
from ioint_node.reputation.view import indicator_id
from ioint_node.store import findings, incidents
from ioint_node.store.incidents import FOUND, STATES, Wanted
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.described import PAGED, Parameter, answers, choice, conflict, page_of
from ioint_node.web.problems import bad_field
from ioint_node.web.requests import (
    Body,
    ShortText,
    cursor_of,
    cursor_text,
    integer,
    limit_of,
    one_of,
    parameters,
    read_json,
)
from ioint_node.web.rows import HIDDEN
from ioint_node.web.shapes import IncidentRow, IncidentView
from ioint_node.web.site import Route, Site

_INCIDENTS = "/api/v1/incidents"
_UNSETTLED = "unsettled"  # open or assigned


class IncidentBody(Body, frozen=True):
    """`POST /api/v1/incidents/{id}`: assign it to somebody (`""`: to nobody), note, close as something, reopen."""

    do: Literal["assign", "note", "close", "reopen"]
    assignee: Annotated[str, Meta(max_length=64)] | None = None
    closed_as: Literal["true_positive", "false_positive", "expected_use", "benign", "duplicate"] | None = None
    note: ShortText = ""


async def list_incidents(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Incidents, the newest first."""
    given = parameters(
        request, "state", "pattern", "actor", "session", "assignee", "found", "limit", "cursor"
    )
    state = one_of(given, "state", (*STATES, _UNSETTLED))
    wanted = Wanted(
        state=None if state == _UNSETTLED else state,
        unsettled=state == _UNSETTLED,
        pattern=given.get("pattern"),
        actor=given.get("actor"),
        session=given.get("session"),
        assignee=given.get("assignee"),
        found=one_of(given, "found", FOUND),
    )
    cursor, limit = cursor_of(given), limit_of(given, site.parts.limits)
    below = None if cursor is None else integer(cursor[0], "cursor")
    catalogue = site.parts.exchange.catalogue
    async with site.parts.store.read() as connection:
        # Who may not see a pattern does not learn by asking for it where it was met.
        asks = not wanted.pattern or not await _hidden(connection, [wanted.pattern], caller)
        found, more = await incidents.page(connection, wanted, limit, below) if asks else ((), False)
        unsettled = await incidents.waiting(connection)
        items = await _shown(connection, [flow.row_of(one, catalogue) for one in found], caller)
    return json_answer(
        {
            "items": items,
            "next": cursor_text(found[-1].seq) if more else None,
            _UNSETTLED: unsettled,
        }
    )


async def show_incident(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """One incident, with all that was done to it."""
    parameters(request)
    return await _one(site, await flow.show(site.parts.exchange, request.match_info["incident"]), caller)


async def act_on_incident(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Assign, note, close or reopen; the audit names the token."""
    body = await read_json(request, IncidentBody, site.parts.limits)
    parts, name = site.parts.exchange, request.match_info["incident"]
    by, now = f"token:{caller.id}", site.parts.now()
    match body.do:
        case "assign":
            if body.assignee is None:
                raise bad_field("assignee", 'name who looks at it, or "" for nobody')
            made = await flow.assign(parts, name, body.assignee, by=by, now=now)
        case "note":
            if not body.note:
                raise bad_field("note", "nothing is said")
            made = await flow.note(parts, name, body.note, by=by, now=now)
        case "close":
            if body.closed_as is None:
                raise bad_field("closed_as", f"say what it was: {', '.join(incidents.CLOSED_AS)}")
            made = await flow.close(parts, name, body.closed_as, body.note, by=by, now=now)
        case "reopen":
            made = await flow.reopen(parts, name, body.note, by=by, now=now)
    return await _one(site, made, caller)


async def _one(site: Site, whole: dict[str, Any], caller: Caller) -> web.Response:
    async with site.parts.store.read() as connection:
        (shown,) = await _shown(connection, [whole], caller)
    return json_answer(shown)


async def _shown(
    connection: AsyncConnection, rows: Sequence[dict[str, Any]], caller: Caller
) -> list[dict[str, Any]]:
    """Incidents as a caller may see them: a pattern above its clearance has no name, and nothing is offered of it."""
    hidden = await _hidden(connection, [row["pattern"] for row in rows], caller)
    without = {"pattern": "", "label": HIDDEN}
    return [
        {name: value for name, value in (row | without).items() if name != "then"}
        if row["pattern"] in hidden
        else row
        for row in rows
    ]


async def _hidden(connection: AsyncConnection, patterns: Sequence[str], caller: Caller) -> frozenset[str]:
    """Those of some patterns that a caller may not see."""
    rows = await findings.rows_of(connection, {indicator_id(one) for one in patterns}, caller.tlp)
    return frozenset(one for one in patterns if rows.get(indicator_id(one), {}) is None)


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    return (
        Route(
            method="GET",
            path=_INCIDENTS,
            may="review",
            summary="Own sessions that contain what others warn of",
            handler=list_incidents,
            query=(
                choice("state", (*STATES, _UNSETTLED)),
                *(Parameter(name=name) for name in ("pattern", "actor", "session", "assignee")),
                choice("found", tuple(FOUND)),
                *PAGED,
            ),
            answers=page_of(IncidentRow, unsettled={"type": "integer"}),
        ),
        Route(
            method="GET",
            path=f"{_INCIDENTS}/{{incident}}",
            may="review",
            summary="One incident with all that was done to it",
            handler=show_incident,
            answers=answers(IncidentView),
        ),
        Route(
            method="POST",
            path=f"{_INCIDENTS}/{{incident}}",
            may="opine",
            summary="Assign, note, close or reopen an incident",
            handler=act_on_incident,
            body=IncidentBody,
            answers=answers(IncidentView)
            | conflict("It is closed as something else, or not in a state for this."),
        ),
    )
