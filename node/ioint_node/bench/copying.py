"""The floor of a catch-up: the same bytes over the same kind of stream, and every segment verified.

python -m ioint_node.bench.copying HOME     # one line of JSON says where it listens; ends when its input does

The one process holds what a member would answer to every pull, ready in memory, and gives it to whoever asks by number;
the other asks as a catch-up does, several logs at once, and then verifies what came. Nothing is looked up or stored.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import uvloop
from ioint_protocol import parse_segment, sync, verify_segment
from ioint_protocol.keys import peer_id
from ioint_protocol.limits import LIMITS

from ioint_node.bench.client import cpu_of
from ioint_node.bench.orders import Ready
from ioint_node.bench.place import START_S, BenchError, child
from ioint_node.bench.traffic import Members
from ioint_node.config import Keys, load_config, load_keys
from ioint_node.peers import Exchange, Handlers, PeerAddress
from ioint_node.store import log
from ioint_node.store.engine import open_store

LOGS_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """Seconds that copying and verifying took, and CPU seconds of the receiving side for both."""

    copy_s: float
    verify_s: float
    cpu_s: float


async def copy(members: Members, source: str, behind: str) -> Copied:
    """Copy everything that one member has to another, and verify it.

    Raises:
        BenchError: the other side did not start.
    """
    keys = load_keys(members.homes[behind])
    async with _served(members.homes[source]) as (ready, frames), _exchange(keys, b"") as exchange:
        exchange.set_peers(
            [PeerAddress(member=ready.member, peer_id=ready.peer_id, addresses=ready.addresses)]
        )
        while not exchange.connected():
            await exchange.wait_change()
        child = exchange.process_id
        if child is None:
            raise BenchError("the process that holds libp2p has ended")
        cpu = time.process_time() + cpu_of(child)
        begin = time.perf_counter()
        answers = await _fetch(exchange, ready.member, frames)
        copied = time.perf_counter()
        for answer in answers:
            for wire in sync.decode_pull_answer(answer):
                verify_segment(parse_segment(wire), members.consortium, members.roster)
        end = time.perf_counter()
        return Copied(
            copy_s=copied - begin,
            verify_s=end - copied,
            cpu_s=time.process_time() + cpu_of(child) - cpu,
        )


async def _fetch(exchange: Exchange, member: str, frames: int) -> Sequence[bytes]:
    async def lane(numbers: range) -> list[bytes]:
        return [await exchange.request(member, sync.PULL, number.to_bytes(4, "big")) for number in numbers]

    lanes = await asyncio.gather(*(lane(range(at, frames, LOGS_AT_ONCE)) for at in range(LOGS_AT_ONCE)))
    return [answer for found in lanes for answer in found]


@asynccontextmanager
async def _exchange(keys: Keys, frames: Sequence[bytes] | bytes) -> AsyncIterator[Exchange]:
    async def nothing(_member: str, _body: bytes) -> bytes:
        return b""

    async def pull(_member: str, body: bytes) -> bytes:
        found = frames[int.from_bytes(body, "big")]
        return found if isinstance(found, bytes) else b""

    handlers = Handlers(
        push=nothing, heads=nothing, pull=pull, announce=nothing, proof=nothing, roster=nothing
    )
    exchange = Exchange(seed=keys.node_seed, listen=("127.0.0.1", 0), handlers=handlers)
    task = asyncio.create_task(exchange.run())
    try:
        async with asyncio.timeout(START_S):
            while exchange.process_id is None or not exchange.listen_addresses():
                await exchange.wait_change()
        yield exchange
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def _served(place: Path) -> AsyncIterator[tuple[Ready, int]]:
    async with child("ioint_node.bench.copying", place) as (_, told):
        try:
            async with asyncio.timeout(START_S):
                first, second = await told.readline(), await told.readline()
        except TimeoutError:
            raise BenchError(f"the copying side was not ready within {START_S:g} s") from None
        if not second:
            raise BenchError("the copying side ended before it was ready: run `ioint doctor` on this machine")
        yield msgspec.json.decode(first, type=Ready), int(second)


async def _frames(place: Path) -> list[bytes]:
    """What this member would answer to every pull of a newcomer."""
    answers: list[list[bytes]] = []
    async with open_store(load_config(place).store_url) as store, store.read() as connection:
        for author, (height, _) in (await log.vector(connection)).items():
            wires: list[bytes] = []
            for wire in await log.segments_between(connection, author, 1, height, limit=height):
                if sum(map(len, wires)) + len(wire) > LIMITS.frame_bytes - LIMITS.record_bytes:
                    answers.append(wires)
                    wires = []
                wires.append(wire)
            answers.append(wires)
    return [sync.encode_pull_answer(wires) for wires in answers]


async def serve(place: Path) -> None:
    """Answer until standard input ends."""
    keys, homes = load_keys(place), sorted(place.parent.iterdir())
    frames = await _frames(place)
    async with _exchange(keys, frames) as exchange:
        others = [load_keys(home) for home in homes if home != place and (home / "config.toml").exists()]
        exchange.set_peers(
            [PeerAddress(member=other.member, peer_id=peer_id(other.node_public)) for other in others]
        )
        ready = Ready(
            member=keys.member,
            peer_id=peer_id(keys.node_public),
            addresses=exchange.listen_addresses(),
            child=exchange.process_id or 0,
        )
        sys.stdout.write(f"{msgspec.json.encode(ready).decode()}\n{len(frames)}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
