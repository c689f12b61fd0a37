from __future__ import annotations

import json
from typing import Any

import pytest
from ioint_node.flows.assess import close

from tests.node.assess.scripted import NOW, PATTERN, MakeNode, Node, believe

DAY_MS = 86_400_000


async def moves(node: Node) -> list[dict[str, Any]]:
    rows = await node.rows("select body from stream where event = 'trust' order by seq")
    return [json.loads(row["body"]) for row in rows]


async def test_precaution_acts_on_the_completing_action_and_the_rest_of_the_session(node: Node) -> None:
    await node.open()
    believe(node, "precautionary", 0.05)
    before, completing, rest = [await node.act(tool, n) for n, tool in enumerate(["look", "match", "look"])]

    assert before["network"]["effect"] == 0.0
    assert before["trust"]["used"] == before["trust"]["lower"]
    for decision in (completing, rest):
        assert decision["network"]["tier"] == "precautionary"
        assert decision["network"]["patterns"] == [PATTERN]
        assert decision["trust"]["used"] == pytest.approx(decision["trust"]["lower"] - 0.05)
        assert "2 independent groups, precautionary, effect .05" in [
            reason["text"] for reason in decision["reasons"]
        ]


async def test_precaution_asks_for_a_step_up_and_never_blocks(make_node: MakeNode) -> None:
    node = make_node(mode="enforce")
    await node.open()
    believe(node, "precautionary", 0.05)
    decision = await node.act("match")

    assert (decision["verdict"], decision["response"], decision["allowed"]) == ("in_scope", "step_up", True)


async def test_a_consensus_asks_for_approval_and_never_blocks(make_node: MakeNode) -> None:
    node = make_node(mode="enforce")
    await node.open()
    believe(node, "consensus", 0.3)
    decision = await node.act("match")

    assert (decision["response"], decision["allowed"]) == ("approve", True)


async def test_the_network_never_changes_local_trust(node: Node) -> None:
    await node.open()
    opened = await node.act("look", 1)
    believe(node, "consensus", 0.3)
    decision = await node.act("match", 2)

    assert decision["trust"]["lower"] == opened["trust"]["lower"]
    assert decision["trust"]["layers"] == opened["trust"]["layers"]


async def test_engines_hear_when_the_network_moves_trust_and_when_it_ends(node: Node) -> None:
    await node.open()
    believe(node, "precautionary", 0.05)
    decision = await node.act("match")
    lower = decision["trust"]["lower"]
    await close(node.parts, "s1", "aborted", NOW)
    first, last = await moves(node)

    assert (first["before"], first["after"], first["effect"]) == (lower, decision["trust"]["used"], 0.05)
    assert (first["cause"], first["pattern"], first["actor"]) == ("network", PATTERN, "a1")
    assert (last["cause"], last["after"], last["effect"]) == ("network", lower, 0.0)


async def test_a_warning_does_not_act_on_a_match_that_came_before_it(node: Node) -> None:
    await node.open()
    await node.act("match", 1)
    believe(node, "corroborated", 0.1, groups=4)
    decision = await node.act("look", 2)

    assert decision["network"]["effect"] == 0.0
    assert decision["trust"]["used"] == decision["trust"]["lower"]


async def test_a_warning_acts_on_the_completing_action_and_the_rest_of_the_session(node: Node) -> None:
    await node.open()
    await node.act("look", 1)
    believe(node, "corroborated", 0.1, groups=4)
    matched, later = await node.act("match", 2), await node.act("look", 3)

    for decision in (matched, later):
        assert decision["trust"]["used"] == pytest.approx(decision["trust"]["lower"] - 0.1)


async def test_a_withdrawal_gives_trust_back_on_the_very_next_action(node: Node) -> None:
    await node.open()
    believe(node, "precautionary", 0.05)
    await node.act("match", 1)
    believe(node, "none", 0.0)
    decision = await node.act("look", 2)

    assert decision["trust"]["used"] == decision["trust"]["lower"]
    assert [move["after"] for move in await moves(node)][-1] == decision["trust"]["lower"]


async def test_below_consensus_a_match_stays_in_its_session(node: Node) -> None:
    await node.open("s1")
    await node.open("s2")
    believe(node, "corroborated", 0.1)
    await node.act("match", session="s1")
    decision = await node.act("look", session="s2")

    assert decision["network"]["effect"] == 0.0


