"""`ioint bench propagate`: what one member says, on disk and believed at all others, beside its floor and gossipsub.

Five members, each the whole node in a process of its own with its libp2p in another, exchange over loopback. In every
round they all meet, and three of them in turn send bursts, in segments of 1, 64 and 256 records; then each meets its
neighbours in a line only, and the first sends single records at a pace, which three others must pass on before the last
has them. The floor and gossipsub do the same in the same round, so that the ratios hold on a busy machine too.

A *delivery* is one record on disk and believed at one other member. CPU seconds are those of all ten processes, from
the first signature until nothing waits to be sent anywhere. Latencies are from the commit at who sends to the commit at
who receives, by the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ioint_taxonomy import load_catalogue, load_taxonomy

from ioint_node.bench.consortium import found
from ioint_node.bench.figures import SCHEMA, Rounds, brief, machine, middle, per_cpu, percentile, versions
from ioint_node.bench.gossipsub import Gossipsub, Load
from ioint_node.bench.network import Cpu, Network, Seat, full, line, network
from ioint_node.bench.orders import Follow, Note, Pace, Send
from ioint_node.bench.place import home
from ioint_node.bench.relay import relay
from ioint_node.bench.sayings import Speaker
from ioint_node.scoring.model import load_model
from ioint_node.store.engine import WriterLimits
from ioint_node.store.times import day_of

SIZES: Final = (1, 64, 256)  # records of a segment: each of the first members keeps to one
JUDGED: Final = 64  # the size whose rate is the job's
EVERY_S: Final = 0.1  # between two single records in the line
NS: Final = 1_000_000_000
WIRE: Final = ("libp2p", "pynacl", "trio")
ABSENT: Final = {"absent": "name a folder where its packages are installed with --gossipsub"}
Say = Callable[[int, int], None]
Phase = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured: rounds, members, and in each round bursts by size of segment, and single records.

    A burst is of `segments`, at most what one flush signs. `frames` are the floor's of each size, `messages`
    gossipsub's by the records in each.
    """

    rounds: int = 5
    members: int = 5
    bursts: Mapping[int, int] = field(default_factory=lambda: {1: 4, 64: 2, 256: 1})
    segments: Mapping[int, int] = field(default_factory=lambda: {1: 16, 64: 16, 256: 8})
    singles: int = 40
    frames: Mapping[int, int] = field(default_factory=lambda: {1: 2_000, 64: 400, 256: 100})
    messages: Mapping[int, int] = field(default_factory=lambda: {1: 400, JUDGED: 100})


