"""One connection from its first message to its last."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Self

import anyio
from mcp.server.stdio import stdio_server

from ioint_node.client import AsyncClient, ClientError
from ioint_node.proxy.judge import Judge, Terms
from ioint_node.proxy.limits import ProxyLimits
from ioint_node.proxy.relay import Dress, Relay, ServerEnded, Side
from ioint_node.proxy.transports import reach_address, start_command

log = logging.getLogger(__name__)


async def proxy(
    client: AsyncClient,
    terms: Terms,
    *,
    command: Sequence[str] = (),
    url: str | None = None,
    headers: Mapping[str, str] | None = None,
    declare_tool: bool = False,
) -> None:
    """Serve one MCP client over the standard streams, until it leaves.

    Raises:
        ServerEnded: the server ended first.
        ConfigError: the server cannot be started or reached.
    """
    upstream: AbstractAsyncContextManager[tuple[Side, Dress]]
    upstream = start_command(command) if url is None else reach_address(url, headers or {})
    ended: ServerEnded | None = None
    async with (
        client,
        upstream as (server, dress),
        _standard_streams(terms.limits) as own,
        _beside(client, terms.limits),
    ):
        judge = Judge(client, terms)
        relay = Relay(own, server, judge, dress=dress, declare_tool=declare_tool)
        outcome = "aborted"
        try:
            await relay.run()
            outcome = "done"
        except ServerEnded as error:
            outcome, ended = "failed", error
        finally:
            # The client waits for our end, and not for long: the node hears it before the server is waited for.
            with anyio.move_on_after(terms.limits.close_s, shield=True):
                await judge.close(outcome)
    if ended is not None:
        raise ended


class _Lines:
    """The lines of standard input, for the transport of the SDK; unlike its own, reading them can be given up."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        line = await self._reader.readline()
        if not line:
            raise StopAsyncIteration
        return line.decode("utf-8", "replace")


@asynccontextmanager
async def _standard_streams(limits: ProxyLimits) -> AsyncIterator[Side]:
    reader = asyncio.StreamReader(limit=limits.message_bytes)
    loop = asyncio.get_running_loop()
    pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    lines: Any = _Lines(reader)
    try:
        # Leaving it waits until what writes to the client is closed, which is ours to do.
        async with stdio_server(stdin=lines) as (read, write), write:
            yield Side(read=read, write=write)
    finally:
        pipe.close()


@asynccontextmanager
async def _beside(client: AsyncClient, limits: ProxyLimits) -> AsyncIterator[None]:
    """While messages pass: what waits for the node is sent, and what it tells is heard."""
    tasks = [asyncio.create_task(_flush(client, limits)), asyncio.create_task(_follow(client))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def _flush(client: AsyncClient, limits: ProxyLimits) -> None:
    while True:
        await asyncio.sleep(limits.flush_s)
        if client.counts["backlog"]:
            await client.flush()


async def _follow(client: AsyncClient) -> None:
    try:
        async for event in client.events():
            log.debug("heard %s", event.event)
    except ClientError as error:  # an agent's token does not open the stream
        log.debug("the stream is not followed: %s", error)
