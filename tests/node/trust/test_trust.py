from __future__ import annotations

import itertools
import json
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ioint_node.errors import RequestError
from ioint_node.scoring.composition import TOOLS_KEPT, parts_of
from ioint_node.scoring.evidence import (
    ActionFacts,
    CredentialFacts,
    SessionFacts,
    of_action,
    of_close,
    of_credential,
    of_feedback,
)
from ioint_node.scoring.held import (
    ANSWERS_MOST,
    BAD_MOST,
    CLEAN_AT_ONCE,
    CLEAN_PER_DAY,
    COMPONENTS,
    DAY_MS,
    IMPORT_MOST,
    LAYERS,
    VOICES,
)
from ioint_node.scoring.levels import TRUSTED_FROM
from ioint_node.scoring.trust import (
    ATTACK,
    ATTESTATIONS,
    CLEAN,
    KINDS,
    ROLES,
    UNCHECKED_CEILING,
    Evidence,
    Trust,
    after_all,
    imported,
    lower_bound,
    new_trust,
    view,
)
from ioint_node.scoring.values import Verdict

calm = settings(deadline=None)
DOCUMENT = Path(__file__).parents[3] / "docs" / "trust.md"
MEMORY_BYTES = 1_200
HOUR_MS = DAY_MS // 24
DONE = SessionFacts(verdict=Verdict.IN_SCOPE, outcome="done", actions=3, composed=True)
layers = st.sampled_from(LAYERS)
kinds = st.sampled_from(sorted(KINDS))
counted_components = st.sampled_from([name for name, one in COMPONENTS.items() if not one.stated])
MAIN = dict(zip(LAYERS, ("history", "conduct", "completion", "success"), strict=True))


@st.composite
def trusts(draw: st.DrawFn) -> Trust:
    pairs = st.tuples(st.floats(0, 40), st.floats(0, BAD_MOST)).map(list)
    return Trust.from_json(
        {
            **new_trust(draw(kinds), "", 0).to_json(),
            "held": draw(st.dictionaries(st.sampled_from(sorted(COMPONENTS)), pairs, max_size=8)),
            "checked": draw(st.floats(0, ANSWERS_MOST)),
        }
    )


@st.composite
def pieces(draw: st.DrawFn) -> Evidence:
    return Evidence(
        kind=draw(st.sampled_from([CLEAN, "feedback", "validation", ATTACK, "borderline"])),
        component=draw(st.sampled_from(sorted(COMPONENTS))),
        weight=draw(st.floats(0, 3)),
        positive=draw(st.booleans()),
        voice=draw(st.integers(-1, VOICES - 1)),
        worsens=draw(st.booleans()),
    )


def after(trust: Trust, one: Evidence, now: int) -> Trust:
    return after_all(trust, (one,), now)


def good(component: str, weight: float = 1.0) -> Evidence:
    return Evidence(kind="good", component=component, weight=weight, positive=True)


def bad(component: str, weight: float = 1.0) -> Evidence:
    return Evidence(kind="bad", component=component, weight=weight, positive=False)


def clean(trust: Trust, sessions: int, *, apart_ms: int = HOUR_MS) -> Trust:
    """Clean sessions, one an hour from the last event on."""
    for _ in range(sessions):
        trust = after_all(trust, of_close(DONE), trust.last + apart_ms)
    return trust


def departed(*, clear: bool = False) -> tuple[Evidence, ...]:
    return of_action(ActionFacts(verdict=Verdict.OUT_OF_SCOPE, departures=1, first_clear=clear))


def answered(trust: Trust, answers: int, *, sources: Sequence[str], now: int = 0) -> Trust:
    for number in range(answers):
        source = sources[number % len(sources)]
        trust = after_all(trust, of_feedback("satisfied", positive=True, source=source), now)
    return trust


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_unknown_start_strict_but_usable(kind: str) -> None:
    seen = view(new_trust(kind, "", 0), 0)

    assert 0.3 <= seen["lower"] <= 0.45
    assert (seen["friction"], seen["autonomy"], seen["components"]) == ("strict", 2, {})


def test_clean_sessions_raise_trust_and_end_strictness() -> None:
    seen = [lower_bound(clean(new_trust("agent", "", 0), count), 0) for count in range(8)]

    assert seen == sorted(seen)
    assert seen[1] - seen[0] >= 0.03
    assert view(clean(new_trust("agent", "", 0), 4), 0)["friction"] == "standard"


