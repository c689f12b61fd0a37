"""Canonical bytes: one value, one encoding."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from ioint_protocol import canonical
from ioint_protocol.errors import ProtocolError
from ioint_protocol.limits import LIMITS

text = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)
numbers = st.integers(-LIMITS.integer, LIMITS.integer)
values: st.SearchStrategy[Any] = st.recursive(
    numbers | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_the_encoding_is_that_of_rfc_8785(value: Any) -> None:  # the oracle's own type is private
    with suppress(ProtocolError):  # nested too deep
        assert canonical.encode(value) == rfc8785.dumps(value)


@given(values)
def test_what_is_encoded_decodes_to_the_same(value: object) -> None:
    with suppress(ProtocolError):  # nested too deep
        assert canonical.decode(canonical.encode(value)) == value


@given(st.binary(max_size=64))
def test_arbitrary_bytes_decode_or_are_refused(data: bytes) -> None:
    with suppress(ProtocolError):
        assert canonical.encode(canonical.decode(data)) == data


@given(st.text('{}[]:,"\\ 0123456789.eEtruefalsn-au', max_size=24))
def test_text_that_is_nearly_json_decodes_or_is_refused(data: str) -> None:
    with suppress(ProtocolError):
        assert canonical.encode(canonical.decode(data.encode())) == data.encode()


@pytest.mark.parametrize(
    "value", [1.0, math.nan, True, None, b"x", (1,), {1: 2}, {"a": {2}}, "\u00e9", 2**53]
)
def test_a_value_outside_the_set_is_not_encoded(value: object) -> None:
    with pytest.raises(ProtocolError, match="bad_value"):
        canonical.encode(value)


def test_a_very_deep_nesting_is_refused_and_nothing_else() -> None:
    with pytest.raises(ProtocolError, match="bad_value"):
        canonical.decode(b"[" * 100_000 + b"]" * 100_000)


def test_the_size_is_checked_before_anything_is_read() -> None:
    with pytest.raises(ProtocolError, match="too_large: 3 bytes, more than 2"):
        canonical.decode(b"{}}", limit_bytes=2)


def test_an_error_names_only_refusals_that_are_listed() -> None:
    with pytest.raises(ValueError, match="not a refusal name"):
        ProtocolError("surprise", "")


def test_ids_of_different_kinds_differ() -> None:
    assert canonical.content_id("record", b"{}") != canonical.content_id("pattern", b"{}")