@pytest.mark.parametrize(("days", "effect"), [(1, 0.3), (6, 0.3), (8, 0.0)])
async def test_a_consensus_follows_the_actor_for_a_week(
    node: Node, make_node: MakeNode, days: int, effect: float
) -> None:
    await node.open("s1")
    await node.act("match", session="s1", durable=True)
    later = NOW + days * DAY_MS
    again = make_node()
    again.parts.beliefs.heard(later)
    believe(again, "consensus", 0.3)
    await again.open("s2", now=later)
    decision = await again.act("look", session="s2", now=later)

    assert decision["network"]["effect"] == effect


async def test_a_silent_network_fades_and_says_for_how_long(node: Node) -> None:
    await node.open()
    believe(node, "precautionary", 0.05)
    fresh = await node.act("match", 1)
    stale = await node.act("look", 2, now=NOW + 4 * DAY_MS)

    assert stale["network"]["age_s"] == 4 * 86_400
    assert 0 < stale["network"]["effect"] < fresh["network"]["effect"]


async def test_engines_are_told_of_moves_from_a_hundredth_on(node: Node) -> None:
    await node.open()
    believe(node, "precautionary", 0.009)
    await node.act("match", 1)
    small = await moves(node)
    believe(node, "precautionary", 0.01)
    await node.act("look", 2)

    assert small == []
    assert [move["effect"] for move in await moves(node)] == [0.01]


@pytest.mark.parametrize(
    ("tier", "effect", "response", "sooner"),
    [
        ("precautionary", 0.05, "step_up", 2),
        ("disputed", 0.05, "step_up", 2),
        ("corroborated", 0.1, "step_up", 3),
        ("consensus", 0.3, "approve", 7),
    ],
)
async def test_each_rung_asks_for_more_attention_and_takes_no_access(
    make_node: MakeNode, tier: str, effect: float, response: str, sooner: int
) -> None:
    node = make_node(mode="enforce")
    await node.open()
    node.seasoned()
    alone = await node.act("look", 1)
    believe(node, tier, effect)
    warned = await node.act("match", 2)

    assert (warned["response"], warned["allowed"]) == (response, True)
    assert warned["budget"]["interval_s"] == round(alone["budget"]["interval_s"] / sooner)
    assert warned["cache_ttl_s"] == 0
    for level in ("friction", "autonomy", "lower"):
        assert warned["trust"][level] == alone["trust"][level]
    assert warned["network"]["without"] == {"trust": alone["trust"]["lower"], "response": "none"}


async def test_a_decision_says_what_it_would_be_without_the_network(make_node: MakeNode) -> None:
    node = make_node(mode="enforce")
    await node.open()
    believe(node, "consensus", 0.3)
    await node.act("match", 1)
    decision = await node.act("out", 2)

    assert decision["network"]["without"]["response"] == decision["response"] == "approve"
    assert decision["trust"]["used"] < decision["network"]["without"]["trust"]


def network_reason(decision: dict[str, Any]) -> str:
    return next(str(reason["text"]) for reason in decision["reasons"] if reason["code"] == "network")


async def test_a_cap_by_the_own_record_is_named(node: Node) -> None:
    await node.open()
    believe(node, "consensus", 0.05, groups=5)

    assert network_reason(await node.act("match")) == (
        "5 independent groups, consensus, effect .05; no more than .05 since our own record of it is clean"
    )


async def test_a_warning_that_tips_a_doubtful_change_says_so_and_the_action_waits(
    make_node: MakeNode,
) -> None:
    node = make_node(mode="enforce")
    await node.open()
    node.seasoned()
    believe(node, "corroborated", 0.1, groups=3)
    await node.act("match", 1)
    decision = await node.act("edge", 2)

    assert (decision["verdict"], decision["response"], decision["allowed"]) == (
        "borderline",
        "approve",
        False,
    )
    assert decision["approval"]["state"] == "waiting"
    assert decision["network"]["without"]["response"] == "step_up"
    assert network_reason(decision) == (
        "3 independent groups, corroborated, effect .10; "
        "at the edge of the declaration it makes a person's word necessary"
    )


async def test_a_fading_effect_is_named(node: Node) -> None:
    await node.open()
    believe(node, "corroborated", 0.1, groups=3)
    fading = await node.act("match", now=NOW + 3 * DAY_MS + DAY_MS // 2)

    assert network_reason(fading) == (
        "3 independent groups, corroborated, effect .05; fading from .10, nothing was heard for 3 days"
    )
