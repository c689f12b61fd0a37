"""The server that `bench push` listens to: a node, and beside it in the same process the least that can be written.

The floor is aiohttp alone: it asks nobody who they are, keeps nothing, and hands one frame to each transport. What is
to be published comes by standard input, a line for each event: `node` or `floor`, a blank, and the JSON of the event.

python -m ioint_node.bench.publishing HOME     # one line of JSON says where both listen; ends when its input does
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, cast

import msgspec
import uvloop
from aiohttp import web
from ioint_taxonomy import load_catalogue, load_taxonomy

from ioint_node.app import Node
from ioint_node.bench.place import opened
from ioint_node.reputation.gate import OwnRecord
from ioint_node.store import indicators, stream
from ioint_node.web.hub import chunk
from ioint_node.web.rows import silent_row

TLP: Final = "green"
LINE_BYTES: Final = 131_072


@asynccontextmanager
async def floor() -> AsyncIterator[tuple[str, Callable[[bytes], None]]]:
    """An aiohttp server whose streams are all given the same bytes, where it listens, and how to give them."""
    open_streams: set[asyncio.Transport] = set()

    async def follow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b": welcome\n\n")
        transport = request.transport
        if transport is not None:
            open_streams.add(transport)
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                open_streams.discard(transport)
        return response

    def give(body: bytes) -> None:
        payload = chunk(b"data: " + body + b"\n\n")
        for transport in tuple(open_streams):
            if transport.is_closing():
                open_streams.discard(transport)
            else:
                transport.write(payload)

    application = web.Application()
    application.router.add_get("/stream", follow)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1_024)
        await site.start()
        port = cast("tuple[str, int]", runner.addresses[0])[1]
        yield f"http://127.0.0.1:{port}/stream", give
    finally:
        await runner.cleanup()


async def make_indicator(node: Node) -> str:
    """Store one indicator for events to be about, and return its id."""
    catalogue, taxonomy = load_catalogue(), load_taxonomy()
    entry = catalogue.entries[min(catalogue.entries)]
    row = {
        **silent_row(entry, taxonomy, catalogue, OwnRecord()),
        "score": 90,
        "tlp": TLP,
        "last_seen": "2026-01-01",
        "first_reporter": "",
    }
    body = indicators.body_of(row, {"subject": entry.id})
    await node.store.write(lambda connection: indicators.upsert(connection, [(row, body)], _now()))
    return entry.id


async def publish(node: Node, body: bytes) -> None:
    """Commit one event as a flow does, and wake the hub."""
    told = msgspec.json.decode(body)
    await node.store.write(lambda connection: stream.append(connection, "reputation", told, TLP, _now()))
    node.hub.wake()


async def main(place: Path) -> None:
    """Serve, and publish what comes, until standard input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with opened(place, _now()) as node, floor() as (floor_url, give):
        found = {"url": node.url, "floor_url": floor_url, "pattern": await make_indicator(node)}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
        while line := await reader.readline():
            where, _, body = line.strip().partition(b" ")
            if where == b"floor":
                give(body)
            else:
                await publish(node, body)


def _now() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
