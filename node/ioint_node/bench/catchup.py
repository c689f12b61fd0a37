"""`ioint bench catchup`: a member who missed everything brings it over from another, beside copying the same bytes.

Two whole nodes, each a process of its own with its libp2p in another, exchange over loopback. The one holds the logs of
the others; the other holds nothing but the roster. Counted is from the order to meet until the last segment is on disk
and believed, the handshake included. In the same round the same bytes are copied over the same kind of stream and
verified, and no more. CPU seconds are those of the receiving side, with the process that holds its libp2p.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ioint_node.admission import Accepted
from ioint_node.bench.client import cpu_of
from ioint_node.bench.copying import Copied, copy
from ioint_node.bench.figures import SCHEMA, brief, machine, middle, percentile, versions
from ioint_node.bench.ingest import ANSWER_SEGMENTS, FULL_RECORDS, Traffic, receiving
from ioint_node.bench.network import full, network
from ioint_node.bench.orders import Follow
from ioint_node.bench.place import BenchError, home
from ioint_node.bench.traffic import Members, gather, logs

WAIT_S: Final = 600.0
Say = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured: rounds, authors, and the full segments of each."""

    rounds: int = 3
    authors: int = 20
    segments: int = 20


FULL = Scale()
SHORT = Scale(rounds=1, authors=3, segments=2)


@dataclass(slots=True)
class Found:
    """Of each round: seconds and CPU seconds of the catch-up, and what copying took."""

    seconds: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    copied: list[Copied] = field(default_factory=list)


async def bench_catchup(scale: Scale, say: Say) -> dict[str, Any]:
    """Measure, and return the document of the contract; `say` hears how many phases are done and how many there are.

    Raises:
        BenchError: a part did not start, or something did not arrive.
    """
    found, total = Found(), 2 * scale.rounds + 1
    with home() as root:
        members = await gather(root, 2 + scale.authors)
        source, behind, *authors = members.homes
        size = await _fill(members, source, authors, scale)
        empty = root / "empty"
        shutil.copytree(members.homes[behind], empty)
        say(1, total)
        for number in range(scale.rounds):
            shutil.rmtree(members.homes[behind])
            shutil.copytree(empty, members.homes[behind])
            await _catch_up(members, source, behind, dict.fromkeys(authors, scale.segments), found)
            say(2 * number + 2, total)
            found.copied.append(await copy(members, source, behind))
            say(2 * number + 3, total)
    return _document(found, scale, size)


async def _fill(members: Members, source: str, authors: list[str], scale: Scale) -> int:
    """Let the one member receive the logs of all others; returns the bytes of their segments."""
    now = time.time_ns() // 1_000_000
    traffic, size = Traffic(logs(members, authors, now)), 0
    async with receiving(members, source) as (_, intake):
        for author in authors:
            wires = [traffic.logs[author].segment(FULL_RECORDS) for _ in range(scale.segments)]
            size += sum(map(len, wires))
            for at in range(0, len(wires), ANSWER_SEGMENTS):
                for decision in await intake.receive_all(wires[at : at + ANSWER_SEGMENTS], author):
                    if not isinstance(decision, Accepted):
                        raise BenchError(f"a segment was not accepted: {decision.reason}")
    return size


async def _catch_up(
    members: Members, source: str, behind: str, heights: dict[str, int], found: Found
) -> None:
    places: list[Path] = [members.homes[source], members.homes[behind]]
    async with network(places, [FULL_RECORDS] * 2) as made:
        receiver = made.seats[1]
        processes = (receiver.process.pid, receiver.told.child)
        cpu, begin = sum(map(cpu_of, processes)), time.monotonic_ns()
        await made.meet(full, wait_s=WAIT_S)
        ends = [
            max((await receiver.ask(Follow(author, 0, height), wait_s=WAIT_S)).times)
            for author, height in heights.items()
        ]
        found.cpu_s.append(sum(map(cpu_of, processes)) - cpu)
        found.seconds.append((max(ends) - begin) / 1e9)


def _document(found: Found, scale: Scale, size: int) -> dict[str, Any]:
    records = scale.authors * scale.segments * FULL_RECORDS
    floor_s = [one.copy_s + one.verify_s for one in found.copied]
    rate = middle([records / cpu_s for cpu_s in found.cpu_s])
    floor = middle([records / one.cpu_s for one in found.copied])
    return {
        "schema": SCHEMA,
        "job": "catchup",
        "p50_ms": percentile(found.seconds, 50),
        "p99_ms": percentile(found.seconds, 99),
        "per_cpu_s": round(rate),
        "floor_per_cpu_s": round(floor),
        "ratio": brief(rate / floor),
        "times_floor": brief(
            middle([took / least for took, least in zip(found.seconds, floor_s, strict=True)])
        ),
        "seconds": [round(one, 2) for one in found.seconds],
        "copy_s": [round(one.copy_s, 2) for one in found.copied],
        "verify_s": [round(one.verify_s, 2) for one in found.copied],
        "records": records,
        "megabytes": round(size / 1e6, 1),
        "authors": scale.authors,
        "lifted": ["segments_per_hour", "records_per_hour"],
        "peers": {},
        "rounds": scale.rounds,
        "machine": machine(),
        "versions": versions("libp2p", "pynacl", "trio"),
    }
