"""The doors of assess: declare a session, act, tell what happened, close. An agent's token opens its own sessions."""

from __future__ import annotations

from aiohttp import web
from msgspec import Struct

from ioint_node.errors import NotFoundError
from ioint_node.flows import assess, gap
from ioint_node.flows.requests import ActionRequest, Feedback, OpenSession, ScopeRequest
from ioint_node.flows.scope import wanted_of
from ioint_node.scoring.values import Declaration, Event
from ioint_node.store import listings
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import accepted, encoded_answer, json_answer
from ioint_node.web.auth import check_actor, may
from ioint_node.web.described import Answers, answers, conflict, missing
from ioint_node.web.problems import bad_field
from ioint_node.web.requests import (
    ActionBody,
    AlternativeBody,
    CloseBody,
    DeclaredBody,
    EventBody,
    FeedbackBody,
    OpenBody,
    ScopeBody,
    read_json,
)
from ioint_node.web.shapes import ClosedSession, Decision, FeedbackTaken, OpenedSession, ScopeAnswer
from ioint_node.web.site import Handler, Route, Site

_SESSION = "/api/v1/sessions/{session}"


async def open_session(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Declare what a session is for; the answer is its authority map and the trust before the first action."""
    body = await read_json(request, OpenBody, site.parts.limits)
    check_actor(caller, body.actor.id)
    if caller.role == "agent" and body.actor.kind == "user":
        raise bad_field("actor.kind", "an agent's token speaks for an agent or a workload, not for a person")
    made_of = body.actor.composition
    opening = OpenSession(
        actor=body.actor.id,
        declared=_declaration(body.declared),
        session_id=body.session_id,
        kind=body.actor.kind,
        composition=None
        if made_of is None
        else {"model": made_of.model, "prompt_sha256": made_of.prompt_sha256, "tools": made_of.tools},
        on_behalf_of=body.actor.on_behalf_of,
        parent=None
        if body.parent is None
        else {"session_id": body.parent.session_id, "action_id": body.parent.action_id},
        by_actor=caller.role == "agent",
    )
    return json_answer(await assess.open_session(site.parts.assess, opening, site.parts.now()), 201)


async def act(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Judge one action; the same action again gets the same answer."""
    session = await _session(site, request, caller)
    body = await read_json(request, ActionBody, site.parts.limits)
    action = ActionRequest(
        action_id=body.action_id,
        tool=body.tool,
        server=body.server,
        arguments=body.arguments,
        t=body.t,
        durable=body.durable,
    )
    decided = await assess.answer(site.parts.assess, session, action, site.parts.now())
    return encoded_answer(decided.encode())


async def observe(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Tell what else happened: a prompt, a response, a tool's result."""
    session = await _session(site, request, caller)
    body = await read_json(request, EventBody, site.parts.limits)
    event = Event(
        kind=body.kind,
        role=body.role,
        text=body.text,
        error=body.error,
        data=body.data,
        t=body.t,
        action_id=body.action_id,
    )
    await assess.observe(
        site.parts.assess,
        session,
        event,
        site.parts.now(),
        by=f"token:{caller.id}",
        by_actor=caller.role == "agent",
    )
    return accepted()


async def declare(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Declare anew what the session is for."""
    session = await _session(site, request, caller)
    body = await read_json(request, DeclaredBody, site.parts.limits)
    by_actor = caller.role == "agent"
    return json_answer(
        await assess.declare(
            site.parts.assess, session, _declaration(body), site.parts.now(), by_actor=by_actor
        )
    )


async def ask_scope(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Ask for more than the envelope allows."""
    session = await _session(site, request, caller)
    body = await read_json(request, ScopeBody, site.parts.limits)
    asked = ScopeRequest(
        verbs=tuple(body.verbs),
        resources=tuple(body.resources),
        sensitivity=body.sensitivity,
        boundary=body.boundary,
        reason=body.reason,
    )
    parts, now = site.parts.assess, site.parts.now()
    answer = await assess.scope_request(parts, session, asked, now)
    if answer["state"] == "person" and (live := parts.live.get(session)) is not None:
        made = await gap.requested(
            site.loop,
            session,
            wanted_of(parts, asked),
            actor=live.actor.id,
            family=answer["declared"]["family"],
            by=f"token:{caller.id}",
            now=now,
        )
        answer = {**answer, "proposal": None if made is None else made["id"]}
    return json_answer(answer)


async def answer_alternative(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Accept or refuse the narrower alternative that a decision offered."""
    session = await _session(site, request, caller)
    body = await read_json(request, AlternativeBody, site.parts.limits)
    return json_answer(
        await assess.answer_alternative(
            site.parts.assess,
            session,
            request.match_info["alternative"],
            site.parts.now(),
            accepted=body.accepted,
        )
    )


async def give_feedback(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """What a person or a check says of the session or of one action."""
    session = await _session(site, request, caller)
    body = await read_json(request, FeedbackBody, site.parts.limits)
    said = Feedback(kind=body.kind, positive=body.positive, action_id=body.action_id)
    own, by, now = caller.role == "agent", f"token:{caller.id}", site.parts.now()
    person = caller.role in {"soc", "admin"}
    answer = await assess.feedback(
        site.parts.assess, session, said, now, by=by, by_actor=own, by_person=person
    )
    if may(caller, "decide") and said.kind == "override" and said.positive and said.action_id:
        # A person says that what was stopped was the work: the intent has to learn it.
        proposal = await gap.mark(site.loop, session, said.action_id, by, now)
        answer = {**answer, "proposal": proposal["id"]}
    return json_answer(answer)


async def close(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """End a session with its outcome."""
    session = await _session(site, request, caller)
    body = await read_json(request, CloseBody, site.parts.limits)
    return json_answer(await assess.close(site.parts.assess, session, body.outcome, site.parts.now()))


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    doors = (
        ("/api/v1/sessions", "Declare a session", open_session),
        (f"{_SESSION}/actions", "Judge one action", act),
        (f"{_SESSION}/events", "Tell what else happened", observe),
        (f"{_SESSION}/declare", "Declare anew", declare),
        (f"{_SESSION}/scope-requests", "Ask for a wider envelope", ask_scope),
        (f"{_SESSION}/alternatives/{{alternative}}", "Accept or refuse an alternative", answer_alternative),
        (f"{_SESSION}/feedback", "Say whether it was right", give_feedback),
        (f"{_SESSION}/close", "End a session", close),
    )
    bodies: dict[Handler, type[Struct]] = {
        open_session: OpenBody,
        act: ActionBody,
        observe: EventBody,
        declare: DeclaredBody,
        ask_scope: ScopeBody,
        answer_alternative: AlternativeBody,
        give_feedback: FeedbackBody,
        close: CloseBody,
    }
    over = conflict("The session is closed, or something else was said before.")
    said: dict[Handler, Answers] = {
        open_session: answers(
            OpenedSession, "The authority map, and the trust before the first action.", status=201
        )
        | conflict("The session exists with another declaration, or the actor is of another kind.")
        | missing("The session that is named as the parent does not exist."),
        act: answers(Decision, "DECISION; the same action again gets the same.")
        | conflict("The session is closed, or another body came under this `action_id`."),
        observe: answers({"type": "object"}, "It will be taken into account.", status=202) | over,
        declare: answers(OpenedSession) | over,
        ask_scope: answers(ScopeAnswer) | over,
        answer_alternative: answers({"type": "object"}) | over,
        give_feedback: answers(FeedbackTaken) | over,
        close: answers(ClosedSession) | conflict("It was closed with another outcome."),
    }
    return tuple(
        # Analysts answer for what was done, and do nothing themselves.
        Route(
            method="POST",
            path=path,
            may="answer" if handler is give_feedback else "act",
            summary=summary,
            handler=handler,
            body=bodies.get(handler),
            answers=said[handler],
        )
        for path, summary, handler in doors
    )


async def _session(site: Site, request: web.Request, caller: Caller) -> str:
    """The session of the path; for an agent's token only when it is its own, else it does not exist for it."""
    session = request.match_info["session"]
    if caller.role != "agent":
        return session
    live = site.parts.assess.live.get(session)
    if live is not None:
        actor: str | None = live.actor.id
    else:
        async with site.parts.store.read() as connection:
            actor = await listings.session_actor(connection, session)
    if actor is None:
        raise NotFoundError(f"no session {session[:128]!r}")
    check_actor(caller, actor)
    return session


def _declaration(body: DeclaredBody) -> Declaration:
    return Declaration(text=body.text, family=body.family, tools=tuple(body.tools))
