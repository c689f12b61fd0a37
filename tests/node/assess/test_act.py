from __future__ import annotations

import json
from typing import Any

import pytest
from ioint_node.errors import ConflictError, NotFoundError, RequestError, TooLargeError
from ioint_node.flows.assess import (
    ActionRequest,
    LocalSighting,
    SessionLimits,
    act,
    close,
    declare,
)
from ioint_node.flows.live import NOVEL_KEPT, LiveSessions
from ioint_node.flows.paths import path_of
from ioint_node.scoring.values import Declaration
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.node.assess.scripted import NOW, PATTERN, TRUST_KEYS, MakeNode, Node, believe

DECISION_KEYS = [
    "decision_id", "action_id", "verdict", "drift", "wis", "response", "allowed", "mode", "step", "reasons",
    "intents", "alternative", "trust", "network", "cache_ttl_s", "budget", "approval", "warnings",
]  # fmt: skip


async def test_a_decision_has_the_fields_of_the_contract(node: Node) -> None:
    await node.open()
    decision = await node.act("look")

    assert list(decision) == DECISION_KEYS
    assert list(decision["trust"]) == TRUST_KEYS
    assert list(decision["network"]) == ["effect", "tier", "patterns", "age_s", "without", "off"]
    assert list(decision["step"]) == [
        "verb", "resource", "sensitivity", "boundary", "provenance", "flow", "confidence",
    ]  # fmt: skip
    assert (decision["verdict"], decision["response"], decision["allowed"]) == ("in_scope", "none", True)
    assert decision["cache_ttl_s"] > 0


async def test_the_same_action_again_gets_the_same_answer(node: Node) -> None:
    await node.open()
    first = await node.act("out", now=NOW)
    again = await node.act("out", now=NOW + 5_000)

    assert json.dumps(first) == json.dumps(again)
    assert len(await node.rows("select * from decisions")) == 1


async def test_the_same_action_after_a_restart_gets_the_same_answer(node: Node, make_node: MakeNode) -> None:
    await node.open()
    first = await node.act("edge", durable=True)
    again = await make_node().act("edge")

    assert json.dumps(first) == json.dumps(again)


async def test_an_answer_that_fell_out_of_memory_is_read_from_the_disk(node: Node) -> None:
    await node.open()
    first = await node.act("look", 0)
    for number in range(1, 70):
        await node.act("look", number)

    assert json.dumps(await node.act("look", 0)) == json.dumps(first)


async def test_another_body_under_the_same_id_is_a_conflict(node: Node) -> None:
    await node.open()
    await node.act("look", arguments={"path": "a"})

    with pytest.raises(ConflictError, match="action_id"):
        await node.act("look", arguments={"path": "b"})


async def test_the_order_of_arguments_makes_no_other_body(node: Node) -> None:
    await node.open()
    first = await node.act("look", arguments={"a": 1, "b": 2})

    assert await node.act("look", arguments={"b": 2, "a": 1}) == first


async def test_a_durable_answer_is_on_disk(node: Node) -> None:
    await node.open()
    decision = await node.act("look", durable=True)
    async with node.parts.store.read() as connection:
        body = (await connection.execute(text("select body from decisions"))).scalar_one()

    assert json.loads(body) == decision


async def test_an_unknown_session_is_not_found(node: Node) -> None:
    with pytest.raises(NotFoundError):
        await node.act("look")


async def test_a_closed_session_takes_no_action_but_repeats_its_answers(node: Node) -> None:
    await node.open()
    first = await node.act("look")
    await close(node.parts, "s1", "done", NOW)

    assert await node.act("look") == first
    with pytest.raises(ConflictError, match="closed"):
        await node.act("look", 2)


