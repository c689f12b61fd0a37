"""A report is taken back, or ruled false: whoever acted on it hears of that, at every member."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ioint_node.app import Node
from ioint_node.demo.client import Client
from ioint_node.flows.roster import install, open_book
from ioint_node.store.engine import open_store
from ioint_node.store.times import day_of
from ioint_protocol import Files, Ruling

from tests.house.test_measurements_files import script

pytestmark = [pytest.mark.network, pytest.mark.timeout(120)]


async def test_a_withdrawal_reaches_every_kind_of_consumer_of_another_member(consortium: Any) -> None:
    withdrawal = script("withdrawal")
    async with consortium.running(0, 1) as (author, reader):
        (told,) = await withdrawal.measure(author, reader, 1)
    assert set(told) == {"sse", "webhook", "taxii", "export"}


async def installed_by_a_command(node: Node, files: Files) -> None:
    """Put a roster into a home as `ioint consortium sign` does, beside the running node."""
    async with open_store(node.config.store_url) as store:
        await install(store, await open_book(store), files, time.time_ns() // 1_000_000)


async def test_a_ruling_that_one_steward_installs_is_concluded_from_at_all_members(
    consortium: Any,
    client: Callable[[Node, str], Awaitable[Client]],
    until: Callable[..., Awaitable[Any]],
    play: Callable[..., Awaitable[Any]],
) -> None:
    async with consortium.running(0, 1) as (author, reader):
        await play(await client(author, "engine"), "demo-08", agent="a-1", name="s-1")
        soc = await client(reader, "soc")

        async def reports() -> list[Any]:
            return [row async for row in soc.items("/api/v1/records", kind="report")]

        told = await until(reports)
        today = day_of(time.time_ns() // 1_000_000)
        rulings = [Ruling(kind="false", author=row["author"], of=row["id"], day=today) for row in told]
        await installed_by_a_command(author, consortium.rule(*rulings))
        await author.network.look_for_roster()

        async def revoked() -> bool:
            rows = [row async for row in soc.items("/api/v1/indicators")]
            return bool(rows) and all(row["revoked"] for row in rows)

        await until(revoked)
        members = (await soc.get("/api/v1/members"))["items"]
        lowered = {row["id"]: row["standing"] for row in members if row["standing"] < 1}
        assert lowered == {author.keys.member: 0.5 ** len(rulings)}
