"""When to catch up, and with whom: with every member that becomes reachable, and with a few at random ever after.

What a push lost, an outage or a crash left out is repaired here; nothing else has to be right for that.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias

from ioint_protocol import ProtocolError

from ioint_node.errors import BusyError
from ioint_node.peers.life import PeerUnavailable
from ioint_node.peers.turns import Turns

log = logging.getLogger("ioint.peers")
CatchUp: TypeAlias = Callable[[str], Awaitable[bool]]
"""Catch up with a member; True when nothing is left to fetch from it. May raise `PeerUnavailable`, `ProtocolError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AntiEntropyLimits:
    """How often, and with how many at once."""

    every_s: float = 30.0
    peers: int = 2
    at_once: int = 8
    rounds: int = 16
    """Calls in a row to one member that has more to give."""
    again_first_s: float = 1.0
    again_max_s: float = 30.0
    """After a call that failed, while the member stays connected: doubling between these."""
    slow_at_once: int = 2
    """Of them with members whose last turn was cut off."""
    first_s: float = 5.0
    turn_s: float = 60.0
    """With one member: the first turn, and those after one that was cut off."""


class Reachable(Protocol):
    """What is needed of the exchange."""

    def on_connect(self, callback: Callable[[str], None]) -> None:
        """Call with the member id whenever a member becomes reachable."""

    def connected(self) -> frozenset[str]:
        """The members that are reachable now."""


async def run_catch_up(
    exchange: Reachable, catch_up: CatchUp, limits: AntiEntropyLimits | None = None
) -> None:
    """Catch up until cancelled. A member's fault is logged by name and ends nothing, nor does it hold up another."""
    rounds = _Rounds(exchange, catch_up, limits or AntiEntropyLimits())
    exchange.on_connect(rounds.join)
    for member in exchange.connected():
        rounds.join(member)
    await rounds.run()


class _Rounds:
    """Who is to be caught up with next, with whom it is under way, and how often in a row it failed with whom."""

    def __init__(self, exchange: Reachable, catch_up: CatchUp, limits: AntiEntropyLimits) -> None:
        self._exchange, self._catch_up, self._limits = exchange, catch_up, limits
        self._joined: dict[str, None] = {}
        self._busy: set[str] = set()
        self._failures: Counter[str] = Counter()
        self._turns = Turns(
            at_once=limits.at_once,
            slow_at_once=limits.slow_at_once,
            first_s=limits.first_s,
            slow_s=limits.turn_s,
        )
        self._woken = asyncio.Event()

    def join(self, member: str) -> None:
        """Catch up with this member soon."""
        self._joined[member] = None
        self._woken.set()

    async def run(self) -> None:
        """Go on until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                for member in await self._next():
                    if member not in self._busy:
                        self._busy.add(member)
                        tasks.create_task(self._meet(member), name=f"catch-up-{member}")

    async def _next(self) -> list[str]:
        """Those who joined; when nobody does for a while, a few at random."""
        pause_s = self._limits.every_s * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        try:
            # Not `wait_for`, which in Python 3.11 may lose a cancellation that comes together with a wake.
            async with asyncio.timeout(pause_s):
                await self._woken.wait()
        except TimeoutError:
            reachable = sorted(self._exchange.connected() - self._busy)
            return random.sample(reachable, min(self._limits.peers, len(reachable)))
        self._woken.clear()
        chosen = list(self._joined)
        self._joined.clear()
        return chosen

    async def _meet(self, member: str) -> None:
        turn = self._turns.give(member, partial(self._ask_until_done, member))
        well = await attempt("catching up with", member, turn)
        self._busy.discard(member)
        if well:
            del self._failures[member]
            return
        self._failures[member] += 1
        doublings = min(self._failures[member] - 1, 16)
        pause_s = min(self._limits.again_max_s, self._limits.again_first_s * 2.0**doublings)
        asyncio.get_running_loop().call_later(pause_s, self._again, member)

    async def _ask_until_done(self, member: str) -> bool:
        for _ in range(self._limits.rounds):
            if await self._catch_up(member):
                break
        return True

    def _again(self, member: str) -> None:
        if member in self._exchange.connected():
            self.join(member)


async def attempt(what: str, member: str, action: Awaitable[bool]) -> bool:
    """Do something with a member whose faults, and those of our store, are logged and end nothing; False then."""
    try:
        return await action
    except PeerUnavailable as error:
        log.info("%s member %s: %s", what, member, error)
    except BusyError as error:
        log.info("%s member %s waits: %s", what, member, error)
    except ProtocolError as error:
        log.warning("%s member %s: refused its answer: %s", what, member, error.name)
    except Exception:
        # The loop must outlive a bug that one member's data brings out.
        log.exception("%s member %s", what, member)
    return False
