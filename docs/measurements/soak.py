"""A day's traffic through the accept path, fast: `python docs/measurements/soak.py [--hours N] [--out DIR]`.

One member floods: every hour it delivers more than its quota lets through, and garbage beside; the others say a hundred
records an hour each. Time is given, so that a day takes some minutes. Every hour the process's memory and the rows of
each table are written down. Quotas and all other bounds are those of every node; what a node does by the clock
(retention, beliefs anew) is done every hour.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from ioint_node.admission import Accepted, Limits
from ioint_node.bench.figures import machine
from ioint_node.bench.ingest import deliver_mail, receiving
from ioint_node.bench.memory import resident_bytes
from ioint_node.bench.place import home
from ioint_node.bench.traffic import Log, gather, logs
from ioint_node.flows.believe import refresh_all
from ioint_node.flows.intake import Intake
from ioint_node.flows.parts import ExchangeParts
from ioint_node.reputation.dossier import DossierLimits
from ioint_node.store.retention import Retention, forget
from ioint_node.store.schema import first_reports, indicators, metadata, outbox, records, segments, stream
from sqlalchemy import func, select

HOUR_MS = 3_600_000
MEMBERS = 20
FLOOD_SEGMENTS = 84  # of 256 records: six more than the quota of an hour takes
SAID_SEGMENTS, SAID_RECORDS = 10, 10  # of every other member in an hour
GARBAGE = 100
HELD = DossierLimits(statements=20_000)  # a node has twenty times as many; a day must come to the bound
TABLES = (segments, records, indicators, stream, first_reports, outbox)
Row = dict[str, Any]


class Day:
    """The traffic, hour by hour, and what became of it."""

    def __init__(self, logs: dict[str, Log]) -> None:
        (self._flooder, self._flood), *self._others = logs.items()
        self._backlog: list[bytes] = []
        self.answers: Counter[str] = Counter()
        self.accepted = 0

    async def hour(self, intake: Intake) -> None:
        """One hour's deliveries."""
        while len(self._backlog) < FLOOD_SEGMENTS:
            self._backlog.append(self._flood.segment(256))
        taken = 0
        for at in range(0, FLOOD_SEGMENTS, 3):
            taken += await self._deliver(intake, self._backlog[at : at + 3], self._flooder)
        del self._backlog[:taken]
        await self._deliver(intake, [b"IOSG\x01garbage"] * GARBAGE, self._flooder)
        for member, log in self._others:
            await self._deliver(intake, [log.segment(SAID_RECORDS) for _ in range(SAID_SEGMENTS)], member)

    async def _deliver(self, intake: Intake, wires: list[bytes], member: str) -> int:
        answers = await intake.receive_all(wires, member)
        taken = [answer for answer in answers if isinstance(answer, Accepted)]
        self.answers.update(getattr(answer, "reason", "accepted") for answer in answers)
        self.accepted += sum(one.records for one in taken)
        return len(taken)


async def measure(hours: int) -> list[Row]:
    """One row for each hour."""
    begin = time.time_ns() // 1_000_000
    at = 0
    rows: list[Row] = []
    with home() as root:
        members = await gather(root, MEMBERS)
        us, *authors = members.homes
        day = Day(logs(members, authors, begin))
        clock = lambda: begin + at * HOUR_MS  # noqa: E731
        async with receiving(members, us, Limits(), clock, HELD) as (parts, intake):
            for at in range(hours):
                await day.hour(intake)
                await _by_the_clock(parts, begin + at * HOUR_MS)
                rows.append(await _row(parts, day, at + 1))
                print(json.dumps(rows[-1]), flush=True)
    return rows


async def _by_the_clock(parts: ExchangeParts, now: int) -> None:
    retention = Retention(events_days=30, stream_days=30)
    await parts.store.write(lambda connection: forget(connection, now, retention))
    await parts.store.write(deliver_mail)
    await refresh_all(parts, now)


async def _row(parts: ExchangeParts, day: Day, hour: int) -> Row:
    async with parts.store.read() as connection:
        sizes = {
            table.name: (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in TABLES
        }
        others = {
            table.name: count
            for table in metadata.sorted_tables
            if table not in TABLES
            and (count := (await connection.execute(select(func.count()).select_from(table))).scalar_one())
        }
    return {
        "hour": hour,
        "resident_mb": round(resident_bytes() / 1e6, 1),
        "accepted": day.accepted,
        "answers": dict(day.answers),
        "rows": sizes,
        "other_rows": others,
        "held": dict(parts.dossiers.size),
    }


def page(rows: list[Row], found: dict[str, Any]) -> str:
    """The rows as a page."""
    last = rows[-1]
    half = rows[len(rows) // 2]
    grown = last["resident_mb"] - half["resident_mb"]
    return "\n".join(
        [
            "# A day of a flood",
            "",
            f"Made by `docs/measurements/soak.py` on {found['cores']} x {found['processor']}, {found['system']}.",
            "",
            f"{MEMBERS - 1} members deliver to one node for {last['hour']} hours, replayed in some minutes."
            " One of them"
            f" floods: every hour {FLOOD_SEGMENTS} full segments, of which its quota takes the first 78, and"
            f" {GARBAGE} pieces of garbage. What was not taken it delivers again in the next hour, in order,"
            " as a member"
            " would.",
            "",
            "| hour | resident, MB | statements in memory | records taken | rows: segments | records |"
            " indicators | stream |",
            "|---|---|---|---|---|---|---|---|",
            *(
                f"| {row['hour']} | {row['resident_mb']} | {row['held']['statements']:,} | {row['accepted']:,} |"
                f" {row['rows']['segments']:,} | {row['rows']['records']:,} | {row['rows']['indicators']:,} |"
                f" {row['rows']['stream']:,} |"
                for row in rows
            ),
            "",
            "Answers: "
            + ", ".join(f"{name} {count:,}" for name, count in sorted(last["answers"].items()))
            + ".",
            "",
            f"From hour {half['hour']} to hour {last['hour']} the process grew by {grown:.1f} MB. So that it comes to"
            f" that, the bound of what is held of the evidence is {HELD.statements:,} statements here; a node has"
            f" {DossierLimits().statements:,}. Records and segments are kept as long as they live, 30 days, and then"
            " dropped from the front of each log; a stream row is kept for the retention that is set. Of nothing else"
            " there are more rows for more traffic.",
            "",
        ]
    )


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    rows, found = asyncio.run(measure(given.hours)), machine()
    (given.out / "soak.json").write_text(json.dumps({"machine": found, "rows": rows}, indent=1) + "\n")
    (given.out / "soak.md").write_text(page(rows, found))


if __name__ == "__main__":
    main()
