"""Places for what takes a while with one member, most of them for members that do not draw it out.

Whoever is cut off goes on later, for longer, on one of a few places that slow members share: so they hold up one
another, and nobody else for more than one short turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext


class Turns:
    """So many turns at once, each of at most `first_s` seconds, or of `slow_s` after one that was cut off."""

    def __init__(self, *, at_once: int, slow_at_once: int, first_s: float, slow_s: float) -> None:
        self._places, self._slow_places = asyncio.Semaphore(at_once), asyncio.Semaphore(slow_at_once)
        self._first_s, self._slow_s = first_s, slow_s
        self._slow: set[str] = set()  # bounded by the roster: only members have turns

    async def give(self, member: str, action: Callable[[], Awaitable[bool]]) -> bool:
        """Wait for a place and do something with a member; False when it was cut off."""
        slow = member in self._slow
        async with self._slow_places if slow else nullcontext(), self._places:
            try:
                async with asyncio.timeout(self._slow_s if slow else self._first_s):
                    done = await action()
            except TimeoutError:
                self._slow.add(member)
                return False
        self._slow.discard(member)
        return done
