"""Envoy's external authorization, HTTP flavour: a proxy asks before it lets an agent's request through.

Envoy sends the request's method, path and chosen headers, and its body where it is told to. A body that is a JSON-RPC
message of MCP is judged by the tool that it calls; what else MCP says goes through; any other request is judged by its
method and path. 200 lets it through, 403 does not, and the headers and the problem body of the answer say why.

Who acts is what the proxy says (`x-ioint-actor`): it authenticates the agent and sets that header itself. What the
request says of its own session and purpose is the agent's own word, which widens nothing.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from ioint_node.access.boundary import Entity, Question
from ioint_node.errors import RequestError, TooLargeError
from ioint_node.flows.evaluate import CALLS, Evaluation, evaluate
from ioint_node.scoring.values import Declaration
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.auth import check_actor
from ioint_node.web.described import JSON, Answer, Answers, Parameter
from ioint_node.web.problems import Refusal, bad_field
from ioint_node.web.requests import deeper_than, has_twice, read_body
from ioint_node.web.site import Route, Site

PREFIX: Final = "/ext_authz"
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
MESSAGES: Final = 32  # of MCP in one body
ACTOR, KIND, BEHALF = "x-ioint-actor", "x-ioint-kind", "x-ioint-on-behalf-of"
SESSION, TEXT, FAMILY = "x-ioint-session", "x-ioint-declared", "x-ioint-family"
BASE: Final = "x-ioint-base-decision"
PARTIAL: Final = "x-envoy-auth-partial-body"
_READS: Final = {"resources/read": "uri", "prompts/get": "name", "completion/complete": "ref"}
_NAMES_ONE: Final = re.compile(r"[0-9]+|[0-9a-fA-F-]{16,}|[A-Za-z0-9_-]{24,}")
_NAME_CHARS: Final = 256
NOT_JUDGED: Final = "not_judged"
_HEADERS: Final = tuple(
    Parameter(name=name, where="header", about=about, required=name == ACTOR)
    for name, about in (
        (ACTOR, "Who acts, by the word of the proxy."),
        (KIND, "agent, user or workload."),
        (BEHALF, "On whose behalf."),
        (BASE, "`false`: refused whatever the node thinks."),
        (SESSION, "The session."),
        (TEXT, "What a session that is opened is for."),
        (FAMILY, "The same as a family of the taxonomy."),
    )
)


_ANSWERS: Final[Answers] = {
    200: Answer(
        about="It may.",
        content={JSON: {"type": "object"}},
        headers={
            "x-ioint-decision": "The decision, where something was judged; the headers below likewise.",
            "x-ioint-verdict": "in_scope, borderline or out_of_scope.",
            "x-ioint-response": "What enforcing asks for.",
        },
    ),
    403: Answer(about="It may not, or the token does not speak for this actor."),
    404: Answer(about="No such session."),
    408: Answer(about="The body took too long."),
    409: Answer(about="The session is closed, or of another actor."),
    413: Answer(about="The body is too large, was cut by the proxy, or holds too many messages."),
}


async def check(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Whether a request that a proxy holds may go through."""
    if not request.headers.get(ACTOR):
        raise bad_field(ACTOR, "the proxy names the agent in this header: see docs/envoy-opa.md")
    check_actor(caller, request.headers[ACTOR])
    data = await read_body(request, site.parts.limits)
    asked: list[Evaluation] = []
    try:
        if request.headers.get(PARTIAL, "").lower() == "true":
            raise TooLargeError("the proxy cut the body: what it asks for cannot be judged")
        asked = _asked(site, request, caller, data)
        answers = [await evaluate(site.parts.assess, one, site.parts.now()) for one in asked]
    except RequestError:
        if site.responding.mode == "enforce" or _may_be_outside(site, request, asked):
            raise
        # Whoever observes blocks nothing, also not what it cannot read; it is counted.
        site.parts.refusals[NOT_JUDGED] += 1
        return _through({"x-ioint-error": NOT_JUDGED})
    against = next((one for one in answers if not one["decision"]), None)
    if against is not None:
        raise Refusal(403, "refused", _why(against), headers=_headers(against))
    return _through(_headers(answers[-1]) if answers else {})


def routes() -> tuple[Route, ...]:
    """The doors of this module: whatever path the proxy asks about, behind one prefix."""
    return tuple(
        Route(
            method=method,
            path=path,
            may="act",
            summary="May this request go through? (Envoy)",
            handler=check,
            query=_HEADERS,
            answers=_ANSWERS,
        )
        for path in (PREFIX, f"{PREFIX}/{{path:.*}}")
        for method in METHODS
    )


def _may_be_outside(site: Site, request: web.Request, asked: list[Evaluation]) -> bool:
    """Whether the outer boundary refuses what could not be judged, or was not even asked."""
    told = request.headers.get(BASE, "true").lower() == "false"
    return told or site.parts.boundary() is not None or not all(one.base for one in asked)