def test_without_answers_that_could_be_negative_nobody_becomes_trusted() -> None:
    trust = clean(new_trust("agent", "c", 0), 200)

    assert lower_bound(trust, 0) == UNCHECKED_CEILING
    assert view(trust, 0)["friction"] == "standard"


def test_answers_of_two_people_open_the_trusted_level() -> None:
    trust = answered(clean(new_trust("agent", "c", 0), 100), 4, sources=("anna", "bert"))

    assert view(trust, DAY_MS)["friction"] == "trusted"
    assert view(trust, DAY_MS)["autonomy"] >= 4


def test_one_who_only_ever_says_yes_does_not_open_it_however_often() -> None:
    trust = answered(clean(new_trust("agent", "c", 0), 100), 500, sources=("anna",))

    assert lower_bound(trust, 0) == UNCHECKED_CEILING


def test_who_has_also_said_no_is_heard_in_full_again() -> None:
    trust = answered(clean(new_trust("agent", "c", 0), 100), 3, sources=("anna",))
    trust = after_all(trust, of_feedback("correct", positive=False, source="anna"), 0)

    assert view(answered(trust, 2, sources=("anna",)), 0)["friction"] == "trusted"


@pytest.mark.parametrize(
    ("kind", "friction"), [("agent", "standard"), ("workload", "standard"), ("user", "trusted")]
)
def test_a_program_that_never_says_what_it_is_made_of_is_not_trusted(kind: str, friction: str) -> None:
    trust = answered(clean(new_trust(kind, "", 0), 100), 4, sources=("anna", "bert"))

    assert view(trust, 0)["friction"] == friction


def test_feedback_alone_raises_nothing() -> None:
    trust = new_trust("agent", "", 0)

    assert lower_bound(answered(trust, 50, sources=("anna", "bert", "cleo")), 0) == lower_bound(trust, 0)


def test_a_flood_of_clean_sessions_counts_no_more_than_a_few() -> None:
    flooded = clean(new_trust("agent", "c", 0), 5_000, apart_ms=0)

    assert flooded == clean(new_trust("agent", "c", 0), int(CLEAN_AT_ONCE), apart_ms=0)
    assert lower_bound(flooded, 0) < 0.65


def test_the_room_for_clean_sessions_grows_again_with_time() -> None:
    flooded = clean(new_trust("agent", "c", 0), 20, apart_ms=0)
    later = int(DAY_MS / CLEAN_PER_DAY)
    once = after_all(flooded, of_close(DONE), later)

    assert lower_bound(once, later) > lower_bound(flooded, later)
    assert after_all(once, of_close(DONE), later) == once


