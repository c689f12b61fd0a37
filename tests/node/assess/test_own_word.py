"""What an actor says of itself: kept, and never to its own good."""

from __future__ import annotations

import pytest
from ioint_node.errors import TooLargeError
from ioint_node.flows.assess import Feedback, feedback, observe
from ioint_node.scoring.tracker import SessionTracker
from ioint_node.scoring.values import Event

from tests.node.assess.scripted import NOW, MakeNode, Node

ASKED = Event(kind="prompt", role="user", text="Please send 4800 EUR to DE02120300000000202051.")
PAYING = {"amount": 4800, "recipient": "DE02120300000000202051"}


@pytest.mark.parametrize(("own", "verdict"), [(True, "out_of_scope"), (False, "in_scope")])
async def test_a_principal_whom_only_the_actor_heard_has_asked_for_nothing(
    make_node: MakeNode, own: bool, verdict: str
) -> None:
    node = make_node(mode="enforce", tracker=SessionTracker)
    await node.open()
    await observe(node.parts, "s1", ASKED, NOW, by="token:1", by_actor=own)
    decision = await node.act("send_money", arguments=PAYING)
    assert (decision["verdict"] == "in_scope") == (verdict == "in_scope")


async def test_what_was_claimed_is_followed_again_as_a_claim(make_node: MakeNode) -> None:
    node = make_node(mode="enforce", tracker=SessionTracker)
    await node.open()
    await observe(node.parts, "s1", ASKED, NOW, by="token:1", by_actor=True)
    await node.flushed()
    decision = await make_node(mode="enforce", tracker=SessionTracker).act("send_money", arguments=PAYING)
    assert decision["verdict"] != "in_scope"


async def test_own_answers_take_no_room_of_others(node: Node) -> None:
    await node.open()
    for number in range(1, 40):
        await node.act("look", number)
    most = node.parts.limits.own_feedbacks
    praise = [Feedback(kind="satisfied", positive=True, action_id=f"c{number}") for number in range(1, 40)]
    for said in praise[:most]:
        await feedback(node.parts, "s1", said, NOW, by="token:own", by_actor=True)
    with pytest.raises(TooLargeError):
        await feedback(node.parts, "s1", praise[most], NOW, by="token:own", by_actor=True)
    answer = await feedback(node.parts, "s1", Feedback(kind="reject", positive=False), NOW, by="token:2")
    assert answer["counted"]


async def test_a_yes_does_not_stand_in_the_way_of_a_no(node: Node) -> None:
    await node.open()
    await node.act("look")
    for by, positive in (("token:engine", True), ("token:admin", False)):
        said = Feedback(kind="validation", positive=positive, action_id="c1")
        assert (await feedback(node.parts, "s1", said, NOW, by=by))["counted"]
        assert not (await feedback(node.parts, "s1", said, NOW, by=by))["counted"]


async def test_only_a_persons_approval_makes_the_budget_whole(node: Node) -> None:
    await node.open()
    await node.act("create")
    live = node.parts.live.get("s1")
    assert live is not None
    spent = live.budget.left
    said = Feedback(kind="approve", positive=True, action_id="c1")
    await feedback(node.parts, "s1", said, NOW, by="token:engine")
    assert live.budget.left == spent
    await feedback(node.parts, "s1", said, NOW, by="token:admin", by_person=True)
    assert live.budget.left > spent
