from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.reputation.beliefs import Belief, Beliefs
from ioint_node.scoring.levels import CHANGES
from ioint_node.scoring.response import Case, at_least, choose_response
from ioint_node.scoring.values import Response, Verdict
from msgspec.structs import replace

CALM = Case(verdict=Verdict.IN_SCOPE, wis=0.9, lower=0.6, effect_class="mutate", enforce=True)
TIERS = ("none", "advisory", "precautionary", "disputed", "corroborated", "consensus")

cases = st.builds(
    Case,
    verdict=st.sampled_from(list(Verdict)),
    wis=st.floats(0, 1),
    lower=st.floats(0, 1),
    effect_class=st.sampled_from(["observe", "derive", "mutate", "run", "transfer", "authority", "value"]),
    departures=st.integers(0, 6),
    clear=st.booleans(),
    uncertain=st.booleans(),
    tier=st.sampled_from(TIERS),
    effect=st.sampled_from([0.0, 0.05, 0.1, 0.3]),
    spent=st.booleans(),
    due=st.booleans(),
    approved=st.booleans(),
    observed=st.floats(0, 1),
    enforce=st.booleans(),
)
CLASSES = ("observe", "derive", "mutate", "run", "transfer", "authority", "value")
# Per autonomy level: a lower bound of trust, what is asked of each class in scope, and at the edge of the declaration.
LEVELS = (
    (
        0.1,
        "none step_up approve approve approve approve approve",
        "step_up step_up approve approve approve approve approve",
    ),
    (
        0.4,
        "none none approve approve approve approve approve",
        "notify notify approve approve approve approve approve",
    ),
    (
        0.6,
        "none none none none step_up approve approve",
        "notify notify step_up step_up step_up approve approve",
    ),
    (0.8, "none none none none none none none", "notify notify step_up step_up step_up approve approve"),
    (0.95, "none none none none none none none", "notify notify step_up step_up step_up step_up step_up"),
)


def test_an_ordinary_action_asks_for_nothing() -> None:
    choice = choose_response(CALM)

    assert (choice.response, choice.allowed, choice.causes) == (Response.NONE, True, ())


@given(cases)
def test_observing_allows_everything(case: Case) -> None:
    assert choose_response(replace(case, enforce=False)).allowed


@given(cases)
def test_observing_says_what_enforcing_would_do(case: Case) -> None:
    seen, done = (choose_response(replace(case, enforce=enforce)) for enforce in (False, True))

    assert seen.response is done.response


@given(cases)
def test_out_of_scope_is_blocked_when_enforcing_unless_a_person_approved_it(case: Case) -> None:
    choice = choose_response(replace(case, verdict=Verdict.OUT_OF_SCOPE, enforce=True))

    assert choice.allowed is case.approved


@given(cases)
def test_remote_evidence_alone_never_blocks(case: Case) -> None:
    sure = replace(case, verdict=Verdict.IN_SCOPE) if case.verdict is Verdict.BORDERLINE else case
    warned = choose_response(sure)
    alone = choose_response(replace(sure, tier="none", effect=0.0))

    assert warned.allowed is alone.allowed


@given(cases)
def test_precaution_never_blocks_not_even_where_there_is_doubt(case: Case) -> None:
    warned = choose_response(replace(case, tier="precautionary", effect=0.05))
    alone = choose_response(replace(case, tier="none", effect=0.0))

    assert warned.allowed is alone.allowed


@given(cases)
def test_what_would_be_without_the_network_is_what_a_node_alone_says(case: Case) -> None:
    alone = choose_response(replace(case, tier="none", effect=0.0))

    assert choose_response(case).own is alone.response is alone.own


EDGE = replace(CALM, verdict=Verdict.BORDERLINE)


@pytest.mark.parametrize("tier", ["corroborated", "consensus"])
@pytest.mark.parametrize("effect_class", sorted(CHANGES))
def test_a_corroborated_warning_tips_a_change_at_the_edge_to_an_approval(
    tier: str, effect_class: str
) -> None:
    doubted = replace(EDGE, lower=0.95, effect_class=effect_class)
    warned = choose_response(replace(doubted, tier=tier, effect=0.1))

    assert choose_response(doubted).response is Response.STEP_UP
    assert (warned.response, warned.held, warned.ring) == (Response.APPROVE, True, True)
    assert (warned.causes, warned.own) == (("network",), Response.STEP_UP)
    assert choose_response(replace(doubted, tier=tier, effect=0.1, enforce=False)).allowed