def test_a_clear_attack_is_not_washed_off_by_volume() -> None:
    attacked = after_all(clean(new_trust("agent", "c", 0), 200), departed(clear=True), 0)
    hour = clean(attacked, 5_000, apart_ms=HOUR_MS // 5_000)
    week = clean(attacked, 7 * 24)

    assert view(attacked, 0)["friction"] == view(hour, 0)["friction"] == "strict"
    assert view(week, 0)["friction"] == "standard"
    assert week.to_json()["held"]["attacks"][1] == pytest.approx(3.2 * 0.5 ** (7 / 90))


@pytest.mark.parametrize("per_day", [1, 5, 50, 200])
def test_a_busy_actor_is_judged_by_how_often_it_does_harm(per_day: int) -> None:
    """One session in a hundred is falsely found out of scope, one in ten shows signs of something unusual."""
    trust = answered(new_trust("agent", "c", 0), 8, sources=("anna", "bert"))
    odd = (bad("baseline", 0.1), bad("circumstances", 0.1))
    for number in range(1_600):
        now = trust.last + DAY_MS // per_day
        happened = departed() if number % 100 == 50 else of_close(DONE)
        trust = after_all(trust, (*happened, *odd) if number % 10 == 0 else happened, now)

    assert view(trust, trust.last)["layers"]["behaviour"] > 0.75
    assert view(trust, trust.last)["layers"]["context"] > 0.75


def test_harm_is_not_diluted_by_a_flood_of_clean_sessions() -> None:
    trust = clean(new_trust("agent", "c", 0), 200)
    for _ in range(144):
        trust = after_all(trust, departed(), trust.last + HOUR_MS // 12)
        trust = clean(trust, 100, apart_ms=HOUR_MS // 1_200)

    assert lower_bound(trust, trust.last) < 0.3


def test_an_actor_that_often_does_harm_is_not_saved_by_the_rest() -> None:
    trust = new_trust("agent", "c", 0)
    for number in range(1_000):
        trust = after_all(trust, departed() if number % 5 == 0 else of_close(DONE), trust.last + HOUR_MS)

    assert lower_bound(trust, trust.last) < 0.5


@pytest.mark.parametrize("component", sorted(COMPONENTS))
def test_no_single_source_of_praise_fills_its_layer(component: str) -> None:
    trust = new_trust("agent", "", 0)
    for _ in range(500):
        trust = after(trust, good(component, 3), 0)
    held = trust.to_json()["held"]

    assert held[component][0] <= COMPONENTS[component].most <= 40
    assert lower_bound(trust, 0) == lower_bound(new_trust("agent", "", 0), 0)


@calm
@given(trusts(), layers, st.floats(0.01, 3))
def test_a_rise_needs_every_layer(trust: Trust, left_out: str, weight: float) -> None:
    praised = after_all(trust, [good(MAIN[name], weight) for name in set(LAYERS) - {left_out}], 0)

    assert lower_bound(praised, 0) <= view(trust, 0)["layers"][left_out] + 1e-4


@calm
@given(trusts(), counted_components)
def test_a_fall_needs_one_component(trust: Trust, component: str) -> None:
    for _ in range(40):
        trust = after(trust, bad(component, 3), 0)

    assert lower_bound(trust, 0) < 0.35


@calm
@given(trusts(), counted_components, st.floats(0.01, 3))
def test_good_never_lowers_and_bad_never_raises_the_mean(trust: Trust, component: str, weight: float) -> None:
    more, less = after(trust, good(component, weight), 0), after(trust, bad(component, weight), 0)

    assert view(less, 0)["score"] <= view(trust, 0)["score"] <= view(more, 0)["score"]


@calm
@given(trusts(), counted_components, st.floats(0.1, 3), st.booleans())
def test_the_distrusted_do_not_rebound_on_equal_good_and_bad(
    trust: Trust, component: str, weight: float, good_first: bool
) -> None:
    moved, pair = trust, [good(component, weight), bad(component, weight)]
    for one in pair if good_first else reversed(pair):
        moved = after(moved, one, 0)
    before, now = (view(one, 0)["score"] for one in (trust, moved))

    assert now <= before + 1e-9 or trust.to_json()["held"].get(component, [0, 0])[1] > 90


@calm
@given(
    trusts(),
    st.lists(pieces(), max_size=6).flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))),
)
def test_the_order_of_what_one_moment_brings_does_not_matter(
    trust: Trust, orders: tuple[list[Evidence], list[Evidence]]
) -> None:
    some, others = orders

    assert after_all(trust, some, 5) == after_all(trust, others, 5)


@calm
@given(trusts(), st.lists(pieces(), max_size=12), st.integers(-DAY_MS, 4_000 * DAY_MS), st.floats(0, 1))
def test_every_number_stays_between_nought_and_one(
    trust: Trust, some: list[Evidence], now: int, effect: float
) -> None:
    for one in some:
        trust = after(trust, one, now)
    seen = view(trust, now, effect)
    numbers = [
        seen["score"],
        seen["lower"],
        seen["used"],
        *seen["layers"].values(),
        *seen["components"].values(),
    ]

    assert all(0.0 <= number <= 1.0 for number in numbers)
    assert seen["lower"] == round(lower_bound(trust, now), 4)


def test_a_clear_attack_drops_a_long_record_at_once_and_ambiguity_erodes_it_slowly() -> None:
    trust = clean(new_trust("agent", "", 0), 100)
    attacked = after_all(trust, departed(clear=True), 0)
    doubted = after_all(trust, of_action(ActionFacts(verdict=Verdict.BORDERLINE, doubts=2)), 0)

    assert view(attacked, 0)["layers"]["behaviour"] < view(trust, 0)["layers"]["behaviour"] - 0.2
    assert lower_bound(doubted, 0) == pytest.approx(lower_bound(trust, 0), abs=0.02)


def test_an_attack_weighs_more_than_the_same_weight_of_anything_else() -> None:
    trust = clean(new_trust("agent", "", 0), 30)
    attack = after(trust, Evidence(kind=ATTACK, component="conduct", weight=2, positive=False), 0)

    assert lower_bound(attack, 0) < lower_bound(after(trust, bad("conduct", 2), 0), 0) - 0.1


