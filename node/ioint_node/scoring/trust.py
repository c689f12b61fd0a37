"""Trust in one actor: four layers of evidence, read pessimistically. `docs/trust.md` is the long form.

A layer (identity, behaviour, context, outcome) is the sum of its components, on top of a prior Beta(a, b) of the
actor's kind. A component holds good and bad evidence, in units. At an instant, with g and w the sums over the layer's
components of the good and bad evidence that is not yet forgotten:

    forgetting   g = good · 2^(−age / 45 days),  w = bad · 2^(−age / 90 days)
    layer mean   m = (a + g) / n,  n = a + b + g + w
    layer lower  L = max(0, m − 1.2816 · √(m · (1 − m) / (n + 1)))    90 % one-sided, normal form of the Beta
    trust        score = min m,  lower = min L over the four layers

The minimum makes a rise need all layers and a fall only one. Gain and loss have rates of their own: a unit of good
evidence adds 0.6·m, so that who is distrusted earns slowest; a unit of bad evidence adds 1.6. Most components count
what happens, each up to a bound of its own, so that no single source of praise carries a layer; a stated component
holds the newest statement of a fact, such as the age of a credential. Clean sessions count at a bounded pace, and once
the record of them is full a further one displaces old bad evidence, so that an actor is judged by how often it does
harm and not by how much it works. A clear attack is displaced by nothing but time, and forfeits nine tenths of the good
evidence of its layer, so that a long record is no shield. Without answers that could have been negative
(feedback, validation), or without saying what it is made of, `lower` stays below the trusted level: silence is not
praise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from ioint_node.errors import RequestError
from ioint_node.scoring.composition import PARTS_BYTES, WITHHELD, Difference, difference
from ioint_node.scoring.held import (
    ANSWERS_MOST,
    BAD_MOST,
    BOUNDS,
    CLEAN_AT_ONCE,
    COMPONENTS,
    DAY_MS,
    DISPLACED,
    DISPLACING_AT_ONCE,
    IMPORT_MOST,
    INDEX,
    LAYER_OF,
    LAYERS,
    MAIN,
    NAMES,
    NOTHING_HELD,
    SPANS,
    STATED,
    VOICES,
    Held,
    held_of,
    held_of_version_1,
    moment_of,
    read,
    unpacked,
)
from ioint_node.scoring.levels import TRUSTED_FROM, autonomy, friction

Z_ONE_SIDED_90 = 1.2816
GAIN = 0.6
LOSS = 1.6
ATTACK_FORFEITS = 0.9
CHECKED_NEEDED = (
    2.5  # negative-capable answers, as far as not forgotten: three of late, or more that are older
)
UNCHECKED_CEILING = TRUSTED_FROM - 0.01
VOICE_MOST = 2.0  # answers that one who has said nothing but yes can ever count for: 1 + ½ + ¼ + …
CHANGE_SHOWN_MS = 7 * DAY_MS
RECORD_UNITS = 1.0  # of sessions under its composition: three or more that went well
ATTESTED = frozenset({"agent", "workload"})  # kinds that are made of something, and have to say of what
NEGATIVE_CAPABLE = frozenset({"feedback", "validation"})
ATTACK = "attack"
CLEAN = "clean_session"
DECIMALS = 4
ROLES: Final = MappingProxyType({"employee": 1.0, "service": 0.8, "contractor": 0.5, "guest": 0.25})
ATTESTATIONS: Final = MappingProxyType({"verified": 1.0, "stated": 0.7, "none": 0.4})
TENURE_FULL_DAYS = 180
_SCALE = 10**DECIMALS
_DUST = 0.005  # units of an import that are no longer worth a word


_CHANGES: Final = ("model", "prompt", "wider", "narrower", "composition", "name", "withheld")
_CHANGE_TEXT: Final = MappingProxyType(
    {
        "model": "the model changed",
        "prompt": "the prompt changed",
        "wider": "tools were added",
        "composition": "model, prompt or tools changed",
        "name": "the same composition is distrusted under another name",
        "withheld": "model, prompt and tools are no longer named",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What a kind of actor starts with and how much evidence moves it, by layer in the order of `LAYERS`."""

    good: tuple[float, float, float, float]
    bad: tuple[float, float, float, float]
    moves: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)


