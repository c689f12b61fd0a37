"""Trust in one actor: four layers of evidence, read pessimistically. `docs/trust.md` is the long form.

Each layer (identity, behaviour, context, outcome) holds good and bad evidence, in units, on top of a prior
Beta(a, b) of the actor's kind. At an instant, with g and w the good and bad evidence that is not yet forgotten:

    forgetting   g = good · 2^(−age / 45 days),  w = bad · 2^(−age / 90 days)
    layer mean   m = (a + g) / n,  n = a + b + g + w
    layer lower  L = max(0, m − 1.2816 · √(m · (1 − m) / (n + 1)))    90 % one-sided, normal form of the Beta
    trust        score = min m,  lower = min L over the four layers

The minimum makes a rise need all layers and a fall only one. Gain and loss have rates of their own: a unit of good
evidence adds 0.6·m, so that who is distrusted earns slowest; a unit of bad evidence adds 1.6. A clear attack also
forfeits three quarters of the good evidence of its layer, so that a long record is no shield. Without answers that
could have been negative (feedback, validation), `lower` stays below the trusted level: silence is not praise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ioint_node.scoring.levels import TRUSTED_FROM, autonomy, friction

LAYERS = ("identity", "behaviour", "context", "outcome")
DAY_MS = 86_400_000
Z_ONE_SIDED_90 = 1.2816
GOOD_HALF_LIFE_MS = 45 * DAY_MS
BAD_HALF_LIFE_MS = 90 * DAY_MS
GAIN = 0.6
LOSS = 1.6
ATTACK_FORFEITS = 0.75
GOOD_MOST = 60.0  # units: a record longer than this makes nobody slower to lose trust
BAD_MOST = 200.0
CHECKED_NEEDED = (
    2.5  # negative-capable answers, as far as not forgotten: three of late, or more that are older
)
UNCHECKED_CEILING = TRUSTED_FROM - 0.01
INHERITED_GOOD = (
    0.2  # of a changed composition; bad evidence is inherited whole, or changing would launder it
)
CHANGE_SHOWN_MS = 7 * DAY_MS
NEGATIVE_CAPABLE = frozenset({"feedback", "validation"})
ATTACK = "attack"
DECIMALS = 4


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One thing that speaks for or against an actor, in one layer; `weight` is in units."""

    kind: str
    layer: str
    weight: float
    positive: bool


