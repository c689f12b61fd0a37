"""Measure how long a withdrawal takes to the last consumer; write `withdrawal.json` and `withdrawal.md`.

    python docs/measurements/withdrawal.py [--rounds N] [--out DIR]

Two whole nodes, each with its libp2p in a process of its own, over loopback. In each round the first one reports
another pattern; when every consumer of the second node has it, the first one takes it back. A minute or two.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from ioint_node.app import Node, open_node
from ioint_node.bench.consortium import found
from ioint_node.bench.figures import machine, versions
from ioint_node.config.files import write_private
from ioint_node.demo.client import Client
from ioint_node.flows.opinions import publish_record
from ioint_node.formats.stix import EXTENSION
from ioint_node.store import tokens
from ioint_node.store.times import day_of
from ioint_protocol import Report
from ioint_taxonomy import load_catalogue

PAUSE_S = 1.0  # between two polls of those who poll
WITHIN_S = 60.0
CONSUMERS = {
    "sse": "server-sent events (`/api/v1/stream`)",
    "webhook": "webhook (`withdrawal`), answered at once",
    "taxii": f"TAXII 2.1 with taxii2-client, `added_after`, a poll every {PAUSE_S:g} s",
    "export": f"reader of `ioint indicators export`, run again {PAUSE_S:g} s after it ended",
}
Learn = Callable[[str, str, bool], None]


@dataclass(kw_only=True)
class Known:
    """Who learned what when: by consumer, pattern, and whether it is revoked, the instant of the first time."""

    at: dict[tuple[str, str, bool], float] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def learn(self, consumer: str, pattern: str, revoked: bool) -> None:
        """Note that a consumer knows this of a pattern."""
        self.at.setdefault((consumer, pattern, revoked), time.perf_counter())
        self.changed.set()

    async def by_all(self, pattern: str, *, revoked: bool) -> dict[str, float]:
        """When each consumer learned it, once all have."""
        async with asyncio.timeout(WITHIN_S):
            while not all((each, pattern, revoked) in self.at for each in CONSUMERS):
                self.changed.clear()
                await self.changed.wait()
        return {each: self.at[each, pattern, revoked] for each in CONSUMERS}


@asynccontextmanager
async def consuming(node: Node, http: aiohttp.ClientSession) -> AsyncIterator[Known]:
    """Every kind of consumer at one node."""
    known = Known()
    engine, soc = await _client(node, http, "engine"), await _client(node, http, "soc")
    write_private(node.config.token_file, soc.headers["Authorization"].removeprefix("Bearer ").encode())
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(_receiver(known.learn))
        await engine.post("/api/v1/webhooks", {"url": url, "events": ["reputation", "withdrawal"]})
        consumers = (
            engine.events(lambda event: _heard(known.learn, "sse", event)),
            _polling(_taxii(soc, known.learn)),
            _polling(_export(node, known.learn)),
        )
        tasks = [asyncio.create_task(each) for each in consumers]
        try:
            yield known
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def withdrawn(
    author: Node, known: Known, client: Client, pattern: str, *, after_s: float
) -> dict[str, float]:
    """Report a pattern, take it back so long after all have it, and give the seconds until each knew."""
    now = time.time_ns() // 1_000_000
    await publish_record(author.parts, _report(author, pattern, now), by="measurement", now=now)
    await known.by_all(pattern, revoked=False)
    await asyncio.sleep(after_s)
    began = time.perf_counter()
    await client.post(f"/api/v1/patterns/{pattern}/opinion", {"kind": "withdraw", "reason": "mistake"})
    return {name: at - began for name, at in (await known.by_all(pattern, revoked=True)).items()}


async def measure(author: Node, reader: Node, rounds: int) -> list[dict[str, float]]:
    """The seconds of each consumer at `reader`, by round."""
    async with aiohttp.ClientSession() as http, consuming(reader, http) as known:
        client = await _client(author, http, "soc")
        patterns = sorted(load_catalogue().entries)[:rounds]
        return [
            await withdrawn(author, known, client, pattern, after_s=PAUSE_S * number / rounds)
            for number, pattern in enumerate(patterns)
        ]


def page(found: Mapping[str, Any]) -> str:
    """The document as a page."""
    packages = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    box = found["machine"]
    lines = [
        "# A withdrawal, until the last consumer knows",
        "",
        f"Made by `docs/measurements/withdrawal.py` on {box['cores']} x {box['processor']}, {box['system']}, load"
        f" {box['load'][0]}, with {packages}.",
        "",
        f"{found['rounds']} rounds. One member reports a pattern; at another member, which received it over libp2p on"
        " loopback, each of these consumers has it. The first member's analyst takes it back. Seconds from that request"
        " until the consumer has been told that it is revoked, both nodes and all consumers on one machine:",
        "",
        "| consumer at the other member | p50, s | max, s |",
        "|---|---|---|",
        *(
            f"| {text} | {found['seconds'][name]['p50']:.3f} | {found['seconds'][name]['max']:.3f} |"
            for name, text in CONSUMERS.items()
        ),
        "",
        "The rounds are spread evenly over the time between two polls. Who polls learns it with the next poll, half of"
        " that time later at the median and all of it at most; a run of the command takes its start besides.",
        "",
    ]
    return "\n".join(lines)


def summary(rounds: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Median and maximum of each consumer's seconds."""
    found = {name: [each[name] for each in rounds] for name in CONSUMERS}
    return {
        name: {"p50": round(statistics.median(values), 4), "max": round(max(values), 4)}
        for name, values in found.items()
    }


