"""Orders for the hostile member, which is a process on mallory's host (`hostile.py`)."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from ioint_node.config import load_keys
from ioint_protocol.keys import peer_id

from tests.hosts.consortium import ROOT, Host
from tests.hosts.netns import EXCHANGE_PORT, own_address

ORDER_S: Final = 60.0


def target(host: Host) -> str:
    """Where the exchange of a host listens, past every relay."""
    peer = peer_id(load_keys(host.home).node_public)
    return f"/ip4/{own_address(host.number)}/tcp/{EXCHANGE_PORT}/p2p/{peer}"


class Mallory:
    """The process; it does one thing after the other."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def does(self, case: str, victim: Host, **more: Any) -> Any:
        """Do it, and return what came of it."""
        outcome = await self.tries(case, victim, **more)
        assert not str(outcome).startswith("failed"), f"{case}: {outcome}"
        return outcome

    async def tries(self, case: str, victim: Host, **more: Any) -> Any:
        """Do it, and return what came of it, or a text that begins with `failed` where it could not be done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"case": case, "victim": target(victim), **more}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        async with asyncio.timeout(ORDER_S):
            line = await self._process.stdout.readline()
        return json.loads(line)["outcome"]


@asynccontextmanager
async def mallory_at(host: Host, consortium: str) -> AsyncIterator[Mallory]:
    """The hostile process with this host's keys; `consortium` is the id that signatures name."""
    process = await asyncio.create_subprocess_exec(
        *host.space.inside(sys.executable, "-m", "tests.hosts.hostile", str(host.home), consortium),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=ROOT,
    )
    try:
        yield Mallory(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode is None:
            process.kill()
        await process.wait()
