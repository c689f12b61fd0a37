"""Spans of a trace, put together: agents, delegation, order, and what was said once."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ioint_node.telemetry import Buffer, Happening, History, Run, Sender, TelemetryLimits, assemble
from ioint_node.telemetry.values import Span

from tests.node.telemetry.spans import ENGINE, TRACE, add, agent, request, spans_of, tool

LIMITS = TelemetryLimits()
CHAT = {"gen_ai.operation.name": "chat"}


def runs_of(made: Any, sender: Sender = ENGINE, order: Iterable[Span] | None = None) -> tuple[Run, ...]:
    buffer = Buffer(LIMITS)
    for span in order if order is not None else spans_of(made, sender):
        buffer.add(sender, span, 0)
    [trace] = buffer.due(0, all_of_them=True)
    return assemble(trace)


def told(run: Run) -> list[Happening]:
    return History(1_000).fresh(run.happenings)


def what(run: Run) -> list[tuple[str, str]]:
    return [(one.kind, one.tool or one.text) for one in told(run)]


def delegating() -> Any:
    made = request()
    add(made, 1, agent(), end=90)
    add(made, 2, {"http.method": "POST"}, parent=1)
    add(made, 3, tool("ask", "c1", q="x"), parent=2, end=80)
    add(made, 4, {"rpc.system": "grpc"}, parent=3)
    add(made, 5, agent("helper"), parent=4, end=70)
    add(made, 6, tool("send"), parent=5, end=60)
    return made


def test_an_agent_below_another_agents_tool_has_a_run_of_its_own() -> None:
    above, below = runs_of(delegating())
    assert (above.actor, below.actor) == ("shop/support", "shop/helper")
    assert below.parent == (above.actor, above.key, "")
    assert below.parent_action == told(above)[0].action_id


def test_a_delegated_task_is_a_session_of_its_own_also_in_one_conversation() -> None:
    made = delegating()
    for span in made.resource_spans[0].scope_spans[0].spans:
        span.attributes.add(key="session.id").value.string_value = "talk"
    above, below = runs_of(made)
    assert (above.key, above.lasting) == ("talk", True)
    assert (below.key, below.lasting) == (f"{TRACE}/0000000000000003", False)


@pytest.mark.parametrize("order", list(itertools.permutations(range(6)))[::29])
def test_the_order_of_arrival_changes_nothing(order: tuple[int, ...]) -> None:
    spans = spans_of(delegating())
    assert runs_of(None, order=[spans[index] for index in order]) == runs_of(None, order=spans)


def test_spans_that_come_twice_change_nothing() -> None:
    spans = spans_of(delegating())
    assert runs_of(None, order=spans + spans) == runs_of(None, order=spans)


def test_with_an_agents_token_every_run_is_that_agents() -> None:
    runs = runs_of(delegating(), Sender(id="t", actor="a-1"))
    assert [run.actor for run in runs] == ["a-1", "a-1"]


def test_an_agents_name_is_no_name_in_another_service() -> None:
    spans = spans_of(delegating())
    other = request("billing")
    add(other, 7, {**CHAT, "gen_ai.output.messages": [{"role": "assistant", "content": "hi"}]}, parent=6)
    runs = runs_of(None, order=[*spans, *spans_of(other)])
    assert {run.actor for run in runs} == {"shop/support", "shop/helper", "billing"}


def test_parents_that_form_a_ring_end() -> None:
    made = request()
    add(made, 1, agent(), parent=2)
    add(made, 2, tool("x"), parent=1)
    assert sum(len(run.happenings) for run in runs_of(made)) == 1


def test_a_run_ends_as_its_outermost_agent_did() -> None:
    made = request()
    add(made, 1, agent(), error="it broke")
    add(made, 2, tool("x"), parent=1)
    assert [run.ended for run in runs_of(made)] == ["failed"]


def test_a_trace_without_its_end_has_no_outcome() -> None:
    made = request()
    add(made, 2, tool("x"), parent=1)
    assert [run.ended for run in runs_of(made)] == [None]


def test_what_a_model_was_told_again_is_told_once() -> None:
    made = request()
    user = {"role": "user", "parts": [{"type": "text", "content": "where?"}]}
    asks = {
        "role": "assistant",
        "parts": [{"type": "tool_call", "id": "c1", "name": "find", "arguments": {"a": 1}}],
    }
    found = {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "there"}]}
    add(made, 1, agent())
    add(made, 2, {**CHAT, "gen_ai.input.messages": [user], "gen_ai.output.messages": [asks]}, parent=1)
    add(made, 3, {**tool("find", "c1"), "gen_ai.tool.call.result": "there"}, parent=1)
    add(made, 4, {**CHAT, "gen_ai.input.messages": [user, asks, found, user]}, parent=1)
    [run] = runs_of(made)
    assert what(run) == [
        ("prompt", "where?"),
        ("tool_call", "find"),
        ("tool_result", "find"),
        ("prompt", "where?"),  # said a second time
    ]


def test_where_only_models_are_traced_a_call_with_a_result_is_an_action() -> None:
    made = request()
    asks = {
        "role": "assistant",
        "parts": [{"type": "tool_call", "id": "c1", "name": "find", "arguments": '{"a":1}'}],
    }
    ignored = {
        "role": "assistant",
        "parts": [{"type": "tool_call", "id": "c2", "name": "never", "arguments": {}}],
    }
    found = {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "there"}]}
    add(made, 2, {**CHAT, "gen_ai.output.messages": [asks, ignored]})
    add(made, 3, {**CHAT, "gen_ai.input.messages": [asks, found]}, parent=2)
    [run] = runs_of(made)
    call, result = told(run)
    assert (call.kind, call.tool, call.arguments) == ("tool_call", "find", {"a": 1})
    assert (result.kind, result.text, result.action_id) == ("tool_result", "there", call.action_id)


OLD_EVENTS = {
    "gen_ai.system.message": {"content": "You sort."},
    "gen_ai.user.message": {"content": "sort it"},
    "gen_ai.choice": {"message": json.dumps({"content": "sorted"}), "index": 0},
}
NUMBERED = {
    "gen_ai.prompt.0.role": "system",
    "gen_ai.prompt.0.content": "You sort.",
    "gen_ai.prompt.1.role": "user",
    "gen_ai.prompt.1.content": "sort it",
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": "sorted",
}
OPEN_INFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.input_messages.0.message.role": "system",
    "llm.input_messages.0.message.content": "You sort.",
    "llm.input_messages.1.message.role": "user",
    "llm.input_messages.1.message.contents.0.message_content.type": "text",
    "llm.input_messages.1.message.contents.0.message_content.text": "sort it",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "sorted",
}
NEW = {
    **CHAT,
    "gen_ai.system_instructions": [{"type": "text", "content": "You sort."}],
    "gen_ai.input.messages": json.dumps(
        [{"role": "user", "parts": [{"type": "text", "content": "sort it"}]}]
    ),
    "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "sorted"}]}],
}
ONE_TEXT = {
    "gen_ai.content.prompt": {
        "gen_ai.prompt": json.dumps(
            [{"role": "system", "content": "You sort."}, {"role": "user", "content": "sort it"}]
        )
    },
    "gen_ai.content.completion": {
        "gen_ai.completion": json.dumps([{"role": "assistant", "content": "sorted"}])
    },
}


@pytest.mark.parametrize(
    ("attributes", "events"),
    [(CHAT, OLD_EVENTS), ({**CHAT, **NUMBERED}, {}), (OPEN_INFERENCE, {}), (NEW, {}), (CHAT, ONE_TEXT)],
    ids=["events", "numbered", "openinference", "messages", "one text"],
)
def test_every_dialect_says_the_same(attributes: dict[str, Any], events: dict[str, Any]) -> None:
    made = request()
    add(made, 1, attributes, events=events)
    [run] = runs_of(made)
    assert what(run) == [("prompt", "You sort."), ("prompt", "sort it"), ("response", "sorted")]
    assert run.declared_text == "You sort.\nsort it"


def test_an_mcp_clients_span_tells_of_the_tool_call_above_it() -> None:
    made = request()
    add(made, 1, agent())
    add(made, 2, tool("find", a=1), parent=1)
    mcp = {"mcp.method.name": "tools/call", "server.address": "mcp.example", "server.port": 443}
    add(made, 3, mcp, parent=2, kind=3, name="tools/call find")
    [run] = runs_of(made)
    [call] = told(run)
    assert (call.tool, call.arguments, call.server) == ("find", {"a": 1}, "mcp.example:443")


def test_a_server_that_is_called_does_not_act() -> None:
    made = request()
    add(made, 3, {"mcp.method.name": "tools/call", "gen_ai.tool.name": "find"}, parent=2, kind=2)
    assert runs_of(made) == ()


def test_explicit_names_win() -> None:
    made = request(**{"ioint.actor.id": "a/9"})
    add(
        made,
        1,
        agent("other", **{"ioint.session.id": "s-1", "ioint.declared.text": "sort", "session.id": "t"}),
    )
    add(made, 2, {**tool("x"), "ioint.action.id": "act-1"}, parent=1)
    [run] = runs_of(made)
    assert (run.actor, run.session, run.declared_text) == ("a/9", "s-1", "sort")
    assert [(one.action_id, one.decided) for one in told(run)] == [("act-1", True)]


@pytest.mark.parametrize("wrong", [7, True, 2.5, ["x"], {"a": {"b": []}}, "", "{", "[1,", '{"a":', "\x00"])
def test_values_of_a_wrong_type_are_read_as_nothing(wrong: Any) -> None:
    names = (
        "gen_ai.agent.name", "gen_ai.conversation.id", "gen_ai.tool.name", "gen_ai.tool.call.id",
        "gen_ai.tool.call.arguments", "gen_ai.tool.call.result", "gen_ai.input.messages", "gen_ai.output.messages",
        "gen_ai.system_instructions", "gen_ai.usage.input_tokens", "metadata", "llm.input_messages.0.message.role",
        "llm.input_messages.x", "llm.input_messages.0", "ioint.session.id", "error.type", "mcp.method.name",
        "openinference.span.kind", "gen_ai.prompt.0.tool_calls.0", "server.address", "server.port",
    )  # fmt: skip
    made = request()
    for number, operation in enumerate(("invoke_agent", "chat", "execute_tool", wrong), 1):
        said = {**dict.fromkeys(names, wrong), "gen_ai.operation.name": operation}
        add(made, number, said, parent=number - 1, events={"gen_ai.choice": {"message": wrong}})
    for run in runs_of(made):
        told(run)


KEYS = sorted({key for said in (OLD_EVENTS, NUMBERED, OPEN_INFERENCE, NEW, ONE_TEXT) for key in said})
WORDS = st.sampled_from(
    [
        "role",
        "parts",
        "content",
        "type",
        "text",
        "tool_call",
        "id",
        "name",
        "arguments",
        "message",
        "tool_calls",
    ]
)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.integers(-(2**63), 2**63 - 1), st.booleans(), st.text(max_size=5), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=4)),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["chat", "invoke_agent", "execute_tool", "plan"]),
            st.dictionaries(st.sampled_from(KEYS), ANYTHING | ANYTHING.map(json.dumps), max_size=4),
            st.integers(0, 5),
        ),
        max_size=5,
    )
)
def test_whatever_spans_say_is_put_together(spans: list[tuple[str, dict[str, Any], int]]) -> None:
    made = request()
    for number, (operation, said, parent) in enumerate(spans, 1):
        events = {name: {"content": value, "message": value} for name, value in said.items()}
        add(made, number, {"gen_ai.operation.name": operation, **said}, parent=parent, events=events)
    if spans:
        for run in runs_of(made):
            told(run)
