"""What an agent that is trusted too little may do about its own scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

WIDER = {"family": "administer_hr", "text": "keep the records"}


async def opened(node: Node, *, enforced: bool) -> str:
    body = {
        "session_id": "s-1",
        "actor": {"id": "a-1", "kind": "agent"},
        "declared": {"family": "answer_question", "text": "How many people live in Lyon?"},
    }
    assert (await node.post("/api/v1/sessions", body, "agent")).status == 201
    live = node.parts.assess.live.get("s-1")
    assert live is not None
    live.enforced = enforced
    return "/api/v1/sessions/s-1"


async def ask(node: Node, session: str, body: dict[str, Any], role: str = "agent") -> Any:
    answer = await node.post(f"{session}/scope-requests", body, role)
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def test_what_only_a_person_may_give_waits_for_one_and_holds_for_the_next_session(node: Node) -> None:
    session = await opened(node, enforced=False)
    answer = await ask(node, session, {"resources": ["hr_record"], "sensitivity": "restricted"})
    assert answer["state"] == "person"
    waiting = (await node.json("/api/v1/approvals"))["items"]
    assert [(one["id"], one["kind"]) for one in waiting] == [(answer["proposal"], "envelope")]
    assert (
        await node.post(f"/api/v1/approvals/{answer['proposal']}", {"approve": True}, "admin")
    ).status == 200


async def test_asking_again_and_again_fills_nobodys_list(node: Node) -> None:
    session = await opened(node, enforced=False)
    verbs = ["grant", "revoke", "delete", "pay", "order", "deploy", "install", "share", "send", "configure"]
    made = [(await ask(node, session, {"verbs": [verb]}))["proposal"] for verb in verbs]
    assert None in made
    assert len((await node.json("/api/v1/approvals"))["items"]) == len({one for one in made if one})


@pytest.mark.parametrize(
    ("enforced", "role", "status"), [(True, "agent", 409), (True, "engine", 200), (False, "agent", 200)]
)
async def test_an_agent_on_probation_does_not_widen_itself_by_its_own_word(
    node: Node, enforced: bool, role: str, status: int
) -> None:
    session = await opened(node, enforced=enforced)
    answer = await node.post(f"{session}/declare", WIDER, role)
    assert answer.status == status
    if status == 409:
        assert "scope-requests" in (await answer.json())["detail"]
        narrower = {"family": "answer_question", "text": "And in Paris?"}
        assert (await node.post(f"{session}/declare", narrower, "agent")).status == 200
