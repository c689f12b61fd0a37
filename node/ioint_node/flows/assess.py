"""Assess: a session is opened, acts, and is closed; every action is answered from memory.

An answer is never waited for by a peer, and never waits for one. What an action writes (its event, the decision,
matched patterns, trust, rows for engines, what others may want to hear) is one entry of the journal, and is on disk
a few milliseconds later. `durable` waits for that, and so does what must not be lost: that an approval was used, that
an actor is halted, and every decision while it is not known whether writes that failed succeed again. Posting an action
again after a crash is harmless: its `action_id` finds the same answer, or none and then it is decided now.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import asdict, replace
from typing import Any

import msgspec

from ioint_node.errors import ConflictError, NotFoundError, TooLargeError
from ioint_node.flows.acting import decide
from ioint_node.flows.assessing import (
    AssessParts,
    find_live,
    find_live_actor,
    recall,
    trace_lineage,
    write,
)
from ioint_node.flows.closing import clear, end
from ioint_node.flows.journal import Entry, LocalSighting
from ioint_node.flows.live import Live
from ioint_node.flows.observations import observe_outside, said_in_session
from ioint_node.flows.opening import (
    begin,
    begun_before,
    credential_evidence,
    made_of,
    new_actor,
    principal_of,
)
from ioint_node.flows.recording import check_family, check_open, recall_open, record, trust_of
from ioint_node.flows.requests import (
    ActionRequest,
    Feedback,
    OpenSession,
    ScopeRequest,
    SessionLimits,
    check_action,
    check_event,
    check_feedback,
    check_opening,
    check_outcome,
    says_right,
)
from ioint_node.flows.scope import answer_alternative, declare, scope_request
from ioint_node.scoring.evidence import of_feedback
from ioint_node.scoring.values import Event
from ioint_node.store.sessions import find_decision, idle_sessions

CLAIMED = "claimed"  # the role of what an actor says that its principal said

__all__ = [
    "ActionRequest",
    "AssessParts",
    "Feedback",
    "LocalSighting",
    "OpenSession",
    "ScopeRequest",
    "SessionLimits",
    "act",
    "answer",
    "answer_alternative",
    "close",
    "close_idle",
    "declare",
    "feedback",
    "observe",
    "open_session",
    "scope_request",
]


async def open_session(parts: AssessParts, request: OpenSession, now: int) -> dict[str, Any]:
    """Begin a session: the authority map and the trust, before the first action.

    Opening it again with the same body answers the same.

    Raises:
        RequestError: a field is malformed.
        ConflictError: the session exists with another body, is closed, or the actor is of another kind.
        TooLargeError: a bound is exceeded, or the actor has too many sessions open.
    """
    check_opening(request, parts.limits)
    check_family(parts, request.declared)
    session_id = request.session_id or secrets.token_hex(16)
    async with parts.live.loading:
        existing = await find_live(parts, session_id, now)
        if existing is not None:
            return begun_before(parts, existing, request, now)
        actor = await find_live_actor(parts, request.actor, now) or new_actor(request, now)
        lineage = None
        if request.parent is not None:
            above = request.parent["session_id"]
            lineage = await trace_lineage(parts, above, actor=actor.id, session_id=session_id)
        evidence = await credential_evidence(parts, actor, lineage, now)
        trust = await made_of(parts, actor, request, now)
        about = await principal_of(parts, actor, request)
        return begin(
            parts,
            request,
            actor,
            session_id=session_id,
            trust=trust,
            evidence=evidence,
            lineage=lineage,
            principal=about,
            now=now,
        )


async def act(parts: AssessParts, session_id: str, request: ActionRequest, now: int) -> dict[str, Any]:
    """Decide on one action: DECISION of the contract, as `answer` gives it."""
    decision: dict[str, Any] = msgspec.json.decode(await answer(parts, session_id, request, now))
    return decision


async def answer(parts: AssessParts, session_id: str, request: ActionRequest, now: int) -> str:
    """Decide on one action: the JSON text of DECISION, the same for the same action.

    Raises:
        RequestError: a field is malformed.
        NotFoundError: no such session.
        ConflictError: the session is closed, or another body came under this `action_id`.
        TooLargeError: a bound is exceeded.
        BusyError: too many writes wait.
    """
    digest = check_action(request, parts.limits)
    live = parts.live.get(session_id) or await recall(parts, session_id, now)
    if (known := live.hashes.get(request.action_id)) is not None:
        return await _answer_again(parts, live, request, same=known == digest)
    check_open(live)
    if live.actions >= parts.limits.actions or live.events >= parts.limits.events:
        raise TooLargeError(f"session {session_id!r} has {live.actions} actions, the most that one may have")
    try:
        body, entry = decide(parts, live, request, digest, now)
        written = write(parts, entry)
    except BaseException:
        # The tracker may have seen an action that nobody was answered: memory starts over from the disk.
        parts.live.forget(live)
        raise
    if request.durable or _must_last(entry) or parts.store.doubted:
        await asyncio.shield(written)
    return body


async def observe(
    parts: AssessParts, session_id: str, event: Event, now: int, *, by: str = "", by_actor: bool = False
) -> None:
    """Take in what happened between actions: a prompt, a result, a response, an observation from outside.

    `by` is who says it, as the node knows it; an observation that the actor makes of itself may only count against it.
    Where decisions are enforced, what an actor says that its principal asked (a prompt with the actor's own token) is
    its own word: it is kept as such, and widens nothing.

    Raises:
        RequestError: a field is malformed.
        NotFoundError: no such session.
        ConflictError: the session is closed.
        TooLargeError: a bound is exceeded.
    """
    check_event(event, parts.limits)
    live = await recall_open(parts, session_id, now)
    said = None
    if event.kind == "observation":
        who = live.actor.id
        said = said_in_session(
            event.data, actor=who, session_id=live.id, action_id=event.action_id, by=by, own=by_actor
        )
    if by_actor and live.enforced and event.kind == "prompt" and event.role != "memory":
        event = replace(event, kind="response", role=CLAIMED)
    try:
        live.follow(event)
        live.hear(event)
        record(parts, live, now, kind=event.kind, body=event)
    except BaseException:
        parts.live.forget(live)
        raise
    if said is not None:
        await observe_outside(parts, said, now)


async def feedback(
    parts: AssessParts,
    session_id: str,
    given: Feedback,
    now: int,
    *,
    by: str = "",
    by_actor: bool = False,
    by_person: bool = False,
) -> dict[str, Any]:
    """Take what a person or a check says, also of a closed session; the same said again counts once, whoever says it.

    `by` is who says it, as the node knows it. What an actor says of itself (`by_actor`) is kept and counts for nothing.
    The approval of a person (`by_person`) is a look at the actor: its trust budget is whole again.

    Raises:
        RequestError: a field is malformed or contradicts another.
        NotFoundError: no such session, or no such action in it.
        TooLargeError: a bound is exceeded.
    """
    check_feedback(given)
    live = await recall(parts, session_id, now)
    if given.action_id is not None and given.action_id not in live.hashes:
        raise NotFoundError(f"no action {given.action_id!r} in session {session_id!r}")
    key = (given.kind, given.action_id, given.positive, by_actor)
    known = key in live.feedbacks
    if given.kind == "approve" and by_person and live.closed is None:
        live.renew(now, by_person=True)
    if not known:
        heard = sum(own is by_actor for *_, own in live.feedbacks)
        most = parts.limits.own_feedbacks if by_actor else parts.limits.feedbacks
        if heard >= most:
            raise TooLargeError(f"session {session_id!r} has {heard} answers, the most that one may have")
        live.feedbacks.add(key)
        nth = heard + 1
        counted = () if by_actor else of_feedback(given.kind, positive=given.positive, source=by, nth=nth)
        body = {**asdict(given), "by": by, "by_actor": by_actor, "by_person": by_person}
        record(parts, live, now, kind="feedback", body=body, evidence=counted)
    if by_person and says_right(given.kind, given.action_id, positive=given.positive):
        await clear(parts, live, given.action_id or "")
    return {
        "session_id": session_id,
        "kind": given.kind,
        "positive": given.positive,
        "counted": not known and not by_actor,
        "trust": trust_of(live, now),
    }


async def close(parts: AssessParts, session_id: str, outcome: str, now: int) -> dict[str, Any]:
    """End a session: it is judged, and trust takes in what it says. Closing it again the same way answers the same.

    Raises:
        RequestError: no such outcome.
        NotFoundError: no such session.
        ConflictError: it was closed with another outcome.
        BusyError: too many writes wait.
    """
    check_outcome(outcome)
    live = await recall(parts, session_id, now)
    if live.closed is None:
        end(parts, live, outcome, now)
    elif live.outcome != outcome:
        raise ConflictError(f"session {session_id!r} was closed as {live.outcome}")
    return {
        "session_id": session_id,
        "state": "closed",
        "outcome": outcome,
        "verdict": live.tracker.verdict.value,
        "risk": round(live.tracker.session_risk, 4),
        "actions": live.actions,
        "patterns": list(live.completed),
        "trust": trust_of(live, now),
    }


async def close_idle(parts: AssessParts, now: int) -> int:
    """Close sessions in which nothing has happened for too long as given up, a bounded number, and count them."""
    async with parts.store.read() as connection:
        idle = await idle_sessions(connection, now - parts.limits.idle_ms)
    for session_id in idle:
        await close(parts, session_id, "aborted", now)
    return len(idle)


def _must_last(entry: Entry) -> bool:
    """Whether losing this decision would undo what was said with it: a used approval, or that an actor is halted."""
    return entry.used is not None or (entry.order is not None and entry.order.halt is not None)


async def _answer_again(parts: AssessParts, live: Live, request: ActionRequest, *, same: bool) -> str:
    if not same:
        raise ConflictError(f"action_id: {request.action_id!r} was posted before with another body")
    body = live.answers.get(request.action_id)
    if live.written is not None:
        # Whoever asks again is told nothing that the first one still waits for.
        await asyncio.shield(live.written)
    if body is None:
        async with parts.store.read() as connection:
            body = await find_decision(connection, live.id, request.action_id)
    if body is None:
        raise ConflictError(
            f"action_id: {request.action_id!r} was answered, but its answer is no longer kept"
        )
    return body
