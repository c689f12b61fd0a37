"""The two ladders that a lower bound of trust is read on: how much friction, and how much autonomy."""

from __future__ import annotations

from bisect import bisect_right
from enum import StrEnum

AUTONOMY_STEPS = (0.3, 0.5, 0.7, 0.9)
STANDARD_FROM = 0.5
TRUSTED_FROM = 0.7


class Friction(StrEnum):
    """How closely an actor is accompanied."""

    STRICT = "strict"
    STANDARD = "standard"
    TRUSTED = "trusted"


def friction(lower: float) -> Friction:
    """The friction level of a lower bound of trust, 0..1."""
    if lower >= TRUSTED_FROM:
        return Friction.TRUSTED
    return Friction.STANDARD if lower >= STANDARD_FROM else Friction.STRICT


def autonomy(lower: float) -> int:
    """The autonomy level of a lower bound of trust: 1 read-only, 2 suggest, 3 approval, 4 conditional, 5 full."""
    return 1 + bisect_right(AUTONOMY_STEPS, lower)
