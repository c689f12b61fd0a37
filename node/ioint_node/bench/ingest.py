"""`ioint bench ingest`: what members deliver taken in with everything on, beside its floors, in interleaved rounds.

Every round delivers to one node full segments as a catch-up brings them (eight logs at once, three segments to an
answer), then segments of one record as a hundred members push them, many at once, then some of those one after the
other. All of it is parsed, verified, checked, stored with `synchronous=FULL`, queued for those to whom it is passed on,
and believed: indicator rows and stream rows included. The floors take as many objects of a kilobyte and store them.
CPU seconds are those of the whole process, its database thread included; the node's database grows from round to round.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from ioint_taxonomy import load_catalogue, load_taxonomy
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.admission import Accepted, Limits
from ioint_node.app import YOUNG_OBJECTS
from ioint_node.bench import floors
from ioint_node.bench.figures import SCHEMA, Rounds, brief, machine, middle, percentile, versions
from ioint_node.bench.place import BenchError, home
from ioint_node.bench.traffic import Log, Members, gather, logs
from ioint_node.config import load_config
from ioint_node.flows.intake import Intake
from ioint_node.flows.parts import ExchangeParts
from ioint_node.reputation.beliefs import Beliefs
from ioint_node.reputation.dossier import DossierLimits, Dossiers
from ioint_node.store.engine import Store, open_store
from ioint_node.store.schema import outbox

FULL_RECORDS: Final = 256
ANSWER_SEGMENTS: Final = 3  # what a pull's answer holds of full segments
AUTHORS_AT_ONCE: Final = 8
CONNECTED: Final = 12  # members that are there to be told
LIFTED: Final = Limits(segments_per_hour=10**9, records_per_hour=10**9)
"""As every node has them, but for the quotas of an hour."""
Say = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured: rounds, members, and in each round segments, single records at once, and one by one."""

    rounds: int = 5
    members: int = 100
    segments: int = 72
    singles: int = 4_096
    at_once: int = 512
    alone: int = 100


FULL = Scale()
SHORT = Scale(rounds=1, members=12, segments=8, singles=64, at_once=64, alone=4)


@dataclass(slots=True)
class Traffic:
    """The logs that grow, and who delivers."""

    logs: dict[str, Log]
    turn: int = 0

    def next(self, records: int) -> tuple[str, bytes]:
        """The next segment of so many records, by the next author."""
        author = tuple(self.logs)[self.turn % len(self.logs)]
        self.turn += 1
        return author, self.logs[author].segment(records)

    def answer(self, segments: int) -> tuple[str, list[bytes]]:
        """So many full segments of the next author."""
        author, first = self.next(FULL_RECORDS)
        return author, [first, *(self.logs[author].segment(FULL_RECORDS) for _ in range(segments - 1))]


@dataclass(slots=True, kw_only=True)
class Taken:
    """What a phase took in."""

    records: int = 0
    cpu_s: float = 0.0
    latencies: list[float] = field(default_factory=list)


async def bench_ingest(scale: Scale, say: Say) -> dict[str, Any]:
    """Measure, and return the document of the contract; `say` hears how many phases are done and how many there are.

    Raises:
        BenchError: something was not accepted.
    """
    rounds, now = Rounds(), time.time_ns() // 1_000_000
    with home() as root:
        members = await gather(root, scale.members)
        us, *authors = members.homes
        traffic = Traffic(logs(members, authors, now))
        async with receiving(members, us) as (parts, intake):
            await _full(intake, traffic, ANSWER_SEGMENTS, Taken())  # not counted: statements are compiled
            gc.collect()
            gc.freeze()
            gc.set_threshold(YOUNG_OBJECTS)
            phases = _phases(intake, traffic, root, scale, rounds)
            for number in range(scale.rounds):
                for at, phase in enumerate(phases):
                    await phase(number)
                    await parts.store.write(deliver_mail)
                    say(number * len(phases) + at + 1, scale.rounds * len(phases))
            return _document(rounds, scale, intake, parts)


@asynccontextmanager
async def receiving(
    members: Members,
    us: str,
    limits: Limits = LIFTED,
    now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    held: DossierLimits | None = None,
) -> AsyncIterator[tuple[ExchangeParts, Intake]]:
    """The accept path of one member, over its own database."""
    async with open_store(load_config(members.homes[us]).store_url) as store:
        parts = replace(_parts(members, us, store), limits=limits, dossiers=Dossiers(held or DossierLimits()))
        intake = Intake(parts, now)
        task = asyncio.create_task(intake.run())
        try:
            yield parts, intake
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def _parts(members: Members, us: str, store: Store) -> ExchangeParts:
    connected = frozenset([member for member in members.homes if member != us][:CONNECTED])
    return ExchangeParts(
        store=store,
        member=us,
        record_key=None,
        roster=lambda: members.roster,
        consortium=lambda: members.consortium,
        taxonomy=load_taxonomy(),
        catalogue=load_catalogue(),
        beliefs=Beliefs(),
        publish_mode="off",
        detector="de" * 32,
        connected=lambda: connected,
    )


