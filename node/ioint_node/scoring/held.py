"""What is held of an actor: good and bad evidence by component, packed, and forgotten as time passes.

Forgetting is a pure function of value, age and nothing else: `read` gives it as factors, `unpacked` takes it off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from struct import Struct
from types import MappingProxyType
from typing import Any, Final

LAYERS = ("identity", "behaviour", "context", "outcome")
DAY_MS = 86_400_000
GOOD_HALF_LIFE_MS = 45 * DAY_MS
BAD_HALF_LIFE_MS = 90 * DAY_MS
STATED_HALF_LIFE_MS = 7 * DAY_MS  # of a statement, for or against, that nobody makes again
IMPORT_HALF_LIFE_MS = 14 * DAY_MS
BAD_MOST = 100.0  # units per component
ANSWERS_MOST = 60.0  # answers that are remembered
IMPORT_MOST = 4.0  # units of good evidence in each layer
VOICES = 16  # who answered is told apart as well as this many drawers allow
CLEAN_AT_ONCE = 8.0  # clean sessions that count however fast they come
CLEAN_PER_DAY = 24.0  # by which that room grows again: trust is earned in time, not in volume
DISPLACING_AT_ONCE = 24.0  # the same, of clean sessions that displace old bad evidence
DISPLACING_PER_DAY = 240.0


@dataclass(frozen=True, slots=True)
class Component:
    """Where a kind of evidence is kept: its layer, and the most good evidence it takes, in units.

    A stated component holds the newest statement instead of a sum.
    """

    layer: str
    most: float
    stated: bool = False


COMPONENTS: Final[Mapping[str, Component]] = MappingProxyType(
    {
        "history": Component("identity", 40.0),
        "credential": Component("identity", 1.0, stated=True),
        "certificate": Component("identity", 1.0, stated=True),
        "authentication": Component("identity", 1.0, stated=True),
        "attestation": Component("identity", 1.0, stated=True),
        "delegation": Component("identity", 1.0, stated=True),
        "compromise": Component("identity", 1.0, stated=True),
        "conduct": Component("behaviour", 40.0),
        "attacks": Component("behaviour", 1.0),
        "alternatives": Component("behaviour", 6.0),
        "reversibility": Component("behaviour", 6.0),
        "consistency": Component("behaviour", 6.0),
        "baseline": Component("behaviour", 1.0),
        "injection": Component("behaviour", 1.0),
        "detectors": Component("behaviour", 1.0),
        "completion": Component("context", 40.0),
        "minimality": Component("context", 6.0),
        "sensitivity": Component("context", 1.0),
        "circumstances": Component("context", 1.0),
        "topic": Component("context", 1.0),
        "ticket": Component("context", 1.0, stated=True),
        "session_risk": Component("context", 1.0, stated=True),
        "success": Component("outcome", 40.0),
        "answers": Component("outcome", 6.0),
        "satisfaction": Component("outcome", 6.0),
        "validation": Component("outcome", 6.0),
    }
)
NAMES: Final = tuple(COMPONENTS)
COUNT: Final = len(NAMES)
INDEX: Final = {name: index for index, name in enumerate(NAMES)}
LAYER_OF: Final = tuple(LAYERS.index(one.layer) for one in COMPONENTS.values())
_ENDS: Final = tuple(accumulate(LAYER_OF.count(index) for index in range(len(LAYERS))))
SPANS: Final = tuple(
    slice(end - LAYER_OF.count(index), end) for index, end in enumerate(_ENDS)
)  # of each layer in the order of `COMPONENTS`, in which the stated ones of a layer come last
STATED: Final = tuple(one.stated for one in COMPONENTS.values())
STATED_AT: Final = tuple(index for index, stated in enumerate(STATED) if stated)
BOUNDS: Final = tuple((span.start, span.stop - sum(STATED[span]), span.stop) for span in SPANS)
MAIN: Final = ("history", "conduct", "completion", "success")  # where a layer of version 1 goes
# What a further clean session displaces once there are enough: neither statements, nor clear attacks.
DISPLACED: Final = tuple(not one.stated and name != "attacks" for name, one in COMPONENTS.items())
# good and bad by component, voices, checked, imported, spent, displaced
_PACKED: Final = Struct(f"<{2 * COUNT}d{VOICES}f4d")
NOTHING_HELD: Final = bytes(_PACKED.size)


@dataclass(slots=True)
class Held:
    """The evidence while it is worked on.

    What is left of `good` and `bad` is that times `kept` and `kept_bad`, of what is stated that times `kept_stated`.
    `voices` is what each answerer counts for by saying yes since it last said no, `checked` how many answers could have
    been negative, `imported` the units of a first opinion. `spent` is how many of the clean sessions that may count at
    once have counted, `displaced` how many displaced.
    """

    good: list[float]
    bad: list[float]
    voices: list[float]
    checked: float = 0.0
    imported: float = 0.0
    spent: float = 0.0
    displaced: float = 0.0
    kept: float = 1.0
    kept_bad: float = 1.0
    kept_stated: float = 1.0

    def packed(self) -> bytes:
        """The evidence as bytes; nothing may be left to take off."""
        counts = (self.checked, self.imported, self.spent, self.displaced)
        return _PACKED.pack(*self.good, *self.bad, *self.voices, *counts)

    def to_json(self) -> dict[str, Any]:
        """The evidence as JSON."""
        pairs = zip(NAMES, self.good, self.bad, strict=True)
        return {
            "held": {name: [good, bad] for name, good, bad in pairs if good or bad},
            "voices": self.voices,
            "checked": self.checked,
            "imported": self.imported,
            "spent": self.spent,
            "displaced": self.displaced,
        }


def held_of(value: Mapping[str, Any]) -> Held:
    """What `Held.to_json` wrote, cut to its bounds; KeyError, TypeError or ValueError on another shape."""
    held, pairs, voices = _empty(), value["held"], value["voices"]
    if not isinstance(pairs, Mapping):
        raise TypeError("held must be an object")
    if not isinstance(voices, list) or len(voices) != VOICES:
        raise ValueError(f"voices must be {VOICES} numbers")
    for name, (good, bad) in pairs.items():
        held.good[INDEX[name]] = _units(good, COMPONENTS[name].most)
        held.bad[INDEX[name]] = _units(bad, BAD_MOST)
    held.voices = [_units(one, ANSWERS_MOST) for one in voices]
    held.checked = _units(value["checked"], ANSWERS_MOST)
    held.imported = _units(value["imported"], IMPORT_MOST)
    held.spent = _units(value["spent"], CLEAN_AT_ONCE)
    held.displaced = _units(value["displaced"], DISPLACING_AT_ONCE)
    return held


def held_of_version_1(value: Mapping[str, Any]) -> tuple[Held, int]:
    """The evidence of a trust that was kept by layer, each with a last event of its own, and the last of them all."""
    layers = {name: _layer(*value[name]) for name in (*LAYERS, "checked")}
    last = max(at for _, _, at in layers.values())
    held = _empty()
    for name, main in zip(LAYERS, MAIN, strict=True):
        good, bad, at = layers[name]
        held.good[INDEX[main]] = min(COMPONENTS[main].most, good * 0.5 ** ((last - at) / GOOD_HALF_LIFE_MS))
        held.bad[INDEX[main]] = min(BAD_MOST, bad * 0.5 ** ((last - at) / BAD_HALF_LIFE_MS))
    good, _, at = layers["checked"]
    held.checked = min(ANSWERS_MOST, good * 0.5 ** ((last - at) / GOOD_HALF_LIFE_MS))
    return held, last


def moment_of(value: object) -> int:
    """Unix milliseconds; ValueError when it is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 53:
        raise ValueError("a moment must be Unix milliseconds")
    return value


