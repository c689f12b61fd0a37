"""Which novel patterns may matter here: specific enough, and not more of them than matching bears.

A novel pattern is whatever a member wrote. Matching it costs every decision, and acting on one that describes everyday
work costs people. So it has to say something that ordinary work does not, only so many are matched at a time, and its
own rate is unknown until this node has matched it for a while: the history before cannot have contained it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ioint_protocol import Pattern, PatternStep
from ioint_taxonomy import Taxonomy


@dataclass(frozen=True, slots=True, kw_only=True)
class NovelLimits:
    """How many novel patterns are matched at a time, and how broad one of their steps may be."""

    per_group: int = 64
    total: int = 1_024
    bare_verbs: int = 6  # verbs of a step that names no resource: the largest effect class


LIMITS: Final = NovelLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A novel pattern that asks to be matched: the group that reported it first, and when that came (RFC 3339)."""

    pattern: str
    group: str
    since: str


def too_broad(pattern: Pattern, taxonomy: Taxonomy, limits: NovelLimits = LIMITS) -> str | None:
    """Why a pattern could be much ordinary work; None when it is specific enough."""
    if not any(step.provenances or step.flow or step.outside for step in pattern.steps):
        return "no step says where a value came from, what flows, or that it leaves the envelope"
    for index, step in enumerate(pattern.steps):
        verbs = _verbs(step, taxonomy)
        if not step.resources and verbs > limits.bare_verbs:
            return f"step {index} names no resource and {verbs} verbs, more than {limits.bare_verbs}"
    return None


def places(claims: Iterable[Claim], limits: NovelLimits = LIMITS) -> frozenset[str]:
    """The novel patterns that are matched here: the oldest, so many of a group and so many in all."""
    taken: Counter[str] = Counter()
    found: set[str] = set()
    for claim in sorted(claims, key=lambda c: (c.since, c.pattern)):
        if len(found) == limits.total:
            break
        if taken[claim.group] < limits.per_group:
            taken[claim.group] += 1
            found.add(claim.pattern)
    return frozenset(found)


def _verbs(step: PatternStep, taxonomy: Taxonomy) -> int:
    """How many verbs a step takes; all of them when it names none."""
    if not step.verbs:
        return len(taxonomy.verbs)
    return sum(verb in step.verbs or f"@{effect}" in step.verbs for verb, effect in taxonomy.verbs.items())
