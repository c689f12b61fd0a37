from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.scoring.evidence import of_action, of_close, of_feedback
from ioint_node.scoring.trust import (
    ATTACK,
    DAY_MS,
    KINDS,
    LAYERS,
    UNCHECKED_CEILING,
    Evidence,
    Layer,
    Trust,
    after,
    lower_bound,
    new_trust,
    recently_changed,
    recomposed,
    view,
)
from ioint_node.scoring.values import Verdict

DOCUMENT = Path(__file__).parents[3] / "docs" / "trust.md"
layers = st.sampled_from(LAYERS)
kinds = st.sampled_from(sorted(KINDS))
units = st.floats(0, 200)


@st.composite
def trusts(draw: st.DrawFn) -> Trust:
    def layer() -> Layer:
        return Layer(draw(st.floats(0, 60)), draw(units), 0)

    return Trust(
        kind=draw(kinds),
        composition="",
        identity=layer(),
        behaviour=layer(),
        context=layer(),
        outcome=layer(),
        checked=layer(),
    )


def counted(trust: Trust, evidence: tuple[Evidence, ...], now: int = 0) -> Trust:
    for one in evidence:
        trust = after(trust, one, now)
    return trust


def clean(trust: Trust, sessions: int, now: int = 0) -> Trust:
    for _ in range(sessions):
        trust = counted(trust, of_close(Verdict.IN_SCOPE, "done", actions=3, composed=True), now)
    return trust


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_unknown_start_strict_but_usable(kind: str) -> None:
    seen = view(new_trust(kind, "", 0), 0)

    assert 0.3 <= seen["lower"] <= 0.45
    assert (seen["friction"], seen["autonomy"]) == ("strict", 2)


def test_clean_sessions_raise_trust_and_end_strictness() -> None:
    seen = [lower_bound(clean(new_trust("agent", "", 0), count), 0) for count in range(8)]

    assert seen == sorted(seen)
    assert seen[1] - seen[0] >= 0.03
    assert view(clean(new_trust("agent", "", 0), 4), 0)["friction"] == "standard"


def test_without_answers_that_could_be_negative_nobody_becomes_trusted() -> None:
    trust = clean(new_trust("agent", "", 0), 200)

    assert lower_bound(trust, 0) == UNCHECKED_CEILING
    assert view(trust, 0)["friction"] == "standard"


def test_feedback_opens_the_trusted_level() -> None:
    trust = clean(new_trust("agent", "", 0), 100)
    for _ in range(3):
        trust = counted(trust, of_feedback("satisfied", positive=True))

    assert view(trust, DAY_MS)["friction"] == "trusted"


def test_feedback_alone_raises_nothing() -> None:
    trust = new_trust("agent", "", 0)
    praised = trust
    for _ in range(50):
        praised = counted(praised, of_feedback("satisfied", positive=True))

    assert lower_bound(praised, 0) == lower_bound(trust, 0)


@given(trusts(), layers, st.floats(0.01, 3))
def test_a_rise_needs_every_layer(trust: Trust, left_out: str, weight: float) -> None:
    praised = trust
    for layer in set(LAYERS) - {left_out}:
        praised = after(praised, Evidence(kind="good", layer=layer, weight=weight, positive=True), 0)

    assert lower_bound(praised, 0) <= view(trust, 0)["layers"][left_out] + 1e-4


@given(trusts(), layers)
def test_a_fall_needs_one_layer(trust: Trust, layer: str) -> None:
    for _ in range(40):
        trust = after(trust, Evidence(kind="bad", layer=layer, weight=3, positive=False), 0)

    assert lower_bound(trust, 0) < 0.3


@given(trusts(), layers, st.floats(0.01, 3))
def test_good_never_lowers_and_bad_never_raises_the_mean(trust: Trust, layer: str, weight: float) -> None:
    good = after(trust, Evidence(kind="good", layer=layer, weight=weight, positive=True), 0)
    bad = after(trust, Evidence(kind="bad", layer=layer, weight=weight, positive=False), 0)

    assert view(bad, 0)["score"] <= view(trust, 0)["score"] <= view(good, 0)["score"]


@given(trusts(), layers, st.floats(0.1, 3), st.booleans())
def test_the_distrusted_do_not_rebound_on_equal_good_and_bad(
    trust: Trust, layer: str, weight: float, good_first: bool
) -> None:
    moved = trust
    for positive in (good_first, not good_first):
        moved = after(moved, Evidence(kind="one", layer=layer, weight=weight, positive=positive), 0)
    before, now = (view(one, 0)["score"] for one in (trust, moved))

    assert now <= before + 1e-9 or getattr(trust, layer).bad > 190


def test_a_clear_attack_drops_a_long_record_at_once_and_ambiguity_erodes_it_slowly() -> None:
    trust = clean(new_trust("agent", "", 0), 100)
    attacked = counted(trust, of_action(Verdict.OUT_OF_SCOPE, departures=1, doubts=0, first_clear=True))
    doubted = counted(trust, of_action(Verdict.BORDERLINE, departures=0, doubts=2, first_clear=False))

    assert view(attacked, 0)["layers"]["behaviour"] < view(trust, 0)["layers"]["behaviour"] - 0.2
    assert lower_bound(doubted, 0) == pytest.approx(lower_bound(trust, 0), abs=0.02)


