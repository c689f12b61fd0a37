"""The hostile organisation: the real node, with a valid key, under a driver that means harm.

It takes orders as JSON lines on standard input and answers each with one line: what it did and how often. It can
do what any member with a changed program can: sign lies, send again what was sent, send what nobody can read, and
sign two histories.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from ioint_protocol import sync
from ioint_protocol.records import Report, encode_record
from ioint_protocol.segment import build_segment, parse_segment
from ioint_taxonomy import load_catalogue, load_taxonomy

from ioint_node.app import ROLES, Node, open_node, start_logging
from ioint_node.config import load_config
from ioint_node.flows import opinions
from ioint_node.peers import PeerUnavailable
from ioint_node.store import log as segments
from ioint_node.store.times import day_of

LIE = 5  # bucket: "32 to 63 sessions"; a lie may as well be a large one
REPLAYS = 3
GARBAGE = (b"", b"\xff" * 64, b'{"v":1}', b"IOINT" + bytes(range(256)))
NOISE_BYTES = (100, 10_000)
REQUEST_S = 10.0
ORDER_BYTES = 65_536
logger = logging.getLogger("ioint.hostile")


async def slander(node: Node, pattern: str) -> int:
    """Report that a pattern was bad every time it was seen; signed, well formed, and false."""
    taxonomy, entry = load_taxonomy(), load_catalogue().entries[pattern]
    today = day_of(_now())
    lie = Report(
        tax=taxonomy.version,
        kind="pattern",
        pat=pattern,
        intents=tuple(sorted(entry.intents)),
        basis="threshold",
        bad=LIE,
        seen=LIE,
        agents=LIE,
        day_from=today,
        day_until=today,
        det=node.assess.model.digest,
        tlp="green",
    )
    await opinions.publish_record(node.parts, lie, by="the driver", now=_now())
    return 1


async def replay(node: Node, pattern: str) -> int:
    """Send everyone, again and again, what was sent long ago."""
    del pattern
    wires = await _own_segments(node)
    sent = [await _send(node, sync.PUSH, wire) for wire in wires for _ in range(REPLAYS)]
    return sum(sent)


async def garbage(node: Node, pattern: str) -> int:
    """Send everyone what no protocol knows, and a segment with one byte changed."""
    del pattern
    wires = await _own_segments(node)
    spoiled = [wire[:-1] + bytes([wire[-1] ^ 1]) for wire in wires[:1]]
    noise = [os.urandom(size) for size in NOISE_BYTES]
    sent = [await _send(node, sync.PUSH, body) for body in (*GARBAGE, *noise, *spoiled)]
    sent += [await _send(node, sync.PULL, body) for body in GARBAGE]
    return sum(sent)


async def equivocation(node: Node, pattern: str) -> int:
    """Sign a second segment at a height that has one, and send it to everyone."""
    del pattern
    first = parse_segment((await _own_segments(node))[-1])
    record = Report(
        tax=load_taxonomy().version,
        kind="pattern",
        pat=min(load_catalogue().entries),
        intents=("goal_hijack",),
        basis="threshold",
        bad=0,
        seen=0,
        agents=0,
        day_from=day_of(_now()),
        day_until=day_of(_now()),
        det=node.assess.model.digest,
        tlp="green",
    )
    other = build_segment(
        node.keys.record_key,
        node.book.consortium or "",
        first.header.author,
        first.header.seq,
        first.header.prev,
        first.header.low,
        [encode_record(record)],
    )
    await _send(node, sync.PUSH, other)
    return 1


ORDERS = {"slander": slander, "replay": replay, "garbage": garbage, "equivocation": equivocation}


async def serve_orders(home: Path, roles: tuple[str, ...]) -> None:
    """Run the node and obey until standard input ends."""
    start_logging()
    async with open_node(load_config(home), roles) as node:
        async for line in _lines():
            order = msgspec.json.decode(line)
            count = await ORDERS[order["do"]](node, str(order.get("pattern", "")))
            sys.stdout.write(msgspec.json.encode({"done": order["do"], "count": count}).decode() + "\n")
            sys.stdout.flush()


async def _lines() -> AsyncIterator[bytes]:
    reader = asyncio.StreamReader(limit=ORDER_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(
        partial(asyncio.StreamReaderProtocol, reader), sys.stdin
    )
    while line := await reader.readline():
        yield line


async def _own_segments(node: Node) -> list[bytes]:
    async with node.store.read() as connection:
        newest, _ = await segments.head(connection, node.keys.member) or (0, "")
        return [bytes(w) for w in await segments.segments_between(connection, node.keys.member, 1, newest)]


async def _send(node: Node, protocol: str, body: bytes) -> int:
    """Send the same bytes to every reachable member; returns how many there were."""
    members = sorted(node.exchange.connected())
    for member in members:
        try:
            await node.exchange.request(member, protocol, body, REQUEST_S)
        except PeerUnavailable as refusal:
            logger.info("%s answered nothing: %s", member, refusal)
    return len(members)


def _now() -> int:
    return time.time_ns() // 1_000_000


def main(arguments: list[str] | None = None) -> Any:  # noqa: ANN401 - what the loop returns
    """`python -m ioint_node.demo.hostile --home DIR`: the demo starts it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--role", default=",".join(ROLES))
    given = parser.parse_args(arguments)
    return uvloop.run(serve_orders(given.home, tuple(given.role.split(","))))


if __name__ == "__main__":
    main()
