"""`ioint bench push`: events to a thousand subscribers, beside the floor and brokers, in interleaved rounds.

The node is as it ships: tokens, clearance, eight streams of one token, back-pressure, and every event a row committed
to SQLite before anybody hears of it. An event is published when everybody has the one before. CPU seconds are those of
the process that serves. Beside the plain stream: a thousand subscribers with filters, those that come back and
are given what they missed, and one that does not read, which is cut off and costs the others nothing.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec
from aiohttp import ClientSession

from ioint_node.bench.brokers import BROKERS, Broker, running
from ioint_node.bench.client import cpu_of
from ioint_node.bench.figures import SCHEMA, Rounds, machine, middle, per_cpu, percentile, versions
from ioint_node.bench.place import START_S, BenchError, child, home, make_node
from ioint_node.bench.subscribers import Heard, leave, listen, mark
from ioint_node.config import load_config
from ioint_node.store import tokens
from ioint_node.store.engine import open_store
from ioint_node.web.limits import WebLimits

EVENT_BYTES: Final = 1_024
FILTERS: Final = 20  # different ones, among the subscribers with filters
FILES: Final = 8_192
LARGE_EVENTS: Final = 300
LARGE_BYTES: Final = 60_000
Say = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured: rounds, subscribers, events to each in a phase, subscribers that come back."""

    rounds: int = 5
    subscribers: int = 1_000
    events: int = 100
    returning: int = 100


