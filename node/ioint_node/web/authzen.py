"""The AuthZEN Authorization API 1.0: a policy enforcement point asks, the node answers within the base decision.

Errors are 400 with a sentence as the body, whatever is wrong with a request (the standard knows no 415 and no 422); a
denial is an answer like another. Unknown fields are ignored. Shapes that gateways of MCP send by default are
understood: `tools/call` on a resource of type `tool` is that tool, with the arguments that the context or the
properties have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypedDict, TypeVar

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from ioint_node.access.boundary import Boundary, Entity, Question, read_boundary
from ioint_node.errors import RequestError
from ioint_node.flows.evaluate import CALLS, Evaluation, evaluate
from ioint_node.scoring.values import Declaration
from ioint_node.store.responses import ACTIVE
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.described import Answers, Parameter, answers
from ioint_node.web.origin import origin_of
from ioint_node.web.problems import AUTHZEN_PREFIX as ACCESS
from ioint_node.web.problems import Refusal
from ioint_node.web.requests import cursor_of, cursor_text, deeper_than, integer, read_body
from ioint_node.web.site import Handler, Route, Site

T = TypeVar("T", bound=Struct)
WELL_KNOWN: Final = "/.well-known/authzen-configuration"
EVALUATIONS: Final = 256  # in one request
PAGE: Final = 100
PAGE_MAX: Final = 1_000
KINDS: Final = ("agent", "user", "workload")
REQUEST_ID: Final = "X-Request-ID"
_OPEN: Final = read_boundary(b'{"schema":"ioint.boundary/1","default":"permit","rules":[]}')

Text = Annotated[str, Meta(min_length=1, max_length=1_024)]


class SubjectPart(Struct, frozen=True, kw_only=True):
    """Who; in a search `id` may be absent, and in a search for subjects it is ignored."""

    type: Text | UnsetType = UNSET
    id: Text | UnsetType = UNSET
    properties: dict[str, Any] = {}


class ActionPart(Struct, frozen=True, kw_only=True):
    """What."""

    name: Text | UnsetType = UNSET
    properties: dict[str, Any] = {}


class Item(Struct, frozen=True, kw_only=True):
    """One question, or the defaults of several."""

    subject: SubjectPart | UnsetType = UNSET
    action: ActionPart | UnsetType = UNSET
    resource: SubjectPart | UnsetType = UNSET
    context: dict[str, Any] | UnsetType = UNSET


class OptionsPart(Struct, frozen=True, kw_only=True):
    """How several questions hang together."""

    evaluations_semantic: Literal["execute_all", "deny_on_first_deny", "permit_on_first_permit"] = (
        "execute_all"
    )


class Several(Item, frozen=True, kw_only=True):
    """`POST /access/v1/evaluations`."""

    evaluations: Annotated[list[Item], Meta(max_length=EVALUATIONS)] = []
    options: OptionsPart = OptionsPart()


class PagePart(Struct, frozen=True, kw_only=True):
    """Which part of the results."""

    token: str = ""
    limit: Annotated[int, Meta(ge=1)] = PAGE


class Search(Item, frozen=True, kw_only=True):
    """`POST /access/v1/search/…`."""

    page: PagePart = PagePart()


class Evaluated(TypedDict):
    """The answer to a question."""

    decision: bool
    context: dict[str, Any]


class EvaluatedAll(TypedDict):
    """The answers to several, in their order."""

    evaluations: list[Evaluated]


class Results(TypedDict):
    """What a search found: subjects and resources by `type` and `id`, actions by `name`."""

    results: list[dict[str, str]]
    page: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A question with all that the standard requires of one."""

    question: Question
    context: Mapping[str, Any]


