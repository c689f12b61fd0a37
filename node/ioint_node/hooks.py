"""Webhooks: rows of the stream, posted to whoever asked for them, signed as Standard Webhooks has it.

Each hook has a cursor of its own in the stream and gets its rows in their order, one at a time: a row that is not taken
holds up those behind it, and nobody else's. Hooks take turns, who waited longest first, and those of one token never
have all the places. At least once: a crash may post again what was taken, under the same `webhook-id`.

A row that is given up becomes a dead letter, and the hook goes on with the next: soon, where the receiver says that
this very post is at fault; after the whole schedule, where it never answered well, and then the hook is disabled too.
Nothing is lost unsaid: before there are too many dead letters of a hook, it is disabled with its cursor where it is.
Where a hook may lead, what a post may cost and when it is tried again is in `posting`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from ioint_node.errors import BusyError, RequestError
from ioint_node.posting import GONE, Pauses, Posted, Poster, PostLimits
from ioint_node.store import dead_letters, stream, webhooks
from ioint_node.store.clearance import LABELS
from ioint_node.store.engine import Store
from ioint_node.store.stream import StreamRow
from ioint_node.store.subscriptions import Wanted, chosen, filter_of
from ioint_node.store.times import from_text, to_text
from ioint_node.store.webhooks import AGENT, DISABLED, MAKER_GONE, Webhook
from ioint_node.webhook_keys import signed

log = logging.getLogger("ioint.hooks")
REFUSED: Final = frozenset({400, 413, 415, 422})  # what says that this very post is at fault


@dataclass(frozen=True, slots=True, kw_only=True)
class HookLimits:
    """What hooks may cost, how long to wait for one, and when to give it up."""

    hooks_at_once: int = 8
    hooks_per_maker: int = 2  # of those, of one token
    rows_at_once: int = 64  # in one turn
    rows_looked: int = 500  # in one turn, to find those that a filter takes
    turn_s: float = 5.0  # after which no further row of a turn is begun
    refusals: int = 3  # of a post that is at fault itself, after which it is given up
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
        self._looked: dict[str, tuple[int, int]] = {}  # each hook's cursor, and how far was looked from there
        self._unwritten = set[str]()  # hooks that have taken more than could be written yet
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
            owed = await dead_letters.owed(connection)
        known = {hook.id for hook, _, _ in found}
        self._looked = {name: seen for name, seen in self._looked.items() if name in known}
        self._turns = {name: turn for name, turn in self._turns.items() if name in known}
        self._unwritten &= known
        self._passed = False
        wait_s, now = self._limits.idle_s, self._now()
        if any(hook.previous_until is not None and len(hook.keys(now)) == 1 for hook, _, _ in found):
            await self._store.write(lambda connection: webhooks.forget_previous(connection, now))
        for hook, clearance, expires in sorted(found, key=lambda one: self._turns.get(one[0].id, 0)):
            if hook.id in self._busy:
                self._passed = True  # it may have looked already: whoever ends wakes the loop
                continue
            if clearance is None or (expires is not None and expires <= now):
                await self._disable(hook, MAKER_GONE)
                continue
            if self._cursor(hook) >= newest and hook.id not in owed | self._unwritten:
                continue
            if early_ms := self._limits.pauses.left_ms(from_text(hook.not_before), now):
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
            tlp = min(hook.tlp, clearance, key=LABELS.index)
            tasks.create_task(self._take_turn(poster, hook.id, tlp), name=f"webhook-{hook.id}")
        return wait_s

    async def _take_turn(self, poster: Poster, hook: str, tlp: str) -> None:
        goes_on = False
        try:
            goes_on = await self._post_some(poster, hook, tlp)
        except BusyError as error:
            log.warning("webhook %s waits: %s", hook, error)
            await asyncio.sleep(self._limits.wait_s)
            goes_on = True
        except Exception:
            # One hook's trouble (a full write queue, a bug) must not stop the others.
            log.exception("webhook %s", hook)
            await asyncio.sleep(self._limits.wait_s)
            goes_on = True
        finally:
            del self._busy[hook]
            if self._passed or goes_on:
                self.wake()

    async def _post_some(self, poster: Poster, name: str, tlp: str) -> bool:
        """Post what a hook has not heard, as much as one turn allows; True when there may be more."""
        ends_s = asyncio.get_running_loop().time() + self._limits.turn_s
        async with self._store.read() as connection:
            # Read anew: what it was looked up for may be older than its newest turn.
            found = await webhooks.active_one(connection, name)
        if found is None:
            return False
        since, hook = found.cursor, replace(found, cursor=self._cursor(found), tlp=tlp)
        again = await self._post_letters(poster, hook, ends_s)
        async with self._store.read() as connection:
            oldest = await stream.oldest(connection)
            try:
                only = await filter_of(connection, hook.filter, hook.saved)
            except RequestError as error:  # saved by an older release, or removed
                await self._disable(hook, f"disabled: {error}", since)
                return False
            wanted = Wanted(events=frozenset(hook.events), filter=only, actor=hook.actor)
            most = self._limits.rows_at_once if wanted.plain else self._limits.rows_looked
            missed, looked = await webhooks.pending(connection, hook.cursor, hook.events, hook.tlp, most)
            rows = await chosen(connection, missed, wanted, self._now())
        if hook.cursor + 1 < oldest:
            rows = (_reset(oldest, self._now()), *rows)
        goes_on = again or len(missed) == most
        for index, row in enumerate(rows):
            if index and asyncio.get_running_loop().time() >= ends_s:
                looked, goes_on = hook.cursor, True
                break
            posted = await self._post(poster, hook, row)
            if not posted.taken:
                self._looked[hook.id] = (since, hook.cursor)  # should it not be written, it was taken still
                return await self._failed(hook, row, posted, since)
            hook = self._taken(hook, posted, cursor=row.seq)
        self._looked[hook.id] = (since, looked)
        if rows:
            self._unwritten.add(hook.id)
        if hook.id in self._unwritten or looked - since >= self._limits.passed_rows:
            done = replace(hook, cursor=looked, not_before=to_text(self._now()))
            written = await self._note(done, since)
            self._unwritten.discard(hook.id)
            if not written:
                return True  # somebody had it go on from another row meanwhile
            self._looked[hook.id] = (looked, looked)
        return goes_on

    async def _post_letters(self, poster: Poster, hook: Webhook, ends_s: float) -> bool:
        """Post dead letters that somebody wants posted once more, each once; True when there are more."""
        most = self._limits.rows_at_once
        async with self._store.read() as connection:
            letters = await dead_letters.due(connection, hook.id, hook.tlp, most)
        for letter in letters:
            if asyncio.get_running_loop().time() >= ends_s:
                return True
            posted = await self._post(poster, hook, letter.row)
            if posted.taken:
                self.counts["delivered"] += 1
                await self._store.write(partial(dead_letters.drop, hook=hook.id, row=letter.row))
            else:
                self.counts["failed"] += 1
                await self._bury(hook, letter.row, posted.said, letter.attempts + 1)
        return len(letters) == most

    async def _post(self, poster: Poster, hook: Webhook, row: StreamRow) -> Posted:
        message = f"msg_{hook.id}_{row.seq}" + ("_reset" if row.event == "reset" else "")
        body, now = _body(row), self._now()
        headers = {"Content-Type": "application/json", **signed(hook.keys(now), message, now // 1000, body)}
        return await poster.post(hook.url, body, headers, now=now)

    def _taken(self, hook: Webhook, posted: Posted, *, cursor: int) -> Webhook:
        self.counts["delivered"] += 1
        return replace(
            hook,
            cursor=cursor,
            attempts=0,
            last_status=posted.said,
            delivered=hook.delivered + 1,
            delivered_at=to_text(self._now()),
        )

    async def _failed(self, hook: Webhook, row: StreamRow, posted: Posted, since: int) -> bool:
        """Have a row wait, or give it up; True when the hook may go on with the next."""
        self.counts["failed"] += 1
        attempts = hook.attempts + 1
        hook = replace(hook, attempts=attempts, last_status=posted.said)
        if posted.status == GONE:
            await self._disable(hook, f"disabled after {_times(attempts)}: {posted.said}", since)
            return False
        refused = posted.status in REFUSED and attempts >= self._limits.refusals
        pause_s = None if refused else self._limits.pauses.after(attempts, posted)
        if pause_s is not None:
            if attempts == 1:
                log.warning("webhook_failed id=%s status=%s", hook.id, posted.said)
            later = to_text(self._now() + int(1000 * pause_s))
            await self._note(replace(hook, not_before=later), since)
            return False
        async with self._store.read() as connection:
            letters = await dead_letters.count(connection, hook.id)
        if letters >= dead_letters.PER_HOOK:
            await self._disable(hook, f"disabled: {letters} dead letters, replay or drop some", since)
            return False
        await self._bury(hook, row, posted.said, attempts)
        passed = replace(hook, cursor=max(row.seq, hook.cursor), not_before=to_text(self._now()))
        if refused:
            await self._note(replace(passed, attempts=0), since)
            return True
        await self._disable(passed, f"disabled after {_times(attempts)}: {posted.said}", since)
        return False

    async def _bury(self, hook: Webhook, row: StreamRow, reason: str, attempts: int) -> None:
        self.counts["dead"] += 1
        log.warning("webhook_dead_letter id=%s seq=%d status=%s", hook.id, row.seq, reason)
        now = self._now()
        await self._store.write(
            lambda connection: dead_letters.put(
                connection, hook.id, row, attempts=attempts, reason=reason, now=now
            )
        )

    async def _disable(self, hook: Webhook, status: str, since: int | None = None) -> None:
        self.counts["disabled"] += 1
        log.warning("webhook_disabled id=%s status=%s", hook.id, status)
        await self._note(
            replace(hook, state=DISABLED, last_status=status), hook.cursor if since is None else since
        )

    async def _note(self, hook: Webhook, since: int) -> bool:
        return await self._store.write(lambda connection: webhooks.note(connection, hook, since=since))

    def _cursor(self, hook: Webhook) -> int:
        """How far a hook has come: further than is written, where what followed was nothing that it wants."""
        written, looked = self._looked.get(hook.id, (hook.cursor, hook.cursor))
        return looked if written == hook.cursor else hook.cursor


def _body(row: StreamRow) -> bytes:
    """`{"type", "timestamp", "data"}`, where `data` is what the stream's `data:` says."""
    # The row's text is JSON already: to read and write it again would only cost.
    return f'{{"type":"{row.event}","timestamp":"{row.at}","data":{{"seq":{row.seq},{row.body[1:]}}}'.encode()


def _times(attempts: int) -> str:
    return f"{attempts} attempt{'' if attempts == 1 else 's'}"


def _reset(oldest: int, now: int) -> StreamRow:
    """What a hook is told whose next rows are gone: start over from the snapshot."""
    at = to_text(now)
    body = f'{{"at":"{at}","event":"reset","reason":"retention","snapshot":"/api/v1/snapshot"}}'
    return StreamRow(seq=oldest - 1, at=at, event="reset", tlp="clear", body=body)
