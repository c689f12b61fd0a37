"""Many subscribers in one process, and when each event reached each of them.

An event carries the instant at which it was published, by the clock that all processes of a machine share; subscribers
look for that mark in whatever they are sent, so the same ones listen to a node, to the floor, and to brokers.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from ioint_node.bench.place import BenchError

AT_ONCE: Final = 50  # connections that are being made
WAIT_S: Final = 60.0
GONE_S: Final = 2.0
_MARK: Final = re.compile(rb"@T(\d+)@")
_MARK_CHARS: Final = 40


def mark() -> str:
    """The mark of an event that is published now."""
    return f"@T{time.perf_counter_ns()}@"


@dataclass(slots=True)
class Heard:
    """What all subscribers of a phase heard: the latency of each delivery in seconds."""

    latencies: list[float] = field(default_factory=list)
    ready: int = 0
    lost: int = 0
    more: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, done: Callable[[], bool], what: str) -> None:
        """Wait for something to be so.

        Raises:
            BenchError: it did not come about, or a connection was lost.
        """
        try:
            async with asyncio.timeout(WAIT_S):
                while not done():
                    if self.lost:
                        raise BenchError(f"{self.lost} subscribers were cut off")
                    self.more.clear()
                    await self.more.wait()
        except TimeoutError:
            raise BenchError(f"{what} did not happen within {WAIT_S:g} s") from None


class Subscriber(asyncio.Protocol):
    """One connection: it sends its request and listens."""

    def __init__(self, request: bytes, ready: bytes, heard: Heard) -> None:
        self._request, self._ready, self._heard = request, ready, heard
        self._is_ready = False
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        cast("asyncio.Transport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count the events in it."""
        data = self._tail + data
        if not self._is_ready and self._ready in data:
            self._is_ready = True
            self._heard.ready += 1
        now, end = time.perf_counter_ns(), 0
        for found in _MARK.finditer(data):
            self._heard.latencies.append((now - int(found[1])) / 1e9)
            end = found.end()
        self._tail = data[max(end, len(data) - _MARK_CHARS) :]
        self._heard.more.set()

    def connection_lost(self, _error: Exception | None) -> None:
        """Say so."""
        self._heard.lost += 1
        self._heard.more.set()


async def listen(
    host: str, port: int, requests: Sequence[bytes], ready: bytes
) -> tuple[Heard, list[asyncio.Transport]]:
    """Connect a subscriber for each request, and wait until all have what says that they are heard.

    Raises:
        BenchError: one could not be connected.
    """
    heard, turn = Heard(), asyncio.Semaphore(AT_ONCE)
    loop = asyncio.get_running_loop()

    async def one(request: bytes) -> asyncio.Transport:
        async with turn:
            transport, _ = await loop.create_connection(lambda: Subscriber(request, ready, heard), host, port)
        return transport

    transports = await asyncio.gather(*map(one, requests))
    await heard.until(lambda: heard.ready >= len(requests), f"{len(requests)} subscriptions")
    return heard, list(transports)


async def leave(transports: Sequence[asyncio.Transport]) -> None:
    """Let all connections go, and give the server the time to see that."""
    for transport in transports:
        transport.abort()
    await asyncio.sleep(GONE_S)
