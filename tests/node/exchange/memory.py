"""A network in memory, behind the same interface as libp2p: with delay, loss, partitions, and clocks that differ."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

from ioint_node.flows.refusals import Refusals
from ioint_node.flows.roster import RosterBook
from ioint_node.membership import Membership
from ioint_node.network import Network
from ioint_node.peers import AntiEntropyLimits, Exchange, Handlers, PeerAddress, PeerUnavailable
from ioint_node.store import peers
from ioint_protocol import sync
from ioint_protocol.sync import RosterVersions

DEADLINE_S = 30.0
POLL_S = 0.02
QUICK = AntiEntropyLimits(every_s=0.3, again_first_s=0.1, again_max_s=0.5)


@dataclass(kw_only=True)
class Air:
    """What lies between the members; `seed` makes a run repeatable up to the scheduler's turns."""

    seed: int = 1
    loss: float = 0.0
    delay_s: float = 0.0
    outbound_only: set[str] = field(default_factory=set)
    links: dict[str, Link] = field(default_factory=dict)
    cut: set[frozenset[str]] = field(default_factory=set)
    asked: list[tuple[str, str, str, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - a repeatable network

    def open(self, one: str, other: str) -> bool:
        return (
            other in self.links
            and one in self.links
            and frozenset({one, other}) not in self.cut
            and other in self.links[one].allowed
            and one in self.links[other].allowed
            and not self.outbound_only >= {one, other}
        )

    async def carry(self, one: str, other: str, protocol: str, body: bytes) -> bytes:
        """Bring a request to a member and its answer back, or lose either."""
        self.asked.append((one, other, protocol, body))
        await asyncio.sleep(self.delay_s * self._random.random())
        if not self.open(one, other) or self._random.random() < self.loss / 2:
            raise PeerUnavailable("not connected")
        answerer = self.links[other].handlers.of(protocol)
        answer = None if answerer is None else await answerer(one, body)
        if answer is None or self._random.random() < self.loss / 2:
            raise PeerUnavailable("no answer")
        return answer

    def part(self, one: Iterable[str], other: Iterable[str]) -> None:
        """Let nothing pass between two sets of members."""
        self.cut |= {frozenset({a, b}) for a in one for b in other}

    def heal(self) -> None:
        self.cut.clear()
        for link in self.links.values():
            link.greet()


class Link:
    """Stands where a node's exchange does."""

    def __init__(self, air: Air, member: str, handlers: Handlers) -> None:
        self.air, self.member, self.handlers = air, member, handlers
        self.allowed: frozenset[str] = frozenset()
        self.lag: dict[str, tuple[int, int]] = {}
        self._on_connect: list[Callable[[str], None]] = []

    def set_peers(self, peers: Sequence[PeerAddress]) -> None:
        self.allowed = frozenset(peer.member for peer in peers)

    async def request(self, member: str, protocol: str, body: bytes, timeout_s: float | None = None) -> bytes:
        return await self.air.carry(self.member, member, protocol, body)

    def on_connect(self, callback: Callable[[str], None]) -> None:
        self._on_connect.append(callback)

    def connected(self) -> frozenset[str]:
        return frozenset(other for other in self.air.links if self.air.open(self.member, other))

    def note_lag(self, member: str, *, behind: int, ahead: int) -> None:
        self.lag[member] = (behind, ahead)

    def greet(self) -> None:
        for member in sorted(self.connected()):
            for callback in self._on_connect:
                callback(member)

    async def run(self) -> None:
        await asyncio.Event().wait()


@dataclass(kw_only=True)
class Host:
    """A node of the consortium with its part of the network."""

    node: Any
    network: Network
    refusals: Refusals
    book: RosterBook

    @property
    def link(self) -> Link:
        return cast(Link, self.network.exchange)

    async def refused(self, by: Any) -> dict[str, int]:
        """What a member delivered and was refused, by name."""
        await self.refusals.write(self.node.store)
        async with self.node.store.read() as connection:
            return (await peers.get(connection, by.member)).refused


def clock(start_ms: int, skew_ms: int = 0) -> Callable[[], int]:
    """A clock that goes on from a given time."""
    began = time.monotonic()
    return lambda: start_ms + skew_ms + int((time.monotonic() - began) * 1000)


def join(air: Air, net: Any, node: Any, now: Callable[[], int]) -> Host:
    """Put a node of a consortium on the air."""
    book = RosterBook(Membership(roster=net.roster, files={}, versions=RosterVersions()))
    refusals = Refusals()
    host: Host
    node.parts = replace(
        node.parts,
        roster=lambda: book.in_force(now()),
        connected=lambda: host.link.connected(),  # noqa: PLW0108 - made below
        announce=lambda news: host.network.tell(news),  # noqa: PLW0108 - made below
    )
    network = Network(
        node.parts,
        book,
        refusals,
        asyncio.Event(),
        seed=node.member.encode(),
        connect=lambda handlers: cast(Exchange, Link(air, node.member, handlers)),
        now=now,
        anti_entropy=QUICK,
    )
    node.parts = replace(node.parts, notify=network.delivery.wake)
    host = Host(node=node, network=network, refusals=refusals, book=book)
    air.links[node.member] = host.link
    return host


@asynccontextmanager
async def running(hosts: Sequence[Host], *only: str) -> AsyncIterator[None]:
    """Run the loops of all hosts (or `only` these), connected as the air lets them."""
    loops = [
        (name, loop)
        for host in hosts
        for name, loop in host.network.loops().items()
        if name in only or not only
    ]
    tasks = [asyncio.create_task(loop(), name=name) for name, loop in loops]
    await asyncio.sleep(0)  # until each has said what it wants to hear of
    for host in hosts:
        host.link.greet()
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again until something holds."""
    async with asyncio.timeout(DEADLINE_S):
        while not await condition():  # noqa: ASYNC110 - what is waited for is in a database
            await asyncio.sleep(POLL_S)


async def same_everywhere(nodes: Sequence[Any], segments: int) -> bool:
    """Whether all hold the same logs, of so many segments together."""
    vectors = [await node.vector() for node in nodes]
    return all(v == vectors[0] for v in vectors) and sum(seq for seq, _ in vectors[0].values()) == segments


def kinds(air: Air) -> dict[str, int]:
    """How many requests of each protocol were made."""
    names = {protocol: protocol.split("/")[2] for protocol in sync.PROTOCOLS}
    found = dict.fromkeys(names.values(), 0)
    for _, _, protocol, _ in air.asked:
        found[names[protocol]] += 1
    return found