@dataclass(frozen=True, slots=True)
class Layer:
    """Good and bad evidence as of the last event, in units; `last` in Unix milliseconds."""

    good: float
    bad: float
    last: int

    def at(self, now: int) -> Layer:
        """The same evidence, with what is forgotten until `now` gone; a clock that runs back forgets nothing."""
        age = max(0, now - self.last)
        return Layer(
            self.good * 0.5 ** (age / GOOD_HALF_LIFE_MS),
            self.bad * 0.5 ** (age / BAD_HALF_LIFE_MS),
            max(now, self.last),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What is known of one actor. `checked` counts its negative-capable answers, with the forgetting of good ones.

    `composition` is the hash of model, prompt and tools, or "" as long as none was given; `changed` is when it last
    became another one, in Unix milliseconds, or 0.
    """

    kind: str
    composition: str
    identity: Layer
    behaviour: Layer
    context: Layer
    outcome: Layer
    checked: Layer
    changed: int = 0

    def to_json(self) -> dict[str, Any]:
        """The value as JSON, for the store."""
        layers = {name: _listed(getattr(self, name)) for name in (*LAYERS, "checked")}
        return {"v": 1, "kind": self.kind, "composition": self.composition, "changed": self.changed, **layers}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Trust:
        """The trust that `to_json` wrote; raises KeyError, TypeError or ValueError on another shape."""
        if value["v"] != 1:
            raise ValueError(f"trust of version {value['v']}, this node reads 1")
        layers = {name: _layer(*value[name]) for name in (*LAYERS, "checked")}
        return Trust(
            kind=str(value["kind"]),
            composition=str(value["composition"]),
            changed=int(value["changed"]),
            **layers,
        )


def new_trust(kind: str, composition: str, now: int) -> Trust:
    """Trust in an actor that nothing is known of; raises KeyError for a kind that is none of `KINDS`."""
    KINDS[kind]
    empty = Layer(0.0, 0.0, now)
    return Trust(
        kind=kind,
        composition=composition,
        identity=empty,
        behaviour=empty,
        context=empty,
        outcome=empty,
        checked=empty,
    )


def after(trust: Trust, evidence: Evidence, now: int) -> Trust:
    """Trust once a piece of evidence is counted."""
    index = LAYERS.index(evidence.layer)
    weights = KINDS[trust.kind]
    layer: Layer = getattr(trust, evidence.layer).at(now)
    units = evidence.weight * weights.moves[index]
    if evidence.positive:
        mean = _mean(weights, index, layer)
        layer = replace(layer, good=min(GOOD_MOST, layer.good + GAIN * mean * units))
    else:
        kept = 1.0 - ATTACK_FORFEITS if evidence.kind == ATTACK else 1.0
        layer = replace(layer, good=layer.good * kept, bad=min(BAD_MOST, layer.bad + LOSS * units))
    checked = trust.checked
    if evidence.kind in NEGATIVE_CAPABLE:
        checked = checked.at(now)
        checked = replace(checked, good=min(GOOD_MOST, checked.good + 1.0))
    moved: dict[str, Any] = {evidence.layer: layer, "checked": checked}
    return replace(trust, **moved)


def recomposed(trust: Trust, composition: str, now: int) -> Trust:
    """Trust of the actor with another model, prompt or tools: a fifth of the good evidence, all of the bad.

    A composition that is given for the first time, or not given, changes nothing.
    """
    if composition in {"", trust.composition}:
        return trust
    if not trust.composition:
        return replace(trust, composition=composition)
    layers = {name: getattr(trust, name).at(now) for name in (*LAYERS, "checked")}
    inherited: dict[str, Any] = {
        name: replace(layer, good=layer.good * INHERITED_GOOD) for name, layer in layers.items()
    }
    return replace(trust, composition=composition, changed=now, **inherited)


def recently_changed(trust: Trust, now: int) -> bool:
    """Whether the composition became another one within the last week."""
    return trust.changed > 0 and now - trust.changed < CHANGE_SHOWN_MS


def lower_bound(trust: Trust, now: int) -> float:
    """The one number that levels are read from: the least lower bound of the layers, under its ceiling."""
    return _capped(trust, min(lower for _, lower in _layers(trust, now)), now)


def view(trust: Trust, now: int, effect: float = 0.0) -> dict[str, Any]:
    """TRUST of the contract; `effect` 0..1 is what the network takes off `used`, and off nothing else.

    Friction and autonomy are read from the local `lower`, so that remote records alone never change a level.
    """
    layers = _layers(trust, now)
    lower = round(_capped(trust, min(lower for _, lower in layers), now), DECIMALS)
    return {
        "score": round(min(mean for mean, _ in layers), DECIMALS),
        "lower": lower,
        "layers": {name: round(value, DECIMALS) for name, (_, value) in zip(LAYERS, layers, strict=True)},
        "friction": friction(lower).value,
        "autonomy": autonomy(lower),
        "used": used(lower, effect),
    }


def used(lower: float, effect: float) -> float:
    """The trust that counts once the network's effect is taken off: max(0, lower − effect)."""
    return round(max(0.0, lower - effect), DECIMALS)


def _layers(trust: Trust, now: int) -> list[tuple[float, float]]:
    """Mean and lower bound of each layer, in the order of `LAYERS`."""
    weights = KINDS[trust.kind]
    found = []
    for index, layer in enumerate((trust.identity, trust.behaviour, trust.context, trust.outcome)):
        current = layer.at(now)
        mean = _mean(weights, index, current)
        units = weights.good[index] + weights.bad[index] + current.good + current.bad
        margin = Z_ONE_SIDED_90 * math.sqrt(mean * (1.0 - mean) / (units + 1.0))
        found.append((mean, max(0.0, mean - margin)))
    return found


def _capped(trust: Trust, lower: float, now: int) -> float:
    if lower <= UNCHECKED_CEILING or trust.checked.at(now).good >= CHECKED_NEEDED:
        return lower
    return UNCHECKED_CEILING


def _mean(weights: Weights, index: int, layer: Layer) -> float:
    good = weights.good[index] + layer.good
    return good / (good + weights.bad[index] + layer.bad)


def _layer(good: float, bad: float, last: float) -> Layer:
    return Layer(float(good), float(bad), int(last))


def _listed(layer: Layer) -> list[float]:
    return [layer.good, layer.bad, layer.last]
