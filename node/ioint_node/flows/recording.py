"""What happens in a session besides its actions, and the rows that it becomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from ioint_node.access.budget import to_json
from ioint_node.errors import ConflictError, TooLargeError, unknown_name
from ioint_node.flows.assessing import AssessParts, recall, warnings_of, write
from ioint_node.flows.decision import FORGOTTEN, evidence_text
from ioint_node.flows.journal import Entry, StreamEvent
from ioint_node.flows.live import Live
from ioint_node.scoring.concrete import concrete_of
from ioint_node.scoring.trust import DECIMALS, Evidence, after_all, lower_bound
from ioint_node.scoring.values import Declaration
from ioint_node.store.incidents import Hit
from ioint_node.store.responses import ACTIVE
from ioint_node.store.times import day_of, to_text

ENCODER = msgspec.json.Encoder()
_PERSON = "an analyst or administrator releases it"
# State of a halted actor → how it stands, and who ends that.
HALTED_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "suspended": ("is suspended", _PERSON),
    "relaunch": ("waits to be relaunched", f"its orchestrator reports that done, or {_PERSON}"),
    "killed": ("is killed", _PERSON),
}


def record(
    parts: AssessParts,
    live: Live,
    now: int,
    *,
    kind: str,
    body: object,
    evidence: Sequence[Evidence] = (),
) -> None:
    """Write an event that is no action, and what it says of the actor."""
    actor = live.actor
    actor.trust = after_all(actor.trust, evidence, now)
    at = to_text(now)
    entry = Entry(
        live=live,
        now=now,
        events=(event_row(live, kind, body, at),),
        session=session_row(live, at),
        trust=actor.trust if evidence else None,
        stream=changed(live, now, evidence_text(evidence)) if evidence else (),
    )
    write(parts, entry)


def changed(
    live: Live,
    now: int,
    reason: str = FORGOTTEN,
    *,
    lower: float | None = None,
    effect: float | None = None,
    why: str = "",
    pattern: str | None = None,
) -> tuple[StreamEvent, ...]:
    """What engines must hear of the actor's trust now; without `effect` the network's part stays as it is.

    `lower` spares computing the local lower bound where it is known already.
    """
    actor = live.actor
    moves = actor.moves(
        live.id,
        lower=round(lower_bound(actor.trust, now), DECIMALS) if lower is None else lower,
        effect=actor.effects.get(live.id, 0.0) if effect is None else effect,
        reason=reason,
        why=why,
        pattern=pattern,
    )
    return tuple(StreamEvent(event="trust", body=body) for body in moves)


def event_row(live: Live, kind: str, body: object, at: str) -> Mapping[str, Any]:
    """A row of `events`; `at` is RFC 3339 text."""
    return {
        "session_id": live.id,
        "kind": kind,
        "body": ENCODER.encode(body).decode(),
        "at": at,
    }


def match_row(live: Live, pattern: str, now: int, *, action_id: str = "") -> dict[str, Any]:
    """A row of `matches`: the session has completed a pattern, with an action or at some time before."""
    return {
        "pattern": pattern,
        "session_id": live.id,
        "actor": live.actor.id,
        "action_id": action_id,
        "day": day_of(now),
        "at": to_text(now),
        "judged": "open",
        "principal": live.principal,
    }


def hits_of(parts: AssessParts, live: Live, patterns: Iterable[str], found: str) -> tuple[Hit, ...]:
    """Those of the patterns that a session contains of which others warn, to be incidents."""
    warned = (
        belief for name in patterns if (belief := parts.beliefs.get(name)) is not None and belief.warned
    )
    return tuple(
        Hit(pattern=b.pattern, session_id=live.id, actor=live.actor.id, found=found, tier=b.tier)
        for b in warned
    )


def session_row(live: Live, at: str) -> dict[str, Any]:
    """What a row of `sessions` says at an instant, given as RFC 3339 text."""
    family, confidence = live.tracker.families[0]
    return {
        "session_id": live.id,
        "family": family,
        "family_confidence": confidence,
        "envelope": live.envelope_text(),
        "state": "open" if live.closed is None else "closed",
        "outcome": live.outcome,
        "verdict": live.tracker.verdict.value,
        "risk": live.tracker.session_risk,
        "actions": live.actions,
        "updated_at": at,
        "closed_at": None if live.closed is None else to_text(live.closed),
        "cleared": int(live.cleared),
    }


def opened(parts: AssessParts, live: Live, now: int) -> dict[str, Any]:
    """The answer to an opening or a declaration: the authority map, and the trust."""
    family, confidence = live.tracker.families[0]
    envelope, terms = live.tracker.envelope, live.terms(now)
    named = concrete_of(live.declaration, envelope, parts.mapper, parts.taxonomy)
    return {
        "session_id": live.id,
        "declared": {"family": family, "confidence": round(confidence, 4)},
        "envelope": {**envelope.to_json(), "concrete": named.to_json()},
        "trust": trust_of(live, now),
        "terms": {"session_s": terms.session_s, "approve": sorted(terms.approve)},
        "budget": to_json(live.budget, 0.0, terms, now),
        "fail_mode": parts.policy.fail_mode(enforced=live.enforced),
        "warnings": [*warnings_of(parts, live), *_halted_text(parts, live)],
    }


def _halted_text(parts: AssessParts, live: Live) -> tuple[str, ...]:
    """That the session's actor is halted, what follows, and who ends it."""
    state = parts.halted.state_of(live.actor.id)
    if state == ACTIVE:
        return ()
    stands, ends = HALTED_TEXTS[state]
    follows = "every action is refused" if live.enforced else "its actions still go on, as this node observes"
    return (f"this actor {stands}: {follows} until {ends}",)


async def recall_open(parts: AssessParts, session_id: str, now: int) -> Live:
    """An open session, from memory or the store, that may take one more event.

    Raises:
        NotFoundError: no such session.
        ConflictError: it is closed.
        TooLargeError: it has too many events.
    """
    live = await recall(parts, session_id, now)
    check_open(live)
    if live.events >= parts.limits.events:
        raise TooLargeError(f"session {session_id!r} has {live.events} events, the most that one may have")
    return live


def check_open(live: Live) -> None:
    """Refuse a session that is closed."""
    if live.closed is not None:
        raise ConflictError(f"session {live.id!r} is closed")


def check_family(parts: AssessParts, declaration: Declaration) -> None:
    """Refuse a family that the taxonomy does not have."""
    if declaration.family is not None and declaration.family not in parts.taxonomy.families:
        raise unknown_name("declared.family", declaration.family, parts.taxonomy.families, "families")


def trust_of(live: Live, now: int) -> dict[str, Any]:
    """TRUST of the session's actor, with what the network takes off in this session."""
    return live.trust_view(now, live.actor.effects.get(live.id, 0.0))
