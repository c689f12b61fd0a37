"""No whitewash: not by another model, prompt or tools, not by a new name, and not by a detour."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ioint_node.scoring.composition import (
    INHERITED_GOOD,
    PARTS_BYTES,
    TOOLS_KEPT,
    WIDER_GOOD,
    difference,
    parts_of,
)
from ioint_node.scoring.evidence import ActionFacts, SessionFacts, of_action, of_close, of_feedback
from ioint_node.scoring.held import COMPONENTS, DAY_MS, LAYERS
from ioint_node.scoring.trust import (
    KINDS,
    UNCHECKED_CEILING,
    Evidence,
    Trust,
    after_all,
    change_text,
    imported,
    inherited,
    lower_bound,
    new_trust,
    recently_changed,
    recomposed,
    view,
)
from ioint_node.scoring.values import Verdict

calm = settings(deadline=None)
BASE = parts_of(model="m1", prompt_sha256="p1", tools=("a", "b"))
tool_sets = st.frozensets(st.sampled_from("abcdefgh"), max_size=8)
kinds = st.sampled_from(sorted(KINDS))


def seasoned(*, sessions: int = 40, kind: str = "agent", parts: bytes = BASE) -> Trust:
    trust = new_trust(kind, "one", -sessions * 3_600_000, parts=parts)
    done = SessionFacts(verdict=Verdict.IN_SCOPE, outcome="done", actions=3, composed=True)
    for number in range(sessions):
        trust = after_all(trust, of_close(done), (number + 1 - sessions) * 3_600_000)
        trust = after_all(trust, of_feedback("satisfied", positive=True, source=str(number)), trust.last)
    return trust


def harmed(trust: Trust, times: int = 1) -> Trust:
    for _ in range(times):
        attack = ActionFacts(verdict=Verdict.OUT_OF_SCOPE, departures=1, first_clear=True)
        trust = after_all(trust, of_action(attack), 0)
    return trust


def good_of(trust: Trust, component: str) -> float:
    return float(trust.to_json()["held"].get(component, [0.0, 0.0])[0])


def bad_of(trust: Trust, component: str) -> float:
    return float(trust.to_json()["held"].get(component, [0.0, 0.0])[1])


@pytest.mark.parametrize(
    ("parts", "keeps", "said"),
    [
        (parts_of(model="m2", prompt_sha256="p1", tools=("a", "b")), INHERITED_GOOD, "the model changed"),
        (parts_of(model="m1", prompt_sha256="p2", tools=("a", "b")), INHERITED_GOOD, "the prompt changed"),
        (
            parts_of(model="m2", prompt_sha256="p2", tools=("a", "b")),
            INHERITED_GOOD,
            "the model changed and the prompt changed",
        ),
        (parts_of(model="m1", prompt_sha256="p1", tools=("c", "d")), WIDER_GOOD, "tools were added"),
        (parts_of(model="m1", prompt_sha256="p1", tools=("a", "b", "c")), WIDER_GOOD, "tools were added"),
        (parts_of(model="", prompt_sha256="p1", tools=("a", "b")), INHERITED_GOOD, "the model changed"),
        (b"", INHERITED_GOOD, "model, prompt or tools changed"),
    ],
)
def test_a_changed_composition_inherits_little_good_all_bad_and_says_what_changed(
    parts: bytes, keeps: float, said: str
) -> None:
    trust = harmed(seasoned())
    changed = recomposed(trust, "two", 0, parts=parts)

    assert good_of(changed, "history") == pytest.approx(keeps * good_of(trust, "history"))
    assert bad_of(changed, "attacks") == bad_of(trust, "attacks") > 0
    assert lower_bound(changed, 0) < lower_bound(trust, 0)
    assert change_text(changed).startswith(said + ":")
    assert "inherited" in change_text(changed)
    assert recently_changed(changed, 2 * DAY_MS)
    assert not recently_changed(changed, 30 * DAY_MS)


def test_fewer_tools_take_effect_at_once_and_cost_nothing() -> None:
    trust = seasoned()
    narrower = recomposed(trust, "two", 0, parts=parts_of(model="m1", prompt_sha256="p1", tools=("a",)))

    assert difference(trust.parts, narrower.parts).parts == ("narrower",)
    assert view(narrower, 0) == view(trust, 0)
    assert not recently_changed(narrower, 0)
    assert lower_bound(recomposed(narrower, "one", 0, parts=BASE), 0) < lower_bound(trust, 0), (
        "what was given up has to be earned again"
    )


@calm
@given(tool_sets, tool_sets, tool_sets)
def test_no_detour_keeps_more_than_the_straight_way(
    start: frozenset[str], middle: frozenset[str], end: frozenset[str]
) -> None:
    one, two, three = (parts_of(model="m", prompt_sha256="p", tools=tools) for tools in (start, middle, end))
    direct = difference(one, three).keeps

    assert difference(one, two).keeps * difference(two, three).keeps <= direct


@calm
@given(tool_sets, tool_sets)
def test_one_tool_more_costs_half_however_many_were_given_up(
    start: frozenset[str], end: frozenset[str]
) -> None:
    found = difference(parts_of(model="m", tools=start), parts_of(model="m", tools=end))

    assert found.keeps == (1.0 if end <= start else WIDER_GOOD)


def test_the_order_of_tools_says_nothing() -> None:
    assert parts_of(tools=("b", "a", "a")) == parts_of(tools=("a", "b"))


def test_a_list_that_is_too_long_is_told_apart_but_not_compared() -> None:
    many = [f"tool-{number}" for number in range(TOOLS_KEPT + 1)]
    before, same = parts_of(model="m", tools=many), parts_of(model="m", tools=reversed(many))

    assert len(before) <= PARTS_BYTES
    assert before == same
    assert difference(before, parts_of(model="m", tools=many[:-1])).keeps == WIDER_GOOD
    assert difference(before, parts_of(model="m", tools=[*many, "more"])).keeps == WIDER_GOOD


def test_the_same_composition_changes_nothing() -> None:
    trust = seasoned()

    assert recomposed(trust, "one", DAY_MS, parts=BASE) is trust
    assert recomposed(trust, "one", DAY_MS) is trust


def test_the_first_composition_that_is_named_costs_nothing() -> None:
    trust = harmed(new_trust("agent", "", 0))
    named = recomposed(trust, "one", DAY_MS, parts=BASE)

    assert view(named, DAY_MS) == view(trust, DAY_MS)
    assert (named.composition, named.parts) == ("one", BASE)
    assert not recently_changed(named, DAY_MS)


def test_who_stops_saying_what_it_is_made_of_is_not_trusted_until_it_says_so_again() -> None:
    trust = seasoned(sessions=400)
    silent = recomposed(trust, "", 0)
    asked = of_feedback("satisfied", positive=True, source="somebody")
    for day in range(60):
        done = SessionFacts(verdict=Verdict.IN_SCOPE, outcome="done", actions=3, composed=True)
        silent = after_all(silent, (*of_close(done), *asked), day * DAY_MS)

    assert view(trust, 0)["friction"] == "trusted"
    assert lower_bound(silent, silent.last) <= UNCHECKED_CEILING
    assert recomposed(silent, "", 0) is silent


def test_withholding_a_composition_costs_at_once_what_an_unknown_change_costs() -> None:
    trust = seasoned()
    silent, unknown = recomposed(trust, "", 0), recomposed(trust, "two", 0)

    assert view(silent, 0)["layers"] == view(unknown, 0)["layers"]
    assert lower_bound(silent, 0) <= lower_bound(unknown, 0) < lower_bound(trust, 0)
    assert change_text(silent).startswith("model, prompt and tools are no longer named: a fifth")
    assert recently_changed(silent, 0)
    # Saying again what was said before brings nothing back, and costs nothing more.
    assert view(recomposed(silent, "one", 0, parts=BASE), 0)["layers"] == view(silent, 0)["layers"]


def test_a_model_that_is_named_later_than_the_tools_is_another_one() -> None:
    tools = parts_of(tools=("a", "b"))
    trust = seasoned(parts=tools)
    named = recomposed(trust, "two", 0, parts=parts_of(model="m1", tools=("a", "b")))

    assert good_of(named, "history") == pytest.approx(INHERITED_GOOD * good_of(trust, "history"))
    assert change_text(named).startswith("the model changed")


def test_silence_between_two_compositions_launders_nothing() -> None:
    other = parts_of(model="m2", prompt_sha256="p1", tools=("a", "b"))
    straight = recomposed(seasoned(), "two", 0, parts=other)

    detour = recomposed(recomposed(seasoned(), "", 0), "two", 0, parts=other)
    assert lower_bound(detour, 0) <= lower_bound(straight, 0)


def test_going_back_and_forth_only_costs() -> None:
    trust, other = seasoned(), parts_of(model="m2", prompt_sha256="p1", tools=("a", "b"))
    back = recomposed(recomposed(trust, "two", 0, parts=other), "one", 0, parts=BASE)

    assert good_of(back, "history") == pytest.approx(INHERITED_GOOD**2 * good_of(trust, "history"))


def test_a_newcomer_of_a_distrusted_composition_starts_where_the_other_stands_and_says_so() -> None:
    old = harmed(seasoned(), times=3)
    newcomer = inherited(new_trust("agent", "one", 0, parts=BASE), [seasoned(), old], 0)

    assert lower_bound(newcomer, 0) <= lower_bound(old, 0)
    assert "under another name" in change_text(newcomer)
    assert recently_changed(newcomer, DAY_MS)


def test_who_takes_on_a_distrusted_composition_is_distrusted_and_says_both() -> None:
    old = harmed(new_trust("agent", "two", 0))
    other = parts_of(model="m2", prompt_sha256="p1", tools=("a", "b"))
    taken = inherited(recomposed(seasoned(), "two", 0, parts=other), [old], 0)

    assert lower_bound(taken, 0) <= lower_bound(old, 0)
    assert change_text(taken) == (
        "the model changed and the same composition is distrusted under another name: "
        "a fifth of the good evidence is inherited, all of the bad"
    )


def test_a_newcomer_of_a_composition_in_good_standing_starts_as_anybody() -> None:
    newcomer = new_trust("agent", "one", 0, parts=BASE)

    assert inherited(newcomer, [seasoned(), harmed(seasoned(), 0)], 0) is newcomer
    assert inherited(newcomer, [], 0) is newcomer


def test_what_the_other_is_forgiven_the_newcomer_is_forgiven() -> None:
    old = harmed(new_trust("agent", "one", 0))
    later = 3_000 * DAY_MS

    assert lower_bound(inherited(new_trust("agent", "one", later), [old], later), later) == pytest.approx(
        lower_bound(new_trust("agent", "one", later), later), abs=1e-3
    )


def test_an_import_does_not_hide_what_is_inherited() -> None:
    start = new_trust("agent", "one", 0)
    brought = imported(start, role="employee", tenure_days=900, attestation="verified", now=0)
    old = harmed(imported(start, role="employee", tenure_days=900, attestation="verified", now=0))

    assert lower_bound(inherited(brought, [old], 0), 0) <= lower_bound(old, 0)


@st.composite
def pasts(draw: st.DrawFn) -> Trust:
    trust = new_trust(draw(kinds), "one", 0)
    for _ in range(draw(st.integers(0, 8))):
        one = Evidence(
            kind=draw(st.sampled_from(["attack", "clean_session"])),
            component=draw(st.sampled_from(sorted(COMPONENTS))),
            weight=draw(st.floats(0, 3)),
            positive=draw(st.booleans()),
        )
        trust = after_all(trust, (one,), 0)
    return trust


@calm
@given(st.lists(pasts(), min_size=1, max_size=4), kinds)
def test_no_newcomer_starts_better_than_a_distrusted_actor_of_its_composition(
    known: list[Trust], kind: str
) -> None:
    start = new_trust(kind, "one", 0)
    unknown, newcomer = view(start, 0)["layers"], view(inherited(start, known, 0), 0)["layers"]
    for old in (view(one, 0)["layers"] for one in known):
        for layer in LAYERS:
            assert newcomer[layer] <= max(old[layer], 0.01) + 1e-4 or old[layer] >= unknown[layer]
