from __future__ import annotations

from collections import Counter
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ioint_node.scoring.evidence import (
    ALTERNATIVES_COUNTED,
    ANSWERS_COUNTED,
    BURST_FROM,
    BURST_FULL,
    DEPARTURES_COUNTED,
    FEEDBACK_WEIGHTS,
    SIGNS,
    SIGNS_COUNTED,
    SIGNS_FREE,
    ActionFacts,
    CredentialFacts,
    SessionFacts,
    of_action,
    of_alternative,
    of_close,
    of_credential,
    of_feedback,
    of_observation,
    of_widening,
    signs_of,
    text_of,
)
from ioint_node.scoring.held import COMPONENTS, LAYERS
from ioint_node.scoring.observations import DAY_MS, HOUR_MS, KINDS, Observation, check_observation
from ioint_node.scoring.trust import (
    NEGATIVE_CAPABLE,
    Evidence,
    Trust,
    after_all,
    lower_bound,
    new_trust,
    view,
)
from ioint_node.scoring.values import Surroundings, Verdict
from msgspec.structs import replace

calm = settings(deadline=None)
NOW = 1_000 * DAY_MS
unit = st.floats(0, 1)
around = st.builds(
    Surroundings,
    first_tool=unit,
    first_resource=unit,
    sequence=unit,
    pace=unit,
    hours=unit,
    tokens=unit,
    isolation=unit,
    expansion=unit,
    lineage=unit,
    delegator=unit,
    observed=unit,
)
actions = st.builds(
    ActionFacts,
    verdict=st.sampled_from(Verdict),
    departures=st.integers(0, 50),
    doubts=st.integers(0, 50),
    first_clear=st.booleans(),
    effect_class=st.sampled_from(["observe", "derive", "mutate", "run", "transfer", "authority", "value"]),
    burst=st.integers(0, 10_000),
    surroundings=around,
    injection=unit,
    over=st.integers(0, 3),
    seen=st.dictionaries(st.sampled_from(sorted(SIGNS)), st.integers(0, 20)),
)
sessions = st.builds(
    SessionFacts,
    verdict=st.sampled_from(Verdict),
    outcome=st.sampled_from(["done", "failed", "aborted"]),
    actions=st.integers(0, 2_000),
    composed=st.booleans(),
    depth=st.integers(0, 20),
    widenings=st.integers(0, 50),
    used_share=st.none() | unit,
    mutations=st.integers(0, 100),
    reverted=st.integers(0, 100),
    consistency=st.none() | unit,
)
days = st.none() | st.floats(-10, 10_000)
credentials = st.builds(
    CredentialFacts,
    age_days=days,
    rotated_days=days,
    expires_in_days=st.none() | st.floats(-1e9, 1e9),
    bound=st.none() | st.booleans(),
    mfa=st.none() | st.booleans(),
    depth=st.none() | st.integers(0, 50),
)
clean = SessionFacts(verdict=Verdict.IN_SCOPE, outcome="done", actions=3, composed=True)


def seen(kind: str, value: float | None, **more: object) -> Observation:
    fields = {"id": "o1", "source": "sensor", "kind": kind, "actor": "a1", "value": value, **more}
    return check_observation(fields, now=NOW)


@cache
def trusted() -> Trust:
    trust = new_trust("agent", "c", NOW - 60 * HOUR_MS)
    for number in range(60):
        trust = after_all(trust, of_close(clean), trust.last + HOUR_MS)
        trust = after_all(trust, of_feedback("satisfied", positive=True, source=str(number)), trust.last)
    return trust


def followed(facts: ActionFacts, actions: int) -> list[tuple[Evidence, ...]]:
    """The evidence of the same action again and again in one session."""
    counts: Counter[str] = Counter()
    found = []
    for _ in range(actions):
        found.append(of_action(replace(facts, seen=counts)))
        counts.update(signs_of(facts))
    return found


@calm
@given(actions)
def test_an_action_only_ever_speaks_against(facts: ActionFacts) -> None:
    for one in of_action(facts):
        assert not one.positive
        assert 0.0 <= one.weight <= 2.0
        assert text_of(one.kind)


@calm
@given(sessions | credentials)
def test_evidence_is_weighted_and_bounded(facts: SessionFacts | CredentialFacts) -> None:
    found = of_close(facts) if isinstance(facts, SessionFacts) else of_credential(facts)
    for one in found:
        assert 0.0 <= one.weight <= 1.0
        assert one.component in COMPONENTS
        assert text_of(one.kind)


