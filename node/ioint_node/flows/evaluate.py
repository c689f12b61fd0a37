"""Evaluate: a question of a policy enforcement point becomes an action in a session, and its decision.

The standard (AuthZEN 1.0) asks without a session; a gateway that has one names it in `context.session_id`. Without one,
what an actor is asked about within an hour and under one declaration is one session. The base decision is the outer
boundary: the node tightens it and never widens it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ioint_node.errors import ConflictError, TooLargeError
from ioint_node.flows.assess import ActionRequest, AssessParts, OpenSession, act, open_session
from ioint_node.scoring.values import Declaration

HOUR_MS: Final = 3_600_000
SESSIONS_TRIED: Final = 32  # of one actor and hour, before it is told that it asks too much
CALLS: Final = "tools/call"  # of MCP: what is called is the resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One checked question; `base` is the decision of the outer boundary, `session_id` None where the caller has none.

    `action_id` names the question, so that asking again gets the same answer; None: each time it is a new one.
    """

    actor: str
    kind: str
    on_behalf_of: str | None
    tool: str
    server: str | None
    arguments: Mapping[str, Any] = field(repr=False)
    declared: Declaration
    session_id: str | None
    action_id: str | None
    base: bool
    by: str
    by_actor: bool


async def evaluate(parts: AssessParts, asked: Evaluation, now: int) -> dict[str, Any]:
    """The answer to a question: `decision`, and a `context` that says how it came about.

    Raises:
        RequestError: a field is malformed.
        NotFoundError: the session that it names is not there.
        ConflictError: the session is closed or another actor's, or another question came under this `action_id`.
        TooLargeError: a bound is exceeded.
        BusyError: too many writes wait.
    """
    action = ActionRequest(
        action_id=asked.action_id or f"az-{secrets.token_hex(8)}",
        tool=asked.tool,
        server=asked.server,
        arguments=asked.arguments,
    )
    if asked.session_id is not None:
        decided = await _within(parts, asked, asked.session_id, action, now)
        return answer_of(decided, base=asked.base, session_id=asked.session_id)
    for nth in range(SESSIONS_TRIED):
        session_id = session_of(asked, now, nth)
        try:
            decided = await _within(parts, asked, session_id, action, now)
        except (ConflictError, TooLargeError):
            # Closed, or as full as one may be: the hour's next.
            live = parts.live.get(session_id)
            if live is not None and live.closed is None and live.actions < parts.limits.actions:
                raise
            continue
        return answer_of(decided, base=asked.base, session_id=session_id)
    raise TooLargeError(
        f"subject: {SESSIONS_TRIED} sessions in this hour, the most without context.session_id"
    )


def session_of(asked: Evaluation, now: int, nth: int = 0) -> str:
    """The session of questions that name none: one an hour, actor and declaration, as the caller sees them."""
    said = (asked.by, asked.actor, asked.declared.family or "", asked.declared.text, now // HOUR_MS, nth)
    return f"az-{hashlib.sha256(repr(said).encode()).hexdigest()[:32]}"


def answer_of(decided: Mapping[str, Any], *, base: bool, session_id: str) -> dict[str, Any]:
    """The answer that a DECISION means within a base decision."""
    allowed = bool(decided["allowed"])
    kept = (
        "decision_id", "action_id", "verdict", "drift", "wis", "response", "mode", "step", "reasons", "alternative",
        "trust", "network", "cache_ttl_s", "approval",
    )  # fmt: skip
    context = {"base_decision": base, "session_id": session_id, **{name: decided[name] for name in kept}}
    return {"decision": base and allowed, "context": context}


async def _within(
    parts: AssessParts, asked: Evaluation, session_id: str, action: ActionRequest, now: int
) -> dict[str, Any]:
    live = parts.live.get(session_id)
    if live is None:
        opening = OpenSession(
            actor=asked.actor,
            declared=asked.declared,
            session_id=session_id,
            kind=asked.kind,
            on_behalf_of=asked.on_behalf_of,
            by_actor=asked.by_actor,
        )
        await _begin(parts, opening, now)
    elif live.actor.id != asked.actor:
        raise ConflictError("context.session_id: the session is another actor's")
    return await act(parts, session_id, action, now)


async def _begin(parts: AssessParts, opening: OpenSession, now: int) -> None:
    """Open the session, or find it as somebody opened it before: with another declaration, it may be."""
    try:
        await open_session(parts, opening, now)
    except ConflictError:
        live = parts.live.get(opening.session_id or "")
        if live is None or live.actor.id != opening.actor or live.closed is not None:
            raise
