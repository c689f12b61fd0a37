"""Who is halted, in memory and on disk, whatever comes between whatever; and what an answer waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ioint_node.errors import BusyError, ConflictError, NotFoundError
from ioint_node.flows import holding, respond
from ioint_node.flows.journal import Journal
from ioint_node.flows.respond import RespondParts
from ioint_node.store import engine, responses
from sqlalchemy import text

from tests.node.assess.scripted import NOW, MakeNode, Node
from tests.node.assess.test_journal import no_room

BY = "token:x"
NUMBERS = count()
MOVES = ("suspend", "relaunch", "kill", "release", "interrupt", "report", "act", "act", "pause", "flush")


def responding(node: Node) -> RespondParts:
    parts = node.parts
    return RespondParts(
        store=parts.store, notify=parts.notify, mode="enforce", halted=parts.halted, holds=parts.holds
    )


async def order(node: Node, action: str, actor: str = "a1", now: int = NOW) -> dict[str, Any]:
    return await respond.respond(responding(node), actor, action, reason="", by=BY, now=now)


async def on_disk(node: Node, sql: str) -> list[Any]:
    """A column of what is on disk at this moment: nothing is waited for."""
    async with node.parts.store.read() as connection:
        return list((await connection.execute(text(sql))).scalars())


async def both(node: Node, actor: str = "a1") -> tuple[str, str]:
    """How an actor stands in memory and on disk, once all is written."""
    await node.flushed()
    async with node.parts.store.read() as connection:
        halt = await responses.halted(connection, actor)
    return node.parts.halted.state_of(actor), responses.ACTIVE if halt is None else halt.state


@pytest.mark.parametrize(
    ("first", "second", "state"),
    [("release", "suspend", "suspended"), ("release", "kill", "killed"), ("kill", "release", "active")],
)
async def test_of_two_orders_at_once_the_later_counts_in_memory_and_on_disk(
    make_node: MakeNode, first: str, second: str, state: str
) -> None:
    node = make_node(mode="enforce")
    await node.open()
    await order(node, "suspend")
    await asyncio.gather(order(node, first), order(node, second))

    assert await both(node) == (state, state)


@given(st.booleans(), st.lists(st.sampled_from(MOVES), max_size=12))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_memory_and_disk_agree_after_orders_and_actions_in_any_order(
    make_node: MakeNode,
    halted: bool,
    moves: list[str],
) -> None:
    node, actor = make_node(mode="enforce"), f"a{next(NUMBERS)}"
    await node.open(actor, actor=actor)
    if halted:
        await order(node, "suspend", actor)
    started: list[asyncio.Task[Any]] = []

    async def report(now: int) -> None:
        async with node.parts.store.read() as connection:
            asked = await responses.newest(connection, actor, 1)
        for one in asked:
            told: dict[str, Any] = {"done": True, "detail": "", "by": BY, "now": now}
            await respond.report(responding(node), actor, one.id, **told)

    def start(move: str, number: int) -> Awaitable[Any]:
        now = NOW + number
        if move == "act":
            return node.act("out", number, session=actor, now=now)
        return report(now) if move == "report" else order(node, move, actor, now)

    for number, move in enumerate(moves):
        if move == "flush":
            await node.flushed()
        elif move == "pause":
            await asyncio.sleep(0)
        else:
            started.append(asyncio.ensure_future(start(move, number)))
    ended = await asyncio.gather(*started, return_exceptions=True)
    memory, disk = await both(node, actor)

    assert all(isinstance(one, dict | ConflictError | NotFoundError | None) for one in ended)
    assert memory == disk


async def test_a_decision_after_an_order_was_given_and_before_it_is_written_stands(
    make_node: MakeNode,
) -> None:
    node = make_node(mode="enforce")
    await node.open()
    await order(node, "suspend")
    released = asyncio.ensure_future(order(node, "release"))
    await asyncio.sleep(0)
    node.parts.halted.expect("a1", "killed")  # a decision says so, and its write comes later
    await released

    assert node.parts.halted.state_of("a1") == "killed"
    node.parts.halted.arrived("a1", "killed", written=False)
    assert await both(node) == ("active", "active")


@pytest.mark.parametrize("action", ["suspend", "release"])
async def test_an_order_that_does_not_reach_the_disk_changes_nothing(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    node = make_node(mode="enforce")
    await node.open()
    if action == "release":
        await order(node, "kill")
    before = await both(node)
    monkeypatch.setattr(engine, "_run_job", no_room)
    with pytest.raises(BusyError, match="disk is full"):
        await order(node, action)

    assert node.parts.halted.state_of("a1") == before[0] == before[1]


async def test_who_orders_and_goes_is_obeyed_all_the_same(make_node: MakeNode) -> None:
    node = make_node(mode="enforce")
    await node.open()
    asked = asyncio.ensure_future(order(node, "kill"))
    await asyncio.sleep(0)
    asked.cancel()

    assert await both(node) == ("killed", "killed")


async def test_a_halt_that_is_not_written_is_none(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = make_node(mode="enforce")
    await node.open()
    await node.act("out", 1)
    await node.act("out", 2)
    await node.flushed()
    monkeypatch.setattr(engine, "_run_job", no_room)
    halting = asyncio.ensure_future(node.act("out", 3))
    await asyncio.sleep(0)
    assert node.parts.halted.state_of("a1") == "suspended"
    with pytest.raises(BusyError, match="disk is full"):
        await halting

    assert node.parts.halted.state_of("a1") == "active"
    assert await on_disk(node, "select state from actor_states") == []


async def test_a_decision_of_a_moment_ago_counts_for_the_order_that_follows(make_node: MakeNode) -> None:
    node = make_node(mode="enforce")
    await node.open()
    await node.act("out", 1)
    await node.act("out", 2)
    halting = asyncio.ensure_future(node.act("out", 3))
    await asyncio.sleep(0)
    told = await order(node, "release")

    assert (await halting)["response"] == "suspend"
    assert (told["before"], told["state"]) == ("suspended", "active")
    assert await both(node) == ("active", "active")


async def test_a_halt_for_which_there_is_no_room_to_wait_is_none(make_node: MakeNode) -> None:
    node = make_node(mode="enforce", journal=Journal(entries=2))
    await node.open()
    await node.flushed()
    await node.act("out", 1)
    await node.act("look", 2)
    with pytest.raises(BusyError, match="try again later"):
        await node.act("out", 3)

    assert await both(node) == ("active", "active")


async def test_who_is_told_of_a_halt_finds_it_on_disk(make_node: MakeNode) -> None:
    node = make_node(mode="enforce")
    await node.open()
    answers: list[str] = []
    while not answers or answers[-1] in ("none", "approve"):
        answers.append((await node.act("out", len(answers)))["response"])

    assert answers[-1] == "suspend"
    assert await on_disk(node, "select state from actor_states") == ["suspended"]


@pytest.mark.parametrize("asked_twice", [False, True])
async def test_a_used_approval_is_used_on_disk_before_anybody_hears_of_it(
    make_node: MakeNode, *, asked_twice: bool
) -> None:
    node = make_node(mode="enforce")
    await node.open()
    held = (await node.act("edge", 1, durable=True))["approval"]["id"]
    await holding.decide_action(responding(node), held, approve=True, by=BY, now=NOW)
    used = asyncio.ensure_future(node.act("edge", 2))
    if asked_twice:
        await asyncio.sleep(0)
        answer = await node.act("edge", 2)
    else:
        answer = await used
    states = await on_disk(node, "select state from held_actions")

    assert (answer["allowed"], answer["approval"]["state"]) == (True, "used")
    assert states == ["used"]
    assert await used == answer


async def test_after_writes_have_failed_answers_wait_until_one_has_reached_the_disk(node: Node) -> None:
    await node.open()
    await node.flushed()
    node.parts.store.doubted = True
    await node.act("look", 1)
    known = await on_disk(node, "select action_id from decisions")
    await node.act("look", 2)

    assert known == ["c1"]
    assert not node.parts.store.doubted
    assert await on_disk(node, "select action_id from decisions") == ["c1"]


def test_a_milder_halt_on_its_way_loosens_nothing() -> None:
    halted = responses.Halted({"a1": "relaunch"})
    halted.expect("a1", "suspended")
    halted.expect("a1", "killed")
    seen = [halted.state_of("a1")]
    for state, written in (("suspended", True), ("killed", False)):
        halted.arrived("a1", state, written=written)
        seen.append(halted.state_of("a1"))

    assert seen == ["killed", "killed", "relaunch"]