def test_the_newest_statement_holds_and_heals() -> None:
    fresh = new_trust("agent", "", 0)
    stale = after_all(fresh, of_credential(CredentialFacts(age_days=900, bound=True)), 0)
    again = after_all(stale, of_credential(CredentialFacts(age_days=900, bound=True)), 0)
    rotated = after_all(again, of_credential(CredentialFacts(age_days=900, rotated_days=1, bound=True)), 0)

    assert stale == again
    assert lower_bound(stale, 0) < lower_bound(fresh, 0)
    assert view(rotated, 0)["layers"]["identity"] > view(fresh, 0)["layers"]["identity"]


def test_a_statement_that_nobody_makes_again_is_soon_forgotten() -> None:
    fresh = new_trust("agent", "", 0)
    risky = after(fresh, bad("session_risk", 1.0), 0)

    assert lower_bound(risky, 0) < lower_bound(fresh, 0) - 0.05
    assert lower_bound(risky, 60 * DAY_MS) > lower_bound(fresh, 0) - 0.01


@pytest.mark.parametrize("layer", LAYERS)
def test_the_statements_of_a_layer_come_last(layer: str) -> None:
    stated = [one.stated for one in COMPONENTS.values() if one.layer == layer]

    assert stated == sorted(stated)


def test_a_statement_that_may_only_worsen_never_betters() -> None:
    refuted = after(new_trust("agent", "", 0), bad("authentication", 0.6), 0)
    told = Evidence(kind="told", component="authentication", weight=0.1, positive=False, worsens=True)

    assert lower_bound(after(refuted, told, 0), 0) == lower_bound(refuted, 0)


def test_looking_never_changes_the_value() -> None:
    trust = clean(new_trust("agent", "", 0), 5)

    assert view(trust, 30 * DAY_MS) == view(trust, 30 * DAY_MS)


def test_nothing_that_happened_changes_nothing() -> None:
    trust = clean(new_trust("agent", "", 0), 5)

    assert after_all(trust, (), 30 * DAY_MS) is trust


@calm
@given(trusts(), st.lists(st.integers(0, 400 * DAY_MS), max_size=6), st.integers(0, 400 * DAY_MS))
def test_forgetting_depends_on_the_last_event_and_now_alone(trust: Trust, times: list[int], now: int) -> None:
    touched = trust
    for moment in sorted(one for one in times if one <= now):
        touched = after(touched, good("history", 0.0), moment)
    seen, direct = view(touched, now), view(trust, now)

    assert seen["score"] == pytest.approx(direct["score"], abs=2e-4)
    assert seen["lower"] == pytest.approx(direct["lower"], abs=2e-4)


@calm
@given(st.booleans(), st.floats(0.1, 40), st.lists(st.integers(0, 2_000 * DAY_MS), min_size=2, max_size=6))
def test_forgetting_goes_straight_toward_the_unknown(positive: bool, weight: float, times: list[int]) -> None:
    trust = new_trust("agent", "", 0)
    for name in MAIN.values():
        trust = after(trust, good(name, weight) if positive else bad(name, weight), 0)
    unknown = lower_bound(new_trust("agent", "", 0), 0)
    away = [abs(lower_bound(trust, moment) - unknown) for moment in sorted(times)]

    assert all(later <= earlier + 1e-9 for earlier, later in itertools.pairwise(away))
    assert lower_bound(trust, 20_000 * DAY_MS) == pytest.approx(unknown, abs=1e-6)


def test_good_is_forgotten_sooner_than_bad() -> None:
    record, harmed = clean(new_trust("agent", "", 0), 5), after_all(new_trust("agent", "", 0), departed(), 0)

    assert lower_bound(record, 365 * DAY_MS) == pytest.approx(
        lower_bound(new_trust("agent", "", 0), 0), abs=0.02
    )
    assert lower_bound(harmed, 45 * DAY_MS) < 0.33


def test_a_clock_that_runs_back_forgets_nothing() -> None:
    trust = clean(new_trust("agent", "", DAY_MS), 5)

    assert view(trust, 0) == view(trust, trust.last)