def read(packed: bytes, age: int) -> Held:
    """The evidence for looking at: what is forgotten within `age` ms is in its three factors, not yet taken off."""
    values = _PACKED.unpack(packed)
    checked, brought, spent, displaced = values[-4:]
    kept = kept_bad = kept_stated = 1.0
    # A clock that runs back forgets nothing.
    if age > 0:
        kept, kept_bad = 0.5 ** (age / GOOD_HALF_LIFE_MS), 0.5 ** (age / BAD_HALF_LIFE_MS)
        kept_stated = 0.5 ** (age / STATED_HALF_LIFE_MS)
        checked *= kept
        brought *= 0.5 ** (age / IMPORT_HALF_LIFE_MS)
        spent = max(0.0, spent - CLEAN_PER_DAY * age / DAY_MS)
        displaced = max(0.0, displaced - DISPLACING_PER_DAY * age / DAY_MS)
    good, bad = values[:COUNT], values[COUNT : 2 * COUNT]
    voices = values[2 * COUNT : -4]
    return Held(
        list(good), list(bad), list(voices), checked, brought, spent, displaced, kept, kept_bad, kept_stated
    )


def unpacked(packed: bytes, age: int) -> Held:
    """The evidence for working on, with what is forgotten within `age` ms gone."""
    held = read(packed, age)
    if age > 0:
        good, bad = held.good, held.bad
        kept, kept_bad, kept_stated = held.kept, held.kept_bad, held.kept_stated
        held.good, held.bad = [one * kept for one in good], [one * kept_bad for one in bad]
        for at in STATED_AT:
            held.good[at], held.bad[at] = good[at] * kept_stated, bad[at] * kept_stated
        held.voices = [one * kept for one in held.voices]
        held.kept = held.kept_bad = held.kept_stated = 1.0
    return held


def _empty() -> Held:
    return Held([0.0] * COUNT, [0.0] * COUNT, [0.0] * VOICES)


def _layer(good: object, bad: object, last: object) -> tuple[float, float, int]:
    return _units(good, math.inf), _units(bad, math.inf), moment_of(last)


def _units(value: object, most: float) -> float:
    """A number of units, cut to its bound; ValueError when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < math.inf:
        raise ValueError("units must be a number, 0 or more")
    return min(most, float(value))
