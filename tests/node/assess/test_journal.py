from __future__ import annotations

import asyncio
import sqlite3

import pytest
from ioint_node.errors import BusyError
from ioint_node.flows.journal import Journal
from ioint_node.flows.live import LiveSessions
from ioint_node.store import engine
from sqlalchemy.exc import IntegrityError, OperationalError

from tests.node.assess.scripted import NOW, MakeNode, Node


async def test_decisions_made_together_are_written_together(node: Node) -> None:
    await node.open()
    for number in range(50):
        await node.act("look", number)
    live = node.parts.live.get("s1")
    assert live is not None
    first = live.written
    await node.act("look", 50)

    assert live.written is first
    assert len(await node.rows("select * from decisions")) == 51


async def test_too_many_waiting_decisions_are_refused_and_decided_anew_later(make_node: MakeNode) -> None:
    node = make_node(journal=Journal(entries=2))
    await node.open()
    await node.act("out", 1)
    with pytest.raises(BusyError, match="try again later"):
        await node.act("out", 2)
    await node.flushed()
    await node.act("out", 2, durable=True)
    live = node.parts.live.get("s1")

    assert live is not None
    assert (live.actions, live.departures) == (2, 2)
    assert len(await node.rows("select * from decisions")) == 2


async def test_what_was_refused_is_never_rebuilt_from_a_disk_that_lags(make_node: MakeNode) -> None:
    node = make_node(journal=Journal(entries=3))
    await node.open()
    await node.act("out", 1)
    await node.act("out", 2)
    with pytest.raises(BusyError):
        await node.act("out", 3)
    # Nothing has been awaited in between: the first two are still on their way to the disk.
    decision = await node.act("out", 3)
    live = node.parts.live.get("s1")

    assert live is not None
    assert live.departures == 3
    assert decision["response"] == "suspend"


async def test_one_session_is_rebuilt_once_for_many_who_ask(make_node: MakeNode) -> None:
    node = make_node()
    await node.open()
    await node.flushed()
    again = make_node(live=LiveSessions(10))
    decisions = await asyncio.gather(*(again.act("look", number) for number in range(20)))
    live = again.parts.live.get("s1")

    assert len({decision["decision_id"] for decision in decisions}) == 20
    assert live is not None
    assert live.actions == 20


async def test_sessions_of_one_actor_share_its_trust_however_few_fit_into_memory(make_node: MakeNode) -> None:
    node = make_node(live=LiveSessions(1, actors=1))
    for number in range(3):
        await node.open(f"s{number}")
        await node.open(f"x{number}", actor=f"b{number}", now=NOW)
    first = await node.act("out", session="s0")
    second = await node.act("look", session="s1")

    assert second["trust"]["lower"] == first["trust"]["lower"]


async def no_room(*_arguments: object, **_how: object) -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise OperationalError("insert", None, error)


async def test_on_a_full_disk_whoever_waits_hears_busy_and_then_everybody_does(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.open()
    await node.flushed()
    monkeypatch.setattr(engine, "_run_job", no_room)
    await node.act("look", 1)  # answered before anybody could know
    with pytest.raises(BusyError, match="disk is full"):
        await node.act("look", 2, durable=True)
    assert node.parts.live.get("s1") is None
    assert node.parts.journal.failed == 2
    monkeypatch.undo()
    # The disk has room again, and the store has not tried yet.
    with pytest.raises(BusyError, match="disk is full"):
        await node.act("look", 3)


async def test_a_full_disk_met_while_others_are_told_takes_the_decisions_with_it_and_says_so(
    make_node: MakeNode,
) -> None:
    node = make_node(on_risky=no_room)
    await node.open()
    with pytest.raises(BusyError, match="disk is full"):
        await node.act("match", durable=True)
    assert node.parts.store.failing is not None


async def test_writes_that_fail_are_logged_seldom_in_one_line_without_what_agents_said(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    await node.open()
    await node.flushed()
    refusal = "create trigger t before insert on decisions begin select raise(abort, 'not this one'); end"
    await node.parts.store.write(lambda c: c.exec_driver_sql(refusal))
    for number in range(3):
        with pytest.raises(IntegrityError, match="not this one") as caught:
            await node.act("look", number, durable=True, arguments={"secret": "canary-7391"})
        assert "canary-7391" not in str(caught.value)
    (record,) = caplog.records
    assert record.getMessage() == "session_write_failed lost=1 error=IntegrityError: not this one"
    assert record.exc_info is None
    assert node.parts.journal.failed == 3
    assert node.parts.store.failing is None


async def test_whoever_waits_until_it_is_settled_reads_what_was_answered(node: Node) -> None:
    await node.parts.journal.settled()
    await node.open()
    await node.act("look", 1)
    await node.parts.journal.settled()

    assert len(await node.rows("select * from decisions")) == 1


async def test_a_write_that_fails_or_never_ends_is_nothing_to_whoever_waits(make_node: MakeNode) -> None:
    node = make_node()
    await node.open()
    live = node.parts.live.get("s1")
    assert live is not None
    assert live.written is not None
    await node.parts.journal.settled(timeout_s=0.0)
    live.written.cancel()
    await node.parts.journal.settled()
