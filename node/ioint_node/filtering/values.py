"""What a term of a filter asks of a key, and how it is spelled."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal

from ioint_node.filtering.keys import Key

HOUR_MS: Final = 3_600_000
UNITS_MS: Final = {"h": HOUR_MS, "d": 24 * HOUR_MS, "w": 7 * 24 * HOUR_MS}
_BARE: Final = re.compile(r'[^\s",]+')


@dataclass(frozen=True, slots=True)
class Names:
    """One of these: values of a closed list in its order, or names of subjects, a star standing for the rest."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """From `least` to `most` units, both included."""

    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Numbers:
    """In one of these ranges, which lie apart and ascend."""

    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """So long before now: `7d`, `24h`, `2w`."""

    count: int
    unit: Literal["h", "d", "w"]

    @property
    def ms(self) -> int:
        """The span in milliseconds."""
        return self.count * UNITS_MS[self.unit]

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"


@dataclass(frozen=True, slots=True)
class Days:
    """From a day on, or up to one: `YYYY-MM-DD`, or a span before now."""

    day: str | Span


@dataclass(frozen=True, slots=True)
class Words:
    """One of these texts, each of them words that all begin a word of the label; folded in case."""

    texts: tuple[tuple[str, ...], ...]


Test = Names | Numbers | Days | Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One condition; `at` is where it began in the text that it was read from."""

    key: Key
    test: Test
    negated: bool = False
    at: int = field(default=0, compare=False)

    @property
    def text(self) -> str:
        """The one spelling of this term."""
        return f"{'-' if self.negated else ''}{self.key.name}{_spelled(self.key, self.test)}"


def _spelled(key: Key, test: Test) -> str:
    match test:
        case Names(values):
            return ":" + ",".join(map(_quoted, values))
        case Numbers(ranges):
            return _numbers(key, ranges)
        case Days(day):
            return f":{day}"
        case Words(texts):
            return ":" + ",".join(_quoted(" ".join(words)) for words in texts)


def _numbers(key: Key, ranges: tuple[Range, ...]) -> str:
    if len(ranges) == 1 and ranges[0].least != ranges[0].most:
        (only,) = ranges
        if only.most == key.most:
            return f">={_number(key, only.least)}"
        if only.least == 0:
            return f"<={_number(key, only.most)}"
    return ":" + ",".join(
        _number(key, one.least)
        if one.least == one.most
        else f"{_number(key, one.least)}..{_number(key, one.most)}"
        for one in ranges
    )


def _number(key: Key, units: int) -> str:
    return str(units) if key.scale == 1 else f"{Decimal(units) / key.scale:f}"


def _quoted(text: str) -> str:
    return text if _BARE.fullmatch(text) else f'"{text}"'
