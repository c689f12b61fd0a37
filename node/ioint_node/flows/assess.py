"""Assess: a session is opened, acts, and is closed; every action is answered from memory.

An answer is never waited for by a peer, and never waits for one. What an action writes (its event, the decision,
matched patterns, trust, rows for engines, what others may want to hear) is one entry of the journal, and is on disk
a few milliseconds later; `durable` waits for that. Posting an action again after a crash is harmless: its
`action_id` finds the same answer, or none and then it is decided now.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import asdict
from functools import reduce
from typing import Any

import msgspec

from ioint_node.errors import ConflictError, NotFoundError, TooLargeError
from ioint_node.flows.acting import decide
from ioint_node.flows.assessing import (
    AssessParts,
    find_live,
    find_live_actor,
    matcher_of,
    recall,
    start_tracker,
    write,
)
from ioint_node.flows.decision import evidence_text
from ioint_node.flows.journal import Entry, Judged, LocalSighting
from ioint_node.flows.live import Live, LiveActor
from ioint_node.flows.recording import (
    changed,
    check_family,
    check_open,
    opened,
    recall_open,
    record,
    session_row,
    trust_of,
)
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
    composition_of,
)
from ioint_node.flows.scope import answer_alternative, declare, scope_request
from ioint_node.scoring.evidence import of_close, of_feedback
from ioint_node.scoring.trust import DECIMALS, after, lower_bound, new_trust, recomposed
from ioint_node.scoring.values import Event, Verdict
from ioint_node.store.sessions import find_decision, idle_sessions
from ioint_node.store.times import day_of, to_text

__all__ = [
    "ActionRequest",
    "AssessParts",
    "Feedback",
    "LocalSighting",
    "OpenSession",
    "ScopeRequest",
    "SessionLimits",
    "act",
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
    opening = _opening_text(request)
    session_id = request.session_id or secrets.token_hex(16)
    async with parts.live.loading:
        existing = await find_live(parts, session_id, now)
        if existing is not None:
            return _opened_again(parts, existing, request, opening, now)
        actor = await find_live_actor(parts, request.actor, now) or _new_actor(parts, request, now)
        return _open(parts, request, actor, now, session_id=session_id, opening=opening)


async def act(parts: AssessParts, session_id: str, request: ActionRequest, now: int) -> dict[str, Any]:
    """Decide on one action: DECISION of the contract.

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
        decision, entry = decide(parts, live, request, digest, now)
        written = write(parts, entry)
    except BaseException:
        # The tracker may have seen an action that nobody was answered: memory starts over from the disk.
        parts.live.forget(live)
        raise
    if request.durable:
        await asyncio.shield(written)
    return decision


async def observe(parts: AssessParts, session_id: str, event: Event, now: int) -> None:
    """Take in what happened between actions: a prompt, a result, a response.

    Raises:
        RequestError: a field is malformed.
        NotFoundError: no such session.
        ConflictError: the session is closed.
        TooLargeError: a bound is exceeded.
    """
    check_event(event, parts.limits)
    live = await recall_open(parts, session_id, now)
    try:
        live.follow(event)
        record(parts, live, now, kind=event.kind, body=event)
    except BaseException:
        parts.live.forget(live)
        raise


async def feedback(
    parts: AssessParts, session_id: str, given: Feedback, now: int, *, by_actor: bool = False
) -> dict[str, Any]:
    """Take what a person or a check says, also of a closed session; each kind counts once per action.

    What an actor says of itself (`by_actor`) is kept and counts for nothing.

    Raises:
        RequestError: a field is malformed or contradicts another.
        NotFoundError: no such session, or no such action in it.
        TooLargeError: a bound is exceeded.
    """
    check_feedback(given)
    live = await recall(parts, session_id, now)
    if given.action_id is not None and given.action_id not in live.hashes:
        raise NotFoundError(f"no action {given.action_id!r} in session {session_id!r}")
    key = (given.kind, given.action_id, by_actor)
    known = key in live.feedbacks
    if len(live.feedbacks) >= parts.limits.feedbacks:
        raise TooLargeError(
            f"session {session_id!r} has {len(live.feedbacks)} answers, the most that one may have"
        )
    if not known:
        live.feedbacks.add(key)
        evidence = () if by_actor else of_feedback(given.kind, positive=given.positive)
        body = {**asdict(given), "by_actor": by_actor}
        record(parts, live, now, kind="feedback", body=body, evidence=evidence)
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
        _close(parts, live, outcome, now)
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


