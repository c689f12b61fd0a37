"""What a person decided of one actor's level for a time: that it counts as no more, or as no less, than a level.

A bound moves the level that is read from trust and never trust itself. One that tightens always holds; one that
loosens ends with the first session whose risk is clear, and lifts nobody above the standard level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ioint_node.errors import RequestError
from ioint_node.scoring.levels import STANDARD_FROM, TRUSTED_FROM, autonomy, friction

DAY_MS: Final = 86_400_000
REASON_CHARS: Final = 40
# Names of a bound → the most days that it may hold.
DAYS_MOST: Final = {"at_most": 90, "at_least": 7}
LEVELS: Final = {"at_most": ("strict", "standard"), "at_least": ("standard",)}
_CEILINGS: Final = {"strict": STANDARD_FROM - 0.01, "standard": TRUSTED_FROM - 0.01}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One decision: `way` is at_most or at_least, `level` a friction level; `expires` in Unix milliseconds."""

    way: str
    level: str
    reason: str
    by: str
    expires: int


def check_bound(*, way: str, level: str, reason: str, by: str, days: int, now: int) -> Bound:
    """The bound that a person asks for.

    Raises:
        RequestError: no such way or level, too long a time, or a reason that is missing or too long.
    """
    if way not in LEVELS:
        raise RequestError(f"way: {way[:16]!r} is none of {', '.join(LEVELS)}")
    if level not in LEVELS[way]:
        raise RequestError(f"{way}: {level[:16]!r} is none of {', '.join(LEVELS[way])}")
    if not 1 <= days <= DAYS_MOST[way]:
        raise RequestError(f"days: {days}, must be 1 to {DAYS_MOST[way]} for {way}")
    if not 1 <= len(reason) <= REASON_CHARS or not reason.isprintable():
        raise RequestError(f"reason: must be 1 to {REASON_CHARS} printable characters")
    return Bound(way=way, level=level, reason=reason, by=by, expires=now + days * DAY_MS)


def bounded(lower: float, bound: Bound | None, now: int, *, clear: bool = False) -> float:
    """The lower bound of trust that levels are read from; `clear` says that the risk of the session is clear."""
    if bound is None or now >= bound.expires:
        return lower
    if bound.way == "at_most":
        return min(lower, _CEILINGS[bound.level])
    return lower if clear else max(lower, STANDARD_FROM)


def bounded_view(
    shown: dict[str, Any], bound: Bound | None, now: int, *, clear: bool = False
) -> dict[str, Any]:
    """TRUST with its levels as a person has bounded them; `bounded`, the bound they are read from, says so."""
    lower = bounded(shown["lower"], bound, now, clear=clear)
    if lower == shown["lower"]:
        return shown
    return {**shown, "friction": friction(lower).value, "autonomy": autonomy(lower), "bounded": lower}
