"""What a push is measured beside: NATS and Redis, in a process of their own, spoken to as their protocols have it."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from ioint_node.bench.place import START_S, STOP_S, BenchError

SUBJECT: Final = "events"
BETWEEN_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """How a broker is started, subscribed to and published to; `greeting` is sent by whoever publishes, first."""

    name: str
    program: str
    options: Callable[[int], tuple[str, ...]]
    subscribe: bytes
    ready: bytes
    greeting: bytes
    publish: Callable[[bytes], bytes]


def _nats(body: bytes) -> bytes:
    return b"PUB %b %d\r\n%b\r\n" % (SUBJECT.encode(), len(body), body)


def _redis(body: bytes) -> bytes:
    words = (b"PUBLISH", SUBJECT.encode(), body)
    return b"*3\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


BROKERS: Final = (
    Broker(
        name="nats",
        program="nats-server",
        options=lambda port: ("-a", "127.0.0.1", "-p", str(port)),
        subscribe=b'CONNECT {"verbose":false}\r\nSUB %b 1\r\nPING\r\n' % SUBJECT.encode(),
        ready=b"PONG",
        greeting=b'CONNECT {"verbose":false}\r\n',
        publish=_nats,
    ),
    Broker(
        name="redis",
        program="redis-server",
        options=lambda port: (
            "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
        ),
        subscribe=b"SUBSCRIBE %b\r\n" % SUBJECT.encode(),
        ready=b"subscribe",
        greeting=b"",
        publish=_redis,
    ),
)  # fmt: skip


@asynccontextmanager
async def running(broker: Broker) -> AsyncIterator[tuple[int, int] | None]:
    """The broker on a free port of this machine: the port and its process; None where it is not installed.

    Raises:
        BenchError: it did not start.
    """
    program = shutil.which(broker.program)
    if program is None:
        yield None
        return
    port = _free_port()
    process = await asyncio.create_subprocess_exec(
        program,
        *broker.options(port),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _listening(port, broker)
        yield port, process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), STOP_S)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


async def _listening(port: int, broker: Broker) -> None:
    try:
        async with asyncio.timeout(START_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(BETWEEN_S)
                    continue
                writer.close()
                return
    except TimeoutError:
        raise BenchError(f"{broker.program} did not listen within {START_S:g} s") from None