KINDS: Mapping[str, Weights] = {
    "agent": Weights(good=(3.0, 3.0, 3.0, 3.0), bad=(1.5, 1.5, 1.5, 1.5)),
    # A person has signed in somewhere, and does more different things in a day than a program does.
    "user": Weights(good=(4.5, 3.5, 3.5, 3.0), bad=(1.5, 1.5, 1.5, 1.5), moves=(1.0, 0.7, 0.8, 1.0)),
    # A workload is deployed by somebody, and repeats itself: a departure says more.
    "workload": Weights(good=(4.0, 3.0, 3.0, 3.0), bad=(1.5, 1.5, 1.5, 1.5), moves=(1.0, 1.3, 1.2, 1.0)),
}


class Evidence(Struct, frozen=True, kw_only=True):
    """One thing that speaks for or against an actor, in one component; `weight` is in units, 0 or more.

    `voice` is who answered, as `voice_of` gives it, or -1. `worsens` says that a statement may not better what is
    stated already.
    """

    kind: str
    component: str
    weight: float
    positive: bool
    voice: int = -1
    worsens: bool = False

    @property
    def layer(self) -> str:
        """The layer in which it counts."""
        return COMPONENTS[self.component].layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What is known of one actor, as of `last` (Unix milliseconds).

    `composition` is the hash of model, prompt and tools, or "" as long as none was given, `parts` what tells a change
    of it (`composition.parts_of`), `withheld` that the actor stopped saying what it is made of. `changed` is when it
    last became another one, or 0, `change` what that was. `imported_at` is when a first opinion was imported, or 0.
    `held` is the evidence, packed: an actor that is known for long takes no more memory than a new one.
    """

    kind: str
    composition: str
    last: int
    held: bytes = field(default=NOTHING_HELD, repr=False)
    parts: bytes = field(default=b"", repr=False)
    withheld: bool = False
    changed: int = 0
    change: int = 0
    imported_at: int = 0

    def to_json(self) -> dict[str, Any]:
        """The value as JSON, for the store."""
        return {
            "v": 2,
            "kind": self.kind,
            "composition": self.composition,
            "parts": self.parts.hex(),
            "withheld": self.withheld,
            "changed": self.changed,
            "change": [name for bit, name in enumerate(_CHANGES) if self.change >> bit & 1],
            "imported_at": self.imported_at,
            "last": self.last,
            **read(self.held, 0).to_json(),
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Trust:
        """The trust that `to_json` wrote, also of version 1; KeyError, TypeError or ValueError on another shape."""
        KINDS[value["kind"]]
        if value["v"] == 1:
            return _from_version_1(value)
        if value["v"] != 2:
            raise ValueError(f"trust of version {value['v']}, this node reads 1 and 2")
        return Trust(
            kind=value["kind"],
            composition=_composition(value["composition"]),
            last=moment_of(value["last"]),
            held=held_of(value).packed(),
            parts=_parts(value["parts"]),
            withheld=value["withheld"] is True,
            changed=moment_of(value["changed"]),
            change=sum(1 << _CHANGES.index(name) for name in set(value["change"])),
            imported_at=moment_of(value["imported_at"]),
        )


@dataclass(frozen=True, slots=True)
class _Pace:
    """Whether a clean session of this moment counts, and whether it displaces."""

    counts: bool
    displaces: bool


def new_trust(kind: str, composition: str, now: int, *, parts: bytes = b"") -> Trust:
    """Trust in an actor that nothing is known of; raises KeyError for a kind that is none of `KINDS`."""
    KINDS[kind]
    return Trust(kind=kind, composition=composition, last=now, parts=parts)


def voice_of(source: str) -> int:
    """Which of the `VOICES` drawers an answerer belongs to; two that share one count as one, which errs toward less."""
    return blake2b(source.encode("utf-8", "surrogatepass"), digest_size=1).digest()[0] % VOICES


def after_all(trust: Trust, evidence: Iterable[Evidence], now: int) -> Trust:
    """Trust once all that one moment brought is counted: losses first, in an order that does not depend on the input's.

    A statement for an actor does not stand beside one against it in the same component.
    """
    ordered = list(evidence)
    if len(ordered) > 1:
        ordered.sort(key=_order)
    if not ordered:
        return trust
    held, weights = unpacked(trust.held, now - trust.last), KINDS[trust.kind]
    against: set[str] = set()
    means: list[float] = []
    pace = _paced(held, sum(one.kind == CLEAN for one in ordered))
    for one in ordered:
        if not one.positive:
            _lose(held, one, weights, again=one.component in against)
            against.add(one.component)
        elif one.component not in against or not COMPONENTS[one.component].stated:
            means = means or [_mean(weights, index, held) for index in range(len(LAYERS))]
            _gain(held, one, means, pace)
    return replace(trust, held=held.packed(), last=max(now, trust.last))


def recomposed(trust: Trust, composition: str, now: int, *, parts: bytes = b"") -> Trust:
    """Trust of the actor with another model, prompt or tools: little of the good evidence, all of the bad.

    A composition that is given for the first time changes nothing. One that is no longer given costs what an unknown
    change costs, at once, withholds the trusted level until it is given again, and is compared with the last one given.
    Tools that were only taken away change nothing either: less capability takes effect at once.
    """
    if not composition:
        if trust.withheld or not trust.composition:
            return trust
        return _changed(replace(trust, withheld=True), WITHHELD, now)
    if trust.composition in {"", composition}:
        named = replace(trust, composition=composition, parts=parts or trust.parts, withheld=False)
        return trust if named == trust else named
    named = replace(trust, composition=composition, parts=parts, withheld=False)
    found = difference(trust.parts, parts)
    # Nothing is lost where tools were only taken away, or a part was named for the first time.
    return named if found.keeps == 1.0 else _changed(named, found, now)


def standing(trust: Trust, now: int) -> float:
    """The least lower bound of the layers by what the actor did itself, without an import or a ceiling, 0..1."""
    held = unpacked(trust.held, now - trust.last)
    held.imported = 0.0
    return min(bound for _, bound in _bounds(KINDS[trust.kind], held))


def is_distrusted(trust: Trust, now: int) -> bool:
    """Whether an actor stands below one of its kind that nothing is known of."""
    return standing(trust, now) < _UNKNOWN[trust.kind]


def has_record(trust: Trust, now: int) -> bool:
    """Whether enough is known of an actor itself that what others did under its composition says nothing of it."""
    return read(trust.held, now - trust.last).good[INDEX["history"]] >= RECORD_UNITS


def inherited(newcomer: Trust, known: Iterable[Trust], now: int) -> Trust:
    """Trust of an actor whose composition is known under other names: where one of those is distrusted, so is it.

    For an actor of which little is known, and for one that has just taken on this composition (`recomposed` first):
    what a stranger does who claims the composition of others takes nothing from those that have a record
    (`has_record`). `known` are other actors of the same composition, or of the same model and prompt. In a layer where
    one of them stands below an actor that nothing is known of, the newcomer takes over the bad evidence of the worst,
    and ends no higher than it.
    """
    held, weights = unpacked(newcomer.held, now - newcomer.last), KINDS[newcomer.kind]
    before = held.packed()
    start = _bounds(weights, read(NOTHING_HELD, 0))
    for other in known:
        theirs = unpacked(other.held, now - other.last)
        theirs.imported = 0.0
        bounds = _bounds(KINDS[other.kind], theirs)
        for index, span in enumerate(SPANS):
            if bounds[index][1] >= start[index][1]:
                continue
            held.bad[span] = [max(pair) for pair in zip(held.bad[span], theirs.bad[span], strict=True)]
            _sink(held, weights, index, bounds[index][1])
    if held.packed() == before:
        return newcomer
    held.imported = 0.0
    before_change = newcomer.change if newcomer.changed and newcomer.changed >= now else 0
    change = before_change | 1 << _CHANGES.index("name")
    return replace(
        newcomer, held=held.packed(), last=max(now, newcomer.last), changed=max(1, now), change=change
    )


def imported(trust: Trust, *, role: str, tenure_days: float, attestation: str, now: int) -> Trust:
    """Trust with a first opinion from elsewhere, so that day one is not all strict; it counts once per actor.

    It is good evidence of at most `IMPORT_MOST` units in every layer, forgotten with a half life of 14 days, never
    reaches the trusted level, and ends with the first clear attack.

    Raises:
        RequestError: an unknown role or attestation, or a tenure that is no number of days.
    """
    if role not in ROLES:
        raise RequestError(f"role: {role[:32]!r} is none of {', '.join(sorted(ROLES))}")
    if attestation not in ATTESTATIONS:
        raise RequestError(f"attestation: {attestation[:32]!r} is none of {', '.join(sorted(ATTESTATIONS))}")
    if not 0.0 <= tenure_days < math.inf:
        raise RequestError("tenure_days: must be a number of days, 0 or more")
    if trust.imported_at:
        return trust
    held = unpacked(trust.held, now - trust.last)
    tenure = min(1.0, tenure_days / TENURE_FULL_DAYS)
    held.imported = IMPORT_MOST * ROLES[role] * ATTESTATIONS[attestation] * tenure
    return replace(trust, held=held.packed(), last=max(now, trust.last), imported_at=max(1, now))


def recently_changed(trust: Trust, now: int) -> bool:
    """Whether the composition became another one within the last week, or came with a bad name."""
    return trust.changed > 0 and now - trust.changed < CHANGE_SHOWN_MS


def change_text(trust: Trust) -> str:
    """What last changed in the composition and what is inherited, in a sentence; "" when nothing did."""
    names = [name for bit, name in enumerate(_CHANGES) if trust.change >> bit & 1]
    said = [_CHANGE_TEXT[name] for name in names if name in _CHANGE_TEXT]
    if not said:
        return ""
    share = "none" if names == ["name"] else "a fifth" if names[0] != "wider" else "half"
    return f"{' and '.join(said)}: {share} of the good evidence is inherited, all of the bad"


def lower_bound(trust: Trust, now: int) -> float:
    """The one number that levels are read from: the least lower bound of the layers, under its ceiling."""
    held = read(trust.held, now - trust.last)
    return _capped(trust, held, _bounds(KINDS[trust.kind], held))


def view(trust: Trust, now: int, effect: float = 0.0) -> dict[str, Any]:
    """TRUST of the contract; `effect` 0..1 is what the network takes off `used`, and off nothing else.

    Friction and autonomy are read from the local `lower`, so that remote records alone never change a level.
    `components` holds the mean 0..1, on the layer's prior, of each component of which anything is known; `imported`
    the units of good evidence per layer that were imported and are not forgotten, where there are any.
    """
    held, weights = read(trust.held, now - trust.last), KINDS[trust.kind]
    bounds = _bounds(weights, held)
    lower = round(_capped(trust, held, bounds), DECIMALS)
    marked = {"imported": round(held.imported, DECIMALS)} if held.imported > _DUST else {}
    return {
        "score": round(min(mean for mean, _ in bounds), DECIMALS),
        "lower": lower,
        "layers": {name: round(value, DECIMALS) for name, (_, value) in zip(LAYERS, bounds, strict=True)},
        "friction": friction(lower).value,
        "autonomy": autonomy(lower),
        "used": used(lower, effect),
        "components": _component_means(held, weights),
        **marked,
    }


def used(lower: float, effect: float) -> float:
    """The trust that counts once the network's effect is taken off: max(0, lower − effect)."""
    return round(max(0.0, lower - effect), DECIMALS)