@calm
@given(sessions)
def test_what_a_session_earns_is_never_more_than_a_clean_one_with_all_good_habits(
    facts: SessionFacts,
) -> None:
    best = replace(clean, used_share=1.0, mutations=1, reverted=1, consistency=1.0)
    start = new_trust("agent", "c", 0)
    earned, most = (view(after_all(start, of_close(one), 0), 0)["layers"] for one in (facts, best))

    assert all(earned[layer] <= most[layer] for layer in LAYERS)


def test_an_ordinary_action_says_nothing() -> None:
    assert of_action(ActionFacts(verdict=Verdict.IN_SCOPE, effect_class="mutate", burst=3)) == ()


def test_one_doubtful_action_of_a_session_costs_nothing() -> None:
    assert of_action(ActionFacts(verdict=Verdict.BORDERLINE, doubts=1)) == ()
    assert of_action(ActionFacts(verdict=Verdict.BORDERLINE, doubts=2)) != ()


@pytest.mark.parametrize(
    ("facts", "sign"),
    [
        (ActionFacts(verdict=Verdict.IN_SCOPE, effect_class="mutate", burst=BURST_FULL), "burst"),
        (ActionFacts(verdict=Verdict.IN_SCOPE, injection=0.9), "injection"),
        (ActionFacts(verdict=Verdict.IN_SCOPE, over=2), "sensitivity"),
        (ActionFacts(verdict=Verdict.IN_SCOPE, surroundings=Surroundings(first_tool=1.0)), "habit"),
        (ActionFacts(verdict=Verdict.IN_SCOPE, surroundings=Surroundings(isolation=1.0)), "habit"),
        (ActionFacts(verdict=Verdict.IN_SCOPE, surroundings=Surroundings(pace=0.8)), "pace"),
        (ActionFacts(verdict=Verdict.IN_SCOPE, surroundings=Surroundings(tokens=0.8)), "pace"),
        (ActionFacts(verdict=Verdict.IN_SCOPE, surroundings=Surroundings(hours=0.8)), "hours"),
        (ActionFacts(verdict=Verdict.IN_SCOPE, surroundings=Surroundings(lineage=0.8)), "lineage"),
        (ActionFacts(verdict=Verdict.IN_SCOPE, surroundings=Surroundings(delegator=0.8)), "delegator"),
    ],
)
def test_a_pattern_counts_one_anomaly_does_not_and_a_few_are_enough(facts: ActionFacts, sign: str) -> None:
    found = followed(facts, 20)

    assert found[:SIGNS_FREE] == [()] * SIGNS_FREE
    assert [one.kind for one in found[SIGNS_FREE]] == [sign]
    assert sum(map(len, found)) == SIGNS_COUNTED


def test_a_stronger_sign_weighs_more() -> None:
    weights = []
    for strength in (0.5, 0.75, 1.0):
        facts = ActionFacts(verdict=Verdict.IN_SCOPE, injection=strength)
        weights.append(followed(facts, 2)[1][0].weight)

    assert weights == pytest.approx([0.15, 0.225, 0.3])


@pytest.mark.parametrize(
    "facts",
    [
        ActionFacts(verdict=Verdict.IN_SCOPE, effect_class="observe", burst=10_000),
        ActionFacts(verdict=Verdict.IN_SCOPE, effect_class="mutate", burst=BURST_FROM),
        ActionFacts(verdict=Verdict.IN_SCOPE, injection=0.4),
        ActionFacts(verdict=Verdict.IN_SCOPE, surroundings=Surroundings(first_tool=0.4, hours=0.4)),
    ],
)
def test_reading_fast_and_weak_signs_are_none(facts: ActionFacts) -> None:
    assert signs_of(facts) == ()


def test_the_worst_session_is_one_bad_session() -> None:
    worst = ActionFacts(
        verdict=Verdict.OUT_OF_SCOPE,
        effect_class="value",
        burst=100,
        surroundings=Surroundings(first_tool=1, pace=1, hours=1, lineage=1, delegator=1),
        injection=1.0,
        over=3,
    )
    trust, counts = trusted(), Counter[str]()
    for number in range(500):
        facts = replace(worst, departures=number + 1, first_clear=number == 0, seen=counts)
        trust = after_all(trust, of_action(facts), NOW)
        counts.update(signs_of(facts))
    bad = {name: pair[1] for name, pair in trust.to_json()["held"].items() if pair[1]}
    by_layer = [
        sum(bad.get(name, 0.0) for name in COMPONENTS if COMPONENTS[name].layer == one) for one in LAYERS
    ]

    assert bad["conduct"] == pytest.approx(1.6 * (1.0 + 0.5 * (DEPARTURES_COUNTED - 1)))
    assert bad["attacks"] == pytest.approx(1.6 * 2.0)
    assert max(by_layer) < 14


