"""What a node answers, as values; fields that are not known here are passed over, so a newer node is understood."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

SHOWN_REASONS: Final = 3
AWAY: Final = "node_away"  # the code of the reason of every decision that no node made
HALTS: Final = frozenset({"suspend", "relaunch", "kill"})
HARMLESS: Final = frozenset({"observe", "derive"})  # the effect classes that change nothing
NEUTRAL: Final = 0.41  # the trust of an agent that nobody knows
_AUTONOMY: Final = (0.3, 0.5, 0.7, 0.9)
_FRICTION: Final = (0.5, 0.7)


class Answer(Struct, frozen=True, kw_only=True):
    """Something that a node said."""


class Trust(Answer, frozen=True):
    """Trust in an actor, each number 0…1; levels are read from `lower`."""

    score: float
    lower: float
    layers: Mapping[str, float] = {}
    friction: str = "strict"
    autonomy: int = 1
    used: float = 0.0

    def aged(self, age_s: float, half_life_s: float) -> Trust:
        """What is left of it after a time without a node: trust fades to a newcomer's, distrust stays as it was."""
        left = math.pow(0.5, age_s / half_life_s)

        def fade(value: float) -> float:
            return round(min(value, NEUTRAL + (value - NEUTRAL) * left), 4)

        lower = fade(self.lower)
        return msgspec.structs.replace(
            self,
            score=fade(self.score),
            lower=lower,
            layers={name: fade(value) for name, value in self.layers.items()},
            friction=("strict", "standard", "trusted")[bisect_right(_FRICTION, lower)],
            autonomy=1 + bisect_right(_AUTONOMY, lower),
            used=min(self.used, lower),
        )


class Network(Answer, frozen=True):
    """What other members say of what the session does; `age_s` since anything was heard of them."""

    effect: float = 0.0
    tier: str | None = None
    patterns: tuple[str, ...] = ()
    age_s: float | None = None


class Step(Answer, frozen=True):
    """An action in the words of the taxonomy."""

    verb: str
    resource: str
    sensitivity: str = "unknown"
    boundary: str = "unknown"
    provenance: str = "unknown"
    flow: tuple[int | str, ...] = ()
    confidence: float = 0.0


class Reason(Answer, frozen=True):
    """One thing that bore on a decision."""

    code: str
    weight: float = 0.0
    text: str = ""


class Intent(Answer, frozen=True):
    """A risky intent that an action may serve, with its probability."""

    id: str
    slug: str = ""
    p: float = 0.0


class Approval(Answer, frozen=True):
    """What waits for a person, or was decided by one."""

    id: str | None = None
    state: str = "waiting"
    expires_at: str | None = None


class Decision(Answer, frozen=True):
    """What to do with one action. `allowed` alone decides whether it is run.

    Attributes:
        source: who decided: the `node`; the client by an answer of the node that still holds (`cache`); or the client
            by the fail mode that the node's operator set (`fail_mode`). The last two only while no node answers.
        age_s: seconds since the node last said what the decision rests on; 0 where it decided itself.
        verdict: `in_scope`, `borderline`, `out_of_scope`; `unknown` where no node judged.
        trust: None where nothing is known of the actor yet.
    """

    action_id: str
    allowed: bool
    decision_id: str = ""
    verdict: str = "unknown"
    drift: float = 0.0
    wis: float = 0.0
    response: str = "none"
    mode: str = "enforce"
    step: Step | None = None
    reasons: tuple[Reason, ...] = ()
    intents: tuple[Intent, ...] = ()
    alternative: Mapping[str, Any] | None = None
    trust: Trust | None = None
    network: Network | None = None
    cache_ttl_s: float = 0.0
    budget: Mapping[str, Any] = {}
    approval: Approval | None = None
    warnings: tuple[str, ...] = ()
    source: Literal["node", "cache", "fail_mode"] = "node"
    age_s: float = 0.0

    @property
    def held(self) -> bool:
        """Whether the action waits for a person."""
        waits = self.approval is not None and self.approval.state == "waiting"
        return not self.allowed and self.response == "approve" and waits

    @property
    def why(self) -> str:
        """The weightiest reasons in a line, first of all that no node was asked."""
        first = sorted(self.reasons, key=lambda one: (one.code != AWAY, -abs(one.weight)))[:SHOWN_REASONS]
        return "; ".join(one.text for one in first if one.text) or f"{self.verdict}, {self.response}"


class Verdict(Answer, frozen=True):
    """What of a decision has to be understood, whatever else a newer node says."""

    action_id: str
    allowed: bool
    decision_id: str = ""
    verdict: str = "unknown"
    response: str = "none"
    mode: str = "enforce"

    def decision(self) -> Decision:
        """The decision without the rest."""
        return Decision(**{name: getattr(self, name) for name in self.__struct_fields__})


class Declared(Answer, frozen=True):
    """The family of intent that a session was understood to declare."""

    family: str = ""
    confidence: float = 0.0


class Opened(Answer, frozen=True):
    """What a session may do, before its first action: the authority map, trust, terms, and the fail mode."""

    session_id: str
    declared: Declared = Declared()
    envelope: Mapping[str, Any] = {}
    trust: Trust | None = None
    terms: Mapping[str, Any] = {}
    budget: Mapping[str, Any] = {}
    fail_mode: Mapping[str, str] | None = None
    warnings: tuple[str, ...] = ()


class ScopeAnswer(Opened, frozen=True):
    """Whether a session may have more scope: `granted`, `redeclare` (as one of `families`) or `person`."""

    state: str = ""
    request_id: str = ""
    families: tuple[str, ...] = ()
    proposal: str | None = None


class FeedbackAnswer(Answer, frozen=True):
    """Whether feedback counted."""

    counted: bool = False
    trust: Trust | None = None


class AlternativeAnswer(Answer, frozen=True):
    """The narrower alternative, and what was said to it."""

    accepted: bool = False
    alternative: Mapping[str, Any] | None = None
    trust: Trust | None = None


class Closed(Answer, frozen=True):
    """How a session ended."""

    session_id: str
    outcome: str = ""
    verdict: str = "unknown"
    risk: float = 0.0
    actions: int = 0
    patterns: tuple[str, ...] = ()
    trust: Trust | None = None


class StreamEvent(Answer, frozen=True):
    """One change that a node tells its subscribers; `data` is all that it says."""

    seq: int
    event: str
    data: Mapping[str, Any] = {}

    @property
    def actor(self) -> str | None:
        """Whom it is about, where it is about an actor."""
        found = self.data.get("actor")
        return found if isinstance(found, str) else None


class Snapshot(Answer, frozen=True):
    """One page of all indicators, and the `seq` after which changes follow."""

    seq: int
    items: tuple[Mapping[str, Any], ...] = ()
    policy: Mapping[str, Any] = {}
    next: str | None = None
