"""`ioint bench query`: what clients of TAXII ask most, of a node that holds many indicators, beside the floor.

Two nodes are measured, one with a million indicators and one with ten thousand, each in a process of its own with its
floor, so that it shows what their number costs. Every round asks the same of all four, one after the other; a token is
checked and labels are kept at the nodes. `walk` reads page after page, each another, as who catches up; `page` asks for
the first one again and again, `poll` for what is newer than the newest, `id` for one object, `manifest` for a page of
names. What is read for the first time is rendered first: that is measured by itself, once, as `first_walk`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx
import msgspec

from ioint_node.bench.client import Request, load
from ioint_node.bench.figures import SCHEMA, Rounds, brief, machine, middle, per_cpu, percentile, versions
from ioint_node.bench.place import STOP_S, BenchError, home, make_node
from ioint_node.bench.shelves import FIRST_MS, PAGE, floor_id, key
from ioint_node.formats.stix import indicator_id
from ioint_node.store.times import to_text
from ioint_node.web.taxii import INDICATORS, ROOT

CONNECTIONS: Final = 4
IDS: Final = 2_000  # among which one is asked for
LOADED: Final = 20_000  # of the indicators, the first, are asked for by id
WALKED: Final = 200  # pages of a walk: more than are kept as whole answers
START_S: Final = 900.0  # to write a million rows twice
CALLS: Final = ("walk", "page", "poll", "id", "manifest")
COLLECTION: Final = f"{ROOT}collections/{INDICATORS}/"
Say = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured: rows of the large and of the small node, rounds, and requests of each kind in a round."""

    rows: int = 1_000_000
    few: int = 10_000
    rounds: int = 5
    requests: int = 3_000


