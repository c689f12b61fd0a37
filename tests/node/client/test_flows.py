"""What the client does with what a node, or something else in its place, answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.client import ClientLimits, Decision, NodeAwayError, NodeRefusedError, flows
from ioint_node.client.bodies import arguments_of, parts_of, text_of
from ioint_node.client.calls import Call, Reply
from ioint_node.client.flows import Core, Flow, SessionState
from ioint_node.client.remembered import Action
from ioint_node.client.sse import Reader

T = TypeVar("T")
Answer = Callable[[Call], Reply]
OPENED = Reply(status=201, body=b'{"session_id":"s"}')
AWAY = NodeAwayError("nobody", sure=True)
READ = Action(action_id="1", tool="read_file", arguments={"path": "/srv/a"})


def run(flow: Flow[T], answer: Answer) -> T:
    """Run a flow against something that answers, or raises that nobody does."""
    try:
        call = next(flow)
        while True:
            try:
                reply = answer(call)
            except NodeAwayError as away:
                call = flow.throw(away)
            else:
                call = flow.send(reply)
    except StopIteration as done:
        value: T = done.value
        return value


def silent(_call: Call) -> Reply:
    raise NodeAwayError("nobody", sure=True)


def said(body: object, status: int = 200) -> Answer:
    return lambda _call: Reply(status=status, body=msgspec.json.encode(body))


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def begun(answer: Answer, limits: ClientLimits | None = None) -> tuple[Core, SessionState, Time]:
    time = Time()
    core = Core(limits or ClientLimits(), time)
    opening = flows.open_session(
        core,
        actor="a-17",
        kind="agent",
        text="look something up",
        family=None,
        tools=(),
        session_id="s",
        composition=None,
        on_behalf_of=None,
        parent=None,
    )
    return core, run(opening, answer), time


def test_fields_that_a_newer_node_adds_are_passed_over() -> None:
    core, state, _ = begun(lambda _: OPENED)
    body = {"action_id": "1", "allowed": True, "verdict": "in_scope", "new": {"x": [1]}, "response": "hum"}
    decision = run(flows.act(core, state, READ), said(body))
    assert (decision.allowed, decision.source, decision.response) == (True, "node", "hum")


def test_a_refusal_is_heard_even_where_the_rest_of_it_is_not_understood() -> None:
    core, state, _ = begun(lambda _: OPENED)
    body = {"action_id": "1", "allowed": False, "step": 7, "trust": "much", "reasons": {"a": 1}}
    decision = run(flows.act(core, state, READ), said(body))
    assert (decision.allowed, decision.source) == (False, "node")


@pytest.mark.parametrize("body", [{}, {"allowed": "yes", "action_id": "1"}, [], None, {"action_id": "1"}])
def test_an_answer_that_is_no_decision_lets_nothing_go_on(body: object) -> None:
    core, state, _ = begun(lambda _: OPENED)
    with pytest.raises(NodeRefusedError, match="not_understood"):
        run(flows.act(core, state, READ), said(body))


@pytest.mark.parametrize("status", [400, 401, 403, 409, 413, 429])
def test_a_request_that_is_refused_lets_nothing_go_on(status: int) -> None:
    core, state, _ = begun(lambda _: OPENED)
    problem = {"type": "urn:ioint:problem:bad_field", "detail": "tool: too long"}
    with pytest.raises(NodeRefusedError, match="tool: too long") as refused:
        run(flows.act(core, state, READ), said(problem, status))
    assert (refused.value.status, refused.value.name) == (status, "bad_field")
    assert core.backlog == 0


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_node_that_cannot_answer_now_is_away(status: int) -> None:
    core, state, _ = begun(lambda _: OPENED)
    decision = run(flows.act(core, state, READ), said({}, status))
    assert decision.source == "fail_mode"
    assert core.backlog == 2  # the opening again, which it may have lost, and the action


def test_who_asks_too_often_runs_nothing_and_loses_nothing() -> None:
    core, state, time = begun(silent)
    run(flows.act(core, state, READ), silent)
    time.now = 100.0
    run(flows.tell(core, state, "prompt", "hello"), said({}, 429))
    assert core.backlog == 3
    fresh, opened, _ = begun(lambda _: OPENED)
    with pytest.raises(NodeRefusedError, match="429"):
        run(flows.act(fresh, opened, READ), said({}, 429))


def test_a_request_that_broke_is_sent_again_where_that_is_harmless() -> None:
    core, state, _ = begun(lambda _: OPENED)
    asked: list[Call] = []

    def breaks_once(call: Call) -> Reply:
        asked.append(call)
        if len(asked) == 1:
            raise NodeAwayError("reset", sure=False, broken=True)
        return Reply(status=200, body=b'{"action_id":"1","allowed":true}')

    assert run(flows.act(core, state, READ), breaks_once).source == "node"
    assert asked[0] == asked[1]


def test_an_event_that_may_have_arrived_is_not_sent_again() -> None:
    core, state, _ = begun(lambda _: OPENED)

    def breaks(_call: Call) -> Reply:
        raise NodeAwayError("reset", sure=False, broken=True)

    run(flows.tell(core, state, "prompt", "hello"), breaks)
    assert (core.counts["uncertain"], core.backlog) == (1, 0)


def test_the_same_action_sent_again_has_the_same_body() -> None:
    core, state, time = begun(lambda _: OPENED)
    sent: list[bytes] = []

    def answer(call: Call) -> Reply:
        sent.append(call.body)
        return Reply(status=200, body=b'{"action_id":"1","allowed":true}')

    run(flows.act(core, state, READ), answer)
    time.now = 9.0
    run(flows.act(core, state, READ), answer)
    assert sent[0] == sent[1]


def test_what_waits_is_sent_in_order_before_the_next_request() -> None:
    core, state, time = begun(silent)
    for n in range(3):
        time.now = float(n)
        action = Action(action_id=str(n), tool="read_file", arguments={"path": str(n)})
        assert run(flows.act(core, state, action), silent).source == "fail_mode"
        run(flows.tell(core, state, "tool_result", "text", action_id=str(n)), silent)
    time.now = 100.0
    sent: list[dict[str, Any]] = []

    def answer(call: Call) -> Reply:
        sent.append(msgspec.json.decode(call.body))
        if call.path.endswith("/actions"):
            return Reply(status=200, body=b'{"action_id":"x","allowed":true}')
        return OPENED

    run(flows.act(core, state, Action(action_id="new", tool="read_file")), answer)
    names = [one.get("action_id") or one.get("session_id") for one in sent]
    assert names == ["s", "0", "0", "1", "1", "2", "2", "new"]
    assert [one["t"] for one in sent[1:]] == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 100.0]
    assert core.backlog == 0


def test_what_does_not_fit_into_the_backlog_is_counted() -> None:
    core, state, _ = begun(silent, ClientLimits(backlog_calls=3))
    for n in range(5):
        run(flows.act(core, state, Action(action_id=str(n), tool="read_file")), silent)
    assert (core.backlog, core.counts["dropped"]) == (3, 3)


def test_that_the_node_would_have_refused_what_went_on_is_counted() -> None:
    core, state, time = begun(silent)
    run(flows.act(core, state, READ), silent)
    time.now = 100.0
    run(flows.flush(core, 10), said({"action_id": "1", "allowed": False, "session_id": "s"}))
    assert core.counts["refused_late"] == 1
    time.now = 101.0
    assert not run(flows.act(core, state, READ), silent).allowed  # and it is remembered


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
flat = leaves | st.lists(leaves, max_size=4) | st.dictionaries(st.text(), leaves, max_size=4)
plain = flat | st.lists(flat, max_size=4) | st.dictionaries(st.text(), flat, max_size=4)


@given(st.dictionaries(st.text(), plain, max_size=5), st.integers(200, 4_000))
def test_any_arguments_become_json_within_the_bound(given_: dict[str, Any], most: int) -> None:
    assert len(msgspec.json.encode(arguments_of(given_, most))) <= most


def test_what_is_no_json_is_named_by_its_type() -> None:
    class Secret:
        def __repr__(self) -> str:
            return "hunter2"

    assert arguments_of({"key": Secret(), "data": b"x"}, 1_000) == {"key": "<Secret>", "data": "<bytes>"}
    assert text_of({"key": Secret()}) == '{"key":"<Secret>"}'


def test_texts_that_are_cut_differ_where_they_differed() -> None:
    one, other = (arguments_of({"text": "x" * 100_000 + tail}, 60_000) for tail in "ab")
    assert one != other
    assert "100001 characters" in one["text"]


@given(st.text(max_size=50), st.integers(1, 3))
def test_a_long_text_is_told_whole_and_nothing_hides_where_it_was_divided(tail: str, times: int) -> None:
    text = "ä" * 40_000 * times + tail
    parts = list(parts_of(text, 64))
    assert all(len(part.encode()) <= 65_536 for part in parts)
    assert all(any(text[at : at + 200] in part for part in parts) for at in range(0, len(text), 1_000))


def test_the_stream_is_read_whatever_stands_between_its_events() -> None:
    reader = Reader()
    lines = [
        ": still here",
        "",
        "id: 7",
        "event: trust",
        'data: {"seq":7,',
        'data: "actor":"a"}',
        "",
        "data: no",
        "",
    ]
    events = [event for line in lines if (event := reader.feed(line)) is not None]
    assert [(one.seq, one.event, one.actor) for one in events] == [(7, "trust", "a")]
    assert reader.last == 7


def test_a_decision_that_was_made_here_says_so() -> None:
    assert Decision(action_id="1", allowed=True).why == "unknown, none"
