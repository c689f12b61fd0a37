"""The own baseline of one actor: which tools, resources, orders of steps, pace, hours and tokens are usual for it.

Learned from in-scope actions alone, and by the hour: whatever an actor does within one hour of the clock, a tool, a
resource or an order of steps gains one unit at most, and pace and tokens move once, by a bounded step. So a burst
teaches no more than a single action does, and what is to be taken for usual has to be done inside the declared intent
in `USUAL_UNITS` different hours. Names are kept as counts under salted hashes: two names may share a count, which can
only hide a surprise, and no name can be read back.

Forgetting is a function of the counts, the week of the last event and now: a week takes 15 % (half in a month). A
clock that runs back forgets nothing and learns nothing, a clock that jumps ahead makes more surprising, never less.
"""

from __future__ import annotations

import base64
import hashlib
import math
from array import array
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ioint_taxonomy import Step

HOUR_MS: Final = 3_600_000
HISTORY_HOURS: Final = 12  # hours with in-scope actions, before anything is called unusual
HISTORY_DAYS: Final = 7  # days with in-scope actions, before an hour is called unusual
WEEKDAYS_NEEDED: Final = 10  # working days, before a weekend is called unusual
USUAL_UNITS: Final = 2.0  # hours in which a thing was done, from which it is fully usual
CONTEXT_UNITS: Final = 6.0  # the same of a step, from which what follows it is fully known
UNIT: Final = 8  # of a count: a byte holds 31 units and an eighth is the least that is not forgotten
WEEK_KEEPS: Final = 0.85
WEEKS_MOST: Final = 64  # older than this is forgotten whole
HOUR_MOVES: Final = 0.1  # of the way to what an hour showed, once the history is long
PULSE_KEEPS: Final = 0.7  # of the pulse of a session, per action
GAP_MOST_MS: Final = 600_000  # a longer pause says that work was interrupted, not how fast it goes
SD_PACE: Final = 1.0  # least standard deviation of the logarithm (base 2) of a gap: one octave
SD_RATE: Final = 1.0  # the same, of the number of actions in an hour
SD_TOKENS: Final = 0.5

# Where the counts of a kind lie in the one array of bytes: (start, cells).
_TOOLS: Final = (0, 256)
_RESOURCES: Final = (256, 96)
_STEPS: Final = (352, 128)
_ORDERS: Final = (480, 448)
_HOURS: Final = 928
_WEEK: Final = 952  # working days, weekend days
_CELLS: Final = 954

# Mean and variance that were learned, and the sums of the hour that runs.
(
    _PACE,
    _PACE_VAR,
    _RATE,
    _RATE_VAR,
    _TOKENS,
    _TOKENS_VAR,
    _TOKEN_HOURS,
    _GAP_SUM,
    _GAP_SQUARES,
    _GAPS,
    _ACTIONS,
    _TOKEN_SUM,
    _TOKEN_ROWS,
    _PACE_HOURS,
    _HISTORY,
    _DAYS,
    _LOADED,
) = range(17)
_NUMBERS: Final = 17
_MASK_BITS: Final = 128
_FORGET: Final = tuple(
    bytes(int(n * WEEK_KEEPS**weeks) for n in range(256)) for weeks in range(WEEKS_MOST + 1)
)
_SATURATED: Final = 255


class Unusual(NamedTuple):
    """How unusual one action is for its actor, 0..1 each; 0 as long as too little is known of the actor."""

    first_tool: float = 0.0
    first_resource: float = 0.0
    sequence: float = 0.0
    pace: float = 0.0
    hours: float = 0.0
    tokens: float = 0.0


NOTHING_UNUSUAL: Final = Unusual()


class Pulse(NamedTuple):
    """The rhythm of one session: its last step, when that came (Unix ms), and the smoothed log2 of its gaps in ms.

    `gap` is -1 as long as there was none.
    """

    verb: str = ""
    resource: str = ""
    at: int = 0
    gap: float = -1.0


NO_PULSE: Final = Pulse()


