"""An agent's token speaks for one actor: another's name in a body, a path, a parent or an observation opens nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from ioint_node.access.rights import MAY

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

# The token is bound to a-1; the session `theirs` is of a-2.
KEY = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
OPEN = {"actor": {"id": "a-2", "kind": "agent"}, "declared": {"text": "read the notes"}}
ACTION = {"action_id": "1", "tool": "read_file", "arguments": {"path": "a"}}
STEP = {"verb": "read", "resource": "file", "sensitivity": "internal", "boundary": "in_context"}
# For every door that an agent's token opens: a request in another's name.
CASES: dict[tuple[str, str], Any] = {
    ("POST", "/api/v1/sessions"): OPEN,
    ("GET", "/api/v1/sessions/{session}"): None,
    ("POST", "/api/v1/sessions/{session}/actions"): ACTION,
    ("POST", "/api/v1/sessions/{session}/events"): {"kind": "prompt", "text": "do as I say"},
    ("POST", "/api/v1/sessions/{session}/declare"): {"text": "another task"},
    ("POST", "/api/v1/sessions/{session}/scope-requests"): {"verbs": ["pay"]},
    ("POST", "/api/v1/sessions/{session}/alternatives/{alternative}"): {"accepted": True},
    ("POST", "/api/v1/sessions/{session}/feedback"): {"kind": "satisfied", "positive": True},
    ("POST", "/api/v1/sessions/{session}/close"): {"outcome": "done"},
    ("POST", "/api/v1/tokens/{token}/rotate"): {},
    ("POST", "/api/v1/observations"): {
        "source": "edr",
        "kind": "edr",
        "actor": "a-2",
        "value": 1.0,
    },
    ("POST", "/api/v1/grants"): {"session_id": "theirs", "key": KEY},
    ("POST", "/api/v1/grants/spend"): {"pass": "x.y.z", "proof": "x.y.z", "action": STEP},
    ("POST", "/api/v1/grants/check"): {"pass": "x.y.z"},
    ("POST", "/api/v1/grants/revoke"): {"grant": "0" * 32},
}


# Standards whose bodies name the actor in ways of their own: the tests of each door ask the same of it.
ELSEWHERE = ("/access/v1/", "/ext_authz", "/v1/")
SELF = {("GET", "/api/v1/me")}  # names nobody: it tells the caller of itself


async def open_theirs(node: Node) -> None:
    """A session of another actor, with an action, on disk."""
    await node.open_session("theirs", "a-2")
    assert (await node.post("/api/v1/sessions/theirs/actions", {**ACTION, "durable": True})).status == 200


async def doors(node: Node) -> set[tuple[str, str]]:
    """Every door that is not refused to an agent's token for its role."""
    document = await (await node.client.get("/openapi.json")).json()
    found = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if not operation["security"]:
                continue
            filled = re.sub(r"{[^}]*}", "x", path)
            answer = await node.client.request(method, filled, headers=node.headers("agent"), json={})
            body = await answer.json(content_type=None) if answer.content_type.endswith("json") else {}
            if answer.status != 403 or "of role agent does not open" not in str(body):
                found.add((method.upper(), path))
    return found


async def test_every_door_that_an_agent_opens_has_a_case_here(node: Node) -> None:
    found = {door for door in await doors(node) if not door[1].startswith(ELSEWHERE)}
    assert found - CASES.keys() - SELF == set()


@pytest.mark.parametrize(("method", "path"), CASES)
async def test_another_actors_name_opens_nothing(node: Node, method: str, path: str) -> None:
    await open_theirs(node)
    tokens = (await node.json("/api/v1/tokens", "admin"))["items"]
    token = next(row["id"] for row in tokens if row["role"] == "engine")
    address = path.replace("{session}", "theirs").replace("{alternative}", "1").replace("{token}", token)
    before = await node.json("/api/v1/sessions/theirs", "engine")
    answer = await node.client.request(
        method,
        address,
        headers=node.headers("agent"),
        **({} if CASES[method, path] is None else {"json": CASES[method, path]}),
    )
    assert answer.status in {401, 403, 404, 503}, await answer.text()
    assert "a-2" not in await answer.text()
    assert await node.json("/api/v1/sessions/theirs", "engine") == before


async def test_an_agent_cannot_put_its_actions_into_the_session_of_another_by_its_id(node: Node) -> None:
    await open_theirs(node)
    mine = {**OPEN, "actor": {"id": "a-1", "kind": "agent"}, "session_id": "theirs"}
    answer = await node.post("/api/v1/sessions", mine, "agent")
    assert answer.status == 409
    assert (await node.json("/api/v1/sessions/theirs", "engine"))["actor"] == "a-2"


async def test_a_parent_that_is_anothers_session_gives_nothing_of_it(node: Node) -> None:
    await open_theirs(node)
    mine = {
        "session_id": "mine",
        "actor": {"id": "a-1", "kind": "agent"},
        "declared": {"family": "answer_question"},
    }
    alone = await (await node.post("/api/v1/sessions", {**mine, "session_id": "alone"}, "agent")).json()
    child = await node.post(
        "/api/v1/sessions", {**mine, "parent": {"session_id": "theirs", "action_id": "1"}}, "agent"
    )
    body = await child.json()
    assert child.status == 201
    assert "a-2" not in str(body)
    assert body["trust"]["used"] <= alone["trust"]["used"]
    for kind in ("verbs", "resources"):
        assert set(body["envelope"][kind]) <= set(alone["envelope"][kind])


async def test_on_behalf_of_somebody_else_gives_no_better_trust(node: Node) -> None:
    actor = {"id": "a-1", "kind": "agent"}
    plain = {"actor": actor, "declared": OPEN["declared"], "session_id": "plain"}
    claimed = {**plain, "session_id": "claimed", "actor": {**actor, "on_behalf_of": "ceo@example.org"}}
    one = await (await node.post("/api/v1/sessions", plain, "agent")).json()
    two = await (await node.post("/api/v1/sessions", claimed, "agent")).json()
    assert two["trust"]["lower"] <= one["trust"]["lower"]
    assert two["envelope"] == one["envelope"]


async def test_an_agent_says_nothing_of_itself_that_counts(node: Node) -> None:
    await node.open_session("mine", "a-1", "agent")
    await node.post("/api/v1/sessions/mine/actions", {**ACTION, "durable": True}, "agent")
    path = "/api/v1/sessions/mine/feedback"
    answer = await (
        await node.post(path, {"kind": "override", "positive": True, "action_id": "1"}, "agent")
    ).json()
    assert answer["counted"] is False
    assert (await node.json("/api/v1/policies", "admin"))["items"] == []


def test_an_agent_opens_only_what_is_its_own() -> None:
    assert MAY["agent"] <= {"act", "answer", "see_session", "telemetry"}


async def test_an_observation_of_oneself_does_not_reach_the_session_of_another(node: Node) -> None:
    await open_theirs(node)
    said = {"source": "edr", "kind": "edr", "actor": "a-1", "session_id": "theirs", "value": 1.0}
    answer = await node.post("/api/v1/observations", said, "agent")
    assert answer.status in {400, 403, 404, 409}, await answer.text()
