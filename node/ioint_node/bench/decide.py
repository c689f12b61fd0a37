"""`ioint bench decide`: one action decided with everything on, beside its floors and peers, in interleaved rounds.

Every round plays whole sessions into a node in this process, loads a served node and two empty POSTs of the same
server (of aiohttp alone, and behind the node's own guard), and lets floor and peers decide about the same features. So
what the machine does to one it does to all, and the ratios hold where the figures do not. CPU seconds are those of the
process that does the work, its database thread and the journal included.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from ioint_protocol.pattern import Matcher
from ioint_taxonomy import load_taxonomy

from ioint_node.app import Node
from ioint_node.bench import peers
from ioint_node.bench.client import Request, load
from ioint_node.bench.figures import SCHEMA, Rounds, machine, middle, per_cpu, percentile, versions
from ioint_node.bench.place import STOP_S, BenchError, Served, home, make_node, opened, served
from ioint_node.bench.playing import Played, play
from ioint_node.bench.workload import Script, script
from ioint_node.scoring.model import load_model
from ioint_node.scoring.tracker import SessionTracker
from ioint_node.scoring.values import NOTHING_AROUND, Declaration, Event

WARM_UP = 2  # sessions, not counted
CONNECTIONS = 4
EMPTY_TIMES = 6  # as many empty requests as others: each takes so little that the clock would not see them
SETTLE_S = 0.1  # more than the writer waits for company
MEMORY_S = 300.0
ACTORS_KEPT = 50  # whose sessions these are
Say = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured: rounds, sessions in each in process and over HTTP, decisions of each peer, idle actors."""

    rounds: int = 5
    sessions: int = 40
    served_sessions: int = 24
    floor_decisions: int = 60_000
    peer_decisions: int = 400
    forest_decisions: int = 20
    actors: int = 100_000


FULL = Scale()
SHORT = Scale(
    rounds=1,
    sessions=4,
    served_sessions=4,
    floor_decisions=5_000,
    peer_decisions=50,
    forest_decisions=3,
    actors=2_000,
)


@dataclass(slots=True)
class Decided(Rounds):
    """What the rounds found: decisions per CPU second, their latencies, and what was decided."""

    verdicts: Counter[str] = field(default_factory=Counter)


async def bench_decide(scale: Scale, say: Say) -> dict[str, Any]:
    """Measure, and return the document of the contract; `say` hears how many phases are done and how many there are.

    Raises:
        BenchError: a part did not start or answered with an error.
    """
    rounds = Decided()
    rows = features_of([script(number) for number in range(WARM_UP)])
    async with AsyncExitStack() as stack:
        root = stack.enter_context(home())
        for name in ("here", "there"):
            token = await make_node(root / name)
        node = await stack.enter_async_context(opened(root / "here", _now()))
        server = await stack.enter_async_context(served(root / "there", token))
        phases = _phases(node, server, scale, rows, rounds)
        total = scale.rounds * len(phases) + 1
        await _played(node, {number: script(-number) for number in range(-WARM_UP, 0)}, Played())
        gc.collect()
        gc.freeze()
        done = 0
        for number in range(scale.rounds):
            for phase in phases:
                await phase(number)
                done += 1
                say(done, total)
        memory = await _memory(root / "memory", scale.actors)
        say(total, total)
    return _document(rounds, scale, memory)


def features_of(scripts: Sequence[Script]) -> list[tuple[float, ...]]:
    """The features of every action of these sessions, as a tracker measures them."""
    taxonomy, model = load_taxonomy(), load_model()
    rows = []
    for one in scripts:
        tracker = SessionTracker(
            Declaration(text=one.declared), model=model, matcher=Matcher({}, taxonomy), taxonomy=taxonomy
        )
        for call in one.calls:
            measured = tracker.measure(Event(kind="tool_call", tool=call.tool, arguments=call.arguments))
            if measured is not None:
                rows.append((*measured.features, *NOTHING_AROUND.values()))
            tracker.measure(Event(kind="tool_result", tool=call.tool, text=call.result))
    return rows


def _phases(
    node: Node, server: Served, scale: Scale, rows: Sequence[peers.Features], rounds: Decided
) -> list[Callable[[int], Awaitable[None]]]:
    model = load_model()
    beside: dict[str, tuple[peers.Decide | None, int]] = {
        "floor": (peers.floor(model), scale.floor_decisions),
        "sklearn_logistic": (peers.sklearn_logistic(model), scale.peer_decisions),
        "sklearn_isolation_forest": (peers.sklearn_forest(rows), scale.forest_decisions),
        "cedarpy": (peers.cedar(), scale.peer_decisions),
    }

    async def here(number: int) -> None:
        first = number * scale.sessions
        scripts = {one: script(one) for one in range(first, first + scale.sessions)}
        played = Played()
        cpu = time.process_time()
        await _played(node, scripts, played)
        cpu = time.process_time() - cpu
        actions = len(played.latencies)
        rounds.note("decide", actions / max(cpu - played.events_cpu_s, 1e-9), played.latencies)
        rounds.note("decide_and_results", actions / cpu)
        rounds.verdicts.update(played.verdicts)

    async def there(number: int) -> None:
        first = number * scale.served_sessions
        lanes = await _prepared(server, range(first, first + scale.served_sessions))
        sent = await load(server.url, server.token, lanes, server.pid, settle_s=SETTLE_S)
        rounds.note("http_decide", per_cpu(len(sent.latencies), sent.cpu_s), sent.latencies)
        empty = [[Request(path="/empty", body=one.body) for one in lane] * EMPTY_TIMES for lane in lanes]
        for name, url in (("http_empty", server.floor_url), ("http_guarded", server.guarded_url)):
            sent = await load(url, server.token, empty, server.pid, settle_s=SETTLE_S)
            rounds.note(name, per_cpu(len(sent.latencies), sent.cpu_s), sent.latencies)

    async def others(number: int) -> None:
        for name, (decide, times) in beside.items():
            if decide is not None:
                rounds.note(name, *_repeated(decide, rows, times))
        await asyncio.sleep(0)

    return [here, there, others]


