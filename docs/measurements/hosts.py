"""How soon a record is of use at the other nodes: `python docs/measurements/hosts.py [--nodes 20] [--out DIR]`.

All nodes run on this machine, each with its own database and libp2p process, on loopback. At one node after another an
agent goes out of scope, so that reports leave it; later an analyst takes each of them back. A record is *released* when
its sender has it in its own log (`received_at` there) and *of use* at another node when that node tells its engines so
over SSE: what is told is in force. Writes `hosts.json` and `hosts.md`; 20 nodes take about three minutes on two cores.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
from ioint_node.demo.cast import SHIPPED
from ioint_node.demo.play import Playback, Recorded, read_recorded
from ioint_node.demo.stage import Organisation, stage

INCIDENTS: Final = ("demo-08", "demo-09")
SHARE: Final = 0.9
WITHIN_S: Final = 60.0
"""A record that has not come by then counts as one that took so long."""
QUIET_S: Final = 5.0
"""For so long the nodes are watched while nothing is said."""
POLL_S: Final = 0.02
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """One record: seconds from its release until it was of use, for each other node in ascending order."""

    kind: str
    after_s: Sequence[float]

    @property
    def most(self) -> float:
        """At the share of the nodes that is asked for."""
        return self.after_s[math.ceil(SHARE * len(self.after_s)) - 1]

    @property
    def all(self) -> float:
        """At every node."""
        return self.after_s[-1]


@dataclass(slots=True)
class Engine:
    """An engine at one node: when it was first told of a pattern since it was last asked."""

    told_at: dict[str, float] = field(default_factory=dict)

    def hear(self, event: Mapping[str, Any]) -> None:
        """Note an event of the stream."""
        if event["event"] in {"reputation", "withdrawal"}:
            self.told_at.setdefault(str(event["pattern"]), time.time())


@dataclass(slots=True, kw_only=True)
class Field:
    """The nodes, and an engine at each."""

    organisations: Sequence[Organisation]
    http: aiohttp.ClientSession
    engines: Mapping[str, Engine]

    async def release(
        self, sender: Organisation, kind: str, act: Callable[[], Any], begin: float
    ) -> list[Spread]:
        """Do what makes records leave a node, and wait until each is of use everywhere."""
        for engine in self.engines.values():
            engine.told_at.clear()
        await act()
        released = await self._left(sender, kind, begin)
        receivers = [self.engines[each.name] for each in self.organisations if each is not sender]

        def everywhere() -> bool:
            return all(pattern in engine.told_at for engine in receivers for pattern in released)

        deadline = time.monotonic() + WITHIN_S
        while not everywhere() and time.monotonic() < deadline:  # noqa: ASYNC110 - the engines hear meanwhile
            await asyncio.sleep(POLL_S)
        return [
            Spread(
                kind=kind,
                after_s=sorted(engine.told_at.get(pattern, at + WITHIN_S) - at for engine in receivers),
            )
            for pattern, at in released.items()
        ]

    async def _left(self, sender: Organisation, kind: str, begin: float) -> dict[str, float]:
        """When each record left, by the pattern that it is about; waits for the first of them."""
        client = sender.client(self.http, "soc")
        deadline = time.monotonic() + WITHIN_S
        while True:
            rows = client.items("/api/v1/records", kind=kind, author=sender.member)
            times = {
                str(row["subject"]): datetime.fromisoformat(str(row["received_at"])).timestamp()
                async for row in rows
            }
            if found := {pattern: at for pattern, at in times.items() if at >= begin}:
                return found
            if time.monotonic() > deadline:
                raise SystemExit(f"no {kind} has left {sender.name} within {WITHIN_S:.0f} s")
            await asyncio.sleep(POLL_S)


async def report(place: Field, sender: Organisation, incident: Recorded) -> list[Spread]:
    """An agent of this organisation goes out of scope."""
    client = sender.client(place.http, "engine")
    playback = Playback(client, incident, agent="agent", session_id=incident.session_id)
    await playback.open()
    for _ in range(incident.actions - 1):
        await playback.step()
    begin = _now()
    return await place.release(sender, "report", playback.step, begin)


async def withdraw(place: Field, sender: Organisation) -> list[Spread]:
    """An analyst of this organisation takes back what it has said of each pattern, one after the other."""
    client = sender.client(place.http, "soc")
    rows = client.items("/api/v1/records", kind="report", author=sender.member)
    patterns = sorted({str(row["subject"]) async for row in rows})
    found: list[Spread] = []
    for pattern in patterns:
        body = {"kind": "withdraw", "reason": "mistake"}

        async def act(pattern: str = pattern, body: dict[str, str] = body) -> None:
            await client.post(f"/api/v1/patterns/{pattern}/opinion", body)

        found += await place.release(sender, "withdrawal", act, _now())
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """CPU seconds so far: of all nodes, and of the processes in which they speak libp2p."""

    nodes: float
    libp2p: float


def cpu(organisations: Sequence[Organisation]) -> Cpu:
    """What the processes of these organisations have used."""
    nodes = [each.process.pid for each in organisations]
    children = [
        int(child)
        for pid in nodes
        for file in Path(f"/proc/{pid}/task").glob("*/children")
        for child in file.read_text().split()
    ]
    return Cpu(nodes=sum(map(_cpu_of, nodes)), libp2p=sum(map(_cpu_of, children)))


def _cpu_of(process: int) -> float:
    told = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(told[11]) + int(told[12])) / TICKS


@contextlib.asynccontextmanager
async def field_of(root: Path, nodes: int) -> AsyncIterator[Field]:
    """Nodes of one consortium, all connected, with an engine at each."""
    names = [f"org{number}" for number in range(1, nodes + 1)]
    async with (
        # The last node of a stage takes orders to do harm; it is given none.
        stage(root, names, network=True, say=_say) as organisations,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        asyncio.TaskGroup() as listening,
    ):
        engines = {name: Engine() for name in names}
        tasks = [
            listening.create_task(each.client(http, "engine").events(engines[each.name].hear))
            for each in organisations
        ]
        yield Field(organisations=organisations, http=http, engines=engines)
        for task in tasks:
            task.cancel()


async def measure(nodes: int, senders: int) -> dict[str, Any]:
    """Run the nodes and let `senders` of them speak."""
    recorded = {each.session_id: each for each in read_recorded(SHIPPED)}
    with tempfile.TemporaryDirectory(prefix="ioint-hosts-") as root:
        async with field_of(Path(root), nodes) as place:
            quiet = await _busy(place, lambda: asyncio.sleep(QUIET_S, []))
            speaking = place.organisations[:senders]

            async def reports() -> list[Spread]:
                return [
                    spread
                    for sender in speaking
                    for incident in INCIDENTS
                    for spread in await report(place, sender, recorded[incident])
                ]

            async def withdrawals() -> list[Spread]:
                return [spread for sender in speaking for spread in await withdraw(place, sender)]

            _say("reports")
            reported = await _busy(place, reports)
            _say("withdrawals")
            withdrawn = await _busy(place, withdrawals)
    return {
        "nodes": nodes,
        "share": SHARE,
        "quiet": {"cpu_share": _share(quiet)},
        "report": _figures(reported, nodes),
        "withdrawal": _figures(withdrawn, nodes),
        "machine": {
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            "load": round(os.getloadavg()[0], 1),
        },
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """What came of a phase, how long it took and what the processes worked meanwhile, in seconds."""

    spreads: Sequence[Spread]
    wall_s: float
    nodes_s: float
    libp2p_s: float

    @property
    def cpu_s(self) -> float:
        """Of all processes."""
        return self.nodes_s + self.libp2p_s


async def _busy(place: Field, phase: Callable[[], Any]) -> Busy:
    begin, before = time.monotonic(), cpu(place.organisations)
    spreads = await phase()
    after = cpu(place.organisations)
    return Busy(
        spreads=spreads,
        wall_s=time.monotonic() - begin,
        nodes_s=after.nodes - before.nodes,
        libp2p_s=after.libp2p - before.libp2p,
    )


def _figures(busy: Busy, nodes: int) -> dict[str, Any]:
    most = [spread.most for spread in busy.spreads]
    everywhere = [spread.all for spread in busy.spreads]
    return {
        "records": len(busy.spreads),
        "p50_s": _rounded(statistics.median(most)),
        "max_s": _rounded(max(most)),
        "all_p50_s": _rounded(statistics.median(everywhere)),
        "all_max_s": _rounded(max(everywhere)),
        "cpu_share": _share(busy),
        "libp2p_share": _rounded(busy.libp2p_s / busy.cpu_s),
        "cpu_ms_per_record_and_node": _rounded(1000 * busy.cpu_s / len(busy.spreads) / nodes, 1),
    }


def _share(busy: Busy) -> float:
    """Of the machine's cores, how much the nodes used."""
    return _rounded(busy.cpu_s / busy.wall_s / (os.cpu_count() or 1))


