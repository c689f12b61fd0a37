"""The pattern language: a short path of abstract steps, and finding it in what a session does (SPEC, "Patterns").

A pattern is complete at the session step that ends *some* assignment of its steps to session steps. Without data flow
the earliest match of each step decides that; with `f` several partial assignments must be carried along, because a
later one can carry the data. Assignments that the rest of the pattern cannot tell apart are kept once, and at most
`partials_per_pattern` are kept at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from ioint_taxonomy import Step, Taxonomy
from msgspec import Struct, field

from ioint_protocol import canonical
from ioint_protocol.canonical import Value
from ioint_protocol.errors import ProtocolError
from ioint_protocol.fields import SLUG, Object, check_keys, take_int, take_list, take_object, take_terms
from ioint_protocol.limits import LIMITS

SENSITIVITY_RANKS: Final = 3
BOUNDARY_RANKS: Final = 5
_TERM: Final = re.compile(r"@?[a-z0-9_]{1,64}")
_STEP_KEYS: Final = frozenset({"v", "r", "s", "b", "p", "f", "x"})
_ANY: Final = "*"
FITS_REMEMBERED: Final = 8_192  # kinds of step whose fitting pattern steps are kept, per matcher


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternStep:
    """What one step of a pattern asks of a session's step; an empty tuple or None asks nothing.

    `verbs` and `resources` hold slugs, or `@` and the slug of an effect class or group; `sensitivity` and `boundary`
    are least ranks; `flow` are indices of earlier steps of the pattern; `outside` asks for a departure from the
    envelope.
    """

    verbs: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    sensitivity: int | None = None
    boundary: int | None = None
    provenances: tuple[str, ...] = ()
    flow: tuple[int, ...] = ()
    outside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A path of 1 to 8 steps.

    `declared` names the families it is about (empty: any); `gaps` is 1 when other steps may lie between its own.
    """

    declared: tuple[str, ...] = ()
    gaps: int = 1
    steps: tuple[PatternStep, ...]


def parse_pattern(value: object) -> Pattern:
    """Give the pattern that a canonical JSON value spells.

    Raises:
        ProtocolError: `bad_pattern`.
    """
    try:
        if not isinstance(value, Mapping):
            raise ProtocolError("bad_shape", "not an object")
        check_keys(value, {"gaps", "steps"}, {"declared"})
        declared = take_terms(value, "declared", SLUG, 1, LIMITS.pattern_terms) if "declared" in value else ()
        gaps = take_int(value, "gaps", 0, 1)
        items = take_list(value, "steps", 1, LIMITS.pattern_steps)
        steps = tuple(_parse_step(take_object(item, "a step"), index) for index, item in enumerate(items))
    except ProtocolError as error:
        raise ProtocolError("bad_pattern", str(error)) from None
    return Pattern(declared=declared, gaps=gaps, steps=steps)


def pattern_value(pattern: Pattern) -> dict[str, Value]:
    """Give the canonical JSON value of a pattern."""
    value: dict[str, Value] = {"gaps": pattern.gaps, "steps": [_step_value(step) for step in pattern.steps]}
    if pattern.declared:
        value["declared"] = list(pattern.declared)
    return value


def pattern_id(pattern: object) -> str:
    """Give the id of a pattern, or of the value that spells one, as 64 hex digits.

    Raises:
        ProtocolError: `bad_pattern`.
    """
    parsed = pattern if isinstance(pattern, Pattern) else parse_pattern(pattern)
    return canonical.content_id("pattern", canonical.encode(pattern_value(parsed)))


def _parse_step(value: Object, index: int) -> PatternStep:
    check_keys(value, frozenset(), _STEP_KEYS)
    if not value:
        raise ProtocolError("bad_shape", "a step that asks nothing")
    terms = LIMITS.pattern_terms
    if "x" in value:
        take_int(value, "x", 1, 1)
    return PatternStep(
        verbs=take_terms(value, "v", _TERM, 1, terms) if "v" in value else (),
        resources=take_terms(value, "r", _TERM, 1, terms) if "r" in value else (),
        sensitivity=take_int(value, "s", 0, SENSITIVITY_RANKS) if "s" in value else None,
        boundary=take_int(value, "b", 0, BOUNDARY_RANKS) if "b" in value else None,
        provenances=take_terms(value, "p", SLUG, 1, terms) if "p" in value else (),
        flow=_take_flow(value, index) if "f" in value else (),
        outside="x" in value,
    )


