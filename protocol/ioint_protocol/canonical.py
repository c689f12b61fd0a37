"""Canonical bytes: one value, one encoding (SPEC, "Canonical bytes").

The value set is small enough that sorted JSON without spaces is RFC 8785 on it: integers of magnitude below 2^53,
strings of printable ASCII, arrays, and objects with such strings as keys. Bytes that arrive are accepted only when
encoding their value gives the same bytes again, which also refuses repeated keys: every JSON reader keeps one of them
silently, and not every reader the same one.
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias

import msgspec

from ioint_protocol.errors import ProtocolError
from ioint_protocol.limits import LIMITS

Value: TypeAlias = "int | str | list[Value] | dict[str, Value]"

_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder()


def encode(value: object) -> bytes:
    """Give the one encoding of `value`.

    Raises:
        ProtocolError: `bad_value` when it is outside the value set.
    """
    _check(value, LIMITS.depth)
    return _encoder.encode(value)


def decode(data: bytes, *, limit_bytes: int = LIMITS.frame_bytes) -> Value:
    """Give the value of canonical bytes.

    Raises:
        ProtocolError: `too_large`, `bad_value`, or `not_canonical` when `data` is not the one encoding of its value.
    """
    if len(data) > limit_bytes:
        raise ProtocolError("too_large", f"{len(data)} bytes, more than {limit_bytes}")
    try:
        value: Value = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ProtocolError("not_canonical", "not JSON") from None
    except RecursionError:
        raise ProtocolError("bad_value", f"nested more than {LIMITS.depth} deep") from None
    _check(value, LIMITS.depth)
    if _encoder.encode(value) != data:
        raise ProtocolError("not_canonical", "not the one encoding of its value")
    return value


def decode_object(data: bytes, *, limit_bytes: int = LIMITS.frame_bytes) -> dict[str, Value]:
    """Give the value of canonical bytes that must be an object.

    Raises:
        ProtocolError: as `decode`, and `bad_shape` for another kind of value.
    """
    value = decode(data, limit_bytes=limit_bytes)
    if not isinstance(value, dict):
        raise ProtocolError("bad_shape", "not an object")
    return value


def content_id(kind: str, body: bytes) -> str:
    """Give the id of canonical bytes: SHA-256 over a prefix that names their kind, in hex."""
    return hashlib.sha256(b"ioint/" + kind.encode("ascii") + b"/v1\0" + body).hexdigest()


def _check(value: object, depth: int) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        if not -LIMITS.integer <= value <= LIMITS.integer:
            raise ProtocolError("bad_value", f"an integer beyond {LIMITS.integer}")
    elif isinstance(value, dict):
        _check_depth(depth)
        for key, item in value.items():
            if not isinstance(key, str):
                raise ProtocolError("bad_value", "a key that is no string")
            _check_text(key)
            _check(item, depth - 1)
    elif isinstance(value, list):
        _check_depth(depth)
        for item in value:
            _check(item, depth - 1)
    else:
        raise ProtocolError("bad_value", f"a {type(value).__name__} is not in the value set")


def _check_text(text: str) -> None:
    if not (text.isascii() and text.isprintable()):
        raise ProtocolError("bad_value", "a string with characters other than printable ASCII")


def _check_depth(depth: int) -> None:
    if depth == 0:
        raise ProtocolError("bad_value", f"nested more than {LIMITS.depth} deep")
