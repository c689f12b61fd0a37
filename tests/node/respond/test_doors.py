"""From door to door: what an agent, an orchestrator and a person see of a node that enforces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import ClientSession
from ioint_node.scoring.levels import TERMS
from ioint_node.scoring.staging import Policy, Staging
from ioint_node.store.engine import Store
from ioint_node.web import WebLimits, build_web, serve
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.node.respond.conftest import AGENT
from tests.node.respond.levels import trusted
from tests.node.web.conftest import NOW, Clock, Node, make_consortium, make_parts, make_tokens

ACTIONS = "/api/v1/sessions/{}/actions"
RESPOND = f"/api/v1/agents/{AGENT}/respond"
# In scope of answering questions about orders: one of each sort of step.
CHANGE: dict[str, Any] = {"tool": "crm.update_case", "arguments": {"case": 7, "note": "ring back"}}
LOOK: dict[str, Any] = {"tool": "orders.get_order", "arguments": {"id": 7}}
DERIVE: dict[str, Any] = {"tool": "text.summarize", "arguments": {"case": 7}}
SEND: dict[str, Any] = {"tool": "mail.send_email", "arguments": {"case": 7, "note": "ring back"}}
PAY: dict[str, Any] = {"tool": "payments.refund_payment", "arguments": {"case": 7}}
# Lower bounds of trust within each level of autonomy, and what each asks of looking, deriving, changing, sending and
# paying, and of paying once a detector outside has reported the actor.
LOWER = (0.1, 0.35, 0.55, 0.75, 0.92)
LEVELS = (
    "none step_up approve approve approve approve",
    "none none approve approve approve approve",
    "none none none step_up approve approve",
    "none none none none none approve",
    "none none none none none step_up",
)


@pytest.fixture
def enforce() -> bool:
    return True


@pytest.fixture
async def node(store: Store, *, enforce: bool) -> AsyncIterator[Node]:
    clock, consortium = Clock(), make_consortium(NOW)
    parts = make_parts(store, consortium, clock, WebLimits(), [])
    assess = replace(parts.assess, policy=Policy(staging=Staging(enforce=enforce)))
    parts = replace(parts, assess=assess)
    keys = {role: one.token for role, one in (await store.write(make_tokens)).items()}
    async with (
        serve(build_web(parts), "127.0.0.1", 0, parts) as url,
        ClientSession(base_url=url) as client,
    ):
        made = Node(
            parts=parts, client=client, url=url, consortium=consortium, clock=clock, keys=keys, peers=[]
        )
        await begin(made)
        yield made


async def begin(node: Node, session: str = "s-1", role: str = "agent") -> Any:
    body = {
        "session_id": session,
        "actor": {"id": AGENT, "kind": "agent", "composition": {"model": "m-1"}},
        "declared": {
            "family": "support_customer",
            "text": "update case 7 of the customer, mail her a note to ring back, and refund the payment of case 7",
        },
    }
    answer = await node.post("/api/v1/sessions", body, role)
    assert answer.status == 201, await answer.text()
    return await answer.json()


async def act(node: Node, name: str, action: dict[str, Any], *, session: str = "s-1") -> dict[str, Any]:
    body = {"action_id": name, "durable": True, **action}
    answer = await node.post(ACTIONS.format(session), body, "agent")
    assert answer.status == 200, await answer.text()
    decision: dict[str, Any] = await answer.json()
    return decision


def put_trust(node: Node, lower: float) -> None:
    actor = node.parts.assess.live.actor(AGENT)
    assert actor is not None
    actor.trust = trusted(lower, node.clock.now)


async def settled(node: Node) -> None:
    """Wait until all that was answered is on disk."""

    async def nothing(_connection: AsyncConnection) -> None:
        return None

    await node.parts.store.write(nothing)


async def test_a_change_of_a_newcomer_waits_for_a_person_and_goes_on_once(node: Node) -> None:
    first = await act(node, "c1", CHANGE)
    assert (first["allowed"], first["response"]) == (False, "approve")
    name = first["approval"]["id"]
    assert name == first["decision_id"]
    (shown,) = (await node.json("/api/v1/approvals"))["items"]
    assert (shown["id"], shown["tool"], shown["actor"]) == (name, "crm.update_case", AGENT)
    assert (await node.post(f"/api/v1/approvals/{name}", {"approve": True}, "agent")).status == 403
    before = (await node.json(f"/api/v1/agents/{AGENT}"))["trust"]["score"]
    assert (await node.post(f"/api/v1/approvals/{name}", {"approve": True}, "admin")).status == 200
    assert (await node.json(f"/api/v1/agents/{AGENT}"))["trust"]["score"] >= before

    assert (await act(node, "c1", CHANGE)) == first  # the same action again gets the same answer
    second = await act(node, "c2", CHANGE)
    third = await act(node, "c3", CHANGE)
    assert (second["allowed"], second["response"], second["approval"]["state"]) == (True, "notify", "used")
    assert (third["allowed"], third["approval"]["state"]) == (False, "waiting")


@pytest.mark.parametrize("enforce", [False])
async def test_a_node_that_observes_holds_nothing(node: Node) -> None:
    decision = await act(node, "c1", CHANGE)

    assert (decision["response"], decision["allowed"], decision["approval"]) == ("approve", True, None)
    assert (await node.json("/api/v1/approvals"))["items"] == []


@pytest.mark.parametrize(("number", "answers"), list(enumerate(LEVELS)))
async def test_each_level_has_its_own_answers(node: Node, number: int, answers: str) -> None:
    put_trust(node, LOWER[number])
    given = [await act(node, f"c{place}", one) for place, one in enumerate((LOOK, DERIVE, CHANGE, SEND, PAY))]
    seen = {"source": "sensor", "kind": "edr", "actor": AGENT, "value": 0.7}
    assert (await node.post("/api/v1/observations", seen)).status == 202
    put_trust(node, LOWER[number])  # what the sensor says costs trust too: here it is about the doubt alone
    given.append(await act(node, "doubt", PAY))

    assert {one["trust"]["autonomy"] for one in given} == {number + 1}
    assert {one["trust"]["friction"] for one in given} == {TERMS[number].friction}
    assert [one["response"] for one in given] == answers.split()
    assert [one["allowed"] for one in given] == [word != "approve" for word in answers.split()]


async def test_who_is_suspended_by_a_person_is_refused_everywhere_until_released(node: Node) -> None:
    await begin(node, "s-2")
    await settled(node)
    assert (await node.post(RESPOND, {"action": "suspend", "reason": "wait"}, "soc")).status == 201
    for session in ("s-1", "s-2"):
        decision = await act(node, "c1", LOOK, session=session)
        assert (decision["response"], decision["allowed"]) == ("suspend", False)
    assert (await node.post(RESPOND, {"action": "release"}, "agent")).status == 403
    assert (await node.post(RESPOND, {"action": "release"}, "soc")).status == 201
    assert (await act(node, "c2", LOOK))["allowed"]


@pytest.mark.parametrize("enforce", [False])
async def test_a_node_that_observes_says_that_the_actor_is_halted_and_allows(node: Node) -> None:
    await settled(node)
    await node.post(RESPOND, {"action": "suspend"}, "soc")
    decision = await act(node, "c1", LOOK)

    assert (decision["response"], decision["allowed"]) == ("suspend", True)


async def test_the_end_of_a_killed_session_is_an_order_to_shred(node: Node) -> None:
    await settled(node)
    await node.post(RESPOND, {"action": "kill"}, "soc")
    assert (await node.post("/api/v1/sessions/s-1/close", {"outcome": "aborted"})).status == 200
    await settled(node)
    stands = await node.json(f"/api/v1/agents/{AGENT}")

    assert {one["response"] for one in stands["responses"]} == {"kill", "shred"}
    shred = next(one for one in stands["responses"] if one["response"] == "shred")
    told = await node.post(RESPOND, {"response": shred["id"], "done": True}, "engine")
    assert (told.status, (await told.json())["state"]) == (200, "done")