def test_a_session_that_did_nothing_or_was_given_up_says_nothing() -> None:
    assert of_close(replace(clean, actions=0)) == ()
    assert of_close(replace(clean, outcome="aborted")) == ()


def test_what_is_not_known_says_nothing() -> None:
    assert {one.kind for one in of_close(clean)} == {"clean_session"}
    assert of_credential(CredentialFacts()) == ()


def test_good_habits_earn_in_their_components() -> None:
    found = of_close(replace(clean, used_share=1.0, mutations=4, reverted=2, consistency=0.75))
    weights = {one.component: one.weight for one in found if one.kind != "clean_session"}

    assert weights == {"minimality": 0.25, "reversibility": 0.125, "consistency": 0.125}


def test_asking_for_more_than_one_uses_earns_nothing() -> None:
    assert all(one.component != "minimality" for one in of_close(replace(clean, used_share=1.0, widenings=1)))


def test_a_session_unlike_the_others_costs_a_little() -> None:
    (found,) = (one for one in of_close(replace(clean, consistency=0.0)) if not one.positive)

    assert (found.component, found.weight) == ("consistency", 0.1)


@pytest.mark.parametrize(
    "spoilt", [{"verdict": Verdict.OUT_OF_SCOPE}, {"outcome": "aborted"}, {"actions": 0}]
)
def test_no_habit_is_praised_in_a_session_that_left_its_intent(spoilt: dict[str, object]) -> None:
    facts = replace(clean, used_share=1.0, mutations=1, reverted=1, consistency=1.0, **spoilt)

    assert of_close(facts) == ()


def test_the_deeper_the_delegation_the_less_identity_is_earned() -> None:
    earned = [of_close(replace(clean, depth=depth))[0].weight for depth in (0, 1, 2, 3)]

    assert earned == pytest.approx([1.0, 1.0, 0.8, 0.64])


def test_praise_of_one_session_stops_counting() -> None:
    assert of_alternative(accepted=True, nth=ALTERNATIVES_COUNTED) != ()
    assert of_alternative(accepted=True, nth=ALTERNATIVES_COUNTED + 1) == ()
    assert of_feedback("satisfied", positive=True, nth=ANSWERS_COUNTED) != ()
    assert of_feedback("satisfied", positive=True, nth=ANSWERS_COUNTED + 1) == ()


def test_praise_never_uses_up_the_room_for_blame() -> None:
    assert of_feedback("reject", positive=False, nth=200) == of_feedback("reject", positive=False)
    assert of_alternative(accepted=False, nth=200) == of_alternative(accepted=False)


