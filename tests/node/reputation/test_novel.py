"""Novel patterns: specific enough, and no more than matching bears."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.reputation.novel import LIMITS, Claim, NovelLimits, places, too_broad
from ioint_protocol import parse_pattern
from ioint_taxonomy import load_catalogue, load_taxonomy

SPECIFIC: list[dict[str, Any]] = [{"p": ["memory"], "v": ["pay"]}]

EVERY_GROUP = sorted(f"@{group}" for group in load_taxonomy().groups)


def claim(number: int, group: str = "g") -> Claim:
    return Claim(pattern=f"{number:04d}", group=group, since=f"2026-01-01T00:00:{number:06d}Z")


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([{"v": ["pay"]}, {"v": ["pay"]}], "no step says"),
        ([{"r": ["@finance"]}], "no step says"),
        ([{"x": 1}], "names no resource and 26 verbs"),
        ([*SPECIFIC, {"b": 4}], "step 1 names no resource"),
        ([*SPECIFIC, {"v": ["@run", "@transfer"]}], "names no resource and 11 verbs"),
        ([{"p": ["principal"], "v": ["pay"]}], "no step says"),
        ([{"p": ["memory", "unknown"], "v": ["pay"]}], "no step says"),
        ([{"r": EVERY_GROUP, "x": 1}], "step 0 names 42 resource classes and 26 verbs"),
    ],
)
def test_what_could_be_ordinary_work_is_too_broad(steps: list[dict[str, Any]], why: str) -> None:
    found = too_broad(parse_pattern({"gaps": 1, "steps": steps}), load_taxonomy())
    assert found is not None
    assert why in found


@pytest.mark.parametrize(
    "steps", [SPECIFIC, [{"v": ["@run"], "x": 1}], [*SPECIFIC, {"f": [0], "v": ["send"]}]]
)
def test_a_pattern_that_says_where_values_come_from_is_specific(steps: list[dict[str, Any]]) -> None:
    assert too_broad(parse_pattern({"gaps": 1, "steps": steps}), load_taxonomy()) is None


def test_nearly_every_pattern_of_the_catalogue_would_pass() -> None:
    taxonomy, entries = load_taxonomy(), load_catalogue().entries.values()
    refused = [e.slug for e in entries if too_broad(parse_pattern(e.pattern), taxonomy)]
    assert refused == ["secret_leaves"]


def test_a_group_has_so_many_places_and_the_oldest_keep_theirs() -> None:
    found = places((claim(number) for number in range(LIMITS.per_group + 10)), 5)
    assert found == {f"{number:04d}" for number in range(LIMITS.per_group)}


@given(st.lists(st.integers(0, 50), unique=True), st.integers(1, 10), st.integers(1, 20))
def test_places_are_bounded_in_all_and_by_group(numbers: list[int], per_group: int, total: int) -> None:
    claims = [claim(number, group="abc"[number % 3]) for number in numbers]
    found = places(claims, 3, NovelLimits(per_group=per_group, total=total))
    assert len(found) <= total
    for group in "abc":
        assert sum(c.pattern in found for c in claims if c.group == group) <= per_group


@given(st.sets(st.integers(0, 200)), st.integers(201, 400))
def test_no_later_claim_takes_the_place_of_an_older_one(numbers: set[int], later: int) -> None:
    before = [claim(number) for number in sorted(numbers)]
    assert places(before, 5) <= places([claim(later), *before], 5)


@given(st.integers(4, 40), st.integers(1, 39), st.integers(0, 12))
def test_however_much_others_invent_a_group_has_its_share_of_places(
    groups: int, hostile: int, honest: int
) -> None:
    limits = NovelLimits(per_group=64, total=120)
    share = 120 // groups
    flood = [
        claim(number * 100 + place, group=f"liar{number}")
        for number in range(min(hostile, groups - 1))
        for place in range(64)
    ]
    late = [claim(9_000 + number, group="honest") for number in range(honest)]
    found = places([*flood, *late], groups, limits)
    assert len(found) <= limits.total
    assert {c.pattern for c in late[:share]} <= found


def test_what_others_leave_of_their_share_goes_to_the_oldest_that_are_left() -> None:
    claims = [claim(number, group="a") for number in range(8)] + [claim(8, group="b")]
    assert len(places(claims, 4, NovelLimits(per_group=8, total=8))) == 8
    assert "0008" in places(claims, 4, NovelLimits(per_group=8, total=8))
