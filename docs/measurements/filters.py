"""Measure filters over ten thousand and a million indicators; write `filters.md` and `filters.json`.

    python docs/measurements/filters.py [--sizes N …] [--rounds N] [--out DIR]

Ten minutes and three gigabytes of disk with the sizes that are written down; `--sizes 10000 50000` takes one. The
rows are invented: states, labels, intents and packages as unevenly spread as reports spread them. A question is a
page of 100 rows, from the newest on or from a random place, through the same function that the doors call.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from ioint_node.filtering import parse
from ioint_node.filtering.keys import LABELS, STATES, TIERS
from ioint_node.store import indicators, listings
from ioint_node.store.engine import Store, WriterLimits, open_store
from ioint_node.store.migrate import upgrade
from ioint_node.store.schema import filter_terms
from ioint_node.store.times import to_text
from ioint_taxonomy import load_taxonomy
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

NOW: Final = 1_795_000_000_000
SIZES: Final = (10_000, 1_000_000)
ROUNDS: Final = 200
BATCH: Final = 2_000
PAGE: Final = 100
TAXONOMY: Final = load_taxonomy()
STATE_SHARES: Final = (0.05, 0.87, 0.05, 0.0005, 0.01, 0.015, 0.0045)
TIER_SHARES: Final = (0.1, 0.6, 0.25, 0.01, 0.035, 0.005)
TLP_SHARES: Final = (0.001, 0.2, 0.7, 0.09, 0.009)
QUESTIONS: Final = (
    ("everything", "", "amber"),
    ("everything, cleared for clear", "", "clear"),
    ("a common state", "state:watched", "amber"),
    ("a rare state", "state:malicious", "amber"),
    ("a common intent", f"intent:{min(TAXONOMY.intents)}", "amber"),
    ("a rare intent", f"intent:{max(TAXONOMY.intents)}", "amber"),
    ("verb and resource", "verb:send resource:secret", "amber"),
    ("two that rarely meet", "state:malicious verb:pay", "amber"),
    ("two that never meet", "tier:consensus state:unknown", "red"),
    ("all but the common", "-state:watched -tier:advisory", "amber"),
    ("a high score", "score>=98", "amber"),
    ("an effect of the newest days", "effect>0 since:2026-11-17", "amber"),
    ("packages of a type", "subject:pkg:gem/*", "amber"),
    ("one package", "subject:pkg:npm/package-000077", "amber"),
    ("words of the label", "q:package,third", "amber"),
    ("a rare word", "q:000077", "amber"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """How long one question took, and how many rows match it."""

    question: str
    filter: str
    clearance: str
    rows: int
    p50_ms: float
    p99_ms: float
    cpu_ms: float


def skewed(source: random.Random, values: Sequence[str]) -> str:
    """A value, early ones much more often than late ones."""
    return values[min(int(source.expovariate(8 / len(values))), len(values) - 1)]


def some_row(number: int, source: random.Random) -> dict[str, Any]:
    """An invented indicator row."""
    package = source.random() < 0.4
    kind = source.choice(("npm", "npm", "npm", "pypi", "pypi", "cargo", "gem"))
    key = f"{source.getrandbits(256):064x}"
    listed = {name: sorted(getattr(TAXONOMY, name)) for name in ("intents", "families", "verbs", "resources")}
    some = partial(skewed, source)
    (state,) = source.choices(STATES, STATE_SHARES)
    (tier,) = source.choices(TIERS, TIER_SHARES)
    (tlp,) = source.choices(LABELS, TLP_SHARES)
    return {
        "id": key,
        "kind": "subject" if package else "pattern",
        "label": f"pkg:{kind}/package-{number:06d}" if package else f"novel pattern {key[:12]}",
        "intents": sorted({some(listed["intents"]) for _ in range(source.randint(1, 3))}),
        "layer": source.choice(TAXONOMY.layers).id,
        "declared": [some(listed["families"])] if source.random() < 0.3 else [],
        "state": state,
        "score": min(100, int(source.expovariate(1 / 30))),
        "confidence": source.randint(0, 100),
        "tier": "none" if state == "unknown" else tier,
        "effect": source.choice((0.0, 0.0, 0.02, 0.05, 0.25)),
        "reporters": min(40, 1 + int(source.expovariate(0.7))),
        "first_reporter": "contoso",
        "first_seen": "2026-11-01",
        "last_seen": f"2026-11-{source.randint(1, 18):02d}",
        "valid_until": "2026-12-30",
        "trend": source.choice(("rising", "steady", "falling")),
        "seen_locally": source.random() < 0.01,
        "local_hits": 0,
        "blast_radius": 0,
        "disputed": source.random() < 0.02,
        "revoked": state == "withdrawn",
        "tlp": tlp,
        "taxonomy_version": TAXONOMY.version,
        "reason": "precautionary",
        "why": "2 of 40 groups accuse; without the 1 largest 0.68 of 0.75 needed; nobody speaks for it; acting on "
        "it is cheap here: precaution (own rate at most 0.12 in 1,000, by ordinary sessions)",
        "seq": number + 1,
        "verbs": [] if package else sorted({some(listed["verbs"]) for _ in range(source.randint(1, 3))}),
        "resources": []
        if package
        else sorted({some(listed["resources"]) for _ in range(source.randint(1, 3))}),
    }


def batches(size: int) -> Iterator[list[tuple[dict[str, Any], str]]]:
    """The rows of a store, some at a time, each with its body."""
    source = random.Random(size)  # noqa: S311 - no secret
    details = {"novel": None, "accusers": ["a" * 32, "b" * 32], "estimate": 0.0001, "reason": "precautionary"}
    for start in range(0, size, BATCH):
        made = [some_row(number, source) for number in range(start, min(start + BATCH, size))]
        yield [(row, indicators.body_of(row, details | {"subject": row["id"]})) for row in made]


async def fill(store: Store, size: int) -> float:
    """Write the rows; returns the CPU time per row in microseconds."""
    spent = 0.0
    for changed in batches(size):
        began = time.process_time()
        await store.write(partial(indicators.upsert, changed=changed, now=NOW), alone=True)
        spent += time.process_time() - began
    return 1e6 * spent / size


async def change(store: Store, size: int, count: int = 50, times: int = 40) -> float:
    """Write changes of rows that are there, as many at a time as are concluded together; CPU microseconds per row."""
    source = random.Random(1)  # noqa: S311 - no secret
    async with store.read() as connection:
        spent = 0.0
        for _ in range(times):
            first = source.randrange(max(1, size - count))
            page = await listings.all_indicators(connection, parse(""), "red", count, first)
            changed = []
            for one in page.items:
                row = {**one.row, "score": source.randint(0, 100), "confidence": source.randint(0, 100)}
                changed.append((row, indicators.body_of(row, {"subject": one.subject, "novel": None})))
            began = time.process_time()
            await store.write(partial(indicators.upsert, changed=changed, now=NOW), alone=True)
            spent += time.process_time() - began
    return 1e6 * spent / (count * times)


async def ask(store: Store, size: int, rounds: int) -> Iterator[Figure]:
    """Every question so many times, in turn, so that a busy moment of the machine hits all alike."""
    source = random.Random(2)  # noqa: S311 - no secret
    walls: dict[str, list[float]] = {name: [] for name, _, _ in QUESTIONS}
    cpu = dict.fromkeys(walls, 0.0)
    found: dict[str, int] = {}
    async with store.read() as connection:
        for turn in range(rounds):
            place = to_text(NOW + source.randrange(size)) if turn % 2 else None
            for name, said, clearance in QUESTIONS:
                wanted = parse(said)
                began, spent = time.perf_counter(), time.process_time()
                await listings.newest_indicators(connection, wanted, clearance, PAGE, place)
                walls[name].append(1000 * (time.perf_counter() - began))
                cpu[name] += 1000 * (time.process_time() - spent)
        for name, said, clearance in QUESTIONS:
            found[name] = await _count(connection, said, clearance)
    return iter(
        [
            Figure(
                question=name,
                filter=said,
                clearance=clearance,
                rows=found[name],
                p50_ms=_at(walls[name], 0.5),
                p99_ms=_at(walls[name], 0.99),
                cpu_ms=round(cpu[name] / rounds, 3),
            )
            for name, said, clearance in QUESTIONS
        ]
    )


async def _count(connection: AsyncConnection, said: str, clearance: str, most: int = 5_000) -> int:
    """How many rows match, counted up to a bound."""
    found, after = 0, None
    while found < most:
        page = await listings.all_indicators(connection, parse(said), clearance, 1_000, after)
        found += len(page.items)
        if not page.more:
            return found
        after = page.last if isinstance(page.last, int) else None
    return most


def _at(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)


async def measure(size: int, rounds: int, folder: Path) -> dict[str, Any]:
    """All figures of one size."""
    url = f"sqlite+aiosqlite:///{folder / f'{size}.db'}"
    await upgrade(url)
    async with open_store(url, WriterLimits(group_s=0.001)) as store:
        filled = await fill(store, size)
        changed = await change(store, size)
        figures = [asdict(one) for one in await ask(store, size, rounds)]
        async with store.read() as connection:
            terms, lists = (
                await connection.execute(
                    select(func.count(), func.sum(filter_terms.c.rows)).select_from(filter_terms)
                )
            ).one()
    return {
        "size": size,
        "new_row_cpu_us": round(filled, 1),
        "changed_row_cpu_us": round(changed, 1),
        "terms": terms,
        "terms_per_row": round(lists / size, 1),
        "bytes_per_row": round((folder / f"{size}.db").stat().st_size / size),
        "questions": figures,
    }


def page(result: dict[str, Any]) -> str:
    """The page that shows the figures."""
    small, large = result["sizes"][0], result["sizes"][-1]
    busy = ", while the machine was busy" if result["busy"] else ""
    lines = [
        "# Filters",
        "",
        f"Made by `docs/measurements/filters.py` on {result['machine']}, SQLite {result['sqlite']}{busy}.",
        f"A question is a page of {PAGE} rows, half of them from a random place on; {result['rounds']} rounds of all",
        "questions in turn. Rows that match are counted up to 5,000; times are milliseconds, CPU of the whole process.",
        "",
        "| question | filter | clearance | "
        + " | ".join(f"of {one['size']:,} | p50, p99, CPU" for one in (small, large))
        + " |",
        "|---|---|---|---|---|---|---|",
    ]
    for one, other in zip(small["questions"], large["questions"], strict=True):
        times = [
            f"{each['rows']:,} | {each['p50_ms']}, {each['p99_ms']}, {each['cpu_ms']}"
            for each in (one, other)
        ]
        said = f"`{one['filter']}`" if one["filter"] else "—"
        lines.append(f"| {one['question']} | {said} | {one['clearance']} | {times[0]} | {times[1]} |")
    lines += ["", "| | " + " | ".join(f"{one['size']:,}" for one in result["sizes"]) + " |"]
    lines.append("|---|" + "---|" * len(result["sizes"]))
    for name, words in (
        ("new_row_cpu_us", "CPU of a new row, 2,000 in a transaction (µs)"),
        ("changed_row_cpu_us", "CPU of a changed row, 50 in a transaction (µs)"),
        ("terms_per_row", "terms of a row"),
        ("terms", "different terms"),
        ("bytes_per_row", "bytes of a row with its index"),
    ):
        lines.append(f"| {words} | " + " | ".join(f"{one[name]:,}" for one in result["sizes"]) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--busy", action="store_true", help="say that the machine was busy")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="filters-") as folder:
        sizes = [asyncio.run(measure(size, given.rounds, Path(folder))) for size in given.sizes]
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "sqlite": sqlite3.sqlite_version,
        "rounds": given.rounds,
        "busy": given.busy,
        "sizes": sizes,
    }
    (given.out / "filters.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (given.out / "filters.md").write_text(page(result), encoding="utf-8")
    print(page(result))


if __name__ == "__main__":
    main()