def _changed(trust: Trust, found: Difference, now: int) -> Trust:
    """The trust with as much of its good evidence as the difference leaves, and what changed."""
    held = unpacked(trust.held, now - trust.last)
    for index, component in enumerate(COMPONENTS.values()):
        held.good[index] *= 1.0 if component.stated else found.keeps
    # What was measured was other software.
    held.good[INDEX["attestation"]] = 0.0
    held.checked *= found.keeps
    held.imported *= found.keeps
    change = sum(1 << _CHANGES.index(part) for part in found.parts)
    return replace(trust, held=held.packed(), last=max(now, trust.last), changed=max(1, now), change=change)


def _order(evidence: Evidence) -> tuple[bool, str, float, str, int, bool]:
    return (
        evidence.positive,
        evidence.component,
        -evidence.weight,
        evidence.kind,
        evidence.voice,
        evidence.worsens,
    )


def _lose(held: Held, evidence: Evidence, weights: Weights, *, again: bool) -> None:
    at = INDEX[evidence.component]
    units = LOSS * evidence.weight * weights.moves[LAYER_OF[at]]
    if COMPONENTS[evidence.component].stated:
        before = held.bad[at] if again or evidence.worsens else 0.0
        held.good[at], held.bad[at] = 0.0, min(BAD_MOST, max(before, units))
    else:
        held.bad[at] = min(BAD_MOST, held.bad[at] + units)
    if evidence.kind == ATTACK:
        span = SPANS[LAYER_OF[at]]
        held.good[span] = [one * (1.0 - ATTACK_FORFEITS) for one in held.good[span]]
        held.imported = 0.0
    if evidence.kind in NEGATIVE_CAPABLE:
        held.checked = min(ANSWERS_MOST, held.checked + 1.0)
        if evidence.voice >= 0:
            held.voices[evidence.voice] = 0.0


