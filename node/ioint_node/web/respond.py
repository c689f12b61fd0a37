"""Halting an actor and letting it go on: a person orders it, an orchestrator reports that it was done."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from msgspec import Meta

from ioint_node.errors import NotFoundError
from ioint_node.flows import respond
from ioint_node.flows.respond import DETAIL_CHARS, REASON_CHARS
from ioint_node.store import responses
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.auth import check_right
from ioint_node.web.described import answers, conflict
from ioint_node.web.problems import bad_field
from ioint_node.web.requests import Body, parameters, read_json
from ioint_node.web.shapes import StandingOfActor
from ioint_node.web.site import Route, Site

# What ordering and reporting ask for beside `query`, which agents do not have: they may do neither.
_ORDER = "opine"
_REPORT = "act"


class RespondBody(Body, frozen=True):
    """`POST /api/v1/agents/{id}/respond`: an order (`action`, `reason`) or a report (`response`, `done`, `detail`)."""

    action: Literal["interrupt", "suspend", "relaunch", "kill", "release"] | None = None
    reason: Annotated[str, Meta(max_length=REASON_CHARS)] = ""
    response: (
        Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$", description="32 lower-case hex digits")] | None
    ) = None
    done: bool | None = None
    detail: Annotated[str, Meta(max_length=DETAIL_CHARS)] = ""


async def respond_to(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Order something about an actor, or report what became of an order."""
    body = await read_json(request, RespondBody, site.parts.limits)
    actor, by, now = request.match_info["agent"], f"token:{caller.id}", site.parts.now()
    if (body.action is None) == (body.response is None):
        raise bad_field("action", "give an action to order it, or a response to report on it, and not both")
    if body.action is not None:
        check_right(caller, _ORDER, "order")
        if body.done is not None or body.detail:
            raise bad_field("done" if body.done is not None else "detail", "belongs to a report")
        made = await respond.respond(site.responding, actor, body.action, reason=body.reason, by=by, now=now)
        return json_answer(made, 201)
    check_right(caller, _REPORT, "report")
    if body.done is None:
        raise bad_field("done", "true or false is missing from the report")
    if body.reason:
        raise bad_field("reason", "belongs to an order")
    told = await respond.report(
        site.responding, actor, body.response or "", done=body.done, detail=body.detail, by=by, now=now
    )
    return json_answer(told)


async def show_responses(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Whether an actor is halted and why, and the newest orders with their reports."""
    parameters(request)
    actor = request.match_info["agent"]
    async with site.parts.store.read() as connection:
        if not await responses.is_known(connection, actor):
            raise NotFoundError(f"no agent {actor!r}")
        found = await respond.standing(connection, actor, site.parts.now())
    return json_answer(found)


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    # `query` is what engines, analysts and administrators have: who may order is decided behind the door.
    return (
        Route(
            method="POST",
            path="/api/v1/agents/{agent}/respond",
            may="query",
            summary="Halt an actor, let it go on, or report that it was done",
            handler=respond_to,
            body=RespondBody,
            answers=answers({"type": "object"}, "The order that was reported on.")
            | answers({"type": "object"}, "The order, and how the actor stands.", status=201)
            | conflict("The actor is not in a state for this, or the order is done."),
        ),
        Route(
            method="GET",
            path="/api/v1/agents/{agent}/responses",
            may="query",
            summary="How an actor stands, and what was asked about it",
            handler=show_responses,
            answers=answers(StandingOfActor),
        ),
    )
