"""Run `ioint bench ingest` and `ioint bench catchup` and write what they say to `ingest.json` and `ingest.md`.

    python docs/measurements/ingest.py [--short] [--out DIR]

Some minutes. Ratios are of one interleaved run; latencies are worth what the machine was worth while it ran.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def run(job: str, *options: str) -> dict[str, Any]:
    """The document of one run."""
    command = [sys.executable, "-m", "ioint_node", "bench", job, "-o", "json", *options]
    found: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


def page(ingest: dict[str, Any], catchup: dict[str, Any]) -> str:
    """The two documents as a page."""
    machine, single, alone = ingest["machine"], ingest["single"], ingest["alone"]
    packages = ", ".join(f"{name} {version}" for name, version in catchup["versions"].items())
    rounds = ingest["each_round"]
    lines = [
        "# What members say, taken in",
        "",
        f"Made by `docs/measurements/ingest.py` on {machine['cores']} x {machine['processor']},"
        f" {machine['system']}, load"
        f" {machine['load'][0]} at the end of the first part and {catchup['machine']['load'][0]} at the"
        " end of the second,"
        f" with {packages}.",
        "",
        f"{ingest['records']:,} records of {ingest['members']} members in {ingest['rounds']} rounds,"
        " each interleaved with"
        " its floors, into one database that grows. All of it is parsed, verified, checked, stored with"
        " `synchronous=FULL`, queued for whom it is passed on to, and believed: indicator rows and"
        " stream rows are written"
        " in the same transaction. Of a hundred records 75 report a pattern of the catalogue, 10 one of"
        " 2,000 packages, 4"
        " one of 500 novel patterns, 6 are sightings, 3 disputes, 2 withdrawals. Lifted are the quotas"
        " of an hour, nothing"
        " else. CPU seconds are those of the process, its database thread included. The floors read, verify and store"
        " objects of a kilobyte with `synchronous=NORMAL` and believe nothing.",
        "",
        "| what | p50, ms | p99, ms | records per CPU second | ours / floor |",
        "|---|---|---|---|---|",
        f"| full segments of 256, eight logs at once | {ingest['p50_ms']:.0f} | {ingest['p99_ms']:.0f} |"
        f" {ingest['per_cpu_s']:,} | {ingest['ratio']:.2f} |",
        f"| floor: lines under one signature | | | {ingest['floor_per_cpu_s']:,} | |",
        f"| segments of one record, {single['at_once']} at once | {single['p50_ms']:.0f} | {single['p99_ms']:.0f} |"
        f" {single['per_cpu_s']:,} | {single['ratio']:.2f} |",
        f"| floor: each signed | | | {single['floor_per_cpu_s']:,} | |",
        f"| segments of one record, one after the other | {alone['p50_ms']:.0f} | {alone['p99_ms']:.0f} |"
        f" {alone['per_cpu_s']:,} | |",
        "",
        "| round | full segments | their floor | single records | their floor | one after the other |",
        "|---|---|---|---|---|---|",
        *(
            f"| {number} | " + " | ".join(f"{one:,}" for one in each) + " |"
            for number, each in enumerate(
                zip(
                    *(rounds[name] for name in ("full", "floor", "single", "floor_each", "alone")),
                    strict=True,
                ),
                start=1,
            )
        ),
        "",
        "## Catching up",
        "",
        f"{catchup['records']:,} records of {catchup['authors']} members, {catchup['megabytes']} MB,"
        " brought over by a whole"
        " node from another over loopback, each a process of its own with its libp2p in another, from"
        " the order to meet"
        " until the last is on disk and believed. The floor copies the same bytes over the same kind of stream, eight"
        " requests at once, and verifies every segment.",
        "",
        "| round | catching up, s | copying, s | verifying, s |",
        "|---|---|---|---|",
        *(
            f"| {number} | {' | '.join(f'{one:.2f}' for one in each)} |"
            for number, each in enumerate(
                zip(*(catchup[name] for name in ("seconds", "copy_s", "verify_s")), strict=True), start=1
            )
        ),
        "",
        f"{catchup['per_cpu_s']:,} records per CPU second of the receiving side, the floor"
        f" {catchup['floor_per_cpu_s']:,}.",
        "",
        "## Targets",
        "",
        "| target | measured |",
        "|---|---|",
        f"| ≥ 15,000 records per CPU second in full segments | {ingest['per_cpu_s']:,} |",
        f"| ≥ 5,000 per CPU second signed singly | {single['per_cpu_s']:,} |",
        f"| catch-up ≤ 3 x copying and verifying the same bytes | {catchup['times_floor']:.1f} x |",
        "",
        "What bounds it: of a record in a full segment about a sixth is reading and verifying it, a"
        " third its row and the"
        " three indices of its table, a third the beliefs about what it speaks of, the rest commits and"
        " the way through"
        " the database's thread. A record that comes alone pays for some twenty statements, each a hop"
        " to that thread and"
        " back, which is why records that arrive together share a transaction. The floor of catching up"
        " does a tenth of"
        " this work, so that three times the floor is out of reach of one process in Python.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    options = ["--short"] if given.short else []
    ingest, catchup = run("ingest", *options), run("catchup", *options)
    (given.out / "ingest.json").write_text(
        json.dumps({"ingest": ingest, "catchup": catchup}, indent=1) + "\n"
    )
    (given.out / "ingest.md").write_text(page(ingest, catchup))


if __name__ == "__main__":
    main()