@pytest.mark.parametrize(
    "changed",
    [
        {"verdict": Verdict.IN_SCOPE},
        {"effect_class": "observe"},
        {"effect_class": "derive"},
        {"tier": "precautionary"},
        {"tier": "disputed"},
        {"effect": 0.0999},
        {"effect": 0.05, "tier": "consensus"},
    ],
)
def test_nothing_less_tips_anything(changed: dict[str, Any]) -> None:
    choice = choose_response(replace(replace(EDGE, tier="corroborated", effect=0.1), **changed))

    assert choice.allowed


@pytest.mark.parametrize("tier", ["precautionary", "disputed", "corroborated"])
def test_below_consensus_the_network_asks_for_a_step_up_at_most(tier: str) -> None:
    choice = choose_response(replace(CALM, tier=tier, effect=0.1))

    assert (choice.response, choice.causes) == (Response.STEP_UP, ("network",))


def test_a_consensus_asks_for_an_approval() -> None:
    assert choose_response(replace(CALM, tier="consensus", effect=0.3)).response is Response.APPROVE


def test_a_consensus_that_the_own_clean_record_caps_asks_for_a_step_up() -> None:
    assert choose_response(replace(CALM, tier="consensus", effect=0.05)).response is Response.STEP_UP


@given(cases)
def test_advice_asks_for_nothing(case: Case) -> None:
    advised = replace(case, tier="advisory", effect=0.0)

    assert choose_response(advised) == choose_response(replace(case, tier="none", effect=0.0))


@given(cases)
def test_the_first_departure_of_a_session_halts_nothing(case: Case) -> None:
    choice = choose_response(replace(case, departures=1))

    assert not at_least(choice.response, Response.SUSPEND)


def test_repetition_is_answered_by_degrees() -> None:
    out = replace(CALM, verdict=Verdict.OUT_OF_SCOPE)
    plain = [choose_response(replace(out, departures=n)).response.value for n in range(1, 6)]
    clear = [choose_response(replace(out, departures=n, clear=True)).response.value for n in range(1, 6)]

    assert plain == ["approve", "approve", "suspend", "suspend", "suspend"]
    assert clear == ["approve", "suspend", "relaunch", "kill", "kill"]


def test_reading_at_the_edge_goes_on_and_is_told() -> None:
    choice = choose_response(replace(CALM, verdict=Verdict.BORDERLINE, effect_class="observe"))

    assert (choice.response, choice.allowed) == (Response.NOTIFY, True)


def test_changing_at_the_edge_is_checked_more_closely() -> None:
    choice = choose_response(replace(CALM, verdict=Verdict.BORDERLINE))

    assert (choice.response, choice.allowed) == (Response.STEP_UP, True)


def test_a_poor_score_at_the_edge_reduces_the_privilege_to_change() -> None:
    choice = choose_response(replace(CALM, verdict=Verdict.BORDERLINE, wis=0.1))

    assert (choice.response, choice.allowed) == (Response.REDUCE, False)


def test_an_expired_declaration_alone_blocks_nothing() -> None:
    choice = choose_response(replace(CALM, wis=0.0))

    assert (choice.response, choice.allowed) == (Response.STEP_UP, True)


@pytest.mark.parametrize(("lower", "inside", "edge"), LEVELS)
def test_each_level_of_autonomy_answers_in_its_own_way(lower: float, inside: str, edge: str) -> None:
    case = replace(CALM, lower=lower)
    at_edge = replace(case, verdict=Verdict.BORDERLINE)

    assert [choose_response(replace(case, effect_class=one)).response for one in CLASSES] == inside.split()
    assert [choose_response(replace(at_edge, effect_class=one)).response for one in CLASSES] == edge.split()


@pytest.mark.parametrize(("lower", "inside", "edge"), LEVELS)
def test_what_a_level_has_approved_waits_and_the_rest_goes_on(lower: float, inside: str, edge: str) -> None:
    for one, asked in zip(CLASSES, inside.split(), strict=True):
        choice = choose_response(replace(CALM, lower=lower, effect_class=one))
        assert (choice.allowed, choice.held) == (asked != "approve", asked == "approve")


@pytest.mark.parametrize("doubt", [{"uncertain": True}, {"observed": 0.6}, {"verdict": Verdict.BORDERLINE}])
def test_conditional_autonomy_ends_where_there_is_doubt(doubt: dict[str, Any]) -> None:
    case = replace(CALM, effect_class="value")

    assert choose_response(replace(case, lower=0.8)).response is Response.NONE
    assert choose_response(replace(case, lower=0.8, **doubt)).response is Response.APPROVE
    assert choose_response(replace(case, lower=0.95, **doubt)).response is not Response.APPROVE


@pytest.mark.parametrize("lower", [0.1, 0.4, 0.6])
def test_the_approvals_of_every_day_do_not_ring(lower: float) -> None:
    choice = choose_response(replace(CALM, lower=lower, effect_class="value"))

    assert (choice.causes, choice.ring) == (("level",), False)


