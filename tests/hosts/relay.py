"""The weather between hosts: every connection passes a relay, which delays its bytes and breaks it now and then.

Packets are not lost here, since TCP would repair that; what a node has to live with is delay, a slow line, and
connections that end in the middle of a frame. All chance comes from one seed.
"""

from __future__ import annotations

import asyncio
import random
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tests.hosts.netns import EXCHANGE_PORT, Network, own_address, public_address, relay_address

CHUNK_BYTES: Final = 16_384
CHUNKS: Final = 16
"""In flight on one way of a connection: at most 256 KiB."""
BACKLOG: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """What happens to bytes on their way; a connection is reset once per `reset_bytes` on the average (0: never)."""

    latency_s: float = 0.002
    jitter_s: float = 0.0
    bytes_per_s: float = 10e6
    reset_bytes: float = 0.0


FAIR: Final = Weather()
STORMY: Final = Weather(latency_s=0.04, jitter_s=0.04, bytes_per_s=250e3, reset_bytes=15e3)


class _Broken(Exception):  # noqa: N818 - how a connection ends in bad weather
    """The weather ended this connection."""


class Relay:
    """Relays for the hosts of a network. `weather` may be changed at any time and holds for the next chunk."""

    def __init__(self, network: Network, seed: int) -> None:
        self._network, self._random = network, random.Random(seed)  # noqa: S311 - it has to come out the same again
        self._servers: list[asyncio.Server] = []
        self._running: dict[asyncio.Task[None], frozenset[int]] = {}
        self.weather = FAIR
        self.resets = 0
        """Connections that were ended in the middle."""

    async def serve(self, number: int, side: str) -> None:
        """Take connections to a host's public address and pass them on to the host."""

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            origin = int(writer.get_extra_info("peername")[0].rpartition(".")[2])
            self._running[task] = frozenset({origin, number})
            try:
                await self._connect(reader, writer, origin=origin, number=number, side=side)
            except asyncio.CancelledError:
                pass  # `break_links`: Python 3.11 would report the end of this task as a fault
            finally:
                writer.transport.abort()
                del self._running[task]

        listener = self._socket(side)
        listener.bind((public_address(number), EXCHANGE_PORT))
        self._servers.append(await asyncio.start_server(take, sock=listener, backlog=BACKLOG))

    def break_links(self, *numbers: int) -> None:
        """Reset every connection between these hosts; of all hosts when none is named."""
        for task, ends in self._running.items():
            if not numbers or ends <= set(numbers):
                self.resets += 1
                task.cancel()

    async def close(self) -> None:
        """Stop listening and end every connection."""
        for server in self._servers:
            server.close()
        self.break_links()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _connect(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        origin: int,
        number: int,
        side: str,
    ) -> None:
        onward = self._socket(side)
        try:
            onward.bind((relay_address(origin, side), 0))
            await asyncio.get_running_loop().sock_connect(onward, (own_address(number), EXCHANGE_PORT))
            there_reader, there_writer = await asyncio.open_connection(sock=onward)
        except OSError:
            onward.close()
            return  # nobody listens there: the dialler sees its connection end
        except asyncio.CancelledError:
            onward.close()
            raise
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._carry(reader, there_writer))
                ways.create_task(self._carry(there_reader, writer))
        except* _Broken:
            self.resets += 1
        except* OSError:
            pass  # one of the two ends is gone
        finally:
            there_writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One way of a connection, until its end."""
        clock = asyncio.get_running_loop().time
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS)

        async def arrive() -> None:
            while True:
                due, data = await under_way.get()
                await asyncio.sleep(due - clock())
                if not data:
                    with suppress(OSError):
                        writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(arrive())
            due = 0.0
            while True:
                data = await reader.read(CHUNK_BYTES)
                weather = self.weather
                if weather.reset_bytes and self._random.random() < len(data) / weather.reset_bytes:
                    raise _Broken
                # In order, however the delay of this chunk came out.
                due = max(due, clock() + weather.latency_s + weather.jitter_s * self._random.random())
                due += len(data) / weather.bytes_per_s
                await under_way.put((due, data))
                if not data:
                    return

    def _socket(self, side: str) -> socket.socket:
        made = self._network.switches[side].socket()
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return made
