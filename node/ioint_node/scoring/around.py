"""All that bears on an action from outside its session, as one value; every part comes from a module of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from ioint_taxonomy import Step, Taxonomy

from ioint_node.scoring.baseline import NO_PULSE, NOTHING_UNUSUAL, Baseline, Pulse, Unusual
from ioint_node.scoring.isolation import Forest, row_of
from ioint_node.scoring.lineage import Lineage, leaves
from ioint_node.scoring.values import NOTHING_AROUND, Surroundings

WIDENINGS_FREE: Final = 1  # asking for more scope once in a session is normal
WIDENINGS_FULL: Final = 5
TOKENS_MOST: Final = 1e12  # that one event may tell
_TOKEN_PARTS: Final = (
    ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
    ("input_tokens", "output_tokens"),
)


def surroundings(
    *,
    tool: str,
    step: Step,
    at: int,
    taxonomy: Taxonomy,
    departures: int = 0,
    baseline: Baseline | None = None,
    pulse: Pulse = NO_PULSE,
    forest: Forest | None = None,
    widenings: int = 0,
    lineage: Lineage | None = None,
    delegator: float = 0.0,
    observed: float = 0.0,
    tokens: float | None = None,
) -> Surroundings:
    """What bears on an action from outside its session.

    Args:
        tool: the tool's name, with its server where it has one.
        step: the action in the abstract vocabulary.
        at: when it came, Unix milliseconds by this node's clock.
        taxonomy: ranks and effect classes.
        departures: in how many limits of its own envelope the step leaves it.
        baseline: what is usual for the actor, None where nothing is kept.
        pulse: the rhythm of the session before this action.
        forest: what is usual at this node, None until enough is known.
        widenings: how often this session has asked for more scope.
        lineage: where the session comes from, None when nobody delegated it.
        delegator: how risky the delegating session has become since, 0..1 (`lineage.risk_above`).
        observed: what detectors outside report of the actor now, 0..1.
        tokens: the tokens that the action took, where they are told.
    """
    unusual = NOTHING_UNUSUAL
    if baseline is not None:
        unusual = baseline.surprise(tool, step, at, pulse=pulse, tokens=tokens)
    isolation = 0.0
    if forest is not None:
        isolation = forest.unlikeness(row_of(unusual, step, departures, taxonomy))
    expansion = expansion_of(widenings)
    left = 0.0 if lineage is None else leaves(lineage, step, taxonomy)
    above = delegator if lineage is None else max(lineage.delegator, delegator)
    if unusual is NOTHING_UNUSUAL and not (isolation or expansion or left or above or observed):
        return NOTHING_AROUND
    return Surroundings(
        first_tool=unusual.first_tool,
        first_resource=unusual.first_resource,
        sequence=unusual.sequence,
        pace=unusual.pace,
        hours=unusual.hours,
        tokens=unusual.tokens,
        isolation=isolation,
        expansion=expansion,
        lineage=left,
        delegator=_share(above),
        observed=_share(observed),
    )


def expansion_of(widenings: int) -> float:
    """How far repeated requests for more scope have gone, 0..1: the first is free, from the fifth on it is full."""
    return _share((widenings - WIDENINGS_FREE) / (WIDENINGS_FULL - WIDENINGS_FREE))


def tokens_of(data: Mapping[str, Any]) -> float | None:
    """The tokens that the data of an event tells, None where it tells none; not a number for one that cannot be.

    Read are `tokens`, `total_tokens`, the two names of OpenTelemetry's conventions for generative AI, and the same
    below `usage`.
    """
    inner = data.get("usage")
    told = inner if isinstance(inner, Mapping) else data
    for name in ("tokens", "total_tokens"):
        if name in told:
            return _count(told[name])
    parts = [told[name] for names in _TOKEN_PARTS for name in names if name in told]
    return sum(map(_count, parts)) if parts else None


def unusual_of(around: Surroundings) -> Unusual:
    """The part of the surroundings that compares an action with the actor's own past."""
    return Unusual(
        around.first_tool, around.first_resource, around.sequence, around.pace, around.hours, around.tokens
    )


def _count(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= TOKENS_MOST else math.nan  # type: ignore[arg-type, operator]


def _share(number: float) -> float:
    # A number that is none says the worst: it never helps to send one.
    return min(1.0, max(0.0, number)) if number == number else 1.0  # noqa: PLR0124 - not a number
