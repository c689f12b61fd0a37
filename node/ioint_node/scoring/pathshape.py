"""The shape of the path: what the steps of a session do together that none of them does alone.

Three shapes matter. *Taking out*: something sensitive was read that the task does not need, or several sensitive
sources that are harmless apart, and now a step reaches outward. *Gathering*: such material is packed, copied or
stored in one place. *Spreading*: one kind of resource after the other is touched that the purpose does not cover.
All of it is read off abstract steps, in constant time and memory for each action.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from ioint_taxonomy import Step, Taxonomy
from msgspec import Struct

# How bad the loss of what was read would be, by sensitivity rank.
HOLDING: Final = (0.0, 0.1, 0.5, 1.0)
HOLDING_GUARDED = 0.8
HOLDING_UNSURE = 0.4
# Reading within the task is what agents are for: it counts, but little.
WITHIN_TASK = 0.15
OUTWARD_RANK = 3
GATHERING: Final = frozenset({"export", "create", "update"})
ONE_OVERREAD = 0.7
SPREAD_GROUPS = 3
ASTRAY_FLOOR = 0.5

# What an action can do that cannot be taken back, by effect class; then by verb and by what it changes.
_EFFECT_WEIGHT: Final = MappingProxyType(
    {
        "observe": 0.0,
        "derive": 0.0,
        "mutate": 0.35,
        "run": 0.6,
        "transfer": 0.55,
        "authority": 1.0,
        "value": 1.0,
    }
)
_VERB_WEIGHT: Final = MappingProxyType(
    {
        "interact": 0.15,
        # Running code is how much work is done; what the code does is what counts.
        "execute": 0.3,
        "delete": 0.9,
        "configure": 0.7,
        "export": 0.8,
        "schedule": 0.6,
        "escalate": 0.0,
        "delegate": 0.5,
    }
)
GUARDED: Final = frozenset({"identity", "permission", "secret", "security_control", "security_finding"})
_GUARDED_WEIGHT = 1.0
_STANDING: Final = frozenset(
    {"memory", "prompt", "tool", "agent", "process", "network", "infrastructure", "log"}
)
_STANDING_WEIGHT = 0.8
_OUTWARD_WEIGHT = 0.9


class Shape(Struct, frozen=True, kw_only=True):
    """What the path makes of one step, each 0..1: material taken out, gathered, reading beyond need, spreading."""

    out: float = 0.0
    gathers: float = 0.0
    overreads: float = 0.0
    spreads: float = 0.0


NO_SHAPE: Final = Shape()


def gravity(step: Step, taxonomy: Taxonomy, *, reaches: bool = False, guarded: bool = False) -> float:
    """How grave an unasked step of this kind would be, 0..1: nothing for what only looks or thinks.

    `reaches`: it carries an address that the request did not give; `guarded`: what it changes is by its name a matter
    of access or of protection. Tools hide both from the step.
    """
    effect = taxonomy.verbs.get(step.verb, "run")
    weight = _VERB_WEIGHT.get(step.verb, _EFFECT_WEIGHT[effect])
    if not weight:
        return 0.0
    if guarded or step.resource in GUARDED:
        return max(weight, _GUARDED_WEIGHT)
    if step.resource in _STANDING and step.verb != "execute":
        weight = max(weight, _STANDING_WEIGHT)
    return max(weight, _OUTWARD_WEIGHT) if reaches or _outward(step, effect, taxonomy) else weight


def _outward(step: Step, effect: str, taxonomy: Taxonomy) -> bool:
    return (
        effect not in {"observe", "derive"}
        and step.verb != "interact"
        and taxonomy.boundary_rank(step.boundary) >= OUTWARD_RANK
    )


class Path:
    """The path of one session as far as its shape needs it: two sums and two small sets."""

    __slots__ = ("_groups", "_held", "_overread", "_sources", "_taxonomy")

    def __init__(self, taxonomy: Taxonomy) -> None:
        self._taxonomy = taxonomy
        self._held = 0.0
        self._overread = 0.0
        self._groups: set[str] = set()
        self._sources: set[str] = set()

    def take(
        self,
        step: Step,
        *,
        unasked: float,
        astray: float,
        beside: float = 0.0,
        guarded: bool = False,
        reaches: bool = False,
    ) -> Shape:
        """Add a step and return what it makes of the path.

        `unasked` 0..1: how little the request speaks of it; `astray` 0..1: how little the purpose covers it;
        `beside` 0..1: how far it goes for something else, or for more, than what the request names; `guarded`: that
        is by its name a matter of access; `reaches`: it carries an address that neither the request nor anything read
        gave, or that it acts upon.
        """
        effect = self._taxonomy.verbs.get(step.verb, "run")
        group = self._taxonomy.resources.get(step.resource, step.resource)
        beyond = unasked * astray
        spreads = self._spread(group, beyond)
        if effect == "observe":
            weight = HOLDING[self._taxonomy.sensitivity_rank(step.sensitivity)]
            if step.resource == "none":
                weight *= HOLDING_UNSURE
            if guarded:
                weight = max(weight, HOLDING_GUARDED)
            beyond = max(beyond, beside)
            overread = weight * beyond
            held = self._held
            fresh = step.resource not in self._sources
            self._sources.add(step.resource)
            if fresh or overread:
                gained = weight * (WITHIN_TASK + (1.0 - WITHIN_TASK) * beyond)
                self._held = 1.0 - (1.0 - self._held) * (1.0 - gained)
            # Once may be a wrong turn; another source is a habit.
            before = self._overread
            more = overread * ONE_OVERREAD
            self._overread = 1.0 - (1.0 - before) * (1.0 - more) if fresh else max(before, more)
            return Shape(
                out=held * unasked if reaches else 0.0,
                overreads=self._overread if overread else 0.0,
                spreads=spreads,
            )
        if reaches or effect == "transfer" or _outward(step, effect, self._taxonomy):
            return Shape(out=self._held * unasked, spreads=spreads)
        if step.verb in GATHERING:
            return Shape(gathers=self._held * beyond, spreads=spreads)
        return Shape(spreads=spreads) if spreads else NO_SHAPE

    def _spread(self, group: str, beyond: float) -> float:
        if beyond < ASTRAY_FLOOR:
            return 0.0
        self._groups.add(group)
        return beyond * min(1.0, (len(self._groups) - 1) / (SPREAD_GROUPS - 1))
