"""When a node has heard enough of others to sign anew.

A database and an anchor that were restored from one old copy agree with each other, and nothing here tells that later
segments of the own log exist: only members do (`flows.ownlog`). One that lies, or has just begun itself, must not be
the only one asked; as many affiliation groups as may lie, and one more, are.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from ioint_protocol import Roster

LIARS_DIVISOR: Final = 3  # less than a third of the groups lie, as for beliefs
LEAST_GROUPS: Final = 2


def heard_enough(
    roster: Roster, own: str | None, compared: Collection[str], connected: Collection[str], *, waited: bool
) -> bool:
    """Whether comparing with the members `compared` tells what there is of the own log.

    They are of ⌊(n−1)/3⌋ + 1 of the n groups, at least two, or of all groups but for ourselves; or we `waited` in vain
    for others to be `connected`.
    """
    active = {member.id: member.group for member in roster.members if member.state == "active"}
    others = {member: group for member, group in active.items() if member != own}
    groups = {group for member, group in others.items() if member in compared}
    wanted = max(LEAST_GROUPS, (len(set(active.values())) - 1) // LIARS_DIVISOR + 1)
    if groups and len(groups) >= min(wanted, len(set(others.values()))):
        return True
    reached = others.keys() & set(connected)
    return waited and bool(groups) and reached <= set(compared)