def _gain(held: Held, evidence: Evidence, means: Sequence[float], pace: _Pace) -> None:
    at = INDEX[evidence.component]
    component = COMPONENTS[evidence.component]
    if component.stated:
        held.good[at], held.bad[at] = min(component.most, evidence.weight), 0.0
        return
    share = 1.0
    if evidence.voice >= 0:
        # What is forgotten of a voice can be said anew: who goes on being asked goes on counting.
        share = max(0.0, 1.0 - held.voices[evidence.voice] / VOICE_MOST)
        held.voices[evidence.voice] += share
    if evidence.kind in NEGATIVE_CAPABLE:
        held.checked = min(ANSWERS_MOST, held.checked + share)
    good = held.good[at] + GAIN * means[LAYER_OF[at]] * evidence.weight * share
    if evidence.kind == CLEAN and pace.displaces and good > component.most:
        _displace(held, SPANS[LAYER_OF[at]], component.most / good)
    if evidence.kind != CLEAN or pace.counts:
        held.good[at] = min(component.most, good)


def _paced(held: Held, pieces: int) -> _Pace:
    """Whether a clean session, in so many pieces of evidence, still counts, and may still displace."""
    session = pieces / len(LAYERS)
    counts = held.spent + session <= CLEAN_AT_ONCE
    displaces = held.displaced + session <= DISPLACING_AT_ONCE
    held.spent += session * counts
    return _Pace(counts, displaces)