async def _client(node: Node, http: aiohttp.ClientSession, role: str) -> Client:
    made = await node.store.write(lambda connection: tokens.create(connection, role, None, "red", None))
    return Client(http, node.url, made.token)


def _heard(learn: Learn, consumer: str, event: Mapping[str, Any]) -> None:
    if event.get("event") in {"reputation", "withdrawal"} and "pattern" in event:
        learn(consumer, event["pattern"], event["revoked"])


@asynccontextmanager
async def _receiver(learn: Learn) -> AsyncIterator[str]:
    async def take(request: web.Request) -> web.Response:
        _heard(learn, "webhook", (await request.json())["data"])
        return web.Response(status=204)

    application = web.Application()
    application.router.add_post("/hook", take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


async def _polling(poll: Callable[[], Awaitable[None]]) -> None:
    while True:
        await poll()
        await asyncio.sleep(PAUSE_S)


def _taxii(soc: Client, learn: Learn) -> Callable[[], Awaitable[None]]:
    from taxii2client.v21 import Server, as_pages  # noqa: PLC0415 - a package for development

    token = soc.headers["Authorization"].removeprefix("Bearer ")
    newest: dict[str, str] = {}

    def poll() -> list[dict[str, Any]]:
        server = Server(f"{soc.url}/taxii2/", user="soc", password=token)
        try:
            indicators, *_ = server.default.collections
            pages = as_pages(indicators.get_objects, per_request=100, **newest)
            found = [one for page in pages for one in page.get("objects", []) if one["type"] == "indicator"]
        finally:
            server.close()
        if found:
            newest["added_after"] = max(one["modified"] for one in found)
        return found

    async def take() -> None:
        for one in await asyncio.to_thread(poll):
            learn("taxii", one["extensions"][EXTENSION]["pattern_id"], one.get("revoked", False))

    return take


def _export(node: Node, learn: Learn) -> Callable[[], Awaitable[None]]:
    target = node.config.home / "exported.jsonl"
    command = ("-m", "ioint_node", "indicators", "export", "--output", str(target), "--home")

    async def take() -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, str(node.config.home), stdout=asyncio.subprocess.DEVNULL
        )
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
        for line in target.read_text("utf-8").splitlines():
            row = json.loads(line)
            learn("export", row["id"], row["revoked"])

    return take


def _report(author: Node, pattern: str, now: int) -> Report:
    return Report(
        tax=author.parts.taxonomy.version,
        kind="pattern",
        pat=pattern,
        intents=(),
        basis="analyst",
        bad=3,
        seen=3,
        agents=0,
        day_from=day_of(now),
        day_until=day_of(now),
        det=author.parts.detector,
        tlp="green",
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


async def run(rounds: int) -> dict[str, Any]:
    """Found, open both nodes, and measure."""
    with tempfile.TemporaryDirectory(prefix="ioint-withdrawal-") as root:
        homes = [Path(root) / name for name in ("author", "reader")]
        configs = await found(homes, [_free_port() for _ in homes])
        async with AsyncExitStack() as stack:
            author, reader = [await stack.enter_async_context(open_node(config)) for config in configs]
            async with asyncio.timeout(WITHIN_S):
                while not (author.exchange.connected() and reader.exchange.connected()):  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0.05)
            took = await measure(author, reader, rounds)
    return {
        "machine": machine(),
        "versions": versions("libp2p", "taxii2-client"),
        "rounds": rounds,
        "seconds": summary(took),
        "each": [{name: round(value, 4) for name, value in each.items()} for each in took],
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    result = asyncio.run(run(given.rounds))
    (given.out / "withdrawal.json").write_text(json.dumps(result, indent=1) + "\n")
    (given.out / "withdrawal.md").write_text(page(result))


if __name__ == "__main__":
    main()