def test_asking_for_more_scope_once_is_normal() -> None:
    assert [len(of_widening(count)) for count in range(8)] == [0, 0, 1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("kind", sorted(FEEDBACK_WEIGHTS))
def test_every_answer_could_have_been_negative(kind: str) -> None:
    (found,) = of_feedback(kind, positive=False, source="anna")

    assert found.kind in NEGATIVE_CAPABLE
    assert found.layer == "outcome"
    assert found.voice >= 0


def test_answers_without_a_name_are_one_voice() -> None:
    trust = new_trust("agent", "c", NOW - 60 * HOUR_MS)
    for _ in range(60):
        trust = after_all(trust, of_close(clean), trust.last + HOUR_MS)
        trust = after_all(trust, of_feedback("satisfied", positive=True), trust.last)

    assert view(trust, NOW)["friction"] == "standard"


@pytest.mark.parametrize(
    ("facts", "moves"),
    [
        (CredentialFacts(age_days=60, rotated_days=5, bound=True), 1),
        (CredentialFacts(age_days=0, bound=True), 0),
        (CredentialFacts(age_days=60, bound=None), 0),
        (CredentialFacts(age_days=60, bound=False), -1),
        (CredentialFacts(age_days=400, bound=True), -1),
        (CredentialFacts(age_days=400, rotated_days=380, bound=True), -1),
        (CredentialFacts(age_days=400, rotated_days=3, bound=True), 1),
        (CredentialFacts(expires_in_days=-1), -1),
        (CredentialFacts(expires_in_days=90), 1),
        (CredentialFacts(mfa=True), 1),
        (CredentialFacts(mfa=False), -1),
        (CredentialFacts(depth=1), 0),
        (CredentialFacts(depth=4), -1),
    ],
)
def test_a_credential_bears_on_identity_alone(facts: CredentialFacts, moves: int) -> None:
    start = new_trust("agent", "c", NOW)
    before, after = (view(one, NOW)["layers"] for one in (start, after_all(start, of_credential(facts), NOW)))
    changed = {name: after[name] - before[name] for name in LAYERS if after[name] != before[name]}

    assert set(changed) <= {"identity"}
    assert (changed.get("identity", 0) > 0) - (changed.get("identity", 0) < 0) == moves


WORST = {name: kind.low if kind.against[1] < kind.against[0] else kind.high for name, kind in KINDS.items()}
BEST = {name: kind.high if kind.against[1] < kind.against[0] else kind.low for name, kind in KINDS.items()}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_worst_that_can_be_observed_lowers_one_layer(kind: str) -> None:
    start = trusted()
    worse = after_all(start, of_observation(seen(kind, WORST[kind]), NOW, by="siem"), NOW)
    layer = COMPONENTS[KINDS[kind].component].layer

    assert view(worse, NOW)["layers"][layer] < view(start, NOW)["layers"][layer]
    assert lower_bound(worse, NOW) <= lower_bound(start, NOW)


@pytest.mark.parametrize("kind", sorted(KINDS))
@calm
@given(share=unit, known=st.booleans(), stated=unit)
def test_what_an_actor_reports_of_itself_never_raises_anything(
    kind: str, share: float, known: bool, stated: float
) -> None:
    spec = KINDS[kind]
    start = trusted()
    if known:
        start = after_all(
            start, of_observation(seen(kind, spec.low + stated * (spec.high - spec.low)), NOW, by="idp"), NOW
        )
    value = spec.low + share * (spec.high - spec.low)
    told = after_all(start, of_observation(seen(kind, value), NOW, by="self", by_actor=True), NOW)
    before, now = view(start, NOW), view(told, NOW)

    assert all(now["layers"][layer] <= before["layers"][layer] for layer in LAYERS)
    assert now["lower"] <= before["lower"]
    assert told.to_json()["checked"] <= start.to_json()["checked"]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_only_kinds_that_say_so_may_speak_for_an_actor(kind: str) -> None:
    start = new_trust("agent", "c", NOW)
    found = of_observation(seen(kind, BEST[kind]), NOW, by="idp")
    best = after_all(start, found, NOW)
    layer = COMPONENTS[KINDS[kind].component].layer
    rise = view(best, NOW)["layers"][layer] - view(start, NOW)["layers"][layer]

    assert (rise > 0) == (KINDS[kind].praise > 0)
    assert lower_bound(best, NOW) == lower_bound(start, NOW)


def test_the_same_alarm_again_and_again_counts_at_most_twice() -> None:
    weights = [of_observation(seen("edr", 1.0), NOW, nth=nth)[0].weight for nth in range(1, 200)]

    assert sum(weights) <= 2 * weights[0] == 2 * KINDS["edr"].weight


def test_a_statement_is_not_weaker_for_being_repeated() -> None:
    first, again = (of_observation(seen("credential_compromise", 1.0), NOW, nth=nth) for nth in (1, 9))

    assert first == again


def test_an_observation_that_has_expired_says_nothing() -> None:
    old = seen("edr", 1.0)

    assert of_observation(old, old.expires - 1) != ()
    assert of_observation(old, old.expires) == ()


def test_a_compromise_that_is_lifted_heals_at_once() -> None:
    start = trusted()
    taken = after_all(start, of_observation(seen("credential_compromise", 1.0), NOW), NOW)
    lifted = after_all(taken, of_observation(seen("credential_compromise", 0.0), NOW), NOW)

    assert lower_bound(taken, NOW) < lower_bound(start, NOW) - 0.05
    assert lower_bound(lifted, NOW) == lower_bound(start, NOW)


@pytest.mark.parametrize(
    "kind", ["mfa", "certificate", "validation", "satisfaction", "ticket", "attestation"]
)
def test_an_observation_without_a_value_never_praises(kind: str) -> None:
    assert of_observation(seen(kind, None), NOW) == ()


def test_an_alarm_without_a_value_counts_half() -> None:
    assert of_observation(seen("edr", None), NOW)[0].weight == pytest.approx(0.5 * KINDS["edr"].weight)


def test_every_kind_of_observation_has_words() -> None:
    for kind in KINDS:
        for one in of_observation(seen(kind, WORST[kind]), NOW):
            assert text_of(one.kind)
