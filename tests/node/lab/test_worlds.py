"""The lab's worlds, what is said in them, and that the rule in them is the shipped one."""

from __future__ import annotations

from collections import defaultdict

import pytest
from ioint_node.lab.attacks import ATTACKS, Attack, attack, liars_of
from ioint_node.lab.patterns import calibrate, measured, run, run_rival
from ioint_node.lab.rules import CANDIDATES, RIVALS
from ioint_node.lab.saying import Said, Seconding, answered, honest
from ioint_node.lab.tallies import DAY_ZERO, Tallies, electorates
from ioint_node.lab.world import Nature, Setting, World, draw
from ioint_node.reputation.rule import Statement, network_part

TINY = Nature(patterns=60, days=21, campaigns=3)


def world(*, orgs: int = 7, hostile: int = 2, attack: str = "joint", seed: int = 0) -> World:
    return draw(Setting(orgs=orgs, hostile=hostile, attack=attack, seed=seed, nature=TINY))


def test_the_same_seed_makes_the_same_world() -> None:
    one, other = world(seed=3), world(seed=3)
    assert (one.met, one.named, one.campaigns) == (other.met, other.named, other.campaigns)
    assert world(seed=4).met != one.met


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_no_attack_by_at_most_b_groups_corroborates_what_no_honest_group_says(name: str) -> None:
    found = run(world(attack=name))
    assert found.unsupported <= 0.05
    assert 0 <= found.under <= 1
    assert all(0 <= share <= 1 for share in (*found.lift, found.flagged, found.false_flagged))


@pytest.mark.parametrize("name", sorted(CANDIDATES))
def test_every_candidate_runs_in_the_same_world(name: str) -> None:
    found = run(world(), CANDIDATES[name])
    assert found.blind == run(world()).blind
    assert found.lift[0] >= found.lift[1] >= found.lift[2]


def test_every_rival_runs_in_the_same_world() -> None:
    here, least = world(), calibrate(7, RIVALS)
    assert {run_rival(here, rival, least[name]).blind for name, rival in RIVALS.items()} == {run(here).blind}


def test_what_the_lab_concludes_is_the_network_part_of_all_statements() -> None:
    here = world(attack="sybil")
    said = answered(here, [*honest(here), *attack(here).said], Seconding.RARE)
    voters, tallies = electorates(here.setting), Tallies(electorates(here.setting), Attack(), liars_of(here))
    statements: dict[int, list[Statement]] = defaultdict(list)
    spoken = iter([*said, None])
    one = next(spoken)
    for day in range(TINY.days):
        tallies.turn(day)
        while one is not None and one.at < day + 1:
            statement = tallies.say(one)
            if statement is not None:
                statements[one.pattern].append(statement)
            one = next(spoken)
        for pattern in tallies.settle(day):
            whole = network_part(
                statements[pattern], voters[day], DAY_ZERO + day, halvings=tallies.scales.halvings
            )
            assert tallies.conclude(pattern) == whole
    kinds = {s.kind for said in statements.values() for s in said}
    assert kinds == {"report", "sighting", "dispute"}


def test_a_member_seconds_only_what_another_one_reported() -> None:
    here = world(hostile=0, seed=5)
    said = honest(here)
    seconds = [s for s in answered(here, said, Seconding.ALWAYS) if s.kind == "sighting"]
    assert seconds
    for sighting in seconds:
        assert any(
            s.kind == "report"
            and s.pattern == sighting.pattern
            and s.member != sighting.member
            and s.at <= sighting.at
            for s in said
        )


def test_what_is_ordinary_at_a_member_is_not_seconded_where_only_the_rare_is() -> None:
    here = world(seed=6)
    reports = [Said(0.0, 999, pattern, "report") for pattern in range(TINY.patterns)]
    always = set(answered(here, reports, Seconding.ALWAYS))
    rare = set(answered(here, reports, Seconding.RARE))
    assert rare < always
    for one in rare:
        if one.kind == "sighting":
            worked = here.worked(one.member, int(one.at))
            assert here.matched(one.member, one.pattern, int(one.at)) <= max(worked / 1_000, 3)


def test_the_victim_of_those_who_know_it_is_the_one_measured() -> None:
    assert len(measured(world(attack="viewer"), 24)) == 1
    assert len(measured(world(attack="joint"), 3)) == 3
