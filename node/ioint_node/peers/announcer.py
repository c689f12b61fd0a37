"""Telling connected members what is new, without any promise: what is lost here is brought by comparing vectors.

News that come within a few milliseconds go to a member as one announcement, and not at all when it has shown meanwhile
that it has them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from ioint_protocol import LIMITS as PROTOCOL
from ioint_protocol import ProtocolError, Vector, sync

from ioint_node.peers.life import PeerUnavailable

log = logging.getLogger("ioint.peers")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncerLimits:
    """How long news wait for company, and how many announcements are under way at once."""

    coalesce_s: float = 0.02
    at_once: int = 16
    request_s: float = 5.0
    heads_per_member: int = PROTOCOL.heads
    heads_remembered: int = 2_048
    """Of the newest heads it is known which members have shown that they have them."""


class Asker(Protocol):
    """What is needed of the exchange."""

    async def request(self, member: str, protocol: str, body: bytes, timeout_s: float | None = None) -> bytes:
        """The answer of a member; raises PeerUnavailable."""


class Holders:
    """Which members have shown that they have a head; bounded, the oldest heads are forgotten."""

    def __init__(self, heads: int) -> None:
        self._heads = heads
        self._members: OrderedDict[tuple[str, int], set[str]] = OrderedDict()

    def note(self, member: str, author: str, seq: int) -> None:
        """A member sent, announced or acknowledged this."""
        self._members.setdefault((author, seq), set()).add(member)
        while len(self._members) > self._heads:
            self._members.popitem(last=False)

    def has(self, member: str, author: str, seq: int) -> bool:
        """Whether a member is known to have this."""
        return member in self._members.get((author, seq), ())

    def clear(self) -> None:
        """Forget everything: heights may have other segments from now on."""
        self._members.clear()


class Announcer:
    """The loop that announces; `counts` are announcements by what became of them."""

    def __init__(
        self, exchange: Asker, roster: Callable[[], int], limits: AnnouncerLimits | None = None
    ) -> None:
        self._exchange, self._roster, self._limits = exchange, roster, limits or AnnouncerLimits()
        self._waiting: dict[str, dict[str, tuple[int, str]]] = {}
        self._busy: set[str] = set()
        self._wakened = asyncio.Event()
        self.holders = Holders(self._limits.heads_remembered)
        self.counts: Counter[str] = Counter()

    def tell(self, members: Iterable[str], heads: Vector) -> None:
        """Announce heads (none: only the version of our roster) to members, soon."""
        for member in members:
            waiting = self._waiting.setdefault(member, {})
            waiting.update(heads)
            while len(waiting) > self._limits.heads_per_member:
                del waiting[next(iter(waiting))]
        self._wakened.set()

    async def run(self) -> None:
        """Announce until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._wakened.wait()
                await asyncio.sleep(self._limits.coalesce_s)
                self._wakened.clear()
                free = [member for member in self._waiting if member not in self._busy]
                for member in free[: self._limits.at_once - len(self._busy)]:
                    self._busy.add(member)
                    tasks.create_task(self._announce(member), name=f"announce-{member}")

    async def _announce(self, member: str) -> None:
        asked = self._waiting.pop(member)
        heads = {
            author: head for author, head in asked.items() if not self.holders.has(member, author, head[0])
        }
        try:
            if heads or not asked:
                await self._send(member, heads)
            else:
                self.counts["known"] += 1
        finally:
            self._busy.discard(member)
            if self._waiting:
                self._wakened.set()

    async def _send(self, member: str, heads: Vector) -> None:
        body = sync.encode_announcement(sync.Announcement(heads=heads, roster=self._roster()))
        try:
            answer = await self._exchange.request(member, sync.ANNOUNCE, body, self._limits.request_s)
            self.counts[sync.decode_push_answer(answer).result] += 1
        except PeerUnavailable:
            self.counts["unavailable"] += 1
        except ProtocolError as error:
            self.counts["bad_answer"] += 1
            log.warning("announcing to member %s: refused its answer: %s", member, error.name)
