"""Members of a consortium, each a real node on a host of its own, and what they say to one another.

All is done with what a user has: the `ioint` commands, and HTTP with the node's own token.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Final

import aiohttp
from ioint_node.config import load_config, load_keys
from ioint_node.demo.cast import SHIPPED
from ioint_node.demo.client import AnswerError, Client
from ioint_node.demo.play import Playback, read_recorded
from ioint_node.demo.stage import command
from ioint_protocol.records import DISPUTE_REASONS

from tests.hosts.netns import EXCHANGE_PORT, Namespace, Network, children_of, own_address, public_address
from tests.hosts.relay import Relay

ROOT: Final = Path(__file__).parents[2]
WITHIN_S: Final = 30.0
"""How long anything that has to happen may take."""
POLL_S: Final = 0.05
STOP_S: Final = 10.0
CALM_S: Final = 2.0
"""The longest that a decision may take on a machine that is busy with ten processes."""
SEED: Final = 20_261_130
WEB: Final = "http://127.0.0.1:8470"  # each host has a loopback of its own
INCIDENTS: Final = ("demo-08", "demo-09")
"""Sessions of the demo in which an agent goes out of scope."""

Key = tuple[str, str]
"""A record by its author and its id."""
Said = Counter[Key]
"""How often each record is there."""


async def until(
    holds: Callable[[], Awaitable[bool]], what: str | Callable[[], str], within_s: float = WITHIN_S
) -> None:
    """Ask again until it holds; a bound, not a pause, decides when to give up."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not await holds():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not within {within_s:.0f} s: {what if isinstance(what, str) else what()}")
        await asyncio.sleep(POLL_S)