def _take_flow(value: Object, index: int) -> tuple[int, ...]:
    sources: list[int] = []
    for item in take_list(value, "f", 1, LIMITS.pattern_steps):
        if type(item) is not int:
            raise ProtocolError("bad_shape", "f holds something other than integers")
        if not 0 <= item < index or (sources and item <= sources[-1]):
            raise ProtocolError("bad_field", "f is not earlier steps, in ascending order without repetition")
        sources.append(item)
    return tuple(sources)


def _step_value(step: PatternStep) -> dict[str, Value]:
    value: dict[str, Value] = {}
    for key, terms in (("v", step.verbs), ("r", step.resources), ("p", step.provenances), ("f", step.flow)):
        if terms:
            value[key] = list(terms)
    if step.sensitivity is not None:
        value["s"] = step.sensitivity
    if step.boundary is not None:
        value["b"] = step.boundary
    if step.outside:
        value["x"] = 1
    return value


Assignment = tuple[int, ...]  # session step of each pattern step matched so far


def _nothing_yet() -> Mapping[str, tuple[Assignment, ...]]:
    return MappingProxyType({})


# Made for every step of a session: a frozen dataclass takes ten times as long to make.
class MatchState(Struct, frozen=True, kw_only=True):
    """How far a session has come along each pattern.

    It holds ids and not patterns, so that it outlives the matcher that made it. Nothing is kept of a pattern whose
    first step no session step matched, and at most `partials_per_pattern` of any other.
    """

    families: frozenset[str]
    steps: int = 0
    partials: Mapping[str, tuple[Assignment, ...]] = field(default_factory=_nothing_yet)
    completed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A pattern made ready: `needed[k]` are those of its first k steps whose place the rest of it refers to.

    `unlike[k]` says that the k-th is one of them, so that a new partial assignment of k steps is unlike all before it.
    """

    id: str
    declared: frozenset[str]
    gaps: int
    flows: tuple[tuple[int, ...], ...]
    needed: tuple[tuple[int, ...], ...]
    unlike: tuple[bool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slot:
    """One step of one pattern in the index, without the verb and the resource by which it was found."""

    plan: _Plan
    index: int
    sensitivity: int
    boundary: int
    provenances: tuple[str, ...]
    outside: bool


# A pattern of which a session's step fits some steps, and which.
_Fit = tuple[_Plan, tuple[int, ...]]


class Matcher:
    """Many patterns at once; a step is compared only with pattern steps that share its verb and its resource class."""

    def __init__(self, patterns: Mapping[str, Pattern], taxonomy: Taxonomy) -> None:
        self._taxonomy = taxonomy
        self._slots: dict[tuple[str, str], list[_Slot]] = {}
        self._fits: dict[tuple[str, str, int, int, str, bool], tuple[_Fit, ...]] = {}
        for identity, pattern in patterns.items():
            plan = _plan(identity, pattern)
            for index, step in enumerate(pattern.steps):
                slot = _Slot(
                    plan=plan,
                    index=index,
                    sensitivity=step.sensitivity or 0,
                    boundary=step.boundary or 0,
                    provenances=step.provenances,
                    outside=step.outside,
                )
                for verb in step.verbs or (_ANY,):
                    for resource in step.resources or (_ANY,):
                        self._slots.setdefault((verb, resource), []).append(slot)

    def start(self, families: tuple[str, ...]) -> MatchState:
        """Begin a session that declared these families (slugs)."""
        return MatchState(families=frozenset(families))

    def advance(self, state: MatchState, step: Step, outside: bool) -> tuple[MatchState, tuple[str, ...]]:
        """Take the session's next step; give the state after it and the patterns that it completes, in order of id.

        `outside` says that the step departs from the declared envelope. A pattern completes once per session.
        """
        changed: dict[str, tuple[Assignment, ...]] = {}
        completed: list[str] = []
        partials = state.partials
        for plan, indices in self._fitting(step, outside):
            before = partials.get(plan.id, ())
            # Nothing is kept of a pattern before its first step, so only that can begin it.
            if (
                (indices[0] and not before)
                or plan.id in state.completed
                or (plan.declared and plan.declared.isdisjoint(state.families))
            ):
                continue
            after = _extend(plan, before, indices, step.flow, state.steps)
            if after is None:
                completed.append(plan.id)
            elif after != before:
                changed[plan.id] = after
        done = state.completed.union(completed) if completed else state.completed
        if changed or completed:
            merged = {**state.partials, **changed}
            for identity in completed:
                merged.pop(identity, None)
            partials = MappingProxyType(merged)
        after_step = MatchState(
            families=state.families, steps=state.steps + 1, partials=partials, completed=done
        )
        return after_step, tuple(sorted(completed))

    def _fitting(self, step: Step, outside: bool) -> tuple[_Fit, ...]:
        """The patterns of which this step fits some steps, whatever the session did before, and these in order."""
        sensitivity = self._taxonomy.sensitivity_rank(step.sensitivity)
        boundary = self._taxonomy.boundary_rank(step.boundary)
        kind = (step.verb, step.resource, sensitivity, boundary, step.provenance, outside)
        fits = self._fits.get(kind)
        if fits is None:
            found: dict[str, tuple[_Plan, set[int]]] = {}
            for slot in self._sharing(step):
                if (
                    sensitivity >= slot.sensitivity
                    and boundary >= slot.boundary
                    and (outside or not slot.outside)
                    and (not slot.provenances or step.provenance in slot.provenances)
                ):
                    found.setdefault(slot.plan.id, (slot.plan, set()))[1].add(slot.index)
            fits = tuple((plan, tuple(sorted(indices))) for plan, indices in found.values())
            if len(self._fits) >= FITS_REMEMBERED:
                self._fits.clear()
            self._fits[kind] = fits
        return fits

    def _sharing(self, step: Step) -> Iterator[_Slot]:
        verbs = _names(step.verb, self._taxonomy.verbs)
        resources = _names(step.resource, self._taxonomy.resources)
        for verb in verbs:
            for resource in resources:
                yield from self._slots.get((verb, resource), ())


def _names(name: str, classes: Mapping[str, str]) -> tuple[str, ...]:
    parent = classes.get(name)
    return (name, _ANY) if parent is None else (name, f"@{parent}", _ANY)


def _plan(identity: str, pattern: Pattern) -> _Plan:
    flows = tuple(step.flow for step in pattern.steps)
    needed = tuple(
        tuple(sorted({source for flow in flows[length:] for source in flow if source < length}))
        for length in range(len(flows) + 1)
    )
    return _Plan(
        id=identity,
        declared=frozenset(pattern.declared),
        gaps=pattern.gaps,
        flows=flows,
        needed=needed,
        unlike=tuple(length - 1 in places for length, places in enumerate(needed)),
    )


def _extend(
    plan: _Plan, before: tuple[Assignment, ...], indices: tuple[int, ...], flow: tuple[int, ...], now: int
) -> tuple[Assignment, ...] | None:
    """Give the partial assignments after session step `now`, which fits the pattern steps `indices`.

    None says that the pattern is complete.
    """
    kept = before if plan.gaps else tuple(partial for partial in before if partial[-1] == now - 1)
    made: list[Assignment] = []
    if not indices[0]:
        if len(plan.flows) == 1:
            return None
        made.append((now,))
    if indices[-1]:
        for partial in kept:
            length = len(partial)
            if length not in indices or any(partial[source] not in flow for source in plan.flows[length]):
                continue
            if length + 1 == len(plan.flows):
                return None
            made.append((*partial, now))
    if not plan.gaps:
        # The next step must follow at once, so what did not grow now never will.
        kept = ()
    fresh = _distinct(plan, kept, made)
    return _bounded((*kept, *fresh)) if fresh else kept


def _distinct(plan: _Plan, kept: tuple[Assignment, ...], made: list[Assignment]) -> list[Assignment]:
    """The earliest of those that were made which the rest of the pattern can tell apart, also from what is kept."""
    if len(made) == 1 and plan.unlike[len(made[0])]:
        return made
    fresh: list[Assignment] = []
    seen: set[tuple[int, ...]] = set()
    lengths: set[int] = set()
    for partial in made:
        length = len(partial)
        if length not in lengths and not plan.unlike[length]:
            seen.update(_key(plan, one) for one in kept if len(one) == length)
        lengths.add(length)
        key = _key(plan, partial)
        if key not in seen:
            seen.add(key)
            fresh.append(partial)
    return fresh


def _key(plan: _Plan, partial: Assignment) -> tuple[int, ...]:
    """What the rest of the pattern sees of a partial assignment."""
    ending = () if plan.gaps else (partial[-1],)
    return (len(partial), *[partial[source] for source in plan.needed[len(partial)]], *ending)


def _bounded(partials: tuple[Assignment, ...]) -> tuple[Assignment, ...]:
    """Over the bound, let the shortest go first, and of these the oldest."""
    excess = len(partials) - LIMITS.partials_per_pattern
    if excess <= 0:
        return partials
    for _ in range(excess):
        shortest = min(map(len, partials))
        oldest = min(partial for partial in partials if len(partial) == shortest)
        place = partials.index(oldest)
        partials = partials[:place] + partials[place + 1 :]
    return partials
