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

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import BusyError
from ioint_node.flows.live import Live
from ioint_node.scoring.baseline import Baseline
from ioint_node.scoring.trust import Trust
from ioint_node.scoring.values import Verdict
from ioint_node.store import held, incidents, responses
from ioint_node.store.actors import save_trusts
from ioint_node.store.baselines import save_baselines
from ioint_node.store.engine import Store
from ioint_node.store.faults import Seldom, described, fault_of
from ioint_node.store.grants import end_of_session
from ioint_node.store.incidents import Hit
from ioint_node.store.novel import add_path
from ioint_node.store.responses import Order
from ioint_node.store.sessions import (
    add_decisions,
    add_events,
    add_matches,
    add_sessions,
    add_stream,
    judge_session,
    update_sessions,
)
from ioint_node.store.stream import row_of

ENTRIES = 8_192  # that may wait for the writer
SETTLED_S = 2.0  # that a reader waits for what was answered before it asked
# Trust in one's own agents is for one's own organisation and who works for it.
STREAM_TLP = "amber"
_log = logging.getLogger(__name__)


class LocalSighting(Struct, frozen=True, kw_only=True):
    """A session did something that others may want to hear of; `at` in Unix milliseconds.

    `patterns` are all that the session has completed. `confirmed` says that its risk is over the publish threshold,
    which own history may have raised; it is told even where no pattern was completed. `departed` says that it left its
    scope in an action that no person answered for. `path` is the abstract path then,
    as JSON, and `step` the index of the step that was judged; `principal` is whom the session is about.
    """

    patterns: tuple[str, ...]
    confirmed: bool
    verdict: Verdict
    session_id: str
    actor: str
    session_risk: float
    intents: tuple[str, ...]
    at: int
    principal: str = ""
    departed: bool = False
    step: int = 0
    path: str = ""


# Made for every action: a frozen dataclass takes ten times as long to make.
class StreamEvent(Struct, frozen=True, kw_only=True):
    """One row for engines: the event and its body."""

    event: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A session is over: its patterns, whether it was out of scope, the UTC day, its abstract path as JSON.

    `whole` says that no step of the path was cut off.
    """

    patterns: tuple[str, ...]
    flagged: bool
    day: int
    path: str
    whole: bool


class Entry(Struct, frozen=True, kw_only=True):
    """All that one thing that happened in a session writes.

    It holds the live session, so that nobody rebuilds it from the disk before this is there. `hits` are the matches of
    which others warn, `held` is a row of `held_actions`, `used` the approval that let an action go on. `ended` says
    that the session's grants and what is held in it end with it.
    """

    live: Live
    now: int
    opened: Mapping[str, Any] | None = None
    events: tuple[Mapping[str, Any], ...] = ()
    decision: Mapping[str, Any] | None = None
    session: Mapping[str, Any] | None = None
    matches: tuple[Mapping[str, Any], ...] = ()
    hits: tuple[Hit, ...] = ()
    trust: Trust | None = None
    baseline: Baseline | None = None
    order: Order | None = None
    held: Mapping[str, Any] | None = None
    used: str | None = None
    stream: tuple[StreamEvent, ...] = ()
    sighting: LocalSighting | None = None
    judged: Judged | None = None
    ended: bool = False


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
        self._newest: asyncio.Future[None] | None = None
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
            self._newest = batch.written
        batch.entries.append(entry)
        return batch.written

    async def settled(self, timeout_s: float = SETTLED_S) -> None:
        """Wait until what was answered is written, so that whoever reads the disk reads it; at most so long.

        A write that fails is told to whoever waits for it, not here.
        """
        # The store writes in order: the newest is the last.
        if (newest := self._newest) is not None and not newest.done():
            await asyncio.wait((newest,), timeout=timeout_s)

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
        elif any(entry.stream or entry.sighting or entry.order for entry in batch.entries):
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
                _log.error("proposal_failed session=%.128r error=%s", sighting.session_id, described(error))


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
    await _write_matches(connection, entries)
    if trusts := {e.live.actor.id: e.trust for e in entries if e.trust}:
        await save_trusts(connection, list(trusts.items()), max(e.now for e in entries))
    if baselines := {e.live.actor.id: e.baseline for e in entries if e.baseline}:
        await save_baselines(connection, list(baselines.items()))
    await _write_orders(connection, [e.order for e in entries if e.order])
    await _write_holds(connection, entries)
    told: list[Mapping[str, Any]] = []
    for entry in entries:
        told += [row_of(one.event, one.body, STREAM_TLP, entry.now) for one in entry.stream]
        if entry.order:
            told.append(row_of("response", entry.order.body, STREAM_TLP, entry.now))
        if entry.sighting:
            # What others may want to hear is told as well, and not before what happened first.
            told = await _tell(connection, told)
            await propose(connection, entry.sighting)
        if entry.judged:
            await _judge(connection, entry.live.id, entry.judged)
        if entry.ended:
            await end_of_session(connection, entry.live.id, "the session was closed")
            await held.end_of_session(connection, entry.live.id, entry.now)
    await _tell(connection, told)


async def _judge(connection: AsyncConnection, session_id: str, judged: Judged) -> None:
    await judge_session(
        connection,
        session_id,
        judged.patterns,
        flagged=judged.flagged,
        whole=judged.whole,
        day=judged.day,
    )
    await add_path(connection, session_id, judged.day, judged.path, flagged=judged.flagged)


async def _write_matches(connection: AsyncConnection, entries: list[Entry]) -> None:
    if matched := [row for e in entries for row in e.matches]:
        await add_matches(connection, matched)
    if hits := [hit for e in entries for hit in e.hits]:
        await incidents.open_all(connection, hits, max(e.now for e in entries))


async def _write_orders(connection: AsyncConnection, orders: list[Order]) -> None:
    if orders:
        await responses.add(connection, [order.row for order in orders])
    for order in orders:
        if order.halt is not None:
            await responses.tighten(connection, order.halt)


async def _write_holds(connection: AsyncConnection, entries: list[Entry]) -> None:
    if waiting := [e.held for e in entries if e.held]:
        await held.add(connection, waiting)
    for used in [e.used for e in entries if e.used]:
        await held.use(connection, used)


async def _tell(connection: AsyncConnection, rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Write rows for engines, if there are any; none are left."""
    if rows:
        await add_stream(connection, rows)
    return []