FULL = Scale()
SHORT = Scale(rows=20_000, few=5_000, rounds=1, requests=1_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """One process: a node and its floor, what is asked of each, and what the first walk took."""

    url: str
    floor_url: str
    pid: int
    token: str
    asked: Mapping[str, Sequence[str]]
    floor_asked: Mapping[str, Sequence[str]]
    first_ms: Sequence[float]


async def bench_query(scale: Scale, say: Say) -> dict[str, Any]:
    """Measure, and return the document of the contract; `say` hears how many phases are done and how many there are.

    Raises:
        BenchError: a server did not start or answered with an error.
    """
    rounds = Rounds()
    total = scale.rounds * len(CALLS) * 4 + 2
    async with AsyncExitStack() as stack:
        root = stack.enter_context(home())
        shelves = {}
        for place, (name, rows) in enumerate((("few", scale.few), ("many", scale.rows))):
            shelves[name] = await stack.enter_async_context(_served(root / name, rows))
            say(place + 1, total)
        done = 2
        for number in range(-1, scale.rounds):
            for call in CALLS:
                for name, shelf in shelves.items():
                    for ours in (True, False):
                        await _ask(shelf, call, scale, rounds if number >= 0 else Rounds(), name, ours=ours)
                        done += number >= 0
                        say(done, total)
    return _document(rounds, scale, shelves)


async def _ask(shelf: Shelf, call: str, scale: Scale, rounds: Rounds, name: str, *, ours: bool) -> None:
    """One phase: so many requests over a few connections, each its share of the paths."""
    paths = (shelf.asked if ours else shelf.floor_asked)[call]
    url, share = (shelf.url if ours else shelf.floor_url), scale.requests // CONNECTIONS
    lanes = [
        [Request(path=paths[(lane + CONNECTIONS * at) % len(paths)], body=None) for at in range(share)]
        for lane in range(CONNECTIONS)
    ]
    sent = await load(url, shelf.token, lanes, shelf.pid, settle_s=0.0)
    rounds.note(
        f"{name} {call}" if ours else f"{name} {call} floor",
        per_cpu(len(sent.latencies), sent.cpu_s),
        sent.latencies,
    )


@asynccontextmanager
async def _served(place: Path, rows: int) -> AsyncIterator[Shelf]:
    token = await make_node(place)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ioint_node.bench.shelving",
        str(place),
        str(rows),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    if process.stdin is None or process.stdout is None:
        raise BenchError("the pipes of the server are not there")
    try:
        try:
            line = await asyncio.wait_for(process.stdout.readline(), START_S)
        except TimeoutError:
            raise BenchError(f"the server did not listen within {START_S:g} s") from None
        if not line:
            raise BenchError("the server ended before it listened: run `ioint doctor` on this machine")
        where = msgspec.json.decode(line)
        yield await _shelf(where["url"], where["floor_url"], process.pid, token, rows)
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _shelf(url: str, floor_url: str, pid: int, token: str, rows: int) -> Shelf:
    walk, first_ms = await _walked(url, token)
    newest = to_text(FIRST_MS + rows)
    draw = Random(1)  # noqa: S311 - the same ids in every run
    numbers = [draw.randrange(1, min(rows, LOADED)) for _ in range(IDS)]
    last = min(rows // PAGE, WALKED)
    return Shelf(
        url=url,
        floor_url=floor_url,
        pid=pid,
        token=token,
        asked={
            "walk": walk,
            "page": [f"{COLLECTION}objects/?limit={PAGE}"],
            "poll": [f"{COLLECTION}objects/?limit={PAGE}&added_after={newest}"],
            "id": [f"{COLLECTION}objects/?match[id]={indicator_id(key(number))}" for number in numbers],
            "manifest": [f"{COLLECTION}manifest/?limit={PAGE}"],
        },
        floor_asked={
            "walk": [f"/objects/?limit={PAGE}&next={place * PAGE}" for place in range(last)],
            "page": [f"/objects/?limit={PAGE}"],
            "poll": [f"/objects/?limit={PAGE}&added_after={newest}"],
            "id": [f"/objects/?match[id]={floor_id(number)}" for number in numbers],
            "manifest": [f"/manifest/?limit={PAGE}"],
        },
        first_ms=first_ms,
    )


async def _walked(url: str, token: str) -> tuple[list[str], list[float]]:
    """The paths of a walk from the beginning, and how long each of its pages took the first time, in seconds."""
    paths, took = [f"{COLLECTION}objects/?limit={PAGE}"], []
    async with httpx.AsyncClient(
        base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False
    ) as client:
        while True:
            answer = await client.get(paths[-1])
            if answer.status_code != 200:
                raise BenchError(f"{answer.status_code}: {answer.text[:200]}")
            took.append(answer.elapsed.total_seconds())
            page = answer.json()
            if not page["more"] or len(paths) == WALKED:
                return paths, took
            paths.append(f"{COLLECTION}objects/?limit={PAGE}&next={page['next']}")


def _document(rounds: Rounds, scale: Scale, shelves: Mapping[str, Shelf]) -> dict[str, Any]:
    calls = {call: _call(rounds, call) for call in CALLS}
    walk = calls["walk"]
    return {
        "schema": SCHEMA,
        "job": "query",
        **{name: walk[name] for name in ("p50_ms", "p99_ms", "per_cpu_s", "floor_per_cpu_s", "ratio")},
        "calls": calls,
        "first_walk": {
            "p50_ms": percentile(shelves["many"].first_ms, 50),
            "p99_ms": percentile(shelves["many"].first_ms, 99),
        },
        "peers": {},
        "rows": scale.rows,
        "few_rows": scale.few,
        "page_objects": PAGE,
        "connections": CONNECTIONS,
        "rounds": scale.rounds,
        "machine": machine(),
        "versions": versions("httpx"),
    }


def _call(rounds: Rounds, call: str) -> dict[str, float]:
    rate = {name: middle(rounds.rates[f"{name}"]) for name in rounds.rates if f" {call}" in name}
    many, few = rate[f"many {call}"], rate[f"few {call}"]
    return {
        "p50_ms": percentile(rounds.latencies[f"many {call}"], 50),
        "p99_ms": percentile(rounds.latencies[f"many {call}"], 99),
        "floor_p99_ms": percentile(rounds.latencies[f"many {call} floor"], 99),
        "per_cpu_s": round(many),
        "floor_per_cpu_s": round(rate[f"many {call} floor"]),
        "ratio": brief(many / rate[f"many {call} floor"]),
        "few_per_cpu_s": round(few),
        "few_floor_per_cpu_s": round(rate[f"few {call} floor"]),
        "cost_of_many": brief(few / many),
    }
