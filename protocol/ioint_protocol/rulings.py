"""What the stewards ruled about records, as the roster lists it (SPEC, "Roster")."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ioint_protocol.canonical import Value
from ioint_protocol.errors import ProtocolError
from ioint_protocol.fields import (
    HEX_32,
    HEX_64,
    Object,
    check_keys,
    take_code,
    take_day,
    take_list,
    take_object,
    take_text,
)
from ioint_protocol.limits import LIMITS
from ioint_protocol.records import PUBLIC_SUBJECT

RULINGS: Final = frozenset({"false", "stands", "review"})
RULING_DAYS: Final = 84  # for which a ruling on a record holds, its own day included
REVIEW_DAYS: Final = 14
_NOBODY: Final = re.compile("")
_SUBJECT: Final = re.compile(f"{HEX_64.pattern}|{PUBLIC_SUBJECT.pattern}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What a threshold of stewards said of a record, or of a pattern or public subject.

    `kind` is `false` (the statement `of` of `author` was judged false), `stands` (it was judged right, whoever disputes
    it) or `review` (`of` is a pattern id or public subject under review; `author` is empty). `author` is a member id,
    `of` otherwise a record id, `day` the UTC day on which it begins to hold.
    """

    kind: str
    author: str
    of: str
    day: int

    @property
    def until(self) -> int:
        """The UTC day on which it holds no more."""
        return self.day + (REVIEW_DAYS if self.kind == "review" else RULING_DAYS)

    def holds(self, today: int) -> bool:
        """Whether it holds on this UTC day; one from a clock ahead of ours holds already."""
        return today < self.until


def ruling_value(ruling: Ruling) -> dict[str, Value]:
    """Give the canonical JSON value of a ruling."""
    return {"kind": ruling.kind, "author": ruling.author, "of": ruling.of, "day": ruling.day}


def parse_rulings(value: Object, issued_day: int) -> tuple[Ruling, ...]:
    """Give the rulings of a roster's document of this day, none when it has no such field.

    Raises:
        ProtocolError: `bad_shape` or `bad_field`.
    """
    if "rulings" not in value:
        return ()
    found = tuple(
        _parse_ruling(take_object(item, "a ruling"))
        for item in take_list(value, "rulings", 1, LIMITS.rulings)
    )
    _check_order(found)
    if any(ruling.day > issued_day for ruling in found):
        raise ProtocolError("bad_field", "a ruling of a day after the roster's")
    return found


def _parse_ruling(value: Object) -> Ruling:
    check_keys(value, {"kind", "author", "of", "day"})
    kind = take_code(value, "kind", RULINGS)
    review = kind == "review"
    return Ruling(
        kind=kind,
        author=take_text(value, "author", _NOBODY if review else HEX_32),
        of=_take_subject(value) if review else take_text(value, "of", HEX_64),
        day=take_day(value, "day"),
    )


def _take_subject(value: Object) -> str:
    text = take_text(value, "of", _SUBJECT)
    if len(text) > LIMITS.subject_chars:
        raise ProtocolError("bad_field", f"of has more than {LIMITS.subject_chars} characters")
    return text


def _check_order(rulings: Sequence[Ruling]) -> None:
    """One statement, pattern or subject has one ruling: so none says the opposite of another."""
    places = [(ruling.of, ruling.author) for ruling in rulings]
    if any(after <= before for before, after in pairwise(places)):
        raise ProtocolError("bad_field", "rulings are not in ascending order without repetition")
