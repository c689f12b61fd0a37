"""The matcher, held to a search through every assignment; and what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ioint_protocol.limits import LIMITS
from ioint_protocol.pattern import (
    Matcher,
    MatchState,
    Pattern,
    PatternStep,
    kind_of,
    parse_pattern,
    pattern_id,
)
from ioint_protocol.pattern.index import EMPTY
from ioint_taxonomy import Step

from tests.protocol.patterns import TAXONOMY, Session, loose_patterns, patterns, sessions, step


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
    for index, one in enumerate(session):
        state, completed = matcher.advance(state, *one)
        for identity in completed:
            assert identity not in found
            found[identity] = index
        assert all(len(kept) <= LIMITS.partials for kept in state.partials.values())
    return found


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


@settings(max_examples=100)
@given(st.lists(loose_patterns(), min_size=4, max_size=8), sessions(8))
def test_patterns_that_begin_alike_do_not_disturb_one_another(some: list[Pattern], session: Session) -> None:
    agree(some, session)


@pytest.mark.parametrize("source", [16, 31])
def test_what_a_pattern_finds_does_not_hang_on_those_that_begin_like_it(source: int) -> None:
    beginning = [{"v": ["read"]}, {"v": ["search"]}]
    of_first = parse_pattern({"gaps": 1, "steps": [*beginning, {"v": ["send"], "f": [0]}]})
    of_second = parse_pattern({"gaps": 1, "steps": [*beginning, {"v": ["send"], "f": [1]}]})
    session = [step("read")] * 16 + [step("search")] * 16 + [step("send", source)]
    both = Matcher({"first": of_first, "second": of_second}, TAXONOMY)
    assert completions(both, session) == {"second": 32}


def test_patterns_that_begin_alike_may_be_about_different_families() -> None:
    steps = [{"v": ["read"]}, {"v": ["send"]}]
    families = ("code_review", "customer_support")
    some = {name: parse_pattern({"declared": [name], "gaps": 1, "steps": steps}) for name in families}
    session = [step("read"), step("send")]
    assert completions(Matcher(some, TAXONOMY), session, ("customer_support",)) == {"customer_support": 1}


@pytest.mark.parametrize(
    ("flows", "session", "kept"),
    [
        # Only which reading it was matters later, however many searches followed it.
        (((), (0,)), [step("read")] * 2 + [step("search")] * 20, ((0, 2), (1, 2))),
        # Only which search it was matters later, however many readings went into it.
        (((0,), (1,)), [step("read")] * 2 + [step("search", 0, 1)], ((0, 2),)),
    ],
)
def test_what_the_rest_of_a_pattern_cannot_tell_apart_is_kept_once(
    flows: tuple[tuple[int, ...], ...], session: Session, kept: tuple[tuple[int, ...], ...]
) -> None:
    verbs = ("search", "send")
    later = [PatternStep(verbs=(verb,), flow=flow) for verb, flow in zip(verbs, flows, strict=True)]
    matcher = Matcher({"it": Pattern(steps=(PatternStep(verbs=("read",)), *later))}, TAXONOMY)
    state = matcher.start(())
    for one in session:
        state, _ = matcher.advance(state, *one)
    assert kept in state.partials.values()


@given(st.lists(loose_patterns(), max_size=5), st.lists(loose_patterns(), max_size=5), sessions())
def test_a_changed_matcher_is_as_one_made_anew(
    before: list[Pattern], after: list[Pattern], session: Session
) -> None:
    old = {pattern_id(pattern): pattern for pattern in before}
    new = {pattern_id(pattern): pattern for pattern in after}
    fresh = {name: pattern for name, pattern in new.items() if name not in old}
    changed = Matcher(old, TAXONOMY).changed(fresh, old.keys() - new.keys())
    anew = Matcher(new, TAXONOMY)
    assert dict(changed.patterns) == dict(anew.patterns) == new
    assert completions(changed, session) == completions(anew, session)
    assert changed._index.uses == anew._index.uses
    assert in_any_order(changed._index.hops) == in_any_order(anew._index.hops)
    assert in_any_order(changed._index.asks) == in_any_order(anew._index.asks)


@settings(max_examples=200)
@given(
    st.lists(loose_patterns(), max_size=5),
    st.lists(loose_patterns(), max_size=5),
    st.lists(loose_patterns(), max_size=3),
    sessions(8),
)
def test_a_state_taken_over_is_as_if_the_matcher_had_followed_from_the_start(
    before: list[Pattern], after: list[Pattern], both: list[Pattern], session: Session
) -> None:
    old, new = (
        Matcher({pattern_id(pattern): pattern for pattern in some}, TAXONOMY)
        for some in ([*before, *both], [*after, *both])
    )
    followed = [last_state(matcher, session) for matcher in (old, new)]
    assert new.resume(followed[0], old, session) == followed[1]


def test_a_name_that_another_pattern_took_over_completes_again() -> None:
    reading = parse_pattern({"gaps": 1, "steps": [{"v": ["read"]}]})
    sending = parse_pattern({"gaps": 1, "steps": [{"v": ["send"]}]})
    old, new = Matcher({"it": reading}, TAXONOMY), Matcher({"it": sending}, TAXONOMY)
    state = new.resume(last_state(old, [step("read")]), old, [step("read")])
    assert new.advance(state, *step("send"))[1] == ("it",)


def last_state(matcher: Matcher, session: Session) -> MatchState:
    state = matcher.start(("customer_support",))
    for one in session:
        state, _ = matcher.advance(state, *one)
    return state


def in_any_order(index: Mapping[Any, tuple[Any, ...]]) -> dict[Any, Counter[Any]]:
    return {key: Counter(values) for key, values in index.items()}


def test_changing_a_matcher_leaves_it_as_it_was() -> None:
    reading = parse_pattern({"gaps": 1, "steps": [{"v": ["read"]}]})
    before = Matcher({"reading": reading}, TAXONOMY)
    before.changed({"too": reading}, ["reading"])
    assert completions(before, [step("read")]) == {"reading": 0}


def test_a_pattern_that_is_added_under_a_name_takes_the_place_of_the_other() -> None:
    reading = parse_pattern({"gaps": 1, "steps": [{"v": ["read"]}]})
    sending = parse_pattern({"gaps": 1, "steps": [{"v": ["send"]}]})
    matcher = Matcher({"it": reading}, TAXONOMY).changed({"it": sending})
    assert completions(matcher, [step("read"), step("send")]) == {"it": 1}


def test_taking_out_what_is_not_there_is_no_fault() -> None:
    assert Matcher({}, TAXONOMY).changed({}, ["nothing"])._index == EMPTY


def test_a_thousand_patterns_that_begin_alike_take_one_place_in_a_session() -> None:
    many = {
        str(n): parse_pattern({"gaps": 1, "steps": [{"v": ["read"]}, {"v": [f"verb_{n}"]}]})
        for n in range(1_000)
    }
    matcher = Matcher(many, TAXONOMY)
    state, _ = matcher.advance(matcher.start(()), *step("read"))
    assert len(state.partials) == 1


def test_a_pattern_in_immediate_succession_keeps_its_newest_beginning_only() -> None:
    value = {"gaps": 0, "steps": [{"v": ["read"]}, {"v": ["send"]}, {"v": ["send"]}]}
    matcher = Matcher({"it": parse_pattern(value)}, TAXONOMY)
    state = matcher.start(())
    for one in [step("read")] * 5 + [step("send")]:
        state, _ = matcher.advance(state, *one)
    assert sorted(state.partials.values()) == [((4,),), ((4, 5),)]
