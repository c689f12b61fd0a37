"""Webhooks: rows of the stream, posted to whoever asked for them, signed as Standard Webhooks has it.

Each hook has a cursor of its own in the stream and gets its rows in their order, one at a time: a row that is not taken
holds up those behind it, and nobody else's. Hooks take turns, who waited longest first, and those of one token never
have all the places. At least once: a crash may post again what was taken, under the same
`webhook-id`. A hook that does not answer is tried again after a pause that doubles, and disabled in the end.

Where a hook may lead, and what a post may cost, is in `posting`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from ioint_node.errors import BusyError
from ioint_node.posting import GONE, Pauses, Posted, Poster, PostLimits
from ioint_node.store import stream, webhooks
from ioint_node.store.clearance import LABELS
from ioint_node.store.engine import Store
from ioint_node.store.stream import StreamRow
from ioint_node.store.times import from_text, to_text
from ioint_node.store.webhooks import ACTIVE, DISABLED, MAKER_GONE, Webhook

log = logging.getLogger("ioint.hooks")
AGENT = "ioint-webhooks"


@dataclass(frozen=True, slots=True, kw_only=True)
class HookLimits:
    """What hooks may cost, how long to wait for one, and when to give it up."""

    hooks_at_once: int = 8
    hooks_per_maker: int = 2  # of those, of one token
    rows_at_once: int = 64  # in one turn
    turn_s: float = 5.0  # after which no further row of a turn is begun
    wait_s: float = 5.0  # after the node's own trouble
    post: PostLimits = field(default_factory=PostLimits)
    pauses: Pauses = field(default_factory=Pauses)
    round_s: float = 0.1  # between looks into the stream
    idle_s: float = 30.0
    passed_rows: int = 1_000  # that may be passed over before the cursor is written


class Hooks:
    """The loop that posts rows to hooks; `counts` are rows and hooks by what became of them."""

    def __init__(
        self,
        store: Store,
        limits: HookLimits | None = None,
        *,
        private: bool = False,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._store, self._limits, self._private, self._now = store, limits or HookLimits(), private, now
        self._wakened = asyncio.Event()
        self._busy: dict[str, str] = {}  # hooks whose turn it is, and who made them
        self._turns: dict[str, int] = {}  # each hook's newest turn, counted over all hooks
        self._turn = 0
        self._looked: dict[str, int] = {}  # how far each hook's stream has been looked through
        self._passed = False
        self.counts: Counter[str] = Counter()

    def wake(self) -> None:
        """There may be something to post: call it after a commit that wrote rows of the stream, or a hook."""
        self._wakened.set()

    async def run(self) -> None:
        """Post until cancelled."""
        async with (
            Poster(AGENT, self._limits.post, private=self._private) as poster,
            asyncio.TaskGroup() as tasks,
        ):
            while True:
                self._wakened.clear()
                try:
                    wait_s = await self._start_due(poster, tasks)
                except Exception:  # the loop must outlive a database that cannot be read for a while
                    log.exception("webhooks could not be looked up")
                    wait_s = self._limits.wait_s
                # Not `wait_for`, which in Python 3.11 may lose a cancellation that comes together with a wake.
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._wakened.wait()
                await asyncio.sleep(self._limits.round_s)

    async def _start_due(self, poster: Poster, tasks: asyncio.TaskGroup) -> float:
        """Start a task for each hook that has something to hear; returns seconds until the next may."""
        async with self._store.read() as connection:
            found = await webhooks.active(connection)
            newest = await stream.high_water(connection)
        known = {hook.id for hook, _, _ in found}
        self._looked = {name: seq for name, seq in self._looked.items() if name in known}
        self._turns = {name: turn for name, turn in self._turns.items() if name in known}
        self._passed = False
        wait_s, now = self._limits.idle_s, self._now()
        for hook, clearance, expires in sorted(found, key=lambda one: self._turns.get(one[0].id, 0)):
            if hook.id in self._busy:
                self._passed = True  # it may have looked already: whoever ends wakes the loop
                continue
            if clearance is None or (expires is not None and expires <= now):
                await self._note(hook, state=DISABLED, status=MAKER_GONE)
                continue
            if self._cursor(hook) >= newest:
                continue
            if (early_ms := from_text(hook.not_before) - now) > 0:
                wait_s = min(wait_s, early_ms / 1000)
                continue
            if len(self._busy) >= self._limits.hooks_at_once:
                self._passed = True
                break
            if sum(maker == hook.by for maker in self._busy.values()) >= self._limits.hooks_per_maker:
                self._passed = True
                continue
            self._turn += 1
            self._busy[hook.id], self._turns[hook.id] = hook.by, self._turn
            bounded = replace(hook, tlp=min(hook.tlp, clearance, key=LABELS.index))
            tasks.create_task(self._take_turn(poster, bounded), name=f"webhook-{hook.id}")
        return wait_s

    async def _take_turn(self, poster: Poster, hook: Webhook) -> None:
        goes_on = False
        try:
            goes_on = await self._post_some(poster, hook)
        except BusyError as error:
            log.warning("webhook %s waits: %s", hook.id, error)
            await asyncio.sleep(self._limits.wait_s)
        except Exception:
            # One hook's trouble (a full write queue, a bug) must not stop the others.
            log.exception("webhook %s", hook.id)
            await asyncio.sleep(self._limits.wait_s)
        finally:
            del self._busy[hook.id]
            if self._passed or goes_on:
                self.wake()

    async def _post_some(self, poster: Poster, hook: Webhook) -> bool:
        """Post what a hook has not heard, as much as one turn allows; True when there may be more."""
        ends_s = asyncio.get_running_loop().time() + self._limits.turn_s
        hook = replace(hook, cursor=self._cursor(hook))
        async with self._store.read() as connection:
            oldest = await stream.oldest(connection)
            rows, looked = await webhooks.pending(
                connection, hook.cursor, hook.events, hook.tlp, self._limits.rows_at_once
            )
        if hook.cursor + 1 < oldest:
            rows = (_reset(oldest, self._now()), *rows)
        goes_on = len(rows) >= self._limits.rows_at_once
        for index, row in enumerate(rows):
            if index and asyncio.get_running_loop().time() >= ends_s:
                looked, goes_on = hook.cursor, True
                break
            posted = await self._post(poster, hook, row)
            if not posted.taken:
                await self._failed(hook, posted)
                return False
            self.counts["delivered"] += 1
            hook = replace(hook, cursor=row.seq, attempts=0, last_status=posted.said)
        if rows or looked - hook.cursor >= self._limits.passed_rows:
            await self._note(replace(hook, cursor=looked, not_before=to_text(self._now())), state=ACTIVE)
        self._looked[hook.id] = looked
        return goes_on

    async def _post(self, poster: Poster, hook: Webhook, row: StreamRow) -> Posted:
        message = f"msg_{hook.id}_{row.seq}" + ("_reset" if row.event == "reset" else "")
        body, now = _body(row), self._now()
        headers = {"Content-Type": "application/json", **signed(hook.secret, message, now // 1000, body)}
        return await poster.post(hook.url, body, headers, now=now)

    async def _failed(self, hook: Webhook, posted: Posted) -> None:
        self.counts["failed"] += 1
        attempts = hook.attempts + 1
        pause_s = None if posted.status == GONE else self._limits.pauses.after(attempts, posted)
        if pause_s is None:
            told = f"disabled after {attempts} attempt{'' if attempts == 1 else 's'}: {posted.said}"
            await self._note(replace(hook, attempts=attempts), state=DISABLED, status=told)
            return
        if attempts == 1:
            log.warning("webhook_failed id=%s status=%s", hook.id, posted.said)
        later = to_text(self._now() + int(1000 * pause_s))
        await self._note(replace(hook, attempts=attempts, not_before=later), state=ACTIVE, status=posted.said)

    async def _note(self, hook: Webhook, *, state: str, status: str | None = None) -> None:
        if state == DISABLED:
            self.counts["disabled"] += 1
            log.warning("webhook_disabled id=%s status=%s", hook.id, status)
        await self._store.write(
            lambda connection: webhooks.note(
                connection,
                hook.id,
                cursor=hook.cursor,
                state=state,
                attempts=hook.attempts,
                not_before=from_text(hook.not_before),
                status=hook.last_status if status is None else status,
            )
        )

    def _cursor(self, hook: Webhook) -> int:
        return max(hook.cursor, self._looked.get(hook.id, 0))


def signed(secret: str, message: str, at_s: int, body: bytes) -> dict[str, str]:
    """The three headers of Standard Webhooks; `secret` is `whsec_` and base64, `at_s` Unix seconds of this attempt."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{message}.{at_s}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": message,
        "webhook-timestamp": str(at_s),
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


def _body(row: StreamRow) -> bytes:
    """`{"type", "timestamp", "data"}`, where `data` is what the stream's `data:` says."""
    # The row's text is JSON already: to read and write it again would only cost.
    return f'{{"type":"{row.event}","timestamp":"{row.at}","data":{{"seq":{row.seq},{row.body[1:]}}}'.encode()


def _reset(oldest: int, now: int) -> StreamRow:
    """What a hook is told whose next rows are gone: start over from the snapshot."""
    at = to_text(now)
    body = f'{{"at":"{at}","event":"reset","reason":"retention","snapshot":"/api/v1/snapshot"}}'
    return StreamRow(seq=oldest - 1, at=at, event="reset", tlp="clear", body=body)
