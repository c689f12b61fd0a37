"""Whom a session is about, and which sessions a person's answer makes benign."""

from __future__ import annotations

from typing import Any

from ioint_node.flows.assess import Feedback, close, feedback
from ioint_node.flows.surrounding import Newcomer, import_actors

from tests.node.assess.scripted import NOW, Node


async def principals(node: Node) -> dict[str, str]:
    rows = await node.rows("select id, principal from sessions")
    return {row["id"]: row["principal"] for row in rows}


async def owned(node: Node, actor: str, owner: str) -> None:
    row = Newcomer(id=actor, kind="agent", role="service", tenure_days=10, attestation="none", owner=owner)
    await import_actors(node.parts, [row], NOW)


async def test_agents_of_one_user_are_one_person(node: Node) -> None:
    await node.open("s1", actor="a1", on_behalf_of="alice")
    await node.open("s2", actor="a2", on_behalf_of="alice")
    assert len(set((await principals(node)).values())) == 1


async def test_the_owner_of_the_import_stands_for_an_agent_without_a_user(node: Node) -> None:
    for actor in ("a1", "a2"):
        await owned(node, actor, "payroll team")
        await node.open(f"s-{actor}", actor=actor)
    assert len(set((await principals(node)).values())) == 1


async def test_agents_without_user_and_owner_are_one_unknown_person(node: Node) -> None:
    await node.open("s1", actor="a1")
    await node.open("s2", actor="a2")
    assert len(set((await principals(node)).values())) == 1


async def test_what_is_delegated_is_about_whom_the_first_session_is_about(node: Node) -> None:
    await node.open("s1", actor="a1", on_behalf_of="alice")
    parent: dict[str, Any] = {"session_id": "s1", "action_id": "c1"}
    await node.open("s2", actor="a2", on_behalf_of="bob", parent=parent)
    await node.open("s3", actor="a3", parent={"session_id": "s2", "action_id": "c1"})
    assert len(set((await principals(node)).values())) == 1


async def test_sessions_of_unknown_origin_are_one_person_together(node: Node) -> None:
    for number in range(3):
        parent = {"session_id": f"unknown-{number}", "action_id": "c1"}
        await node.open(f"s{number}", actor=f"a{number}", on_behalf_of=f"user-{number}", parent=parent)
    assert len(set((await principals(node)).values())) == 1


async def test_an_agent_does_not_become_five_people_by_saying_so(node: Node) -> None:
    for number in range(5):
        await node.open(f"s{number}", actor="a1", on_behalf_of=f"user-{number}", by_actor=True)
    assert len(set((await principals(node)).values())) == 1


async def test_an_agent_does_not_become_five_people_by_naming_their_sessions_as_its_parents(
    node: Node,
) -> None:
    for number in range(5):
        await node.open(f"user-{number}", actor=f"helper-{number}", on_behalf_of=f"user-{number}")
        parent = {"session_id": f"user-{number}", "action_id": "c1"}
        await node.open(f"s{number}", actor="a1", parent=parent, by_actor=True)
    found = await principals(node)
    assert len({found[f"s{number}"] for number in range(5)}) == 1


async def test_a_match_is_noted_with_whom_it_is_about(node: Node) -> None:
    await node.open("s1", actor="a1", on_behalf_of="alice")
    await node.act("match")
    (row,) = await node.rows("select principal from matches")
    assert row["principal"] == (await principals(node))["s1"]


async def answered(node: Node, action: str, **said: Any) -> None:
    await feedback(
        node.parts, "s1", Feedback(kind="override", positive=True, action_id=action), NOW, by="t", **said
    )


async def test_a_session_is_benign_when_a_person_answered_for_all_that_was_out_of_scope(node: Node) -> None:
    await node.open()
    await node.act("clear", 1)
    await answered(node, "c1", by_person=True)
    await close(node.parts, "s1", "done", NOW)
    (row,) = await node.rows("select cleared from sessions")
    (day,) = await node.rows("select judged, flagged from session_days")
    assert (row["cleared"], day) == (1, {"judged": 1, "flagged": 0})


async def test_one_answer_does_not_make_a_session_with_two_departures_benign(node: Node) -> None:
    await node.open()
    await node.act("clear", 1)
    await node.act("out", 2)
    await answered(node, "c1", by_person=True)
    await close(node.parts, "s1", "done", NOW)
    assert (await node.rows("select cleared from sessions"))[0]["cleared"] == 0


async def test_an_answer_after_the_end_makes_it_benign_as_well(node: Node) -> None:
    await node.open()
    await node.act("clear", 1)
    await close(node.parts, "s1", "done", NOW)
    await answered(node, "c1", by_person=True)
    (row,) = await node.rows("select cleared from sessions")
    (day,) = await node.rows("select judged, flagged from session_days")
    assert (row["cleared"], day) == (1, {"judged": 1, "flagged": 0})


async def test_what_an_engine_says_makes_no_session_benign(node: Node) -> None:
    await node.open()
    await node.act("clear", 1)
    await answered(node, "c1")
    await close(node.parts, "s1", "done", NOW)
    assert (await node.rows("select cleared from sessions"))[0]["cleared"] == 0


async def test_own_history_raises_the_threshold_and_never_lowers_it(node: Node) -> None:
    shipped = node.parts.model.thresholds.publish
    node.parts.confirming.own = 0.1
    assert node.parts.confirming.threshold(shipped) == shipped
    node.parts.confirming.own = 2.0
    await node.open()
    await node.act("match")
    await node.act("clear", 2)
    await node.flushed()
    assert [one.confirmed for one in node.sightings] == [False, False]


async def test_own_benign_sessions_are_counted_from_the_store(node: Node) -> None:
    await node.open()
    await node.act("look")
    await close(node.parts, "s1", "done", NOW)
    await node.flushed()
    await node.parts.confirming.refresh(node.parts.store, NOW)
    assert (node.parts.confirming.judged, node.parts.confirming.own) == (1, 0.0)
