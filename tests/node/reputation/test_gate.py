"""The local part: where acting is measurably cheap, and what fits the budget."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.reputation.gate import (
    EFFECT,
    PARAMS,
    Candidate,
    Grounds,
    Local,
    OwnRecord,
    allocate,
    cheap,
    judge,
    upper_bound,
    within_quota,
)
from ioint_node.reputation.rule import TIERS
from ioint_protocol.pattern import Rate

CHEAP = Rate(matches=0, sessions=3_000)
DEAR = Rate(matches=30, sessions=3_000)
CLEAN = OwnRecord(sessions=14, benign=14)


def grounds(tier: str = "advisory", **given: Any) -> Grounds:
    """A subject that other groups accuse, which nothing here speaks against."""
    usual: dict[str, Any] = {
        "calibrated": tier,
        "others": True,
        "first": True,
        "rate": CHEAP,
        "base": None,
        "own": OwnRecord(),
        "fits": True,
    }
    return Grounds(network=tier, **usual | given)


def decide(tier: str, **given: Any) -> Local:
    return judge(grounds(tier, **given))


def test_the_bound_without_a_match_is_the_closed_form() -> None:
    assert upper_bound(0, 3_000) == pytest.approx(1 - 0.05 ** (1 / 3_000))


def test_where_nothing_was_seen_the_bound_is_one() -> None:
    assert upper_bound(0, 0) == 1.0


def test_three_thousand_own_sessions_without_a_match_are_enough() -> None:
    gate = cheap(Rate(matches=0, sessions=3_000), None)
    assert (gate.open, gate.by, gate.estimate) == (True, "own", 0.0)


def test_two_thousand_are_not() -> None:
    assert not cheap(Rate(matches=0, sessions=2_000), None).open


def test_a_newcomer_leans_on_the_signed_base_rate() -> None:
    gate = cheap(Rate(matches=0, sessions=0), Rate(matches=0, sessions=20_000))
    assert (gate.open, gate.by) == (True, "pooled")


def test_a_base_rate_that_was_not_measured_opens_nothing() -> None:
    assert not cheap(Rate(matches=0, sessions=0), Rate(matches=0, sessions=0)).open


def test_a_pattern_in_daily_use_shuts_the_gate_whatever_the_base_rate_says() -> None:
    assert not cheap(Rate(matches=40, sessions=1_000), Rate(matches=0, sessions=20_000)).open


def test_own_history_opens_the_gate_of_a_pattern_that_is_common_elsewhere() -> None:
    gate = cheap(Rate(matches=0, sessions=5_000), Rate(matches=900, sessions=20_000))
    assert (gate.open, gate.by) == (True, "own")


@given(matches=st.integers(0, 50), sessions=st.integers(51, 10_000))
def test_the_bound_is_above_the_estimate(matches: int, sessions: int) -> None:
    assert matches / sessions < upper_bound(matches, sessions) <= 1


def test_a_first_report_is_a_precaution_where_it_is_cheap() -> None:
    assert decide("advisory") == Local(tier="precautionary", effect=0.05, reason="precautionary")


@pytest.mark.parametrize("tier", ["advisory", "disputed", "corroborated", "consensus"])
def test_nothing_acts_where_it_is_not_cheap(tier: str) -> None:
    assert decide(tier, rate=DEAR) == Local(tier="advisory", effect=0.0, reason="not_cheap_here")


def test_a_consensus_needs_no_budget() -> None:
    assert decide("consensus", fits=False).effect == 0.30


def test_a_consensus_against_the_own_clean_record_needs_the_budget_and_is_capped() -> None:
    assert decide("consensus", own=CLEAN).effect == 0.05
    assert decide("consensus", own=CLEAN, fits=False).effect == 0.0


def test_own_evidence_lifts_nothing_disputed_also_where_the_groups_weigh_less_here() -> None:
    own = OwnRecord(sessions=9, flagged=9)
    assert decide("disputed", calibrated="advisory", own=own, others_after_b=700_000).effect == 0.05
    assert decide("corroborated", calibrated="advisory", own=own, others_after_b=700_000).effect == 0.10


ONE_BAD = OwnRecord(sessions=1, flagged=1)  # a voice of 677,012


def test_own_flagged_sessions_corroborate_what_others_accuse() -> None:
    assert decide("advisory", own=ONE_BAD, others_after_b=72_987).reason == "precautionary"
    assert decide("advisory", own=ONE_BAD, others_after_b=72_988) == Local(
        tier="corroborated", effect=0.10, reason="own_evidence"
    )
    assert decide("advisory", own=OwnRecord(sessions=2, flagged=2), others_after_b=0).effect == 0.10


@pytest.mark.parametrize(
    "given",
    [
        {"others": False},
        {"rate": DEAR},
        {"fits": False},
        {"others_after_b": None},
        {"own": OwnRecord(sessions=2, flagged=2), "public_subject": True},
        {"own": OwnRecord(sessions=40, flagged=2)},
    ],
)
def test_own_evidence_alone_or_where_it_is_not_cheap_corroborates_nothing(given: dict[str, Any]) -> None:
    usual = {"own": OwnRecord(sessions=2, flagged=2), "others_after_b": 0}
    assert decide("advisory", **usual | given).effect < 0.10


@pytest.mark.parametrize("tier", ["none", "disputed", "corroborated", "consensus"])
def test_own_evidence_lifts_an_advisory_and_nothing_else(tier: str) -> None:
    usual = decide(tier)
    assert decide(tier, own=OwnRecord(sessions=9, flagged=9), others_after_b=700_000) == usual


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"others": False}, "only_our_own"),
        ({"first": False}, "over_quota"),
        ({"known": False}, "new_here"),
        ({"agreed": False}, "often_wrong_here"),
        ({"own": OwnRecord(ordinary_actors=6), "active": 100}, "quarantined"),
        ({"switched_off": True}, "switched_off"),
        ({"fits": False}, "over_budget"),
        ({"allowed": True}, "allowed_here"),
        ({"broad": "no step says"}, "too_broad"),
        ({"novel": True}, "no_place"),
    ],
)
def test_each_stop_leaves_an_advisory_and_names_itself(what: dict[str, Any], reason: str) -> None:
    assert decide("advisory", **what) == Local(tier="advisory", effect=0.0, reason=reason)


def test_fourteen_benign_sessions_and_no_bad_one_are_a_clean_record() -> None:
    assert grounds(own=OwnRecord(benign=14)).clean(PARAMS)
    assert not grounds(own=OwnRecord(benign=13)).clean(PARAMS)
    assert not grounds(own=OwnRecord(benign=400, flagged=1)).clean(PARAMS)


def asks(pattern: str, *accusers: str, estimate: float) -> Candidate:
    return Candidate(pattern=pattern, accusers=accusers, estimate=estimate)


def test_what_more_groups_report_comes_first_and_what_costs_nothing_always_fits() -> None:
    much = PARAMS.budget * 0.6
    asked = [
        asks("a", "g1", "g2", estimate=much),
        asks("b", "g1", "g2", "g3", estimate=much),
        asks("free", "g4", estimate=0.0),
    ]
    assert allocate(asked) == {"b", "free"}


def test_of_equally_many_groups_the_cheaper_comes_first() -> None:
    asked = [
        asks("a", "g1", "g2", estimate=PARAMS.budget * 0.7),
        asks("b", "g3", "g4", estimate=PARAMS.budget * 0.4),
    ]
    assert allocate(asked) == {"b"}


def test_one_group_alone_has_a_third_of_the_budget() -> None:
    each = PARAMS.budget / 10
    fits = allocate([asks(f"p{number}", "liar", estimate=each) for number in range(10)])
    assert fits == {"p0", "p1", "p2"}


candidates = st.lists(
    st.builds(
        Candidate,
        pattern=st.text("abc", min_size=1, max_size=3),
        accusers=st.sets(st.sampled_from("vwxyz"), min_size=1).map(lambda groups: tuple(sorted(groups))),
        estimate=st.floats(0, 0.02),
    ),
    unique_by=lambda candidate: candidate.pattern,
    max_size=20,
)


@given(candidates)
def test_what_fits_is_within_the_budget_and_costs_nothing_more_than_it(asked: list[Candidate]) -> None:
    fits = allocate(asked)
    assert sum(c.estimate for c in asked if c.pattern in fits) <= PARAMS.budget + 1e-12
    assert all(c.pattern in fits for c in asked if c.estimate == 0)


@given(
    lies=st.lists(st.floats(0, PARAMS.budget), max_size=30),
    honest=st.floats(0, PARAMS.sole_share * PARAMS.budget),
    agreed=st.lists(st.floats(0, PARAMS.budget), max_size=5),
)
def test_one_lying_group_keeps_no_first_report_out_unless_agreed_ones_leave_too_little_beside_its_share(
    lies: list[float], honest: float, agreed: list[float]
) -> None:
    shared = [asks(f"b{n:02d}", "g1", "g2", estimate=cost) for n, cost in enumerate(agreed)]
    asked = [
        *shared,
        *(asks(f"a{n:02d}", "liar", estimate=cost) for n, cost in enumerate(lies)),
        asks("z", "honest", estimate=honest),
    ]
    fits = allocate(asked)
    spent = sum(c.estimate for c in shared if c.pattern in fits)
    left = PARAMS.budget - spent - PARAMS.sole_share * PARAMS.budget
    assert "z" in fits or honest > left - 1e-12


@given(candidates)
def test_no_group_has_more_than_its_share_for_what_it_alone_reports(asked: list[Candidate]) -> None:
    fits = allocate(asked)
    for group in "vwxyz":
        spent = sum(c.estimate for c in asked if c.accusers == (group,) and c.pattern in fits)
        assert spent <= PARAMS.sole_share * PARAMS.budget + 1e-12


def test_a_group_has_five_first_reports_a_week() -> None:
    assert within_quota([10, 10, 11, 12], today=12)
    assert not within_quota([10, 10, 11, 12, 12], today=12)
    assert within_quota([5, 5, 5, 5, 5], today=12)


def test_grounds_are_json_that_judges_the_same_elsewhere() -> None:
    here = grounds("consensus", own=CLEAN, base=Rate(matches=1, sessions=20_000))
    there = msgspec.json.decode(msgspec.json.encode(here), type=Grounds)
    assert there == here
    assert judge(there) == judge(here)


def test_a_few_actors_are_never_too_many_and_a_person_may_release_many() -> None:
    assert decide("consensus", own=OwnRecord(ordinary_actors=4), active=4).effect == 0.30
    assert decide("consensus", own=OwnRecord(ordinary_actors=5), active=99).reason == "quarantined"
    assert decide("consensus", own=OwnRecord(ordinary_actors=5), active=100).effect == 0.30
    assert decide("consensus", own=OwnRecord(ordinary_actors=50), active=100, released=True).effect == 0.30


def test_an_outbreak_does_not_silence_its_own_warning() -> None:
    outbreak = OwnRecord(sessions=6, flagged=6, actors=6)
    assert decide("consensus", own=outbreak, active=20).effect == 0.30


@pytest.mark.parametrize(("hits", "effect"), [(0, 0.30), (1, 0.30), (2, 0.05), (47, 0.05), (48, 0.0)])
def test_unnoticed_hits_leave_a_consensus_the_effect_of_precaution(hits: int, effect: float) -> None:
    given: dict[str, Any] = {
        "rate": Rate(matches=hits, sessions=3_000),
        "base": Rate(matches=0, sessions=20_000),
        "fits": False,
    }
    assert decide("consensus", **given).effect == effect
    assert decide("corroborated", **given | {"fits": True}).effect == (0.10 if hits < 2 else 0.0)


def test_attention_is_no_more_than_precaution_and_ends_with_the_own_clean_record() -> None:
    twice = Rate(matches=2, sessions=3_000)
    assert decide("consensus", rate=twice) == Local(tier="precautionary", effect=0.05, reason="attention")
    assert decide("consensus", rate=twice, own=CLEAN).reason == "not_cheap_here"
    assert decide("consensus", rate=twice, switched_off=True).effect == 0.0
    assert not grounds("consensus", rate=twice).candidate(PARAMS)


@given(
    network=st.sampled_from(TIERS),
    calibrated=st.sampled_from(TIERS),
    own=st.builds(
        OwnRecord,
        sessions=st.integers(2, 22),
        benign=st.integers(0, 20),
        flagged=st.integers(0, 2),
        ordinary_actors=st.integers(0, 9),
    ),
    left=st.none() | st.integers(0, 749_999),
    flags=st.fixed_dictionaries(
        dict.fromkeys(
            ("others", "first", "known", "agreed", "allowed", "fits", "switched_off"), st.booleans()
        )
    ),
)
def test_only_precaution_and_own_evidence_raise_an_effect_above_that_of_the_network_part(
    network: str, calibrated: str, own: OwnRecord, left: int | None, flags: dict[str, bool]
) -> None:
    given = flags | {"calibrated": calibrated, "own": own, "others_after_b": left}
    local = decide(network, **given)
    most = EFFECT.get(network, 0.0)
    if network != "none":
        most = max(most, EFFECT["precautionary"])
    if grounds(network, **given).own_evidence:
        most = max(most, EFFECT["corroborated"])
    assert local.effect <= most
    if left is None:
        assert local.effect <= decide(network, own=own, **flags | {"switched_off": False}).effect