def _phases(
    intake: Intake, traffic: Traffic, root: Path, scale: Scale, rounds: Rounds
) -> Sequence[Callable[[int], Awaitable[None]]]:
    async def full(_: int) -> None:
        taken = Taken()
        await _full(intake, traffic, scale.segments, taken)
        rounds.note("full", taken.records / taken.cpu_s, taken.latencies)

    async def single(_: int) -> None:
        taken = Taken()
        await _singles(intake, traffic, scale.singles, scale.at_once, taken)
        rounds.note("single", taken.records / taken.cpu_s, taken.latencies)

    async def alone(_: int) -> None:
        taken = Taken()
        await _singles(intake, traffic, scale.alone, 1, taken)
        rounds.note("alone", taken.records / taken.cpu_s, taken.latencies)

    async def beside(number: int) -> None:
        # In the loop: nothing else is to be done meanwhile.
        objects = scale.segments * FULL_RECORDS
        rounds.note("floor", floors.signed_lines(root / f"lines{number}.db", objects, FULL_RECORDS))
        rounds.note("floor_each", floors.signed_each(root / f"each{number}.db", scale.singles, FULL_RECORDS))

    return (full, beside, single, alone)


async def _full(intake: Intake, traffic: Traffic, segments: int, taken: Taken) -> None:
    answers = [traffic.answer(ANSWER_SEGMENTS) for _ in range(max(1, segments // ANSWER_SEGMENTS))]
    lanes = [answers[at::AUTHORS_AT_ONCE] for at in range(AUTHORS_AT_ONCE)]
    await _deliver(intake, lanes, taken)


async def _singles(intake: Intake, traffic: Traffic, singles: int, at_once: int, taken: Taken) -> None:
    pushed = [traffic.next(1) for _ in range(singles)]
    # An author's pushes come in order: each of its segments is of use after the one before.
    lanes: list[list[tuple[str, list[bytes]]]] = [[] for _ in range(at_once)]
    for number, (author, wire) in enumerate(pushed):
        lanes[number % at_once].append((author, [wire]))
    await _deliver(intake, lanes, taken)


async def _deliver(intake: Intake, lanes: Sequence[Sequence[tuple[str, list[bytes]]]], taken: Taken) -> None:
    """Deliver what is in each lane one after the other, all lanes at once."""

    async def lane(deliveries: Sequence[tuple[str, list[bytes]]]) -> None:
        for member, wires in deliveries:
            begin = time.perf_counter()
            for decision in await intake.receive_all(wires, member):
                if not isinstance(decision, Accepted):
                    raise BenchError(f"a segment was not accepted: {decision.reason}")
                taken.records += decision.records
            taken.latencies.append(time.perf_counter() - begin)

    cpu = time.process_time()
    await asyncio.gather(*map(lane, lanes))
    taken.cpu_s += time.process_time() - cpu


async def deliver_mail(connection: AsyncConnection) -> None:
    """Nobody is there to fetch what waits for the others."""
    await connection.execute(delete(outbox))


def _document(rounds: Rounds, scale: Scale, intake: Intake, parts: ExchangeParts) -> dict[str, Any]:
    rate = {name: middle(found) for name, found in rounds.rates.items()}

    def times(name: str) -> dict[str, float]:
        found = rounds.latencies[name]
        return {"p50_ms": percentile(found, 50), "p99_ms": percentile(found, 99)}

    return {
        "schema": SCHEMA,
        "job": "ingest",
        **times("full"),
        "per_cpu_s": round(rate["full"]),
        "floor_per_cpu_s": round(rate["floor"]),
        "ratio": brief(rate["full"] / rate["floor"]),
        "single": {
            **times("single"),
            "per_cpu_s": round(rate["single"]),
            "floor_per_cpu_s": round(rate["floor_each"]),
            "ratio": brief(rate["single"] / rate["floor_each"]),
            "at_once": scale.at_once,
        },
        "alone": {**times("alone"), "per_cpu_s": round(rate["alone"])},
        "each_round": {name: [round(one) for one in found] for name, found in rounds.rates.items()},
        "peers": {},
        "records": intake.counts["records"],
        "batches": intake.counts["batches"],
        "held": dict(parts.dossiers.size),
        "lifted": ["segments_per_hour", "records_per_hour"],
        "members": scale.members,
        "rounds": scale.rounds,
        "machine": machine(),
        "versions": versions("pynacl"),
    }
