"""What people bring to an actor from outside: a first opinion, a first baseline, a bound on its level."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from msgspec import Meta, Struct

from ioint_node.flows.surrounding import (
    Newcomer,
    RunStep,
    decide_bound,
    import_actors,
    load_baseline,
)
from ioint_node.scoring.bounds import check_bound
from ioint_node.store.bounds import bounds_by_person
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.described import Answers, answers, conflict, fields
from ioint_node.web.problems import bad_field
from ioint_node.web.requests import ActorId, Body, Name, parameters, read_json
from ioint_node.web.site import Handler, Route, Site


class RunStepBody(Body, frozen=True):
    """One in-scope action of a run: abstract, without arguments and text."""

    tool: Name
    verb: Name
    resource: Name
    gap_ms: Annotated[int, Meta(ge=0, le=1 << 53)] | None = None
    tokens: Annotated[float, Meta(ge=0, le=1e12)] | None = None


class BaselineBody(Body, frozen=True):
    """`POST /api/v1/agents/{id}/baseline`: runs of in-scope steps; `replace` begins anew."""

    runs: list[list[RunStepBody]]
    replace: bool = False


class NewcomerBody(Body, frozen=True):
    """One actor as another system knows it."""

    id: ActorId
    kind: Literal["agent", "user", "workload"]
    role: Name
    tenure_days: Annotated[float, Meta(ge=0, le=36_500)]
    attestation: Name
    owner: ActorId | None = None


class ImportBody(Body, frozen=True):
    """`POST /api/v1/agents/import`."""

    actors: list[NewcomerBody]


class BoundBody(Body, frozen=True):
    """`POST /api/v1/agents/{id}/override`: one of `at_most` and `at_least`, why, and for how many days."""

    reason: Name
    at_most: Name | None = None
    at_least: Name | None = None
    days: int = 7


async def post_baseline(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Teach an actor's baseline with runs from before it went to work."""
    body = await read_json(request, BaselineBody, site.parts.limits)
    runs = [
        [
            RunStep(
                tool=step.tool,
                verb=step.verb,
                resource=step.resource,
                gap_ms=step.gap_ms,
                tokens=step.tokens,
            )
            for step in run
        ]
        for run in body.runs
    ]
    return json_answer(
        await load_baseline(
            site.parts.assess, request.match_info["agent"], runs, site.parts.now(), replace=body.replace
        )
    )


async def post_import(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Give actors a first opinion from another system; all of a request, or none."""
    body = await read_json(request, ImportBody, site.parts.limits)
    rows = [
        Newcomer(
            id=one.id,
            kind=one.kind,
            role=one.role,
            tenure_days=one.tenure_days,
            attestation=one.attestation,
            owner=one.owner or "",
        )
        for one in body.actors
    ]
    return json_answer(await import_actors(site.parts.assess, rows, site.parts.now()))


async def put_override(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Let an actor count as no more, or no less, than a level for some days."""
    body = await read_json(request, BoundBody, site.parts.limits)
    given = {name: level for name in ("at_most", "at_least") if (level := getattr(body, name)) is not None}
    if len(given) != 1:
        raise bad_field("at_most", "give either at_most or at_least")
    ((way, level),) = given.items()
    now, by = site.parts.now(), f"token:{caller.id}"
    bound = check_bound(way=way, level=level, reason=body.reason, by=by, days=body.days, now=now)
    made = await decide_bound(site.parts.assess, request.match_info["agent"], bound, now)
    async with site.parts.store.read() as connection:
        counted = await bounds_by_person(connection, now)
    return json_answer({**made, "by_person": counted}, 201)


async def drop_override(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """End what a person decided of an actor's level."""
    parameters(request)
    return json_answer(
        await decide_bound(site.parts.assess, request.match_info["agent"], None, site.parts.now())
    )


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    doors = (
        ("POST", "/api/v1/agents/import", "manage", "A first opinion from another system", post_import),
        ("POST", "/api/v1/agents/{agent}/baseline", "manage", "A first baseline from runs", post_baseline),
        ("POST", "/api/v1/agents/{agent}/override", "decide", "Bound an actor's level", put_override),
        ("DELETE", "/api/v1/agents/{agent}/override", "decide", "End the bound", drop_override),
    )
    bodies: dict[Handler, type[Struct]] = {
        post_baseline: BaselineBody,
        post_import: ImportBody,
        put_override: BoundBody,
    }
    said: dict[Handler, Answers] = {
        post_import: answers({"type": "object"}, "What was taken, actor by actor."),
        post_baseline: answers(fields(actor=str, runs=int, steps=int, baseline={"type": "object"})),
        put_override: answers(
            fields(actor=str, changed=bool, override={"type": "object"}, by_person={"type": "object"}),
            status=201,
        ),
        drop_override: answers(fields(actor=str, changed=bool)),
    }
    full = conflict("The actor is of another kind, or too much is held of it.")
    return tuple(
        Route(
            method=method,
            path=path,
            may=may,
            summary=summary,
            handler=handler,
            body=bodies.get(handler),
            answers={**said[handler], **full},
        )
        for method, path, may, summary, handler in doors
    )
