"""What is told to a node of a call and its result: any value as JSON within bounds, never a secret of `repr`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

DEPTH: Final = 16
WHOLE_BYTES: Final = 65_536  # of one text
PART_CHARS: Final = 16_384  # never more than 65,536 bytes
OVERLAP_CHARS: Final = 256  # so that no sentence is hidden by where a text was divided
_CAPS: Final = (16_384, 4_096, 1_024, 256, 64)


def arguments_of(given: Mapping[str, Any], most_bytes: int) -> dict[str, Any]:
    """The arguments of a call as JSON values of at most so many bytes.

    Long texts are cut first, and say how long they are and their SHA-256, so that what differs stays different. An
    object that is no JSON is named by its type.
    """
    plain = {_text(str(name)): _plain(value, DEPTH) for name, value in given.items()}
    if _size(plain) <= most_bytes:
        return plain
    for cap in _CAPS:
        cut: dict[str, Any] = _cut(plain, cap)
        if _size(cut) <= most_bytes:
            return cut
    return {"left_out": _mark(msgspec.json.encode(plain, order="sorted"), f"{_size(plain)} bytes")}


def text_of(value: object) -> str:
    """A result as text: a text as it is, anything else as JSON."""
    return _text(value) if isinstance(value, str) else msgspec.json.encode(_plain(value, DEPTH)).decode()


def parts_of(text: str, most: int) -> Iterator[str]:
    """A text in parts that a node takes, each beginning a little before the last one ended."""
    clean = _text(text)
    if len(clean.encode()) <= WHOLE_BYTES:
        yield clean
        return
    for nth, begin in enumerate(range(0, len(clean), PART_CHARS - OVERLAP_CHARS)):
        if nth == most:
            return
        yield clean[begin : begin + PART_CHARS]


def shape_of(value: object) -> object:
    """The names in a JSON value and the kinds of what they hold, without what they hold."""
    if isinstance(value, Mapping):
        return {name: shape_of(item) for name, item in value.items()}
    if isinstance(value, list):
        return sorted({msgspec.json.encode(shape_of(item), order="sorted").decode() for item in value})
    return type(value).__name__


def digest_of(*parts: object) -> bytes:
    """SHA-256 of JSON values, whatever the order of their names."""
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).digest()


def _plain(value: object, depth: int) -> Any:  # noqa: ANN401 - JSON
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 63 else str(value)
    if depth > 0 and isinstance(value, Mapping):
        return {_text(str(name)): _plain(item, depth - 1) for name, item in value.items()}
    if depth > 0 and isinstance(value, (list, tuple)):
        return [_plain(item, depth - 1) for item in value]
    return f"<{type(value).__name__}>"


def _cut(value: Any, cap: int) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str) and len(value) > cap:
        return value[:cap] + _mark(value.encode(), f"{len(value)} characters")
    if isinstance(value, dict):
        return {name: _cut(item, cap) for name, item in value.items()}
    return [_cut(item, cap) for item in value] if isinstance(value, list) else value


def _mark(data: bytes, long: str) -> str:
    return f" […cut: {long} in all, SHA-256 {hashlib.sha256(data).hexdigest()}]"


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _size(value: object) -> int:
    return len(msgspec.json.encode(value))