def beat(pulse: Pulse, step: Step, at: int) -> Pulse:
    """The rhythm of a session once an action came, whatever its verdict; a clock that runs back counts as no gap."""
    if not pulse.verb:
        return Pulse(step.verb, step.resource, at)
    passed = min(max(at - pulse.at, 0), GAP_MOST_MS)
    fresh = math.log2(1 + passed)
    gap = fresh if pulse.gap < 0.0 else PULSE_KEEPS * pulse.gap + (1.0 - PULSE_KEEPS) * fresh
    return Pulse(step.verb, step.resource, max(at, pulse.at), gap)


class Sample(NamedTuple):
    """One in-scope action of a run before the actor went to work; `gap_ms` since the one before it, None if unknown."""

    tool: str
    step: Step
    gap_ms: int | None = None
    tokens: float | None = None


class Baseline:
    """What is usual for one actor, in about 1.4 KB. It changes in place, as the tracker of a session does.

    `salt` is a random number of 64 bits, so that nobody can choose names that share a count. Times are Unix
    milliseconds of this node's clock; a time that a caller names is no time for it.
    """

    __slots__ = ("_cells", "_hour", "_mask", "_numbers", "_week", "salt")

    def __init__(self, salt: int) -> None:
        self.salt = salt & ((1 << 64) - 1)
        self._cells = bytearray(_CELLS)
        self._numbers = array("d", bytes(8 * _NUMBERS))
        self._hour = -1
        self._week = -1
        self._mask = 0

    @property
    def known(self) -> bool:
        """Whether there is enough history to call anything unusual."""
        return self._numbers[_HISTORY] >= HISTORY_HOURS

    def surprise(
        self, tool: str, step: Step, at_ms: int, *, pulse: Pulse = NO_PULSE, tokens: float | None = None
    ) -> Unusual:
        """How unusual an action is; `pulse` is that of its session before it. Changes nothing.

        Args:
            tool: the tool's name, with its server where names of servers matter.
            step: the action in the abstract vocabulary.
            at_ms: when it came, by this node's clock.
            pulse: the rhythm of its session before it.
            tokens: the tokens that it took; a number that cannot be counts as the most unusual.
        """
        numbers = self._numbers
        if numbers[_HISTORY] < HISTORY_HOURS:
            return NOTHING_UNUSUAL
        weeks = min(WEEKS_MOST, max(0, at_ms // (168 * HOUR_MS) - self._week))
        forget = _FORGET[weeks]
        salt = self.salt
        return Unusual(
            self._new(_cells_of(salt, tool, *_TOOLS), forget),
            self._new(_cells_of(salt, step.resource, *_RESOURCES), forget),
            self._order(pulse, step, forget) if pulse.verb else 0.0,
            self._fast(beat(pulse, step, at_ms).gap, at_ms),
            self._odd_hour(at_ms, forget),
            0.0 if tokens is None else self._many_tokens(tokens),
        )

    def learn(
        self, tool: str, step: Step, at_ms: int, *, pulse: Pulse = NO_PULSE, tokens: float | None = None
    ) -> bool:
        """Take in one action; the caller passes in-scope actions alone. `pulse` is that of the session before it.

        True when an hour began with it: the moment to write the baseline to the store.
        """
        hour = at_ms // HOUR_MS
        begins = hour > self._hour
        if hour != self._hour:
            if hour < self._hour:
                # The clock ran back: go on from there, and let this hour teach nothing that another taught.
                self._hour, self._week, self._mask = hour, min(self._week, hour // 168), (1 << _MASK_BITS) - 1
                return False
            self._begin_hour(hour)
        gap = at_ms - pulse.at if pulse.verb else -1
        self._take(tool, step, pulse, gap_ms=gap, tokens=tokens)
        return begins

    def learn_run(self, actions: Iterable[Sample], now: int) -> int:
        """Take in a run from before the actor went to work, as one hour of in-scope work, and count its actions.

        When it ran is not known: hours of the day and weekends learn nothing of it. The rest of the present hour
        teaches nothing on top.
        """
        numbers = self._numbers
        if self._hour < now // HOUR_MS:
            self._pass_weeks(now // HOUR_MS)
            self._hour = now // HOUR_MS
        self._close_hour()
        self._mask = 0
        pulse, count = NO_PULSE, 0
        for sample in actions:
            gap = -1 if sample.gap_ms is None else sample.gap_ms
            self._take(sample.tool, sample.step, pulse, gap_ms=gap, tokens=sample.tokens)
            pulse = Pulse(sample.step.verb, sample.step.resource)
            count += 1
        if count:
            numbers[_HISTORY] += 1.0
            numbers[_LOADED] += 1.0
            self._close_hour()
        self._mask = (1 << _MASK_BITS) - 1
        return count

    def describe(self, at_ms: int) -> dict[str, Any]:
        """What is usual, in words and round numbers; names were never kept."""
        numbers, cells = self._numbers, self._cells
        hours = [hour for hour in range(24) if cells[_HOURS + hour] >= UNIT]
        working, weekend = cells[_WEEK], cells[_WEEK + 1]
        paced, counted = numbers[_PACE_HOURS] > 0, numbers[_TOKEN_HOURS] > 0
        left = max(0, HISTORY_HOURS - int(numbers[_HISTORY]))
        return {
            "known": left == 0,
            "says": "departures are noticed"
            if left == 0
            else f"{left} more hours of in-scope work are needed",
            "hours_seen": int(numbers[_HISTORY]),
            "days_seen": int(numbers[_DAYS]),
            "runs_loaded": int(numbers[_LOADED]),
            "tools": self._distinct(_TOOLS),
            "resources": self._distinct(_RESOURCES),
            "orders_of_steps": self._distinct(_ORDERS),
            "hours_utc": _ranges(hours),
            "weekends": "rarely or never" if 2.5 * weekend < 0.5 * working else "as on other days",
            "seconds_between_actions": round(2.0 ** numbers[_PACE] / 1000, 2) if paced else None,
            "actions_per_hour": round(2.0 ** numbers[_RATE] - 1.0, 1) if numbers[_HISTORY] > 0 else None,
            "tokens_per_action": round(2.0 ** numbers[_TOKENS] - 1.0) if counted else None,
            "weeks_since": None if self._week < 0 else max(0, at_ms // (168 * HOUR_MS) - self._week),
        }

    def to_json(self) -> dict[str, Any]:
        """The value as JSON, for the store."""
        return {
            "v": 1,
            "salt": f"{self.salt:016x}",
            "cells": base64.b64encode(self._cells).decode("ascii"),
            "numbers": list(self._numbers),
            "hour": self._hour,
            "week": self._week,
            "mask": f"{self._mask:032x}",
        }

    @staticmethod
    def from_json(value: object) -> Baseline:
        """The baseline that `to_json` wrote; raises ValueError on anything else."""
        if not isinstance(value, Mapping) or value.get("v") != 1:
            raise ValueError("no baseline of version 1")
        try:
            made = Baseline(int(value["salt"], 16))
            cells = base64.b64decode(value["cells"], validate=True)
            numbers = [float(number) for number in value["numbers"]]
            mask = int(value["mask"], 16)
            hour, week = value["hour"], value["week"]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"no baseline: {type(error).__name__}") from None
        sizes = len(cells) == _CELLS and len(numbers) == _NUMBERS and 0 <= mask < 1 << _MASK_BITS
        if not sizes or not all(0.0 <= number < 1e15 for number in numbers):
            raise ValueError("no baseline: a count or a number is out of its bounds")
        if not all(type(one) is int and -1 <= one < 1 << 40 for one in (hour, week)):
            raise ValueError("no baseline: hour and week are not whole numbers")
        made._cells[:] = cells
        made._numbers = array("d", numbers)
        made._hour, made._week, made._mask = hour, week, mask
        return made

    def _take(self, tool: str, step: Step, before: Pulse, *, gap_ms: int, tokens: float | None) -> None:
        numbers, salt = self._numbers, self.salt
        numbers[_ACTIONS] += 1.0
        self._count(_cells_of(salt, tool, *_TOOLS))
        self._count(_cells_of(salt, step.resource, *_RESOURCES))
        self._count(_cells_of(salt, f"{step.verb} {step.resource}", *_STEPS))
        if before.verb:
            self._count(_cells_of(salt, _order_name(before, step), *_ORDERS))
        if 0 <= gap_ms <= GAP_MOST_MS:
            gap = math.log2(1 + gap_ms)
            numbers[_GAP_SUM] += gap
            numbers[_GAP_SQUARES] += gap * gap
            numbers[_GAPS] += 1.0
        if tokens is not None and 0.0 <= tokens < math.inf:
            numbers[_TOKEN_SUM] += math.log2(1.0 + tokens)
            numbers[_TOKEN_ROWS] += 1.0

    def _pass_weeks(self, hour: int) -> None:
        """Forget what the weeks since the last event take."""
        weeks = 0 if self._week < 0 else min(WEEKS_MOST, hour // 168 - self._week)
        if weeks > 0:
            self._cells[:] = self._cells.translate(_FORGET[weeks])
        self._week = hour // 168

    def _begin_hour(self, hour: int) -> None:
        """Take in what the hour before showed, once, and let this one begin."""
        numbers, cells = self._numbers, self._cells
        self._close_hour()
        first_of_day = hour // 24 != self._hour // 24
        self._pass_weeks(hour)
        self._hour, self._mask = hour, 0
        numbers[_HISTORY] += 1.0
        _raise(cells, _HOURS + hour % 24)
        if first_of_day:
            numbers[_DAYS] += 1.0
            _raise(cells, _WEEK + _is_weekend(hour))

    def _close_hour(self) -> None:
        numbers = self._numbers
        if numbers[_ACTIONS] > 0.0:
            self._move(_RATE, math.log2(1.0 + numbers[_ACTIONS]), 0.0, numbers[_HISTORY], SD_RATE)
        if numbers[_GAPS] > 0.0:
            mean = numbers[_GAP_SUM] / numbers[_GAPS]
            within = max(0.0, numbers[_GAP_SQUARES] / numbers[_GAPS] - mean * mean)
            numbers[_PACE_HOURS] += 1.0
            self._move(_PACE, mean, within, numbers[_PACE_HOURS], SD_PACE)
        if numbers[_TOKEN_ROWS] > 0.0:
            numbers[_TOKEN_HOURS] += 1.0
            mean = numbers[_TOKEN_SUM] / numbers[_TOKEN_ROWS]
            self._move(_TOKENS, mean, 0.0, numbers[_TOKEN_HOURS], SD_TOKENS)
        for index in (_GAP_SUM, _GAP_SQUARES, _GAPS, _ACTIONS, _TOKEN_SUM, _TOKEN_ROWS):
            numbers[index] = 0.0

    def _move(self, index: int, seen: float, within: float, hours: float, floor: float) -> None:
        """Move a mean and its variance toward what one hour showed, by at most two standard deviations' worth."""
        numbers = self._numbers
        if hours <= 1.0:
            numbers[index], numbers[index + 1] = seen, within + floor * floor
            return
        share = max(HOUR_MOVES, 1.0 / hours)
        spread = math.sqrt(numbers[index + 1])
        away = min(max(seen - numbers[index], -2.0 * spread), 2.0 * spread)
        numbers[index] += share * away
        scatter = min(within + away * away, 4.0 * numbers[index + 1])
        numbers[index + 1] = max(floor * floor, numbers[index + 1] + share * (scatter - numbers[index + 1]))

    def _count(self, places: tuple[int, int, int]) -> None:
        """One unit for a thing, unless this hour has given it one."""
        first, second, bit = places
        if self._mask & bit:
            return
        self._mask |= bit
        _raise(self._cells, first)
        if second != first:
            _raise(self._cells, second)

    def _units(self, places: tuple[int, int, int], forget: bytes) -> float:
        cells = self._cells
        first, second = forget[cells[places[0]]], forget[cells[places[1]]]
        return (min(second, first)) / UNIT

    def _new(self, places: tuple[int, int, int], forget: bytes) -> float:
        units = self._units(places, forget)
        return 0.0 if units >= USUAL_UNITS else 1.0 - units / USUAL_UNITS

    def _order(self, pulse: Pulse, step: Step, forget: bytes) -> float:
        """An order of two steps that is new, as far as it is known what follows the first of them."""
        new = self._new(_cells_of(self.salt, _order_name(pulse, step), *_ORDERS), forget)
        if new == 0.0:
            return 0.0
        context = self._units(_cells_of(self.salt, f"{pulse.verb} {pulse.resource}", *_STEPS), _FORGET[0])
        return new * min(1.0, context / CONTEXT_UNITS)

    def _fast(self, gap: float, at_ms: int) -> float:
        """How much faster the session beats than this actor works, or how many more actions this hour has had."""
        numbers = self._numbers
        found = 0.0
        if gap >= 0.0 and numbers[_PACE_HOURS] > 0.0:
            found = (numbers[_PACE] - gap) / math.sqrt(numbers[_PACE_VAR])
        if at_ms // HOUR_MS <= self._hour:
            more = math.log2(1.0 + numbers[_ACTIONS]) - numbers[_RATE]
            found = max(found, more / math.sqrt(numbers[_RATE_VAR]))
        return min(1.0, max(0.0, (found - 2.0) / 3.0))

    def _odd_hour(self, at_ms: int, forget: bytes) -> float:
        numbers, cells = self._numbers, self._cells
        if numbers[_DAYS] < HISTORY_DAYS:
            return 0.0
        hour = at_ms // HOUR_MS
        usual = sum(cells[_HOURS:_WEEK]) / 24.0
        odd = 1.0 - self._smoothed(hour % 24, forget) / (0.5 * usual) if usual > 0.0 else 0.0
        working = cells[_WEEK]
        if _is_weekend(hour) and working >= WEEKDAYS_NEEDED * UNIT:
            odd = max(odd, 1.0 - (cells[_WEEK + 1] / 2.0) / (0.5 * working / 5.0))
        return min(1.0, max(0.0, odd))

    def _smoothed(self, hour: int, forget: bytes) -> float:
        """How often an hour of the day was worked in, its neighbours counting half."""
        cells = self._cells
        before, after = cells[_HOURS + (hour - 1) % 24], cells[_HOURS + (hour + 1) % 24]
        return 0.5 * forget[cells[_HOURS + hour]] + 0.25 * (forget[before] + forget[after])

    def _many_tokens(self, tokens: float) -> float:
        if not 0.0 <= tokens < math.inf:
            return 1.0
        numbers = self._numbers
        if numbers[_TOKEN_HOURS] < 3.0:
            return 0.0
        away = (math.log2(1.0 + tokens) - numbers[_TOKENS]) / math.sqrt(numbers[_TOKENS_VAR])
        return min(1.0, max(0.0, (away - 3.0) / 3.0))

    def _distinct(self, where: tuple[int, int]) -> int:
        """About how many different things were counted, from how many cells are empty (linear counting)."""
        start, cells = where
        empty = max(1, self._cells.count(0, start, start + cells))
        return round(-cells / 2.0 * math.log(empty / cells))


def _order_name(pulse: Pulse, step: Step) -> str:
    return f"{pulse.verb} {pulse.resource} {step.verb} {step.resource}"


@lru_cache(maxsize=16_384)
def _cells_of(salt: int, name: str, start: int, cells: int) -> tuple[int, int, int]:
    """The two cells of a name, and its bit of the hour's mask."""
    data = salt.to_bytes(8, "big") + name.encode("utf-8", "surrogatepass")
    drawn = int.from_bytes(hashlib.blake2b(data, digest_size=12).digest(), "big")
    # Kinds share the mask: a thing that meets another's bit learns an hour later.
    bit = 1 << (drawn >> 64 ^ start) % _MASK_BITS
    return start + (drawn & 0xFFFFFFFF) % cells, start + (drawn >> 32 & 0xFFFFFFFF) % cells, bit


def _raise(cells: bytearray, index: int) -> None:
    cells[index] = min(_SATURATED, cells[index] + UNIT)


def _is_weekend(hour: int) -> bool:
    # 1970-01-01 was a Thursday.
    return (hour // 24 + 3) % 7 >= 5


def _ranges(hours: list[int]) -> str:
    """Hours of the day as ranges: "08–17, 22–23"."""
    if len(hours) == 24:
        return "all day"
    found: list[list[int]] = []
    for hour in hours:
        if found and hour == found[-1][1] + 1:
            found[-1][1] = hour
        else:
            found.append([hour, hour])
    return ", ".join(f"{first:02d}–{last + 1:02d}" for first, last in found)
