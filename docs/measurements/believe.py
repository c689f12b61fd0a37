"""Measure believing at 10⁶ live records: one record's effect, `why`, the start; write `believe.json` and `.md`.

    python docs/measurements/believe.py [--records N] [--members N] [--only engine|node] [--out DIR]

Some minutes, a gigabyte of memory and one of disk, in a folder of its own that is gone afterwards. Times are CPU times
of the process, its database thread included, where nothing else is said. With `--only` the other part stays as it was.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

from ioint_node.app import YOUNG_OBJECTS
from ioint_node.bench.figures import machine, percentile, versions
from ioint_node.flows.believe import refresh_all, reload
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.why import why
from ioint_node.reputation.beliefs import Beliefs
from ioint_node.reputation.breadth import Breadth
from ioint_node.reputation.dossier import Dossier, Dossiers, Said
from ioint_node.reputation.lineage import Lineage, lineage
from ioint_node.reputation.rule import Scales, electorate
from ioint_node.store.engine import open_store
from ioint_node.store.log import statement_id
from ioint_node.store.migrate import upgrade
from ioint_protocol import (
    Dispute,
    Member,
    Release,
    Report,
    Roster,
    Sighting,
    Withdrawal,
    encode_record,
    record_id,
)
from ioint_taxonomy import load_catalogue, load_taxonomy

DAY_MS: Final = 86_400_000
TODAY: Final = 20_000
NOW: Final = TODAY * DAY_MS + DAY_MS // 2
BATCH: Final = 256
SINGLES: Final = 4_000
BATCHES: Final = 100
PACKAGES: Final = 2_000
ROWS: Final = 10_000  # written at a time
WHYS: Final = 9
KINDS: Final = {Report: "report", Sighting: "sighting", Dispute: "dispute", Withdrawal: "withdrawal"}
RECEIVED: Final = "2024-10-01T00:00:00.000Z"


@dataclass(frozen=True, slots=True)
class Made:
    """A statement and the subject that it is about; `of` is the report that it names, or is."""

    subject: str
    said: Said
    of: str
    body: bytes


class World:
    """What members say: most of it of the catalogue, some of it of packages; each member is a group."""

    def __init__(self, members: int, seed: int = 1) -> None:
        self.draw = Random(seed)  # noqa: S311 - no secret
        self.authors = [f"{number:032x}" for number in range(members)]
        self.catalogue = sorted(load_catalogue().entries)
        self.packages = [f"pkg:pypi/package-{number}" for number in range(PACKAGES)]
        self.reports: dict[str, str] = {}  # by subject: the newest report

    def roster(self) -> Roster:
        """All of them founders."""
        members = tuple(
            Member(
                id=author,
                name=f"member-{number}",
                node_key="",
                record_keys=(),
                group=f"group-{number:03}",
                class_="member",
                since=1,
                since_day=0,
            )
            for number, author in enumerate(self.authors)
        )
        return Roster(
            version=1,
            consortium="c" * 64,
            issued_day=TODAY,
            expires=NOW,
            members=members,
            taxonomy=Release(version=load_taxonomy().version, digest="d" * 64),
            catalogue=load_catalogue().digest,
        )

    def statements(self, count: int) -> Iterator[Made]:
        """So many statements of any members, each live."""
        for _ in range(count):
            author = self.draw.choice(self.authors)
            among = self.catalogue if self.draw.random() < 0.89 else self.packages
            yield self._made(author, self.draw.choice(among))

    def _made(self, author: str, subject: str) -> Made:
        draw, day = self.draw, TODAY - self.draw.randrange(30)
        named = self.reports.get(subject)
        kind = draw.choices(("report", "sighting", "dispute", "withdrawal"), (89, 6, 3, 2))[0]
        seen = draw.randrange(6)
        record: Report | Sighting | Dispute | Withdrawal
        if named is None or kind == "report":
            record = Report(
                tax=load_taxonomy().version,
                kind="subject" if subject.startswith("pkg:") else "pattern",
                pat=None if subject.startswith("pkg:") else subject,
                subj=subject if subject.startswith("pkg:") else None,
                intents=("exfiltration",),
                basis="threshold",
                bad=draw.randrange(seen + 1),
                seen=seen,
                agents=0,
                day_from=day,
                day_until=day,
                det=f"{draw.getrandbits(256):064x}",
                tlp="green",
            )
        elif kind == "sighting":
            record = Sighting(of=named, seen=seen, day=day)
        elif kind == "dispute":
            record = Dispute(of=named, day=day, reason="false_positive")
        else:
            record = Withdrawal(of=named, reason="mistake")
        body = encode_record(record)
        name = record_id(body)
        if isinstance(record, Report):
            self.reports[subject] = named = name
        said = Said(
            id=name,
            author=author,
            kind=KINDS[type(record)],
            of="" if isinstance(record, Report | Sighting) else record.of,
            bad=record.bad if isinstance(record, Report) else 0,
            seen=record.seen if isinstance(record, Report | Sighting) else 0,
            day=TODAY if isinstance(record, Withdrawal) else day,
            received_at=RECEIVED,
            tlp="green",
        )
        return Made(subject, said, str(named), body)


class Engine:
    """What a node believes with, without store and gate: statements in; tier, state and score out."""

    def __init__(self, scales: Scales, among: Lineage) -> None:
        self.scales, self.among = scales, among
        self.breadth = Breadth()
        self.dossiers: dict[str, Dossier] = {}

    def add(self, made: list[Made]) -> set[str]:
        """Take statements in; returns the subjects that they are about."""
        about: dict[str, list[Said]] = {}
        for one in made:
            about.setdefault(one.subject, []).append(one.said)
        for subject, said in about.items():
            dossier = self.dossiers.get(subject)
            if dossier is None:
                dossier = self.dossiers[subject] = Dossier(subject)
            dossier.add(said)
            self.breadth.add(dossier.newly_accused_by(said, self.scales))
        return set(about)

    def conclude(self, subjects: set[str]) -> list[tuple[str, str, int]]:
        """What follows for these subjects and for their special cases."""
        special = {name for s in subjects for name in self.among.special(s) if name in self.dossiers}
        found = []
        for subject in subjects | special:
            general = {n: self.dossiers[n] for n in self.among.general(subject) or () if n in self.dossiers}
            outcome = self.dossiers[subject].outcome(self.scales, general)
            found.append((outcome.tier, outcome.state, outcome.score))
        return found


def timed(do: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """The seconds that something takes."""
    begun = clock()
    do()
    return clock() - begun


def as_in_a_node() -> None:
    """Let the collector leave alone what there is, as a node does when it starts."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


