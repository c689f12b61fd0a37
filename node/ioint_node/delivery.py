"""Takes what waits in the outbox to the members it is for.

One destination at a time gets one segment at a time, in order; many destinations go at once. What a member answers
ends a row: accepted, ignored (it has it, or will pull what is missing before it) and rejected alike. Only silence, or
the answer that its store is busy, keeps a row, which is tried again after a pause that doubles. A crash loses nothing
and may send a row twice.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from ioint_protocol import ProtocolError, sync

from ioint_node.errors import BusyError
from ioint_node.store import outbox
from ioint_node.store.engine import Store
from ioint_node.store.outbox import Due, Parcel

log = logging.getLogger("ioint.delivery")
BUSY = "busy"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLimits:
    """How much goes at once, how long to wait, and when to leave the rest to catching up."""

    destinations_at_once: int = 16
    rows_at_once: int = 32
    request_s: float = 15.0
    pause_first_s: float = 0.5
    pause_max_s: float = 300.0
    attempts: int = 64
    idle_s: float = 30.0


class Sender(Protocol):
    """What is needed of the exchange: it raises `unavailable` when a member gives no answer."""

    async def request(self, member: str, protocol: str, body: bytes, timeout_s: float | None = None) -> bytes:
        """The answer of a member."""


class Delivery:
    """The loop that drains the outbox; `counts` are rows ended, by how.

    `has(member, author, seq)` tells that a member has shown meanwhile that it has a segment: it is not sent again.
    """

    def __init__(
        self,
        store: Store,
        exchange: Sender,
        limits: DeliveryLimits | None = None,
        *,
        unavailable: type[Exception],
        has: Callable[[str, str, int], bool] = lambda *_: False,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._store, self._exchange, self._limits = store, exchange, limits or DeliveryLimits()
        self._unavailable, self._has, self._now = unavailable, has, now
        self._wakened = asyncio.Event()
        self._busy: set[str] = set()
        self.counts: Counter[str] = Counter()

    def wake(self) -> None:
        """There may be something to send: call it after a commit that wrote outbox rows."""
        self._wakened.set()

    async def reachable(self, member: str) -> None:
        """A member is connected again: what waits for it goes now, whatever its pause."""
        await self._store.write(lambda connection: outbox.hasten(connection, member, self._now()))
        self.wake()

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wakened.clear()
                wait_s = await self._start_due(tasks)
                # Not `wait_for`, which in Python 3.11 may lose a cancellation that comes together with a wake.
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._wakened.wait()

    async def _start_due(self, tasks: asyncio.TaskGroup) -> float:
        """Start a task for each destination that is due; returns seconds until the next is."""
        async with self._store.read() as connection:
            waiting = await outbox.due(connection)
        wait_s = self._limits.idle_s
        for row in waiting:
            if row.destination in self._busy:
                continue
            if len(self._busy) >= self._limits.destinations_at_once:
                break  # whoever ends wakes the loop
            if (early_ms := row.not_before - self._now()) > 0:
                wait_s = min(wait_s, early_ms / 1000)
                continue
            self._busy.add(row.destination)
            tasks.create_task(self._drain(row), name=f"deliver-{row.destination}")
        return wait_s

    async def _drain(self, due: Due) -> None:
        try:
            while await self._send_some(due.destination):
                pass
        except BusyError as error:
            log.warning("delivering to member %s waits: %s", due.destination, error)
            await asyncio.sleep(self._limits.pause_first_s)
        except Exception:
            # One destination's trouble (a full write queue, a bug) must not stop the others.
            log.exception("delivering to member %s", due.destination)
            await asyncio.sleep(self._limits.pause_first_s)
        finally:
            self._busy.discard(due.destination)
            self.wake()

    async def _send_some(self, destination: str) -> bool:
        """Send the oldest rows; False when there are no more or the member gives no answer."""
        async with self._store.read() as connection:
            rows = await outbox.parcels(connection, destination, self._limits.rows_at_once)
        ended: list[int] = []
        failed: Parcel | None = None
        for row in rows:
            outcome = await self._send(destination, row)
            if outcome in {"unavailable", BUSY}:
                failed = row
                break
            self.counts[outcome] += 1
            ended.append(row.id)
        if ended:
            await self._store.write(lambda connection: outbox.remove(connection, ended))
        if failed is not None:
            await self._postpone(failed)
        return bool(rows) and failed is None

    async def _send(self, destination: str, row: Parcel) -> str:
        if row.wire is None:
            return "no_segment"
        if row.attempts >= self._limits.attempts:
            return "given_up"
        if self._has(destination, row.author, row.seq):
            return "known"
        try:
            body = await self._exchange.request(destination, sync.PUSH, row.wire, self._limits.request_s)
            answer = sync.decode_push_answer(body)
            return BUSY if (answer.result, answer.why) == ("ignored", BUSY) else answer.result
        except ProtocolError:
            return "bad_answer"
        except self._unavailable:
            return "unavailable"

    async def _postpone(self, row: Parcel) -> None:
        longest_s = min(self._limits.pause_max_s, self._limits.pause_first_s * 2.0 ** min(row.attempts, 16))
        pause_ms = int(1000 * longest_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
        later = self._now() + pause_ms
        await self._store.write(lambda connection: outbox.postpone(connection, row.id, later))
