"""A new name washes nothing, not at once and not with another tool; and a stranger drags nobody that is known."""

from __future__ import annotations

from typing import Any

from ioint_node.flows.assess import close
from ioint_node.flows.namesakes import MAKERS_KEPT, READ_MS, Namesakes
from ioint_node.scoring.composition import parts_of
from ioint_node.scoring.evidence import ActionFacts, of_action
from ioint_node.scoring.trust import Trust, after_all, has_record, lower_bound, new_trust
from ioint_node.scoring.values import Verdict
from ioint_node.store.actors import NAMESAKES, namesakes, save_trusts
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.node.assess.scripted import NOW, MakeNode, Node

MADE = {"model": "m1", "prompt_sha256": "a" * 64, "tools": ["look"]}
UNKNOWN = round(lower_bound(new_trust("agent", "", NOW), NOW), 4)


async def misbehave(
    node: Node, actor: str, composition: dict[str, Any] | None = None, now: int = NOW
) -> float:
    session = f"bad-{actor}"
    await node.open(session, actor=actor, composition=composition or MADE, now=now)
    decision = await node.act("clear", session=session, now=now)
    return float(decision["trust"]["lower"])


async def opens(node: Node, actor: str, *, now: int = NOW, session: str = "", **composition: Any) -> float:
    opened = await node.open(
        session or f"s-{actor}", actor=actor, composition={**MADE, **composition}, now=now
    )
    return float(opened["trust"]["lower"])


async def test_a_name_opened_at_once_after_the_misdeed_is_distrusted(node: Node) -> None:
    worst = await misbehave(node, "old")
    assert worst < UNKNOWN
    assert await opens(node, "new") <= worst


async def test_a_name_opened_after_a_restart_is_distrusted(node: Node, make_node: MakeNode) -> None:
    worst = await misbehave(node, "old")
    await node.flushed()
    assert await opens(make_node(), "new") <= worst


async def test_one_tool_more_does_not_escape_and_another_prompt_is_somebody_else(node: Node) -> None:
    worst = await misbehave(node, "old")
    assert await opens(node, "new", tools=["look", "dummy"]) <= worst
    assert await opens(node, "other", prompt_sha256="b" * 64) == UNKNOWN


async def test_a_model_without_a_prompt_is_not_enough_to_be_the_same(node: Node) -> None:
    await misbehave(node, "old", {"model": "m1", "tools": ["look"]})
    opened = await node.open("s1", actor="new", composition={"model": "m1", "tools": ["other"]})
    assert opened["trust"]["lower"] == UNKNOWN


async def test_a_name_that_was_opened_before_the_misdeed_is_looked_at_again(node: Node) -> None:
    before = await opens(node, "new")
    worst = await misbehave(node, "old")
    assert before == UNKNOWN
    assert await opens(node, "new", session="again") <= worst


async def test_a_stranger_who_claims_a_composition_drags_nobody_that_has_a_record(node: Node) -> None:
    for number in range(6):
        await opens(node, "honest", session=f"h{number}", now=NOW + number)
        await node.act("look", session=f"h{number}", now=NOW + number)
        await close(node.parts, f"h{number}", "done", NOW + number)
    actor = node.parts.live.actor("honest")
    assert actor is not None
    assert has_record(actor.trust, NOW)
    before = round(lower_bound(actor.trust, NOW), 4)
    worst = await misbehave(node, "stranger", now=NOW + 10)
    later = NOW + READ_MS

    assert worst < 0.2
    assert await opens(node, "honest", session="later", now=later) >= before - 0.001
    assert await opens(node, "honest", session="wider", tools=["look", "x"], now=later) > worst + 0.1


async def test_many_better_names_do_not_hide_the_worst_one(node: Node) -> None:
    worst = made("m1")
    many = [(f"fill{number}", made("m1", bad=False)) for number in range(NAMESAKES + 4)]

    async def write(connection: AsyncConnection) -> None:
        await save_trusts(connection, [("old", worst)], NOW)
        await save_trusts(connection, many, NOW + 1)

    await node.parts.store.write(write)
    async with node.parts.store.read() as connection:
        found = dict(await namesakes(connection, maker="", composition="m1"))
    assert len(found) == NAMESAKES
    assert "old" in found


def test_what_memory_keeps_of_namesakes_is_bounded() -> None:
    kept = Namesakes()
    trust = made("m")
    for number in range(NAMESAKES * 3):
        kept.note(f"a{number}", trust, NOW)
    for number in range(MAKERS_KEPT + 50):
        kept.note("a", made(f"m{number}"), NOW)
    assert len(kept._shunned) == MAKERS_KEPT
    assert max(len(one) for one in kept._shunned.values()) <= NAMESAKES


def made(name: str, *, bad: bool = True) -> Trust:
    trust = new_trust("agent", name, NOW, parts=parts_of(model=name, prompt_sha256="p", tools=("t",)))
    attack = ActionFacts(verdict=Verdict.OUT_OF_SCOPE, departures=1, first_clear=True)
    return after_all(trust, of_action(attack), NOW) if bad else trust
