"""What runs by the clock: each job is a flow, its period, and nothing else.

A job that fails is logged and counted, and runs again at its next time. A job never runs twice at once, and times
that were missed while it ran or the machine slept are made up for by one run.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from ioint_node.errors import BusyError

log = logging.getLogger(__name__)


def _clock() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A flow and how often it runs; it is given the time in Unix milliseconds. `at_start`: first at once."""

    name: str
    every_s: float
    run: Callable[[int], Awaitable[object]]
    at_start: bool = False


class Jobs:
    """Runs jobs until cancelled; one task of the node's task group."""

    def __init__(self, jobs: Sequence[Job], *, now: Callable[[], int] = _clock) -> None:
        self._jobs = tuple(jobs)
        self._now = now
        self.done = Counter[str]()
        self.failed = Counter[str]()
        self._running: set[asyncio.Task[object]] = set()

    async def run(self) -> None:
        """Run every job at its times, until cancelled; what runs then is cancelled too."""
        scheduler = AsyncIOScheduler(timezone=UTC)
        for job in self._jobs:
            first = {"next_run_time": datetime.now(UTC)} if job.at_start else {}
            scheduler.add_job(
                self.attempt,
                "interval",
                args=(job,),
                seconds=job.every_s,
                id=job.name,
                max_instances=1,
                coalesce=True,
                misfire_grace_time=None,
                **first,
            )
        scheduler.start()
        try:
            await asyncio.Event().wait()
        finally:
            scheduler.shutdown(wait=False)  # cancels what runs
            # What they use, the database first of all, is closed after this returns.
            await asyncio.gather(*self._running, return_exceptions=True)

    async def attempt(self, job: Job) -> None:
        """Run a job once; its failure stays here."""
        task = asyncio.current_task()
        if task is not None:
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        try:
            await job.run(self._now())
        except BusyError as error:
            log.warning("the job %s waits for its next time: %s", job.name, error)
            self.failed[job.name] += 1
        except Exception:  # the scheduler must go on, whatever the flow met
            log.exception("the job %s failed", job.name)
            self.failed[job.name] += 1
        else:
            self.done[job.name] += 1
