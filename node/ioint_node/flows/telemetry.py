"""Tell: what agents' telemetry says becomes sessions, judged like all others, only later.

Spans wait in a buffer until their trace can be told; then each run opens its session, its prompts, actions and results
go through the flow that REST goes through, and it is closed with its outcome. The actions were taken long ago: verdict,
trust and patterns move as ever, and nothing is enforced. Ids come from the telemetry's own, so that what is sent twice
changes nothing the second time.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import msgspec
from msgspec import structs

from ioint_node.errors import BusyError, ConflictError, NotFoundError, RequestError, TooLargeError
from ioint_node.flows import assess
from ioint_node.flows.assessing import AssessParts, recall
from ioint_node.flows.live import Live
from ioint_node.flows.requests import ActionRequest, OpenSession
from ioint_node.scoring.values import Declaration, Event
from ioint_node.store.sessions import find_decision
from ioint_node.telemetry import (
    Batch,
    Buffer,
    Happening,
    History,
    Run,
    Sender,
    TelemetryLimits,
    Trace,
    assemble,
)

_log = logging.getLogger(__name__)
_COMPLAINT_MS = 60_000  # the log tells of refused records so often at most
GENERATIONS = 8  # sessions of one conversation or trace: what comes after one was closed begins another
BREATH = 64  # happenings told in one go, before others have a turn
_PREFIX = "otlp-"
T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class _Told:
    """What is remembered of a session that telemetry tells of; `opened` by telemetry, so that it is closed by it."""

    history: History
    started: int | None = None  # Unix nanoseconds of its first span, by the sender's clock
    opened: bool = False
    outcome: str = "aborted"  # until a run ends
    last: int = 0  # Unix milliseconds


@dataclass(slots=True)
class Telemetry:
    """The buffer, what was told of each session, and the loop that tells; `counts` says what became of everything."""

    parts: AssessParts
    now: Callable[[], int]
    limits: TelemetryLimits = field(default_factory=TelemetryLimits)
    counts: Counter[str] = field(default_factory=Counter)
    reading: int = 0  # bytes of bodies that are being read
    decoding: asyncio.Lock = field(default_factory=asyncio.Lock)  # large bodies one after the other
    _complained: int | None = None  # when the log last told of what was refused
    _messages: int = 0  # remembered of all sessions
    _told: OrderedDict[str, _Told] = field(default_factory=OrderedDict)
    _newest: OrderedDict[tuple[str, str], str] = field(default_factory=OrderedDict)  # actor and key → session
    _due: deque[Trace] = field(default_factory=deque)  # taken out of the buffer, to be told in this order
    _telling: asyncio.Lock = field(default_factory=asyncio.Lock)
    buffer: Buffer = field(init=False)

    def __post_init__(self) -> None:
        self.buffer = Buffer(self.limits)

    def check_room(self) -> None:
        """Refuse what comes while too much waits.

        Raises:
            BusyError: the buffer is full.
        """
        if self.buffer.is_full:
            self.counts["busy"] += 1
            raise BusyError(f"{self.buffer.spans} spans wait to be told, the most that may: try again later")

    def take(self, sender: Sender, batch: Batch) -> None:
        """Keep a batch until its traces can be told."""
        now = self.now()
        for span in batch.spans:
            self.buffer.add(sender, span, now)
        self.counts["spans"] += len(batch.spans)
        self.counts["rejected"] += batch.refused
        if batch.rejected and (self._complained is None or now - self._complained >= _COMPLAINT_MS):
            self._complained = now  # most exporters say nothing of a partial success
            said = "; ".join(f"{count}: {reason}" for reason, count in batch.rejected.items())
            _log.warning("telemetry_rejected by=%s %s", sender.id, said)

    @property
    def waiting(self) -> int:
        """How many spans were not told yet."""
        return self.buffer.spans + sum(trace.fresh for trace in self._due)

    def counted(self) -> dict[str, int]:
        """What became of everything, and what waits."""
        return {**self.counts, **self.buffer.counts, "waiting": self.waiting}

    async def run(self) -> None:
        """Tell what is due, for as long as the node runs; when it stops, all that waits."""
        stopping = asyncio.Event()
        telling = asyncio.create_task(self._tell_until(stopping), name="telemetry-telling")
        try:
            # A trace is told whole or not at all: stopping waits for the one that is under way.
            await asyncio.shield(telling)
        finally:
            stopping.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.limits.stop_s):
                    await telling
            if lost := self.waiting:
                _log.warning("telemetry_lost spans=%d: the node stopped before they were told", lost)

    async def _tell_until(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                await self.tell()
            except Exception:  # the loop must survive what one session cannot
                _log.exception("telemetry_failed")
            with suppress(TimeoutError):
                async with asyncio.timeout(self.limits.settle_s):
                    await stopping.wait()
        await self.tell(all_of_them=True)

    async def tell(self, *, all_of_them: bool = False) -> None:
        """Tell the traces that are due, and close the conversations that are over."""
        async with self._telling:
            self._due.extend(self.buffer.due(self.now(), all_of_them=all_of_them))
            while self._due:
                await self._tell_trace(self._due[0])
                self._due.popleft()
            await self._close_over()

    async def _tell_trace(self, trace: Trace) -> None:
        try:
            for run in assemble(trace):
                await self._tell_run(trace, run)
        except RequestError as error:
            self.counts["failed"] += len(trace.spans)
            _log.warning("telemetry_refused spans=%d error=%s", len(trace.spans), type(error).__name__)
        except Exception:  # what one trace says must not keep the others from being told
            self.counts["failed"] += len(trace.spans)
            _log.exception("telemetry_failed spans=%d", len(trace.spans))
        self.counts["traces"] += 1

    async def _tell_run(self, trace: Trace, run: Run) -> None:
        found = await self._session(trace.sender, run)
        if found is None:
            return
        live, run = found
        told = self._remembered(live.id)
        before = len(told.history)
        fresh = told.history.fresh(run.happenings)
        self._forget(len(told.history) - before)
        for count, one in enumerate(fresh, 1):
            try:
                await self._patiently(partial(self._tell_one, trace.sender, live.id, told, one))
            except TooLargeError:
                self.counts["full"] += 1
            except ConflictError:
                self.counts["conflicts"] += 1
            except RequestError:
                self.counts["malformed"] += 1
            if count % BREATH == 0:
                await asyncio.sleep(0)
        told.last, told.outcome = self.now(), run.ended or told.outcome
        if run.ended is not None and told.opened and not run.lasting:
            await self._end(live.id, told)

    async def _tell_one(self, sender: Sender, session: str, told: _Told, one: Happening) -> None:
        t = None if told.started is None else (one.at - told.started) / 1e9
        if t is not None and not 0.0 <= t <= self.parts.limits.clock_s:
            t = None
        if one.kind == "tool_call":
            live = self.parts.live.get(session)
            if one.decided and live is not None and one.action_id in live.hashes:
                if await self._is_decided(live, one):
                    self.counts["decided"] += 1
                    return
                # What was decided under this name was something else: nobody escapes by naming it.
                self.counts["misnamed"] += 1
                one = structs.replace(one, action_id=_own_name(one))
            request = ActionRequest(
                action_id=one.action_id,
                tool=one.tool,
                server=one.server,
                arguments=one.arguments or {},
                t=t,
                told=True,
            )
            await assess.answer(self.parts, session, request, self.now())
            self.counts["actions"] += 1
            return
        event = Event(
            kind=one.kind,
            role=one.role,
            tool=one.tool,
            text=one.text,
            error=one.error,
            data={"tokens": one.tokens} if one.tokens else {},
            t=t,
            action_id=one.action_id or None,
        )
        own = sender.actor is not None
        await assess.observe(self.parts, session, event, self.now(), by=f"token:{sender.id}", by_actor=own)
        self.counts["events"] += 1

    async def _is_decided(self, live: Live, one: Happening) -> bool:
        """Whether the action that was decided under this name does what telemetry says was done under it."""
        body = live.answers.get(one.action_id)
        if body is None:
            async with self.parts.store.read() as connection:
                body = await find_decision(connection, live.id, one.action_id)
        if body is None:
            return True  # the answer is no longer kept: nothing to hold it against
        step = msgspec.json.decode(body)["step"]
        call = self.parts.mapper(one.tool, server=one.server, arguments=one.arguments or {})
        return (step["verb"], step["resource"]) == (call.verb, call.resource)

    # --- sessions ---

    async def _session(self, sender: Sender, run: Run) -> tuple[Live, Run] | None:
        """The open session of a run and what of the run is not in an earlier one; None where nothing is left."""
        for session in _sessions_of(run):
            live = await self._opened(sender, run, session)
            if live.actor.id != run.actor:
                self.counts["foreign"] += 1  # a span may name any session: nobody speaks in another's
            elif live.closed is None:
                self._note_newest(run, session)
                return live, run
            else:
                run = _left(run, live)
                if not any(one.kind == "tool_call" for one in run.happenings):
                    break
        self.counts["late"] += len(run.happenings)
        return None

    async def _opened(self, sender: Sender, run: Run, session: str) -> Live:
        """The session, from memory, opened, or as it was opened before."""
        live = self.parts.live.get(session)
        if live is not None:
            return live
        # Most are new: to look first would cost each of them another read.
        with suppress(ConflictError):
            await self._patiently(partial(self._open, sender, run, session))
        return await recall(self.parts, session, self.now())

    async def _open(self, sender: Sender, run: Run, session: str) -> None:
        family = run.declared_family if run.declared_family in self.parts.taxonomy.families else None
        request = OpenSession(
            actor=run.actor,
            declared=Declaration(text=run.declared_text, family=family),
            session_id=session,
            parent=self._parent(run),
            by_actor=sender.actor is not None,
        )
        try:
            await assess.open_session(self.parts, request, self.now())
        except ConflictError:
            # An actor keeps the kind that it is known as.
            await assess.open_session(self.parts, replace(request, kind="workload"), self.now())
        live = self.parts.live.get(session)
        if live is not None and not live.events:
            self.counts["sessions"] += 1
            told = self._remembered(session)
            told.opened, told.started = True, run.happenings[0].at

    def _parent(self, run: Run) -> dict[str, str] | None:
        if run.parent is None:
            return None
        actor, key, named = run.parent
        session = self._newest.get((actor, key)) or named or session_id(actor, key, 0)
        return {"session_id": session, "action_id": run.parent_action}

    def _note_newest(self, run: Run, session: str) -> None:
        self._newest[run.actor, run.key] = session
        self._newest.move_to_end((run.actor, run.key))
        if len(self._newest) > self.limits.sessions:
            self._newest.popitem(last=False)

    def _remembered(self, session: str) -> _Told:
        told = self._told.get(session)
        if told is None:
            told = self._told[session] = _Told(
                history=History(self.limits.history),
                opened=session.startswith(_PREFIX),
            )
        self._told.move_to_end(session)
        return told

    def _forget(self, more: int) -> None:
        """Make room for what is remembered more: whoever was told of longest ago is forgotten."""
        self._messages += more
        limits = self.limits
        while len(self._told) > 1 and (
            self._messages > limits.histories or len(self._told) > limits.sessions
        ):
            _, gone = self._told.popitem(last=False)
            self._messages -= len(gone.history)

    async def _close_over(self) -> None:
        """Close conversations in which nothing more has been said for long, and traces that never ended."""
        before = self.now() - round(self.limits.close_s * 1000)
        over = []
        for session, told in self._told.items():
            if told.last > before:
                break  # those that follow were told of later
            over.append((session, told))
        for session, told in over:
            if told.opened:
                await self._end(session, told)
            self._told.pop(session, None)
            self._messages -= len(told.history)

    async def _end(self, session: str, told: _Told) -> None:
        with suppress(ConflictError, NotFoundError):
            await self._patiently(lambda: assess.close(self.parts, session, told.outcome, self.now()))

    async def _patiently(self, step: Callable[[], Awaitable[T]]) -> T:
        """Do a step; where the store is busy, later. Meanwhile the buffer fills, and senders are told to wait."""
        while True:
            try:
                return await step()
            except BusyError:
                self.counts["waited"] += 1
                await self.parts.journal.settled(self.limits.retry_s)
                await asyncio.sleep(self.limits.retry_s)


def session_id(actor: str, key: str, generation: int) -> str:
    """The session of an actor's run: the same for the same telemetry, and never that of another actor."""
    named = "\0".join((actor, key, str(generation)))
    return f"{_PREFIX}{hashlib.sha256(named.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _own_name(one: Happening) -> str:
    """A name for an action that took another's: the same for the same call, so that it counts once."""
    said = repr((one.action_id, one.tool, one.server, one.at))
    return f"told-{hashlib.sha256(said.encode()).hexdigest()[:32]}"


def _sessions_of(run: Run) -> Iterator[str]:
    if run.session:
        yield run.session
    for generation in range(GENERATIONS):
        yield session_id(run.actor, run.key, generation)


def _left(run: Run, closed: Live) -> Run:
    """What of a run is not in a session that is closed."""
    kept = tuple(one for one in run.happenings if one.action_id == "" or one.action_id not in closed.hashes)
    return structs.replace(run, happenings=kept)
