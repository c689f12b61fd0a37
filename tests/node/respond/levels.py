"""Actors at a level of trust, earned or lost the way trust is."""

from __future__ import annotations

from ioint_node.scoring.held import COMPONENTS
from ioint_node.scoring.trust import Evidence, Trust, after_all, lower_bound, new_trust
from ioint_node.store.times import DAY_MS

DAYS = 400


def trusted(lower: float, now: int) -> Trust:
    """The trust of an actor whose lower bound is at most .1 over this one, or under it by little."""
    trust = new_trust("agent", "c" * 64, now - DAYS * DAY_MS)
    bad = Evidence(kind="out_of_scope", component="conduct", weight=0.2, positive=False)
    while lower_bound(trust, now) > lower + 0.1:
        trust = after_all(trust, [bad], now)
    for day in range(DAYS, 0, -1):
        if lower_bound(trust, now) >= lower:
            break
        good = [Evidence(kind="feedback", component=one, weight=4.0, positive=True) for one in COMPONENTS]
        trust = after_all(trust, good, now - day * DAY_MS)
    return trust