def _displace(held: Held, span: slice, share: float) -> None:
    """Keep this share of a layer's older bad evidence: the record is full, and its newest page displaces its oldest."""
    held.displaced = min(DISPLACING_AT_ONCE, held.displaced + 1.0 / len(LAYERS))
    held.bad[span] = [
        bad * share if goes else bad for bad, goes in zip(held.bad[span], DISPLACED[span], strict=True)
    ]


def _sink(held: Held, weights: Weights, layer: int, bound: float) -> None:
    """Add bad evidence to a layer until its lower bound is no higher than `bound`."""
    at = INDEX[MAIN[layer]]
    while _bounds(weights, held)[layer][1] > bound and held.bad[at] < BAD_MOST:
        held.bad[at] = min(BAD_MOST, 1.1 * held.bad[at] + 0.1)


def _bounds(weights: Weights, held: Held) -> list[tuple[float, float]]:
    """Mean and lower bound of each layer, in the order of `LAYERS`."""
    found = []
    goods, bads, kept_stated = held.good, held.bad, held.kept_stated
    for (begin, stated, end), start, start_bad in zip(BOUNDS, weights.good, weights.bad, strict=True):
        good, bad = sum(goods[begin:stated]) * held.kept, sum(bads[begin:stated]) * held.kept_bad
        if stated < end:
            good += sum(goods[stated:end]) * kept_stated
            bad += sum(bads[stated:end]) * kept_stated
        speaking = start + held.imported + good
        units = speaking + start_bad + bad
        mean = speaking / units
        margin = Z_ONE_SIDED_90 * math.sqrt(mean * (1.0 - mean) / (units + 1.0))
        found.append((mean, max(0.0, mean - margin)))
    return found


