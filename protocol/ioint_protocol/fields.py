"""Taking an object apart: a closed set of fields, each of one form and within its bounds.

A missing field, one too many or one of another type is `bad_shape`; a value outside its form or range is `bad_field`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from typing import Final

from ioint_protocol.canonical import Value
from ioint_protocol.errors import ProtocolError
from ioint_protocol.limits import LIMITS

Object = Mapping[str, Value]

SLUG: Final = re.compile(r"[a-z0-9_]{1,64}")
HEX_32: Final = re.compile(r"[0-9a-f]{32}")
HEX_64: Final = re.compile(r"[0-9a-f]{64}")
NO_FIELDS: Final[frozenset[str]] = frozenset()


def check_keys(value: Object, required: Set[str], optional: Set[str] = NO_FIELDS) -> None:
    """Refuse an object that has not exactly these fields."""
    keys = value.keys()
    if not keys >= required:
        raise ProtocolError("bad_shape", f"without {', '.join(sorted(required - keys))}")
    if len(keys) > len(required) and keys - required - optional:
        raise ProtocolError("bad_shape", f"with {len(keys - required - optional)} unknown fields")


def take_object(value: Value, name: str) -> dict[str, Value]:
    """Give `value` if it is an object."""
    if not isinstance(value, dict):
        raise ProtocolError("bad_shape", f"{name} is not an object")
    return value


def take_int(value: Object, name: str, low: int, high: int) -> int:
    """Give the integer `name`, at least `low` and at most `high`."""
    number = value[name]
    if not isinstance(number, int) or isinstance(number, bool):
        raise ProtocolError("bad_shape", f"{name} is not an integer")
    if not low <= number <= high:
        raise ProtocolError("bad_field", f"{name} is {number}, outside {low}..{high}")
    return number


def take_day(value: Object, name: str) -> int:
    """Give the UTC day `name`, counted from 1970-01-01."""
    return take_int(value, name, 0, LIMITS.day)


def take_bucket(value: Object, name: str) -> int:
    """Give the exponent `name` of a count in powers of two."""
    return take_int(value, name, 0, LIMITS.bucket)


def take_text(value: Object, name: str, form: re.Pattern[str]) -> str:
    """Give the string `name`, all of which has `form`."""
    text = value[name]
    if not isinstance(text, str):
        raise ProtocolError("bad_shape", f"{name} is not a string")
    if not form.fullmatch(text):
        raise ProtocolError("bad_field", f"{name} is not of the form {form.pattern}")
    return text


def take_code(value: Object, name: str, codes: Set[str]) -> str:
    """Give the string `name`, one of a closed list."""
    text = value[name]
    if not isinstance(text, str):
        raise ProtocolError("bad_shape", f"{name} is not a string")
    if text not in codes:
        raise ProtocolError("bad_field", f"{name} is none of {', '.join(sorted(codes))}")
    return text


def take_list(value: Object, name: str, low: int, high: int) -> list[Value]:
    """Give the array `name` of at least `low` and at most `high` entries."""
    items = value[name]
    if not isinstance(items, list):
        raise ProtocolError("bad_shape", f"{name} is not an array")
    if not low <= len(items) <= high:
        raise ProtocolError("bad_field", f"{name} has {len(items)} entries, outside {low}..{high}")
    return items


def take_terms(value: Object, name: str, form: re.Pattern[str], low: int, high: int) -> tuple[str, ...]:
    """Give the array `name` of strings of one form, in ascending order without repetition."""
    terms: list[str] = []
    for item in take_list(value, name, low, high):
        if not isinstance(item, str):
            raise ProtocolError("bad_shape", f"{name} holds something other than strings")
        if not form.fullmatch(item):
            raise ProtocolError("bad_field", f"{name} holds something not of the form {form.pattern}")
        if terms and item <= terms[-1]:
            raise ProtocolError("bad_field", f"{name} is not in ascending order without repetition")
        terms.append(item)
    return tuple(terms)
