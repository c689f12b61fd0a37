"""What the client decides by while no node answers: pure, with the time as an argument.

Nothing is ever allowed in silence. While the node is away an action is decided by the first of these that applies, and
the decision says which it was (`source`), how old what it rests on is (`age_s`), and why:

1. An actor that the node had halted stays halted; a session that was left with looking and deriving stays so.
2. A refusal is repeated: for the same call, and for every call of its kind by this actor under this declaration. A kind
   is tool, server, the shape of the arguments, and the abstract step that the taxonomy maps the call to.
3. An allowance is repeated for the very same call of the same session, for `cache_ttl_s` and no longer.
4. Else the fail mode that the node's operator set for the effect class of the step: `open` goes on, `closed` waits.

Trust fades to a newcomer's meanwhile and never rises.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from ioint_taxonomy import Taxonomy, load_taxonomy, map_call
from msgspec.structs import replace

from ioint_node.client.bodies import digest_of, shape_of
from ioint_node.client.limits import ClientLimits
from ioint_node.client.values import (
    AWAY,
    HALTS,
    HARMLESS,
    Decision,
    Network,
    Reason,
    Step,
    StreamEvent,
    Trust,
)

# Until a node has said what holds: the node's own defaults, with enforcing assumed.
FAIL_MODE: Final[Mapping[str, str]] = {
    "observe": "open",
    "derive": "open",
    "mutate": "open",
    "run": "open",
    "transfer": "open",
    "authority": "closed",
    "value": "closed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One call of a tool, as it is judged; `t` is seconds since its session began."""

    action_id: str
    tool: str
    server: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)
    t: float | None = None

    @property
    def step(self) -> Step:
        """The abstract step that the taxonomy maps this call to."""
        mapped = map_call(self.tool, server=self.server, arguments=self.arguments)
        return Step(
            verb=mapped.verb,
            resource=mapped.resource,
            sensitivity=mapped.sensitivity,
            boundary=mapped.boundary,
            confidence=mapped.confidence,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an action happens; `fail_mode` is what the node said for this session, None when it said nothing yet."""

    actor: str
    session: str
    family: str
    fail_mode: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    decision: Decision
    actor: str
    session: str
    at: float


class Remembered:
    """The newest decisions, at most `limits.decisions` of each kind; the least recently used are forgotten first."""

    def __init__(self, limits: ClientLimits) -> None:
        self._limits = limits
        self._calls: OrderedDict[bytes, _Known] = OrderedDict()
        self._kinds: OrderedDict[bytes, _Known] = OrderedDict()
        self._actors: OrderedDict[str, _Known] = OrderedDict()
        self._sessions: OrderedDict[str, _Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._calls)

    def learn(self, place: Place, action: Action, decision: Decision, now: float) -> None:
        """Take in what the node decided."""
        known = _Known(decision, place.actor, place.session, now)
        self._put(self._calls, _call_key(place, action), known)
        self._put(self._kinds, _kind_key(place, action), known)
        self._put(self._actors, place.actor, known)
        before = self._sessions.get(place.session)
        # A restricted session stays restricted until an action that changes something was allowed in it again.
        if (
            before is None
            or not _restricts(before.decision)
            or (decision.allowed and not _harmless(decision))
        ):
            self._put(self._sessions, place.session, known)

    def hear(self, event: StreamEvent, now: float) -> None:
        """Take in what the node told its subscribers: what no longer holds is forgotten."""
        actor = event.actor
        match event.event:
            case "trust":
                self._forget_allowed(actor)
            case "response" if actor is not None and event.data.get("mode") == "enforce":
                self._obey(actor, event.data.get("do") or (), now)
            case "reputation" | "reset":
                self._forget_allowed(None)
            case "withdrawal":
                pattern = event.data.get("pattern")
                for table in (self._calls, self._kinds):
                    _drop(table, lambda known: _warned_of(known.decision, pattern))

    def decide(self, place: Place, action: Action, now: float, away_s: float) -> Decision:
        """The decision on an action that no node answers; `away_s` is for how long none did."""
        kind = self._kinds.get(_kind_key(place, action))
        step = kind.decision.step if kind and kind.decision.step else action.step
        found = self._standing(place, step) or self._said_before(place, action, kind, now)
        if found is None:
            return self._by_fail_mode(place, action, step, now=now, away_s=away_s)
        known, why = found
        return self._repeat(known, action, step, now=now, why=why)

    def _standing(self, place: Place, step: Step) -> tuple[_Known, str] | None:
        """What holds for the whole actor or session."""
        actor = self._actors.get(place.actor)
        if actor is not None and _halts(actor.decision):
            return actor, "this actor was halted, and nobody says otherwise"
        session = self._sessions.get(place.session)
        if session is not None and _restricts(session.decision) and effect_of(step) not in HARMLESS:
            left = _Known(replace(session.decision, allowed=False), place.actor, place.session, session.at)
            return left, "this session was left with looking and deriving, and nobody says otherwise"
        return None

    def _said_before(
        self, place: Place, action: Action, kind: _Known | None, now: float
    ) -> tuple[_Known, str] | None:
        """What the node said of this call, or of one of its kind."""
        call = self._calls.get(_call_key(place, action))
        for known, what in ((call, "this call"), (kind, "a call of this kind")):
            if known and not known.decision.allowed and now - known.at <= self._limits.refusal_s:
                return known, f"the node refused {what} before"
        if call and call.session == place.session and now - call.at <= call.decision.cache_ttl_s:
            return call, "the node allowed this very call a moment ago"
        return None

    def _by_fail_mode(
        self, place: Place, action: Action, step: Step, *, now: float, away_s: float
    ) -> Decision:
        effect = effect_of(step)
        fail_mode = FAIL_MODE if place.fail_mode is None else place.fail_mode
        goes_on = fail_mode.get(effect, "closed") == "open"
        follows = "goes on" if goes_on else "waits"
        text = (
            f"no node has answered for {away_s:.0f} s: `{step.verb}` is of the class {effect}, "
            f"which {follows} meanwhile"
        )
        known = self._actors.get(place.actor)
        trust, network, age_s = self._faded(known, now)
        return Decision(
            action_id=action.action_id,
            allowed=goes_on,
            response="notify" if goes_on else "approve",
            mode=known.decision.mode if known else "enforce",
            step=step,
            reasons=(Reason(code=AWAY, text=text),),
            trust=trust,
            network=network,
            source="fail_mode",
            age_s=age_s,
        )

    def _repeat(self, known: _Known, action: Action, step: Step, *, now: float, why: str) -> Decision:
        # What the actor is trusted with was perhaps heard later than this decision.
        trust, network, _ = self._faded(self._actors.get(known.actor, known), now)
        return replace(
            known.decision,
            action_id=action.action_id,
            step=step,
            reasons=(Reason(code=AWAY, text=f"no node answers: {why}"), *known.decision.reasons),
            trust=trust,
            network=network,
            cache_ttl_s=0.0,
            source="cache",
            age_s=round(now - known.at, 3),
        )

    def _faded(self, known: _Known | None, now: float) -> tuple[Trust | None, Network | None, float]:
        if known is None:
            return None, None, 0.0
        age_s = round(now - known.at, 3)
        trust, network = known.decision.trust, known.decision.network
        if network is not None:
            network = replace(network, age_s=(network.age_s or 0.0) + age_s)
        return trust and trust.aged(age_s, self._limits.trust_half_life_s), network, age_s

    def _put(self, table: OrderedDict[Any, _Known], key: bytes | str, known: _Known) -> None:
        table[key] = known
        table.move_to_end(key)
        if len(table) > self._limits.decisions:
            table.popitem(last=False)

    def _forget_allowed(self, actor: str | None) -> None:
        _drop(self._calls, lambda known: known.decision.allowed and actor in {None, known.actor})

    def _obey(self, actor: str, do: object, now: float) -> None:
        asked = set(do) if isinstance(do, (list, tuple)) else set()
        if "resume" in asked:
            self._actors.pop(actor, None)
        elif halt := next((one for one in ("kill", "relaunch", "suspend") if one in asked), None):
            reason = Reason(code="halted", text="this actor is halted until a person releases it")
            ordered = Decision(action_id="", allowed=False, response=halt, reasons=(reason,))
            known = self._actors.get(actor)
            if known is not None:
                ordered = replace(ordered, trust=known.decision.trust, network=known.decision.network)
            self._put(self._actors, actor, _Known(ordered, actor, "", now))


def effect_of(step: Step) -> str:
    """The effect class of a step's verb; a verb that the taxonomy does not have may do anything, so it runs."""
    return _taxonomy().verbs.get(step.verb, "run")


@cache
def _taxonomy() -> Taxonomy:
    return load_taxonomy()


def _call_key(place: Place, action: Action) -> bytes:
    return digest_of(place.actor, place.family, action.tool, action.server, action.arguments)


def _kind_key(place: Place, action: Action) -> bytes:
    step, shape = action.step, shape_of(action.arguments)
    abstract = [step.verb, step.resource, step.sensitivity, step.boundary]
    return digest_of(place.actor, place.family, action.tool, action.server, shape, abstract)


def _halts(decision: Decision) -> bool:
    return not decision.allowed and decision.response in HALTS


def _restricts(decision: Decision) -> bool:
    return decision.mode == "enforce" and decision.response == "reduce"


def _harmless(decision: Decision) -> bool:
    return decision.step is not None and effect_of(decision.step) in HARMLESS


def _warned_of(decision: Decision, pattern: object) -> bool:
    return decision.network is not None and pattern in decision.network.patterns


def _drop(table: OrderedDict[bytes, _Known], holds: Callable[[_Known], bool]) -> None:
    for key in [key for key, known in table.items() if holds(known)]:
        del table[key]
