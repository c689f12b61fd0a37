"""Instants: Unix milliseconds inside, RFC 3339 text with milliseconds and `Z` in rows and over HTTP.

Text of one fixed width sorts as the instants do, so the database compares it as it is.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

DAY_MS = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})\Z")


def to_text(ms: int) -> str:
    """RFC 3339 text of a Unix time in milliseconds, in UTC, with exactly three digits of a second."""
    seconds, millis = divmod(ms, 1000)
    return f"{_second_text(seconds)}.{millis:03d}Z"


# Rows of every action name the same few seconds.
@lru_cache(maxsize=64)
def _second_text(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()


def from_text(text: str) -> int:
    """Unix milliseconds of an RFC 3339 instant; a fraction finer than a millisecond is cut.

    Raises:
        ValueError: the text is no RFC 3339 instant with an offset, or is outside the years 1 to 9999 in UTC.
    """
    return micros(text) // 1_000


def micros(text: str) -> int:
    """Unix microseconds of an RFC 3339 instant; a finer fraction is cut.

    Raises:
        ValueError: the text is no RFC 3339 instant with an offset, or is outside the years 1 to 9999 in UTC.
    """
    if not _RFC3339.match(text):
        raise ValueError(f"not an RFC 3339 instant with an offset: {text[:40]!r}")
    try:
        moment = datetime.fromisoformat(text.upper().replace(" ", "T")).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"outside the years 1 to 9999 in UTC: {text[:40]!r}") from None
    return (moment - _EPOCH) // timedelta(microseconds=1)


def day_of(ms: int) -> int:
    """The UTC day of an instant, counted from 1970-01-01."""
    return ms // DAY_MS


def day_text(day: int) -> str:
    """The date `YYYY-MM-DD` of a day counted from 1970-01-01."""
    return (_EPOCH + timedelta(days=day)).date().isoformat()