@calm
@given(trusts(), st.floats(0, 0.3))
def test_the_network_takes_its_effect_off_what_is_used_and_nothing_else(trust: Trust, effect: float) -> None:
    alone, warned = view(trust, 0), view(trust, 0, effect)

    assert {**alone, "used": None} == {**warned, "used": None}
    assert warned["used"] == pytest.approx(max(0.0, alone["lower"] - effect), abs=1e-4)
    assert alone["used"] == alone["lower"]


def test_an_import_helps_on_day_one_is_marked_and_fades() -> None:
    start = new_trust("user", "", 0)
    brought = imported(start, role="employee", tenure_days=900, attestation="verified", now=0)
    seen = [view(brought, day * DAY_MS) for day in (0, 14, 140)]

    assert [one["friction"] for one in seen] == ["standard", "standard", "strict"]
    assert [one.get("imported") for one in seen] == [4.0, 2.0, None]
    assert lower_bound(brought, 1_000 * DAY_MS) == pytest.approx(lower_bound(start, 0))


@calm
@given(trusts(), st.sampled_from(sorted(ROLES)), st.sampled_from(sorted(ATTESTATIONS)), st.floats(0, 1e9))
def test_an_import_never_reaches_trusted(trust: Trust, role: str, attestation: str, tenure: float) -> None:
    brought = imported(trust, role=role, tenure_days=tenure, attestation=attestation, now=0)

    assert lower_bound(brought, 0) <= max(UNCHECKED_CEILING, lower_bound(trust, 0))
    assert view(brought, 0).get("imported", 0.0) <= IMPORT_MOST


def test_what_was_earned_counts_in_full_beside_an_import() -> None:
    earned = answered(clean(new_trust("agent", "c", 0), 100), 4, sources=("anna", "bert"))
    brought = imported(earned, role="employee", tenure_days=900, attestation="verified", now=0)

    assert lower_bound(brought, 0) == lower_bound(earned, 0) > UNCHECKED_CEILING


def test_an_attack_ends_an_import_and_it_does_not_come_back() -> None:
    def bring(trust: Trust) -> Trust:
        return imported(trust, role="employee", tenure_days=900, attestation="verified", now=0)

    attacked = after_all(bring(new_trust("user", "", 0)), departed(clear=True), 0)

    assert bring(attacked) == attacked
    assert lower_bound(attacked, 0) == lower_bound(
        after_all(new_trust("user", "", 0), departed(clear=True), 0), 0
    )


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"role": "king"}, "role"),
        ({"attestation": "trust me"}, "attestation"),
        ({"tenure_days": -1.0}, "tenure_days"),
        ({"tenure_days": math.nan}, "tenure_days"),
        ({"tenure_days": math.inf}, "tenure_days"),
    ],
)
def test_an_import_that_makes_no_sense_is_refused_by_its_field(change: Mapping[str, Any], name: str) -> None:
    said: dict[str, Any] = {"role": "employee", "tenure_days": 10.0, "attestation": "none", **change}
    with pytest.raises(RequestError, match=f"^{name}:"):
        imported(new_trust("user", "", 0), now=0, **said)


@calm
@given(trusts(), st.lists(pieces(), max_size=6))
def test_trust_survives_the_store(trust: Trust, some: list[Evidence]) -> None:
    trust = after_all(trust, some, 7)

    assert Trust.from_json(json.loads(json.dumps(trust.to_json()))) == trust


def version_1(**changes: Any) -> dict[str, Any]:
    empty = [0.0, 0.0, 0]
    return {
        "v": 1,
        "kind": "agent",
        "composition": "c",
        "changed": 0,
        **{name: [10.0, 1.0, 90 * DAY_MS] for name in LAYERS},
        "checked": empty,
        **changes,
    }


