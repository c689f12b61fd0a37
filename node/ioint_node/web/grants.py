"""The doors of grants: ask for one, spend its pass, check it for a resource, revoke; and the key that signs passes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType, field

from ioint_node.access.grants import Access, Asked, State
from ioint_node.access.passes import ALGORITHM, TOKEN_CHARS, Fault, PassError
from ioint_node.errors import NotFoundError
from ioint_node.flows import grants
from ioint_node.flows.grant_parts import CheckRequest, GrantParts, GrantRequest, SpendRequest
from ioint_node.store import grants as stored
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.described import (
    JSON,
    PAGED,
    Answer,
    Answers,
    Parameter,
    answers,
    choice,
    conflict,
    fields,
    missing,
    page_of,
)
from ioint_node.web.problems import Refusal, bad_field
from ioint_node.web.requests import (
    PRINTABLE,
    PRINTABLE_TEXT,
    Body,
    Name,
    SessionId,
    cursor_of,
    cursor_text,
    limit_of,
    parameters,
    read_json,
)
from ioint_node.web.shapes import GrantRow
from ioint_node.web.site import Handler, Route, Site

JWKS_PATH: Final = "/.well-known/jwks.json"
JWKS_AGE_S: Final = 300
_GRANTS: Final = "/api/v1/grants"
# Not known or not shown to be the holder's: 401. Known, and not allowed: 403. Contradicts what is already so: 409.
STATUS: Final = {
    Fault.BAD_PASS: 401,
    Fault.PASS_EXPIRED: 401,
    Fault.BAD_PROOF: 401,
    Fault.PROOF_KEY: 401,
    Fault.PROOF_PASS: 401,
    Fault.PROOF_TARGET: 401,
    Fault.PROOF_TIME: 401,
    Fault.PROOF_REQUEST: 401,
    Fault.PROOF_REUSED: 409,
    Fault.PASS_REPLAYED: 409,
    Fault.SUPERSEDED: 409,
    Fault.GRANT_ENDED: 409,
    Fault.SESSION_CLOSED: 409,
    Fault.REVALIDATE: 409,
    Fault.GRANT_REVOKED: 403,
    Fault.SUSPENDED: 403,
    Fault.OTHER_TASK: 403,
    Fault.OTHER_AUDIENCE: 403,
    Fault.UNITS_SPENT: 403,
    Fault.OUT_OF_SCOPE: 403,
    Fault.NEEDS_PERSON: 403,
}

Token = Annotated[str, Meta(min_length=1, max_length=TOKEN_CHARS)]
Names = Annotated[tuple[Name, ...], Meta(max_length=256)]
Url = Annotated[str, Meta(min_length=1, max_length=2_048)]
GrantId = Annotated[str, Meta(min_length=1, max_length=64, pattern=PRINTABLE, description=PRINTABLE_TEXT)]


class KeyBody(Body, frozen=True):
    """A public key as JWK; the optional members of RFC 7517 say nothing here."""

    kty: Name
    crv: Name
    x: Name
    kid: Name | None = None
    use: Name | None = None
    alg: Name | None = None
    d: str | UnsetType = UNSET


class ScopeBody(Body, frozen=True):
    """What is to be granted; what is left out is as the session has it."""

    verbs: Names | None = None
    resources: Names | None = None
    max_sensitivity: Name | None = None
    max_boundary: Name | None = None
    tools: Names = ()
    hosts: Names = ()
    paths: Names = ()
    tables: Names = ()


class GrantBody(Body, frozen=True):
    """`POST /api/v1/grants`."""

    session_id: SessionId
    key: KeyBody
    scope: ScopeBody = ScopeBody()
    units: Annotated[float, Meta(gt=0, le=1e9)] | None = None
    ttl_s: Annotated[int, Meta(ge=1, le=1 << 53)] | None = None  # more than trust gives is cut
    audience: Name | None = None
    request_id: SessionId | None = None


class AccessBody(Body, frozen=True):
    """One access: a step, and what it touches by name."""

    verb: Name
    resource: Name
    sensitivity: Name
    boundary: Name
    tool: Name | None = None
    host: Name | None = None
    path: Annotated[str, Meta(min_length=1, max_length=1_024)] | None = None
    table: Name | None = None


class SpendBody(Body, frozen=True):
    """`POST …/spend`: either `action` or `units`."""

    pass_: Token = field(name="pass")
    proof: Token
    action: AccessBody | None = None
    units: Annotated[int, Meta(ge=0, le=grants.MOST_UNITS)] | None = None


class CheckBody(Body, frozen=True):
    """`POST …/check`; `method` and `url` are what the proof has to name: of the request that the resource got."""

    pass_: Token = field(name="pass")
    proof: Token | None = None
    resource: AccessBody | None = None
    audience: Name | None = None
    method: Annotated[str, Meta(min_length=1, max_length=32)] | None = None
    url: Url | None = None


class RevokeBody(Body, frozen=True):
    """`POST …/revoke`."""

    grant: GrantId
    reason: Annotated[str, Meta(max_length=grants.REASON_CHARS)] = ""


async def issue(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Grant what a session asks for; the answer has the first pass."""
    body = await read_json(request, GrantBody, site.parts.limits)
    asked = GrantRequest(
        session_id=body.session_id,
        key={
            name: value
            for name in ("kty", "crv", "x", "d")
            if (value := getattr(body.key, name)) is not UNSET
        },
        asked=_asked(body),
        audience=body.audience,
        request_id=body.request_id,
    )
    now = site.parts.now()
    with _refused():
        return json_answer(await grants.issue(_parts(site), asked, now, actor=caller.actor), 201)


