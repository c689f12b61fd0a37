"""What happens around an actor, as evidence for or against it: facts in, evidence out.

Harm counts at once, good only when the session is closed. Evidence is weighted, never yes or no. A pattern counts and
one anomaly does not: the first borderline action of a session costs nothing, nor does the first sign of each kind;
later ones cost a little, and each kind stops counting after a few, so that one bad session is one bad session. What is
not known says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from ioint_node.scoring.held import COMPONENTS
from ioint_node.scoring.levels import CHANGES
from ioint_node.scoring.observations import KINDS, Observation, concern_of
from ioint_node.scoring.trust import ATTACK, CLEAN, Evidence, voice_of
from ioint_node.scoring.values import NOTHING_AROUND, Surroundings, Verdict

DEPARTURES_COUNTED = 4  # per session
DOUBTS_COUNTED = 6  # per session
WIDENINGS_FREE = 1
WIDENINGS_COUNTED = 5  # per session
SIGNS_FREE = 1  # of each kind, per session
SIGNS_COUNTED = 5  # of each kind, per session
SIGN_FROM = 0.5  # strength from which a sign is one
ALTERNATIVES_COUNTED = 4  # per session
ANSWERS_COUNTED = 8  # per session
BURST_FROM, BURST_FULL = 10, 30  # consequential actions within a minute
OVER_FULL = 2  # ranks of sensitivity beyond the envelope
UNNAMED_COMPOSITION = (
    0.7  # what a session says of the identity of an actor that does not say what it is made of
)
DELEGATED = 0.8  # the same, for each further agent between the person and the actor
HABIT = 0.25  # units at most, for each good habit that a session shows
UNLIKE = 0.1  # units at most, for a session unlike the actor's earlier ones
STALE_FROM_DAYS, STALE_FULL_DAYS = 90, 365
SETTLED_DAYS = 30  # a credential that is younger says less for its actor
UNBOUND = 0.3
FEEDBACK_WEIGHTS = {
    "approve": 0.5,
    "reject": 0.5,
    "override": 0.25,
    "correct": 0.25,
    "satisfied": 1.0,
    "dissatisfied": 1.0,
    "validation": 1.0,
}
_FEEDBACK_COMPONENTS: Final = {
    "satisfied": "satisfaction",
    "dissatisfied": "satisfaction",
    "validation": "validation",
}
_OBSERVED: Final = "observed_"
# What an observation of these kinds is, when somebody else makes it: an answer that could have been negative.
_ANSWERS: Final = {"satisfaction": "feedback", "validation": "validation"}


@dataclass(frozen=True, slots=True)
class Sign:
    """Something about an action that is unusual: where it counts, its units at full strength, and what it says."""

    component: str
    weight: float
    text: str


SIGNS: Final[Mapping[str, Sign]] = MappingProxyType(
    {
        "burst": Sign("baseline", 0.3, "many consequential actions came within a minute"),
        "habit": Sign("baseline", 0.1, "actions were unlike what this actor has done before"),
        "pace": Sign("baseline", 0.1, "actions came faster, or with more tokens, than this actor's do"),
        "injection": Sign("injection", 0.3, "actions followed an order that was read in content"),
        "hours": Sign("circumstances", 0.1, "actions came at an hour at which this actor does not work"),
        "sensitivity": Sign(
            "sensitivity", 0.3, "data more sensitive than the declared intent needs was touched"
        ),
        "lineage": Sign("topic", 0.3, "actions left the intent of the request that started the chain"),
        "delegator": Sign("delegation", 0.5, "the session that delegated had left its own intent"),
    }
)
_TEXTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        ATTACK: "the risk of a session became clear",
        "out_of_scope": "an action left the declared intent",
        "borderline": "repeated actions at the edge of the declared intent",
        CLEAN: "a session ended inside its declared intent",
        "failed_session": "a session failed",
        "alternative_accepted": "a narrower alternative was accepted",
        "alternative_refused": "a narrower alternative was refused",
        "repeated_widening": "more scope was asked for again within a session",
        "feedback": "feedback on a session",
        "validation": "a validation of a session's result",
        "scope_used": "a session used most of the scope that it was given",
        "reverted": "a session took its changes back",
        "consistent": "a session resembled the actor's earlier ones",
        "inconsistent": "a session was unlike the actor's earlier ones",
        "credential": "age, rotation and binding of the credential",
        "certificate": "the time that the credential is still good for",
        "authentication": "how the person behind the session signed in",
        "delegation": "how many agents stand between the person and the actor",
        **{name: sign.text for name, sign in SIGNS.items()},
    }
)


class ActionFacts(Struct, frozen=True, kw_only=True):
    """What bears on trust in one action that was judged.

    Attributes:
        verdict: how it stands to the declared intent.
        departures: actions out of scope in this session, this one included.
        doubts: borderline actions in this session, this one included.
        first_clear: with this action the risk of the session became clear.
        effect_class: of its verb, in the taxonomy.
        burst: consequential actions of the actor within the last minute, this one included.
        surroundings: what bore on it from outside the session.
        injection: how strongly an order in content bears on it, 0..1.
        over: ranks by which the data is more sensitive than the envelope allows.
        seen: how often each of `SIGNS` was there in earlier actions of this session.
    """

    verdict: Verdict
    departures: int = 0
    doubts: int = 0
    first_clear: bool = False
    effect_class: str = "observe"
    burst: int = 0
    surroundings: Surroundings = NOTHING_AROUND
    injection: float = 0.0
    over: int = 0
    seen: Mapping[str, int] = {}


class SessionFacts(Struct, frozen=True, kw_only=True):
    """What a whole session says when it is closed.

    Attributes:
        verdict: the worst one.
        outcome: done, failed or aborted.
        actions: how many there were.
        composed: the actor said what it is made of.
        depth: agents between the person and the actor.
        widenings: how often more scope was asked for.
        used_share: the part 0..1 of the envelope that it used, or None.
        mutations: changes that it made.
        reverted: of these, changes that it took back after it had read what they did.
        consistency: likeness 0..1 to the actor's earlier sessions in time, systems and shape, or None.
    """

    verdict: Verdict
    outcome: str
    actions: int
    composed: bool = False
    depth: int = 0
    widenings: int = 0
    used_share: float | None = None
    mutations: int = 0
    reverted: int = 0
    consistency: float | None = None


class CredentialFacts(Struct, frozen=True, kw_only=True):
    """What is known of the credential that a session was opened with; None where nothing is.

    Attributes:
        age_days: since it was issued.
        rotated_days: since it was last rotated.
        expires_in_days: until it ends; below 0 it has ended.
        bound: it is good for this actor alone.
        mfa: the delegating person signed in with more than one factor.
        depth: agents between the person and the actor.
    """

    age_days: float | None = None
    rotated_days: float | None = None
    expires_in_days: float | None = None
    bound: bool | None = None
    mfa: bool | None = None
    depth: int | None = None


def of_action(facts: ActionFacts) -> tuple[Evidence, ...]:
    """What one action says; nothing, for most."""
    found = []
    if facts.verdict is Verdict.OUT_OF_SCOPE:
        if facts.departures <= DEPARTURES_COUNTED:
            found.append(_bad("out_of_scope", "conduct", 1.0 if facts.departures == 1 else 0.5))
        if facts.departures == 1:
            found.append(_bad("out_of_scope", "completion", 0.5))
        if facts.first_clear:
            found.append(_bad(ATTACK, "attacks", 2.0))
    elif facts.verdict is Verdict.BORDERLINE and 1 < facts.doubts <= DOUBTS_COUNTED:
        found.append(_bad("borderline", "conduct", 0.1))
    for name, strength in _strengths(facts):
        if SIGNS_FREE <= facts.seen.get(name, 0) < SIGNS_FREE + SIGNS_COUNTED:
            sign = SIGNS[name]
            found.append(_bad(name, sign.component, sign.weight * strength, worsens=True))
    return tuple(found)


def signs_of(facts: ActionFacts) -> tuple[str, ...]:
    """The signs that this action shows, for `ActionFacts.seen` of the next."""
    return tuple(name for name, _ in _strengths(facts))


def of_close(facts: SessionFacts) -> tuple[Evidence, ...]:
    """What a whole session says: its worst verdict, its outcome, and the habits that it shows.

    A session that did nothing, or was given up, says nothing.
    """
    if not facts.actions or facts.outcome == "aborted":
        return ()
    if facts.verdict is Verdict.OUT_OF_SCOPE:
        return (_bad("failed_session", "success", 0.5),) if facts.outcome == "failed" else ()
    share = 1.0 if facts.verdict is Verdict.IN_SCOPE else 0.5
    identity = DELEGATED ** max(0, facts.depth - 1) * (1.0 if facts.composed else UNNAMED_COMPOSITION)
    found = [
        _good(CLEAN, "history", share * identity),
        _good(CLEAN, "conduct", share),
        _good(CLEAN, "completion", share),
    ]
    if facts.outcome == "done":
        found.append(_good(CLEAN, "success", share))
    else:
        found.append(_bad("failed_session", "success", 0.25))
    return (*found, *_habits(facts))


def of_alternative(*, accepted: bool, nth: int = 1) -> tuple[Evidence, ...]:
    """Taking the narrower way speaks for an actor, a few times a session (`nth`), and refusing it a little against."""
    if accepted and nth > ALTERNATIVES_COUNTED:
        return ()
    if accepted:
        return (_good("alternative_accepted", "alternatives", 0.25),)
    return (_bad("alternative_refused", "alternatives", 0.1),)


def of_widening(widenings: int) -> tuple[Evidence, ...]:
    """Asking for more scope is normal once in a session; repeated expansion costs."""
    if WIDENINGS_FREE < widenings <= WIDENINGS_COUNTED:
        return (_bad("repeated_widening", "minimality", 0.2),)
    return ()


def of_feedback(kind: str, *, positive: bool, source: str = "", nth: int = 1) -> tuple[Evidence, ...]:
    """What somebody else, a person or a check, answered: the evidence that could have been negative.

    Args:
        kind: one of `FEEDBACK_WEIGHTS`.
        positive: whether it speaks for the actor.
        source: who answered, as the node knows it; never the actor itself.
        nth: the how manieth answer of this session it is. Only what speaks for the actor stops counting: else praise
            could use up the room for blame.
    """
    if positive and nth > ANSWERS_COUNTED:
        return ()
    return (
        Evidence(
            kind="validation" if kind == "validation" else "feedback",
            component=_FEEDBACK_COMPONENTS.get(kind, "answers"),
            weight=FEEDBACK_WEIGHTS[kind],
            positive=positive,
            voice=voice_of(source),
        ),
    )


def of_credential(facts: CredentialFacts) -> tuple[Evidence, ...]:
    """What the credential of a session says of the identity: statements, of which the newest holds."""
    found = []
    if facts.age_days is not None:
        fresh = min(facts.age_days, facts.age_days if facts.rotated_days is None else facts.rotated_days)
        stale = _ramp(fresh, STALE_FROM_DAYS, STALE_FULL_DAYS)
        against = max(stale, UNBOUND if facts.bound is False else 0.0)
        settled = _ramp(facts.age_days, 0.0, SETTLED_DAYS) if facts.bound else 0.0
        found.append(
            _bad("credential", "credential", 0.5 * against)
            if against
            else _good("credential", "credential", 0.5 * settled)
        )
    for kind, value in (("certificate", facts.expires_in_days), ("mfa", facts.mfa)):
        if value is not None:
            spec = KINDS[kind]
            held = min(spec.high, max(spec.low, float(value)))
            praise = spec.praise if spec.is_sound(held) else 0.0
            found.append(_stated(spec.component, spec.weight * spec.concern(held), praise))
    if facts.depth is not None:
        found.append(_stated("delegation", min(1.0, 0.25 * max(0, facts.depth - 1)), 0.0))
    return tuple(found)


def of_observation(
    observation: Observation, now: int, *, by: str = "", by_actor: bool = False, nth: int = 1
) -> tuple[Evidence, ...]:
    """What an observation from outside says of its actor; nothing once it has expired.

    Args:
        observation: a checked one.
        now: Unix milliseconds.
        by: who sent it, as the node knows it; the observation's own `source` may be invented.
        by_actor: it came with the actor's own token, and so may only count against it.
        nth: the how manieth of its kind that is alive for this actor it is; each counts half of the one before,
            except a statement, of which the newest holds.
    """
    kind = KINDS[observation.kind]
    if not kind.weight or now >= observation.expires:
        return ()
    code = (
        _OBSERVED + observation.kind
        if by_actor
        else _ANSWERS.get(observation.kind, _OBSERVED + observation.kind)
    )
    voice = voice_of(by) if observation.kind in _ANSWERS and not by_actor else -1
    stated = COMPONENTS[kind.component].stated
    repeated = 1.0 if stated else 0.5 ** max(0, nth - 1)
    concern = concern_of(observation)
    if concern > 0.0:
        weight = kind.weight * concern * repeated
        return (
            Evidence(
                kind=code,
                component=kind.component,
                weight=weight,
                positive=False,
                voice=voice,
                worsens=by_actor,
            ),
        )
    if by_actor or observation.value is None:
        return ()
    if kind.is_sound(observation.value):
        weight = kind.praise * repeated
        return (Evidence(kind=code, component=kind.component, weight=weight, positive=True, voice=voice),)
    return (_good(code, kind.component, 0.0),) if stated else ()


def text_of(kind: str) -> str:
    """What a kind of evidence is, in words."""
    if kind.startswith(_OBSERVED):
        return f"seen from outside: {KINDS[kind.removeprefix(_OBSERVED)].means}"
    return _TEXTS[kind]


def _strengths(facts: ActionFacts) -> list[tuple[str, float]]:
    """The signs of an action with their strength, `SIGN_FROM`..1."""
    found = []
    if facts.burst > BURST_FROM and facts.effect_class in CHANGES:
        found.append(("burst", min(1.0, max(SIGN_FROM, facts.burst / BURST_FULL))))
    if facts.injection >= SIGN_FROM:
        found.append(("injection", min(1.0, facts.injection)))
    if facts.over > 0:
        found.append(("sensitivity", min(1.0, facts.over / OVER_FULL)))
    around = facts.surroundings
    if around is not NOTHING_AROUND:
        measured = (
            ("habit", max(around.first_tool, around.first_resource, around.sequence, around.isolation)),
            ("pace", max(around.pace, around.tokens)),
            ("hours", around.hours),
            ("lineage", around.lineage),
            ("delegator", around.delegator),
        )
        found.extend((name, min(1.0, value)) for name, value in measured if value >= SIGN_FROM)
    return found


def _habits(facts: SessionFacts) -> list[Evidence]:
    """Good habits, and a session unlike the others, of one that stayed within its declaration."""
    found = []
    if facts.used_share is not None and not facts.widenings:
        found.append(_good("scope_used", "minimality", HABIT * _ramp(facts.used_share, 0.0, 1.0)))
    if facts.mutations > 0 and facts.reverted > 0:
        found.append(
            _good("reverted", "reversibility", HABIT * _ramp(facts.reverted, 0.0, float(facts.mutations)))
        )
    if facts.consistency is not None:
        likeness = 2.0 * _ramp(facts.consistency, 0.0, 1.0) - 1.0
        found.append(
            _good("consistent", "consistency", HABIT * likeness)
            if likeness >= 0.0
            else _bad("inconsistent", "consistency", UNLIKE * -likeness)
        )
    return found


def _ramp(value: float, begins: float, full: float) -> float:
    return min(1.0, max(0.0, (value - begins) / (full - begins)))


def _stated(component: str, against: float, praise: float) -> Evidence:
    return _bad(component, component, against) if against else _good(component, component, praise)


def _good(kind: str, component: str, weight: float) -> Evidence:
    return Evidence(kind=kind, component=component, weight=weight, positive=True)


def _bad(kind: str, component: str, weight: float, *, worsens: bool = False) -> Evidence:
    return Evidence(kind=kind, component=component, weight=weight, positive=False, worsens=worsens)