def test_a_trust_of_version_1_is_worth_the_same() -> None:
    trust = Trust.from_json(version_1(identity=[20.0, 4.0, 0]))
    mean = (3 + 20 / 4) / (4.5 + 20 / 4 + 4 / 2)

    assert view(trust, 90 * DAY_MS)["score"] == pytest.approx(min(mean, 13 / 15.5), abs=1e-4)
    assert (trust.composition, trust.last) == ("c", 90 * DAY_MS)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: {**value, "v": 3},
        lambda value: {**value, "kind": "ghost"},
        lambda value: {**value, "held": {"charm": [1.0, 0.0]}},
        lambda value: {**value, "held": {"history": [math.inf, 0.0]}},
        lambda value: {**value, "held": {"history": [math.nan, 0.0]}},
        lambda value: {**value, "held": {"history": [-1.0, 0.0]}},
        lambda value: {**value, "held": {"history": [True, 0.0]}},
        lambda value: {**value, "held": {"history": [1.0]}},
        lambda value: {**value, "checked": "many"},
        lambda value: {**value, "imported": -1},
        lambda value: {**value, "voices": [0.0]},
        lambda value: {**value, "last": 1.5},
        lambda value: {**value, "last": -1},
        lambda value: {**value, "composition": 7},
        lambda value: {**value, "parts": "zz"},
        lambda value: {**value, "parts": "00" * 10_000},
        lambda value: {**value, "change": ["magic"]},
        lambda _value: version_1(identity=[math.nan, 0.0, 0]),
        lambda _value: version_1(outcome=[1.0, 0.0]),
        lambda _value: {"v": 2, "kind": "agent"},
    ],
)
def test_a_trust_that_nobody_wrote_is_refused(spoil: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Trust.from_json(spoil(new_trust("agent", "", 0).to_json()))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@calm
@given(st.sampled_from(sorted(new_trust("agent", "", 0).to_json())), json_values)
def test_garbage_in_the_store_is_refused_or_bounded(field: str, value: Any) -> None:
    try:
        trust = Trust.from_json({**new_trust("agent", "", 0).to_json(), field: value})
    except (KeyError, TypeError, ValueError):
        return
    assert 0.0 <= lower_bound(trust, 0) <= 1.0


def test_more_than_there_can_be_is_cut_to_the_bound() -> None:
    value = {**new_trust("agent", "", 0).to_json(), "held": {"history": [1e300, 1e300]}, "imported": 1e9}
    held = Trust.from_json(value).to_json()

    assert held["held"]["history"] == [COMPONENTS["history"].most, BAD_MOST]
    assert held["imported"] == IMPORT_MOST


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(KeyError):
        new_trust("ghost", "", 0)


def test_a_full_trust_stays_small_in_memory() -> None:
    tools = [f"tool-{number}" for number in range(TOOLS_KEPT)]
    trust = new_trust("agent", "c" * 64, 10**12, parts=parts_of(model="m", prompt_sha256="p", tools=tools))
    for component in COMPONENTS:
        trust = after_all(trust, (good(component), bad(component)), 2 * 10**12)
    values = [getattr(trust, field.name) for field in fields(trust) if field.name not in {"kind", "withheld"}]

    assert sys.getsizeof(trust) + sum(sys.getsizeof(value) for value in values) <= MEMORY_BYTES


def worked_example() -> list[list[str]]:
    rows = re.findall(r"^\| *(\d+) *\|(.*)\|$", DOCUMENT.read_text(), re.MULTILINE)
    return [[day, *(cell.strip() for cell in rest.split("|"))] for day, rest in rows]


STORY = {
    "first seen": (),
    "clean session": of_close(
        SessionFacts(verdict=Verdict.IN_SCOPE, outcome="done", actions=3, composed=True)
    ),
    "out of scope": departed(),
    "clear attack": of_action(ActionFacts(verdict=Verdict.OUT_OF_SCOPE, departures=2, first_clear=True)),
    "nothing": (),
}


def test_the_worked_example_of_the_document_is_what_the_code_computes() -> None:
    rows, trust = worked_example(), new_trust("agent", "", 0)

    assert len(rows) >= 8
    for day, event, *told in rows:
        now = int(day) * DAY_MS
        trust = after_all(trust, STORY[event], now)
        seen = view(trust, now)
        expected = [*seen["layers"].values(), seen["lower"]]
        assert told == [*(f"{value:.3f}" for value in expected), seen["friction"], str(seen["autonomy"])], (
            day,
            event,
        )


def test_who_goes_on_being_asked_stays_trusted() -> None:
    start = 20_000 * DAY_MS
    trust = new_trust("user", "", start)
    people = [f"person-{number}" for number in range(4)]
    for day in range(300):
        at = start + day * DAY_MS
        good = of_close(SessionFacts(verdict=Verdict.IN_SCOPE, outcome="done", actions=5))
        said = of_feedback("satisfied", positive=True, source=people[day % 4])
        trust = after_all(trust, (*good, *said), at)

    assert lower_bound(trust, start + 300 * DAY_MS) >= TRUSTED_FROM
