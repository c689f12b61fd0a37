"""One reader of the stream table for all subscribers.

After a commit somebody calls `wake`. The hub then reads the new rows once, builds the bytes once per clearance, and
hands the same bytes object to every connection. A subscriber that does not keep up is cut off when its write
buffer passes a bound; it comes back with the `Last-Event-ID` it has, and loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError

from ioint_node.store import stream
from ioint_node.store.clearance import LABELS
from ioint_node.store.engine import Store
from ioint_node.store.stream import StreamRow
from ioint_node.web.limits import WebLimits

log = logging.getLogger(__name__)
HEARTBEAT = b": still here\n\n"


class Subscriber:
    """One connection that has caught up and is fed by the hub; `seq` is the last row it was given."""

    def __init__(self, transport: asyncio.Transport, *, clearance: str, chunked: bool) -> None:
        self.transport = transport
        self.seq = 0
        self.clearance = clearance
        self.rank = LABELS.index(clearance)
        self.chunked = chunked
        self.closed = asyncio.Event()


class Hub:
    """Feeds the subscribers of one process."""

    def __init__(self, store: Store, limits: WebLimits | None = None) -> None:
        self._store = store
        self._limits = limits or WebLimits()
        self._news = asyncio.Event()
        self._subscribers: set[Subscriber] = set()
        self.seq = 0
        self.commits = 0  # how often it was woken: what was read before the newest commit may be old
        self.dropped = Counter[str]()

    @property
    def subscribers(self) -> int:
        """How many connections are fed."""
        return len(self._subscribers)

    def wake(self) -> None:
        """Say that a transaction with stream rows was committed; returns at once."""
        self.commits += 1
        self._news.set()

    def join(self, subscriber: Subscriber) -> bool:
        """Feed a connection from now on; False when it still has to catch up with what the hub already gave."""
        if subscriber.seq < self.seq:
            return False
        self._subscribers.add(subscriber)
        return True

    def leave(self, subscriber: Subscriber) -> None:
        """Feed a connection no more."""
        self._subscribers.discard(subscriber)
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
        """Feed until cancelled; a database that fails for a moment is asked again at the next heartbeat."""
        while True:
            self._news.clear()
            try:
                await self._pump()
            except SQLAlchemyError:
                log.exception("the stream could not be read")
            if not await self._heard():
                self._beat()

    def close(self) -> None:
        """Let every subscriber go: the server is stopping."""
        for subscriber in tuple(self._subscribers):
            self.leave(subscriber)

    async def _heard(self) -> bool:
        try:
            async with asyncio.timeout(self._limits.heartbeat_s):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def _pump(self) -> None:
        while True:
            async with self._store.read() as connection:
                rows = await stream.since(connection, self.seq, self._limits.replay_rows)
            if not rows:
                return
            self._give(rows)

    def _give(self, rows: Sequence[StreamRow]) -> None:
        built = [(row.seq, LABELS.index(row.tlp), frame(row)) for row in rows]
        made: dict[tuple[int, bool, int], bytes] = {}
        for subscriber in tuple(self._subscribers):
            after = max(subscriber.seq, self.seq)
            key = (subscriber.rank, subscriber.chunked, after)
            if key not in made:
                payload = b"".join(
                    data for seq, rank, data in built if seq > after and rank <= subscriber.rank
                )
                made[key] = chunk(payload) if subscriber.chunked else payload
            self._send(subscriber, made[key])
            subscriber.seq = max(subscriber.seq, rows[-1].seq)
        self.seq = rows[-1].seq

    def _beat(self) -> None:
        for subscriber in tuple(self._subscribers):
            self._send(subscriber, chunk(HEARTBEAT) if subscriber.chunked else HEARTBEAT)

    def _send(self, subscriber: Subscriber, payload: bytes) -> None:
        transport = subscriber.transport
        if transport.is_closing():
            self.leave(subscriber)
            return
        if not payload:
            return
        transport.write(payload)
        if transport.get_write_buffer_size() > self._limits.stream_buffer_bytes:
            self.cut(subscriber, "slow_consumer")


def frame(row: StreamRow) -> bytes:
    """The bytes of one server-sent event."""
    data = f'{{"seq":{row.seq},{row.body[1:]}'
    return f"id: {row.seq}\nevent: {row.event}\ndata: {data}\n\n".encode()


def chunk(payload: bytes) -> bytes:
    """One chunk of HTTP/1.1 chunked coding; nothing for nothing, since an empty chunk would end the answer."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""
