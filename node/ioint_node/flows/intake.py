"""Where everything that members deliver waits its turn: what comes together shares one transaction.

One task takes what waits, all of it up to a bound, and receives it as one batch; while it does so the next batch comes
together by itself. So a lone segment is stored at once, and a flood costs a commit for hundreds. Who delivers while
the queue is full waits, and with it the connection that it came by: that is the back-pressure from store to network.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ioint_node.admission import Accepted, Decision
from ioint_node.errors import BusyError
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.receive import Delivered, receive_batch

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeLimits:
    """How much waits, and how much is received at once."""

    waiting_segments: int = 2_048
    waiting_bytes: int = 16 * 1024 * 1024
    batch_segments: int = 512
    batch_bytes: int = 1024 * 1024  # some 3,000 records: a tenth of a second of one core


@dataclass(slots=True, kw_only=True)
class _Waiting:
    delivered: Delivered
    answer: asyncio.Future[Decision]


class Intake:
    """The queue before the store; `run` is one task of the node's task group.

    `counts` are batches, and of what was accepted segments, records, and records of a later version (`unread`).
    """

    def __init__(
        self, parts: ExchangeParts, now: Callable[[], int], limits: IntakeLimits | None = None
    ) -> None:
        self._parts, self._now, self._limits = parts, now, limits or IntakeLimits()
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._arrived, self._room = asyncio.Event(), asyncio.Event()
        self.counts: Counter[str] = Counter()

    async def receive(self, wire: bytes, delivered_by: str) -> Decision:
        """Receive a segment; waits while the queue is full, and until what it brings is on disk.

        Raises:
            BusyError: the database fails.
        """
        return (await self.receive_all((wire,), delivered_by))[0]

    async def receive_all(
        self, wires: Sequence[bytes], delivered_by: str, *, fresh: bool = True
    ) -> list[Decision]:
        """Receive segments that came together, each author's in order.

        Raises:
            BusyError: the database fails.
        """
        answers = []
        for wire in wires:
            while self._full(len(wire)):
                self._room.clear()
                await self._room.wait()
            one = _Waiting(
                delivered=Delivered(wire=wire, by=delivered_by, fresh=fresh),
                answer=asyncio.get_running_loop().create_future(),
            )
            self._waiting.append(one)
            self._bytes += len(wire)
            self._arrived.set()
            answers.append(one.answer)
        return [await answers[0]] if len(answers) == 1 else await asyncio.gather(*answers)

    async def run(self) -> None:
        """Receive what comes until cancelled; who still waits then is told to try again."""
        try:
            while True:
                await self._arrived.wait()
                await self._receive(self._next_batch())
        finally:
            self._answer(
                list(self._waiting),
                [BusyError("this node is stopping: try again later")] * len(self._waiting),
            )

    async def _receive(self, batch: list[_Waiting]) -> None:
        try:
            answers = await receive_batch(self._parts, [one.delivered for one in batch], self._now())
        except BusyError as error:
            self._answer(batch, [error] * len(batch))
        except Exception as error:  # the loop must outlive whatever one batch meets
            _log.exception("a batch of %d segments could not be received", len(batch))
            self._answer(batch, [error] * len(batch))
        except BaseException:
            self._answer(batch, [BusyError("this node is stopping: try again later")] * len(batch))
            raise
        else:
            self._count(answers)
            self._answer(batch, answers)

    def _count(self, answers: Sequence[Decision | Exception]) -> None:
        accepted = [answer for answer in answers if isinstance(answer, Accepted)]
        self.counts["batches"] += 1
        self.counts["segments"] += len(accepted)
        self.counts["records"] += sum(one.records for one in accepted)
        self.counts["unread"] += sum(one.unread for one in accepted)

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and len(batch) < self._limits.batch_segments:
            size += len(self._waiting[0].delivered.wire)
            if batch and size > self._limits.batch_bytes:
                break
            batch.append(self._waiting.popleft())
        self._bytes -= sum(len(one.delivered.wire) for one in batch)
        if not self._waiting:
            self._arrived.clear()
        self._room.set()
        return batch

    def _full(self, more: int) -> bool:
        if not self._waiting:
            return False
        return (
            len(self._waiting) >= self._limits.waiting_segments
            or self._bytes + more > self._limits.waiting_bytes
        )

    @staticmethod
    def _answer(batch: Sequence[_Waiting], answers: Sequence[Decision | Exception]) -> None:
        for one, answer in zip(batch, answers, strict=True):
            if one.answer.done():
                continue  # who asked is gone
            if isinstance(answer, Exception):
                one.answer.set_exception(answer)
            else:
                one.answer.set_result(answer)
