"""Which entries of the catalogue a pattern is a special case of."""

from __future__ import annotations

from dataclasses import replace

from ioint_node.reputation.lineage import NOVEL, Lineage, lineage
from ioint_protocol import Pattern, PatternStep
from ioint_taxonomy import load_catalogue, load_taxonomy

TAXONOMY = load_taxonomy()
SEND = Pattern(gaps=1, steps=(PatternStep(verbs=("send",)),))
SEND_OUTSIDE = Pattern(gaps=1, steps=(PatternStep(verbs=("send",), outside=True),))
READ_AND_SEND_OUTSIDE = replace(SEND_OUTSIDE, steps=(PatternStep(verbs=("read",)), *SEND_OUTSIDE.steps))


def test_an_entry_knows_all_that_are_more_general_and_these_know_it() -> None:
    among = Lineage({"a": SEND, "b": SEND_OUTSIDE, "c": READ_AND_SEND_OUTSIDE}, TAXONOMY)
    assert [among.general(name) for name in "abc"] == [(), ("a",), ("a", "b")]
    assert [among.special(name) for name in "abc"] == [("b", "c"), ("c",), ()]


def test_a_novel_pattern_is_not_known_before_it_is_learned() -> None:
    among = Lineage({"a": SEND}, TAXONOMY)
    assert among.general("n") is None
    assert among.learn("n", SEND_OUTSIDE) == ("a",)
    assert among.general("n") == ("a",)


def test_what_is_remembered_of_novel_patterns_is_bounded() -> None:
    among = Lineage({}, TAXONOMY)
    for number in range(NOVEL + 2):
        among.learn(str(number), SEND)
    assert [among.general(str(number)) for number in (1, 2)] == [None, ()]


def test_in_the_catalogue_what_is_more_general_than_a_more_general_entry_is_more_general_itself() -> None:
    among = lineage(load_catalogue(), TAXONOMY)
    for name in load_catalogue().entries:
        above = set(among.general(name) or ())
        assert all(set(among.general(other) or ()) - {name} <= above for other in above)
