"""Requests between two nodes through libp2p: `python docs/measurements/exchange.py`, about half a minute.

Two exchanges in this process, each with its child, over loopback: one request at a time and eight at once (on
four protocols two wait), bodies of one record, of a segment of 64 records and of the largest segment. CPU is that
of both children and of both sides of the pipe, which share this process.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ioint_node.peers import PROTOCOLS, PUSH, Exchange, Handlers, PeerAddress, PeerLimits

SIZES = {"one record": 500, "64 records": 32_000, "largest segment": 262_144}
SECONDS = 3.0
# The rate that a member is held to would be what is measured.
LIMITS = PeerLimits(bytes_per_s_per_peer=2**30, burst_bytes_per_peer=2**30)


async def acknowledge(member: str, body: bytes) -> bytes:
    """Answer as short as the answer to a push is."""
    return b'{"r":"accepted","why":""}'


@asynccontextmanager
async def exchange(seed: bytes) -> AsyncIterator[Exchange]:
    """An exchange that listens."""
    handlers = Handlers(push=acknowledge, heads=acknowledge, pull=acknowledge, roster=acknowledge)
    made = Exchange(seed=seed, listen=("127.0.0.1", 0), handlers=handlers, limits=LIMITS)
    task = asyncio.create_task(made.run())
    try:
        while not made.listen_addresses():
            await made.wait_change()
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def cpu_s(*processes: int | None) -> float:
    """CPU seconds of this process and of others so far."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in processes]
    return time.process_time() + sum(int(f[11]) + int(f[12]) for f in fields) / os.sysconf("SC_CLK_TCK")


async def measure(sender: Exchange, receiver: Exchange, size: int, protocols: tuple[str, ...]) -> str:
    """One row: requests and megabytes a second, median and 99th percentile, CPU a request."""
    times: list[float] = []
    end = time.monotonic() + SECONDS

    async def send(protocol: str) -> None:
        while (begin := time.monotonic()) < end:
            await sender.request("receiver", protocol, b"x" * size)
            times.append(time.monotonic() - begin)

    before = cpu_s(sender.process_id, receiver.process_id)
    async with asyncio.TaskGroup() as tasks:
        for protocol in protocols:
            tasks.create_task(send(protocol))
    cpu_ms = 1000 * (cpu_s(sender.process_id, receiver.process_id) - before) / len(times)
    times.sort()
    rate = len(times) / SECONDS
    p50, p99 = 1000 * times[len(times) // 2], 1000 * times[len(times) * 99 // 100]
    return f"{rate:.0f} | {rate * size / 1e6:.1f} | {p50:.1f} | {p99:.1f} | {cpu_ms:.1f}"


async def main() -> None:
    """Print the table."""
    print(
        "| body | at once | requests/s | MB/s | p50 ms | p99 ms | CPU ms a request |\n|---|---|---|---|---|---|---|"
    )
    async with exchange(b"s" * 32) as sender, exchange(b"r" * 32) as receiver:
        assert sender.peer_id is not None  # noqa: S101 - both listen
        assert receiver.peer_id is not None  # noqa: S101
        receiver.set_peers([PeerAddress(member="sender", peer_id=sender.peer_id)])
        address = PeerAddress(
            member="receiver", peer_id=receiver.peer_id, addresses=receiver.listen_addresses()
        )
        sender.set_peers([address])
        while not sender.connected():
            await sender.wait_change()
        for name, size in SIZES.items():
            for protocols in ((PUSH,), PROTOCOLS * 2):
                row = await measure(sender, receiver, size, protocols)
                print(f"| {name}, {size} bytes | {len(protocols)} | {row} |", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
