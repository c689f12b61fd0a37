"""Real nodes in one process: each with its own home, keys, database and libp2p child, on loopback."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from ioint_node import network
from ioint_node.app import Node, open_node
from ioint_node.config import Config, load_keys, make_keys, write_config
from ioint_node.demo.cast import SHIPPED
from ioint_node.demo.client import Client
from ioint_node.demo.play import Playback, Played, read_recorded
from ioint_node.flows.roster import install, open_book
from ioint_node.membership import Terms, follow, found, next_version
from ioint_node.store import tokens
from ioint_node.store.engine import open_store
from ioint_node.store.migrate import upgrade
from ioint_protocol import Files, Member, RecordKey, Release, Ruling, Steward
from ioint_taxonomy import load_catalogue, load_taxonomy
from nacl.signing import SigningKey

WITHIN_S = 30.0


async def until(holds: Callable[[], Awaitable[Any]], within_s: float = WITHIN_S) -> Any:
    """Ask again until the answer is truthy; a bound, not a pause, decides when to give up."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not (found := await holds()):
        assert asyncio.get_running_loop().time() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)
    return found


class Consortium:
    """Homes of founders, from which nodes are started and stopped; `keys` are those of the only steward."""

    def __init__(self, configs: Sequence[Config], keys: tuple[SigningKey, SigningKey], files: Files) -> None:
        self.configs, self._keys, self._held = configs, keys, follow(None, files)

    def rule(self, *rulings: Ruling) -> Files:
        """A roster with these rulings."""
        return self._next(replace(Terms.of(self._held.roster), rulings=rulings))

    def name_next_node_key(self, which: int) -> Files:
        """A roster that names the node key which waits in a home."""
        new = load_keys(self.configs[which].home).next_key("node")
        assert new is not None
        terms = Terms.of(self._held.roster)
        own = load_keys(self.configs[which].home).member
        members = [replace(m, node_key=_public(new)) if m.id == own else m for m in terms.members]
        return self._next(replace(terms, members=tuple(members)))

    def _next(self, terms: Terms) -> Files:
        steward, clock = self._keys
        now = time.time_ns() // 1_000_000
        self._held = next_version(self._held, terms, [steward], clock, now)
        return self._held.files

    @asynccontextmanager
    async def running(self, *which: int) -> AsyncIterator[list[Node]]:
        """The nodes with these numbers, all of them connected with one another."""
        async with AsyncExitStack() as stack:
            nodes = [await stack.enter_async_context(open_node(self.configs[index])) for index in which]

            async def connected() -> bool:
                return all(len(node.exchange.connected()) >= len(nodes) - 1 for node in nodes)

            await until(connected)
            yield nodes


@pytest.fixture
async def consortium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Consortium:
    # Most stories need two of the five: nobody waits for the others.
    monkeypatch.setattr(network, "MEET_S", 0.0)
    configs = [_home(tmp_path / f"org{index}", f"org{index}") for index in range(1, 6)]
    members = [_member(config) for config in configs]
    steward, clock, now = SigningKey.generate(), SigningKey.generate(), time.time_ns() // 1_000_000
    terms = Terms(
        members=tuple(members),
        council=(Steward(member=members[0].id, steward_key=_public(steward), clock_key=_public(clock)),),
        threshold=1,
        taxonomy=Release(version=load_taxonomy().version, digest=load_taxonomy().digest),
        catalogue=load_catalogue().digest,
    )
    files = found(terms, [steward], clock, now).files
    for config in configs:
        await upgrade(config.store_url)
        async with open_store(config.store_url) as store:
            await install(store, await open_book(store), files, now)
    return Consortium(configs, (steward, clock), files)


@pytest.fixture
async def client() -> AsyncIterator[Callable[[Node, str], Awaitable[Client]]]:
    """Makes a client of a node with a new token of a role."""
    async with aiohttp.ClientSession() as http:

        async def make(node: Node, role: str) -> Client:
            made = await node.store.write(
                lambda connection: tokens.create(connection, role, None, "red", None)
            )
            return Client(http, node.url, made.token)

        yield make


@pytest.fixture(name="until")
def until_fixture() -> Callable[..., Awaitable[Any]]:
    return until


@pytest.fixture
def play() -> Callable[..., Awaitable[list[Played]]]:
    """Replays one of the demo's sessions at a node, as another agent in another session."""

    async def replay(client: Client, session_id: str, *, agent: str, name: str) -> list[Played]:
        recorded = next(each for each in read_recorded(SHIPPED) if each.session_id == session_id)
        playback = Playback(client, recorded, agent=agent, session_id=name)
        await playback.open()
        played = []
        while (step := await playback.step()) is not None:
            played.append(step)
        await playback.close()
        return played

    return replay


def _public(key: SigningKey) -> str:
    return bytes(key.verify_key).hex()


def _home(home: Path, org: str) -> Config:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    config = Config(home=home, org=org, publish="catalogue", web_port=0, exchange_port=port)
    write_config(config)
    make_keys(home)
    return config


def _member(config: Config) -> Member:
    keys = load_keys(config.home)
    return Member(
        id=keys.member,
        name=config.org,
        node_key=keys.node_public.hex(),
        record_keys=(RecordKey(key=keys.record_public.hex()),),
        group=config.group,
        since=1,
        addresses=(f"/ip4/127.0.0.1/tcp/{config.exchange_port}",),
    )
