"""The server that `bench` loads: a node, and beside it in the same process the least that the same server can do.

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

from ioint_node.bench.place import opened


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


async def main(place: Path) -> None:
    """Serve until standard input ends."""
    async with opened(place, time.time_ns() // 1_000_000) as node, floor() as floor_url:
        sys.stdout.write(json.dumps({"url": node.url, "floor_url": floor_url}) + "\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
