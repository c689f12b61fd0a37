"""Fetching what members announced.

After a moment, in which a push may bring it; and each log from one member at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from ioint_protocol import LIMITS as PROTOCOL
from ioint_protocol.sync import Announcement

from ioint_node.peers.antientropy import attempt
from ioint_node.peers.turns import Turns

Pull: TypeAlias = Callable[[str, Announcement], Awaitable[bool]]
"""Fetch from a member what it announced; True when nothing of it is left to fetch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullLimits:
    """How long to wait for a push, how many members to pull from at once, and how often to come back to one."""

    grace_s: float = 0.15
    at_once: int = 16
    slow_at_once: int = 4
    """Of them members whose last turn was cut off."""
    first_s: float = 2.0
    turn_s: float = 30.0
    """With one member: the first turn, and those after one that was cut off. What it has not given is tried again."""
    claim_s: float = 1.0
    """For so long nobody else is asked for a log that one member is giving: a slow one holds nothing up for longer."""
    again_s: float = 1.0
    attempts: int = 8
    heads_per_member: int = PROTOCOL.heads


@dataclass(slots=True, kw_only=True)
class _Wanted:
    """What a member announced and we may lack; `due` is an instant of the monotonic clock, in seconds."""

    due: float
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)
    roster: int = 0
    attempts: int = 0


class Puller:
    """The loop that pulls. Bounded by members times heads: a member that announces more replaces its own."""

    def __init__(self, pull: Pull, limits: PullLimits | None = None) -> None:
        self._pull, self._limits = pull, limits or PullLimits()
        self._wanted: dict[str, _Wanted] = {}
        self._busy: set[str] = set()
        self._claims: dict[str, float] = {}  # author → until when one member alone is asked
        self._wakened = asyncio.Event()
        self._turns = Turns(
            at_once=self._limits.at_once,
            slow_at_once=self._limits.slow_at_once,
            first_s=self._limits.first_s,
            slow_s=self._limits.turn_s,
        )

    def want(self, member: str, announced: Announcement) -> None:
        """A member has this; it is fetched from there unless it comes by itself."""
        self._put(member, announced, self._limits.grace_s, attempts=0)

    async def run(self) -> None:
        """Pull until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wakened.clear()
                wait_s = self._start_due(tasks)
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._wakened.wait()

    def _start_due(self, tasks: asyncio.TaskGroup) -> float | None:
        """Start a task for each member that is due; returns seconds until the next is, None when there is none."""
        now, waits = time.monotonic(), []
        for member, wanted in self._wanted.items():
            if member in self._busy:
                continue  # whoever ends wakes the loop
            if wanted.due > now:
                waits.append(wanted.due - now)
                continue
            self._busy.add(member)
            tasks.create_task(self._serve(member), name=f"pull-{member}")
        return min(waits, default=None)

    async def _serve(self, member: str) -> None:
        try:
            await attempt("pulling from", member, self._turns.give(member, partial(self._fetch, member)))
        finally:
            self._busy.discard(member)
            self._wakened.set()

    async def _fetch(self, member: str) -> bool:
        wanted = self._wanted.pop(member)
        # Another member may be giving us the same log: then look again whether this one has more.
        now = time.monotonic()
        claimed = {author for author in wanted.heads if self._claims.get(author, 0.0) > now}
        heads = {author: head for author, head in wanted.heads.items() if author not in claimed}
        later = {author: head for author, head in wanted.heads.items() if author in claimed}
        until = now + self._limits.claim_s
        self._claims |= dict.fromkeys(heads, until)
        asked = Announcement(heads=heads, roster=wanted.roster)
        done = not heads and not wanted.roster
        try:
            done = done or await self._pull(member, asked)
        finally:
            self._claims = {a: end for a, end in self._claims.items() if a not in heads or end != until}
            if later:
                self._put(member, Announcement(heads=later, roster=0), self._limits.grace_s, attempts=0)
            if not done and wanted.attempts + 1 < self._limits.attempts:
                self._put(member, asked, self._limits.again_s, attempts=wanted.attempts + 1)
        return done

    def _put(self, member: str, announced: Announcement, wait_s: float, *, attempts: int) -> None:
        due = time.monotonic() + wait_s
        wanted = self._wanted.setdefault(member, _Wanted(due=due, attempts=attempts))
        wanted.heads.update(announced.heads)
        while len(wanted.heads) > self._limits.heads_per_member:
            del wanted.heads[next(iter(wanted.heads))]
        wanted.roster = max(wanted.roster, announced.roster)
        self._wakened.set()
