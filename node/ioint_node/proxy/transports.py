"""How the proxy reaches the server behind it: a command that it starts, or an address of streamable HTTP."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
    mcp_param_headers,
    x_mcp_header_map,
)
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types import PROTOCOL_VERSION_META_KEY, JSONRPCMessage, JSONRPCRequest

from ioint_node.errors import ConfigError
from ioint_node.proxy.messages import meta_of
from ioint_node.proxy.relay import Dress, Plain, Side

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
CONNECT_S: Final = 30.0
READ_S: Final = 300.0  # of silence within an answer


class Headers:
    """What streamable HTTP wants to read in headers, of each message that goes to the server."""

    def __init__(self) -> None:
        self._version: str | None = None
        self._maps: dict[str, dict[tuple[str, ...], str]] = {}

    def __call__(self, message: JSONRPCMessage) -> SessionMessage:
        """The message with its headers."""
        headers = self._of(message) if isinstance(message, JSONRPCRequest) else {}
        if not headers and self._version is not None:
            headers = {MCP_PROTOCOL_VERSION_HEADER: self._version}
        return SessionMessage(message, metadata=ClientMessageMetadata(headers=headers) if headers else None)

    def heard(self, request: JSONRPCRequest, result: Mapping[str, Any]) -> None:
        """Take in the version that was agreed on, and which arguments of tools are wanted as headers."""
        if request.method == "initialize" and isinstance(version := result.get("protocolVersion"), str):
            self._version = version
        tools = result.get("tools") if request.method == "tools/list" else None
        for tool in tools if isinstance(tools, list) else ():
            if isinstance(tool, dict) and isinstance(name := tool.get("name"), str):
                self._maps[name] = x_mcp_header_map(tool.get("inputSchema"))

    def _of(self, request: JSONRPCRequest) -> dict[str, str]:
        version, params = meta_of(request).get(PROTOCOL_VERSION_META_KEY), request.params or {}
        if not isinstance(version, str):
            return {}
        headers = {MCP_PROTOCOL_VERSION_HEADER: version, MCP_METHOD_HEADER: request.method}
        key = NAME_BEARING_METHODS.get(request.method)
        if key is not None and isinstance(name := params.get(key), str):
            headers[MCP_NAME_HEADER] = encode_header_value(name)
            if request.method == "tools/call" and name in self._maps:
                headers |= mcp_param_headers(self._maps[name], params.get("arguments") or {})
        return headers


@asynccontextmanager
async def start_command(words: Sequence[str]) -> AsyncIterator[tuple[Side, Dress]]:
    """Start a server that speaks over its standard streams; it ends when the block is left.

    It has the whole environment of the proxy, as it would have without one.

    Raises:
        ConfigError: there is no such command.
    """
    if shutil.which(words[0]) is None:
        raise ConfigError(f"{words[0]} is no command here: check what stands after --")
    command = StdioServerParameters(command=words[0], args=list(words[1:]), env=dict(os.environ))
    async with stdio_client(command) as (read, write):
        yield Side(read=read, write=write), Plain()


@asynccontextmanager
async def reach_address(url: str, headers: Mapping[str, str]) -> AsyncIterator[tuple[Side, Dress]]:
    """Reach a server at an address of streamable HTTP.

    Raises:
        ConfigError: no such address, or one to which what passes could be read on the way.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f"{url[:200]!r} is no address: give https://HOST/PATH")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ConfigError(f"{parts.hostname} is another machine: use https")
    async with (
        httpx2.AsyncClient(headers=dict(headers), timeout=httpx2.Timeout(CONNECT_S, read=READ_S)) as client,
        streamable_http_client(url, http_client=client) as (read, write),
    ):
        yield Side(read=read, write=write), Headers()
