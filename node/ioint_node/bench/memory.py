"""What an idle actor costs in memory.

    python -m ioint_node.bench.memory HOME ACTORS     # one line of JSON; a process of its own, where only this grows

One actor is made by the node itself, in a whole session that is closed; then as many are held, each made of what the
store would give back of that one, and the growth of the process is divided by their number.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import os
import sys
import time
from array import array
from copy import copy
from pathlib import Path
from typing import Any

import uvloop

from ioint_node.bench.place import opened
from ioint_node.bench.playing import play
from ioint_node.bench.workload import script
from ioint_node.flows.assess import close
from ioint_node.flows.live import LiveActor, LiveSessions


async def idle_actor(place: Path) -> LiveActor:
    """An actor after one whole session."""
    async with opened(place, _now()) as node:
        await play(node.assess, "memory", "memory", script(0))
        await close(node.assess, "memory", "done", _now())
        actor = node.assess.live.actor("memory")
        if actor is None:
            raise LookupError("the actor is not in memory")
        return actor


def again(actor: LiveActor, name: str) -> LiveActor:
    """The actor under another name, made of values of its own as those that come from the store."""
    fields = {
        field.name: _own(getattr(actor, field.name)) for field in dataclasses.fields(actor) if field.init
    }
    return LiveActor(**{**fields, "id": name})


def measure(actor: LiveActor, actors: int) -> dict[str, Any]:
    """Bytes per actor in this process when so many are held."""
    live = LiveSessions(actors=actors)
    gc.collect()
    before = resident_bytes()
    for number in range(actors):
        live.put_actor(again(actor, f"agent-{number:08d}"))
    gc.collect()
    grown = resident_bytes() - before
    return {"actors": actors, "bytes_per_actor": round(grown / actors)}


def resident_bytes() -> int:
    """How much memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _own(value: Any) -> Any:  # noqa: ANN401 - a field of any type
    if hasattr(value, "to_json") and hasattr(type(value), "from_json"):
        return type(value).from_json(json.loads(json.dumps(value.to_json())))
    return copy(value) if isinstance(value, array | dict | set) else value


def _now() -> int:
    return time.time_ns() // 1_000_000


async def main(place: Path, actors: int) -> None:
    """Measure and say."""
    actor = await idle_actor(place)
    sys.stdout.write(json.dumps(measure(actor, actors)) + "\n")


if __name__ == "__main__":
    if sys.platform == "linux":
        uvloop.run(main(Path(sys.argv[1]), int(sys.argv[2])))
    else:
        asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