def page(told: Mapping[str, Any]) -> str:
    """The figures as a page."""
    machine = told["machine"]
    lines = [
        "# A record at every node, measured",
        "",
        f"Made by `docs/measurements/hosts.py --nodes {told['nodes']}` on {machine['cores']} cores, "
        f"{machine['system']}, Python {machine['python']}, load average {machine['load']} at the end.",
        f"{told['nodes']} nodes are {2 * told['nodes']} processes on this one machine, over loopback. Time counts from "
        "the release (in the sender's own log) until a node has told its engines, which it does once the record is in "
        "force there.",
        "",
        f"| what | records | at {told['share']:.0%} of the nodes: p50, s | max, s | at all: p50, s | max, s | "
        "CPU of all cores | CPU ms a record and node |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in ("report", "withdrawal"):
        row = told[kind]
        lines.append(
            f"| {kind} | {row['records']} | {row['p50_s']:.2f} | {row['max_s']:.2f} | {row['all_p50_s']:.2f} "
            f"| {row['all_max_s']:.2f} | {row['cpu_share']:.0%} | {row['cpu_ms_per_record_and_node']:.0f} |"
        )
    lines += [
        "",
        f"While nothing is said the nodes together use {told['quiet']['cpu_share']:.0%} of the cores.",
        "",
        *_bound(told),
        "",
    ]
    return "\n".join(lines)


def _bound(told: Mapping[str, Any]) -> list[str]:
    """What bounds it, as far as these figures say."""
    nodes, cores = told["nodes"], told["machine"]["cores"]
    lines = []
    for kind in ("report", "withdrawal"):
        row = told[kind]
        work_s = row["cpu_ms_per_record_and_node"] * nodes / 1000
        lines.append(
            f"- A {kind} costs {work_s:.2f} CPU-seconds over all {nodes} nodes ({row['libp2p_share']:.0%} libp2p): "
            f"{work_s / cores:.2f} s of {cores} cores, beside the {row['all_p50_s']:.2f} s until the last node has it."
        )
    return [
        "What bounds it:",
        "",
        *lines,
        "- On machines of their own the nodes do this work side by side; here they wait for one another's turn.",
    ]


def _rounded(value: float, digits: int = 3) -> float:
    return round(value, digits)


def _now() -> float:
    # A time of the API has milliseconds: what left in this one is not older.
    return math.floor(time.time() * 1000) / 1000


def _say(text: str) -> None:
    sys.stderr.write(f"· {text}\n")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--senders", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    told = asyncio.run(measure(given.nodes, given.senders))
    (given.out / "hosts.json").write_text(json.dumps(told, indent=1) + "\n")
    (given.out / "hosts.md").write_text(page(told))


if __name__ == "__main__":
    main()