@given(cases)
def test_what_rings_is_at_least_a_reduction_and_never_an_approved_action(case: Case) -> None:
    choice = choose_response(case)

    assert not choice.ring or (at_least(choice.response, Response.REDUCE) and not case.approved)


def test_a_departure_of_a_strict_actor_rings() -> None:
    assert choose_response(replace(CALM, lower=0.4, verdict=Verdict.OUT_OF_SCOPE)).ring


@pytest.mark.parametrize(
    ("state", "response"), [("suspended", "suspend"), ("relaunch", "relaunch"), ("killed", "kill")]
)
@pytest.mark.parametrize("approved", [False, True])
def test_a_halted_actor_may_do_nothing_more(state: str, response: str, *, approved: bool) -> None:
    case = replace(CALM, effect_class="observe", lower=0.95, state=state, approved=approved)
    done, seen = choose_response(case), choose_response(replace(case, enforce=False))

    assert (done.response, done.allowed, done.causes, done.ring) == (response, False, ("state",), False)
    assert (seen.response, seen.allowed) == (response, True)


def test_a_state_that_nobody_knows_is_a_bug() -> None:
    with pytest.raises(KeyError):
        choose_response(replace(CALM, state="asleep"))


@given(cases)
def test_what_a_person_approved_goes_on_and_is_told(case: Case) -> None:
    choice = choose_response(replace(case, approved=True))

    assert (choice.response, choice.allowed, choice.causes) == (Response.NOTIFY, True, ("approved",))


@pytest.mark.parametrize("effect_class", ["observe", "mutate"])
def test_a_spent_budget_stops_looking_too(effect_class: str) -> None:
    choice = choose_response(replace(CALM, lower=0.95, effect_class=effect_class, spent=True))

    assert (choice.response, choice.allowed, choice.causes) == (Response.APPROVE, False, ("budget",))


def test_who_is_due_to_be_looked_at_is_checked_more_closely_and_goes_on() -> None:
    due = replace(CALM, due=True)

    assert (choose_response(due).response, choose_response(due).allowed) == (Response.STEP_UP, True)
    assert choose_response(replace(due, effect_class="observe")).response is Response.NOTIFY


@pytest.mark.parametrize(
    ("observed", "looks", "changes"),
    [
        (0.0, "none", "none"),
        (0.5, "notify", "step_up"),
        (0.8, "step_up", "approve"),
        (1.0, "step_up", "approve"),
    ],
)
def test_detectors_outside_ask_for_a_person_at_most(observed: float, looks: str, changes: str) -> None:
    case = replace(CALM, observed=observed)

    assert choose_response(replace(case, effect_class="observe")).response == looks
    assert choose_response(case).response == changes


def test_an_unknown_tool_that_may_change_something_is_never_silent() -> None:
    choice = choose_response(replace(CALM, uncertain=True))

    assert (choice.response, choice.allowed, choice.causes) == (Response.NOTIFY, True, ("uncertain",))


@given(cases, st.sampled_from(["departures", "lower", "wis", "observed", "spent", "due"]))
def test_worse_is_never_answered_more_mildly(case: Case, worse: str) -> None:
    changed = {
        "departures": replace(case, departures=case.departures + 1),
        "lower": replace(case, lower=case.lower / 2),
        "wis": replace(case, wis=case.wis / 2),
        "observed": replace(case, observed=(1 + case.observed) / 2),
        "spent": replace(case, spent=True),
        "due": replace(case, due=True),
    }[worse]

    assert at_least(choose_response(changed).response, choose_response(case).response)


@pytest.mark.parametrize(("tier", "effect"), [("corroborated", 0.1), ("consensus", 0.3)])
def test_a_fading_warning_asks_for_the_same_until_nothing_is_left(tier: str, effect: float) -> None:
    beliefs = Beliefs()
    beliefs.apply([Belief(pattern="p", state="", tier=tier, effect=effect, score=1, confidence=1, groups=3)])
    beliefs.heard(0)

    def held(after_s: int) -> tuple[Response, bool]:
        network = beliefs.effect_of(("p",), after_s * 1_000)
        case = replace(CALM, verdict=Verdict.BORDERLINE, lower=0.9, effect_class="transfer")
        choice = choose_response(replace(case, tier=network.tier, effect=network.unfaded))
        return choice.response, choice.allowed

    week = 7 * 86_400
    assert {held(after_s) for after_s in (0, 3_600, 3_602, 86_400, week - 10)} == {(Response.APPROVE, False)}
    assert held(week) == (Response.STEP_UP, True)
