"""A node of its own to measure: a home in a temporary directory, opened here or served by a process of its own."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ioint_node.app import Node, open_node
from ioint_node.config import Config, load_config, make_keys, write_config
from ioint_node.errors import NodeError
from ioint_node.reputation.beliefs import Belief
from ioint_node.store import tokens
from ioint_node.store.engine import open_store
from ioint_node.store.migrate import upgrade

ROLES = ("web", "scorer", "jobs")
WARNED = 7  # of the catalogue's patterns, every so many-th has an effect
START_S = 60.0
STOP_S = 15.0


class BenchError(NodeError):
    """What was to be measured did not start or did not answer; the message says what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A node in a process of its own: where it listens, where the floors beside it listen, and an engine's token."""

    url: str
    floor_url: str
    guarded_url: str
    pid: int
    token: str


@contextmanager
def home() -> Iterator[Path]:
    """A directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="ioint-bench-") as root:
        yield Path(root)


async def make_node(place: Path) -> str:
    """Make a node that enforces in this directory and return an engine's token."""
    config = Config(home=place, org="bench", mode="enforce", web_port=0, exchange_port=0)
    write_config(config)
    make_keys(config.home)
    await upgrade(config.store_url)
    async with open_store(config.store_url) as store:
        made = await store.write(lambda connection: tokens.create(connection, "engine", None, "amber", None))
    return made.token


@asynccontextmanager
async def opened(place: Path, now: int) -> AsyncIterator[Node]:
    """The node of this directory, open in this process, with warnings of the network in force."""
    async with open_node(load_config(place), ROLES) as node:
        beliefs = node.assess.beliefs
        beliefs.apply(_warning(name) for name in list(node.assess.catalogue.entries)[::WARNED])
        beliefs.heard(now)
        yield node


@asynccontextmanager
async def served(place: Path, token: str) -> AsyncIterator[Served]:
    """The node of this directory, served by a process of its own beside its floor.

    Raises:
        BenchError: it did not start.
    """
    async with child("ioint_node.bench.serving", place) as (process, told):
        try:
            line = await asyncio.wait_for(told.readline(), START_S)
        except TimeoutError:
            raise BenchError(f"the server did not listen within {START_S:g} s") from None
        if not line:
            raise BenchError("the server ended before it listened: run `ioint doctor` on this machine")
        yield Served(**msgspec.json.decode(line), pid=process.pid, token=token)


@asynccontextmanager
async def child(
    module: str, place: Path
) -> AsyncIterator[tuple[asyncio.subprocess.Process, asyncio.StreamReader]]:
    """A module of ours in a process of its own, and what it prints; it ends when its input does.

    Raises:
        BenchError: its pipes are not there.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        str(place),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    if process.stdin is None or process.stdout is None:
        raise BenchError(f"the pipes of {module} are not there")
    try:
        yield process, process.stdout
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def _warning(pattern: str) -> Belief:
    return Belief(
        pattern=pattern, state="watched", tier="precautionary", effect=0.05, score=50, confidence=50, groups=1
    )
