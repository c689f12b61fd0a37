"""The trust budget: what an access costs, and what a budget that runs low does. `docs/grants.md` has the tables.

    cost = class · sensitivity · boundary · spread

The first three are factors of the step, 1 for looking at something internal of one's own. The spread compares its
resource group g with the groups that were touched before. With fresh(h) = 2^(−age of h / 10 min), 0 when never touched:

    spread = (1 − 0.6 · fresh(g)) · (1 + 0.5 · Σ fresh(h) over the other groups)

So work that stays where it is costs 0.4 of its first access, and each further group makes every access dearer: who
strolls through the house runs out much sooner than who works in one room.

A budget that runs low first shortens the interval in which the actor has to be looked at again, from half of it
downward and to a tenth when nothing is left; an access that it does not cover stops. What renews it is another
declaration, a scope request that was granted, or a person; without a person each renewal that adds anything adds half
as much as the one before, so that a session can never renew more than it was first given.

Sessions cost nothing, so an actor that takes one after the other begins them with less. What it lately spent in all
its sessions is summed and halved every 30 minutes, accesses in scope at a quarter. With R that sum, B what trust gives:

    a session begins with B · max(1/4, min(1, B / R))

So nothing is taken off until a whole budget was spent out of scope, or four in it, within about half an hour; and
work that stays small, in however many sessions, has a quarter of each budget left for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ioint_taxonomy import Step, Taxonomy

from ioint_node.scoring.levels import Terms

GROUPS = 8  # remembered; the one that was touched longest ago is forgotten first
HALF_LIFE_MS = 600_000
CLASS_UNITS = {
    "derive": 0.25,
    "observe": 1.0,
    "mutate": 2.0,
    "run": 3.0,
    "transfer": 3.0,
    "authority": 5.0,
    "value": 5.0,
}
UNKNOWN_CLASS_UNITS = 3.0  # a verb that is not known may run anything
SENSITIVITY_FACTORS = (0.75, 1.0, 1.5, 2.5)  # by rank, public … restricted
BOUNDARY_FACTORS = (0.75, 1.0, 1.2, 1.5, 2.0, 3.0)  # by rank, in the model's context … open audience
REPEATED_SAVES = 0.6
GROUP_ADDS = 0.5
CHEAPEST_UNITS = CLASS_UNITS["derive"] * SENSITIVITY_FACTORS[0] * BOUNDARY_FACTORS[0] * (1.0 - REPEATED_SAVES)
SHORTENS_BELOW = 0.5  # of what was given
SHORTEST = 0.1  # of the interval
RENEWAL_SHRINKS = 0.5
LATELY_MS = 1_800_000  # in which half of what an actor spent is forgotten
IN_SCOPE_COUNTS = 0.25  # of what it spent in scope
BEGINS_LEAST = 0.25  # of what trust gives, with which a session begins in any case
DECIMALS = 4

Groups = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What was given and is left, in units; the groups touched, each with its last time; times in Unix milliseconds.

    `renewed_at` is when the actor was last looked at again, `whole_at` when the budget was last given whole, at its
    start or by a person, `renewals` how often the actor has filled it by itself since.
    """

    granted: float
    left: float
    renewed_at: int
    groups: Groups = ()
    renewals: int = 0
    whole_at: int = 0

    def memory(self) -> dict[str, Any]:
        """What is remembered besides the units, as JSON, for the store."""
        return {"groups": self.groups, "renewed_at": self.renewed_at}

    @staticmethod
    def remembered(granted: float, left: float, memory: Mapping[str, Any]) -> Budget:
        """The budget of a grant, which is never renewed: its units and what `memory` wrote.

        Raises:
            KeyError, TypeError, ValueError: `memory` did not write that.
        """
        return Budget(
            granted=granted,
            left=left,
            renewed_at=int(memory["renewed_at"]),
            groups=tuple((str(group), int(at)) for group, at in memory["groups"]),
        )


def new_budget(terms: Terms, now: int) -> Budget:
    """The budget that a session begins with."""
    return Budget(granted=terms.budget, left=terms.budget, renewed_at=now, whole_at=now)


def begun_budget(terms: Terms, now: int, lately: float) -> Budget:
    """The budget that a session begins with, of an actor that has spent so many units `lately` (`still_spent`).

    One that begins with less has as many renewals behind it as it would take to come down to that.
    """
    if lately <= terms.budget:
        return new_budget(terms, now)
    share = max(BEGINS_LEAST, terms.budget / lately)
    units = round(terms.budget * share, DECIMALS)
    renewals = math.ceil(math.log(share, RENEWAL_SHRINKS))
    return Budget(granted=units, left=units, renewed_at=now, whole_at=now, renewals=renewals)


def still_spent(units: float, elapsed_ms: int) -> float:
    """What is not yet forgotten of units that were spent so long ago."""
    return units * 0.5 ** (elapsed_ms / LATELY_MS) if elapsed_ms > 0 else units


