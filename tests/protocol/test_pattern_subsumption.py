"""Subsumption: a yes holds in every session, and a no has a session that shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ioint_protocol.pattern import (
    Path,
    Pattern,
    PatternStep,
    Seen,
    base_rate,
    fits,
    generalisations,
    implies,
    kind_of,
    parse_pattern,
)
from ioint_taxonomy import Step, load_catalogue, load_taxonomy

from tests.protocol.patterns import TAXONOMY, loose_patterns, patterns

# Every word of the small vocabulary, and one that it does not know: the least that a step can say.
WORDS = tuple(
    product(("juggle", "read", "search", "send"), ("cake", "file", "message"), ("", "memory", "user"))
)
SENSITIVITIES = tuple(TAXONOMY.sensitivities)
BOUNDARIES = tuple(TAXONOMY.boundaries)
BARE = Seen(
    step=Step(verb="juggle", resource="cake", sensitivity="public", boundary="in_context", provenance="")
)


def fitting(asked: PatternStep, more: int = 0, outside: bool = False) -> list[Seen]:
    """Steps in all words that fit, of the least ranks that do, or of so many more."""
    steps = [
        Seen(
            step=Step(
                verb=verb,
                resource=resource,
                sensitivity=SENSITIVITIES[min((asked.sensitivity or 0) + more, 3)],
                boundary=BOUNDARIES[min((asked.boundary or 0) + more, 5)],
                provenance=provenance,
            ),
            outside=asked.outside or outside,
        )
        for verb, resource, provenance in WORDS
    ]
    return [seen for seen in steps if fits(asked, kind_of(seen.step, seen.outside, TAXONOMY), TAXONOMY)]


def session_of(
    pattern: Pattern, chosen: list[Seen], between: list[list[Seen]], families: tuple[str, ...]
) -> Path:
    """A session in which `chosen` are the steps of the pattern, with its flow, and others lie between them."""
    steps: list[Seen] = []
    places: list[int] = []
    for asked, seen, others in zip(pattern.steps, chosen, between, strict=True):
        steps.extend(others)
        flow = tuple(places[source] for source in asked.flow)
        places.append(len(steps))
        steps.append(replace(seen, step=msgspec.structs.replace(seen.step, flow=flow)))
    return Path(steps=tuple(steps), families=families)


def completed(pattern: Pattern, path: Path) -> bool:
    return base_rate(pattern, [path], TAXONOMY).matches == 1


@st.composite
def sessions_of(draw: st.DrawFn, pattern: Pattern) -> Path:
    some = [fitting(asked, draw(st.integers(0, 1)), draw(st.booleans())) for asked in pattern.steps]
    noise = st.lists(st.sampled_from(fitting(PatternStep(), 1)), max_size=2 if pattern.gaps else 0)
    return session_of(
        pattern,
        [draw(st.sampled_from(fit)) for fit in some],
        [draw(noise) if index else [] for index in range(len(some))],
        pattern.declared[:1],
    )


@st.composite
def widened(draw: st.DrawFn, pattern: Pattern) -> Pattern:
    """A pattern that asks less: often, though not always, a generalisation."""
    steps = []
    for step in pattern.steps:
        wider = replace(
            step,
            verbs=draw(st.sampled_from([step.verbs, ("@observe", "send"), ("read", "search"), ()])),
            resources=draw(st.sampled_from([step.resources, ()])),
            sensitivity=draw(st.sampled_from([step.sensitivity, None])),
            provenances=draw(st.sampled_from([step.provenances, ()])),
            outside=False,
        )
        steps.append(wider if wider != PatternStep() else step)
    return replace(pattern, steps=tuple(steps))


def holds(special: Pattern, general: Pattern, data: st.DataObject) -> None:
    assume(implies(special, general, TAXONOMY))
    path = data.draw(sessions_of(special))
    assert completed(special, path)
    assert completed(general, path)


@settings(max_examples=100)
@given(st.data())
def test_what_completes_the_special_case_completes_the_general_one(data: st.DataObject) -> None:
    special = data.draw(patterns())
    holds(special, data.draw(widened(special)), data)


@settings(max_examples=100)
@given(loose_patterns(), loose_patterns(), st.data())
def test_it_also_does_between_patterns_of_other_lengths(
    special: Pattern, general: Pattern, data: st.DataObject
) -> None:
    holds(special, general, data)


@settings(max_examples=100)
@given(patterns(2), patterns(2))
def test_a_no_has_a_session_that_shows_it(special: Pattern, general: Pattern) -> None:
    some = [fitting(asked) for asked in special.steps]
    assume(not implies(special, general, TAXONOMY))
    assert any(
        not completed(general, session_of(special, list(chosen), between, special.declared[:1]))
        for between in spacings(special)
        for chosen in product(*some)
    )


def spacings(pattern: Pattern) -> Iterator[list[list[Seen]]]:
    yield [[] for _ in pattern.steps]
    if pattern.gaps:
        yield [[BARE] if index else [] for index in range(len(pattern.steps))]


@given(patterns())
def test_a_pattern_is_a_special_case_of_itself(pattern: Pattern) -> None:
    assert implies(pattern, pattern, TAXONOMY)


def pattern(*steps: Mapping[str, object], gaps: int = 1, **more: object) -> Pattern:
    return parse_pattern({"gaps": gaps, "steps": [dict(step) for step in steps], **more})


def test_each_choice_may_have_its_own_match() -> None:
    """The middle step is the source or the target of the flow, whichever of the two it happens to be."""
    special = pattern({"v": ["read"]}, {"v": ["read", "send"], "f": [0]}, {"v": ["send"], "f": [1]})
    assert implies(special, pattern({"v": ["read"]}, {"v": ["send"], "f": [0]}), TAXONOMY)


def test_flow_through_another_step_is_not_flow() -> None:
    special = pattern({"v": ["read"]}, {"v": ["search"], "f": [0]}, {"v": ["send"], "f": [1]})
    assert not implies(special, pattern({"v": ["read"]}, {"v": ["send"], "f": [0]}), TAXONOMY)


def test_too_many_choices_are_answered_with_a_no_and_soon() -> None:
    many = pattern(*[{"v": ["read", "search", "send"]}] * 8)
    general = pattern({"v": ["read"]}, {"v": ["send"]}, {"v": ["search"]})
    assert not implies(many, general, TAXONOMY)


@pytest.mark.parametrize(
    ("name", "general"),
    [
        ("two_payments_on_untrusted_word", {"v": ["@value"], "x": 1}),
        ("secret_leaves", {"s": 1}),
    ],
)
def test_an_entry_of_the_catalogue_and_what_is_wider(name: str, general: Mapping[str, object]) -> None:
    entry = next(one for one in load_catalogue().entries.values() if one.slug == name)
    expected = name.startswith("two")
    assert implies(parse_pattern(entry.pattern), pattern(general), load_taxonomy()) is expected


def test_the_catalogue_says_which_entries_cover_a_pattern_the_most_special_first() -> None:
    entries = load_catalogue().entries
    catalogue = {entry.slug: parse_pattern(entry.pattern) for entry in entries.values()}
    ours = pattern(
        {"v": ["read"], "r": ["email"], "s": 2},
        {"v": ["send"], "r": ["email"], "b": 4, "p": ["third_party_content"], "f": [0], "x": 1},
    )
    found = generalisations(ours, catalogue, load_taxonomy())
    assert {
        "mail_forwarded_outside",
        "contact_named_by_third_party",
        "confidential_to_untrusted_address",
    } <= set(found)
    assert found.index("mail_forwarded_outside") < found.index("message_on_untrusted_word")


def test_a_pattern_that_no_entry_covers_is_covered_by_none() -> None:
    catalogue = {one: parse_pattern(entry.pattern) for one, entry in load_catalogue().entries.items()}
    ours = pattern({"v": ["compute"], "r": ["file"], "x": 1})
    assert generalisations(ours, catalogue, load_taxonomy()) == ()
