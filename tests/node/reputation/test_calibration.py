"""What the word of a group weighs for this viewer, and that this never raises anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.reputation.calibration import (
    FLOOR,
    Observation,
    left_of_others,
    strong,
    weighed_tier,
    weights,
)
from ioint_node.reputation.gate import OwnRecord
from ioint_node.reputation.rule import MICRO, TIERS, Electorate, Network, Scales, Statement, network_part
from ioint_node.reputation.standpoint import Standpoint
from ioint_node.reputation.subjects import covers, is_subject

TODAY = 20_000


def saw(*, bad: bool, public: bool = False, **sides: bool) -> Observation:
    return Observation(bad=bad, public_subject=public, sides=sides)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (OwnRecord(), None),
        (OwnRecord(benign=13), None),
        (OwnRecord(benign=14), False),
        (OwnRecord(flagged=1), True),
        (OwnRecord(flagged=1, benign=5), None),
        (OwnRecord(flagged=1, benign=4_000), False),
    ],
)
def test_an_own_record_is_strong_beyond_log_odds_of_two(own: OwnRecord, said: bool | None) -> None:
    assert strong(own) is said


def test_who_says_what_was_seen_here_has_no_weight_of_its_own() -> None:
    assert weights([saw(bad=True, right=True), saw(bad=False, right=False)]) == {}


def test_calling_a_package_bad_wrongly_weighs_more_than_a_pattern() -> None:
    assert weights([saw(bad=False, liar=True)]) == {"liar": 750_000}
    assert weights([saw(bad=False, public=True, liar=True)]) == {"liar": 500_000}


def test_being_right_elsewhere_mitigates_and_being_wrong_always_ends_at_a_fifth() -> None:
    wrong = [saw(bad=False, public=True, g=True)]
    assert weights([*wrong, *[saw(bad=True, g=True)] * 6]) == {"g": 800_000}
    assert weights(wrong * 100) == {"g": FLOOR}


def test_defending_what_was_seen_bad_is_missed() -> None:
    assert weights([saw(bad=True, g=False)]) == {"g": 650_000}


observations = st.lists(
    st.builds(
        Observation,
        bad=st.booleans(),
        public_subject=st.booleans(),
        sides=st.dictionaries(st.sampled_from("abcdefg"), st.booleans()),
    ),
    max_size=12,
)


@given(observations)
def test_a_weight_is_between_a_fifth_and_one_in_steps(seen: list[Observation]) -> None:
    assert all(FLOOR <= w < MICRO and w % 50_000 == 0 for w in weights(seen).values())


@given(observations, st.booleans())
def test_one_more_agreement_never_buys_more_than_one_and_never_costs(
    seen: list[Observation], bad: bool
) -> None:
    before, after = weights(seen), weights([*seen, saw(bad=bad, a=bad)])
    assert before.get("a", MICRO) <= after.get("a", MICRO) <= MICRO


statements = st.lists(
    st.builds(
        Statement,
        id=st.uuids().map(str),
        author=st.sampled_from("abcdefg"),
        kind=st.sampled_from(("report", "sighting", "dispute")),
        bad=st.integers(0, 5),
        seen=st.integers(0, 9),
        day=st.integers(TODAY - 29, TODAY),
    ),
    max_size=14,
)


@given(statements, observations)
def test_calibration_never_raises_a_tier(said: list[Statement], seen: list[Observation]) -> None:
    voters = Electorate(
        groups=7, group_of={name: name for name in "abcdefg"}, tenure=dict.fromkeys("abcdefg", MICRO)
    )
    network = network_part(said, voters, TODAY)
    here = weighed_tier(network, weights(seen), Scales(voters=voters, today=TODAY))
    assert TIERS.index(here) <= TIERS.index(network.tier)


def accused_by(*groups: str, of: int) -> tuple[Network, Scales]:
    everyone = [f"g{number}" for number in range(of)]
    voters = Electorate(
        groups=of, group_of={name: name for name in everyone}, tenure=dict.fromkeys(everyone, MICRO)
    )
    said = [Statement(id=g, author=g, kind="report", bad=2, seen=2, day=TODAY) for g in groups]
    return network_part(said, voters, TODAY), Scales(voters=voters, today=TODAY)


def test_groups_that_were_often_wrong_here_corroborate_nothing_here() -> None:
    network, scales = accused_by("g0", "g1", of=5)
    assert network.tier == "corroborated"
    assert weighed_tier(network, {"g1": 500_000}, scales) == "advisory"


def test_what_is_removed_is_counted_from_the_electorate_not_from_what_weights_leave() -> None:
    # Of ten groups three are removed: weights of a fifth on all four accusers leave the one that is left, at a fifth.
    network, scales = accused_by("g0", "g1", "g2", "g3", of=10)
    assert network.tier == "corroborated"
    assert weighed_tier(network, dict.fromkeys(("g0", "g1", "g2", "g3"), FLOOR), scales) == "advisory"


def test_a_name_without_a_version_covers_every_version_and_nothing_else() -> None:
    names = {"pkg:npm/left-pad", "pkg:npm/%40acme/x@1.2", "ab" * 32}
    assert covers(names, "pkg:npm/left-pad@1.3")
    assert covers(names, "pkg:npm/%40acme/x@1.2")
    assert not covers(names, "pkg:npm/%40acme/x@1.3")
    assert not covers(names, "pkg:npm/left-pad-2@1.3")
    assert covers(names, "ab" * 32)


@pytest.mark.parametrize("name", ["", "ab", "pkg:npm/@acme/x", "AB" * 32, "pkg:npm/x\n", "ab" * 32 + "\n"])
def test_what_no_record_can_be_about_is_no_subject(name: str) -> None:
    assert not is_subject(name)


def test_a_caught_group_weighs_a_fifth_however_often_it_agreed() -> None:
    here = Standpoint(agreement={"a": 900_000}, caught={"a": 1})
    assert (here.weight("a"), here.weight("b"), here.weights) == (FLOOR, MICRO, {"a": FLOOR})


@given(statements, st.sets(st.sampled_from("abcdefg"), max_size=2), observations)
def test_at_most_b_liars_add_nothing_to_what_honest_others_say(
    said: list[Statement], liars: set[str], seen: list[Observation]
) -> None:
    voters = Electorate(
        groups=7, group_of={name: name for name in "abcdefg"}, tenure=dict.fromkeys("abcdefg", MICRO)
    )
    network = network_part(said, voters, TODAY)
    assert network.b == 2
    honest = sum(v.accusing for v in network.voices if v.group not in liars and v.group != "a")
    left = left_of_others(network, weights(seen), "a")
    assert left is not None
    assert left <= honest


def test_below_four_groups_own_evidence_is_added_to_nothing() -> None:
    network, _ = accused_by("g0", of=3)
    assert left_of_others(network, {}, "g1") is None
