"""A node key is changed while the others run, and nobody is cut off."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ioint_node import voice
from ioint_node.app import Node, open_node
from ioint_node.config import load_keys, make_next_keys, read_run
from ioint_node.flows.roster import install, open_book
from ioint_node.store.engine import open_store
from ioint_protocol import Files, peer_id

pytestmark = [pytest.mark.network, pytest.mark.timeout(120)]
Until = Callable[..., Awaitable[Any]]


async def put_in_force(node: Node, files: Files) -> None:
    """Take over a roster as after a steward's command."""
    assert await install(node.store, node.book, files, time.time_ns() // 1_000_000)
    await node.network.roster_changed()


def speaks_as(node: Node, other: Node) -> bool:
    """Whether a node is connected with another under the key that its keys have now."""
    return other.keys.member in node.exchange.connected() and other.exchange.seed == other.keys.node_seed


async def test_a_running_member_hears_of_the_roster_that_names_its_new_node_key_and_goes_on_with_that(
    consortium: Any, until: Until
) -> None:
    async with consortium.running(0, 1, 2) as (first, second, third):
        home = second.config.home
        old = second.keys.node_public
        new = make_next_keys(home, "node").next_key("node")
        assert new is not None
        await put_in_force(first, consortium.name_next_node_key(1))

        async def settled() -> bool:
            renamed = second.keys.node_public == bytes(new.verify_key) != old
            return renamed and all(speaks_as(node, second) for node in (first, third))

        await until(settled)
        assert second.book.version == third.book.version == 2
        assert not (home / "keys" / "node-next.key").exists()
        run = read_run(second.config)
        assert run is not None
        assert run.peer_id == peer_id(bytes(new.verify_key)) == second.exchange.peer_id


async def test_a_member_that_was_away_finds_the_roster_that_names_its_new_node_key(
    consortium: Any, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice, "LONELY_S", 1.0)
    config = consortium.configs[1]
    make_next_keys(config.home, "node")
    async with consortium.running(0) as (first,):
        await put_in_force(first, consortium.name_next_node_key(1))
        async with open_node(config) as second:

            async def settled() -> bool:
                return second.book.version == 2 and speaks_as(first, second)

            await until(settled)
        assert not load_keys(config.home).next_seeds


async def test_a_node_that_was_killed_before_it_took_in_its_new_key_does_so_at_its_next_start(
    consortium: Any,
) -> None:
    config = consortium.configs[1]
    new = make_next_keys(config.home, "node").next_key("node")
    assert new is not None
    files = consortium.name_next_node_key(1)
    async with open_store(config.store_url) as store:
        await install(store, await open_book(store), files, time.time_ns() // 1_000_000)
    async with open_node(config) as node:
        assert node.exchange.seed == bytes(new)
        assert config.roster_file.exists()
