"""The AuthZEN door: the certification scenario's fixture as a loaded policy, and what gateways of MCP send."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from aiohttp import ClientResponse
from ioint_node.access.boundary import Boundary, read_boundary

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

pytestmark = pytest.mark.network
PATH = "/access/v1/evaluation"
ALICE = {"type": "user", "id": "alice"}
BOB = {"type": "user", "id": "bob"}
ADMIN = BOB | {"properties": {"role": "admin"}}
ACTIVE = {"type": "record", "id": "record-1"}
ARCHIVED = {"type": "record", "id": "record-2", "properties": {"status": "archived"}}
READ, WRITE = {"name": "read"}, {"name": "write"}
SOFT = {"name": "delete", "properties": {"soft": True}}
HARD = {"name": "delete", "properties": {"soft": False}}
FIXTURE = {
    "schema": "ioint.boundary/1",
    "subjects": [ALICE, ADMIN],
    "resources": [ACTIVE | {"properties": {"status": "active"}}, ARCHIVED],
    "actions": ["read", "write", "delete"],
    "rules": [
        {
            "effect": "permit",
            "subject": {"type": "user"},
            "action": {"name": "read"},
            "resource": {"type": "record"},
        },
        {
            "effect": "permit",
            "subject": {"id": "alice"},
            "action": {"name": "write"},
            "resource": {"type": "record", "properties": {"status": {"not": "archived"}}},
        },
        {
            "effect": "permit",
            "subject": {"properties": {"role": "admin"}},
            "action": {"name": "write"},
            "resource": {"type": "record", "properties": {"status": "archived"}},
        },
        {
            "effect": "permit",
            "subject": {"id": "alice"},
            "action": {"name": "delete", "properties": {"soft": True}},
            "resource": {"id": "record-1"},
        },
    ],
}


@pytest.fixture
def boundary() -> Callable[[], Boundary | None]:
    loaded = read_boundary(msgspec.json.encode(FIXTURE))
    return lambda: loaded


async def ask(node: Node, path: str, body: object, role: str = "engine") -> Any:
    answer = await node.post(f"/access/v1/{path}", body, role)
    assert answer.status == 200, await answer.text()
    return await answer.json()


@pytest.mark.parametrize(
    ("subject", "action", "resource", "decision"),
    [
        (ALICE, READ, ACTIVE, True),
        (ALICE, WRITE, ACTIVE, True),
        (BOB, READ, ACTIVE, True),
        (BOB, WRITE, ACTIVE, False),
        (ALICE, WRITE, ARCHIVED, False),
        (ADMIN, WRITE, ARCHIVED, True),
        (ALICE, SOFT, ACTIVE, True),
        (ALICE, HARD, ACTIVE, False),
    ],
)
async def test_the_eight_decisions_of_the_certification_scenario(
    node: Node, subject: object, action: object, resource: object, decision: bool
) -> None:
    asked = {"subject": subject, "action": action, "resource": resource, "futureField": {"nested": True}}
    for _ in range(2):
        assert (await ask(node, "evaluation", asked))["decision"] is decision


async def test_several_questions_are_answered_in_order_and_each_replaces_the_defaults(node: Node) -> None:
    body = {
        "subject": ALICE,
        "action": WRITE,
        "resource": {"type": "record"},
        "evaluations": [
            {"resource": {"id": "record-1", "properties": {"status": "active"}}},
            {"resource": ARCHIVED},
            {"subject": ADMIN, "resource": ARCHIVED},
            {},
        ],
    }
    answer = await ask(node, "evaluations", body)
    assert [one["decision"] for one in answer["evaluations"]] == [True, False, True, False]
    assert "decision" not in answer
    assert answer["evaluations"][3]["context"]["error"]["message"] == "resource.id: is needed"


@pytest.mark.parametrize(
    ("semantic", "asked", "decisions"),
    [
        ("execute_all", [READ, WRITE, READ], [True, False, True]),
        ("deny_on_first_deny", [READ, WRITE, READ], [True, False]),
        ("permit_on_first_permit", [WRITE, READ, READ], [False, True]),
    ],
)
async def test_the_semantic_says_where_to_stop(
    node: Node, semantic: str, asked: list[object], decisions: list[bool]
) -> None:
    body = {
        "subject": BOB,
        "resource": ACTIVE,
        "options": {"evaluations_semantic": semantic},
        "evaluations": [{"action": one} for one in asked],
    }
    answer = await ask(node, "evaluations", body)
    assert [one["decision"] for one in answer["evaluations"]] == decisions


@pytest.mark.parametrize("rest", [{}, {"evaluations": []}])
async def test_without_evaluations_it_is_a_single_question(node: Node, rest: dict[str, object]) -> None:
    answer = await ask(node, "evaluations", {"subject": ALICE, "action": READ, "resource": ACTIVE} | rest)
    assert answer["decision"] is True


@pytest.mark.parametrize(
    ("path", "body", "among"),
    [
        ("subject", {"subject": {"type": "user"}, "action": READ, "resource": ACTIVE}, ["alice", "bob"]),
        ("subject", {"subject": {"type": "user", "id": "x"}, "action": WRITE, "resource": ARCHIVED}, ["bob"]),
        ("subject", {"subject": {"type": "robot"}, "action": WRITE, "resource": ARCHIVED}, []),
        (
            "resource",
            {"subject": ALICE, "action": READ, "resource": {"type": "record"}},
            ["record-1", "record-2"],
        ),
        ("resource", {"subject": ADMIN, "action": WRITE, "resource": {"type": "record"}}, ["record-2"]),
        ("resource", {"subject": ALICE, "action": {"name": "nothing"}, "resource": {"type": "record"}}, []),
    ],
)
async def test_a_search_finds_what_is_permitted(
    node: Node, path: str, body: object, among: list[str]
) -> None:
    answer = await ask(node, f"search/{path}", body)
    assert [one["id"] for one in answer["results"]] == among
    assert answer["page"] == {"next_token": "", "count": len(among)}


async def test_a_search_for_actions_names_those_that_are_permitted(node: Node) -> None:
    found = await ask(node, "search/action", {"subject": ALICE, "resource": ACTIVE})
    assert found["results"] == [{"name": "read"}, {"name": "write"}]
    found = await ask(node, "search/action", {"subject": ADMIN, "resource": ARCHIVED})
    assert {"name": "write"} in found["results"]


async def test_a_search_goes_on_where_its_page_ended(node: Node) -> None:
    body: dict[str, Any] = {
        "subject": {"type": "user"},
        "action": READ,
        "resource": ACTIVE,
        "page": {"limit": 1},
    }
    first = await ask(node, "search/subject", body)
    body["page"] = {"limit": 1, "token": first["page"]["next_token"]}
    second = await ask(node, "search/subject", body)
    assert [first["results"][0]["id"], second["results"][0]["id"]] == ["alice", "bob"]
    assert second["page"]["next_token"] == ""


GOOD = {"subject": ALICE, "action": READ, "resource": ACTIVE}


@pytest.mark.parametrize(
    "body",
    [
        {name: part for name, part in GOOD.items() if name != "subject"},
        {name: part for name, part in GOOD.items() if name != "action"},
        {name: part for name, part in GOOD.items() if name != "resource"},
        GOOD | {"subject": {"id": "alice"}},
        GOOD | {"subject": {"type": "user"}},
        GOOD | {"action": {}},
        GOOD | {"resource": {"id": "record-1"}},
        GOOD | {"resource": {"type": "record"}},
        GOOD | {"subject": "alice"},
        GOOD | {"action": {"name": 123}},
        GOOD | {"context": {"base_decision": "yes"}},
        GOOD | {"context": {"declared": "text"}},
        GOOD | {"context": {"session_id": 7}},
        GOOD | {"context": "x"},
        [],
    ],
)
async def test_what_is_wrong_with_a_request_is_said_in_a_sentence(node: Node, body: object) -> None:
    answer = await node.post("/access/v1/evaluation", body)
    assert answer.status == 400
    assert isinstance(await answer.json(), str)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"{}", "text/plain"),
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"[" * 100, "application/json"),
    ],
)
async def test_what_is_no_json_is_a_bad_request_and_nothing_else(node: Node, data: bytes, kind: str) -> None:
    headers = node.headers("engine") | {"Content-Type": kind}
    answer = await node.client.post("/access/v1/evaluation", data=data, headers=headers)
    assert answer.status == 400


async def test_a_request_keeps_its_id_and_nobody_asks_without_a_token(node: Node) -> None:
    async def post(headers: dict[str, str]) -> ClientResponse:
        return await node.client.post("/access/v1/evaluation", json=GOOD, headers=headers)

    answer = await post({"X-Request-ID": "r-1"})
    assert (answer.status, answer.headers["X-Request-ID"]) == (401, "r-1")


async def test_who_chooses_the_id_of_a_request_has_each_action_judged(node: Node) -> None:
    headers = node.headers("engine") | {"X-Request-ID": "r-1"}
    answers = [await (await node.client.post(PATH, json=GOOD, headers=headers)).json() for _ in range(2)]
    assert len({one["context"]["decision_id"] for one in answers}) == 2
    named = GOOD | {"context": {"action_id": "act-1"}}
    answers = [await (await node.client.post(PATH, json=named, headers=headers)).json() for _ in range(2)]
    assert answers[0] == answers[1]


async def test_a_base_decision_is_only_ever_tightened(node: Node) -> None:
    refused = await ask(node, "evaluation", GOOD | {"context": {"base_decision": False}})
    assert (refused["decision"], refused["context"]["base_decision"]) == (False, False)
    widened = GOOD | {"subject": BOB, "action": WRITE, "context": {"base_decision": True}}
    assert (await ask(node, "evaluation", widened))["decision"] is False


async def test_a_gateway_of_mcp_asks_for_a_tool_on_behalf_of_a_person(node: Node) -> None:
    body = {
        "subject": {"type": "identity", "id": "u-7"},
        "action": {"name": "tools/call"},
        "resource": {"type": "tool", "id": "send_money", "properties": {"server": "bank"}},
        "context": {
            "agent": "a-9",
            "declared": {"family": "summarise_document"},
            "arguments": {"amount": 4_800},
        },
    }
    answer = await ask(node, "evaluation", body)
    assert answer["context"]["step"]["verb"] == "pay"
    assert answer["context"]["verdict"] != "in_scope"
    session = await node.json(f"/api/v1/sessions/{answer['context']['session_id']}")
    assert session["actor"] == "a-9"


async def test_an_agent_asks_about_itself_alone(node: Node) -> None:
    own = GOOD | {"subject": {"type": "agent", "id": "a-1"}}
    assert (await node.post("/access/v1/evaluation", own, "agent")).status == 200
    assert (await node.post("/access/v1/evaluation", GOOD, "agent")).status == 403


async def test_the_decision_point_says_where_its_doors_are(node: Node) -> None:
    found = await (await node.client.get("/.well-known/authzen-configuration")).json()
    assert found["policy_decision_point"] == node.url
    assert found["access_evaluation_endpoint"] == f"{node.url}/access/v1/evaluation"
