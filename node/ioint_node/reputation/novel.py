"""Which novel patterns may matter here: specific enough, and not more of them than matching bears.

A novel pattern is whatever a member wrote. Matching it costs every decision, and acting on one that describes everyday
work costs people. So it has to say something that ordinary work does not, only so many are matched at a time, and its
own rate is unknown until this node has looked for it in what it kept of its own sessions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ioint_protocol import Pattern, PatternStep
from ioint_taxonomy import Taxonomy


@dataclass(frozen=True, slots=True, kw_only=True)
class NovelLimits:
    """How many novel patterns are matched at a time, and how broad one of their steps may be."""

    per_group: int = 64
    total: int = 1_024
    bare_verbs: int = 6  # verbs of a step that may touch much: the largest effect class
    bare_resources: int = 10  # resource classes from which on it may: the largest group


# On whose word everyday work is done: who declared the task, the organisation's own people, nobody knows who.
EVERYDAY: Final = frozenset({"principal", "tenant_content", "unknown"})


LIMITS: Final = NovelLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A novel pattern that asks to be matched: the group that reported it first, and when that came (RFC 3339)."""

    pattern: str
    group: str
    since: str


def too_broad(pattern: Pattern, taxonomy: Taxonomy, limits: NovelLimits = LIMITS) -> str | None:
    """Why a pattern could be much ordinary work; None when it is specific enough."""
    if not any(_tells(step) for step in pattern.steps):
        return "no step says that a value came from others, what flows, or that it leaves the envelope"
    for index, step in enumerate(pattern.steps):
        verbs = _covered(step.verbs, taxonomy.verbs)
        resources = _covered(step.resources, taxonomy.resources)
        if verbs > limits.bare_verbs and resources > limits.bare_resources:
            named = f"{resources} resource classes" if step.resources else "no resource"
            return f"step {index} names {named} and {verbs} verbs, more than {limits.bare_verbs}"
    return None


def places(claims: Iterable[Claim], groups: int, limits: NovelLimits = LIMITS) -> frozenset[str]:
    """The novel patterns that are matched here, the oldest of each group first.

    Of so many groups in the electorate each has an equal share of the places; what others leave of theirs goes to the
    oldest of what is left, up to `per_group`. However many groups invent patterns, they take none from the others.
    """
    share = min(limits.per_group, max(1, limits.total // max(1, groups)))
    taken: Counter[str] = Counter()
    sure: list[str] = []
    more: list[str] = []
    for claim in sorted(claims, key=lambda c: (c.since, c.pattern)):
        taken[claim.group] += 1
        if taken[claim.group] <= share:
            sure.append(claim.pattern)
        elif taken[claim.group] <= limits.per_group:
            more.append(claim.pattern)
    return frozenset([*sure, *more][: limits.total])


def _tells(step: PatternStep) -> bool:
    """Whether a step says something that everyday work need not."""
    return (
        bool(step.flow) or step.outside or (bool(step.provenances) and EVERYDAY.isdisjoint(step.provenances))
    )


def _covered(terms: Sequence[str], classes: Mapping[str, str]) -> int:
    """How many words of the taxonomy these terms take; all of them when there are none."""
    if not terms:
        return len(classes)
    return sum(word in terms or f"@{parent}" in terms for word, parent in classes.items())
