"""When to catch up, and with whom: with every member that becomes reachable, and with a few at random ever after.

What a push lost, an outage or a crash left out is repaired here; nothing else has to be right for that.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from ioint_protocol import ProtocolError

from ioint_node.errors import BusyError
from ioint_node.peers.life import PeerUnavailable

log = logging.getLogger("ioint.peers")
CatchUp: TypeAlias = Callable[[str], Awaitable[bool]]
"""Catch up with a member; True when nothing is left to fetch from it. May raise `PeerUnavailable`, `ProtocolError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AntiEntropyLimits:
    """How often, and with how many at once."""

    every_s: float = 30.0
    peers: int = 2
    at_once: int = 4
    rounds: int = 16
    """Calls in a row to one member that has more to give."""


class Reachable(Protocol):
    """What is needed of the exchange."""

    def on_connect(self, callback: Callable[[str], None]) -> None:
        """Call with the member id whenever a member becomes reachable."""

    def connected(self) -> frozenset[str]:
        """The members that are reachable now."""


async def run_catch_up(
    exchange: Reachable, catch_up: CatchUp, limits: AntiEntropyLimits | None = None
) -> None:
    """Catch up until cancelled. A member's fault is logged by name and ends nothing."""
    bounds = limits or AntiEntropyLimits()
    joined: dict[str, None] = {}
    woken = asyncio.Event()

    def join(member: str) -> None:
        joined[member] = None
        woken.set()

    exchange.on_connect(join)
    for member in exchange.connected():
        join(member)
    turns = asyncio.Semaphore(bounds.at_once)
    while True:
        pause_s = bounds.every_s * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        try:
            # Not `wait_for`, which in Python 3.11 may lose a cancellation that comes together with a wake.
            async with asyncio.timeout(pause_s):
                await woken.wait()
        except TimeoutError:
            reachable = sorted(exchange.connected())
            chosen = random.sample(reachable, min(bounds.peers, len(reachable)))
        else:
            chosen = list(joined)
        joined.clear()
        woken.clear()
        async with asyncio.TaskGroup() as tasks:
            for member in chosen:
                rounds = _catch_up(catch_up, member, turns, bounds.rounds)
                tasks.create_task(rounds, name=f"catch-up-{member}")


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


async def _catch_up(catch_up: CatchUp, member: str, turns: asyncio.Semaphore, rounds: int) -> None:
    async def repeated() -> bool:
        for _ in range(rounds):
            if await catch_up(member):
                return True
        return False

    async with turns:
        await attempt("catching up with", member, repeated())
