"""One member of the measured consortium: the whole node as shipped, that takes orders from who measures.

python -m ioint_node.bench.member HOME RECORDS     # so many records a segment; one line of JSON says where it listens

It ends when its input does. What the orders are is in `orders`. Two things differ from a node that an operator runs:
the quotas of an hour are lifted, and a segment is flushed at RECORDS.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
import uvloop
from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.admission import Limits
from ioint_node.app import Node, open_node
from ioint_node.bench.consortium import database
from ioint_node.bench.orders import LINE_BYTES, Done, Follow, Meet, Note, Order, Pace, Ready, Rest, Send
from ioint_node.bench.sayings import Speaker
from ioint_node.config import load_config
from ioint_node.flows import publish
from ioint_node.peers import Exchange, PeerAddress
from ioint_node.store import outgoing
from ioint_node.store.outgoing import Outgoing
from ioint_node.store.schema import outbox, segments
from ioint_node.store.times import day_of

UNLIMITED = 10**9
REST_S = 0.01  # between two looks at the outbox
_HEIGHTS = str(
    select(segments.c.seq)
    .where(segments.c.author == bindparam("author"), segments.c.seq > bindparam("above"))
    .order_by(segments.c.seq)
)
_WAITING = str(select(func.count()).select_from(outbox))


@dataclass(slots=True)
class Recorder:
    """When each segment of each log was on disk and believed here, in nanoseconds of the monotonic clock.

    It looks into the database after every commit, by a connection of its own that takes some microseconds: the store's
    own would cost more than what is measured.
    """

    database: sqlite3.Connection
    heights: dict[str, int]
    seen: dict[tuple[str, int], int] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def look(self) -> None:
        """Something was committed."""
        at = time.monotonic_ns()
        for author, height in self.heights.items():
            for (seq,) in self.database.execute(_HEIGHTS, {"author": author, "above": height}).fetchall():
                self.seen[author, seq] = at
                self.heights[author] = seq
        self.changed.set()

    async def until(self, author: str, after: int, upto: int) -> tuple[int, ...]:
        """When the segments after `after` up to `upto` came, once they all have."""
        while self.heights[author] < upto:
            self.changed.clear()
            await self.changed.wait()
        return tuple(self.seen[author, seq] for seq in range(after + 1, upto + 1))

    def waiting(self) -> int:
        """How much waits to be sent."""
        return int(self.database.execute(_WAITING).fetchone()[0])


@dataclass(slots=True, kw_only=True)
class Obedient:
    """A node, whose it is, who speaks at it, and what it has seen."""

    node: Node
    member: str
    speaker: Speaker
    recorder: Recorder

    async def obey(self, order: Order) -> Done:
        """Carry out an order."""
        times: tuple[int, ...] = ()
        match order:
            case Meet():
                await self._meet(order)
            case Note(first=first, count=count):
                await self._note(range(first, first + count))
            case Send():
                await publish.flush(self.node.parts, _now())
            case Pace():
                await self._pace(order)
            case Follow(author=author, after=after, upto=upto):
                times = await self.recorder.until(author, after, upto)
            case Rest():
                while self.recorder.waiting():  # noqa: ASYNC110 - what is acknowledged rings no bell
                    await asyncio.sleep(REST_S)
        return Done(height=self.recorder.heights[self.member], times=times)

    async def _meet(self, order: Meet) -> None:
        exchange = self.node.exchange
        exchange.set_peers(
            [
                PeerAddress(member=one.member, peer_id=one.peer_id, addresses=one.addresses)
                for one in order.neighbours
            ]
        )
        while exchange.connected() != {one.member for one in order.neighbours}:
            await exchange.wait_change()
        await self.node.met.wait()  # nothing is signed before

    async def _note(self, numbers: range) -> None:
        rows = list(self.speaker.noted(numbers, _now()))
        await self.node.store.write(partial(_add, rows=rows))

    async def _pace(self, order: Pace) -> None:
        begin = time.monotonic()
        for place in range(order.count):
            await asyncio.sleep(begin + place * order.every_s - time.monotonic())
            number = order.first + place
            await self._note(range(number, number + 1))
            await publish.flush(self.node.parts, _now())


async def serve(home: Path, records: int) -> None:
    """Run the node and obey until standard input ends."""
    limits = Limits(segments_per_hour=UNLIMITED, records_per_hour=UNLIMITED, flush_records=records)
    async with open_node(load_config(home), limits=limits) as node:
        roster, own = node.parts.roster(), node.parts.member
        if roster is None or own is None:
            raise LookupError(f"{home} is of no consortium")
        heights = {member.id: 0 for member in roster.members}
        recorder = Recorder(sqlite3.connect(database(home)), heights)
        node.bell.wakes(recorder.look)
        speaker = Speaker(
            taxonomy=node.parts.taxonomy,
            catalogue=node.parts.catalogue,
            detector=node.parts.detector,
            today=day_of(_now()),
        )
        obedient = Obedient(node=node, member=own, speaker=speaker, recorder=recorder)
        _tell(await _ready(node.exchange, own))
        async for line in _lines():
            _tell(await obedient.obey(msgspec.json.decode(line, type=Order)))


async def _ready(exchange: Exchange, own: str) -> Ready:
    while (child := exchange.process_id) is None or (peer_id := exchange.peer_id) is None:
        await exchange.wait_change()
    return Ready(member=own, peer_id=peer_id, addresses=exchange.listen_addresses(), child=child)


async def _add(connection: AsyncConnection, *, rows: list[Outgoing]) -> None:
    for row in rows:
        await outgoing.add(connection, row)


def _tell(answer: Ready | Done) -> None:
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    sys.stdout.flush()


async def _lines() -> AsyncIterator[bytes]:
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(
        partial(asyncio.StreamReaderProtocol, reader), sys.stdin
    )
    while line := await reader.readline():
        yield line


def _now() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
