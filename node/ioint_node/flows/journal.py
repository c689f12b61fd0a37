"""What sessions write, gathered: many decisions in a few statements of one transaction.

A decision is answered from memory; its rows wait here until the store's writer comes round, a few milliseconds
later, and then all that waits is written at once and in order. When a write fails, what memory holds of the sessions
concerned is forgotten, so that it never stays ahead of the disk.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import BusyError
from ioint_node.flows.live import Live
from ioint_node.scoring.trust import Trust
from ioint_node.scoring.values import Verdict
from ioint_node.store.actors import save_trusts
from ioint_node.store.engine import Store
from ioint_node.store.faults import Seldom, described, fault_of
from ioint_node.store.sessions import (
    add_decisions,
    add_events,
    add_matches,
    add_sessions,
    judge_session,
    update_sessions,
)
from ioint_node.store.stream import append

ENTRIES = 8_192  # that may wait for the writer
# Trust in one's own agents is for one's own organisation and who works for it.
STREAM_TLP = "amber"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSighting:
    """A session did something that others may want to hear of; `at` in Unix milliseconds.

    `patterns` are all that the session has completed. `confirmed` says that its risk is over the publish threshold.
    """

    patterns: tuple[str, ...]
    confirmed: bool
    verdict: Verdict
    session_id: str
    actor: str
    session_risk: float
    intents: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """One row for engines: the event and its body."""

    event: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A session is over: its patterns, whether it was out of scope, the UTC day."""

    patterns: tuple[str, ...]
    flagged: bool
    day: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """All that one thing that happened in a session writes.

    It holds the live session, so that nobody rebuilds it from the disk before this is there.
    """

    live: Live
    now: int
    opened: Mapping[str, Any] | None = None
    events: tuple[Mapping[str, Any], ...] = ()
    decision: Mapping[str, Any] | None = None
    session: Mapping[str, Any] | None = None
    matches: tuple[Mapping[str, Any], ...] = ()
    trust: Trust | None = None
    stream: tuple[StreamEvent, ...] = ()
    sighting: LocalSighting | None = None
    judged: Judged | None = None


@dataclass(slots=True)
class _Batch:
    entries: list[Entry] = field(default_factory=list)
    written: asyncio.Future[None] | None = None


Proposing = Callable[[AsyncConnection, LocalSighting], Awaitable[None]]


class Journal:
    """The gathering place of one node's writes about sessions; `failed` counts the entries that were lost."""

    def __init__(self, *, entries: int = ENTRIES) -> None:
        self.failed = 0
        self._most = entries
        self._batch = _Batch()
        self._seldom_losing, self._seldom_proposing = Seldom(), Seldom()

    def add(
        self,
        entry: Entry,
        *,
        store: Store,
        propose: Proposing,
        notify: Callable[[], None],
        forget: Callable[[Live], None],
    ) -> asyncio.Future[None]:
        """Put an entry in line; the future is done when it is on disk.

        Args:
            entry: what to write.
            store: where to.
            propose: told of sightings, inside the transaction; its own faults are logged and take nothing with them.
            notify: called after the commit when engines or members have something to hear.
            forget: called with each live session whose write failed.

        Raises:
            BusyError: too many entries wait or the store's writes fail; nothing will be written.
        """
        if self._batch.written is not None and self._batch.written.done():
            self._batch = _Batch()  # its write has ended, and who hears of that is not yet called
        batch = self._batch
        if len(batch.entries) >= self._most:
            raise BusyError(f"{self._most} decisions wait to be written: try again later")
        if batch.written is None:
            batch.written = store.submit(lambda connection: self._write(connection, batch, propose))
            batch.written.add_done_callback(lambda done: self._settle(batch, done, notify, forget))
        batch.entries.append(entry)
        return batch.written

    async def _write(self, connection: AsyncConnection, batch: _Batch, propose: Proposing) -> None:
        self._start_over(batch)
        await write_entries(connection, batch.entries, partial(self._propose, propose))

    def _start_over(self, batch: _Batch) -> None:
        if self._batch is batch:
            self._batch = _Batch()

    def _settle(
        self,
        batch: _Batch,
        done: asyncio.Future[None],
        notify: Callable[[], None],
        forget: Callable[[Live], None],
    ) -> None:
        self._start_over(batch)
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if error is not None:
            self._lose(batch, error, forget)
        elif any(entry.stream or entry.sighting for entry in batch.entries):
            notify()

    def _lose(self, batch: _Batch, error: BaseException, forget: Callable[[Live], None]) -> None:
        self.failed += len(batch.entries)
        # A fault of the database was told by the store, with what to do.
        if not isinstance(error, BusyError) and self._seldom_losing.due(time.monotonic()) is not None:
            _log.error("session_write_failed lost=%d error=%s", self.failed, described(error))
        for entry in batch.entries:
            forget(entry.live)

    async def _propose(
        self, propose: Proposing, connection: AsyncConnection, sighting: LocalSighting
    ) -> None:
        try:
            async with connection.begin_nested():
                await propose(connection, sighting)
        except Exception as error:  # telling others must not cost the decisions that are written with it
            if fault_of(error) is not None:
                raise  # the transaction may be gone, and the decisions with it
            if self._seldom_proposing.due(time.monotonic()) is not None:
                _log.error("proposal_failed session=%s error=%s", sighting.session_id, described(error))


async def write_entries(connection: AsyncConnection, entries: list[Entry], propose: Proposing) -> None:
    """Write entries in their order, each table once."""
    if opened := [e.opened for e in entries if e.opened]:
        await add_sessions(connection, opened)
    if events := [row for e in entries for row in e.events]:
        await add_events(connection, events)
    if decided := [e.decision for e in entries if e.decision]:
        await add_decisions(connection, decided)
    if sessions := {e.session["session_id"]: e.session for e in entries if e.session}:
        await update_sessions(connection, list(sessions.values()))
    if matched := [row for e in entries for row in e.matches]:
        await add_matches(connection, matched)
    if trusts := {e.live.actor.id: e.trust for e in entries if e.trust}:
        await save_trusts(connection, list(trusts.items()), max(e.now for e in entries))
    for entry in entries:
        await _write_consequences(connection, entry, propose)


async def _write_consequences(connection: AsyncConnection, entry: Entry, propose: Proposing) -> None:
    for row in entry.stream:
        await append(connection, row.event, row.body, STREAM_TLP, entry.now)
    if entry.sighting:
        await propose(connection, entry.sighting)
    if entry.judged:
        await judge_session(
            connection,
            entry.live.id,
            entry.judged.patterns,
            flagged=entry.judged.flagged,
            day=entry.judged.day,
        )