FULL = Scale()
SHORT = Scale(
    rounds=1,
    members=3,
    bursts={1: 1, 64: 1, 256: 1},
    segments={1: 8, 64: 2, 256: 1},
    singles=8,
    frames={1: 40, 64: 10, 256: 4},
    messages={1: 40, JUDGED: 10},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """What a burst took: CPU seconds of all, those of noting its records before, its latencies, and how long it took.

    All in seconds. `records` are those of the burst, `receivers` the members that each had to reach.
    """

    records: int
    receivers: int
    cpu: Cpu
    noting_s: float
    latencies: tuple[float, ...]
    wall_s: float


@dataclass(slots=True)
class Sender:
    """A member who sends, how many records its segments hold, and the number of its next record."""

    seat: Seat
    size: int
    next: int = 0

    def take(self, count: int) -> int:
        """The first of so many numbers that it has not used."""
        first, self.next = self.next, self.next + count
        return first


@dataclass(slots=True)
class Result:
    """What the rounds found: bursts by size, and rates and latencies of the rest by name."""

    bursts: dict[int, list[Burst]] = field(default_factory=lambda: {size: [] for size in SIZES})
    rounds: Rounds = field(default_factory=Rounds)


async def bench_propagate(scale: Scale, gossipsub: Gossipsub | None, say: Say) -> dict[str, Any]:
    """Measure, and return the document of the contract; `say` hears how many phases are done and how many there are.

    Raises:
        BenchError: a part did not start, or something did not arrive.
    """
    result = Result()
    async with AsyncExitStack() as stack:
        homes = await _homes(stack.enter_context(home()), scale.members)
        sizes = [SIZES[min(at, len(SIZES) - 1)] for at in range(scale.members)]
        made = await stack.enter_async_context(network(homes, sizes))
        senders = [Sender(seat, size) for seat, size in zip(made.seats, SIZES, strict=False)]
        phases = [*_own(made, senders, scale, result), *_beside(scale, gossipsub, result)]
        await made.meet(full)
        for sender in senders:
            await _burst(made, sender, 1)  # not counted: the first of its kind compiles statements
        done, total = 0, scale.rounds * len(phases)
        for _ in range(scale.rounds):
            for phase in phases:
                await phase()
                done += 1
                say(done, total)
    return _document(result, scale, gossipsub)


async def _homes(root: Path, members: int) -> list[Path]:
    homes = [root / f"member{number}" for number in range(members)]
    await found(homes)
    return homes


def _own(made: Network, senders: Sequence[Sender], scale: Scale, result: Result) -> list[Phase]:
    """The phases that measure the members themselves."""

    async def bursts() -> None:
        await made.meet(full)
        await made.rest()
        for sender in senders:
            for _ in range(scale.bursts[sender.size]):
                burst = await _burst(made, sender, scale.segments[sender.size])
                result.bursts[sender.size].append(burst)

    async def singles() -> None:
        met = await made.meet(line)
        first, last = senders[0], made.seats[-1]
        await first.seat.ask(Pace(first.take(scale.singles), scale.singles, EVERY_S))
        follow = Follow(first.seat.told.member, met[0].height, met[0].height + scale.singles)
        said, heard = await first.seat.ask(follow), await last.ask(follow)
        result.rounds.note("line", 0.0, _between(said.times, heard.times))

    return [bursts, singles]


def _beside(scale: Scale, gossipsub: Gossipsub | None, result: Result) -> list[Phase]:
    """The phases that measure what the members are compared with."""
    others = scale.members - 1
    bodies = {size: _bodies(size, frames) for size, frames in scale.frames.items()}

    async def floor() -> None:
        for size in SIZES:
            done = await relay(scale.members, bodies[size], in_line=False)
            result.rounds.note(f"floor_{size}", others * size * len(bodies[size]) / done.cpu_s)
        done = await relay(scale.members, bodies[1][: scale.singles], in_line=True, every_s=EVERY_S)
        result.rounds.note("floor_line", 0.0, done.latencies)

    async def gossip() -> None:
        if gossipsub is None:
            return
        sizes = {f"gossipsub_{size}": size for size in scale.messages}
        loads = {
            name: Load(count=scale.messages[size], bytes=len(bodies[size][0])) for name, size in sizes.items()
        }
        warm = {f"warm_{name}": load for name, load in loads.items()}  # the compiler of Node.js learns
        single = Load(count=scale.singles, bytes=len(bodies[1][0]), every_ms=round(1_000 * EVERY_S))
        heard = await gossipsub.run(scale.members, {**warm, **loads}, {"line": single})
        for name, size in sizes.items():
            result.rounds.note(name, size * heard[name].heard / heard[name].cpu_s)
        result.rounds.note("gossipsub_line", 0.0, [ms / 1_000 for ms in heard["line"].last_ms])

    return [floor, gossip]


async def _burst(made: Network, sender: Sender, segments: int) -> Burst:
    """Let a member send so many segments, and wait until all have them and nothing is under way."""
    records = segments * sender.size
    idle = made.cpu()
    noted = await sender.seat.ask(Note(sender.take(records), records))
    before = made.cpu()
    begin = time.monotonic_ns()
    await sender.seat.ask(Send())
    author = sender.seat.told.member
    seen = await made.all(Follow(author, noted.height, noted.height + segments))
    await made.rest()
    used = made.cpu().since(before)
    said = seen[made.seats.index(sender.seat)].times
    heard = [done.times for done, seat in zip(seen, made.seats, strict=True) if seat is not sender.seat]
    return Burst(
        records=records,
        receivers=len(heard),
        cpu=used,
        noting_s=before.since(idle).all,
        latencies=tuple(one for times in heard for one in _between(said, times)),
        wall_s=(max(times[-1] for times in heard) - begin) / NS,
    )


def _between(said: Sequence[int], heard: Sequence[int]) -> list[float]:
    return [(there - here) / NS for here, there in zip(said, heard, strict=True)]


def _bodies(size: int, frames: int) -> list[bytes]:
    """What the floor's frames carry: the bytes of the same records."""
    speaker = Speaker(
        taxonomy=load_taxonomy(),
        catalogue=load_catalogue(),
        detector=load_model().digest,
        today=day_of(time.time_ns() // 1_000_000),
    )
    records = speaker.bodies(range(size * frames))
    return [b"".join(next(records) for _ in range(size)) for _ in range(frames)]


def _document(result: Result, scale: Scale, gossipsub: Gossipsub | None) -> dict[str, Any]:
    rounds = result.rounds
    segments = {str(size): _segments(bursts, rounds, size) for size, bursts in result.bursts.items()}
    judged = segments[str(JUDGED)]
    every = [burst for bursts in result.bursts.values() for burst in bursts]
    return {
        "schema": SCHEMA,
        "job": "propagate",
        **_latency(rounds.latencies["line"]),
        "per_cpu_s": judged["per_cpu_s"],
        "floor_per_cpu_s": judged["floor_per_cpu_s"],
        "ratio": judged["ratio"],
        "line": {
            "members": scale.members,
            "every_s": EVERY_S,
            "records": len(rounds.latencies["line"]),
            "company_ms": round(1_000 * WriterLimits().group_s),
            **{f"floor_{name}": ms for name, ms in _latency(rounds.latencies["floor_line"]).items()},
        },
        "segments": segments,
        **_costs(result.bursts),
        "noting_us": round(1e6 * sum(b.noting_s for b in every) / sum(b.records for b in every)),
        "peers": _peers(rounds, scale, judged["per_cpu_s"], gossipsub),
        "lifted": ["segments_per_hour", "records_per_hour"],
        "deliveries": sum(burst.records * burst.receivers for burst in every),
        "rounds": scale.rounds,
        "machine": machine(),
        "versions": {**versions(*WIRE), **({} if gossipsub is None else gossipsub.versions())},
    }


def _segments(bursts: Sequence[Burst], rounds: Rounds, size: int) -> dict[str, Any]:
    """What sending in segments of one size came to."""
    rate = middle([per_cpu(burst.records * burst.receivers, burst.cpu.all) for burst in bursts])
    floor = middle(rounds.rates[f"floor_{size}"])
    cpu = sum(burst.cpu.all for burst in bursts)
    return {
        "per_cpu_s": round(rate),
        "floor_per_cpu_s": round(floor),
        "ratio": brief(rate / floor),
        "per_s": round(middle([burst.records * burst.receivers / burst.wall_s for burst in bursts])),
        **_latency([one for burst in bursts for one in burst.latencies]),
        "cpu_ms": round(_cpu_ms(bursts, size), 2),
        "libp2p_share": round(sum(burst.cpu.children for burst in bursts) / max(cpu, 1e-9), 3),
    }


def _cpu_ms(bursts: Sequence[Burst], size: int) -> float:
    """CPU of all, in milliseconds, for one segment to be believed at one other member."""
    segments = sum(burst.records * burst.receivers for burst in bursts) / size
    return 1_000 * sum(burst.cpu.all for burst in bursts) / segments


def _costs(bursts: Mapping[int, Sequence[Burst]]) -> dict[str, float]:
    """What a segment costs at one receiver whatever it holds, and what a record adds: by the line through the ends."""
    small, large = SIZES[0], SIZES[-1]
    least, most = _cpu_ms(bursts[small], small), _cpu_ms(bursts[large], large)
    record_ms = (most - least) / (large - small)
    return {"segment_ms": round(least - small * record_ms, 2), "record_us": round(1_000 * record_ms, 1)}


def _peers(rounds: Rounds, scale: Scale, rate: int, gossipsub: Gossipsub | None) -> dict[str, Any]:
    if gossipsub is None:
        return {"gossipsub": ABSENT}
    theirs = {size: middle(rounds.rates[f"gossipsub_{size}"]) for size in scale.messages}
    return {
        "gossipsub": {
            "per_cpu_s": round(theirs[1]),
            **_latency(rounds.latencies["gossipsub_line"]),
            "ratio": brief(rate / theirs[1]),
            "batch_per_cpu_s": round(theirs[JUDGED]),
            "batch_ratio": brief(rate / theirs[JUDGED]),
        }
    }


def _latency(seconds: Sequence[float]) -> dict[str, float]:
    return {"p50_ms": percentile(seconds, 50), "p99_ms": percentile(seconds, 99)}
