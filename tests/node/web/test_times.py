"""Instants: what is no instant that can be written back is refused as one kind of error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.store.times import day_text, from_text, to_text

FIRST, LAST = -62_135_596_800_000, 253_402_300_799_999


@given(st.integers(FIRST, LAST))
def test_an_instant_survives_its_text(ms: int) -> None:
    assert from_text(to_text(ms)) == ms


@given(st.integers(FIRST, LAST), st.integers(FIRST, LAST))
def test_texts_sort_as_their_instants_do(one: int, other: int) -> None:
    assert (to_text(one) < to_text(other)) == (one < other)


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"])
def test_an_offset_does_not_lead_out_of_the_calendar(text: str) -> None:
    with pytest.raises(ValueError, match="years 1 to 9999"):
        from_text(text)


@pytest.mark.parametrize(
    "text", ["", "2026-11-20", "2026-11-20T24:00:61Z", "2026-02-30T00:00:00Z", "٢٠٢٦-11-20T00:00:00Z"]
)
def test_what_is_no_instant_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - datetime words some of these refusals
        from_text(text)


def test_a_day_is_written_with_four_digits_of_a_year() -> None:
    assert (day_text(0), day_text(FIRST // 86_400_000)) == ("1970-01-01", "0001-01-01")
