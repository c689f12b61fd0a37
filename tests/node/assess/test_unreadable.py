from __future__ import annotations

import logging

import pytest
from ioint_node.flows.live import LiveSessions
from ioint_node.store.actors import get_agent, list_agents
from sqlalchemy import text

from tests.node.assess.scripted import NOW, MakeNode

MADE_OF = {"model": "m-1", "prompt": "p-1", "tools": ["look"]}


@pytest.mark.parametrize(
    "spoiled", ["{", "[]", "null", '{"kind":"agent","v":9}', '{"kind":"agent","v":2}', "1"]
)
async def test_trust_that_cannot_be_read_keeps_nobody_else_from_working(
    make_node: MakeNode, caplog: pytest.LogCaptureFixture, spoiled: str
) -> None:
    node = make_node()
    await node.open("s1", actor="a 1", composition=MADE_OF)
    await node.open("s2", actor="a2", composition=MADE_OF)
    await node.act("look", session="s1")
    await node.flushed()
    spoil = text("update actors set trust = :spoiled where id = 'a 1'").bindparams(spoiled=spoiled)
    await node.parts.store.write(lambda connection: connection.execute(spoil))

    again = make_node(live=LiveSessions(10))
    newcomer = await again.open("s3", actor="a3", composition=MADE_OF)
    other = await again.act("look", 2, session="s2")
    await again.flushed()
    async with node.parts.store.read() as connection:
        listed = (await list_agents(connection, 10, now=NOW))["items"]
        shown = await get_agent(connection, "a 1", now=NOW)
    with caplog.at_level(logging.ERROR):
        own = await again.act("look", 2, session="s1")

    assert newcomer["session_id"] == "s3"
    assert other["allowed"]
    assert own["trust"]["lower"] <= other["trust"]["lower"]
    assert {one["id"]: one.get("unreadable") for one in listed} == {
        "a 1": True,
        "a2": None,
        "a3": None,
    }
    assert shown["unreadable"] is True
    assert [one.getMessage() for one in caplog.records if "trust_unreadable" in one.getMessage()] in (
        [],  # it was told less than a minute ago
        ["trust_unreadable actor='a 1': nothing is known of it"],
    )
