"""The measured consortium as the measuring process sees it: members in processes of their own, and who meets whom."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec

from ioint_node.bench.client import cpu_of
from ioint_node.bench.orders import LINE_BYTES, Done, Meet, Order, Ready, Rest
from ioint_node.bench.place import START_S, STOP_S, BenchError

ORDER_S = 60.0
Topology: TypeAlias = Callable[[int, int], bool]
"""Whether two members, by number, meet."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds so far, of nodes and of the processes that hold their libp2p."""

    nodes: float
    children: float

    @property
    def all(self) -> float:
        """Of both."""
        return self.nodes + self.children

    def since(self, before: Cpu) -> Cpu:
        """What was used after `before`."""
        return Cpu(self.nodes - before.nodes, self.children - before.children)


def full(one: int, other: int) -> bool:
    """Everybody meets everybody."""
    return one != other


def line(one: int, other: int) -> bool:
    """Everybody meets the one before and the one after."""
    return abs(one - other) == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A member's process, and what it said when it was ready."""

    process: asyncio.subprocess.Process
    told: Ready

    async def ask(self, order: Order, *, wait_s: float = ORDER_S) -> Done:
        """Give an order and wait until it is carried out.

        Raises:
            BenchError: it was not in time, or the process has ended.
        """
        writer, reader = self.process.stdin, self.process.stdout
        if writer is None or reader is None:
            raise BenchError("a member's pipes are not there")
        writer.write(msgspec.json.encode(order) + b"\n")
        name = type(order).__name__.lower()
        try:
            async with asyncio.timeout(wait_s):
                answer = await reader.readline()
        except TimeoutError:
            raise BenchError(f"a member did not carry out the order to {name} within {wait_s:g} s") from None
        if not answer:
            raise BenchError(f"a member's process ended while it carried out the order to {name}")
        return msgspec.json.decode(answer, type=Done)


@dataclass(frozen=True, slots=True)
class Network:
    """All members, in their order."""

    seats: tuple[Seat, ...]

    async def meet(self, topology: Topology, *, wait_s: float = ORDER_S) -> list[Done]:
        """Connect the members so, and no others."""
        return await asyncio.gather(
            *(seat.ask(Meet(self._met(at, topology)), wait_s=wait_s) for at, seat in enumerate(self.seats))
        )

    async def rest(self) -> None:
        """Wait until nothing waits to be sent anywhere."""
        await self.all(Rest())

    async def all(self, order: Order) -> list[Done]:
        """Give everybody the same order."""
        return await asyncio.gather(*(seat.ask(order) for seat in self.seats))

    def cpu(self) -> Cpu:
        """CPU seconds of all members so far.

        Raises:
            BenchError: a process has ended.
        """
        try:
            return Cpu(
                sum(cpu_of(seat.process.pid) for seat in self.seats),
                sum(cpu_of(seat.told.child) for seat in self.seats),
            )
        except OSError:
            raise BenchError("a member's process, or its libp2p, ended while it was measured") from None

    def _met(self, at: int, topology: Topology) -> tuple[Ready, ...]:
        return tuple(other.told for number, other in enumerate(self.seats) if topology(at, number))


@asynccontextmanager
async def network(homes: Sequence[Path], records: Sequence[int]) -> AsyncIterator[Network]:
    """A process for the member in each of these homes, which flushes a segment at so many records.

    Raises:
        BenchError: one did not start.
    """
    processes: list[asyncio.subprocess.Process] = []
    try:
        for place, flush in zip(homes, records, strict=True):
            processes.append(await _start(place, flush))
        yield Network(tuple(await asyncio.gather(*map(_seated, processes))))
    finally:
        await asyncio.gather(*map(_stop, processes))


async def _start(place: Path, records: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ioint_node.bench.member",
        str(place),
        str(records),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=LINE_BYTES,
    )


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()


async def _seated(process: asyncio.subprocess.Process) -> Seat:
    if process.stdout is None:
        raise BenchError("a member's pipes are not there")
    try:
        async with asyncio.timeout(START_S):
            first = await process.stdout.readline()
    except TimeoutError:
        raise BenchError(f"a member was not ready within {START_S:g} s") from None
    if not first:
        raise BenchError("a member ended before it was ready: run `ioint doctor` on this machine")
    return Seat(process=process, told=msgspec.json.decode(first, type=Ready))
