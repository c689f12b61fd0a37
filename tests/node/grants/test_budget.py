"""The trust budget: what costs more, what is cheap, what a low budget does, and that nobody renews for ever."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.access.budget import (
    BOUNDARY_FACTORS,
    CHEAPEST_UNITS,
    CLASS_UNITS,
    GROUPS,
    HALF_LIFE_MS,
    SENSITIVITY_FACTORS,
    Budget,
    capped,
    draw,
    due,
    interval_s,
    is_spent,
    merged,
    new_budget,
    renew,
    spend,
    to_json,
)
from ioint_node.scoring.levels import TERMS, Terms, terms_of
from ioint_taxonomy import Step, load_taxonomy

NOW = 1_790_000_000_000
TAXONOMY = load_taxonomy()
# One resource of each group that is not the file's.
OTHERS = ("profile", "order", "payment", "source_code", "secret", "database", "network", "identity", "model")
TERMS_3 = terms_of(0.6)


def step(
    resource: str = "file",
    verb: str = "read",
    sensitivity: str = "internal",
    boundary: str = "same_principal",
) -> Step:
    return Step(verb=verb, resource=resource, sensitivity=sensitivity, boundary=boundary)


def cost(budget: Budget, one: Step, now: int = NOW) -> float:
    return spend(budget, one, TAXONOMY, now)[1]


def after(budget: Budget, *resources: str, now: int = NOW) -> Budget:
    for resource in resources:
        budget, _ = spend(budget, step(resource), TAXONOMY, now)
    return budget


@pytest.fixture
def fresh() -> Budget:
    return new_budget(TERMS_3, NOW)


def test_looking_at_something_internal_of_ones_own_costs_one(fresh: Budget) -> None:
    assert cost(fresh, step()) == 1.0


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (step(verb="generate"), step()),
        (step(), step(verb="update")),
        (step(verb="update"), step(verb="send")),
        (step(verb="send"), step(verb="pay")),
        (step(), step(sensitivity="confidential")),
        (step(sensitivity="confidential"), step(sensitivity="restricted")),
        (step(), step(boundary="external")),
        (step(boundary="external"), step(boundary="public")),
    ],
)
def test_the_cost_grows_with_effect_sensitivity_and_boundary(fresh: Budget, less: Step, more: Step) -> None:
    assert cost(fresh, less) < cost(fresh, more)


def test_what_is_not_known_costs_as_what_could_be(fresh: Budget) -> None:
    assert cost(fresh, step(sensitivity="unknown")) == cost(fresh, step(sensitivity="confidential"))
    assert cost(fresh, step(boundary="unknown")) == cost(fresh, step(boundary="external"))
    assert cost(fresh, step(verb="frobnicate")) == cost(fresh, step(verb="execute"))


def test_every_class_and_rank_of_the_taxonomy_has_a_price() -> None:
    assert set(TAXONOMY.verbs.values()) == set(CLASS_UNITS)
    assert len(SENSITIVITY_FACTORS) == max(TAXONOMY.sensitivities.values()) + 1
    assert len(BOUNDARY_FACTORS) == max(TAXONOMY.boundaries.values()) + 1


def test_repetition_in_one_group_is_cheap(fresh: Budget) -> None:
    assert cost(after(fresh, "file"), step("email")) == 0.4


def test_the_same_work_across_groups_costs_several_times_as_much(fresh: Budget) -> None:
    stays = after(fresh, *["file"] * 6)
    strolls = after(fresh, "file", *OTHERS[:5])
    assert fresh.left - strolls.left > 3 * (fresh.left - stays.left)


def test_each_further_group_makes_every_access_dearer(fresh: Budget) -> None:
    costs = [cost(after(fresh, *OTHERS[:many]), step()) for many in range(GROUPS)]
    assert costs == sorted(set(costs))


def test_groups_are_forgotten_with_time(fresh: Budget) -> None:
    before = after(fresh, "profile", "order")
    later = NOW + HALF_LIFE_MS
    assert cost(before, step()) == pytest.approx(2.0, abs=1e-4)
    assert cost(before, step(), later) == pytest.approx(1.5, abs=1e-4)
    assert cost(before, step(), later + 100 * HALF_LIFE_MS) == 1.0


def test_a_clock_that_runs_back_forgets_nothing_and_counts_nothing_twice(fresh: Budget) -> None:
    assert cost(after(fresh, "profile"), step(), NOW - 10 * HALF_LIFE_MS) == 1.5


def test_the_memory_of_groups_is_bounded(fresh: Budget) -> None:
    budget = after(fresh, *OTHERS, "file", *OTHERS)
    assert len(budget.groups) == GROUPS
    assert budget.groups[0][0] == "ai"  # the newest is kept, the oldest forgotten


def test_a_budget_shortens_the_interval_before_it_stops(fresh: Budget) -> None:
    full, half, low, none = (draw(fresh, fresh.granted * part) for part in (0.0, 0.5, 0.9, 1.0))
    assert interval_s(full, TERMS_3) == interval_s(half, TERMS_3) == TERMS_3.revalidate_s
    assert interval_s(low, TERMS_3) == round(TERMS_3.revalidate_s * 0.28)
    assert interval_s(none, TERMS_3) == round(TERMS_3.revalidate_s * 0.1)
    assert [is_spent(one) for one in (full, half, low, none)] == [False, False, False, True]


def test_the_interval_is_over_when_it_is(fresh: Budget) -> None:
    over = NOW + TERMS_3.revalidate_s * 1_000
    assert not due(fresh, TERMS_3, over - 1)
    assert due(fresh, TERMS_3, over)


def test_an_access_that_is_not_covered_leaves_nothing_and_no_debt() -> None:
    budget, paid = spend(Budget(granted=10.0, left=0.5, renewed_at=NOW), step(), TAXONOMY, NOW)
    assert (budget.left, paid, is_spent(budget)) == (0.0, 1.0, True)


def test_a_person_renews_a_budget_wholly(fresh: Budget) -> None:
    tired = draw(renew(draw(fresh, 240.0), TERMS_3, NOW, by_person=False), 100.0)
    renewed = renew(tired, TERMS_3, NOW + 5, by_person=True)
    assert (renewed.left, renewed.granted, renewed.renewals) == (TERMS_3.budget, TERMS_3.budget, 0)
    assert renewed.renewed_at == renewed.whole_at == NOW + 5


def test_without_a_person_each_renewal_gives_half_as_much(fresh: Budget) -> None:
    given = []
    budget = fresh
    for _ in range(6):
        budget = renew(draw(budget, budget.left), TERMS_3, NOW, by_person=False)
        given.append(budget.left)
    assert given == pytest.approx([TERMS_3.budget / 2**n for n in range(1, 7)], abs=1e-4)
    assert sum(given) < TERMS_3.budget


def test_renewing_a_budget_that_is_hardly_used_costs_no_renewal(fresh: Budget) -> None:
    renewed = renew(draw(fresh, 10.0), TERMS_3, NOW + 9, by_person=False)
    assert (renewed.renewals, renewed.left, renewed.renewed_at) == (0, fresh.left - 10.0, NOW + 9)


def test_renewal_forgets_no_group(fresh: Budget) -> None:
    walked = after(fresh, "file", "order")
    assert renew(walked, TERMS_3, NOW, by_person=True).groups == walked.groups


@pytest.mark.parametrize("terms", TERMS, ids=lambda terms: f"autonomy {terms.autonomy}")
def test_every_level_gives_a_budget_and_an_interval_of_its_own(terms: Terms) -> None:
    budget = new_budget(terms, NOW)
    assert (budget.left, interval_s(budget, terms)) == (terms.budget, terms.revalidate_s)
    others = [other for other in TERMS if other is not terms]
    assert all(other.budget != terms.budget and other.revalidate_s != terms.revalidate_s for other in others)


def test_falling_trust_takes_what_was_left_beyond(fresh: Budget) -> None:
    low = terms_of(0.1)
    assert capped(fresh, low.budget).left == low.budget
    assert capped(draw(fresh, 245.0), low.budget).left == 5.0


def test_what_a_decision_says_of_the_budget(fresh: Budget) -> None:
    budget, paid = spend(fresh, step(), TAXONOMY, NOW)
    assert to_json(budget, paid, TERMS_3, NOW + 1_500) == {
        "granted": 250.0,
        "left": 249.0,
        "cost": 1.0,
        "groups": 1,
        "interval_s": 1_200,
        "revalidate_in_s": 1_199,
        "renewals": 0,
        "spent": False,
    }


def test_memories_of_several_budgets_are_one() -> None:
    assert merged((("a", 1), ("b", 5)), (("a", 3),), ()) == (("b", 5), ("a", 3))


def test_a_budget_is_the_same_after_the_store() -> None:
    budget = replace(after(new_budget(TERMS_3, NOW), "file", "order"), whole_at=0)
    assert Budget.remembered(budget.granted, budget.left, budget.memory()) == budget


STEPS = st.builds(
    Step,
    verb=st.sampled_from([*TAXONOMY.verbs, "frobnicate"]),
    resource=st.sampled_from([*TAXONOMY.resources, "nowhere"]),
    sensitivity=st.sampled_from([*TAXONOMY.sensitivities]),
    boundary=st.sampled_from([*TAXONOMY.boundaries]),
)


@given(st.lists(st.tuples(STEPS, st.integers(-HALF_LIFE_MS, HALF_LIFE_MS)), max_size=40))
def test_whatever_is_done_costs_something_and_leaves_no_debt(walk: list[tuple[Step, int]]) -> None:
    budget, now, total = new_budget(TERMS_3, NOW), NOW, 0.0
    for one, passed in walk:
        now += passed
        before = budget.left
        budget, paid = spend(budget, one, TAXONOMY, now)
        total += paid
        assert paid >= round(CHEAPEST_UNITS, 4) - 1e-4
        assert 0.0 <= budget.left <= before
        assert len(budget.groups) <= GROUPS
        assert 1 <= interval_s(budget, TERMS_3) <= TERMS_3.revalidate_s
    assert budget.left == pytest.approx(max(0.0, TERMS_3.budget - total))


@given(st.lists(st.floats(0.0, 500.0), max_size=60))
def test_by_itself_a_session_renews_at_most_what_it_was_first_given(draws: list[float]) -> None:
    budget, taken = new_budget(TERMS_3, NOW), 0.0
    for units in draws:
        before = budget.left
        budget = draw(budget, units)
        taken += before - budget.left
        budget = renew(budget, TERMS_3, NOW, by_person=False)
    assert taken <= 2 * TERMS_3.budget + 1e-3
