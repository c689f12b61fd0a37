"""Operating points: where the thresholds lie for another tolerance of false verdicts.

`tolerance` is false out-of-scope verdicts per 1,000 actions of sessions without attack. The shipped thresholds are the
point of tolerance 1. How far a threshold moves for another tolerance is read off the tail of the log-odds that such
actions have in fits that had not seen them; beyond what was observed the tail is taken to fall exponentially, as
excesses over a high threshold do (Balkema and de Haan 1974, Pickands 1975).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SHIPPED_PER_1000 = 1.0
PER_1000 = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
DRIFT_LEAST = 0.02
DRIFT_MOST = 0.9999


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """The thresholds of one tolerance, drift 0..1."""

    per_1000: float
    borderline: float
    out_of_scope: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The upper tail of some scores: `share` of them lies above `start`, by `scale` log-odds in the mean."""

    start: float
    share: float
    scale: float

    def at(self, share: float) -> float:
        """The log-odds that this share of the scores reaches, at or above `start`."""
        return self.start + self.scale * max(0.0, math.log(self.share / share))


def log_odds(drift: float) -> float:
    """The log-odds of a probability, finite for 0 and 1 as well."""
    bounded = min(max(drift, 1e-9), 1.0 - 1e-9)
    return math.log(bounded / (1.0 - bounded))


def drift_of(odds: float) -> float:
    """The probability of log-odds, within what a threshold may be."""
    return min(max(1.0 / (1.0 + math.exp(-odds)), DRIFT_LEAST), DRIFT_MOST)


def tail_of(scored: Iterable[tuple[float, float]], start: float) -> Tail:
    """The tail above `start` of scores given as (log-odds, weight); where none lies above it, of one that just does."""
    listed = list(scored)
    total = sum(weight for _, weight in listed)
    above = [(odds - start, weight) for odds, weight in listed if odds > start]
    if not above or total <= 0:
        return Tail(start=start, share=1.0 / max(len(listed), 1), scale=1.0)
    share = sum(weight for _, weight in above)
    return Tail(
        start=start,
        share=share / total,
        scale=sum(excess * weight for excess, weight in above) / share,
    )


def points_of(borderline: float, out_of_scope: float, tail: Tail) -> tuple[OperatingPoint, ...]:
    """The operating points of `PER_1000`: both thresholds move together, by what the tail needs."""
    found = []
    for per_1000 in PER_1000:
        shift = tail.scale * math.log(SHIPPED_PER_1000 / per_1000)
        found.append(
            OperatingPoint(
                per_1000=per_1000,
                borderline=borderline
                if per_1000 == SHIPPED_PER_1000
                else drift_of(log_odds(borderline) + shift),
                out_of_scope=out_of_scope
                if per_1000 == SHIPPED_PER_1000
                else drift_of(log_odds(out_of_scope) + shift),
            )
        )
    return tuple(found)


def between(points: Sequence[OperatingPoint], per_1000: float) -> OperatingPoint:
    """The point of a tolerance: listed, or between two listed ones; beyond the list its nearest end."""
    if not points:
        message = "the model file has no operating points"
        raise ValueError(message)
    if not per_1000 > points[0].per_1000:
        return points[0]
    if per_1000 >= points[-1].per_1000:
        return points[-1]
    place = bisect_left([point.per_1000 for point in points], per_1000)
    upper = points[place]
    if upper.per_1000 == per_1000:
        return upper
    lower = points[place - 1]
    part = math.log(per_1000 / lower.per_1000) / math.log(upper.per_1000 / lower.per_1000)
    return OperatingPoint(
        per_1000=per_1000,
        borderline=_mixed(lower.borderline, upper.borderline, part),
        out_of_scope=_mixed(lower.out_of_scope, upper.out_of_scope, part),
    )


def _mixed(low: float, high: float, part: float) -> float:
    return drift_of((1.0 - part) * log_odds(low) + part * log_odds(high))
