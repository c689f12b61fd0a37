"""Two ladders that a lower bound of trust is read on, and the terms that stand on each step of them.

Friction says how closely an actor is accompanied, autonomy how much it may do by itself; both are read from the one
number, so a step of autonomy lies wholly within a friction level. `docs/responses.md` shows `TERMS` as a table.

The numbers are ours. Each quantity at most doubles to quadruples from step to step: who is new can do a short piece of
work before a person looks, who is fully trusted a working day.

What other members report moves no step of either ladder. It asks for attention first (`watched`): whoever acts under a
warning is looked at again sooner, and what lends it access does so for a shorter time.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from enum import StrEnum

AUTONOMY_STEPS = (0.3, 0.5, 0.7, 0.9)
STANDARD_FROM = 0.5
TRUSTED_FROM = 0.7
# The effect classes of the taxonomy's verbs that leave something changed.
CHANGES = frozenset({"mutate", "run", "transfer", "authority", "value"})
# Of these, those whose effect a person can hardly take back: rights and money.
CONSEQUENTIAL = frozenset({"authority", "value"})
WATCHED = 20.0  # an effect of .05 halves what a warning shortens, .10 leaves a third, .30 a seventh
SUPPORTED_TIERS = frozenset({"corroborated", "consensus"})  # what more than the groups that may lie supports


class Friction(StrEnum):
    """How closely an actor is accompanied."""

    STRICT = "strict"
    STANDARD = "standard"
    TRUSTED = "trusted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a level of trust means: for approvals, for time, and for what may be used up.

    Attributes:
        friction: the friction level.
        autonomy: the autonomy level, 1..5.
        session_s: how long a declaration carries a session.
        revalidate_s: how long a session may go on before the actor is looked at again.
        grant_s: the longest life of a grant.
        grant_units: the most units of a grant.
        pass_s: the life of one pass, which the next use replaces.
        budget: the trust budget of a session, in units; an ordinary access within one group of resources costs one.
        approve: effect classes that a person approves each time.
        doubted: effect classes that a person approves where there is any doubt.
        step_up: effect classes that are checked more closely each time.
        step_up_edge: looking at the edge of the declaration is checked more closely, rather than told.
        scope_by_person: a person answers a request for more scope, even where another declaration would hold it.
    """

    friction: Friction
    autonomy: int
    session_s: int
    revalidate_s: int
    grant_s: int
    grant_units: float
    pass_s: int
    budget: float
    approve: frozenset[str] = frozenset()
    doubted: frozenset[str] = frozenset()
    step_up: frozenset[str] = frozenset()
    step_up_edge: bool = False
    scope_by_person: bool = False


TERMS = (
    Terms(
        friction=Friction.STRICT,
        autonomy=1,  # read-only: it looks; what it derives is checked, and what it would change a person approves
        session_s=1_800,
        revalidate_s=300,
        grant_s=300,
        grant_units=10.0,
        pass_s=60,
        budget=50.0,
        approve=CHANGES,
        doubted=CHANGES,
        step_up=frozenset({"derive"}),
        step_up_edge=True,
        scope_by_person=True,
    ),
    Terms(
        friction=Friction.STRICT,
        autonomy=2,  # suggest: it looks and drafts; what it would change a person approves
        session_s=3_600,
        revalidate_s=600,
        grant_s=600,
        grant_units=20.0,
        pass_s=120,
        budget=100.0,
        approve=CHANGES,
        doubted=CHANGES,
        scope_by_person=True,
    ),
    Terms(
        friction=Friction.STANDARD,
        autonomy=3,  # execute with approval of what is consequential; the rest resolves itself
        session_s=7_200,
        revalidate_s=1_200,
        grant_s=1_200,
        grant_units=50.0,
        pass_s=180,
        budget=250.0,
        approve=CONSEQUENTIAL,
        doubted=CONSEQUENTIAL,
        step_up=frozenset({"transfer"}),
    ),
    Terms(
        friction=Friction.TRUSTED,
        autonomy=4,  # conditional auto: by itself as long as nothing is in doubt
        session_s=14_400,
        revalidate_s=3_600,
        grant_s=3_600,
        grant_units=100.0,
        pass_s=300,
        budget=500.0,
        doubted=CONSEQUENTIAL,
    ),
    Terms(
        friction=Friction.TRUSTED,
        autonomy=5,  # full: a person is asked when the scope changes
        session_s=28_800,
        revalidate_s=7_200,
        grant_s=7_200,
        grant_units=200.0,
        pass_s=600,
        budget=1_000.0,
    ),
)


def friction(lower: float) -> Friction:
    """The friction level of a lower bound of trust, 0..1."""
    if lower >= TRUSTED_FROM:
        return Friction.TRUSTED
    return Friction.STANDARD if lower >= STANDARD_FROM else Friction.STRICT


def autonomy(lower: float) -> int:
    """The autonomy level of a lower bound of trust: 1 read-only, 2 suggest, 3 approval, 4 conditional, 5 full."""
    return 1 + bisect_right(AUTONOMY_STEPS, lower)


def terms_of(lower: float) -> Terms:
    """What a lower bound of trust, 0..1, means."""
    return TERMS[bisect_right(AUTONOMY_STEPS, lower)]


def watched(terms: Terms, tier: str, effect: float) -> Terms:
    """What a level means while other members warn of what its actor does: each time divided by 1 + 20 · effect.

    From the first warning on the actor is looked at again sooner and a pass lives shorter; a grant lives shorter where
    the warning is corroborated. What may be done and used up stays: remote records alone take none of it. With an
    effect that fades everything comes back by degrees.

    Args:
        terms: of the local level.
        tier: of the warning, in force here.
        effect: what the network takes off trust, 0..1.
    """
    if effect <= 0.0:
        return terms
    part = 1.0 / (1.0 + WATCHED * effect)
    lent = part if tier in SUPPORTED_TIERS else 1.0
    return replace(
        terms,
        revalidate_s=max(1, round(terms.revalidate_s * part)),
        pass_s=max(1, round(terms.pass_s * part)),
        grant_s=max(1, round(terms.grant_s * lent)),
    )
