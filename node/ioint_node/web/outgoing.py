"""What leaves: its list, what an operator lets leave by class, and public subjects that an analyst reports."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Annotated, Any, Literal

from aiohttp import web
from msgspec import Meta, Struct

from ioint_node.errors import unknown_name
from ioint_node.flows import novel, opinions
from ioint_node.privacy.labels import why_not_shareable
from ioint_node.privacy.standing import CATEGORIES
from ioint_node.store import outgoing, standing
from ioint_node.store.outgoing import Outgoing
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.described import PAGED, Answers, Parameter, answers, conflict, fields, page_of
from ioint_node.web.problems import bad_field
from ioint_node.web.requests import (
    Body,
    cursor_of,
    cursor_text,
    integer,
    limit_of,
    parameters,
    read_json,
)
from ioint_node.web.shapes import OutgoingRow
from ioint_node.web.site import Handler, Route, Site

_SUBJECT_CHARS = 256
log = logging.getLogger(__name__)


class StandingBody(Body, frozen=True, rename={"class_": "class"}):
    """`POST /api/v1/standing-approvals`: one of `pattern`, `intent`, `layer` and `class`, why, and for how long."""

    reason: Annotated[str, Meta(min_length=1, max_length=standing.REASON_CHARS)]
    pattern: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")] | None = None
    intent: Annotated[str, Meta(max_length=64)] | None = None
    layer: Annotated[str, Meta(max_length=64)] | None = None
    class_: Annotated[str, Meta(max_length=16)] | None = None
    days: Annotated[int, Meta(ge=1, le=standing.DAYS_MOST)] = 30


class SubjectBody(Body, frozen=True):
    """`POST /api/v1/subjects`: a package URL, what it was for, whether its whole version is the point, its label."""

    subject: Annotated[str, Meta(min_length=1, max_length=_SUBJECT_CHARS)]
    intents: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=8)] = ()
    exact: bool = False
    tlp: Literal["clear", "green", "amber", "amber_strict", "red"] | None = None


async def list_outgoing(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """What left and what would, with its bytes, for ever."""
    given = parameters(request, "state", "limit", "cursor")
    limit = limit_of(given, site.parts.limits)
    async with site.parts.store.read() as connection:
        page, following = await outgoing.list_outgoing(
            connection, limit, given.get("cursor"), state=given.get("state"), clearance=caller.tlp
        )
    return json_answer({"items": [shown(site, record) for record in page], "next": following})


def shown(site: Site, record: Outgoing) -> dict[str, Any]:
    """A record as the API shows it, with the names of all who can read it now."""
    return {**record.to_json(), "readers": site.parts.exchange.audience().to_json(record.tlp)}


def label_of(label: str | None) -> str | None:
    """The label that a request asks for; refused when nothing can leave with it."""
    refusal = None if label is None else why_not_shareable(label)
    if refusal is not None:
        raise bad_field("tlp", refusal)
    return label


async def list_standing(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Every standing approval that was ever given, with who gave and who revoked it."""
    given = parameters(request, "limit", "cursor")
    limit, cursor = limit_of(given, site.parts.limits), cursor_of(given, 2)
    after = (cursor[0], cursor[1]) if cursor else None
    async with site.parts.store.read() as connection:
        found, more = await standing.listed(connection, limit, after)
    following = cursor_text(found[-1].at, found[-1].id) if more else None
    return json_answer({"items": [asdict(one) for one in found], "next": following})


