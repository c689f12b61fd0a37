"""What the client decides by while no node answers: it never allows more than the node said, and always says so."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.client.breaker import Breaker
from ioint_node.client.limits import ClientLimits
from ioint_node.client.remembered import FAIL_MODE, Action, Place, Remembered, effect_of
from ioint_node.client.values import HALTS, NEUTRAL, Decision, Network, StreamEvent, Trust
from ioint_node.scoring import levels
from ioint_node.scoring.staging import FAIL_CLOSED, Policy
from ioint_node.scoring.trust import new_trust, view

LIMITS = ClientLimits()
PLACE = Place(actor="a-17", session="s-1", family="support_customer", fail_mode=FAIL_MODE)
READ = Action(action_id="1", tool="read_file", arguments={"path": "/srv/orders.csv"})
PAY = Action(action_id="2", tool="send_money", arguments={"recipient": "GB33", "amount": 10})
MAIL = Action(action_id="3", tool="send_email", arguments={"to": "ann@example.org", "body": "hello"})
TRUST = Trust(score=0.9, lower=0.8, layers={"identity": 0.9}, friction="trusted", autonomy=4, used=0.8)

shares = st.floats(0, 1)
actions = st.builds(
    Action,
    action_id=st.text(min_size=1, max_size=3),
    tool=st.sampled_from(
        ["read_file", "send_email", "send_money", "run_command", "grant_access", "frobnicate"]
    ),
    arguments=st.dictionaries(st.sampled_from(["path", "to", "amount"]), st.integers() | st.text(max_size=5)),
)
decisions = st.builds(
    Decision,
    action_id=st.just("n"),
    allowed=st.booleans(),
    response=st.sampled_from(["none", "notify", "step_up", "reduce", "approve", "suspend", "kill"]),
    trust=st.builds(Trust, score=shares, lower=shares, used=shares),
    cache_ttl_s=st.sampled_from([0, 5, 30, 120]),
)
modes = st.fixed_dictionaries({name: st.sampled_from(["open", "closed"]) for name in FAIL_MODE})


def allowed(**more: Any) -> Decision:
    return Decision(action_id="n", allowed=True, trust=TRUST, network=Network(age_s=10.0), **more)


def refused(**more: Any) -> Decision:
    return Decision(action_id="n", allowed=False, trust=TRUST, **more)


def test_the_defaults_are_those_of_a_node() -> None:
    assert Policy().fail_mode(enforced=True) == FAIL_MODE
    assert {name for name, mode in FAIL_MODE.items() if mode == "closed"} == set(FAIL_CLOSED)


def test_what_is_not_known_follows_the_fail_mode_and_says_so() -> None:
    memory = Remembered(LIMITS)
    read, pay = (memory.decide(PLACE, one, 0.0, 12.0) for one in (READ, PAY))
    assert (read.allowed, pay.allowed) == (True, False)
    assert {read.source, pay.source} == {"fail_mode"}
    assert "12 s" in pay.why
    assert "`pay`" in pay.why
    assert pay.verdict == "unknown"


def test_an_allowance_is_repeated_for_the_same_call_for_as_long_as_the_node_said() -> None:
    memory = Remembered(LIMITS)
    memory.learn(PLACE, READ, allowed(cache_ttl_s=30), 100.0)
    soon, late = memory.decide(PLACE, READ, 129.0, 1.0), memory.decide(PLACE, READ, 131.0, 1.0)
    assert (soon.source, soon.age_s, soon.action_id) == ("cache", 29.0, READ.action_id)
    assert late.source == "fail_mode"
    assert soon.network is not None
    assert soon.network.age_s == 39.0


def test_an_allowance_is_not_repeated_for_other_arguments_or_another_session() -> None:
    memory = Remembered(LIMITS)
    closed = Place(actor="a-17", session="s-1", family="f", fail_mode=dict.fromkeys(FAIL_MODE, "closed"))
    memory.learn(closed, READ, allowed(cache_ttl_s=30), 0.0)
    other = Action(action_id="9", tool="read_file", arguments={"path": "/etc/shadow"})
    elsewhere = Place(actor="a-17", session="s-2", family="f", fail_mode=closed.fail_mode)
    assert memory.decide(closed, READ, 1.0, 1.0).allowed
    assert not memory.decide(closed, other, 1.0, 1.0).allowed
    assert not memory.decide(elsewhere, READ, 1.0, 1.0).allowed


def test_a_refusal_is_repeated_for_calls_of_its_kind_in_every_session_of_the_declaration() -> None:
    memory = Remembered(LIMITS)
    memory.learn(PLACE, MAIL, refused(response="approve"), 0.0)
    again = Action(action_id="4", tool="send_email", arguments={"to": "bob@example.org", "body": "else"})
    place = Place(actor="a-17", session="s-2", family=PLACE.family, fail_mode=FAIL_MODE)
    told = memory.decide(place, again, 60.0, 1.0)
    assert (told.allowed, told.source, told.age_s) == (False, "cache", 60.0)
    assert memory.decide(place, again, LIMITS.refusal_s + 1, 1.0).source == "fail_mode"


@pytest.mark.parametrize("response", sorted(HALTS))
def test_halted_stays_halted_whatever_is_called(response: str) -> None:
    memory = Remembered(LIMITS)
    memory.learn(PLACE, MAIL, refused(response=response), 0.0)
    assert not memory.decide(PLACE, READ, 1e6, 1e6).allowed


def test_a_restricted_session_only_looks() -> None:
    memory = Remembered(LIMITS)
    memory.learn(PLACE, READ, allowed(response="reduce", mode="enforce"), 0.0)
    assert memory.decide(PLACE, READ, 1.0, 1.0).allowed
    assert not memory.decide(PLACE, MAIL, 1.0, 1.0).allowed


@given(st.lists(st.tuples(actions, decisions), max_size=6), actions, modes)
def test_what_goes_on_was_open_or_allowed_and_is_labelled(
    told: list[tuple[Action, Decision]], action: Action, fail_mode: dict[str, str]
) -> None:
    memory = Remembered(LIMITS)
    place = Place(actor="a", session="s", family="f", fail_mode=fail_mode)
    for moment, (one, decision) in enumerate(told):
        memory.learn(place, one, decision, float(moment))
    decided = memory.decide(place, action, float(len(told)), 1.0)
    assert decided.source in {"cache", "fail_mode"}
    assert decided.action_id == action.action_id
    assert any(one.code == "node_away" for one in decided.reasons)
    if decided.allowed:
        assert decided.step is not None
        last = next(
            (
                decision
                for one, decision in reversed(told)
                if one.arguments == action.arguments and one.tool == action.tool
            ),
            None,
        )
        assert last is None or last.allowed
        assert not (told and not told[-1][1].allowed and told[-1][1].response in HALTS)
        if decided.source == "fail_mode":
            assert fail_mode[effect_of(decided.step)] == "open"
        else:
            assert last is not None
            assert last.cache_ttl_s > 0


@given(shares, shares, st.floats(0, 1e9), st.floats(0, 1e6))
def test_trust_only_falls_with_time_and_distrust_stays(
    score: float, lower: float, age: float, more: float
) -> None:
    fresh = Trust(score=score, lower=lower, used=lower)
    aged, older = fresh.aged(age, 3600.0), fresh.aged(age + more, 3600.0)
    assert older.lower <= aged.lower <= max(lower, round(lower, 4))
    assert aged.used <= aged.lower
    if lower <= NEUTRAL:
        assert aged.lower == round(lower, 4)
    else:
        assert aged.lower >= NEUTRAL - 1e-4


@given(shares)
def test_levels_are_read_as_the_node_reads_them(lower: float) -> None:
    aged = Trust(score=lower, lower=lower).aged(0.0, 1.0)
    assert aged.friction == levels.friction(aged.lower).value
    assert aged.autonomy == levels.autonomy(aged.lower)


def test_neutral_is_the_trust_of_a_newcomer() -> None:
    assert view(new_trust("agent", "", 0), 0)["lower"] == pytest.approx(NEUTRAL, abs=0.01)


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    memory = Remembered(ClientLimits(decisions=3))
    calls = [Action(action_id=str(n), tool="read_file", arguments={"path": f"/{n}"}) for n in range(5)]
    for moment, one in enumerate(calls):
        memory.learn(PLACE, one, allowed(cache_ttl_s=1000), float(moment))
    assert len(memory) == 3
    assert memory.decide(PLACE, calls[0], 6.0, 1.0).source == "fail_mode"
    assert memory.decide(PLACE, calls[4], 6.0, 1.0).source == "cache"


@pytest.mark.parametrize(
    ("event", "data", "kept"),
    [
        ("trust", {"actor": "a-17"}, False),
        ("trust", {"actor": "a-18"}, True),
        ("reputation", {"pattern": "p"}, False),
        ("reset", {}, False),
    ],
)
def test_news_of_the_node_end_allowances(event: str, data: dict[str, Any], kept: bool) -> None:
    memory = Remembered(LIMITS)
    memory.learn(PLACE, READ, allowed(cache_ttl_s=30), 0.0)
    memory.hear(StreamEvent(seq=1, event=event, data=data), 1.0)
    assert (memory.decide(PLACE, READ, 2.0, 1.0).source == "cache") is kept


def test_an_order_to_halt_is_obeyed_until_the_order_to_resume() -> None:
    memory = Remembered(LIMITS)
    order = {"actor": "a-17", "mode": "enforce", "do": ["kill", "shred"]}
    memory.hear(StreamEvent(seq=1, event="response", data=order), 1.0)
    assert not memory.decide(PLACE, READ, 2.0, 1.0).allowed
    memory.hear(StreamEvent(seq=2, event="response", data=order | {"do": ["resume"]}), 3.0)
    assert memory.decide(PLACE, READ, 4.0, 1.0).allowed


def test_a_withdrawal_ends_refusals_that_came_of_the_pattern() -> None:
    memory = Remembered(LIMITS)
    warned = refused(response="approve", network=Network(effect=0.1, patterns=("p",)))
    memory.learn(PLACE, MAIL, warned, 0.0)
    memory.hear(StreamEvent(seq=1, event="withdrawal", data={"pattern": "p"}), 1.0)
    assert memory.decide(PLACE, MAIL, 2.0, 1.0).source == "fail_mode"


def test_a_dead_node_is_asked_once_in_a_pause_that_grows() -> None:
    breaker = Breaker(ClientLimits(away_failures=2, probe_s=1.0, probe_most_s=4.0))
    breaker.failed(0.0)
    assert breaker.allows(0.0)
    breaker.failed(0.0)
    passed = []
    for tenth in range(200):
        now = tenth / 10
        if breaker.allows(now):
            passed.append(now)
            breaker.failed(now)
    assert passed == [1.0, 3.0, 7.0, 11.0, 15.0, 19.0]
    breaker.succeeded()
    assert breaker.allows(19.5)
    assert not breaker.open


def test_beside_a_probe_nobody_waits() -> None:
    breaker = Breaker(ClientLimits(away_failures=1, probe_s=1.0))
    breaker.failed(0.0)
    assert [breaker.allows(1.0), breaker.allows(1.0)] == [True, False]