def engine(world: World, records: int) -> dict[str, Any]:
    """One record, a batch, and another day, with so many live records in memory."""
    made = Engine(
        Scales(voters=electorate(world.roster(), TODAY), today=TODAY),
        lineage(load_catalogue(), load_taxonomy()),
    )
    left = records
    while left > 0:
        made.add(list(world.statements(min(left, ROWS))))
        left -= ROWS
    made.conclude(set(made.dossiers))
    made.scales = Scales(voters=made.scales.voters, today=TODAY)
    day_s = timed(lambda: made.conclude(set(made.dossiers)))
    as_in_a_node()
    singles = [[one] for one in world.statements(SINGLES)]
    each = sorted(timed(lambda one=one: made.conclude(made.add(one)), time.thread_time) for one in singles)  # type: ignore[misc]
    batches = [list(world.statements(BATCH)) for _ in range(BATCHES)]
    whole = [timed(lambda one=one: made.conclude(made.add(one)), time.thread_time) for one in batches]  # type: ignore[misc]
    return {
        "subjects": len(made.dossiers),
        "one_p50_us": 1e3 * percentile(each, 50),
        "one_p99_us": 1e3 * percentile(each, 99),
        "batch_us": 1e3 * percentile(whole, 50) / BATCH,
        "day_s": day_s,
        "load": machine()["load"][0],
    }


