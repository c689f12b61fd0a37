"""One reader of the stream table for all subscribers.

After a commit somebody calls `wake`. The hub then reads the new rows once, decides once for all subscribers that want
the same and may see the same, builds their bytes once, and hands the same bytes object to every connection. A
subscriber that does not keep up is cut off when its write buffer passes a bound; it comes back with the `Last-Event-ID`
it has, and loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from ioint_node.store import stream
from ioint_node.store.clearance import visible
from ioint_node.store.engine import Store
from ioint_node.store.stream import StreamRow
from ioint_node.store.subscriptions import News, Wanted, news_of, taken_of, told
from ioint_node.web.limits import WebLimits

log = logging.getLogger(__name__)
HEARTBEAT = b": still here\n\n"
SLOW = "slow_consumer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Those who are given the same bytes: of one clearance, who want the same, over one version of HTTP."""

    clearance: str
    wanted: Wanted
    chunked: bool


class Subscriber:
    """One connection that is fed by the hub once it has caught up; `seq` is the last row it was given until then."""

    def __init__(self, transport: asyncio.Transport, group: Group) -> None:
        self.transport = transport
        self.group = group
        self.seq = 0
        self.closed = asyncio.Event()


class Hub:
    """Feeds the subscribers of one process."""

    def __init__(
        self,
        store: Store,
        limits: WebLimits | None = None,
        *,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._store = store
        self._limits = limits or WebLimits()
        self._now = now
        self._news = asyncio.Event()
        self._groups: dict[Group, set[Subscriber]] = {}
        self._ahead: set[Subscriber] = set()  # who have been given rows that the hub has not read yet
        self._beaten = self._swept = (
            0.0  # when everybody was last written to and looked at, by the loop's clock
        )
        self.seq = 0
        self.commits = 0  # how often it was woken: what was read before the newest commit may be old
        self.dropped = Counter[str]()

    @property
    def subscribers(self) -> int:
        """How many connections are fed."""
        return sum(map(len, self._groups.values()))

    def wake(self) -> None:
        """Say that a transaction with stream rows was committed; returns at once."""
        self.commits += 1
        self._news.set()

    def join(self, subscriber: Subscriber) -> bool:
        """Feed a connection from now on; False when it still has to catch up with what the hub already gave."""
        if subscriber.seq < self.seq:
            return False
        self._groups.setdefault(subscriber.group, set()).add(subscriber)
        if subscriber.seq > self.seq:
            self._ahead.add(subscriber)
        return True

    def has_room(self, wanted: Wanted) -> bool:
        """Whether one more filter, that nobody open to this process follows yet, is not one too many."""
        followed = {group.wanted for group in self._groups if not group.wanted.plain}
        return wanted.plain or wanted in followed or len(followed) < self._limits.stream_filters

    def leave(self, subscriber: Subscriber) -> None:
        """Feed a connection no more."""
        members = self._groups.get(subscriber.group)
        if members is not None:
            members.discard(subscriber)
            if not members:
                del self._groups[subscriber.group]
        self._ahead.discard(subscriber)
        subscriber.closed.set()

    def cut(self, subscriber: Subscriber, reason: str) -> None:
        """Drop a connection that does not keep up, with what waits for it."""
        self.dropped[reason] += 1
        subscriber.transport.abort()
        self.leave(subscriber)

    async def start(self) -> None:
        """Begin at the newest row; what is older is replayed from the store by those who ask for it."""
        async with self._store.read() as connection:
            self.seq = await stream.high_water(connection)

    async def run(self) -> None:
        """Feed until cancelled; a database that fails for a moment is asked again soon."""
        while True:
            self._news.clear()
            try:
                await self._pump()
            except SQLAlchemyError:
                log.exception("the stream could not be read")
            await self._heard()
            self._tend()

    def close(self) -> None:
        """Let every subscriber go: the server is stopping."""
        for members in tuple(self._groups.values()):
            for subscriber in tuple(members):
                self.leave(subscriber)

    async def _heard(self) -> None:
        """Wait for news, or until there is something to tend."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(self._limits.gone_s, self._limits.heartbeat_s)):
                await self._news.wait()

    async def _pump(self) -> None:
        while True:
            async with self._store.read() as connection:
                rows = await stream.since(connection, self.seq, self._limits.replay_rows)
                choosy = any(not group.wanted.plain for group in self._groups)
                news = (
                    await news_of(connection, rows)
                    if choosy
                    else tuple(News(row=row, said={}) for row in rows)
                )
            if not rows:
                return
            self._give(news, await self._taken(news))
            if len(rows) < self._limits.replay_rows:
                return  # what was committed since has woken the hub

    async def _taken(self, news: Sequence[News]) -> Mapping[Wanted, frozenset[int]]:
        """The rows that each filter takes; there may be many, so that others have their turn meanwhile."""
        filters = {group.wanted for group in self._groups if not group.wanted.plain}
        read = [one if one.said else told(one.row) for one in news] if filters else ()
        return {one: await taken_of(read, one, self._now()) for one in filters}

    def _give(self, news: Sequence[News], taken: Mapping[Wanted, frozenset[int]]) -> None:
        now, newest = self._now(), news[-1].row.seq
        frames = [frame(one.row) for one in news]
        for group, members in tuple(self._groups.items()):
            clear, known = visible(group.clearance), taken.get(group.wanted)
            wanted = [
                (one.row.seq, data)
                for one, data in zip(news, frames, strict=True)
                if one.row.tlp in clear
                and (_wants(group, one, now) if known is None else one.row.seq in known)
            ]
            late = self._ahead & members if self._ahead else set()
            self._send(members - late if late else members, _payload(wanted, self.seq, chunked=group.chunked))
            for subscriber in late:
                self._send((subscriber,), _payload(wanted, subscriber.seq, chunked=group.chunked))
        self._ahead = {one for one in self._ahead if one.seq > newest}
        self.seq = newest

    def _tend(self) -> None:
        """Let go of those who have left, so that they may come back; say to all now and then that they are heard."""
        now = asyncio.get_running_loop().time()
        if now - self._beaten >= self._limits.heartbeat_s:
            self._beaten = self._swept = now
            self._beat()
        elif now - self._swept >= self._limits.gone_s:
            self._swept = now
            members = [one for group in self._groups.values() for one in group]
            for subscriber in members:
                if subscriber.transport.is_closing():
                    self.leave(subscriber)

    def _beat(self) -> None:
        for group, members in tuple(self._groups.items()):
            self._send(members, chunk(HEARTBEAT) if group.chunked else HEARTBEAT)

    def _send(self, members: Iterable[Subscriber], payload: bytes) -> None:
        """Write to each, and cut off who has too much waiting."""
        if not payload:
            return
        most, gone, slow = self._limits.stream_buffer_bytes, [], []
        for subscriber in members:
            transport = subscriber.transport
            if transport.is_closing():
                gone.append(subscriber)
                continue
            transport.write(payload)
            if transport.get_write_buffer_size() > most:
                slow.append(subscriber)
        for subscriber in gone:
            self.leave(subscriber)
        for subscriber in slow:
            self.cut(subscriber, SLOW)


def _wants(group: Group, news: News, now: int) -> bool:
    """Whether a group that joined after the news were read wants them; what they say may not have been read then."""
    return group.wanted.takes(news if news.said or group.wanted.plain else told(news.row), now)


def frame(row: StreamRow) -> bytes:
    """The bytes of one server-sent event."""
    data = f'{{"seq":{row.seq},{row.body[1:]}'
    return f"id: {row.seq}\nevent: {row.event}\ndata: {data}\n\n".encode()


def _payload(frames: Iterable[tuple[int, bytes]], after: int, *, chunked: bool) -> bytes:
    joined = b"".join(data for seq, data in frames if seq > after)
    return chunk(joined) if chunked else joined


def chunk(payload: bytes) -> bytes:
    """One chunk of HTTP/1.1 chunked coding; nothing for nothing, since an empty chunk would end the answer."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""
