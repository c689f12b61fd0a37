"""The matcher in force follows what is believed, and is not made anew for it."""

from __future__ import annotations

from dataclasses import replace

from ioint_node.flows.live import MATCHER_CHECK_MS, Matching
from ioint_node.reputation.beliefs import Belief, Beliefs
from ioint_protocol import parse_pattern, pattern_id
from ioint_taxonomy import load_catalogue, load_taxonomy

NOVEL = parse_pattern({"gaps": 1, "steps": [{"v": ["export"], "r": ["hr_record"], "x": 1}]})
NAME = pattern_id(NOVEL)


def believed(measured_from: int | None) -> Belief:
    return Belief(
        pattern=NAME,
        state="watched",
        tier="precautionary",
        effect=0.05,
        score=50,
        confidence=10,
        groups=1,
        novel=NOVEL,
        measured_from=measured_from,
    )


def test_a_novel_pattern_comes_and_goes_and_the_catalogue_stays() -> None:
    catalogue, taxonomy, beliefs, matching = load_catalogue(), load_taxonomy(), Beliefs(), Matching()
    entries = catalogue.entries.keys()
    first = matching.current(catalogue, taxonomy, beliefs, 0)
    beliefs.apply([believed(measured_from=1)])
    with_it = matching.current(catalogue, taxonomy, beliefs, MATCHER_CHECK_MS)
    beliefs.apply([believed(measured_from=None)])
    without = matching.current(catalogue, taxonomy, beliefs, 2 * MATCHER_CHECK_MS)
    assert set(first.patterns) == set(without.patterns) == set(entries)
    assert set(with_it.patterns) == {NAME, *entries}


def test_a_novel_pattern_that_is_also_in_the_catalogue_does_not_take_it_away() -> None:
    catalogue, taxonomy, beliefs, matching = load_catalogue(), load_taxonomy(), Beliefs(), Matching()
    name, entry = next(iter(catalogue.entries.items()))
    ours = parse_pattern(entry.pattern)
    for turn, measured_from in enumerate((1, None)):
        beliefs.apply([replace(believed(measured_from), pattern=name, novel=ours)])
        assert name in matching.current(catalogue, taxonomy, beliefs, turn * MATCHER_CHECK_MS).patterns


def test_while_nothing_changes_the_matcher_is_the_same() -> None:
    catalogue, taxonomy, beliefs, matching = load_catalogue(), load_taxonomy(), Beliefs(), Matching()
    first = matching.current(catalogue, taxonomy, beliefs, 0)
    assert matching.current(catalogue, taxonomy, beliefs, MATCHER_CHECK_MS) is first
