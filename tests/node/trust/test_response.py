from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.scoring.response import Case, at_least, choose_response
from ioint_node.scoring.values import Response, Verdict

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
    enforce=st.booleans(),
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
def test_out_of_scope_is_blocked_when_enforcing(case: Case) -> None:
    assert not choose_response(replace(case, verdict=Verdict.OUT_OF_SCOPE, enforce=True)).allowed


@given(cases)
def test_remote_evidence_alone_never_blocks(case: Case) -> None:
    warned = choose_response(case)
    alone = choose_response(replace(case, tier="none", effect=0.0))

    assert warned.allowed is alone.allowed


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


@pytest.mark.parametrize(
    ("lower", "response"), [(0.6, "none"), (0.4, "notify"), (0.25, "step_up"), (0.1, "approve")]
)
def test_less_trust_means_more_company_for_changes_and_none_for_reading(lower: float, response: str) -> None:
    assert choose_response(replace(CALM, lower=lower)).response == response
    assert choose_response(replace(CALM, lower=lower, effect_class="observe")).response is Response.NONE


def test_an_unknown_tool_that_may_change_something_is_never_silent() -> None:
    choice = choose_response(replace(CALM, uncertain=True))

    assert (choice.response, choice.allowed, choice.causes) == (Response.NOTIFY, True, ("uncertain",))


@given(cases, st.sampled_from(["departures", "lower", "wis"]))
def test_worse_is_never_answered_more_mildly(case: Case, worse: str) -> None:
    changed = {
        "departures": replace(case, departures=case.departures + 1),
        "lower": replace(case, lower=case.lower / 2),
        "wis": replace(case, wis=case.wis / 2),
    }[worse]

    assert at_least(choose_response(changed).response, choose_response(case).response)
