"""How fast a new warning is found in the past, and what that costs who decides meanwhile.

    python docs/measurements/hunt.py [--sessions N] [--out DIR]

A member's database holds 30 days of sessions with their abstract paths. In each round another member's report of a
catalogue pattern arrives, then one of a novel pattern; meanwhile sessions go on being decided. What decisions take
while a walk goes on is held against what they take before it, in the same round. At last comes a novel pattern that no
session contains: it acts once that is known. Two minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from ioint_node.admission import Accepted
from ioint_node.bench.decide import ACTORS_KEPT
from ioint_node.bench.figures import machine, middle, percentile
from ioint_node.bench.ingest import receiving
from ioint_node.bench.place import home
from ioint_node.bench.playing import Played, play
from ioint_node.bench.traffic import Members, gather
from ioint_node.bench.workload import script
from ioint_node.flows.assess import AssessParts, LocalSighting
from ioint_node.flows.hunt import Hunter
from ioint_node.flows.intake import Intake
from ioint_node.flows.live import LiveSessions
from ioint_node.flows.paths import path_text
from ioint_node.scoring.model import load_model
from ioint_node.store.engine import Store
from ioint_node.store.incidents import EACH_MOST, Wanted
from ioint_node.store.incidents import page as incidents_page
from ioint_node.store.rows import insert_rows
from ioint_node.store.schema import matches, paths, session_days, sessions
from ioint_node.store.times import DAY_MS, day_of, to_text
from ioint_protocol import (
    Pattern,
    PatternStep,
    Record,
    Report,
    build_segment,
    encode_record,
    parse_segment,
    pattern_id,
)
from ioint_protocol.segment import GENESIS
from ioint_taxonomy import Step, load_catalogue, load_taxonomy
from sqlalchemy.ext.asyncio import AsyncConnection

ROUNDS = 3
SCRIPTS = 60  # sessions of the workload whose paths the past is made of
HITS = 35  # sessions of the past with each pattern
QUIET_SESSIONS = 40  # decided before each walk
DAYS = 30
# What the novel patterns of the rounds tell apart.
RESOURCES = sorted(load_taxonomy().resources)[: 3 * ROUNDS]


@dataclass(slots=True)
class Found:
    """What the rounds found: seconds until all hits were incidents or it acted, CPU seconds, latencies of decisions."""

    catalogue_s: list[float] = field(default_factory=list)
    novel_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    beside_s: list[float] = field(default_factory=list)
    acts_s: list[float] = field(default_factory=list)
    quiet: list[list[float]] = field(default_factory=list)
    hunting: list[list[float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """What takes reports in, what looks back, what decides, and numbers of sessions to play."""

    intake: Intake
    hunter: Hunter
    assess: AssessParts
    numbers: Iterator[int]


class Author:
    """A member that reports patterns."""

    def __init__(self, members: Members, member: str) -> None:
        self.member, self._members = member, members
        self._seq, self._head = 0, GENESIS

    def says(self, record: Record) -> bytes:
        """Its next segment."""
        self._seq += 1
        key, bodies = self._members.keys[self.member], [encode_record(record)]
        wire = build_segment(key, self._members.consortium, self.member, self._seq, self._head, 1, bodies)
        self._head = parse_segment(wire).head
        return wire


def report(pattern: str | Pattern, day: int) -> Report:
    """A first report of a pattern."""
    return Report(
        tax=load_taxonomy().version,
        kind="pattern",
        pat=pattern,
        intents=("data_exfiltration",),
        basis="threshold",
        bad=0,
        seen=0,
        agents=0,
        day_from=day,
        day_until=day,
        det="de" * 32,
        tlp="green",
    )


def novel(number: int) -> tuple[Pattern, str]:
    """The novel pattern of a round, and the path of a session that contains it."""
    resource = RESOURCES[number]
    read = Step(verb="read", resource=resource, sensitivity="restricted", boundary="organisation")
    send = Step(
        verb="send",
        resource="email",
        sensitivity="restricted",
        boundary="external",
        provenance="tool_output",
        flow=(0,),
    )
    asked = PatternStep(verbs=("send",), resources=("email",), provenances=("tool_output",), flow=(0,))
    pattern = Pattern(steps=(PatternStep(verbs=("read",), resources=(resource,)), asked))
    return pattern, path_text((("research", 1.0),), (read, send), (True, True))


async def ordinary(parts: AssessParts) -> list[str]:
    """The paths of some sessions of the workload, as they are kept."""
    made = []
    for number in range(SCRIPTS):
        await play(parts, f"w{number}", f"agent-{number % ACTORS_KEPT}", script(number))
        live = parts.live.get(f"w{number}")
        if live is not None:
            made.append(path_text(live.tracker.families, live.tracker.steps, live.tracker.outside))
    return made


async def remember(
    store: Store, texts: Sequence[str], count: int, catalogued: Sequence[str], now: int
) -> None:
    """Fill the past: so many ordinary sessions, and those with the patterns of the rounds."""
    rows = [(f"p{number:08}", texts[number % len(texts)]) for number in range(count)]
    novels = [(number, one) for number in range(2 * ROUNDS) for one in range(HITS)]
    entries = [(name, one) for name in catalogued for one in range(HITS)]
    everything = [
        *((name, text, None) for name, text in rows),
        *((f"n{number}-{one:03}", novel(number)[1], None) for number, one in novels),
        *((f"c{name[:8]}-{one:03}", texts[0], name) for name, one in entries),
    ]

    async def write(connection: AsyncConnection) -> None:
        ended = [now - (1 + place % (DAYS - 2)) * DAY_MS for place in range(len(everything))]
        kept = [(name, day_of(at), text, 0) for (name, text, _), at in zip(everything, ended, strict=True)]
        await insert_rows(connection, paths, ("session_id", "day", "body", "flagged"), kept)
        days = Counter(day for _, day, _, _ in kept)
        judged = [(day, number, 0) for day, number in days.items()]
        await insert_rows(connection, session_days, ("day", "judged", "flagged"), judged)
        columns = (
            "id", "actor", "declaration", "family", "family_confidence", "envelope", "state", "verdict", "risk",
            "actions", "opened_at", "updated_at",
        )  # fmt: skip
        await insert_rows(
            connection,
            sessions,
            columns,
            [
                (
                    *(
                        name,
                        f"agent-{place % 500}",
                        "{}",
                        "research",
                        1.0,
                        "{}",
                        "closed",
                        "in_scope",
                        0.1,
                        12,
                    ),
                    *(to_text(at), to_text(at)),
                )
                for place, ((name, _, _), at) in enumerate(zip(everything, ended, strict=True))
            ],
        )
        met = [
            (pattern, name, f"agent-{place % 500}", "", day_of(at), to_text(at), "benign")
            for place, ((name, _, pattern), at) in enumerate(zip(everything, ended, strict=True))
            if pattern is not None
        ]
        named = ("pattern", "session_id", "actor", "action_id", "day", "at", "judged")
        await insert_rows(connection, matches, named, met)

    await store.write(write)


async def opened_incidents(store: Store, pattern: str) -> int:
    """How many incidents there are of a pattern."""
    async with store.read() as connection:
        found, _ = await incidents_page(connection, Wanted(pattern=pattern), EACH_MOST + 1)
    return len(found)


async def until_found(rig: Rig, pattern: str) -> float:
    """Wait until all hits of a pattern are incidents and the walk is over; gives the instant."""
    while await opened_incidents(rig.assess.store, pattern) <= EACH_MOST or rig.hunter.waiting:  # noqa: ASYNC110
        await asyncio.sleep(0.02)  # as somebody who asks the API again and again
    return time.perf_counter()


async def until_it_acts(rig: Rig, pattern: str) -> float:
    """Wait until the next action with a pattern would be one under effect; gives the instant."""
    while not rig.assess.beliefs.effect_of((pattern,), time.time_ns() // 1_000_000).effect:  # noqa: ASYNC110
        await asyncio.sleep(0.02)  # as above
    return time.perf_counter()


async def decided(rig: Rig, ends: Callable[[int], bool]) -> list[float]:
    """Decide session after session until it ends, and give what each action took."""
    into, count = Played(), 0
    while not ends(count):
        number = next(rig.numbers)
        await play(rig.assess, f"s{number}", f"agent-{number % ACTORS_KEPT}", script(number), into)
        count += 1
    return into.latencies


async def measure(count: int) -> dict[str, Any]:
    """All rounds, over a past of so many sessions."""
    now = time.time_ns() // 1_000_000
    found = Found()
    with home() as root:
        members = await gather(root, 1 + ROUNDS)
        us, *others = members.homes
        async with deciding(members, us) as rig:
            catalogued = sorted(load_catalogue().entries)[:ROUNDS]
            texts = await ordinary(rig.assess)
            await remember(rig.assess.store, texts, count, catalogued, now)
            for number, other in enumerate(others):
                # Of one member a week's first reports beyond five are not acted on.
                await one_round(rig, found, Author(members, other), catalogued[number], number)
            megabytes = sum(one.stat().st_size for one in members.homes[us].rglob("*.db*")) / 1e6
    ratios = {
        name: middle(
            [percentile(h, at) / percentile(q, at) for h, q in zip(found.hunting, found.quiet, strict=True)]
        )
        for name, at in (("p50", 50), ("p99", 99))
    }
    quiet, hunting = list(chain(*found.quiet)), list(chain(*found.hunting))
    return {
        "machine": machine(),
        "sessions": count,
        "path_bytes": round(sum(map(len, texts)) / len(texts)),
        "megabytes": round(megabytes),
        "hits": HITS,
        "rounds": ROUNDS,
        "catalogue_s": rounded(found.catalogue_s),
        "novel_s": rounded(found.novel_s),
        "cpu_s": rounded(found.cpu_s),
        "beside_s": rounded(found.beside_s),
        "acts_s": rounded(found.acts_s),
        "decisions": {"quiet": len(quiet), "hunting": len(hunting)},
        "quiet_ms": {"p50": percentile(quiet, 50), "p99": percentile(quiet, 99)},
        "hunting_ms": {"p50": percentile(hunting, 50), "p99": percentile(hunting, 99)},
        "ratio": {name: round(one, 2) for name, one in ratios.items()},
    }


async def one_round(rig: Rig, found: Found, author: Author, entry: str, number: int) -> None:
    """A catalogue pattern and a novel one alone, then decisions alone, a novel one beside decisions, and a rare one."""
    begin = await arrived(rig, author, entry)
    found.catalogue_s.append(await until_found(rig, entry) - begin)
    alone, beside = (novel(number)[0], novel(ROUNDS + number)[0])
    cpu, begin = time.process_time(), await arrived(rig, author, alone)
    found.novel_s.append(await until_found(rig, pattern_id(alone)) - begin)
    found.cpu_s.append(time.process_time() - cpu)
    found.quiet.append(await decided(rig, lambda count: count == QUIET_SESSIONS))
    begin = await arrived(rig, author, beside)
    waits = asyncio.create_task(until_found(rig, pattern_id(beside)))
    found.hunting.append(await decided(rig, lambda _: waits.done()))
    found.beside_s.append(await waits - begin)
    rare = novel(2 * ROUNDS + number)[0]
    begin = await arrived(rig, author, rare)
    found.acts_s.append(await until_it_acts(rig, pattern_id(rare)) - begin)


async def arrived(rig: Rig, author: Author, pattern: str | Pattern) -> float:
    """Let the other member's report of a pattern arrive; gives the instant before."""
    begin = time.perf_counter()
    wire = author.says(report(pattern, day_of(time.time_ns() // 1_000_000)))
    (answer,) = await rig.intake.receive_all([wire], author.member)
    if not isinstance(answer, Accepted):
        raise TypeError(f"the report was not taken: {answer}")
    return begin


@asynccontextmanager
async def deciding(members: Members, us: str) -> AsyncIterator[Rig]:
    """The accept path of a member, what decides beside it, and what looks back."""
    async with receiving(members, us) as (received, _):
        hunter = Hunter(received)
        exchange = replace(received, hunt=hunter.take)

        async def nothing(_connection: AsyncConnection, _sighting: LocalSighting) -> None:
            return None

        assess = AssessParts(
            store=exchange.store,
            live=LiveSessions(),
            model=load_model(),
            taxonomy=exchange.taxonomy,
            catalogue=exchange.catalogue,
            beliefs=exchange.beliefs,
            on_risky=nothing,
            notify=lambda: None,
        )
        intake = Intake(exchange, lambda: time.time_ns() // 1_000_000)
        tasks = [asyncio.create_task(intake.run()), asyncio.create_task(hunter.run(assess))]
        try:
            yield Rig(
                intake=intake,
                hunter=hunter,
                assess=assess,
                numbers=iter(range(10**6, 2 * 10**6)),
            )
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def rounded(seconds: Sequence[float]) -> list[float]:
    """Seconds with two decimals."""
    return [round(one, 2) for one in seconds]


def page(found: dict[str, Any]) -> str:
    """The figures as a page."""
    place, ratio = found["machine"], found["ratio"]
    quiet, hunting = found["quiet_ms"], found["hunting_ms"]
    listed = {
        name: ", ".join(f"{one:.2f}" for one in found[name])
        for name in ("catalogue_s", "novel_s", "cpu_s", "beside_s", "acts_s")
    }
    return "\n".join(
        [
            "# Looking back",
            "",
            f"Made by `docs/measurements/hunt.py` on {place['cores']} x {place['processor']}, {place['system']},"
            f" load {place['load'][0]}.",
            "",
            f"A member's database with {found['sessions']:,} sessions of {DAYS} days and their abstract paths"
            f" ({found['path_bytes']:,} bytes each, {found['megabytes']:,} MB in all). Another member's reports"
            f" arrive, of a catalogue pattern and of novel ones; {found['hits']} sessions contain each. Timed is from"
            f" the arrival of the report until {EACH_MOST} sessions have an incident each and one counts the others,"
            " the half second included that the matcher is given to settle.",
            "",
            "| | seconds, by round |",
            "|---|---|",
            f"| catalogue pattern | {listed['catalogue_s']} |",
            f"| novel pattern | {listed['novel_s']} |",
            f"| of it CPU | {listed['cpu_s']} |",
            f"| novel pattern, while decisions go on without a pause | {listed['beside_s']} |",
            f"| novel pattern that no session contains, until it acts | {listed['acts_s']} |",
            "",
            "| decisions in process | number | p50, ms | p99, ms |",
            "|---|---|---|---|",
            f"| alone | {found['decisions']['quiet']:,} | {quiet['p50']:.2f} | {quiet['p99']:.2f} |",
            f"| while a walk goes on | {found['decisions']['hunting']:,} | {hunting['p50']:.2f} |"
            f" {hunting['p99']:.2f} |",
            f"| ratio, the middle of the rounds | | {ratio['p50']:.2f} | {ratio['p99']:.2f} |",
            "",
            "Target: all hits are incidents within 10 s of the arrival. The last row is right after another walk, whose"
            " rest it waits for.",
            "",
        ]
    )


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    found = asyncio.run(measure(given.sessions))
    (given.out / "hunt.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (given.out / "hunt.md").write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