def _capped(trust: Trust, held: Held, bounds: Sequence[tuple[float, float]]) -> float:
    lower = min(bound for _, bound in bounds)
    if lower <= UNCHECKED_CEILING:
        return lower
    unattested = trust.withheld or (trust.kind in ATTESTED and not trust.composition)
    if unattested or held.checked < CHECKED_NEEDED:
        return UNCHECKED_CEILING
    if held.imported > 0.0:
        earned = replace(held, imported=0.0)
        return max(UNCHECKED_CEILING, min(bound for _, bound in _bounds(KINDS[trust.kind], earned)))
    return lower


def _mean(weights: Weights, index: int, held: Held) -> float:
    good = weights.good[index] + sum(held.good[SPANS[index]])
    return good / (good + weights.bad[index] + sum(held.bad[SPANS[index]]))


_UNKNOWN: Final = MappingProxyType(
    {
        kind: min(bound for _, bound in _bounds(weights, read(NOTHING_HELD, 0)))
        for kind, weights in KINDS.items()
    }
)


def _component_means(held: Held, weights: Weights) -> dict[str, float]:
    found = {}
    kept, kept_bad, kept_stated = held.kept, held.kept_bad, held.kept_stated
    for name, good, bad, layer, stated in zip(NAMES, held.good, held.bad, LAYER_OF, STATED, strict=True):
        if good or bad:
            speaking = weights.good[layer] + good * (kept_stated if stated else kept)
            units = speaking + weights.bad[layer] + bad * (kept_stated if stated else kept_bad)
            found[name] = int(speaking / units * _SCALE + 0.5) / _SCALE  # a third of the time of round()
    return found


def _from_version_1(value: Mapping[str, Any]) -> Trust:
    held, last = held_of_version_1(value)
    changed = moment_of(value["changed"])
    return Trust(
        kind=value["kind"],
        composition=_composition(value["composition"]),
        last=last,
        held=held.packed(),
        changed=changed,
        change=1 << _CHANGES.index("composition") if changed else 0,
    )


def _composition(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("composition must be text")
    return value


def _parts(value: object) -> bytes:
    if not isinstance(value, str) or len(value) > 2 * PARTS_BYTES:
        raise ValueError(f"parts must be at most {PARTS_BYTES} bytes as hex")
    return bytes.fromhex(value)