def spend(budget: Budget, step: Step, taxonomy: Taxonomy, now: int) -> tuple[Budget, float]:
    """The budget after an access, and the units it cost; what it does not cover leaves nothing.

    The access counts among the groups touched in either case.
    """
    resource = taxonomy.resource_classes.get(step.resource)
    group = step.resource if resource is None else resource.group
    known = others = 0.0
    kept = [(group, now)]
    for other, at in budget.groups:
        # A clock that runs back forgets nothing.
        fresh = 0.5 ** ((now - at) / HALF_LIFE_MS) if now > at else 1.0
        if other == group:
            known = fresh
        else:
            others += fresh
            kept.append((other, at))
    spread = (1.0 - REPEATED_SAVES * known) * (1.0 + GROUP_ADDS * others)
    effect_class = taxonomy.verbs.get(step.verb, "")
    cost = round(
        CLASS_UNITS.get(effect_class, UNKNOWN_CLASS_UNITS)
        * SENSITIVITY_FACTORS[taxonomy.sensitivity_rank(step.sensitivity)]
        * BOUNDARY_FACTORS[taxonomy.boundary_rank(step.boundary)]
        * spread,
        DECIMALS,
    )
    after = Budget(
        granted=budget.granted,
        left=_without(budget.left, cost),
        renewed_at=budget.renewed_at,
        groups=tuple(kept[:GROUPS]),
        renewals=budget.renewals,
        whole_at=budget.whole_at,
    )
    return after, cost


def draw(budget: Budget, units: float) -> Budget:
    """The budget after so many units were taken from it, for nothing in particular."""
    return replace(budget, left=_without(budget.left, units))


def capped(budget: Budget, most: float) -> Budget:
    """The budget when trust no longer gives more than `most` units: what was left beyond is gone."""
    return budget if budget.left <= most else replace(budget, left=most)


def is_spent(budget: Budget) -> bool:
    """Whether nothing is left: the access that was charged last is not covered."""
    return budget.left <= 0.0


def share_left(budget: Budget) -> float:
    """How much of what was given is left, 0..1."""
    return min(1.0, budget.left / budget.granted) if budget.granted > 0.0 else 0.0


def interval_s(budget: Budget, terms: Terms) -> int:
    """After how long the actor has to be looked at again, given what is left, in seconds."""
    part = min(1.0, SHORTEST + (1.0 - SHORTEST) * share_left(budget) / SHORTENS_BELOW)
    return max(1, round(terms.revalidate_s * part))


def due_at(budget: Budget, terms: Terms) -> int:
    """From when the actor has to be looked at again, in Unix milliseconds."""
    return budget.renewed_at + interval_s(budget, terms) * 1_000


def due(budget: Budget, terms: Terms, now: int) -> bool:
    """Whether the actor has to be looked at again before it goes on."""
    return now >= due_at(budget, terms)


def renew(budget: Budget, terms: Terms, now: int, *, by_person: bool) -> Budget:
    """The budget after the actor was looked at again; the groups it touched stay remembered.

    By a person it is whole. Else the n-th renewal that adds anything fills it up to the 2^n-th part, and a renewal that
    would add nothing costs nothing: it only starts the interval again.
    """
    if by_person:
        return replace(new_budget(terms, now), groups=budget.groups)
    filled = round(terms.budget * RENEWAL_SHRINKS ** (budget.renewals + 1), DECIMALS)
    if budget.left >= filled:
        return replace(budget, renewed_at=now)
    return replace(budget, granted=filled, left=filled, renewed_at=now, renewals=budget.renewals + 1)


def merged(*memories: Groups) -> Groups:
    """The groups of several memories, the newest first, as many as are remembered."""
    newest: dict[str, int] = {}
    for groups in memories:
        for group, at in groups:
            newest[group] = max(at, newest.get(group, at))
    return tuple(sorted(newest.items(), key=_newest_first)[:GROUPS])


def to_json(budget: Budget, cost: float, terms: Terms, now: int) -> dict[str, Any]:
    """`budget` of a decision: units given, left and taken now, and in how long a new look is due (0: it is)."""
    interval = interval_s(budget, terms)
    return {
        "granted": round(budget.granted, DECIMALS),
        "left": round(budget.left, DECIMALS),
        "cost": cost,
        "groups": len(budget.groups),
        "interval_s": interval,
        "revalidate_in_s": max(0, interval - (now - budget.renewed_at) // 1_000),
        "renewals": budget.renewals,
        "spent": is_spent(budget),
    }


def _without(left: float, units: float) -> float:
    # Units have four decimals: what was given and what was taken must not drift apart by the representation.
    return max(0.0, round(left - units, DECIMALS))


def _newest_first(one: tuple[str, int]) -> int:
    return -one[1]
