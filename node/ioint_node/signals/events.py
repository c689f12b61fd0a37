"""What a row of the stream is as a security event (CAEP 1.0), and what a stream says of itself (SSF 1.0).

row of the stream                      event               level
`reputation`, `withdrawal`: a pattern  risk-level-change   by the effect, which is what the node itself acts on:
or public package                                          LOW 0; MEDIUM, it asks for a step-up; HIGH from
                                                           .3, a consensus, it asks for a person
`trust`: a local actor                 risk-level-change   by the trust used: LOW from .7, MEDIUM from .3, else HIGH
`response`: suspend, relaunch, kill,   session-revoked     –
which is to be obeyed

CAEP knows three levels and no numbers, so the numbers are in the member `ioint`. What does not change the level is no
event, and neither is what a node that only observes would do. An event is a function of its row, so that it can be made
again after a crash, and is the same.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ioint_node.scoring.levels import AUTONOMY_STEPS
from ioint_node.scoring.response import CONSENSUS_EFFECT
from ioint_node.signals.subjects import Principal, actor, package, pattern

_CAEP: Final = "https://schemas.openid.net/secevent/caep/event-type/"
_SSF: Final = "https://schemas.openid.net/secevent/ssf/event-type/"
RISK: Final = f"{_CAEP}risk-level-change"
REVOKED: Final = f"{_CAEP}session-revoked"
VERIFICATION: Final = f"{_SSF}verification"
UPDATED: Final = f"{_SSF}stream-updated"
SUPPORTED: Final = (RISK, REVOKED)
"""The events that a receiver may ask for; the other two come unasked."""
ROWS: Final[Mapping[str, tuple[str, ...]]] = {
    RISK: ("reputation", "withdrawal", "trust"),
    REVOKED: ("response",),
}
"""The rows of the stream that may be each event."""
ENDING: Final = frozenset({"suspend", "relaunch", "kill"})
"""The responses that end what the actor is doing, in all its sessions."""
REASON_CHARS: Final = 1_024
Level = Literal["LOW", "MEDIUM", "HIGH"]
_LOW_FROM, _MEDIUM_FROM = AUTONOMY_STEPS[2], AUTONOMY_STEPS[0]
_NUMBERS: Final = ("state", "tier", "score", "confidence", "effect")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the stream; `at` in Unix milliseconds, `body` as `data:` has it, without the `seq`."""

    seq: int
    at: int
    event: str
    body: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event: its type, whom it is about, and its claims; `txn` is the same for what came of one cause."""

    type: str
    principal: Principal
    claims: Mapping[str, Any]
    txn: str
    at: int


def event_of(row: Row, issuer: str, *, person: bool = False) -> Event | None:
    """The event that a row is, None when it is none; `person` says that the actor that it names is a user."""
    if row.event in ("reputation", "withdrawal"):
        return _reputation(row)
    if row.event == "trust" and "actor" in row.body:
        return _trust(row, actor(row.body["actor"], issuer, person=person))
    if row.event == "response" and row.body.get("after") in ENDING and row.body.get("do"):
        return _revoked(row, actor(row.body["actor"], issuer, person=person))
    return None


def effect_level(effect: float) -> Level:
    """The level of what members report: by what it asks for of an action."""
    if effect <= 0.0:
        return "LOW"
    return "HIGH" if effect >= CONSENSUS_EFFECT else "MEDIUM"


def trust_level(trust: float) -> Level:
    """The level of an actor of so much trust, 0..1, the steps being those of the ladder of autonomy."""
    levels: tuple[Level, ...] = ("HIGH", "MEDIUM", "LOW")
    return levels[bisect_right((_MEDIUM_FROM, _LOW_FROM), trust)]


def _reputation(row: Row) -> Event | None:
    body = row.body
    before, after = effect_level(body["before"]), effect_level(body["after"])
    if before == after:
        return None
    if "pattern" in body:
        about = pattern(body["pattern"])
    elif str(body.get("label", "")).startswith("pkg:"):
        about = package(body["label"])
    else:
        return None
    numbers = {name: body[name] for name in _NUMBERS if name in body}
    return _risk(row, about, (before, after), body.get("reason") or f"state {body['state']}", numbers)


def _trust(row: Row, about: Principal) -> Event | None:
    body = row.body
    before, after = trust_level(body["before"]), trust_level(body["after"])
    if before == after:
        return None
    numbers = {
        "trust_before": body["before"],
        "trust": body["after"],
        **{name: body[name] for name in ("effect", "cause", "session_id") if body.get(name) is not None},
    }
    return _risk(row, about, (before, after), body.get("reason") or "trust moved", numbers)


def _risk(
    row: Row, about: Principal, levels: tuple[Level, Level], reason: str, numbers: Mapping[str, Any]
) -> Event:
    before, after = levels
    said = reason[:REASON_CHARS]
    claims = {
        "principal": about.entity,
        "current_level": after,
        "previous_level": before,
        "risk_reason": said,
        **_common(row, "policy", f"risk {before} to {after}: {said}"),
        "ioint": {"seq": row.seq, **numbers},
    }
    return Event(type=RISK, principal=about, claims=claims, txn=str(row.seq), at=row.at)


def _revoked(row: Row, about: Principal) -> Event:
    body = row.body
    by_person = body.get("by", "node") != "node"
    said = f"{body['after']}: {body.get('reason') or 'asked for'}"[:REASON_CHARS]
    named = ("after", "do", "response_id", "session_id", "action_id", "decision_id")
    more = {"response" if name == "after" else name: body[name] for name in named if body.get(name)}
    claims = {
        **_common(row, "admin" if by_person else "policy", said),
        "ioint": {"seq": row.seq, **more},
    }
    txn = str(body.get("decision_id") or body.get("response_id") or row.seq)
    return Event(type=REVOKED, principal=about, claims=claims, txn=txn, at=row.at)


def _common(row: Row, initiator: str, reason: str) -> dict[str, Any]:
    return {
        "event_timestamp": row.at // 1000,
        "initiating_entity": initiator,
        "reason_admin": {"en": reason},
    }