@dataclass(kw_only=True)
class Host:
    """A member's machine. `reachable` says whether others can connect to it, `ahead_s` how wrong its clock is."""

    name: str
    number: int
    side: str
    home: Path
    space: Namespace
    reachable: bool = True
    ahead_s: int = 0
    process: asyncio.subprocess.Process | None = None
    _http: aiohttp.ClientSession | None = None
    told: Said = field(default_factory=Counter)
    """What this node has told its user that it would send."""
    _tried: set[tuple[str, str]] = field(default_factory=set)
    _disputed: list[str] = field(default_factory=list)

    async def prepare(self) -> None:
        """Make the node's home and its card."""
        where = (
            *("--exchange-host", own_address(self.number), "--exchange-port", str(EXCHANGE_PORT)),
            *("--announce", f"/ip4/{public_address(self.number)}/tcp/{EXCHANGE_PORT}"),
        )
        inward = (
            "--exchange-port",
            "0",
        )  # on loopback, at a port that nobody is told: the card has no address
        await command(
            "init", "--home", str(self.home), "--org", self.name, "--publish", "catalogue",
            *(where if self.reachable else inward),
        )  # fmt: skip
        await command("consortium", "card", "--home", str(self.home), "--output", str(self.card))

    @property
    def card(self) -> Path:
        """The member card, to be given to a steward."""
        return self.home / "card.json"

    @property
    def member(self) -> str:
        """The member id."""
        return load_keys(self.home).member

    async def start(self) -> None:
        """Run the node; returns when it serves."""
        module = ("tests.hosts.skewed", str(self.ahead_s)) if self.ahead_s else ("ioint_node",)
        with (self.home / "node.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.space.inside(sys.executable, "-m", *module, "run", "--home", str(self.home)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(socket_factory=lambda address: self.space.socket(address[0]))
        )
        await until(self.serves, lambda: f"the node of {self.name} serves: {self.log}")

    async def stop(self, *, kill: bool = False) -> None:
        """End the node: politely, or as a power cut does."""
        if self._http is not None:
            await self._http.close()
        if self.process is None or self.process.returncode is not None:
            return
        children = children_of(self.process.pid)
        self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), STOP_S)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        await until(lambda: _gone(children), f"the processes of {self.name} end")

    @property
    def log(self) -> str:
        """The end of what the node logged, for a test that fails."""
        file = self.home / "node.log"
        return file.read_text(errors="replace")[-2_000:] if file.exists() else ""

    @property
    def pids(self) -> tuple[int, int]:
        """The node's process, and its child that speaks libp2p."""
        assert self.process is not None
        (child,) = children_of(self.process.pid)
        return self.process.pid, child

    @property
    def client(self) -> Client:
        """HTTP with the administrator's token of this host."""
        assert self._http is not None
        return Client(self._http, WEB, load_config(self.home).token_file.read_text().strip())

    async def peers(self) -> dict[str, Mapping[str, Any]]:
        """What the node tells of its connection to each other member, by member id."""
        return {row["member"]: row for row in (await self.client.get("/api/v1/peers"))["items"]}

    async def members(self) -> dict[str, Mapping[str, Any]]:
        """The roster as the node shows it, by member id."""
        return {row["id"]: row for row in (await self.client.get("/api/v1/members"))["items"]}

    async def refused(self, member: str) -> Counter[str]:
        """What the node has refused of a member, records and calls together, by name."""
        peers, members = await self.peers(), await self.members()
        return Counter(peers[member]["refused"]) + Counter(members[member]["refused"])

    async def metric(self, name: str) -> float:
        """One number of `/metrics`, 0 where it is not there yet."""
        assert self._http is not None
        async with self._http.get(f"{WEB}/metrics", headers=self.client.headers) as answer:
            lines = (await answer.text()).splitlines()
        return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0.0)

    async def holds(self) -> Said:
        """Every record that the node has, by author and record."""
        rows = self.client.items("/api/v1/records", limit="500")
        return Counter([(row["author"], row["id"]) async for row in rows])

    async def said(self) -> Said:
        """Every record that has left this node, by its own account."""
        rows = self.client.items("/api/v1/outgoing", state="left", limit="500")
        return Counter([(self.member, row["id"]) async for row in rows])

    async def incident(self, recorded: str) -> None:
        """An agent of this organisation goes out of scope; returns when the reports have left."""
        before = await self.said()
        session = next(each for each in read_recorded(SHIPPED) if each.session_id == recorded)
        playback = Playback(self.client, session, agent=f"agent-{recorded}", session_id=f"session-{recorded}")
        await playback.open()
        while await playback.step() is not None:
            pass
        await playback.close()

        async def left() -> bool:
            return await self.said() != before

        await until(left, f"reports leave {self.name}")

    async def dispute(self, count: int) -> frozenset[Key]:
        """Say `count` things that this node has not said before, disputes and what takes them back; return them."""
        said: set[Key] = set()
        while len(said) < count:
            records = await self._dispute_or_take_back()
            said.update((self.member, record) for record in records)
        self.told |= Counter(said)
        return frozenset(said)

    async def _dispute_or_take_back(self) -> list[str]:
        if self._disputed:
            return await self._opinion(self._disputed.pop(), "withdraw", "mistake")
        patterns = sorted([row["id"] async for row in self.client.items("/api/v1/indicators")])
        for pattern, reason in product(patterns, sorted(DISPUTE_REASONS)):
            if (pattern, reason) in self._tried:
                continue
            self._tried.add((pattern, reason))
            try:
                records = await self._opinion(pattern, "dispute", reason)
            except AnswerError as error:
                if error.status in (
                    404,
                    409,
                ):  # nobody else has reported this one, or this node said the same
                    continue
                raise
            self._disputed.append(pattern)
            return records
        raise AssertionError(f"{self.name} has nothing more to say")

    async def _opinion(self, pattern: str, kind: str, reason: str) -> list[str]:
        answer = await self.client.post(
            f"/api/v1/patterns/{pattern}/opinion", {"kind": kind, "reason": reason}
        )
        return list(answer["records"])

    async def until_holds(self, said: frozenset[Key]) -> None:
        """Wait until this node has what somebody said."""

        async def has() -> bool:
            return said <= (await self.holds()).keys()

        await until(has, f"{self.name} holds {len(said)} records")

    async def decides(self) -> float:
        """Ask for one decision and return the seconds that it took."""
        clock = asyncio.get_running_loop().time
        begin = clock()
        name = f"s-{os.urandom(6).hex()}"
        await self.client.post(
            "/api/v1/sessions",
            {
                "session_id": name,
                "actor": {"id": "clerk", "kind": "agent"},
                "declared": {"text": "Read the notes."},
            },
        )
        await self.client.post(
            f"/api/v1/sessions/{name}/actions",
            {"action_id": "a", "tool": "read_file", "arguments": {"path": "notes.txt"}},
        )
        return clock() - begin

    async def serves(self) -> bool:
        """Whether the node and its exchange are ready."""
        assert self.process is not None
        assert self._http is not None
        assert self.process.returncode is None, f"the node of {self.name} ended: {self.log}"
        try:
            async with self._http.get(f"{WEB}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False


async def _gone(processes: Iterable[int]) -> bool:
    return not any(Path(f"/proc/{each}/exe").exists() for each in processes)


class Consortium:
    """The hosts, the network between them, and the weather on it. Started hosts are `running`."""

    def __init__(self, root: Path, network: Network, relay: Relay) -> None:
        self._root, self.network, self.relay = root, network, relay
        self.hosts: dict[str, Host] = {}

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    @property
    def running(self) -> tuple[Host, ...]:
        """The hosts whose node runs."""
        return tuple(h for h in self.hosts.values() if h.process is not None and h.process.returncode is None)

    async def add(self, name: str, side: str, **rest: Any) -> Host:
        """Plug in a new host and make its node's home."""
        number = len(self.hosts) + 1
        space = self.network.host(number, side)
        host = Host(name=name, number=number, side=side, home=self._root / name, space=space, **rest)
        self.hosts[name] = host
        if host.reachable:
            await self.relay.serve(number, side)
        await host.prepare()
        return host

    async def start(self, *hosts: Host) -> None:
        """Run these nodes until the end, or until they are stopped."""
        await asyncio.gather(*(host.start() for host in hosts))

    async def stop(self) -> None:
        """End every node."""
        await asyncio.gather(*(host.stop() for host in self.hosts.values()))

    async def meet(self, within_s: float = WITHIN_S) -> None:
        """Wait until all nodes that run are connected, but for two that neither can connect to the other."""
        wanted = self.running
        apart: list[str] = []

        async def connected() -> bool:
            pages = await asyncio.gather(*(host.peers() for host in wanted))
            apart[:] = [
                f"{host.name} without {other.name}"
                for host, page in zip(wanted, pages, strict=True)
                for other in wanted
                if other is not host
                and (host.reachable or other.reachable)
                and not page.get(other.member, {}).get("connected_since")
            ]
            return not apart

        await until(connected, lambda: f"all are connected; {', '.join(apart)}", within_s)

    async def agree(self) -> None:
        """Wait until all nodes that run hold exactly what they and the others of these have said, and that once."""
        wanted = self.running
        said: Said = Counter()
        for host in wanted:
            left = await host.said()
            assert host.told <= left, f"{host.name} has forgotten {(host.told - left).total()} records"
            said += left
        ids = {host.member for host in wanted}
        found: dict[str, Said] = {}

        async def same() -> bool:
            pages = await asyncio.gather(*(host.holds() for host in wanted))
            found.update({host.name: _of(page, ids) for host, page in zip(wanted, pages, strict=True)})
            return all(page == said for page in found.values())

        def differences() -> str:
            lacks = {name: (said - page).total() for name, page in found.items()}
            extra = {name: (page - said).total() for name, page in found.items()}
            return f"all hold the same {said.total()} records; lacking {lacks}, beyond {extra}"

        await until(same, differences)

    async def believe_the_same(self) -> None:
        """Wait until the network part of every pattern's receipt is the same at all nodes that run."""

        async def receipts(host: Host) -> dict[str, Any]:
            rows = [row["id"] async for row in host.client.items("/api/v1/indicators")]
            return {row: (await host.client.get(f"/api/v1/patterns/{row}/why"))["network"] for row in rows}

        async def same() -> bool:
            first, *others = await asyncio.gather(*(receipts(host) for host in self.running))
            return bool(first) and all(each == first for each in others)

        await until(same, "all nodes compute the same reputation of every pattern")


def _of(page: Said, authors: set[str]) -> Said:
    return Counter({key: count for key, count in page.items() if key[0] in authors})


@asynccontextmanager
async def consortium_of(
    root: Path, founders: Sequence[tuple[str, str, bool]], absent: str
) -> AsyncIterator[Consortium]:
    """Founders by name, side and whether others can reach them; all of them run but the one that is `absent`."""
    async with AsyncExitStack() as stack:
        network = Network()
        stack.callback(network.close)
        relay = Relay(network, SEED)
        stack.push_async_callback(relay.close)
        made = Consortium(root, network, relay)
        stack.push_async_callback(made.stop)
        await asyncio.gather(
            *(made.add(name, side, reachable=reachable) for name, side, reachable in founders)
        )
        first, *others = made.hosts.values()
        cards = [argument for host in others for argument in ("--card", str(host.card))]
        await command("consortium", "create", "--home", str(first.home), "--name", "hosts", *cards)
        roster = str(first.home / "roster.bin")
        await asyncio.gather(
            *(command("consortium", "join", "--home", str(h.home), "--roster", roster) for h in others)
        )
        await made.start(*(host for host in made.hosts.values() if host.name != absent))
        await made.meet()
        yield made
