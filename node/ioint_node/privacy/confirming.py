"""From which session risk on the node's own word is enough for others to hear of a pattern.

A false report costs every member. Of 10,000 sessions that turn out benign at most one may be reported, and until a node
has judged that many it trusts the shipped threshold, which no benign session of the development data reaches. After
that its own history can only raise it: the higher of the two is in force.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

BENIGN_PER_FALSE: Final = 10_000


def tolerated(judged: int) -> int:
    """How many of so many benign sessions may be reported."""
    return judged // BENIGN_PER_FALSE


def own_threshold(*, judged: int, riskiest: Sequence[float]) -> float:
    """The risk 0..1 from which own history bears a report out: of the benign sessions, `tolerated` at most reach it.

    0 before `BENIGN_PER_FALSE` sessions were judged benign.

    Args:
        judged: own sessions that were judged benign.
        riskiest: their highest risks, the highest first: `tolerated(judged) + 1` of them, or all.
    """
    if judged < BENIGN_PER_FALSE or len(riskiest) <= tolerated(judged):
        return 0.0
    # Those at or above the threshold are the false reports: the first one too many lies below it.
    return math.nextafter(riskiest[tolerated(judged)], math.inf)
