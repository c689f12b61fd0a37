"""Members that a newer roster lets in no more: each is let be until it has heard of that roster."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from ioint_node.peers.ledger import PeerAddress

GRACE_S: Final = 5.0
"""For so long one that does not ask for the newer roster is let be."""
ANSWER_S: Final = 1.0
"""So long after it asked it may go on: until the answer has arrived, or the next part of it is asked for."""


@dataclass(slots=True, kw_only=True)
class _Farewell:
    peer: PeerAddress
    ends: float
    latest: float


class Parting:
    """Who is let in a little longer under the key that the roster named before; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: dict[str, _Farewell] = {}
        self._changed = asyncio.Event()

    def __contains__(self, member: str) -> bool:
        return member in self._left

    def begin(
        self, before: Sequence[PeerAddress], after: Sequence[PeerAddress], connected: Collection[str]
    ) -> None:
        """Of those who are connected let each be that was let in before, and is not after: not by this key."""
        let_in = {peer.peer_id for peer in after}
        ends = self._clock() + GRACE_S
        self._left = {
            peer.member: self._left.get(peer.member) or _Farewell(peer=peer, ends=ends, latest=ends)
            for peer in before
            if peer.member in connected and peer.peer_id not in let_in
        }
        self._changed.set()

    def heard(self, member: str) -> None:
        """It asked for the roster: it goes as soon as the answer can have arrived."""
        if (farewell := self._left.get(member)) is not None:
            farewell.ends = min(farewell.latest, self._clock() + ANSWER_S)
            self._changed.set()

    def with_parting(self, wanted: Sequence[PeerAddress]) -> tuple[PeerAddress, ...]:
        """Whom to let in: those who are wanted, and who is parting as it was."""
        staying = (peer for peer in wanted if peer.member not in self._left)
        return (*staying, *(farewell.peer for farewell in self._left.values()))

    async def run(self, ended: Callable[[], None]) -> None:
        """Say whenever somebody's time is over, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._left:
                pause_s = min(farewell.ends for farewell in self._left.values()) - self._clock()
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, pause_s)):
                        await self._changed.wait()
                self._changed.clear()
                if self._drop_due():
                    ended()

    def _drop_due(self) -> bool:
        now = self._clock()
        due = [member for member, farewell in self._left.items() if farewell.ends <= now]
        for member in due:
            del self._left[member]
        return bool(due)