async def give_standing(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Let a class of reports leave without being asked each time."""
    body = await read_json(request, StandingBody, site.parts.limits)
    scope, value = _scope(site, body)
    by, now = f"token:{caller.id}", site.parts.now()
    made = await site.parts.store.write(
        lambda connection: standing.give(
            connection, scope=scope, value=value, reason=body.reason, by=by, days=body.days, now=now
        )
    )
    log.info(
        "standing_approval id=%s scope=%s value=%s by=%s until=%s", made.id, scope, value, by, made.expires_at
    )
    return json_answer(asdict(made), 201)


async def revoke_standing(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Take a standing approval back; what left stays out."""
    name, by, now = request.match_info["approval"], f"token:{caller.id}", site.parts.now()
    gone = await site.parts.store.write(lambda connection: standing.revoke(connection, name, by=by, now=now))
    log.info("standing_approval_revoked id=%s by=%s", gone.id, by)
    return json_answer(asdict(gone))


async def report_subject(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Report a public package, image, repository or model on an analyst's word."""
    body = await read_json(request, SubjectBody, site.parts.limits)
    said = await opinions.confirm_subject(
        site.parts.exchange,
        body.subject,
        intents=body.intents,
        exact=body.exact,
        by=f"token:{caller.id}",
        now=site.parts.now(),
        label=label_of(body.tlp),
    )
    answer = {"kind": "confirm", "subject": said.subject, "records": [said.record], "state": said.state}
    return json_answer(answer, 201)


async def list_novel(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Novel patterns that several groups report: candidates for the next catalogue."""
    given = parameters(request, "limit", "cursor")
    limit, cursor = limit_of(given, site.parts.limits), cursor_of(given)
    found = await novel.candidates(site.parts.exchange, caller.tlp, site.parts.now())
    start = 0 if cursor is None else integer(cursor[0], "cursor")
    following = cursor_text(start + limit) if start + limit < len(found) else None
    return json_answer({"items": found[start : start + limit], "next": following})


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    several = "/api/v1/standing-approvals"
    doors = (
        ("GET", "/api/v1/outgoing", "review", "What left and would leave, with its bytes", list_outgoing),
        ("GET", several, "review", "What may leave without being asked for", list_standing),
        ("POST", several, "decide", "Let a class of reports leave", give_standing),
        ("DELETE", f"{several}/{{approval}}", "decide", "Take a standing approval back", revoke_standing),
        ("GET", "/api/v1/novel-patterns", "query", "Candidates for the next catalogue", list_novel),
        ("POST", "/api/v1/subjects", "opine", "Report a public subject", report_subject),
    )
    bodies: dict[Handler, type[Struct]] = {give_standing: StandingBody, report_subject: SubjectBody}
    approval = fields(id=str, scope=str, value=str, reason=str, at=str)
    query: dict[Handler, tuple[Parameter, ...]] = {
        list_outgoing: (Parameter(name="state"), *PAGED),
        list_standing: PAGED,
        list_novel: PAGED,
    }
    said: dict[Handler, Answers] = {
        list_outgoing: page_of(OutgoingRow),
        list_standing: page_of(approval),
        give_standing: answers(approval, status=201) | conflict("There are too many."),
        revoke_standing: answers(approval) | conflict("It is revoked, or has run out."),
        list_novel: page_of({"type": "object"}),
        report_subject: answers(
            fields(kind=str, subject=str, records={"type": "array"}, state=str), status=201
        )
        | conflict("It was said already, or its name is not known to be public."),
    }
    return tuple(
        Route(
            method=method,
            path=path,
            may=may,
            summary=summary,
            handler=handler,
            body=bodies.get(handler),
            query=query.get(handler, ()),
            answers=said[handler],
            costly=handler is list_novel,
        )
        for method, path, may, summary, handler in doors
    )


def _scope(site: Site, body: StandingBody) -> tuple[str, str]:
    """What a standing approval is of.

    Raises:
        Refusal: none or several of the four are given, or it is nothing that exists.
    """
    given = {
        "pattern": body.pattern,
        "intent": body.intent,
        "layer": body.layer,
        "category": body.class_,
    }
    chosen = [(scope, value) for scope, value in given.items() if value is not None]
    if len(chosen) != 1:
        raise bad_field("class", "give exactly one of pattern, intent, layer and class")
    scope, value = chosen[0]
    taxonomy = site.parts.exchange.taxonomy
    if scope == "layer":
        value = {layer.slug: layer.id for layer in taxonomy.layers}.get(value, value)
    known = {
        "intent": sorted(taxonomy.intents),
        "layer": [layer.id for layer in taxonomy.layers],
        "category": list(CATEGORIES),
    }
    if scope in known and value not in known[scope]:
        name = "class" if scope == "category" else scope
        raise unknown_name(name, value, known[scope], f"{scope}s")
    return scope, value
