"""Chains of sessions, a first baseline, a first opinion, a person's bound, and the forest that a job fits."""

from __future__ import annotations

from typing import Any

import pytest
from ioint_node.errors import BusyError, ConflictError, NotFoundError, RequestError, TooLargeError
from ioint_node.flows.assessing import AssessParts, trace_lineage
from ioint_node.flows.habits import habits_of
from ioint_node.flows.isolation import Isolation
from ioint_node.flows.lineage import find_lineage
from ioint_node.flows.surrounding import (
    RUNS_AT_ONCE,
    STEPS_PER_RUN,
    Newcomer,
    RunStep,
    about,
    decide_bound,
    import_actors,
    load_baseline,
)
from ioint_node.scoring.bounds import check_bound
from ioint_node.scoring.isolation import NUMBERS, ROWS_NEEDED
from ioint_node.scoring.levels import TRUSTED_FROM
from ioint_node.scoring.lineage import DEPTH_MOST, Lineage
from ioint_node.scoring.trust import lower_bound
from ioint_node.store import overrides
from ioint_node.store.baselines import read_baseline
from ioint_node.store.learned import find_learned

from tests.node.around.samples import USUAL
from tests.node.around.test_isolation import rows
from tests.node.assess.scripted import NOW, MakeNode, Node

RUN = [RunStep(tool=tool, verb=step.verb, resource=step.resource, gap_ms=9_000) for tool, step in USUAL * 3]


def above(session: str) -> dict[str, Any]:
    return {"parent": {"session_id": session, "action_id": "c1"}}


async def lineage_at(parts: AssessParts, parent: str, *, actor: str, session_id: str) -> Lineage:
    limits = parts.model.thresholds
    return await find_lineage(parts.store, parts.live, limits, parent, actor=actor, session_id=session_id)


async def test_the_chain_is_walked_to_the_session_that_started_it(node: Node, make_node: MakeNode) -> None:
    await node.open("s0", actor="person")
    await node.open("s1", actor="planner", **above("s0"))
    await node.act("clear", session="s0", durable=True)
    for parts in (node.parts, make_node().parts):  # from memory, and from the disk after a restart
        lineage = await trace_lineage(parts, "s1", actor="worker", session_id="s2")
        assert (lineage.depth, lineage.root) == (2, "s0")
        assert lineage.codes == ("out_of_scope",)
        assert lineage.delegator > 0.0


async def test_an_unknown_parent_and_one_that_is_itself_are_defined(node: Node) -> None:
    lineage = await trace_lineage(
        node.parts,
        "nowhere",
        actor="worker",
        session_id="s2",
    )
    assert (lineage.depth, lineage.codes) == (1, ("unknown",))
    itself = await trace_lineage(node.parts, "s2", actor="worker", session_id="s2")
    assert itself.circle


async def test_two_sessions_that_name_each_other_end(node: Node) -> None:
    await node.open("s0", actor="one", **above("s1"))
    await node.open("s1", actor="two", **above("s0"))
    lineage = await trace_lineage(node.parts, "s0", actor="three", session_id="s2")
    assert lineage.circle
    assert lineage.depth == 2


async def test_a_chain_ends_after_so_many_sessions(node: Node) -> None:
    await node.open("s0", actor="a0")
    for turn in range(1, DEPTH_MOST + 3):
        await node.open(f"s{turn}", actor=f"a{turn}", **above(f"s{turn - 1}"))
    deep = await trace_lineage(
        node.parts,
        f"s{DEPTH_MOST}",
        actor="worker",
        session_id="new",
    )
    assert (deep.depth, deep.cut) == (DEPTH_MOST, True)
    whole = await trace_lineage(
        node.parts,
        f"s{DEPTH_MOST - 1}",
        actor="worker",
        session_id="new",
    )
    assert (whole.depth, whole.cut, whole.root) == (DEPTH_MOST, False, "s0")


async def test_a_first_baseline_is_on_disk_and_in_memory(node: Node) -> None:
    await node.open()
    for _ in range(3):
        answer = await load_baseline(node.parts, "a1", [RUN] * 4, NOW, replace=False)
    assert (answer["runs"], answer["steps"]) == (4, 36)
    assert answer["baseline"]["known"]
    assert answer["baseline"]["runs_loaded"] == 12
    async with node.parts.store.read() as connection:
        habits = await habits_of(connection, "a1", NOW)
    assert habits.baseline.describe(NOW) == answer["baseline"]
    anew = await load_baseline(node.parts, "a1", [RUN], NOW, replace=True)
    assert anew["baseline"]["runs_loaded"] == 1


@pytest.mark.parametrize(
    ("runs", "error", "message"),
    [
        ([[RunStep(tool="t", verb="juggle", resource="file")]], RequestError, r"^runs\[0\]\.verb"),
        ([[RunStep(tool="t", verb="read", resource="moon")]], RequestError, r"^runs\[0\]\.resource"),
        ([RUN[:1]] * (RUNS_AT_ONCE + 1), TooLargeError, "^runs:"),
        ([RUN[:1] * (STEPS_PER_RUN + 1)], TooLargeError, r"^runs\[0\]"),
    ],
)
async def test_runs_that_cannot_be_taken_are_refused_whole(
    node: Node, runs: list[list[RunStep]], error: type[Exception], message: str
) -> None:
    await node.open()
    with pytest.raises(error, match=message):
        await load_baseline(node.parts, "a1", runs, NOW, replace=False)
    assert (await about(node.parts, "a1", NOW))["baseline"]["hours_seen"] == 0


