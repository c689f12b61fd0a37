"""The rules that others use, and how many colluders flip a subject under each."""

from __future__ import annotations

import numpy as np
import pytest
from ioint_node.lab.flipping import flip_rival, flip_tier, lemma
from ioint_node.lab.rules import RIVALS, Claims, median, threshold, trimmed
from ioint_node.lab.subjects import SUBJECT_ATTACKS, SubjectSetting, by_tier, draw_subjects, run_subjects
from ioint_node.reputation.rule import removals


def claims(*bad: float, seen: float = 40) -> Claims:
    """One subject that every member says so many bad sessions of, and a clean one."""
    told = np.array([[each, 0.0] for each in bad])
    return Claims(bad=told, seen=np.full_like(told, seen))


@pytest.mark.parametrize("name", sorted(RIVALS))
def test_every_rival_rates_what_all_call_bad_above_what_all_call_clean(name: str) -> None:
    bad, clean = RIVALS[name](claims(20, 22, 18, 25, 21))
    assert bad > clean


def test_the_median_is_the_middle_and_the_trimmed_mean_leaves_out_both_ends() -> None:
    told = claims(0, 1, 2, 30)
    assert median(told)[0] == pytest.approx((1.2 + 2.2) / 2 / 50)
    assert trimmed(told)[0] == pytest.approx((1.2 + 2.2) / 2 / 50)


def test_fewer_than_three_members_have_no_median() -> None:
    assert median(claims(30, 30))[0] == 0


def test_a_threshold_leaves_the_share_that_is_asked_for() -> None:
    assert (np.arange(1000.0) > threshold(np.arange(1000.0))).mean() == pytest.approx(0.01)


@pytest.mark.parametrize("orgs", [4, 5, 10, 30, 100])
def test_one_liar_more_than_are_removed_is_the_least_that_flips_what_nobody_uses(orgs: int) -> None:
    b, q = removals(orgs)
    found = flip_tier(orgs, 0)
    assert found.slander[1] is not None
    assert found.slander[1] >= b + 1
    assert found.slander[2] == q + 1


@pytest.mark.parametrize("orgs", [4, 10, 100])
def test_the_lemma_holds_for_liars_that_say_whatever_they_can(orgs: int) -> None:
    by_b, by_q = lemma(orgs, draws=40)
    assert by_b <= 0.05
    assert by_q <= 0.10


def test_one_colluder_flips_a_volume_mean() -> None:
    assert flip_rival(30, 0, RIVALS["volume mean"], 0.05).slander[2] == 1


@pytest.mark.parametrize("attack", SUBJECT_ATTACKS)
def test_a_tenth_of_liars_never_makes_a_consensus_on_a_subject(attack: str) -> None:
    world = draw_subjects(SubjectSetting(orgs=40, hostile=0 if attack == "none" else 0.1, attack=attack))
    found = run_subjects(world, by_tier)
    assert found.slander is None or found.slander[2] == 0
    assert found.fpr <= 0.05