def _new_actor(parts: AssessParts, request: OpenSession, now: int) -> LiveActor:
    trust = new_trust(request.kind, composition_of(request, parts.limits), now)
    return LiveActor(id=request.actor, trust=trust, told_lower=round(lower_bound(trust, now), DECIMALS))


def _open(
    parts: AssessParts, request: OpenSession, actor: LiveActor, now: int, *, session_id: str, opening: str
) -> dict[str, Any]:
    if actor.trust.kind != request.kind:
        raise ConflictError(f"actor.kind: {request.actor!r} is known as {actor.trust.kind}")
    if len(actor.open_sessions) >= parts.limits.open_per_actor:
        raise TooLargeError(f"{request.actor!r} has {len(actor.open_sessions)} sessions open: close some")
    matcher = matcher_of(parts, now)
    live = Live(
        id=session_id,
        actor=actor,
        tracker=start_tracker(parts, request.declared, matcher),
        matcher=matcher,
        opening=opening,
        declared=now,
    )
    before = actor.trust
    actor.trust = recomposed(before, composition_of(request, parts.limits), now)
    actor.open_sessions.add(session_id)
    parts.live.put_actor(actor)
    parts.live.put(live)
    text = evidence_text((), changed=actor.trust is not before)
    at = to_text(now)
    row = {
        **session_row(live, at),
        "id": session_id,
        "actor": actor.id,
        "declaration": opening,
        "parent": None if request.parent is None else msgspec.json.encode(request.parent).decode(),
        "opened_at": at,
    }
    del row["session_id"]
    # A new actor is written even though its trust has not moved.
    write(parts, Entry(live=live, now=now, opened=row, trust=actor.trust, stream=changed(live, now, text)))
    return opened(parts, live, now)


def _opened_again(
    parts: AssessParts, live: Live, request: OpenSession, opening: str, now: int
) -> dict[str, Any]:
    if live.closed is not None:
        raise ConflictError(f"session_id: {live.id!r} is closed")
    if live.actor.id != request.actor or live.opening != opening:
        raise ConflictError(f"session_id: {live.id!r} was opened with another body")
    return opened(parts, live, now)


def _opening_text(request: OpenSession) -> str:
    value = {**asdict(request.declared), "on_behalf_of": request.on_behalf_of}
    return msgspec.json.encode(value).decode()


def _close(parts: AssessParts, live: Live, outcome: str, now: int) -> None:
    actor = live.actor
    evidence = of_close(
        live.tracker.verdict, outcome, actions=live.actions, composed=bool(actor.trust.composition)
    )
    actor.trust = reduce(lambda trust, one: after(trust, one, now), evidence, actor.trust)
    actor.open_sessions.discard(live.id)
    live.closed, live.outcome = now, outcome
    flagged = live.tracker.verdict is Verdict.OUT_OF_SCOPE
    # A session that did nothing says nothing of how rare a pattern is.
    judged = (
        Judged(patterns=tuple(live.completed), flagged=flagged, day=day_of(now)) if live.actions else None
    )
    ended = "a session that matched a reported pattern has ended"
    entry = Entry(
        live=live,
        now=now,
        session=session_row(live, to_text(now)),
        trust=actor.trust if evidence else None,
        stream=changed(live, now, evidence_text(evidence), effect=0.0, why=ended),
        judged=judged,
    )
    write(parts, entry)


async def _answer_again(
    parts: AssessParts, live: Live, request: ActionRequest, *, same: bool
) -> dict[str, Any]:
    if not same:
        raise ConflictError(f"action_id: {request.action_id!r} was posted before with another body")
    body = live.answers.get(request.action_id)
    if live.written is not None and (request.durable or body is None):
        await asyncio.shield(live.written)
    if body is None:
        async with parts.store.read() as connection:
            body = await find_decision(connection, live.id, request.action_id)
    if body is None:
        raise ConflictError(
            f"action_id: {request.action_id!r} was answered, but its answer is no longer kept"
        )
    answer: dict[str, Any] = msgspec.json.decode(body)
    return answer
