"""The doors of policy: who may do what there, and what a person sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ioint_node.scoring.staging import EFFECTS

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

POLICIES = "/api/v1/policies"
WIDER = {"family": "research", "verbs": ["send"], "resources": ["email"], "boundary": "external"}
NARROWER = {"family": "research", "verbs": ["read", "list"], "narrower": True}


async def made(node: Node, body: dict[str, Any], role: str = "soc") -> Any:
    answer = await node.post(POLICIES, body, role)
    assert answer.status == 201, await answer.text()
    return await answer.json()


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/v1/snapshot"])
async def test_an_engine_knows_the_fail_mode_before_the_node_is_away(node: Node, path: str) -> None:
    policy = (await node.json(path, "engine"))["policy"]
    assert set(policy["fail_mode"]) == set(EFFECTS)
    assert policy["enforcement"]["mode"] == "observe"
    assert policy["tolerance"] == 1.0


async def test_a_change_is_proposed_by_an_analyst_and_accepted_by_an_admin(node: Node) -> None:
    proposed = await made(node, WIDER)
    assert proposed["state"] == "open"
    path = f"{POLICIES}/{proposed['id']}"
    assert (await node.post(path, {"accept": True}, "soc")).status == 403
    accepted = await node.post(path, {"accept": True, "days": None}, "admin")
    assert (accepted.status, (await accepted.json())["expires_at"]) == (200, None)
    assert (await node.post(path, {"accept": True}, "admin")).status == 409
    shown = await node.json(path)
    assert [one["state"] for one in shown["evidence"]["history"]] == ["accepted"]


async def test_an_analyst_takes_back_what_widens_and_not_what_narrows(node: Node) -> None:
    wider, narrower = await made(node, WIDER), await made(node, NARROWER)
    assert narrower["state"] == "accepted"
    await node.post(f"{POLICIES}/{wider['id']}", {"accept": True}, "admin")
    gone = await node.post(f"{POLICIES}/{wider['id']}/withdraw", {}, "soc")
    assert (gone.status, (await gone.json())["expires_at"]) == (200, None)
    assert (await node.post(f"{POLICIES}/{narrower['id']}/withdraw", {}, "soc")).status == 403
    assert (await node.post(f"{POLICIES}/{narrower['id']}/withdraw", {}, "admin")).status == 200


async def test_changes_are_listed_newest_first_page_by_page(node: Node) -> None:
    for verb in ("send", "share", "delete"):
        node.clock.now += 1
        await made(node, {**WIDER, "verbs": [verb]})
    first = await node.json(POLICIES, params={"limit": "2"})
    rest = await node.json(POLICIES, params={"limit": "2", "cursor": first["next"]})
    verbs = [one["change"]["envelope"]["verbs"] for one in (*first["items"], *rest["items"])]
    assert (verbs, rest["next"]) == ([["delete"], ["share"], ["send"]], None)
    assert (await node.json(POLICIES, params={"state": "accepted"}))["items"] == []


async def test_another_tolerance_is_shown_before_it_is_set(node: Node) -> None:
    await node.open_session()
    action = {"action_id": "1", "tool": "read_file", "arguments": {"path": "a"}, "durable": True}
    assert (await node.post("/api/v1/sessions/s-1/actions", action)).status == 200
    found = await node.json(f"{POLICIES}/preview", params={"tolerance": "0.3"})
    assert found["actions"] == 1
    assert found["thresholds"]["then"]["out_of_scope"] > found["thresholds"]["now"]["out_of_scope"]


@pytest.mark.parametrize("text", ["", "-1", "0", "1e9", "nan", "99999", "1,5"])
async def test_a_tolerance_without_sense_is_refused_by_its_name(node: Node, text: str) -> None:
    answer = await node.get(f"{POLICIES}/preview", params={"tolerance": text})
    assert answer.status == 400
    assert "tolerance" in (await answer.json())["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "family"),
        ({"family": "research", "verbs": ["fly"]}, "verbs"),
        ({"family": "nonsense"}, "family"),
        ({"session_id": "s-1"}, "action_id"),
        ({"session_id": "s-1", "action_id": "1", "family": "research"}, "family"),
        ({**NARROWER, "days": 0}, "days"),
        ({**WIDER, "unknown": 1}, "unknown"),
    ],
)
async def test_a_change_without_sense_is_refused_by_its_field(node: Node, body: Any, field: str) -> None:
    answer = await node.post(POLICIES, body, "soc")
    assert answer.status == 400
    assert field in (await answer.json())["detail"]


async def test_an_action_in_scope_cannot_be_marked_and_an_unknown_one_is_not_found(node: Node) -> None:
    await node.open_session()
    action = {"action_id": "1", "tool": "read_file", "arguments": {"path": "a"}, "durable": True}
    assert (await (await node.post("/api/v1/sessions/s-1/actions", action)).json())["verdict"] == "in_scope"
    assert (await node.post(POLICIES, {"session_id": "s-1", "action_id": "1"}, "soc")).status == 400
    assert (await node.post(POLICIES, {"session_id": "s-1", "action_id": "2"}, "soc")).status == 404


async def test_what_does_not_exist_is_not_found(node: Node) -> None:
    path = f"{POLICIES}/{'0' * 32}"
    assert (await node.get(path)).status == 404
    assert (await node.get(f"{path}/replay")).status == 404
    assert (await node.post(path, {"accept": False}, "admin")).status == 404
    assert (await node.post(f"{path}/withdraw", {}, "admin")).status == 404


@pytest.mark.parametrize("role", ["agent", "engine"])
async def test_who_acts_does_not_change_what_may_be_done(node: Node, role: str) -> None:
    assert (await node.post(POLICIES, WIDER, role)).status == 403
    assert (await node.get(POLICIES, role)).status == 403
