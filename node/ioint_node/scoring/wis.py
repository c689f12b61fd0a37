"""The weighted intent score: how well an action is carried by the intent that was declared.

WIS = (1 − R·(1 − O·C)) · d, with O how clear the objective is, C how appropriate the action is to it, R how large the
risk is if the intent is abused, and d the part of the declaration's time that is left. It rises in O and C, and falls
in R and with time. An action without risk (R = 0) is carried by any intent; one with full risk only as far as O·C.
"""

from __future__ import annotations


def wis(clarity: float, fit: float, risk: float, left: float) -> float:
    """The weighted intent score of O, C, R and d, each in 0..1 and cut to that range; the score is in 0..1."""
    clarity, fit, risk, left = _unit(clarity), _unit(fit), _unit(risk), _unit(left)
    return (1.0 - risk * (1.0 - clarity * fit)) * left


def time_left(elapsed_ms: int, granted_ms: int) -> float:
    """d: the part of the granted time that is left, 1 at the declaration and 0 from its expiry on.

    Where no time was granted, none is left.
    """
    return _unit(1.0 - elapsed_ms / granted_ms) if granted_ms > 0 else 0.0


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))
