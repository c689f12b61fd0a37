"""Base rates: what is counted, and that looking only where a match may be changes nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from ioint_protocol.pattern import (
    Matcher,
    Path,
    Paths,
    Pattern,
    Rate,
    Seen,
    base_rate,
    completes,
    parse_pattern,
)

from tests.protocol.patterns import TAXONOMY, Session, patterns, sessions, step


def path(session: Session, families: tuple[str, ...] = ("customer_support",)) -> Path:
    return Path(steps=tuple(Seen(step=one, outside=outside) for one, outside in session), families=families)


@given(patterns(3), st.lists(sessions().map(path), max_size=6))
def test_the_rate_is_that_of_matching_every_session(pattern: Pattern, some: list[Path]) -> None:
    matcher = Matcher({"it": pattern}, TAXONOMY)
    expected = Rate(matches=sum(completes(one, matcher) for one in some), sessions=len(some))
    assert base_rate(pattern, some, TAXONOMY) == expected


def test_a_session_counts_once_however_often_it_matches() -> None:
    pattern = parse_pattern({"gaps": 1, "steps": [{"v": ["read"]}]})
    known = Paths([path([step("read")] * 3), path([step("send")]), path([])], TAXONOMY)
    assert known.rate(pattern) == Rate(matches=1, sessions=3)


def test_a_session_of_another_family_counts_as_one_without_a_match() -> None:
    pattern = parse_pattern({"declared": ["code_review"], "gaps": 1, "steps": [{"v": ["read"]}]})
    some = [path([step("read")], ("code_review",)), path([step("read")])]
    assert base_rate(pattern, some, TAXONOMY) == Rate(matches=1, sessions=2)