@pytest.mark.parametrize(
    ("given", "error", "field"),
    [
        ({"tool": ""}, RequestError, "tool"),
        ({"tool": "x" * 257}, RequestError, "tool"),
        ({"server": "\n"}, RequestError, "server"),
        ({"t": float("nan")}, RequestError, "t"),
        ({"arguments": {"a": object()}}, RequestError, "arguments"),
        ({"arguments": {"a": "x" * 70_000}}, TooLargeError, "arguments"),
        ({"action_id": "with space"}, RequestError, "action_id"),
        ({"action_id": "x" * 129}, RequestError, "action_id"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(
    node: Node, given: dict[str, Any], error: type[Exception], field: str
) -> None:
    await node.open()
    request = ActionRequest(**{"action_id": "c1", "tool": "look", **given})

    with pytest.raises(error, match=f"^{field}:"):
        await act(node.parts, "s1", request, NOW)


async def test_a_session_has_a_bound_of_actions(make_node: MakeNode) -> None:
    node = make_node(limits=SessionLimits(actions=2))
    await node.open()
    await node.act("look", 1)
    await node.act("look", 2)

    with pytest.raises(TooLargeError, match="2 actions"):
        await node.act("look", 3)


async def test_enforcing_blocks_what_is_out_of_scope_and_observing_only_says_so(make_node: MakeNode) -> None:
    enforcing, observing = make_node(mode="enforce"), make_node()
    await enforcing.open("s1")
    await observing.open("s2")
    blocked, seen = await enforcing.act("out"), await observing.act("out", session="s2")

    assert (blocked["allowed"], blocked["response"], blocked["mode"]) == (False, "approve", "enforce")
    assert (seen["allowed"], seen["response"], seen["mode"]) == (True, "approve", "observe")


async def test_what_was_told_afterwards_is_observed_where_all_else_is_enforced(make_node: MakeNode) -> None:
    node = make_node(mode="enforce")
    await node.open()
    before = await node.act("look", 1)
    told = await node.act("out", 2, told=True)

    assert (told["allowed"], told["response"], told["mode"]) == (True, "approve", "observe")
    assert told["trust"]["lower"] < before["trust"]["lower"]
    assert await node.rows("SELECT * FROM held_actions") == []


async def test_an_unknown_tool_that_may_change_something_is_told_and_allowed(make_node: MakeNode) -> None:
    node = make_node(mode="enforce")
    await node.open()
    node.seasoned()
    decision = await node.act("odd")

    assert (decision["verdict"], decision["response"], decision["allowed"]) == ("in_scope", "notify", True)
    assert "uncertain_mapping" in [reason["code"] for reason in decision["reasons"]]


async def test_what_a_new_actor_would_change_waits_for_a_person(make_node: MakeNode) -> None:
    node = make_node(mode="enforce")
    await node.open()
    looked = await node.act("look", 1)
    changed = await node.act("create", 2)

    assert (looked["response"], looked["allowed"]) == ("none", True)
    assert (changed["verdict"], changed["response"], changed["allowed"]) == ("in_scope", "approve", False)
    assert changed["approval"]["state"] == "waiting"


async def test_a_departure_lowers_trust_at_once_and_engines_hear_of_it(node: Node) -> None:
    opened = await node.open()
    decision = await node.act("out")
    rows = await node.rows("select event, body from stream order by seq")
    bodies = [(row["event"], json.loads(row["body"])) for row in rows]

    assert decision["trust"]["lower"] < opened["trust"]["lower"] - 0.1
    (move,) = [body for event, body in bodies if event == "trust"]
    assert (move["actor"], move["cause"], move["effect"]) == ("a1", "local", 0.0)
    assert (move["before"], move["after"]) == (opened["trust"]["used"], decision["trust"]["used"])
    (response,) = [body for event, body in bodies if event == "response"]
    assert (response["before"], response["after"], response["state"]) == ("none", "approve", "out_of_scope")
    assert node.told


async def test_an_ordinary_action_tells_nobody_anything(node: Node) -> None:
    await node.open()
    await node.act("look")

    assert await node.rows("select * from stream") == []
    assert node.told == []
    assert node.sightings == []


async def test_a_completed_pattern_is_noted_once_and_told_inside_the_transaction(node: Node) -> None:
    await node.open()
    await node.act("match", 1)
    await node.act("match", 2)
    await node.act("clear", 3)
    rows = await node.rows("select pattern, session_id, action_id, judged from matches")

    assert rows == [{"pattern": PATTERN, "session_id": "s1", "action_id": "c1", "judged": "open"}]
    assert [(one.patterns, one.confirmed, one.verdict.value) for one in node.sightings] == [
        ((PATTERN,), False, "in_scope"),
        ((PATTERN,), True, "out_of_scope"),
    ]


async def test_however_many_novel_patterns_a_session_completes_an_entry_of_the_catalogue_is_noted(
    node: Node,
) -> None:
    await node.open()
    live = node.parts.live.get("s1")
    assert live is not None
    live.completed |= {f"{number:064x}": None for number in range(NOVEL_KEPT)}
    await node.act("match", 1)
    assert PATTERN in live.completed
    rows = await node.rows("select pattern from matches")
    assert rows == [{"pattern": PATTERN}]


async def test_a_confirmed_session_without_a_pattern_tells_its_abstract_path(node: Node) -> None:
    await node.open()
    await node.act("clear")
    await node.flushed()

    (sighting,) = node.sightings
    assert (sighting.patterns, sighting.confirmed) == ((), True)
    assert "research" in path_of(sighting.path).families


async def test_a_proposal_that_fails_costs_no_decision(
    make_node: MakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(connection: AsyncConnection, _sighting: LocalSighting) -> None:
        await connection.execute(text("insert into session_days (day, judged, flagged) values (1, 1, 1)"))
        raise ZeroDivisionError

    node = make_node(on_risky=broken)
    await node.open()
    await node.act("match", durable=True)

    assert len(await node.rows("select * from decisions")) == 1
    assert await node.rows("select * from session_days") == []
    assert "proposal_failed" in caplog.text


async def test_a_write_that_fails_is_told_to_who_waits_and_forgotten_by_memory(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    await node.open()
    await node.flushed()

    async def break_it(connection: AsyncConnection) -> None:
        await connection.execute(text("alter table decisions rename to gone"))

    await node.parts.store.write(break_it)
    with pytest.raises(Exception, match="no such table"):
        await node.act("look", durable=True, arguments={"secret": "canary-7391"})

    assert node.parts.live.get("s1") is None
    assert "session_write_failed" in caplog.text


async def test_a_session_that_fell_out_of_memory_goes_on_where_it_was(make_node: MakeNode) -> None:
    node = make_node(live=LiveSessions(1, actors=1))
    await node.open("s1")
    await node.act("out", 1)
    await node.act("match", 2)
    for number in range(3):
        await node.open(f"other{number}", actor=f"b{number}")
        await node.flushed()
    believe(node, "precautionary", 0.05)
    decision = await node.act("out", 3)

    assert decision["network"]["patterns"] == [PATTERN]
    live = node.parts.live.get("s1")
    assert live is not None
    assert (live.actions, live.departures) == (3, 2)


async def test_a_session_is_followed_again_after_a_restart_and_trust_counts_it_once(
    node: Node, make_node: MakeNode
) -> None:
    await node.open()
    for number in range(40):
        last = await node.act("out" if number < 2 else "look", number)
    await declare(node.parts, "s1", Declaration(text="wider"), NOW)
    await node.flushed()
    again = make_node()
    decision = await again.act("look", 99)
    live = again.parts.live.get("s1")

    assert decision["trust"]["lower"] == last["trust"]["lower"]
    assert live is not None
    assert (live.actions, live.departures, live.declarations) == (41, 2, 2)
    assert "send" in live.tracker.envelope.verbs


async def test_the_score_falls_with_time_and_a_declaration_starts_it_anew(node: Node) -> None:
    await node.open()
    start = await node.act("look", 1)
    half = await node.act("look", 2, now=NOW + 1_800_000)
    over = await node.act("look", 3, now=NOW + 3_600_000)
    await declare(node.parts, "s1", Declaration(text="go on"), NOW + 3_600_000)
    anew = await node.act("look", 4, now=NOW + 3_600_000)

    assert half["wis"] == pytest.approx(start["wis"] / 2, abs=1e-3)
    assert (over["wis"], over["response"]) == (0.0, "notify")
    assert "expired" in " ".join(reason["text"] for reason in over["reasons"])
    assert anew["wis"] == start["wis"]


async def test_the_clock_of_the_session_makes_a_declaration_older_and_never_younger(node: Node) -> None:
    await node.open()
    start = await node.act("look", 1, t=0.0)
    half = await node.act("look", 2, t=1800.0)
    turned_back = await node.act("look", 3, t=0.0)
    late = await node.act("look", 4, t=0.0, now=NOW + 2_700_000)

    assert half["wis"] == pytest.approx(start["wis"] / 2, abs=1e-3)
    assert turned_back["wis"] == half["wis"]
    assert late["wis"] == pytest.approx(start["wis"] / 4, abs=1e-3)


@pytest.mark.parametrize("t", [-1.0, 1.79e9, float("inf"), float("nan")])
async def test_a_time_that_is_no_time_of_the_session_is_named(node: Node, t: float) -> None:
    await node.open()
    with pytest.raises(RequestError, match=r"t: .*since the start of the session"):
        await node.act("look", t=t)


async def test_nothing_that_an_action_carried_is_in_what_engines_hear(node: Node) -> None:
    await node.open()
    await node.act("out", arguments={"note": "canary-5512"})
    stream = await node.rows("select body from stream")

    assert stream
    assert "canary-5512" not in json.dumps(stream)