async def _played(node: Node, scripts: Mapping[int, Script], into: Played) -> None:
    """Play these sessions, by number, one after the other, and wait until all of it is on disk."""
    for number, one in scripts.items():
        await play(node.assess, f"s{number}", f"agent-{number % ACTORS_KEPT}", one, into)

    async def nothing(_connection: object) -> None:
        return None

    await node.store.write(nothing)


async def _prepared(server: Served, numbers: range) -> list[list[Request]]:
    """Open these sessions over HTTP, tell each all that it will read, and give their actions by connection."""
    opening: list[list[Request]] = [[] for _ in range(CONNECTIONS)]
    acting: list[list[Request]] = [[] for _ in range(CONNECTIONS)]
    for number in numbers:
        one, lane = script(number), number % CONNECTIONS
        path = f"/api/v1/sessions/s{number}"
        opening[lane].append(_post("/api/v1/sessions", _opening(number, one)))
        opening[lane].append(_post(f"{path}/events", {"kind": "prompt", "role": "user", "text": one.prompt}))
        for step, call in enumerate(one.calls):
            opening[lane].append(_post(f"{path}/events", {"kind": "tool_result", "text": call.result}))
            body = {"action_id": f"c{step}", "tool": call.tool, "arguments": call.arguments, "t": float(step)}
            acting[lane].append(_post(f"{path}/actions", body))
    await load(server.url, server.token, opening, server.pid, settle_s=SETTLE_S)
    return acting


def _opening(number: int, one: Script) -> dict[str, Any]:
    actor = {"id": f"agent-{number % ACTORS_KEPT}", "kind": "agent"}
    return {"session_id": f"s{number}", "actor": actor, "declared": {"text": one.declared}}


def _post(path: str, body: Mapping[str, Any]) -> Request:
    return Request(path=path, body=msgspec.json.encode(body))


def _repeated(decide: peers.Decide, rows: Sequence[peers.Features], times: int) -> tuple[float, list[float]]:
    """Decisions per CPU second, and the latency of each, after one that is not counted."""
    decide(rows[0])
    latencies = []
    cpu = time.process_time()
    for number in range(times):
        begin = time.perf_counter()
        decide(rows[number % len(rows)])
        latencies.append(time.perf_counter() - begin)
    return times / max(time.process_time() - cpu, 1e-9), latencies


async def _memory(place: Path, actors: int) -> dict[str, Any]:
    """What an idle actor costs, measured in a process of its own."""
    await make_node(place)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ioint_node.bench.memory",
        str(place),
        str(actors),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, error = await asyncio.wait_for(process.communicate(), MEMORY_S)
    except TimeoutError:
        process.kill()
        await asyncio.wait_for(process.wait(), STOP_S)
        raise BenchError(f"memory was not measured within {MEMORY_S:g} s") from None
    if process.returncode:
        said = error.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise BenchError(f"memory could not be measured: {said[0]}")
    found: dict[str, Any] = msgspec.json.decode(out)
    return found


def _document(rounds: Decided, scale: Scale, memory: Mapping[str, Any]) -> dict[str, Any]:
    rate = {name: middle(found) for name, found in rounds.rates.items()}
    beside = ("sklearn_logistic", "sklearn_isolation_forest", "cedarpy")
    return {
        "schema": SCHEMA,
        "job": "decide",
        "p50_ms": percentile(rounds.latencies["decide"], 50),
        "p99_ms": percentile(rounds.latencies["decide"], 99),
        "per_cpu_s": round(rate["decide"]),
        "floor_per_cpu_s": round(rate["floor"]),
        "ratio": round(rate["decide"] / rate["floor"], 4),
        "with_results_per_cpu_s": round(rate["decide_and_results"]),
        "http": {
            "p50_ms": percentile(rounds.latencies["http_decide"], 50),
            "p99_ms": percentile(rounds.latencies["http_decide"], 99),
            "per_cpu_s": round(rate["http_decide"]),
            "empty_post_per_cpu_s": round(rate["http_empty"]),
            "cost_of_empty_post": round(rate["http_empty"] / rate["http_decide"], 3),
            "guarded_post_per_cpu_s": round(rate["http_guarded"]),
            "cost_of_guarded_post": round(rate["http_guarded"] / rate["http_decide"], 3),
            "connections": CONNECTIONS,
        },
        "peers": {
            name: {
                "per_cpu_s": round(rate[name]),
                "p50_ms": percentile(rounds.latencies[name], 50),
                "p99_ms": percentile(rounds.latencies[name], 99),
                "ratio": round(rate["decide"] / rate[name], 4),
            }
            if name in rate
            else {"absent": "not installed"}
            for name in beside
        },
        "memory": dict(memory),
        "verdicts": dict(rounds.verdicts),
        "actions": len(rounds.latencies["decide"]),
        "rounds": scale.rounds,
        "machine": machine(),
        "versions": versions(),
    }


def _now() -> int:
    return time.time_ns() // 1_000_000
