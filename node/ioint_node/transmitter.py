"""The transmitter: security event tokens, pushed to whoever asked for them (RFC 8935), one at a time and in order.

A token is taken when the receiver answers 202. One that is not taken holds up those behind it in its stream, and nobody
else's: it comes again, under the same name, after pauses that grow. A receiver that says with `invalid_request` that it
cannot read one is asked three times, and the stream goes on. When a receiver takes nothing for too long, its stream
is paused, which loses nothing before retention does; it enables the stream when it is back.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import BusyError
from ioint_node.flows.signals import (
    HOUR_MS,
    Outgoing,
    SignalParts,
    Waiting,
    change_status,
    close_gap,
    known_code,
    tidy,
    waiting,
)
from ioint_node.posting import Pauses, Posted, Poster, PostLimits
from ioint_node.signals.sets import MEDIA_TYPE
from ioint_node.store import signals, stream
from ioint_node.store.signals import ENABLED, PAUSED, PUSH, Stream
from ioint_node.store.times import from_text

log = logging.getLogger("ioint.signals")
AGENT = "ioint-signals"
TAKEN = 202
UNREADABLE = "invalid_request"
_DESCRIPTION_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class TransmitterLimits:
    """What pushing may cost, and when it is given up."""

    streams_at_once: int = 8
    streams_per_receiver: int = 2  # of those
    sets_at_once: int = 32  # in one turn
    turn_s: float = 5.0  # after which no further token of a turn is begun
    unreadable: int = 3  # attempts, after which a token that cannot be read is passed over
    wait_s: float = 5.0  # after the node's own trouble
    round_s: float = 0.1  # between looks
    idle_s: float = 30.0
    post: PostLimits = field(default_factory=PostLimits)
    pauses: Pauses = field(default_factory=Pauses)


class Transmitter:
    """The loop that pushes tokens, and tidies up streams."""

    def __init__(
        self,
        parts: SignalParts,
        limits: TransmitterLimits | None = None,
        *,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._parts, self._limits, self._now = parts, limits or TransmitterLimits(), now
        self._wakened = asyncio.Event()
        self._busy: dict[str, str] = {}  # streams whose turn it is, and who made them
        self._turns: dict[str, int] = {}  # each stream's newest turn, counted over all
        self._turn = 0
        self._passed = False

    def wake(self) -> None:
        """There may be something to push: call it after a commit that wrote rows of the stream, or changed one."""
        self._wakened.set()

    async def run(self) -> None:
        """Push until cancelled."""
        limits = self._limits
        async with (
            Poster(AGENT, limits.post, private=self._parts.private) as poster,
            asyncio.TaskGroup() as tasks,
        ):
            while True:
                self._wakened.clear()
                try:
                    wait_s = await self._start_due(poster, tasks)
                except Exception:  # the loop must outlive a database that cannot be read for a while
                    log.exception("streams of security events could not be looked up")
                    wait_s = limits.wait_s
                # Not `wait_for`, which in Python 3.11 may lose a cancellation that comes together with a wake.
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._wakened.wait()
                await asyncio.sleep(limits.round_s)

    async def _start_due(self, poster: Poster, tasks: asyncio.TaskGroup) -> float:
        """Start a task for each stream that may have something to push; returns seconds until the next may."""
        parts, limits, now = self._parts, self._limits, self._now()
        if not parts.issuer():
            return limits.idle_s
        async with parts.store.read() as connection:
            found = await signals.all_streams(connection)
            if not found:
                return limits.idle_s
            oldest, newest = await stream.oldest(connection), await stream.high_water(connection)
            speaking = await signals.speaking(connection)
        found = await tidy(parts, found, oldest, now)
        self._turns = {one.id: self._turns.get(one.id, 0) for one in found}
        self._passed = False
        wait_s = limits.idle_s
        for of in sorted(found, key=lambda one: self._turns[one.id]):
            behind = of.status == ENABLED and max(of.cursor, parts.looked.get(of.id, 0)) < newest
            if of.settings.method != PUSH or not (behind or of.id in speaking):
                continue
            if early_ms := limits.pauses.left_ms(from_text(of.not_before), now):
                wait_s = min(wait_s, early_ms / 1000)
                continue
            makers = list(self._busy.values())
            if (
                of.id in self._busy
                or len(makers) >= limits.streams_at_once
                or makers.count(of.by) >= limits.streams_per_receiver
            ):
                self._passed = True  # whoever ends wakes the loop
                continue
            self._turn += 1
            self._busy[of.id], self._turns[of.id] = of.by, self._turn
            tasks.create_task(self._take_turn(poster, of, oldest), name=f"signals-{of.id}")
        return wait_s

    async def _take_turn(self, poster: Poster, of: Stream, oldest: int) -> None:
        goes_on = False
        try:
            goes_on = await self._push_some(poster, of, oldest)
        except BusyError as error:
            log.warning("stream %s waits: %s", of.id, error)
            await asyncio.sleep(self._limits.wait_s)
            goes_on = True
        except Exception:
            # One stream's trouble (a full write queue, a bug) must not stop the others.
            log.exception("stream %s", of.id)
            await asyncio.sleep(self._limits.wait_s)
            goes_on = True
        finally:
            del self._busy[of.id]
            if self._passed or goes_on:
                self.wake()

    async def _push_some(self, poster: Poster, of: Stream, oldest: int) -> bool:
        """Push what a stream has not heard, as much as one turn allows; True when there may be more."""
        parts, now = self._parts, self._now()
        ends_s = asyncio.get_running_loop().time() + self._limits.turn_s
        of = await close_gap(parts, of, oldest, now)
        async with parts.store.read() as connection:
            found = await waiting(parts, connection, of, self._limits.sets_at_once)
        tokens = await parts.signer.sign(found.sets, now)
        taken, failure, attempts = 0, None, of.attempts
        for one in found.sets:
            if taken and asyncio.get_running_loop().time() >= ends_s:
                break
            posted = await self._post(poster, of, tokens[one.name])
            if posted.status != TAKEN and not self._unreadable(one, posted, attempts):
                failure = posted
                break
            taken, attempts = taken + 1, 0
        await self._write(of, found, taken, failure)
        return failure is None and (found.more or taken < len(found.sets))

    async def _post(self, poster: Poster, of: Stream, token: str) -> Posted:
        headers = {"Content-Type": MEDIA_TYPE, "Accept": "application/json"}
        if of.settings.authorization_header:
            headers["Authorization"] = of.settings.authorization_header
        return await poster.post(of.settings.endpoint_url, token.encode(), headers, now=self._now())

    def _unreadable(self, one: Outgoing, posted: Posted, attempts: int) -> bool:
        """Whether a token is given up, since its receiver has said often enough that it cannot read it."""
        if _refusal(posted)[0] != UNREADABLE or attempts + 1 < self._limits.unreadable:
            return False
        self._parts.counts["refused"] += 1
        log.warning("signals_refused token=%s error=%s", one.name, UNREADABLE)
        return True

    async def _write(self, of: Stream, found: Waiting, taken: int, failure: Posted | None) -> None:
        """Write what was taken, and how the newest attempt went."""
        parts, now = self._parts, self._now()
        parts.counts["delivered"] += taken
        cursor = found.passed(taken)
        notices = [one.place for one in found.sets[:taken] if one.notice]
        parts.looked[of.id] = max(parts.looked.get(of.id, 0), cursor)
        attempts, said = 0, f"{TAKEN}"
        pause_s: float | None = 0.0
        if failure is not None:
            parts.counts["failed"] += 1
            attempts = 1 if taken else of.attempts + 1
            said = _said(failure)
            pause_s = self._limits.pauses.after(attempts, failure)
            if attempts == 1:
                log.warning("signals_failed stream=%s status=%s", of.id, said)
        silent = not taken and failure is None
        if silent and cursor - of.cursor < parts.limits.passed_rows:
            return

        async def write(connection: AsyncConnection) -> None:
            await signals.drop_notices(connection, of.id, notices)
            if of.status == ENABLED:
                await signals.advance(connection, of.id, cursor)
            if not silent:
                later = now + int((pause_s or 0.0) * 1000)
                await signals.note(connection, of.id, attempts=attempts, not_before=later, status=said)
            if taken and now - from_text(of.heard_at) >= HOUR_MS:
                await signals.note_heard(connection, of.id, now)

        await parts.store.write(write)
        if pause_s is None:
            await self._give_up(of, attempts, said)

    async def _give_up(self, of: Stream, attempts: int, said: str) -> None:
        """Pause a stream whose receiver does not take what it is sent; what it says of itself is given up too."""
        reason = f"paused after {attempts} attempts: {said}"
        self._parts.counts["paused"] += 1
        log.warning("signals_paused stream=%s status=%s", of.id, said)
        if of.status == ENABLED:
            await change_status(self._parts, of, PAUSED, reason, self._now(), told=True)
            return
        parts = self._parts

        async def write(connection: AsyncConnection) -> None:
            numbers = [one.number for one in await signals.notices_of(connection, of.id)]
            await signals.drop_notices(connection, of.id, numbers)

        await parts.store.write(write)


def _refusal(posted: Posted) -> tuple[str, str]:
    """The code and the description with which a receiver refuses a token (RFC 8935, 2.3); two empty texts for none."""
    if posted.status != 400:
        return "", ""
    try:
        said = json.loads(posted.body)
        code, text = said["err"], said.get("description", "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "", ""
    if not isinstance(code, str):
        return "", ""
    shown = "".join(char if char.isprintable() else " " for char in str(text)[:_DESCRIPTION_CHARS])
    return known_code(code), shown


def _said(posted: Posted) -> str:
    code, text = _refusal(posted)
    if posted.status is not None and 200 <= posted.status < 300:
        return f"{posted.said}: RFC 8935 has 202 for a token that was taken"
    return f"{posted.said} {code}: {text}".rstrip(": ") if code else posted.said
