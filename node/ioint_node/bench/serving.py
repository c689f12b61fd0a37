"""The server that `bench` loads: a node, and beside it in the same process the least that the same server can do.

There are two such floors: aiohttp alone, which asks nobody who they are, and the node's own guard (token, rights,
errors, counts, bounds of a connection) around a route that reads its body and does nothing.

python -m ioint_node.bench.serving HOME     # one line of JSON says where both listen; ends when its input does
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import uvloop
from aiohttp import web

from ioint_node.app import Node
from ioint_node.bench.place import opened
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.app import guard, serve, site_of
from ioint_node.web.site import Route, Site, WebParts


@asynccontextmanager
async def floor() -> AsyncIterator[str]:
    """An aiohttp server that reads a body and answers nothing, on a free port of this machine."""

    async def empty(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=b"{}", content_type="application/json")

    application = web.Application()
    application.router.add_post("/empty", empty)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = cast("tuple[str, int]", runner.addresses[0])[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def guarded_floor(node: Node) -> AsyncIterator[str]:
    """The same behind the guard of this node, on a free port of this machine."""
    parts = WebParts(
        store=node.store,
        assess=node.assess,
        exchange=node.parts,
        hub=node.hub,
        peers_status=node.exchange.status,
        version="",
        org=node.config.org,
    )
    route = Route(method="POST", path="/empty", may="act", summary="Do nothing", handler=_empty)
    async with serve(guard(site_of(parts), [route]), "127.0.0.1", 0, parts) as url:
        yield url


async def _empty(_site: Site, request: web.Request, _caller: Caller) -> web.Response:
    await request.read()
    return json_answer({})


async def main(place: Path) -> None:
    """Serve until standard input ends."""
    async with (
        opened(place, time.time_ns() // 1_000_000) as node,
        floor() as floor_url,
        guarded_floor(node) as guarded_url,
    ):
        found = {"url": node.url, "floor_url": floor_url, "guarded_url": guarded_url}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
