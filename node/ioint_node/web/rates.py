"""How many requests a caller has left: two token buckets for each, the smaller one for what is costly.

A bucket is one number, the instant at which it is full again (the generic cell rate algorithm): a request moves it on
by the time in which the rate allows one, and is refused where that would be later than a full bucket from now.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

_ROUNDING_MS = 1e-3  # what sums of fractions of a millisecond may be off by


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many requests a second in the long run, and so many at once."""

    name: str
    per_s: int
    burst: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a request found: its rate, how many more may come at once, and how long to wait (0: it came in)."""

    rate: Rate
    more: int
    wait_ms: float

    def headers(self) -> dict[str, str]:
        """The same as `RateLimit-Policy` and `RateLimit` (IETF draft), and `Retry-After` for who has to wait."""
        rate = self.rate
        full_s = math.ceil((rate.burst - self.more) / rate.per_s)
        headers = {
            "RateLimit-Policy": f'"{rate.name}";q={rate.burst};w={math.ceil(rate.burst / rate.per_s)}',
            "RateLimit": f'"{rate.name}";r={self.more};t={full_s}',
        }
        return (
            headers if not self.wait_ms else headers | {"Retry-After": str(math.ceil(self.wait_ms / 1_000))}
        )


class Rates:
    """The buckets of a bounded number of callers; of more, those that asked longest ago begin anew with full ones."""

    def __init__(self, *, cheap: Rate, costly: Rate, callers: int) -> None:
        self._cheap = cheap
        self._costly = costly
        self._full_at: OrderedDict[tuple[str, bool], float] = OrderedDict()  # Unix milliseconds
        self._most = 2 * callers

    def take(self, caller: str, now: int, *, costly: bool = False) -> Left:
        """Take one request from a caller's bucket, if it has one; `now` in Unix milliseconds."""
        rate = self._costly if costly else self._cheap
        each_ms, bucket_ms = 1_000 / rate.per_s, 1_000 * rate.burst / rate.per_s
        key = (caller, costly)
        # A clock that was put back leaves nobody behind a bucket that is fuller than full.
        before = min(max(self._full_at.pop(key, now), now), now + bucket_ms)
        after = before + each_ms
        wait_ms = max(0.0, after - now - bucket_ms)
        if wait_ms < _ROUNDING_MS:
            wait_ms, before = 0.0, after
        self._full_at[key] = before
        while len(self._full_at) > self._most:
            self._full_at.popitem(last=False)
        return Left(
            rate=rate,
            more=max(0, int((bucket_ms - (before - now)) / each_ms + _ROUNDING_MS)),
            wait_ms=wait_ms,
        )