def test_an_attack_weighs_more_than_the_same_weight_of_anything_else() -> None:
    trust = clean(new_trust("agent", "", 0), 30)
    attack = after(trust, Evidence(kind=ATTACK, layer="behaviour", weight=2, positive=False), 0)
    other = after(trust, Evidence(kind="out_of_scope", layer="behaviour", weight=2, positive=False), 0)

    assert lower_bound(attack, 0) < lower_bound(other, 0) - 0.1


def test_one_doubtful_action_of_a_session_costs_nothing() -> None:
    assert of_action(Verdict.BORDERLINE, departures=0, doubts=1, first_clear=False) == ()


def test_a_session_that_did_nothing_earns_nothing() -> None:
    assert of_close(Verdict.IN_SCOPE, "done", actions=0, composed=True) == ()
    assert of_close(Verdict.IN_SCOPE, "aborted", actions=9, composed=True) == ()


@given(trusts(), st.lists(st.integers(0, 400 * DAY_MS), max_size=6), st.integers(0, 400 * DAY_MS))
def test_forgetting_depends_on_the_last_event_and_now_alone(trust: Trust, looks: list[int], now: int) -> None:
    looked = trust.behaviour
    for moment in sorted(one for one in looks if one <= now):
        looked = looked.at(moment)
    direct = trust.behaviour.at(now)

    assert looked.at(now).good == pytest.approx(direct.good)
    assert looked.at(now).bad == pytest.approx(direct.bad)


def test_looking_never_changes_the_value() -> None:
    trust = clean(new_trust("agent", "", 0), 5)

    assert view(trust, 30 * DAY_MS) == view(trust, 30 * DAY_MS)


def test_good_is_forgotten_sooner_than_bad() -> None:
    good, bad = clean(new_trust("agent", "", 0), 5), new_trust("agent", "", 0)
    bad = counted(bad, of_action(Verdict.OUT_OF_SCOPE, departures=1, doubts=0, first_clear=False))

    assert lower_bound(good, 365 * DAY_MS) == pytest.approx(
        lower_bound(new_trust("agent", "", 0), 0), abs=0.02
    )
    assert lower_bound(bad, 45 * DAY_MS) < 0.33


def test_a_clock_that_runs_back_forgets_nothing() -> None:
    trust = clean(new_trust("agent", "", DAY_MS), 5, DAY_MS)

    assert view(trust, 0) == view(trust, DAY_MS)


def test_a_changed_composition_inherits_little_good_and_all_bad() -> None:
    trust = counted(
        clean(new_trust("agent", "one", 0), 10),
        of_action(Verdict.OUT_OF_SCOPE, departures=1, doubts=0, first_clear=False),
    )
    changed = recomposed(trust, "two", DAY_MS)

    assert changed.behaviour.good == pytest.approx(trust.behaviour.at(DAY_MS).good * 0.2)
    assert changed.behaviour.bad == pytest.approx(trust.behaviour.at(DAY_MS).bad)
    assert lower_bound(changed, DAY_MS) < lower_bound(trust, DAY_MS)
    assert recently_changed(changed, 2 * DAY_MS)
    assert not recently_changed(changed, 30 * DAY_MS)


@pytest.mark.parametrize("given_now", ["one", ""])
def test_the_same_or_no_composition_changes_nothing(given_now: str) -> None:
    trust = clean(new_trust("agent", "one", 0), 3)

    assert recomposed(trust, given_now, DAY_MS) is trust


def test_the_first_composition_that_is_named_costs_nothing() -> None:
    trust = clean(new_trust("agent", "", 0), 3)

    assert recomposed(trust, "one", DAY_MS) == replace(trust, composition="one")


@given(trusts(), st.floats(0, 0.3))
def test_the_network_takes_its_effect_off_what_is_used_and_nothing_else(trust: Trust, effect: float) -> None:
    alone, warned = view(trust, 0), view(trust, 0, effect)

    assert {**alone, "used": None} == {**warned, "used": None}
    assert warned["used"] == pytest.approx(max(0.0, alone["lower"] - effect), abs=1e-4)
    assert alone["used"] == alone["lower"]


@given(trusts())
def test_trust_survives_the_store(trust: Trust) -> None:
    assert Trust.from_json(json.loads(json.dumps(trust.to_json()))) == trust


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(KeyError):
        new_trust("ghost", "", 0)


def worked_example() -> list[list[str]]:
    rows = re.findall(r"^\| *(\d+) *\|(.*)\|$", DOCUMENT.read_text(), re.MULTILINE)
    return [[day, *(cell.strip() for cell in rest.split("|"))] for day, rest in rows]


STORY = {
    "first seen": (),
    "clean session": of_close(Verdict.IN_SCOPE, "done", actions=3, composed=True),
    "out of scope": of_action(Verdict.OUT_OF_SCOPE, departures=1, doubts=0, first_clear=False),
    "clear attack": of_action(Verdict.OUT_OF_SCOPE, departures=2, doubts=0, first_clear=True),
    "nothing": (),
}


def test_the_worked_example_of_the_document_is_what_the_code_computes() -> None:
    rows, trust = worked_example(), new_trust("agent", "", 0)

    assert len(rows) >= 8
    for day, event, *told in rows:
        now = int(day) * DAY_MS
        trust = counted(trust, STORY[event], now)
        seen = view(trust, now)
        expected = [*seen["layers"].values(), seen["lower"]]
        assert told == [*(f"{value:.3f}" for value in expected), seen["friction"], str(seen["autonomy"])], (
            day,
            event,
        )
