"""What an operator lets leave without being asked each time, and what that does not lift."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ioint_node.privacy.gate import Hold, Proposal, Refuse, Release, Said, decide
from ioint_node.privacy.standing import Matter, Standing, covering

NOW = 1_800_000_000_000
PATTERN = "ab" * 32
MATTER = Matter(
    category="catalogue", pattern=PATTERN, intents=frozenset({"goal_hijack"}), layers=frozenset({"L01"})
)


def approval(scope: str, value: str, *, expires: int = NOW + 1, revoked: bool = False) -> Standing:
    return Standing(id="0" * 32, scope=scope, value=value, expires=expires, revoked=revoked)


def proposal(*, novel: bool = False, principals: int = 1, said: Said | None = None) -> Proposal:
    return Proposal(novel=novel, confirmed=True, principals=principals, bad=0, benign_rate=None, said=said)


@pytest.mark.parametrize(
    ("scope", "value"),
    [("pattern", PATTERN), ("intent", "goal_hijack"), ("layer", "L01"), ("category", "catalogue")],
)
def test_an_approval_covers_what_it_names(scope: str, value: str) -> None:
    assert covering([approval(scope, value)], MATTER, NOW) is not None


@pytest.mark.parametrize(
    ("scope", "value"),
    [("pattern", "cd" * 32), ("intent", "data_theft"), ("layer", "L02"), ("category", "update")],
)
def test_an_approval_covers_nothing_else(scope: str, value: str) -> None:
    assert covering([approval(scope, value)], MATTER, NOW) is None


def test_an_approval_ends() -> None:
    assert covering([approval("pattern", PATTERN, expires=NOW)], MATTER, NOW) is None


def test_an_approval_that_was_taken_back_covers_nothing() -> None:
    assert covering([approval("pattern", PATTERN, revoked=True)], MATTER, NOW) is None


def test_a_novel_pattern_has_no_intent_that_could_cover_it() -> None:
    novel = replace(MATTER, category="novel", intents=frozenset(), layers=frozenset())
    assert covering([approval("intent", "goal_hijack"), approval("layer", "L01")], novel, NOW) is None


def outcome(given: Proposal, *, standing: bool) -> object:
    return decide(given, mode="hold", now=NOW, draw=lambda below: 0, standing=standing)


def test_under_hold_what_is_covered_leaves_and_what_is_not_waits() -> None:
    assert isinstance(outcome(proposal(), standing=True), Release)
    assert isinstance(outcome(proposal(), standing=False), Hold)


def test_a_standing_approval_does_not_replace_five_people() -> None:
    assert isinstance(outcome(proposal(novel=True, principals=4), standing=True), Hold)


def test_a_standing_approval_does_not_let_a_count_be_said_twice() -> None:
    said = Said(bad=0, day=NOW // 86_400_000)
    assert isinstance(outcome(proposal(said=said), standing=True), Refuse)


def test_who_asks_for_a_novel_pattern_by_name_has_not_seen_its_bytes() -> None:
    asked = replace(proposal(novel=True, principals=4), asked=True)
    assert isinstance(decide(asked, mode="catalogue", now=NOW, draw=lambda below: 0), Hold)
