"""Patterns and the matcher, held to a search through every assignment."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ioint_protocol import ProtocolError
from ioint_protocol.limits import LIMITS
from ioint_protocol.pattern import (
    Matcher,
    MatchState,
    Pattern,
    PatternStep,
    kind_of,
    parse_pattern,
    pattern_id,
    pattern_value,
)
from ioint_taxonomy import Step, Taxonomy, load_catalogue, load_taxonomy

TAXONOMY = Taxonomy(
    version="2026.11",
    digest="0" * 64,
    layers=(),
    intents={},
    families={},
    verbs={"read": "observe", "search": "observe", "send": "transfer"},
    resources={"file": "content", "message": "communication"},
    resource_classes={},
    sensitivities={"public": 0, "internal": 1, "confidential": 2, "restricted": 3},
    boundaries={"in_context": 0, "same_tenant": 2, "external": 4},
    provenances=(),
    data_kinds=(),
)
VERBS = ("read", "search", "send", "juggle")
Session = list[tuple[Step, bool]]


def sorted_terms(*terms: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.sets(st.sampled_from(terms), max_size=2).map(lambda chosen: tuple(sorted(chosen)))


@st.composite
def pattern_steps(draw: st.DrawFn, index: int) -> PatternStep:
    flow = draw(st.sets(st.integers(0, index - 1), max_size=2)) if index else set()
    step = PatternStep(
        verbs=draw(sorted_terms("read", "search", "send", "@observe")),
        resources=draw(sorted_terms("file", "@communication")),
        sensitivity=draw(st.none() | st.integers(1, 3)),
        boundary=draw(st.none() | st.integers(1, 5)),
        provenances=draw(sorted_terms("memory", "user")),
        flow=tuple(sorted(flow)),
        outside=draw(st.booleans()),
    )
    return step if step != PatternStep() else PatternStep(sensitivity=1)


@st.composite
def patterns(draw: st.DrawFn, most: int = 4) -> Pattern:
    count = draw(st.integers(1, most))
    return Pattern(
        declared=draw(sorted_terms("code_review", "customer_support")),
        gaps=draw(st.integers(0, 1)) if count > 1 else 1,
        steps=tuple(draw(pattern_steps(index)) for index in range(count)),
    )


@st.composite
def loose_patterns(draw: st.DrawFn) -> Pattern:
    """Patterns that short sessions complete often."""
    steps = []
    for index in range(draw(st.integers(1, 3))):
        flow = draw(st.sets(st.integers(0, index - 1), max_size=2)) if index else set()
        verbs = draw(sorted_terms("read", "send", "@observe"))
        steps.append(PatternStep(verbs=verbs or ("@observe",), flow=tuple(sorted(flow))))
    return Pattern(gaps=draw(st.integers(0, 1)), steps=tuple(steps))


@st.composite
def sessions(draw: st.DrawFn, most: int = 5) -> Session:
    session: Session = []
    for index in range(draw(st.integers(0, most))):
        flow = draw(st.sets(st.integers(0, index - 1), max_size=2)) if index else set()
        step = Step(
            verb=draw(st.sampled_from(VERBS)),
            resource=draw(st.sampled_from(("file", "message", "cake"))),
            sensitivity=draw(st.sampled_from(("public", "restricted", "whatever"))),
            boundary=draw(st.sampled_from(("in_context", "external", "whatever"))),
            provenance=draw(st.sampled_from(("memory", "user", "unknown"))),
            flow=tuple(sorted(flow)),
        )
        session.append((step, draw(st.booleans())))
    return session


def fits(asked: PatternStep, step: Step, outside: bool) -> bool:
    def named(terms: tuple[str, ...], name: str, parent: str | None) -> bool:
        return not terms or name in terms or f"@{parent}" in terms

    return (
        named(asked.verbs, step.verb, TAXONOMY.verbs.get(step.verb))
        and named(asked.resources, step.resource, TAXONOMY.resources.get(step.resource))
        and TAXONOMY.sensitivity_rank(step.sensitivity) >= (asked.sensitivity or 0)
        and TAXONOMY.boundary_rank(step.boundary) >= (asked.boundary or 0)
        and (not asked.provenances or step.provenance in asked.provenances)
        and (outside or not asked.outside)
    )


def first_completion(pattern: Pattern, session: Session) -> int | None:
    """Try every assignment of pattern steps to session steps."""
    ends = []
    for places in combinations(range(len(session)), len(pattern.steps)):
        adjacent = all(b == a + 1 for a, b in pairwise(places))
        if (pattern.gaps or adjacent) and all(
            fits(asked, *session[place])
            and {places[source] for source in asked.flow} <= set(session[place][0].flow)
            for asked, place in zip(pattern.steps, places, strict=True)
        ):
            ends.append(places[-1])
    return min(ends, default=None)


def completions(matcher: Matcher, session: Session, families: tuple[str, ...] = ()) -> dict[str, int]:
    state = matcher.start(families)
    found: dict[str, int] = {}
    for index, (step, outside) in enumerate(session):
        state, completed = matcher.advance(state, step, outside)
        for identity in completed:
            assert identity not in found
            found[identity] = index
        assert all(len(kept) <= LIMITS.partials for kept in state.partials.values())
    return found


@given(patterns())
def test_a_pattern_round_trips_and_keeps_its_id(pattern: Pattern) -> None:
    value = pattern_value(pattern)
    assert parse_pattern(value) == pattern
    assert pattern_id(value) == pattern_id(pattern)


@given(st.lists(patterns(3), min_size=1, max_size=3), sessions())
def test_the_matcher_finds_what_trying_everything_finds(some: list[Pattern], session: Session) -> None:
    agree(some, session)


@settings(max_examples=100)
@given(st.lists(loose_patterns(), min_size=1, max_size=4), sessions())
def test_it_also_does_where_much_completes(some: list[Pattern], session: Session) -> None:
    agree(some, session)


def agree(some: list[Pattern], session: Session) -> None:
    expected = {}
    for pattern in some:
        end = first_completion(pattern, session)
        if end is not None and (not pattern.declared or "customer_support" in pattern.declared):
            expected[pattern_id(pattern)] = end
    matcher = Matcher({pattern_id(pattern): pattern for pattern in some}, TAXONOMY)
    assert completions(matcher, session, ("customer_support",)) == expected


def step(verb: str, *flow: int) -> tuple[Step, bool]:
    return Step(verb=verb, resource="file", sensitivity="internal", boundary="same_tenant", flow=flow), False


def test_without_data_flow_a_long_session_loses_nothing() -> None:
    value = {"gaps": 1, "steps": [{"v": ["read"]}, {"v": ["search"]}, {"v": ["send"]}]}
    session = [step("read")] * 500 + [step("search")] * 500 + [step("send")]
    assert completions(Matcher({"it": parse_pattern(value)}, TAXONOMY), session) == {"it": 1_000}


def test_with_data_flow_the_newest_sixteen_readings_are_remembered() -> None:
    value = {"gaps": 1, "steps": [{"v": ["read"]}, {"v": ["send"], "f": [0]}]}
    matcher = Matcher({"it": parse_pattern(value)}, TAXONOMY)
    reading = [step("read")] * 40
    assert completions(matcher, [*reading, step("send", 24)]) == {"it": 40}
    assert completions(matcher, [*reading, step("send", 23)]) == {}


def test_a_state_outlives_its_matcher() -> None:
    pattern = parse_pattern({"gaps": 1, "steps": [{"v": ["read"]}, {"v": ["send"]}]})
    other = parse_pattern({"gaps": 1, "steps": [{"v": ["send"]}]})
    before = Matcher({"it": pattern}, TAXONOMY)
    state, _ = before.advance(before.start(()), *step("read"))
    _, completed = Matcher({"it": pattern, "new": other}, TAXONOMY).advance(state, *step("send"))
    assert completed == ("it", "new")


def test_a_state_is_not_changed_by_advancing_it() -> None:
    matcher = Matcher({"it": parse_pattern({"gaps": 1, "steps": [{"v": ["read"]}]})}, TAXONOMY)
    state = matcher.start(())
    assert matcher.advance(state, *step("read"))[1] == matcher.advance(state, *step("read"))[1] == ("it",)
    assert state == MatchState(families=frozenset())


def test_only_patterns_that_share_the_step_are_looked_at() -> None:
    many = {f"{n:064x}": parse_pattern({"gaps": 1, "steps": [{"v": [f"verb_{n}"]}]}) for n in range(2_000)}
    looked_at = Matcher(many, TAXONOMY)._fitting(kind_of(*step("verb_7"), TAXONOMY))
    assert [hop.ends for hops in looked_at for hop in hops] == [f"{7:064x}"]


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


@given(junk)
def test_any_value_is_a_pattern_or_refused_as_one(value: object) -> None:
    try:
        parse_pattern(value)
    except ProtocolError as error:
        name = error.name
    else:
        name = "bad_pattern"
    assert name == "bad_pattern"


@pytest.mark.parametrize("value", [{"gaps": True, "steps": [{"x": 1}]}, {"gaps": 1, "steps": [{"x": True}]}])
def test_a_flag_is_no_boolean(value: object) -> None:
    with pytest.raises(ProtocolError, match="bad_pattern"):
        parse_pattern(value)
