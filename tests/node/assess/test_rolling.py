"""What an actor did in one session counts in its next ones, for an hour; and what was answered stays answered."""

from __future__ import annotations

from ioint_node.access.budget import BEGINS_LEAST, begun_budget, new_budget, renew, still_spent
from ioint_node.flows.live import LiveActor
from ioint_node.scoring.levels import terms_of
from ioint_node.scoring.trust import new_trust
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.node.assess.scripted import NOW, MakeNode, Node

HOUR_MS = 3_600_000
TERMS = terms_of(0.5)


def known() -> LiveActor:
    return LiveActor(id="a1", trust=new_trust("agent", "", NOW), told_lower=0.4)


async def test_one_departure_in_each_of_many_sessions_is_a_repetition(node: Node) -> None:
    asked = []
    for number in range(6):
        await node.open(f"s{number}")
        asked.append((await node.act("out", session=f"s{number}"))["response"])
    assert asked == ["approve"] * 4 + ["suspend"] * 2


async def test_a_restart_does_not_forget_what_left_the_scope(node: Node, make_node: MakeNode) -> None:
    for number in range(4):
        await node.open(f"s{number}")
        await node.act("out", session=f"s{number}")
    await node.flushed()
    again = make_node()
    await again.open("new")
    assert (await again.act("out", session="new"))["response"] == "suspend"


async def test_departures_elsewhere_are_forgotten_within_the_hour(node: Node) -> None:
    for number in range(4):
        await node.open(f"s{number}")
        await node.act("out", session=f"s{number}")
    await node.open("later", now=NOW + HOUR_MS)
    assert (await node.act("out", session="later", now=NOW + HOUR_MS))["response"] == "approve"


def test_departures_elsewhere_count_half_and_never_alone() -> None:
    actor = known()
    for _ in range(100):
        actor.depart(NOW)
    assert actor.departures(0, NOW) == 0
    assert actor.departures(1, NOW) == 3
    assert actor.departures(1, NOW + HOUR_MS) == 1
    assert len(actor.departed) <= 8


async def test_sessions_opened_beforehand_share_what_the_actor_may_spend(node: Node) -> None:
    for number in range(20):
        await node.open(f"s{number}")
    granted = []
    for number in range(20):
        for action in range(6):
            decision = await node.act("out", action, session=f"s{number}")
        granted.append(decision["budget"]["granted"])
    assert granted[-1] <= 0.5 * granted[0]
    assert granted == sorted(granted, reverse=True)


async def test_many_small_sessions_in_scope_are_not_stopped(node: Node) -> None:
    for number in range(60):
        await node.open(f"s{number}")
        for action in range(4):
            decision = await node.act("look", action, session=f"s{number}")
            assert not decision["budget"]["spent"]


def test_a_lessened_budget_is_not_renewed_past_itself() -> None:
    budget = begun_budget(TERMS, NOW, 3 * TERMS.budget)
    renewed = 0.0
    for _ in range(50):
        before = budget.left
        budget = renew(budget, TERMS, NOW, by_person=False)
        renewed += max(0.0, budget.left - before)
    whole = renew(budget, TERMS, NOW, by_person=True)

    assert begun_budget(TERMS, NOW, TERMS.budget) == new_budget(TERMS, NOW)
    assert begun_budget(TERMS, NOW, 1e9).granted == TERMS.budget * BEGINS_LEAST
    assert renewed <= budget.granted
    assert whole.left == TERMS.budget


def test_what_was_spent_is_half_forgotten_in_half_an_hour() -> None:
    actor = known()
    actor.charge(8.0, NOW)
    assert still_spent(8.0, HOUR_MS // 2) == 4.0
    actor.charge(1.0, NOW + HOUR_MS // 2)
    assert actor.spent_lately(NOW + HOUR_MS // 2) == 5.0


async def test_what_another_model_would_say_of_old_actions_is_no_repetition(
    node: Node, make_node: MakeNode
) -> None:
    await node.open()
    for number in range(3):
        await node.act("out", number)

    async def answered_otherwise(connection: AsyncConnection) -> None:
        await connection.execute(text("update decisions set verdict = 'in_scope', response = 'none'"))

    await node.parts.store.write(answered_otherwise)
    decision = await make_node().act("out", 9)
    assert decision["verdict"] == "out_of_scope"
    assert decision["response"] == "approve"


async def test_a_budget_that_is_lessened_later_does_not_count_as_a_new_look(node: Node) -> None:
    await node.open()
    live = node.parts.live.get("s1")
    assert live is not None
    before = live.budget
    live.actor.charge(1e6, NOW + 1_000)
    live.lessen(NOW + 1_000)
    assert live.budget.granted < before.granted
    assert (live.budget.renewed_at, live.budget.whole_at) == (before.renewed_at, before.whole_at)
