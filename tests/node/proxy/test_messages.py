"""What MCP messages mean to the node, and how its answers read."""

from __future__ import annotations

from typing import Any

import pytest
from ioint_node.client import Decision
from ioint_node.client.values import Approval
from ioint_node.proxy import messages
from ioint_node.proxy.messages import Peer, Wanted
from ioint_node.proxy.transports import Headers
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "desk", "version": "2"},
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
}


def request(method: str, **params: Any) -> JSONRPCRequest:
    return JSONRPCRequest(jsonrpc="2.0", id=1, method=method, params=params)


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (request("tools/call", name="x", arguments={"a": 1}), Wanted(tool="x", arguments={"a": 1})),
        (request("tools/call", name="x"), Wanted(tool="x")),
        (request("tools/call", name="x", arguments="odd"), Wanted(tool="x")),
        (
            request("resources/read", uri="file:///a"),
            Wanted(tool="read_resource", arguments={"uri": "file:///a"}),
        ),
        (request("tools/list"), None),
        (request("something/new", name="x"), None),
        (request("tools/call"), None),
    ],
)
def test_calls_and_reads_are_judged_and_nothing_else(asked: JSONRPCRequest, wanted: Wanted | None) -> None:
    assert messages.wanted_of(asked) == wanted


@pytest.mark.parametrize(
    ("capabilities", "elicits"),
    [({}, False), ({"elicitation": {}}, True), ({"elicitation": {"url": {}}}, False), ("odd", False)],
)
def test_who_the_client_is_is_read_from_the_handshake(capabilities: object, elicits: bool) -> None:
    asked = request("initialize", clientInfo={"name": "desk", "version": "1"}, capabilities=capabilities)
    assert messages.peer_of(asked, Peer()) == Peer(name="desk", version="1", elicits=elicits)


def test_who_the_client_is_is_read_from_each_request_where_there_is_no_handshake() -> None:
    asked = request("tools/list", _meta=MODERN)
    assert messages.peer_of(asked, Peer()) == Peer(name="desk", version="2", elicits=True, modern=True)


def test_all_that_an_agent_could_read_is_told_of_a_result() -> None:
    result = {
        "content": [
            {"type": "text", "text": "one"},
            {"type": "resource", "resource": {"uri": "x://y", "text": "two"}},
            {"type": "resource_link", "uri": "x://z", "description": "three"},
            {"type": "image", "data": "AAAA"},
            "odd",
        ],
        "structuredContent": {"four": 4},
    }
    text = messages.result_text(result)
    assert all(word in text for word in ("one", "two", "three", "four"))
    assert "AAAA" not in text
    assert "five" in messages.result_text({"contents": [{"uri": "x", "text": "five"}]})


@pytest.mark.parametrize(
    "odd", [{}, {"content": None}, {"content": "x"}, {"contents": [1, None, {"text": 3}]}]
)
def test_an_odd_result_is_no_fault(odd: dict[str, Any]) -> None:
    assert messages.result_text(odd) == ""


def test_a_refusal_of_a_tool_is_a_result_that_says_so() -> None:
    held = Decision(action_id="a", allowed=False, response="approve", approval=Approval(id="h-1"))
    wanted = Wanted(tool="send_email")
    text = messages.refused_text(wanted, held, 2_000)
    assert "send_email" in text
    assert "h-1" in text
    answer = messages.refusal(request("tools/call", name="send_email"), text, held)
    assert isinstance(answer, JSONRPCResponse)
    assert answer.result["isError"] is True
    assert answer.result["_meta"]["ioint/decision"]["approval"] == "h-1"
    assert "resultType" not in answer.result
    modern = messages.refusal(request("tools/call", name="x", _meta=MODERN), text, held)
    assert isinstance(modern, JSONRPCResponse)
    assert modern.result["resultType"] == "complete"
    assert isinstance(messages.refusal(request("resources/read", uri="x"), text, held), JSONRPCError)


@pytest.mark.parametrize(
    ("answer", "yes"),
    [
        ({"action": "accept", "content": {"run": True}}, True),
        ({"action": "accept", "content": {"run": "true"}}, False),
        ({"action": "accept"}, False),
        ({"action": "decline", "content": {"run": True}}, False),
        ({"action": "cancel"}, False),
        (None, False),
    ],
)
def test_only_a_plain_yes_is_one(answer: object, yes: bool) -> None:
    assert messages.says_yes(answer) is yes


def test_what_is_said_of_a_tool_is_part_of_what_it_is() -> None:
    before, after = (
        messages.tools_of({"tools": [{"name": "x", "description": text}, {"odd": 1}]}) for text in ("a", "b")
    )
    assert before.keys() == after.keys() == {"x"}
    assert before != after


def test_http_reads_in_headers_what_the_message_says() -> None:
    headers = Headers()
    plain = headers(request("tools/list"))
    assert plain.metadata is None
    headers.heard(request("initialize"), {"protocolVersion": "2025-11-25"})
    note = headers(JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized"))
    assert note.metadata is not None
    assert getattr(note.metadata, "headers", None) == {"mcp-protocol-version": "2025-11-25"}
    asked = headers(request("tools/call", name="get_order", arguments={}, _meta=MODERN))
    assert getattr(asked.metadata, "headers", None) == {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "get_order",
    }