FULL = Scale()
SHORT = Scale(rounds=1, subscribers=1_000, events=20, returning=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """The node and the floor in their process: where they listen, how to publish, the indicator events are about."""

    url: str
    floor_url: str
    pattern: str
    pid: int
    write: Callable[[bytes], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Whom a phase listens to, with which requests, and how an event is published there."""

    host: str
    port: int
    requests: Sequence[bytes]
    ready: bytes
    pid: int
    publish: Callable[[bytes], None]


async def bench_push(scale: Scale, say: Say) -> dict[str, Any]:
    """Measure, and return the document of the contract; `say` hears how many phases are done and how many there are.

    Raises:
        BenchError: a part did not start, or somebody did not get what was published.
    """
    _allow_files()
    rounds = Rounds()
    async with AsyncExitStack() as stack:
        root = stack.enter_context(home())
        keys = await _make(root, scale.subscribers)
        node = await stack.enter_async_context(_publishing(root))
        filters = [f"filter={quote(f'score>={number}')}" for number in range(FILTERS)]
        listened = {
            "push": _of_node(node, keys, [""]),
            "floor": _of_floor(node, scale.subscribers),
            **{one.name: await _of_broker(stack, one, scale.subscribers) for one in BROKERS},
            "filtered": _of_node(node, keys, filters),
        }
        done, total = 0, scale.rounds * (len(listened) + 1) + 1
        for _ in range(scale.rounds):
            for name, where in listened.items():
                if where is not None:
                    rounds.note(name, *await _fan_out(where, node.pattern, scale.events))
                done += 1
                say(done, total)
            rounds.note("replay", await _return(node, keys[: scale.returning], scale.events))
            done += 1
            say(done, total)
        slow = await _slow(node, keys)
        say(total, total)
    return _document(rounds, scale, slow)


async def _make(place: Path, subscribers: int) -> list[str]:
    """A node with as many tokens as so many streams need, one for each subscriber and as often as it may be used."""
    await make_node(place)
    each = WebLimits().streams_per_token
    async with open_store(load_config(place).store_url) as store:
        made = [
            await store.write(lambda connection: tokens.create(connection, "engine", None, "amber", None))
            for _ in range(-(-subscribers // each))
        ]
    return [one.token for one in made for _ in range(each)][:subscribers]


@asynccontextmanager
async def _publishing(place: Path) -> AsyncIterator[Publisher]:
    async with child("ioint_node.bench.publishing", place) as (process, told):
        try:
            line = await asyncio.wait_for(told.readline(), START_S)
        except TimeoutError:
            raise BenchError(f"the server did not listen within {START_S:g} s") from None
        if not line or process.stdin is None:
            raise BenchError("the server ended before it listened: run `ioint doctor` on this machine")
        yield Publisher(**msgspec.json.decode(line), pid=process.pid, write=process.stdin.write)


def _of_node(node: Publisher, keys: Sequence[str], queries: Sequence[str]) -> Listening:
    parts = urlsplit(node.url)
    requests = [
        _get(f"/api/v1/stream?{queries[number % len(queries)]}", parts.netloc, key)
        for number, key in enumerate(keys)
    ]
    return Listening(
        host=parts.hostname or "",
        port=parts.port or 0,
        requests=requests,
        ready=b": welcome",
        pid=node.pid,
        publish=lambda body: node.write(b"node " + body + b"\n"),
    )


def _of_floor(node: Publisher, subscribers: int) -> Listening:
    parts = urlsplit(node.floor_url)
    return Listening(
        host=parts.hostname or "",
        port=parts.port or 0,
        requests=[_get(parts.path, parts.netloc)] * subscribers,
        ready=b": welcome",
        pid=node.pid,
        publish=lambda body: node.write(b"floor " + body + b"\n"),
    )


async def _of_broker(stack: AsyncExitStack, broker: Broker, subscribers: int) -> Listening | None:
    found = await stack.enter_async_context(running(broker))
    if found is None:
        return None
    port, pid = found
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    stack.callback(writer.close)
    writer.write(broker.greeting)
    return Listening(
        host="127.0.0.1",
        port=port,
        requests=[broker.subscribe] * subscribers,
        ready=broker.ready,
        pid=pid,
        publish=lambda body: writer.write(broker.publish(body)),
    )


async def _fan_out(where: Listening, pattern: str, events: int) -> tuple[float, list[float]]:
    """Deliveries per CPU second, and the latency of each; one event that is not counted goes ahead."""
    heard, transports = await listen(where.host, where.port, where.requests, where.ready)
    try:
        await _published(where, heard, pattern, 1)
        cpu = cpu_of(where.pid)
        for number in range(2, events + 2):
            await _published(where, heard, pattern, number)
        cpu = cpu_of(where.pid) - cpu
    finally:
        await leave(transports)
    count = events * len(where.requests)
    return per_cpu(count, cpu), heard.latencies[-count:]


async def _published(where: Listening, heard: Heard, pattern: str, number: int) -> None:
    due = number * len(where.requests)
    where.publish(_event(pattern, EVENT_BYTES))
    await heard.until(lambda: len(heard.latencies) >= due, f"delivery {due}")


async def _return(node: Publisher, keys: Sequence[str], events: int) -> float:
    """Deliveries per CPU second to subscribers that come back and are given so many events from the database."""
    before = await _newest(node, keys[0])
    one = _of_node(node, keys[:1], [""])
    heard, transports = await listen(one.host, one.port, one.requests, one.ready)
    for number in range(1, events + 1):
        await _published(one, heard, node.pattern, number)
    await leave(transports)
    requests = [_get("/api/v1/stream", urlsplit(node.url).netloc, key, last=before) for key in keys]
    cpu = cpu_of(node.pid)
    heard, transports = await listen(one.host, one.port, requests, one.ready)
    due = events * len(keys)
    await heard.until(lambda: len(heard.latencies) >= due, f"delivery {due}")
    cpu = cpu_of(node.pid) - cpu
    await leave(transports)
    return per_cpu(len(heard.latencies), cpu)


async def _newest(node: Publisher, token: str) -> int:
    """The number of the newest event: what a stream that is asked to go on from the future begins with."""
    headers = {"Authorization": f"Bearer {token}", "Last-Event-ID": "9" * 18}
    async with ClientSession() as client, client.get(f"{node.url}/api/v1/stream", headers=headers) as got:
        async for line in got.content:
            if line.startswith(b"id: "):
                return int(line[4:])
    raise BenchError("the stream ended before it began")


async def _slow(node: Publisher, keys: Sequence[str]) -> dict[str, int]:
    """How many of so many large events each hears: one that reads, and one that does not, until it is too late."""
    where = _of_node(node, keys[:2], [""])
    lazy, asleep = await listen(where.host, where.port, where.requests[:1], where.ready)
    asleep[0].pause_reading()
    heard, transports = await listen(where.host, where.port, where.requests[1:], where.ready)
    for number in range(1, LARGE_EVENTS + 1):
        where.publish(_event("", LARGE_BYTES))
        await heard.until(lambda due=number: len(heard.latencies) >= due, f"delivery {number}")  # type: ignore[misc]
    asleep[0].resume_reading()
    lazy_lost = asyncio.timeout(START_S)
    async with lazy_lost:
        while not lazy.lost:
            lazy.more.clear()
            await lazy.more.wait()
    await leave([*asleep, *transports])
    return {"events": LARGE_EVENTS, "reads": len(heard.latencies), "does_not_read": len(lazy.latencies)}


def _event(pattern: str, size: int) -> bytes:
    said = {"pattern": pattern, "state": "watched", "score": 90, "reason": mark()}
    return msgspec.json.encode({**said, "label": "x" * (size - len(msgspec.json.encode(said)))})


def _get(path: str, host: str, token: str = "", *, last: int | None = None) -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Accept: text/event-stream"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if last is not None:
        lines.append(f"Last-Event-ID: {last}")
    return "\r\n".join([*lines, "", ""]).encode()


def _allow_files() -> None:
    """As many open files as so many connections need, as far as this machine lets a program have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _document(rounds: Rounds, scale: Scale, slow: Mapping[str, int]) -> dict[str, Any]:
    rate = {name: middle(found) for name, found in rounds.rates.items()}
    return {
        "schema": SCHEMA,
        "job": "push",
        "p50_ms": percentile(rounds.latencies["push"], 50),
        "p99_ms": percentile(rounds.latencies["push"], 99),
        "per_cpu_s": round(rate["push"]),
        "floor_per_cpu_s": round(rate["floor"]),
        "ratio": round(rate["push"] / rate["floor"], 4),
        "filtered_per_cpu_s": round(rate["filtered"]),
        "replay_per_cpu_s": round(rate["replay"]),
        "slow": dict(slow),
        "peers": {
            one.name: {
                "per_cpu_s": round(rate[one.name]),
                "p50_ms": percentile(rounds.latencies[one.name], 50),
                "p99_ms": percentile(rounds.latencies[one.name], 99),
                "ratio": round(rate["push"] / rate[one.name], 4),
            }
            if one.name in rate
            else {"absent": "not installed"}
            for one in BROKERS
        },
        "subscribers": scale.subscribers,
        "events": scale.events,
        "event_bytes": EVENT_BYTES,
        "filters": FILTERS,
        "returning": scale.returning,
        "rounds": scale.rounds,
        "machine": machine(),
        "versions": versions(),
    }
