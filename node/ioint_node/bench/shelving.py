"""The server that `bench query` loads: a node with indicators, and beside it the floor with as many objects.

python -m ioint_node.bench.shelving HOME COUNT     # one line of JSON says where both listen; ends when its input does
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path

import uvloop

from ioint_node.bench.place import opened
from ioint_node.bench.shelves import fill_floor, fill_node, floor
from ioint_node.config import load_config


async def main(place: Path, count: int) -> None:
    """Fill both and serve until standard input ends."""
    database = place / "floor.db"
    # The node believes none of it: what is measured is what reads it, and nothing is concluded meanwhile.
    async with opened(place, time.time_ns() // 1_000_000) as node:
        held = Path(load_config(place).store_url.partition(":///")[2])
        await asyncio.to_thread(fill_node, held, count)
        await asyncio.to_thread(fill_floor, database, count)
        gc.collect()
        gc.freeze()
        async with floor(database) as floor_url:
            sys.stdout.write(json.dumps({"url": node.url, "floor_url": floor_url}) + "\n")
            sys.stdout.flush()
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), int(sys.argv[2])))