def _through(headers: Mapping[str, str]) -> web.Response:
    answer = json_answer({})
    answer.headers.update(headers)
    return answer


def _asked(site: Site, request: web.Request, caller: Caller, data: bytes) -> list[Evaluation]:
    calls = _calls(request, data, site.parts.limits.json_depth)
    return [_evaluation(site, request, caller, call) for call in calls]


def _calls(request: web.Request, data: bytes, depth: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What a request does, as the tool's name, the kind of its resource, and its arguments."""
    messages = _messages(request, data, depth)
    if messages is None:
        path = request.match_info.get("path", "")
        yield (
            _plain(request.method, path),
            "http",
            {"url": f"https://{request.host}/{path}", **_query(request)},
        )
        return
    for message in messages:
        method, given = message["method"], message.get("params")
        params = given if isinstance(given, Mapping) else {}
        if method == CALLS:
            arguments = params.get("arguments")
            yield (
                str(params.get("name", "")),
                "tool",
                dict(arguments) if isinstance(arguments, Mapping) else {},
            )
        elif method in _READS:
            yield method, "resource", {"uri": params.get(_READS[method])}


def _messages(request: web.Request, data: bytes, depth: int) -> list[dict[str, Any]] | None:
    """The messages of MCP in a body, None where it holds none.

    Raises:
        RequestError: the body is JSON-RPC, and what it says may be read in two ways, or is too much.
    """
    # What is behind the proxy may read it whatever type it is said to be of.
    text = data.removeprefix(codecs.BOM_UTF8).lstrip()
    said = request.content_type == "application/json"
    if request.method != "POST" or not text or not (said or text[:1] in (b"{", b"[")):
        return None
    if deeper_than(depth, text):
        raise RequestError(f"the body is nested more than {depth} deep")
    try:
        value = msgspec.json.decode(text)
        twice = has_twice(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if said:
            raise RequestError("the body is not JSON in UTF-8: what it asks for cannot be judged") from None
        return None
    found = value if isinstance(value, list) else [value]
    if not any(isinstance(one, dict) and "jsonrpc" in one for one in found):
        return None
    if twice:
        raise RequestError(
            "the body names something twice in one object: who reads it may read the other one"
        )
    if len(found) > MESSAGES:
        raise TooLargeError(f"{len(found)} messages in one body, more than {MESSAGES}")
    return [one for one in found if isinstance(one, dict) and isinstance(one.get("method"), str)]


def _plain(method: str, path: str) -> str:
    """A request's name as an agent's habits know it: the path without what names one thing of many."""
    parts = ("{id}" if _NAMES_ONE.fullmatch(part) else part for part in path.split("/"))
    return f"{method} /{'/'.join(parts)}"[:_NAME_CHARS]


def _query(request: web.Request) -> dict[str, Any]:
    return {name: request.query.getall(name) for name in request.query}


def _evaluation(
    site: Site, request: web.Request, caller: Caller, call: tuple[str, str, dict[str, Any]]
) -> Evaluation:
    tool, kind, arguments = call
    head = request.headers
    actor = head[ACTOR]
    question = Question(
        subject=Entity(type=head.get(KIND, "agent"), id=actor),
        action=CALLS if kind == "tool" else tool,
        resource=Entity(type=kind, id=tool, properties={"host": request.host}),
        action_properties={"method": request.method},
        context={},
    )
    loaded = site.parts.boundary()
    return Evaluation(
        actor=actor,
        kind=head.get(KIND, "agent"),
        on_behalf_of=head.get(BEHALF),
        tool=tool,
        server=request.host if kind == "tool" else None,
        arguments=arguments,
        declared=Declaration(text=head.get(TEXT, ""), family=head.get(FAMILY), tools=()),
        session_id=head.get(SESSION),
        action_id=None,
        base=head.get(BASE, "true").lower() != "false" and (loaded is None or loaded.decide(question)),
        by=caller.id,
        by_actor=True,
    )


def _headers(answer: Mapping[str, Any]) -> dict[str, str]:
    context = answer["context"]
    return {
        "x-ioint-decision": str(context["decision_id"]),
        "x-ioint-session": str(context["session_id"]),
        "x-ioint-verdict": str(context["verdict"]),
        "x-ioint-response": str(context["response"]),
        "x-ioint-trust": f"{context['trust']['used']:.4f}",
    }


def _why(answer: Mapping[str, Any]) -> str:
    context = answer["context"]
    if not context["base_decision"]:
        return "outside what this agent may do at all"
    reasons = "; ".join(one["text"] for one in context["reasons"][:3])
    return f"{context['verdict']}, {context['response']}: {reasons}"
