"""Minimal sub-paths: shortest, widest, rare, specific, and completed by the session that they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.privacy.minimal import RARE, UNTRUSTED, minimal_path
from ioint_node.reputation.novel import too_broad
from ioint_protocol import LIMITS, Matcher, Pattern, PatternStep, parse_pattern, pattern_value
from ioint_protocol.pattern import Path, Paths, Seen, canonical_form, completes
from ioint_taxonomy import Step, load_taxonomy

TAXONOMY = load_taxonomy()
# Everyday work: mail is read and answered, records are read, a page is read and its link is sent on inside.
MAIL = Seen(step=Step(verb="read", resource="email", sensitivity="internal", boundary="in_context"))
RECORD = Seen(
    step=Step(verb="read", resource="customer_record", sensitivity="confidential", boundary="in_context")
)
PAGE = Seen(step=Step(verb="read", resource="web_page", sensitivity="public", boundary="in_context"))


def sent(
    *flow: int, to: str = "external", word: str = "principal", resource: str = "email", outside: bool = False
) -> Seen:
    step = Step(
        verb="send", resource=resource, sensitivity="confidential", boundary=to, provenance=word, flow=flow
    )
    return Seen(step=step, outside=outside)


EVERYDAY = (
    [Path(steps=(MAIL, sent(0)))] * 400
    + [Path(steps=(RECORD, MAIL, sent(1, outside=True)))] * 400
    + [Path(steps=(PAGE, sent(0, to="same_tenant")))] * 400
    + [Path(steps=(RECORD, sent(0, to="same_tenant")))] * 20
)
ORDINARY = Paths(EVERYDAY, TAXONOMY)


def broad(pattern: Pattern) -> str | None:
    return too_broad(pattern, TAXONOMY)


def minimal(path: Sequence[Seen], at: int, ordinary: Paths = ORDINARY) -> Pattern | None:
    return minimal_path(path, at, taxonomy=TAXONOMY, ordinary=ordinary, broad=broad)


def value(path: Sequence[Seen], at: int, ordinary: Paths = ORDINARY) -> object:
    found = minimal(path, at, ordinary)
    return None if found is None else pattern_value(found)


def acted(verb: str, resource: str, sensitivity: str, *flow: int, word: str = "third_party_content") -> Seen:
    step = Step(
        verb=verb, resource=resource, sensitivity=sensitivity, boundary="external", provenance=word, flow=flow
    )
    return Seen(step=step, outside=True)


def test_a_step_that_is_rare_by_itself_is_said_alone_and_widely() -> None:
    assert value([MAIL, acted("pay", "payment", "internal", 0)], 1) == {
        "gaps": 1,
        "steps": [{"v": ["@value"], "r": ["@finance"], "b": 4, "p": list(UNTRUSTED), "x": 1}],
    }


def test_where_the_step_alone_is_everyday_the_source_of_its_data_makes_the_difference() -> None:
    assert value([PAGE, RECORD, MAIL, sent(1, outside=True)], 3) == {
        "gaps": 1,
        "steps": [
            {"v": ["@observe"], "r": ["@person_data"], "s": 2},
            {"v": ["@transfer"], "r": ["@content"], "s": 2, "b": 4, "f": [0], "x": 1},
        ],
    }


def test_what_gave_the_order_goes_before_where_only_that_tells_it_from_everyday_work() -> None:
    """Other sessions post at the word of a page as well, but they are shown the page by somebody."""
    posted = acted("create", "social_post", "public", word="public_web")
    ordinary = Paths([Path(steps=(MAIL, posted))] * 1_000, TAXONOMY)
    assert value([MAIL, PAGE, RECORD, posted], 3, ordinary) == {
        "gaps": 1,
        "steps": [
            {"v": ["@observe"], "r": ["web_page"]},
            {"v": ["@mutate"], "r": ["@content"], "b": 4, "p": list(UNTRUSTED), "x": 1},
        ],
    }


@pytest.mark.parametrize(("matching", "steps"), [(1, 1), (2, 2)])
def test_one_ordinary_session_in_a_thousand_may_complete_it_and_not_two(matching: int, steps: int) -> None:
    pay = acted("pay", "payment", "internal", 0)
    ordinary = Paths([Path(steps=(pay,))] * matching + [Path(steps=(MAIL,))] * (1_000 - matching), TAXONOMY)
    found = minimal([MAIL, pay], 1, ordinary)
    assert found is not None
    assert len(found.steps) == steps


def test_only_everyday_work_has_no_minimal_path() -> None:
    assert value([RECORD, MAIL, sent(1, outside=True)], 2) is None


def test_what_is_not_specific_has_no_minimal_path() -> None:
    unknown = Step(verb="teleport", resource="file", sensitivity="public", boundary="in_context")
    assert value([Seen(step=unknown)], 0) is None


def test_with_too_few_sessions_to_show_that_it_is_rare_nothing_is_left_out_and_nothing_widened() -> None:
    few = Paths(EVERYDAY[:999], TAXONOMY)
    assert value([MAIL, PAGE, acted("pay", "payment", "internal", 0)], 2, few) == {
        "gaps": 1,
        "steps": [
            {"v": ["read"], "r": ["email"], "s": 1, "p": ["unknown"]},
            {"v": ["pay"], "r": ["payment"], "s": 1, "b": 4, "p": ["third_party_content"], "f": [0], "x": 1},
        ],
    }


def test_a_word_that_is_not_of_the_taxonomy_is_not_said() -> None:
    read = Step(verb="read", resource="acme_ledger", sensitivity="secret of ours", boundary="in_context")
    told = Step(
        verb="acme_call",
        resource="email",
        sensitivity="public",
        boundary="external",
        provenance="bob",
        flow=(0,),
    )
    few = Paths([], TAXONOMY)
    found = minimal_path(
        [Seen(step=read), Seen(step=told, outside=True)],
        1,
        taxonomy=TAXONOMY,
        ordinary=few,
        broad=lambda _: None,
    )
    assert found is not None
    assert pattern_value(found) == {
        "gaps": 1,
        "steps": [{"v": ["read"], "s": 2, "p": ["unknown"]}, {"r": ["email"], "b": 4, "f": [0], "x": 1}],
    }


def test_a_long_chain_of_data_is_cut_to_what_a_pattern_holds() -> None:
    chain = [
        Seen(
            step=Step(
                verb="compute",
                resource="file",
                sensitivity="internal",
                boundary="in_context",
                flow=(index - 1,) if index else (),
            )
        )
        for index in range(40)
    ]
    found = minimal([*chain, acted("pay", "payment", "internal", 39)], 40, Paths([], TAXONOMY))
    assert found is not None
    assert len(found.steps) == LIMITS.pattern_steps
    assert [step.flow for step in found.steps] == [(), (0,), (1,), (2,), (3,), (4,), (5,), (6,)]


STEPS = st.builds(
    Step,
    verb=st.sampled_from(["read", "search", "send", "create", "pay", "our_own"]),
    resource=st.sampled_from(["email", "web_page", "customer_record", "payment", "our_own"]),
    sensitivity=st.sampled_from(["public", "internal", "confidential", "restricted"]),
    boundary=st.sampled_from(["in_context", "same_tenant", "external"]),
    provenance=st.sampled_from(
        ["principal", "third_party_content", "public_web", "memory", "unknown", "our_own"]
    ),
)


@st.composite
def sessions(draw: st.DrawFn, least: int = 1) -> tuple[Seen, ...]:
    seen = []
    for index in range(draw(st.integers(least, 7))):
        flow = draw(st.sets(st.integers(0, index - 1), max_size=2)) if index else set()
        step = msgspec.structs.replace(draw(STEPS), flow=tuple(sorted(flow)))
        seen.append(Seen(step=step, outside=draw(st.booleans())))
    return tuple(seen)


@st.composite
def cases(draw: st.DrawFn) -> tuple[tuple[Seen, ...], int, Paths]:
    """A session, one of its steps, and everyday work that is often much like it."""
    session = draw(sessions())
    at = draw(st.integers(0, len(session) - 1))
    alike = st.sets(st.integers(0, len(session) - 1), max_size=2).map(
        lambda out: tuple(seen for index, seen in enumerate(session) if index not in out)
    )
    everyday = draw(st.lists(alike | sessions(), max_size=3))
    some = [Path(steps=unlinked(steps)) for steps in everyday] * 2
    return session, at, Paths([*some, *[Path(steps=(MAIL,))] * 1_000], TAXONOMY)


def unlinked(steps: tuple[Seen, ...]) -> tuple[Seen, ...]:
    """Without the flow from steps that are not there."""
    return tuple(
        replace(
            seen,
            step=msgspec.structs.replace(seen.step, flow=tuple(f for f in seen.step.flow if f < index)),
        )
        for index, seen in enumerate(steps)
    )


def acceptable(pattern: Pattern, ordinary: Paths) -> bool:
    found = ordinary.rate(pattern)
    return broad(pattern) is None and found.sessions * RARE >= 1 and found.matches <= RARE * found.sessions


def without(pattern: Pattern, out: int) -> Pattern:
    def moved(step: PatternStep) -> PatternStep:
        flow = tuple(place - (place > out) for place in step.flow if place != out)
        return replace(step, flow=flow)

    left = [moved(step) for index, step in enumerate(pattern.steps) if index != out]
    return Pattern(gaps=1, steps=tuple(left))


@given(cases())
def test_the_session_completes_its_own_minimal_path(case: tuple[tuple[Seen, ...], int, Paths]) -> None:
    session, at, ordinary = case
    found = minimal(session, at, ordinary)
    assert found is None or completes(Path(steps=session[: at + 1]), Matcher({"it": found}, TAXONOMY))


@given(cases())
def test_it_needs_each_of_its_steps(case: tuple[tuple[Seen, ...], int, Paths]) -> None:
    session, at, ordinary = case
    found = minimal(session, at, ordinary)
    for out in range(len(found.steps) - 1) if found else ():
        assert found is not None
        left = without(found, out)
        assert PatternStep() in left.steps or not acceptable(left, ordinary)


@given(cases())
def test_it_is_specific_rare_and_in_the_words_of_the_taxonomy(
    case: tuple[tuple[Seen, ...], int, Paths],
) -> None:
    session, at, ordinary = case
    found = minimal(session, at, ordinary)
    if found is None:
        return
    assert parse_pattern(pattern_value(found)) == canonical_form(found, TAXONOMY) == found
    assert "our_own" not in str(found)
    if ordinary.sessions * RARE >= 1:
        assert acceptable(found, ordinary)
    else:
        assert broad(found) is None


@given(cases())
def test_none_is_found_only_where_there_is_none(case: tuple[tuple[Seen, ...], int, Paths]) -> None:
    """The whole of what led to the step, in its own words, is no better than everything else."""
    session, at, ordinary = case
    if minimal(session, at, ordinary) is None and ordinary.sessions * RARE >= 1:
        whole = minimal_path(
            session, at, taxonomy=TAXONOMY, ordinary=Paths([], TAXONOMY), broad=lambda _: None
        )
        assert whole is None or not acceptable(whole, ordinary)


@given(cases())
def test_it_is_the_same_every_time(case: tuple[tuple[Seen, ...], int, Paths]) -> None:
    session, at, ordinary = case
    assert minimal(session, at, ordinary) == minimal(session, at, ordinary)
