"""One connection from its first message to its last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress

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
    judge, outcome = Judge(client, terms), "aborted"
    async with client:
        try:
            async with (
                upstream as (server, dress),
                stdio_server() as (read, write),
                _beside(client, terms.limits),
            ):
                relay = Relay(
                    Side(read=read, write=write), server, judge, dress=dress, declare_tool=declare_tool
                )
                await relay.run()
            outcome = "done"
        except ServerEnded:
            outcome = "failed"
            raise
        finally:
            with anyio.move_on_after(terms.limits.close_s, shield=True):
                await judge.close(outcome)


class _beside(AbstractAsyncContextManager[None]):  # noqa: N801 - read as a word of the block it opens
    """What goes on beside the messages: what waits for the node is sent, and what it tells is heard."""

    def __init__(self, client: AsyncClient, limits: ProxyLimits) -> None:
        self._client = client
        self._limits = limits
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> None:
        self._tasks = [asyncio.create_task(self._flush()), asyncio.create_task(self._follow())]

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(self._limits.flush_s)
            if self._client.counts["backlog"]:
                await self._client.flush()

    async def _follow(self) -> None:
        try:
            async for event in self._client.events():
                log.debug("heard %s", event.event)
        except ClientError as error:  # an agent's token does not open the stream
            log.debug("the stream is not followed: %s", error)