async def configuration(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Where the doors of this decision point are."""
    at = origin_of(site, request)
    return json_answer(
        {
            "policy_decision_point": at,
            "access_evaluation_endpoint": f"{at}{ACCESS}evaluation",
            "access_evaluations_endpoint": f"{at}{ACCESS}evaluations",
            "search_subject_endpoint": f"{at}{ACCESS}search/subject",
            "search_resource_endpoint": f"{at}{ACCESS}search/resource",
            "search_action_endpoint": f"{at}{ACCESS}search/action",
        }
    )


async def evaluation(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """One question."""
    body = await _read(site, request, Item)
    return await _single(site, caller, body)


async def evaluations(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Several questions with what they have in common; without any, the one that the defaults are."""
    body = await _read(site, request, Several)
    if not body.evaluations:
        return await _single(site, caller, body)
    stop = {"deny_on_first_deny": False, "permit_on_first_permit": True}.get(
        body.options.evaluations_semantic
    )
    found = []
    for item in body.evaluations:
        merged = _with_defaults(item, body)
        try:
            answer = await _answered(site, caller, _asked(merged))
        except (Refusal, RequestError) as error:
            # A fault of one question is that question's own.
            answer = {"decision": False, "context": {"error": {"status": 400, "message": str(error)}}}
        found.append(answer)
        if answer["decision"] is stop:
            break
    return json_answer({"evaluations": found})


async def search_subject(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Which subjects of a type may."""
    body = await _read(site, request, Search)
    kind = _needed(_part(body.subject, "subject").type, "subject.type")
    asked = Question(
        subject=Entity(type=kind, id="-"),
        action=_needed(_part(body.action, "action").name, "action.name"),
        resource=_entity(body.resource, "resource"),
        action_properties=_part(body.action, "action").properties,
        context=body.context or {},
    )
    begin, most = _place(body)
    found = await asyncio.to_thread(_boundary(site).subjects_of, kind, asked, begin, most)
    return _found([_named(one) for one in found.entities if not _is_halted(site, one)], found.following)


async def search_resource(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Which resources of a type a subject may do something to."""
    body = await _read(site, request, Search)
    kind = _needed(_part(body.resource, "resource").type, "resource.type")
    asked = Question(
        subject=_entity(body.subject, "subject"),
        action=_needed(_part(body.action, "action").name, "action.name"),
        resource=Entity(type=kind, id="-"),
        action_properties=_part(body.action, "action").properties,
        context=body.context or {},
    )
    if _is_halted(site, asked.subject):
        return _found([], None)
    begin, most = _place(body)
    found = await asyncio.to_thread(_boundary(site).resources_of, kind, asked, begin, most)
    return _found([_named(one) for one in found.entities], found.following)


async def search_action(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """What a subject may do to a resource."""
    body = await _read(site, request, Search)
    asked = Question(
        subject=_entity(body.subject, "subject"),
        action="-",
        resource=_entity(body.resource, "resource"),
        context=body.context or {},
    )
    if _is_halted(site, asked.subject):
        return _found([], None)
    begin, most = _place(body)
    names = await asyncio.to_thread(lambda: list(_boundary(site).actions_of(asked)))
    shown = [{"name": name} for name in names[begin : begin + most]]
    return _found(shown, begin + most if len(names) > begin + most else None)


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    one, several = answers(Evaluated), answers({"anyOf": [Evaluated, EvaluatedAll]})
    doors: tuple[tuple[str, str, Handler, type[Struct], Answers], ...] = (
        ("evaluation", "May this subject do this? (AuthZEN)", evaluation, Item, one),
        ("evaluations", "The same, several at once", evaluations, Several, several),
        ("search/subject", "Who may?", search_subject, Search, answers(Results)),
        ("search/resource", "To what?", search_resource, Search, answers(Results)),
        ("search/action", "What?", search_action, Search, answers(Results)),
    )
    return (
        Route(
            method="GET",
            path=WELL_KNOWN,
            may=None,
            summary="AuthZEN: where its doors are",
            handler=configuration,
            answers=answers(dict[str, str]),
        ),
        *(
            Route(
                method="POST",
                path=ACCESS + name,
                may="act",
                summary=summary,
                handler=handler,
                body=body,
                query=(Parameter(name=REQUEST_ID, where="header", about="Comes back in the answer."),),
                answers=answered,
            )
            for name, summary, handler, body, answered in doors
        ),
    )


async def _read(site: Site, request: web.Request, kind: type[T]) -> T:
    """The body; unlike bodies of our own it may hold what we do not know, which is ignored."""
    if request.content_type != "application/json":
        raise Refusal(415, "media_type", "send Content-Type: application/json")
    data = await read_body(request, site.parts.limits)
    if deeper_than(site.parts.limits.json_depth, data):
        raise Refusal(400, "too_deep", f"the body is nested more than {site.parts.limits.json_depth} deep")
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise Refusal(400, "bad_field", str(error)[:256]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refusal(400, "bad_json", "the body is not JSON") from None


async def _single(site: Site, caller: Caller, body: Item) -> web.Response:
    return json_answer(await _answered(site, caller, _asked(body)))


async def _answered(site: Site, caller: Caller, asked: _Asked) -> dict[str, Any]:
    wanted = _evaluation(site, caller, asked)
    return await evaluate(site.parts.assess, wanted, site.parts.now())


def _evaluation(site: Site, caller: Caller, asked: _Asked) -> Evaluation:
    question, context = asked.question, asked.context
    agent = _text(context, "agent")
    kind, actor, principal = _actor(question.subject, agent)
    if caller.role == "agent":
        if caller.actor != actor:
            raise Refusal(403, "other_actor", "this token is bound to another actor")
        if kind == "user":
            raise Refusal(
                400, "bad_field", "subject.type: an agent's token speaks for an agent or a workload"
            )
        # Nobody says of itself what it is: that is the policy's to know.
        question = Question(
            subject=Entity(type=question.subject.type, id=question.subject.id),
            action=question.action,
            resource=question.resource,
            action_properties=question.action_properties,
            context=context,
        )
    tool, server, arguments = _call(question)
    declared = context.get("declared", {})
    if not isinstance(declared, Mapping):
        raise Refusal(400, "bad_field", "context.declared: an object with text or family")
    return Evaluation(
        actor=actor,
        kind=kind,
        on_behalf_of=_text(context, "on_behalf_of") or principal,
        tool=tool,
        server=server,
        arguments=arguments,
        declared=Declaration(text=_text(declared, "text") or "", family=_text(declared, "family"), tools=()),
        session_id=_text(context, "session_id"),
        action_id=_text(context, "action_id"),
        base=_base(site, question),
        by=caller.id,
        by_actor=caller.role == "agent",
    )


def _base(site: Site, question: Question) -> bool:
    """What the outer boundary says: the caller's base decision and the loaded policy, where there are, both."""
    told = question.context.get("base_decision", True)
    if not isinstance(told, bool):
        raise Refusal(400, "bad_field", "context.base_decision: true or false")
    loaded = site.parts.boundary()
    return told and (loaded is None or loaded.decide(question))


def _actor(subject: Entity, agent: str | None) -> tuple[str, str, str | None]:
    """Kind and id of who acts, and on whose behalf: the agent that a person works through is who acts."""
    if agent is not None and subject.type not in ("agent", "workload"):
        return "agent", agent, subject.id
    if subject.type == "identity":
        return "user", subject.id, None
    return (subject.type if subject.type in KINDS else "workload"), subject.id, None


def _call(question: Question) -> tuple[str, str | None, dict[str, Any]]:
    """The tool, its server and its arguments that a question is about."""
    resource, context = question.resource, question.context
    given: Mapping[str, Any] = {}
    for place in (question.action_properties, resource.properties, context):
        if isinstance(found := place.get("arguments"), Mapping):
            given = found
            break
    server = _text(resource.properties, "server") or _text(context, "server")
    if question.action == CALLS and resource.type == "tool":
        return resource.id, server, dict(given)
    rest = {name: value for name, value in resource.properties.items() if name not in ("arguments", "server")}
    about = {name: value for name, value in question.action_properties.items() if name != "arguments"}
    told = {**about, **rest, **given, "type": resource.type, "id": resource.id}
    return question.action, server, told


def _asked(item: Item) -> _Asked:
    action = _part(item.action, "action")
    context = item.context or {}
    question = Question(
        subject=_entity(item.subject, "subject"),
        action=_needed(action.name, "action.name"),
        resource=_entity(item.resource, "resource"),
        action_properties=action.properties,
        context=context,
    )
    return _Asked(question=question, context=context)


def _with_defaults(item: Item, defaults: Item) -> Item:
    """A question with what it leaves out: whole parts, and of a part only what names it."""
    return Item(
        subject=_filled(item.subject, defaults.subject),
        action=defaults.action if item.action is UNSET else item.action,
        resource=_filled(item.resource, defaults.resource),
        context=defaults.context if item.context is UNSET else item.context,
    )


def _filled(part: SubjectPart | UnsetType, default: SubjectPart | UnsetType) -> SubjectPart | UnsetType:
    if isinstance(part, UnsetType) or isinstance(default, UnsetType):
        return default if isinstance(part, UnsetType) else part
    return SubjectPart(
        type=default.type if part.type is UNSET else part.type,
        id=default.id if part.id is UNSET else part.id,
        properties=part.properties,
    )


def _entity(part: SubjectPart | UnsetType, name: str) -> Entity:
    given = _part(part, name)
    return Entity(
        type=_needed(given.type, f"{name}.type"),
        id=_needed(given.id, f"{name}.id"),
        properties=given.properties,
    )


def _part(part: T | UnsetType, name: str) -> T:
    if isinstance(part, UnsetType):
        raise Refusal(400, "bad_field", f"{name}: is needed")
    return part


def _needed(text: str | UnsetType, name: str) -> str:
    if isinstance(text, UnsetType):
        raise Refusal(400, "bad_field", f"{name}: is needed")
    return text


def _text(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise Refusal(400, "bad_field", f"{name}: a text that is not empty")
    return value


def _boundary(site: Site) -> Boundary:
    return site.parts.boundary() or _OPEN


def _is_halted(site: Site, subject: Entity) -> bool:
    """Whether a subject may do nothing at all, since it is halted and that is enforced."""
    return site.responding.mode == "enforce" and site.parts.assess.halted.state_of(subject.id) != ACTIVE


def _named(one: Entity) -> dict[str, Any]:
    return {"type": one.type, "id": one.id}


def _place(body: Search) -> tuple[int, int]:
    """Where a page begins, and how much it may hold."""
    given = cursor_of({"cursor": body.page.token}) if body.page.token else None
    return (0 if given is None else integer(given[0], "page.token")), min(body.page.limit, PAGE_MAX)


def _found(shown: list[dict[str, Any]], following: int | None) -> web.Response:
    """A page of results; the token of the next is empty at the end."""
    token = "" if following is None else cursor_text(following)
    return json_answer({"results": shown, "page": {"next_token": token, "count": len(shown)}})
