"""The shape of a session once it is over: what it used of its scope, what it took back, how like the others it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from ioint_taxonomy import Envelope, Step

from ioint_node.scoring.values import Surroundings

_LOOKS: Final = frozenset({"read", "list", "search"})
_CHANGES: Final = frozenset({"create", "update", "delete", "configure", "grant", "revoke"})
# An update that restores what was there cannot be told from another update in the abstract vocabulary.
_TAKES_BACK: Final = {"delete": "create", "revoke": "grant"}


def used_share(steps: Iterable[Step], envelope: Envelope) -> float | None:
    """The part 0..1 of an envelope that these steps used, over its verbs and its resources alike; None of nothing."""
    if not (envelope.verbs and envelope.resources):
        return None
    verbs, resources = set(), set()
    for step in steps:
        verbs.add(step.verb)
        resources.add(step.resource)
    if not verbs:
        return None
    share = len(verbs & envelope.verbs) / len(envelope.verbs)
    return (share + len(resources & envelope.resources) / len(envelope.resources)) / 2.0


def taken_back(steps: Iterable[Step]) -> tuple[int, int]:
    """How many changes these steps made, and how many of them they took back after they had looked at what they did."""
    made: Counter[tuple[str, str]] = Counter()
    looked: set[str] = set()
    changes = reverted = 0
    for step in steps:
        undoes = (_TAKES_BACK.get(step.verb, ""), step.resource)
        if step.verb in _LOOKS:
            looked.add(step.resource)
        elif made[undoes] and step.resource in looked:
            made[undoes] -= 1
            reverted += 1
        elif step.verb in _CHANGES:
            changes += 1
            made[step.verb, step.resource] += 1
            looked.discard(step.resource)
    return changes, reverted


def unlikeness(around: Surroundings) -> float:
    """How unlike the actor's earlier sessions one action is, 0..1: in its tool, its system, its order, its hour."""
    return max(around.first_tool, around.first_resource, around.sequence, around.hours)


def likeness(unlike: float, actions: int) -> float | None:
    """How like the actor's earlier sessions this one is, 0..1, from the sum of `unlikeness`; None without an action."""
    return 1.0 - min(1.0, unlike / actions) if actions > 0 else None
