"""What the exchange does to a node, whole: nothing to its decisions, and proofs for whoever asks."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ioint_node.cli import main
from ioint_node.config.files import write_private
from ioint_node.flows.assess import act, open_session
from ioint_node.flows.requests import ActionRequest, OpenSession
from ioint_node.scoring.values import Declaration
from ioint_node.store import tokens

pytestmark = [pytest.mark.network, pytest.mark.timeout(120)]
Until = Callable[..., Awaitable[Any]]
DEATHS = 4
DECISIONS = 25


async def test_decisions_go_on_while_the_exchange_process_is_killed_again_and_again(
    consortium: Any, until: Until
) -> None:
    async with consortium.running(0) as (node,):
        opening = OpenSession(actor="a-1", declared=Declaration(text="answer questions"), session_id="s-1")
        await open_session(node.assess, opening, 1)
        decided = 0

        async def decide() -> None:
            nonlocal decided
            decided += 1
            request = ActionRequest(action_id=f"a-{decided}", tool="read_orders")
            answer = await act(node.assess, "s-1", request, 1 + decided)
            assert answer["action_id"] == f"a-{decided}"

        killed: set[int | None] = {None}

        async def another() -> int | None:
            listening = node.exchange.process_id
            return None if listening in killed else listening

        for _ in range(DEATHS):
            process = await until(another)
            killed.add(process)
            os.kill(process, signal.SIGKILL)
            for _ in range(DECISIONS):
                await decide()
                await asyncio.sleep(0)
            # Another process takes a while to start: all these were decided without one.
            assert await another() is None
        await until(another)
        assert node.exchange.restarts == DEATHS
        assert decided == DEATHS * DECISIONS


async def test_an_analyst_verifies_what_is_said_of_a_pattern_without_trusting_the_node(
    consortium: Any, client: Any, until: Until, play: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    async with consortium.running(0, 1) as (first, second):
        await play(await client(first, "engine"), "demo-08", agent="a-1", name="s-1")
        soc = await client(second, "soc")

        async def arrived() -> list[Any]:
            return [row async for row in soc.items("/api/v1/records", kind="report")]

        record = (await until(arrived))[0]
        made = await second.store.write(lambda c: tokens.create(c, "soc", None, "red", None))
        write_private(second.config.token_file, made.token.encode())
        command = ["indicators", "verify", record["subject"], "--home", str(second.config.home), "-o", "json"]
        assert await asyncio.to_thread(main, command) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["ok"]
        assert {row["author"] for row in told["items"]} == {first.keys.member}
        peers = ["peers", "--home", str(second.config.home), "-o", "json"]
        assert await asyncio.to_thread(main, peers) == 0
        (row,) = [
            row for row in json.loads(capsys.readouterr().out)["items"] if row["id"] == first.keys.member
        ]
        assert row["version"] == "1.0.0"
        assert row["connected_since"] is not None
        assert row["bytes_in"] > 0
