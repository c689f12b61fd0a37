"""What a pattern can say, and its one spelling (SPEC, "Patterns").

Some patterns say the same in different words. What can be seen without a vocabulary is refused: a rank of 0 asks
nothing, one step has no gaps. What depends on the release of the taxonomy is for the sender to leave out
(`canonical_form`): a receiver with another release would see other words as too many.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from ioint_taxonomy import Taxonomy

from ioint_protocol import canonical
from ioint_protocol.canonical import Value
from ioint_protocol.errors import ProtocolError
from ioint_protocol.fields import SLUG, Object, check_keys, take_int, take_list, take_object, take_terms
from ioint_protocol.limits import LIMITS

SENSITIVITY_RANKS: Final = 3
BOUNDARY_RANKS: Final = 5
_TERM: Final = re.compile(r"@?[a-z0-9_]{1,64}")
_STEP_KEYS: Final = frozenset({"v", "r", "s", "b", "p", "f", "x"})


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

    `declared` names the families it is about (empty: any); `gaps` is 1 when other steps may lie between its own, and
    always for one step.
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
        if len(items) == 1 and not gaps:
            raise ProtocolError("bad_field", "gaps is 0, and between one step and itself is nothing")
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


def canonical_form(pattern: Pattern, taxonomy: Taxonomy) -> Pattern:
    """Give the pattern as a sender spells it: no verb and no resource class beside the class or group that holds it.

    It holds on the same sessions. All verbs of an effect class by their names are left as they are: a later release of
    the taxonomy may put more into the class, and the two would come apart.
    """
    return replace(
        pattern,
        steps=tuple(
            replace(
                step,
                verbs=_without_members(step.verbs, taxonomy.verbs),
                resources=_without_members(step.resources, taxonomy.resources),
            )
            for step in pattern.steps
        ),
    )


def _without_members(terms: tuple[str, ...], classes: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(term for term in terms if f"@{classes.get(term)}" not in terms)


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
        sensitivity=take_int(value, "s", 1, SENSITIVITY_RANKS) if "s" in value else None,
        boundary=take_int(value, "b", 1, BOUNDARY_RANKS) if "b" in value else None,
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