async def test_a_baseline_needs_an_actor(node: Node) -> None:
    with pytest.raises(NotFoundError, match="was not imported"):
        await load_baseline(node.parts, "nobody", [RUN], NOW, replace=False)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"v":1}', "null"])
def test_a_baseline_that_cannot_be_read_is_learned_anew(text: str) -> None:
    assert read_baseline(text) is None


def newcomer(actor: str = "a9", **more: Any) -> Newcomer:
    return Newcomer(
        **{
            "id": actor,
            "kind": "agent",
            "role": "employee",
            "tenure_days": 400.0,
            "attestation": "verified",
            **more,
        }
    )


async def test_an_import_lifts_who_is_new_and_never_to_trusted(node: Node) -> None:
    await node.open()
    start = lower_bound(node.parts.live.actor("a1").trust, NOW)  # type: ignore[union-attr]
    answer = await import_actors(node.parts, [newcomer(), newcomer("a8", role="guest")], NOW)
    assert answer["imported"] == 2
    lifted = {item["id"]: item["lower"] for item in answer["items"]}
    assert start < lifted["a8"] < lifted["a9"] < TRUSTED_FROM
    again = await import_actors(node.parts, [newcomer()], NOW + 1_000)
    assert (again["imported"], again["items"][0]["state"]) == (0, "known")


async def test_an_import_is_on_disk_and_in_memory(node: Node, make_node: MakeNode) -> None:
    await node.open()
    await node.act("look", durable=True)
    await import_actors(node.parts, [newcomer("a1")], NOW)
    here = node.parts.live.actor("a1")
    assert here is not None
    answer = await make_node().open("s2")
    assert answer["trust"]["lower"] == round(lower_bound(here.trust, NOW), 4)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"role": "king"}, RequestError, r"^actors\[1\]\.role"),
        ({"attestation": "mine"}, RequestError, r"^actors\[1\]\.attestation"),
        ({"kind": "robot"}, RequestError, r"^actors\[1\]\.kind"),
        ({"kind": "user", "id": "a1"}, ConflictError, r"^actors\[1\]\.kind"),
        ({"tenure_days": float("nan")}, RequestError, r"^actors\[1\]\.tenure_days"),
        ({"id": "a9"}, RequestError, "named 2 times"),
    ],
)
async def test_an_import_with_one_bad_row_imports_nothing(
    node: Node, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    await node.open()
    with pytest.raises(error, match=message):
        await import_actors(node.parts, [newcomer(), newcomer(**{"id": "a8", **change})], NOW)
    assert await node.rows("select id from actors where id in ('a8', 'a9')") == []


async def test_an_import_that_cannot_be_written_changes_nothing(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.open()
    await node.act("look", durable=True)
    before = node.parts.live.actor("a1").trust  # type: ignore[union-attr]

    async def fail(*_given: object) -> None:
        raise BusyError("the disk is full")

    monkeypatch.setattr("ioint_node.flows.surrounding.save_trusts", fail)
    with pytest.raises(BusyError):
        await import_actors(node.parts, [newcomer("a1"), newcomer()], NOW)
    assert node.parts.live.actor("a1").trust == before  # type: ignore[union-attr]
    assert node.parts.live.actor("a9") is None


async def test_a_bound_holds_is_shown_and_ends(node: Node) -> None:
    await node.open()
    bound = check_bound(way="at_most", level="strict", reason="an audit", by="token:1", days=2, now=NOW)
    made = await decide_bound(node.parts, "a1", bound, NOW)
    assert made["override"]["level"] == "strict"
    assert (await about(node.parts, "a1", NOW))["override"]["reason"] == "an audit"
    async with node.parts.store.read() as connection:
        assert (await habits_of(connection, "a1", NOW)).bound == bound
        assert (await habits_of(connection, "a1", bound.expires)).bound is None
    assert (await decide_bound(node.parts, "a1", None, NOW))["changed"]
    assert (await about(node.parts, "a1", NOW))["override"] is None
    assert not (await decide_bound(node.parts, "a1", None, NOW))["changed"]


async def test_a_bound_that_runs_out_is_no_news_of_a_pattern(node: Node) -> None:
    await node.open()
    bound = check_bound(way="at_most", level="strict", reason="an audit", by="token:1", days=1, now=NOW)
    await decide_bound(node.parts, "a1", bound, NOW)
    gone = await node.parts.store.write(lambda connection: overrides.expire(connection, bound.expires))
    assert gone == ()
    assert await node.rows("select subject from overrides") == []


async def test_the_forest_comes_back_after_a_restart(node: Node, make_node: MakeNode) -> None:
    learned = Isolation()
    assert not await learned.refit(node.parts.store, NOW)
    for row in rows(ROWS_NEEDED):
        learned.reservoir.add(1, row)
    assert await learned.refit(node.parts.store, NOW)
    again = Isolation()
    await again.load(make_node().parts.store)
    assert again.forest == learned.forest
    assert again.reservoir.rows == learned.reservoir.rows
    assert learned.forest is not None
    assert learned.forest.unlikeness((1.0,) * len(NUMBERS)) == 1.0


async def test_what_was_learned_and_cannot_be_read_is_learned_anew(node: Node) -> None:
    await node.parts.store.write(
        lambda connection: connection.exec_driver_sql(
            "insert into learned (name, body, at) values ('isolation', '{\"reservoir\": 3}', '')"
        )
    )
    learned = Isolation()
    await learned.load(node.parts.store)
    assert len(learned.reservoir) == 0
    async with node.parts.store.read() as connection:
        assert await find_learned(connection, "no such name") is None
