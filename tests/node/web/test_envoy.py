"""The real Envoy asks the node before it lets an agent's request through to what is behind it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientResponse, ClientSession, web

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

ENVOY = Path(sys.executable).with_name("envoy")
pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(
        not ENVOY.exists() and not os.environ.get("CI"), reason="Envoy has no wheel for this machine"
    ),
]
READY_S = 20


@dataclass(kw_only=True)
class Proxied:
    """An Envoy in front of a server that remembers what reached it."""

    client: ClientSession
    reached: list[dict[str, str]] = field(default_factory=list)

    async def call(self, tool: str, arguments: dict[str, Any], **headers: str) -> ClientResponse:
        body = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": tool, "arguments": arguments},
        }
        return await self.client.post("/mcp", json=body, headers={"x-agent": "a-9"} | headers)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(name: str, port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(port)}}
    return {
        "name": name,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _configuration(node: Node, port: int, behind: int) -> dict[str, Any]:
    types = "type.googleapis.com/envoy.extensions.filters"
    authz = {
        "@type": f"{types}.http.ext_authz.v3.ExtAuthz",
        "failure_mode_allow": False,
        "with_request_body": {"max_request_bytes": 65_536, "allow_partial_message": False},
        "http_service": {
            "server_uri": {"uri": node.url, "cluster": "ioint", "timeout": "5s"},
            "path_prefix": "/ext_authz",
            "authorization_request": {
                "headers_to_add": [{"key": "authorization", "value": f"Bearer {node.keys['engine']}"}],
            },
            "authorization_response": {"allowed_upstream_headers": {"patterns": [{"prefix": "x-ioint-"}]}},
        },
        "allowed_headers": {"patterns": [{"prefix": "x-ioint-"}, {"exact": "content-type"}]},
    }
    # The agent's authenticated name takes the place of whatever the agent itself says there.
    named = {
        "@type": f"{types}.http.header_mutation.v3.HeaderMutation",
        "mutations": {
            "request_mutations": [
                {
                    "append": {
                        "header": {"key": "x-ioint-actor", "value": "%REQ(x-agent)%"},
                        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                    }
                }
            ]
        },
    }
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "behind"}}],
                }
            ]
        },
        "http_filters": [
            {"name": "named", "typed_config": named},
            {"name": "authz", "typed_config": authz},
            {"name": "router", "typed_config": {"@type": f"{types}.http.router.v3.Router"}},
        ],
    }
    listener = {
        "name": "in",
        "address": _address(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    clusters = [_cluster("ioint", node.port), _cluster("behind", behind)]
    return {"static_resources": {"listeners": [listener], "clusters": clusters}}


@pytest.fixture
async def proxied(node: Node, tmp_path: Path) -> AsyncIterator[Proxied]:
    reached: list[dict[str, str]] = []

    async def serve(request: web.Request) -> web.Response:
        reached.append(dict(request.headers))
        return web.json_response({"jsonrpc": "2.0", "id": 1, "result": {}})

    behind = web.Application()
    behind.router.add_route("*", "/{path:.*}", serve)
    runner = web.AppRunner(behind)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    behind_port = runner.addresses[0][1]
    port = _free_port()
    config = tmp_path / "envoy.json"
    config.write_text(json.dumps(_configuration(node, port, behind_port)))
    async with _envoy(config, tmp_path), ClientSession(base_url=f"http://127.0.0.1:{port}") as client:
        await _answers(port)
        yield Proxied(client=client, reached=reached)
    await runner.cleanup()


@asynccontextmanager
async def _envoy(config: Path, folder: Path) -> AsyncIterator[None]:
    program = str(ENVOY) if ENVOY.exists() else shutil.which("envoy") or "envoy"
    arguments = ("-c", str(config), "--disable-hot-restart", "--concurrency", "1", "-l", "error")
    with (folder / "envoy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(program, *arguments, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            await process.wait()


async def _answers(port: int) -> None:
    """Wait until the proxy takes connections."""
    async with asyncio.timeout(READY_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)  # nothing tells when another's program listens
            else:
                writer.close()
                return


async def test_what_the_node_allows_goes_through_with_what_it_said(proxied: Proxied) -> None:
    answer = await proxied.call("read_file", {"path": "invoice.txt"})
    assert answer.status == 200
    assert proxied.reached[0]["x-ioint-verdict"] in ("in_scope", "borderline", "out_of_scope")
    answer = await proxied.client.get("/v1/orders/12345", headers={"x-agent": "a-9"})
    assert answer.status == 200


async def test_a_base_decision_of_the_proxy_is_not_widened(proxied: Proxied) -> None:
    headers = {"x-ioint-base-decision": "false"}
    answer = await proxied.call("read_file", {"path": "invoice.txt"}, **headers)
    assert answer.status == 403
    assert (await answer.json())["title"] == "Not allowed"
    assert not proxied.reached


async def test_an_agent_cannot_name_itself_as_another(proxied: Proxied, node: Node) -> None:
    await proxied.call("read_file", {"path": "a.txt"}, **{"x-ioint-actor": "a-1"})
    agents = await node.json("/api/v1/agents")
    assert [one["id"] for one in agents["items"]] == ["a-9"]
