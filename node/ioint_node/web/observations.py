"""The door of detectors outside: what they see of an actor, and what of that holds."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from aiohttp import web
from msgspec import Meta

from ioint_node.flows.observations import Outside, observe_outside
from ioint_node.store.observations import list_observations
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.auth import check_actor
from ioint_node.web.described import PAGED, Parameter, answers, conflict, fields, missing, page_of
from ioint_node.web.requests import (
    ActorId,
    Body,
    SessionId,
    cursor_of,
    cursor_text,
    instant,
    limit_of,
    parameters,
    read_json,
)
from ioint_node.web.shapes import ObservationRow
from ioint_node.web.site import Route, Site

_Named = Annotated[str, Meta(min_length=1, max_length=128)]


class ObservationBody(Body, frozen=True):
    """`POST /api/v1/observations`; `t` and `expires` are RFC 3339 instants."""

    source: _Named
    kind: _Named
    actor: ActorId
    observation_id: SessionId | None = None
    session_id: SessionId | None = None
    value: float | None = None
    detail: dict[str, Any] | None = None
    t: str | None = None
    expires: str | None = None


async def post_observation(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Take what a detector sees of an actor; an agent may speak of itself, and only against itself."""
    body = await read_json(request, ObservationBody, site.parts.limits)
    check_actor(caller, body.actor)
    said = Outside(
        id=body.observation_id or secrets.token_hex(16),
        source=body.source,
        kind=body.kind,
        actor=body.actor,
        by=f"token:{caller.id}",
        own=caller.role == "agent",
        session_id=body.session_id,
        value=body.value,
        detail=body.detail or {},
        at=instant(body.t, "t"),
        expires=instant(body.expires, "expires"),
    )
    return json_answer(await observe_outside(site.parts.assess, said, site.parts.now()), 202)


async def show_observations(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """What holds now, the newest first."""
    given = parameters(request, "actor", "limit", "cursor")
    cursor = cursor_of(given, 2)
    async with site.parts.store.read() as connection:
        items, following = await list_observations(
            connection,
            limit_of(given, site.parts.limits),
            None if cursor is None else (cursor[0], cursor[1]),
            actor=given.get("actor"),
            now=site.parts.now(),
        )
    return json_answer({"items": items, "next": None if following is None else cursor_text(*following)})


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    return (
        Route(
            method="POST",
            path="/api/v1/observations",
            may="act",
            summary="Tell what a detector sees",
            handler=post_observation,
            body=ObservationBody,
            answers=answers(
                fields(observation_id=str, actor=str, kind=str, at=str, expires=str, counted=bool),
                "What of it holds, and until when.",
                status=202,
            )
            | missing("No such actor, or no such session of it.")
            | conflict("Another observation came under this id."),
        ),
        Route(
            method="GET",
            path="/api/v1/observations",
            may="query",
            summary="What detectors see and still holds",
            handler=show_observations,
            query=(Parameter(name="actor"), *PAGED),
            answers=page_of(ObservationRow),
        ),
    )
