"""What a newcomer to the interface meets: their own writes, and refusals that say what to send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ioint_node.store.responses import ACTIVE
from ioint_node.web.requests import OpenBody

from tests.node.web.conftest import Node

SESSIONS = "/api/v1/sessions"
OPENING: dict[str, Any] = {"actor": {"id": "a-1", "kind": "agent"}, "declared": {"text": "look up an order"}}


async def refused(node: Node, path: str, body: object, role: str = "engine") -> dict[str, Any]:
    answer = await node.post(path, body, role)
    problem = await answer.json(content_type="application/problem+json")
    assert (answer.status, isinstance(problem, dict)) == (400, True), problem
    return dict(problem)


async def test_what_was_answered_is_found_at_once(node: Node) -> None:
    for number in range(5):
        opened = await node.post(SESSIONS, {**OPENING, "session_id": f"s-{number}"})
        assert opened.status == 201
        assert (await node.get(f"{SESSIONS}/s-{number}", "agent")).status == 200
        assert len((await node.json(SESSIONS))["items"]) == number + 1
        assert (await node.json("/api/v1/agents/a-1"))["sessions"][0]["id"] == f"s-{number}"


async def test_the_action_of_a_moment_ago_may_be_marked_as_the_work(node: Node) -> None:
    await node.open_session()
    action = {"action_id": "c-1", "tool": "payments.pay", "arguments": {"amount": 7}}
    decided = await (await node.post(f"{SESSIONS}/s-1/actions", action)).json()
    marked = await node.post("/api/v1/policies", {"session_id": "s-1", "action_id": "c-1"}, "soc")
    told = await marked.json(content_type=None)

    assert marked.status != 404
    assert marked.status == 201 or decided["verdict"] == "in_scope", told


async def test_a_session_shows_the_tool_of_each_decision(node: Node) -> None:
    await node.open_session()
    body = {"action_id": "c-1", "tool": "get_order", "server": "orders", "arguments": {"id": 7}}
    await node.post(f"{SESSIONS}/s-1/actions", body)
    (decision,) = (await node.json(f"{SESSIONS}/s-1"))["decisions"]

    assert (decision["tool"], decision["server"], decision["action_id"]) == ("get_order", "orders", "c-1")


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"actor": {"id": "a", "kind": "robot"}}, "actor.kind", "'robot' is none of agent, user, workload"),
        ({"session_id": "a b"}, "session_id", "must be printable ASCII characters without blanks"),
        (
            {"actor": {"id": "a", "kind": "agent", "composition": {"prompt_sha256": "x"}}},
            "actor.composition.prompt_sha256",
            "must be 64 lower-case hex digits, or nothing",
        ),
        ({"declared": {"family": "answer_suport_questions"}}, "declared.family", "is not in the taxonomy"),
    ],
)
async def test_a_refused_field_says_what_it_takes(
    node: Node, change: dict[str, Any], field: str, said: str
) -> None:
    problem = await refused(node, SESSIONS, {**OPENING, **change})

    assert problem["field"] == field
    assert said in problem["detail"]
    assert "regex" not in problem["detail"]


async def test_the_names_of_a_list_inside_a_list_are_told_as_well(node: Node) -> None:
    row = {"id": "a", "kind": "x", "role": "r", "tenure_days": 1, "attestation": "none"}
    problem = await refused(node, "/api/v1/agents/import", {"actors": [row]}, "admin")

    assert problem["field"] == "actors[0].kind"
    assert problem["detail"].endswith("is none of agent, user, workload")


@pytest.mark.parametrize(
    ("asked", "field", "near"),
    [
        ({"verbs": ["reed"]}, "verbs", "read"),
        ({"verbs": ["read"], "resources": ["ordr"]}, "resources", "order"),
        ({"verbs": ["read"], "boundary": "moon"}, "boundary", "physical_world"),
    ],
)
async def test_an_unknown_name_is_answered_with_the_nearest_and_the_place_of_the_list(
    node: Node, asked: dict[str, Any], field: str, near: str
) -> None:
    await node.open_session()
    problem = await refused(node, f"{SESSIONS}/s-1/scope-requests", asked)

    assert problem["field"] == field
    assert near in problem["detail"]
    assert "taxonomy.json" in problem["detail"] or "is none of" in problem["detail"]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (f"{SESSIONS}?verdict=bad", "verdict"),
        (f"{SESSIONS}?state=bad", "state"),
        ("/api/v1/agents?kind=robot", "kind"),
        ("/api/v1/records?kind=bad", "kind"),
        ("/api/v1/outgoing?state=bad", "state"),
        ("/api/v1/policies?state=bad", "state"),
        ("/api/v1/approvals?kind=bad", "kind"),
        ("/api/v1/indicators?tier=bad", "tier"),
    ],
)
async def test_a_filter_with_a_closed_list_refuses_what_is_not_in_it(
    node: Node, path: str, field: str
) -> None:
    answer = await node.get(path)
    problem = await answer.json(content_type=None)

    assert (answer.status, problem["field"]) == (400, field)
    assert "none of " in problem["detail"]


async def test_a_fault_that_a_flow_finds_names_its_field_too(node: Node) -> None:
    await node.open_session()
    said = {"kind": "approve", "positive": False}
    assert (await refused(node, f"{SESSIONS}/s-1/feedback", said))["field"] == "positive"
    again = await node.post(SESSIONS, {**OPENING, "session_id": "s-1"})
    problem = await again.json(content_type=None)
    assert (again.status, problem["field"]) == (409, "session_id")


async def test_nobody_waits_under_an_id_is_said_of_all_that_may_wait(node: Node) -> None:
    for name in ("0" * 32, "f" * 64):
        answer = await node.post(f"/api/v1/approvals/{name}", {"approve": True}, "admin")
        detail = (await answer.json(content_type=None))["detail"]
        assert answer.status == 404
        assert "held action" in detail
        assert "record" in detail


@pytest.mark.parametrize(("role", "status"), [("soc", 200), ("engine", 200), ("agent", 200), ("admin", 200)])
async def test_an_analyst_answers_for_a_session_and_acts_in_none(node: Node, role: str, status: int) -> None:
    await node.open_session()
    answer = await node.post(f"{SESSIONS}/s-1/feedback", {"kind": "satisfied", "positive": True}, role)
    assert answer.status == status, await answer.text()
    assert (await answer.json())["counted"] is (role != "agent")
    assert (await node.post(f"{SESSIONS}/s-1/close", {"outcome": "done"}, "soc")).status == 403


@pytest.mark.parametrize(
    ("state", "said"),
    [("suspended", "is suspended"), ("relaunch", "waits to be relaunched"), ("killed", "is killed")],
)
async def test_a_session_of_a_halted_actor_opens_with_a_warning(node: Node, state: str, said: str) -> None:
    assert (await node.open_session("s-0"))["warnings"] == []
    node.parts.assess.halted.put("a-1", state)
    (warning,) = (await node.open_session("s-1"))["warnings"]
    assert said in warning
    assert "an analyst or administrator releases it" in warning
    node.parts.assess.halted.put("a-1", ACTIVE)
    assert (await node.open_session("s-2"))["warnings"] == []


async def test_a_bounded_level_is_shown_as_bounded_in_list_and_page(node: Node) -> None:
    await node.open_session()
    await node.open_session("s-9", "a-2")
    free = (await node.json("/api/v1/agents/a-1"))["trust"]
    override = {"at_least": "standard", "reason": "known elsewhere"}
    assert (await node.post("/api/v1/agents/a-1/override", override, "admin")).status == 201
    listed = {one["id"]: one["trust"] for one in (await node.json("/api/v1/agents"))["items"]}
    shown = (await node.json("/api/v1/agents/a-1"))["trust"]

    assert (free["friction"], "bounded" in free) == ("strict", False)
    assert "bounded" not in listed["a-2"]
    assert shown["lower"] == free["lower"]
    for trust in (shown, listed["a-1"]):
        assert (trust["friction"], trust["bounded"]) == ("standard", 0.5)


# What is asked for is the path alone.
BODILESS = ("/api/v1/webhooks/{hook}/test", "/api/v1/webhooks/{hook}/enable", "/logout")


async def test_the_description_of_the_interface_says_what_each_door_takes(node: Node) -> None:
    document = await (await node.client.get("/openapi.json")).json()
    taking = document["paths"][SESSIONS]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schemas = document["components"]["schemas"]

    assert taking == {"$ref": f"#/components/schemas/{OpenBody.__name__}"}
    assert schemas["ActorBody"]["properties"]["kind"] == {"enum": ["agent", "user", "workload"]}
    text = json.dumps(document["paths"])
    assert all(f'"#/components/schemas/{name}"' in text + json.dumps(schemas) for name in schemas)
    for path, operations in document["paths"].items():
        takes_nothing = path.startswith(("/taxii2/", "/ext_authz", "/v1/")) or path in BODILESS
        assert takes_nothing or "post" not in operations or "requestBody" in operations["post"], path