def fill(path: Path, world: World, records: int) -> None:
    """Write the records of full segments, as a node stores them."""
    database = sqlite3.connect(path)
    seqs = dict.fromkeys(world.authors, 0)
    with database:
        for _ in range(0, records, ROWS):
            rows = []
            for one in world.statements(ROWS):
                said = one.said
                seqs[said.author] += 1
                segment = 1 + seqs[said.author] // BATCH
                of = said.of if said.kind == "withdrawal" else one.of
                name = statement_id(said.author, said.id)
                rows.append(
                    (
                        name,
                        said.author,
                        segment,
                        said.kind,
                        one.subject,
                        of,
                        "green",
                        said.day,
                        one.body,
                        RECEIVED,
                    )
                )
            database.executemany(
                "insert or ignore into records (id, author, segment, kind, subject, of, tlp, day, body,"
                " received_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
        database.executemany(
            "insert into segments (author, seq, head, wire, records, received_at, delivered_by, low)"
            " values (?, 1, ?, ?, ?, ?, ?, 1)",
            [(author, "0" * 64, b"", count, RECEIVED, author) for author, count in seqs.items()],
        )
    database.execute("analyze")
    database.close()


async def why_s(parts: ExchangeParts, subject: str) -> float:
    """The seconds that the receipt of a subject takes."""
    begun = time.process_time()
    await why(parts, subject, NOW)
    return time.process_time() - begun


async def node(world: World, records: int) -> dict[str, Any]:
    """Everything concluded anew, the start, and `why`, over a store of so many records."""
    roster = world.roster()
    with TemporaryDirectory(prefix="ioint-believe-") as folder:
        path = Path(folder) / "node.db"
        url = f"sqlite+aiosqlite:///{path}"
        await upgrade(url)
        fill(path, world, records)
        async with open_store(url) as store:

            def parts() -> ExchangeParts:
                return ExchangeParts(
                    store=store,
                    member=None,
                    record_key=None,
                    roster=lambda: roster,
                    consortium=lambda: roster.consortium,
                    taxonomy=load_taxonomy(),
                    catalogue=load_catalogue(),
                    beliefs=Beliefs(),
                    publish_mode="off",
                    detector="d" * 64,
                    dossiers=Dossiers(),
                )

            whole = parts()
            begun = time.process_time()
            await refresh_all(whole, NOW)
            refresh_s = time.process_time() - begun
            starting = parts()
            begun, wall = time.process_time(), time.perf_counter()
            await reload(starting, NOW)
            start_s, start_wall_s = time.process_time() - begun, time.perf_counter() - wall
            as_in_a_node()
            general = lineage(load_catalogue(), load_taxonomy()).general
            special = [entry for entry in world.catalogue if general(entry)]
            package_s = [await why_s(starting, subject) for subject in world.packages[:WHYS]]
            special_s = [await why_s(starting, subject) for subject in special[:WHYS]]
            entries = [entry for entry in world.catalogue if not general(entry)]
            entry_s = [await why_s(starting, subject) for subject in entries[:WHYS]]
        return {
            "megabytes": path.stat().st_size // 1_000_000,
            "believed": len(starting.beliefs.all()),
            "entry_records": records * 89 // 100 // len(world.catalogue),
            "refresh_s": refresh_s,
            "start_s": start_s,
            "start_wall_s": start_wall_s,
            "why_package_ms": max(package_s) * 1e3,
            "why_entry_ms": max(entry_s) * 1e3,
            "why_special_ms": max(special_s) * 1e3,
            "load": machine()["load"][0],
        }


def page(found: dict[str, Any]) -> str:
    """The document as a page."""
    at, one, whole = found["machine"], found["engine"], found["node"]
    packages = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    rows = [
        ("one record's effect on all beliefs, p50", "", f"{one['one_p50_us']:.0f} µs"),
        ("the same, p99", "< 200 µs", f"{one['one_p99_us']:.0f} µs"),
        (f"a record in batches of {BATCH}, the median batch", "≤ 15 µs", f"{one['batch_us']:.1f} µs"),
        ("another day: all voices weighed anew", "", f"{one['day_s']:.1f} s"),
        (
            f"start from a store of {whole['megabytes']:,} MB, {whole['believed']:,} beliefs",
            "< 10 s",
            f"{whole['start_s']:.1f} s, {whole['start_wall_s']:.1f} s of wall clock",
        ),
        (
            "everything concluded anew from the store, gate and rows included",
            "",
            f"{whole['refresh_s']:.0f} s",
        ),
        (f"`why` of a package, the longest of {WHYS}", "", f"{whole['why_package_ms']:.0f} ms"),
        (
            f"`why` of an entry of the catalogue, about {whole['entry_records']:,} records, the longest of {WHYS}",
            "< 100 ms",
            f"{whole['why_entry_ms']:.0f} ms",
        ),
        (
            "the same of an entry that is a special case of another, which is read too",
            "",
            f"{whole['why_special_ms']:.0f} ms",
        ),
    ]
    return "\n".join(
        [
            f"# Believing at {found['records']:,} live records",
            "",
            f"Made by `docs/measurements/believe.py` on {at['cores']} x {at['processor']}, {at['system']},"
            f" the engine at load {one['load']}, the node at load {whole['load']}, with {packages}.",
            "",
            f"{found['records']:,} live records of {found['members']} members, each a group of its own, about"
            f" {one['subjects']:,} subjects: of a hundred 89 are about an entry of the catalogue and 11 about one of"
            f" {PACKAGES:,} packages; 89 are reports, 6 sightings, 3 disputes, 2 withdrawals. The engine is what a node"
            " believes with, without store and gate: a statement in; tier, state and score of its subject and of all"
            " special cases out. Times are CPU times.",
            "",
            "| what | target | measured |",
            "|---|---|---|",
            *(f"| {what} | {target} | {measured} |" for what, target, measured in rows),
            "",
        ]
    )


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--members", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--only", choices=("engine", "node"))
    given = parser.parse_args()
    path = given.out / "believe.json"
    found: dict[str, Any] = json.loads(path.read_text()) if given.only else {}
    found |= {"records": given.records, "members": given.members}
    if given.only != "node":
        found["engine"] = engine(World(given.members), given.records)
    if given.only != "engine":
        found["node"] = asyncio.run(node(World(given.members), given.records))
    found |= {"machine": machine(), "versions": versions()}
    path.write_text(json.dumps(found, indent=1) + "\n")
    (given.out / "believe.md").write_text(page(found))


if __name__ == "__main__":
    main()
