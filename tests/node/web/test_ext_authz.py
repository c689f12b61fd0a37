"""What a proxy is answered about bodies that may be read in more than one way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientResponse
from ioint_node.access.boundary import read_boundary

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

pytestmark = pytest.mark.network
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "send_money", "arguments": {}}}
TWICE = b'{"jsonrpc":"2.0","method":"tools/list","method":"tools/call","params":{"name":"read_file"}}'


async def ask(node: Node, data: bytes, kind: str = "application/json") -> ClientResponse:
    headers = node.headers("engine") | {"x-ioint-actor": "a-9", "Content-Type": kind}
    return await node.client.post("/ext_authz/mcp", data=data, headers=headers)


async def tools(node: Node) -> list[str]:
    await node.parts.assess.journal.settled()
    (one,) = (await node.json("/api/v1/sessions"))["items"]
    found = await node.json(f"/api/v1/sessions/{one['session_id']}")
    return [decision["step"]["verb"] for decision in found["decisions"]]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (json.dumps(CALL).encode(), "application/json"),
        (json.dumps(CALL).encode(), "text/plain"),
        (b"\xef\xbb\xbf" + json.dumps(CALL).encode(), "application/json"),
        (b" \n" + json.dumps([CALL]).encode(), "application/json; charset=utf-8"),
    ],
)
async def test_a_call_is_judged_as_the_tool_that_it_calls_whatever_the_body_says_it_is(
    node: Node, data: bytes, kind: str
) -> None:
    answer = await ask(node, data, kind)
    assert answer.status == 200
    assert "x-ioint-error" not in answer.headers
    assert await tools(node) == ["pay"]


@pytest.mark.parametrize(
    "data",
    [
        TWICE,
        json.dumps(CALL).encode("utf-16"),
        b'{"jsonrpc":"2.0"',
        b"[" * 64,
        json.dumps([CALL] * 33).encode(),
    ],
)
async def test_what_cannot_be_judged_goes_through_an_observing_node_and_is_counted(
    node: Node, data: bytes
) -> None:
    answer = await ask(node, data)
    assert (answer.status, answer.headers.get("x-ioint-error")) == (200, "not_judged")
    assert node.parts.refusals["not_judged"] == 1


async def test_where_a_boundary_is_loaded_what_cannot_be_judged_is_refused(node: Node) -> None:
    loaded = read_boundary(b'{"schema":"ioint.boundary/1","default":"permit","rules":[]}')
    object.__setattr__(node.parts, "boundary", lambda: loaded)
    assert (await ask(node, TWICE)).status == 400
    assert (await ask(node, json.dumps(CALL).encode())).status == 200
