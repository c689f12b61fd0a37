"""The language: what is a pattern, what is refused, and its one spelling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ioint_protocol import ProtocolError
from ioint_protocol.pattern import (
    Matcher,
    Pattern,
    PatternStep,
    canonical_form,
    parse_pattern,
    pattern_id,
    pattern_value,
)
from ioint_taxonomy import load_catalogue, load_taxonomy

from tests.protocol.patterns import TAXONOMY, Session, patterns, sessions


@given(patterns())
def test_a_pattern_round_trips_and_keeps_its_id(pattern: Pattern) -> None:
    value = pattern_value(pattern)
    assert parse_pattern(value) == pattern
    assert pattern_id(value) == pattern_id(pattern)


def test_the_catalogue_is_in_this_language_and_named_by_these_ids() -> None:
    for identity, entry in load_catalogue().entries.items():
        assert pattern_id(entry.pattern) == identity


def test_the_catalogue_uses_words_of_the_taxonomy_only() -> None:
    taxonomy = load_taxonomy()
    verbs = {*taxonomy.verbs, *(f"@{name}" for name in taxonomy.verbs.values())}
    resources = {*taxonomy.resources, *(f"@{name}" for name in taxonomy.resources.values())}
    for entry in load_catalogue().entries.values():
        pattern = parse_pattern(entry.pattern)
        assert set(pattern.declared) <= taxonomy.families.keys()
        for asked in pattern.steps:
            assert set(asked.verbs) <= verbs
            assert set(asked.resources) <= resources
            assert set(asked.provenances) <= set(taxonomy.provenances)


junk: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["declared", "gaps", "steps", "v", "f", "x", "s"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)


def outcome(value: object) -> object:
    """The value that the pattern spells again, or the name of the refusal."""
    try:
        return pattern_value(parse_pattern(value))
    except ProtocolError as error:
        return error.name


@given(junk)
def test_any_value_is_a_pattern_or_refused_as_one(value: object) -> None:
    assert outcome(value) in ("bad_pattern", value)


@pytest.mark.parametrize("value", [{"gaps": True, "steps": [{"x": 1}]}, {"gaps": 1, "steps": [{"x": True}]}])
def test_a_flag_is_no_boolean(value: object) -> None:
    with pytest.raises(ProtocolError, match="bad_pattern"):
        parse_pattern(value)


@settings(max_examples=200)
@given(patterns(), st.data())
def test_a_pattern_with_one_part_replaced_is_a_pattern_or_refused_as_one(
    pattern: Pattern, data: st.DataObject
) -> None:
    value = deepcopy(pattern_value(pattern))
    data.draw(st.sampled_from(list(parts_of(value))))(data.draw(junk))
    assert outcome(value) in ("bad_pattern", value)


def parts_of(value: Any) -> Iterator[Callable[[Any], None]]:
    """Ways to put something in the place of each part of a JSON value."""
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        yield partial(value.__setitem__, key)
        if isinstance(part, dict | list):
            yield from parts_of(part)


@pytest.mark.parametrize(
    "value",
    [
        {"gaps": 1, "steps": [{"s": 0, "v": ["read"]}]},
        {"gaps": 1, "steps": [{"b": 0, "v": ["read"]}]},
        {"gaps": 0, "steps": [{"v": ["read"]}]},
    ],
)
def test_what_asks_nothing_is_not_said(value: object) -> None:
    with pytest.raises(ProtocolError, match="bad_pattern"):
        parse_pattern(value)


@given(patterns(), sessions())
def test_the_canonical_form_holds_on_the_same_sessions(pattern: Pattern, session: Session) -> None:
    said = {"as it is": pattern, "canonical": canonical_form(pattern, TAXONOMY)}
    matcher = Matcher(said, TAXONOMY)
    state = matcher.start(("customer_support",))
    for step, outside in session:
        state, completed = matcher.advance(state, step, outside)
        assert len(completed) in {0, 2}


@given(patterns())
def test_the_canonical_form_is_its_own(pattern: Pattern) -> None:
    once = canonical_form(pattern, TAXONOMY)
    assert canonical_form(once, TAXONOMY) == once
    assert parse_pattern(pattern_value(once)) == once


def test_a_word_beside_its_class_is_left_out() -> None:
    step = PatternStep(verbs=("@observe", "read", "send"), resources=("@communication", "file", "message"))
    assert canonical_form(Pattern(steps=(step,)), TAXONOMY).steps == (
        PatternStep(verbs=("@observe", "send"), resources=("@communication", "file")),
    )


def test_the_words_of_a_class_are_not_the_class() -> None:
    spelled_out = Pattern(steps=(PatternStep(verbs=("read", "search")),))
    assert canonical_form(spelled_out, TAXONOMY) == spelled_out


def test_the_catalogue_is_in_canonical_form() -> None:
    for entry in load_catalogue().entries.values():
        pattern = parse_pattern(entry.pattern)
        assert canonical_form(pattern, load_taxonomy()) == pattern, entry.slug