async def spend(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Spend the newest pass of a grant; the answer has the next one."""
    body = await read_json(request, SpendBody, site.parts.limits)
    if (body.action is None) is (body.units is None):
        raise bad_field("action", "either action or units is needed")
    asked = SpendRequest(
        held=body.pass_,
        proof=body.proof,
        wanted=_access(body.action) if body.action is not None else body.units or 0,
        method=request.method,
        url=str(request.url),
    )
    now = site.parts.now()
    with _refused():
        return json_answer(await grants.spend(_parts(site), asked, now, actor=caller.actor))


async def check(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Say to a resource whether a pass is good for what is asked of it."""
    body = await read_json(request, CheckBody, site.parts.limits)
    asked = CheckRequest(
        held=body.pass_,
        proof=body.proof,
        access=None if body.resource is None else _access(body.resource),
        audience=body.audience,
        method=body.method,
        url=body.url,
    )
    return json_answer(await grants.check(_parts(site), asked, site.parts.now()))


async def revoke(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """End a grant for good."""
    body = await read_json(request, RevokeBody, site.parts.limits)
    ended = await grants.revoke(
        _parts(site),
        body.grant,
        site.parts.now(),
        by=f"token:{caller.id}",
        reason=body.reason,
        actor=caller.actor,
    )
    return json_answer(ended)


async def list_grants(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Grants, the newest first."""
    given = parameters(request, "actor", "session_id", "state", "limit", "cursor")
    if (state := given.get("state")) is not None and state not in list(State):
        raise bad_field("state", f"{state[:16]!r} is none of {', '.join(State)}")
    limit = limit_of(given, site.parts.limits)
    async with site.parts.store.read() as connection:
        found = await stored.list_grants(
            connection,
            limit + 1,
            cursor_of(given, 2),
            actor=given.get("actor"),
            session_id=given.get("session_id"),
            state=state,
        )
    items = [grants.view(grant) for grant in found[:limit]]
    more = cursor_text(items[-1]["issued_at"], items[-1]["id"]) if len(found) > limit else None
    return json_answer({"items": items, "next": more})


async def jwks(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """The public key of passes, which anybody may keep for a while."""
    answer = json_answer(_parts(site).key.jwks())
    answer.headers["Cache-Control"] = f"public, max-age={JWKS_AGE_S}"
    return answer


def routes(site: Site) -> tuple[Route, ...]:
    """The doors of this module; none on a node without a key for passes."""
    if site.parts.grants is None:
        return ()
    doors = (
        ("GET", JWKS_PATH, None, "The public key of passes", jwks),
        ("GET", _GRANTS, "query", "Grants", list_grants),
        ("POST", _GRANTS, "act", "Ask for a grant", issue),
        ("POST", f"{_GRANTS}/spend", "act", "Spend a pass and get the next", spend),
        ("POST", f"{_GRANTS}/check", "query", "Check a pass, for a resource", check),
        ("POST", f"{_GRANTS}/revoke", "see_session", "End a grant", revoke),
    )
    bodies: dict[Handler, type[Struct]] = {
        issue: GrantBody,
        spend: SpendBody,
        check: CheckBody,
        revoke: RevokeBody,
    }
    gone = missing("No such session or grant.") | conflict("It contradicts what is so already: see `type`.")
    said: dict[Handler, Answers] = {
        jwks: {
            200: Answer(
                about="The key of passes (RFC 7517).",
                content={JSON: fields(keys={"type": "array", "items": {"type": "object"}})},
                headers={"Cache-Control": "For how long it may be kept."},
            )
        },
        list_grants: page_of(GrantRow),
        issue: answers({"type": "object"}, "The grant, with its first pass.", status=201) | gone,
        spend: answers({"type": "object"}, "The cost, the grant, and the next pass.") | gone,
        check: answers(
            fields(active=bool, reason=str), "Whether the pass is good, and its claims where it is."
        ),
        revoke: answers({"type": "object"}, "The grant, ended.") | gone,
    }
    query = (
        Parameter(name="actor"),
        Parameter(name="session_id"),
        choice("state", tuple(State)),
        *PAGED,
    )
    return tuple(
        Route(
            method=method,
            path=path,
            may=may,
            summary=summary,
            handler=handler,
            body=bodies.get(handler),
            query=query if handler is list_grants else (),
            answers=said[handler],
            at_once=handler is check,
        )
        for method, path, may, summary, handler in doors
    )


@contextmanager
def _refused() -> Iterator[None]:
    """Answer what a pass does not open with the status of its fault, and its name."""
    try:
        yield
    except PassError as error:
        status = STATUS[error.fault]
        headers = {"WWW-Authenticate": _challenge(error.fault)} if status == 401 else {}
        name = error.fault.value
        raise Refusal(status, name, str(error), field=error.field, headers=headers) from None


def _challenge(fault: Fault) -> str:
    """RFC 9449, 7.1."""
    named = "invalid_token" if fault in (Fault.BAD_PASS, Fault.PASS_EXPIRED) else "invalid_dpop_proof"
    return f'DPoP error="{named}", algs="{ALGORITHM}"'


def _parts(site: Site) -> GrantParts:
    if site.parts.grants is None:
        raise NotFoundError("this node signs no passes")
    return site.parts.grants


def _asked(body: GrantBody) -> Asked:
    scope = body.scope
    return Asked(
        verbs=scope.verbs,
        resources=scope.resources,
        max_sensitivity=scope.max_sensitivity,
        max_boundary=scope.max_boundary,
        tools=scope.tools,
        hosts=scope.hosts,
        paths=scope.paths,
        tables=scope.tables,
        units=body.units,
        ttl_s=body.ttl_s,
    )


def _access(body: AccessBody) -> Access:
    return Access(
        verb=body.verb,
        resource=body.resource,
        sensitivity=body.sensitivity,
        boundary=body.boundary,
        tool=body.tool,
        host=body.host,
        path=body.path,
        table=body.table,
    )
