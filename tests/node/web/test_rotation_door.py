"""Rotating a token over HTTP: who may, and what becomes of the old secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.node.web.conftest import Node


async def ids(node: Node) -> dict[str, str]:
    rows = (await node.json("/api/v1/tokens", "admin"))["items"]
    return {row["role"]: row["id"] for row in rows}


async def rotate(node: Node, key: str, role: str, body: dict[str, Any] | None = None) -> Any:
    return await node.post(f"/api/v1/tokens/{key}/rotate", body or {}, role)


async def test_an_agent_rotates_its_own_token_and_the_old_secret_ends_at_once(node: Node) -> None:
    key = (await ids(node))["agent"]
    await node.open_session("s-1", "a-1", "agent")
    answer = await rotate(node, key, "agent")
    body = await answer.json()
    assert (answer.status, body["id"], body["actor"], body["grace_s"]) == (200, key, "a-1", 0)
    assert (await node.get("/api/v1/sessions/s-1", "agent")).status == 401
    node.keys["agent"] = body["token"]
    assert (await node.get("/api/v1/sessions/s-1", "agent")).status == 200


@pytest.mark.parametrize("role", ["agent", "engine", "soc"])
async def test_nobody_but_an_admin_rotates_the_token_of_another(node: Node, role: str) -> None:
    others = {name: key for name, key in (await ids(node)).items() if name != role}
    for key in (*others.values(), "nowhere"):
        assert (await rotate(node, key, role)).status == 403
    statuses = {(await rotate(node, key, "admin")).status for name, key in others.items() if name != "admin"}
    assert statuses == {200}


async def test_a_secret_in_its_grace_signs_in_and_rotates_nothing(node: Node) -> None:
    key = (await ids(node))["soc"]
    fresh = (await (await rotate(node, key, "soc", {"grace_s": 60})).json())["token"]
    assert (await node.get("/api/v1/status", "soc")).status == 200
    assert (await rotate(node, key, "soc")).status == 403
    node.clock.now += 60_000
    assert (await node.get("/api/v1/status", "soc")).status == 401
    node.keys["soc"] = fresh
    assert (await node.get("/api/v1/status", "soc")).status == 200


async def test_who_found_an_old_secret_cannot_make_a_token_that_outlives_it(node: Node) -> None:
    key = (await ids(node))["admin"]
    await rotate(node, key, "admin", {"grace_s": 60})
    assert (await node.post("/api/v1/tokens", {"role": "admin"}, "admin")).status == 403
    other = await node.client.delete(f"/api/v1/tokens/{key}", headers=node.headers("admin"))
    assert other.status == 403
    assert (await node.get("/api/v1/tokens", "admin")).status == 200


async def test_a_revoked_token_ends_at_once_with_its_old_secret(node: Node) -> None:
    key = (await ids(node))["agent"]
    fresh = (await (await rotate(node, key, "agent", {"grace_s": 60})).json())["token"]
    await node.client.delete(f"/api/v1/tokens/{key}", headers=node.headers("admin"))
    for secret in (node.keys["agent"], fresh):
        node.keys["agent"] = secret
        assert (await node.get("/api/v1/sessions/s-1", "agent")).status == 401


async def test_the_list_shows_role_actor_age_and_use_and_no_secret(node: Node) -> None:
    key = (await ids(node))["agent"]
    secret = (await (await rotate(node, key, "agent", {"grace_s": 60})).json())["token"]
    answer = await node.get("/api/v1/tokens", "admin")
    (row,) = [one for one in (await answer.json())["items"] if one["id"] == key]
    assert (row["role"], row["actor"], row["age_days"]) == ("agent", "a-1", 0)
    assert row["rotated_at"] < row["old_until"]
    assert secret not in await answer.text()


@pytest.mark.parametrize("grace_s", [-1, 86_401, 1.5, "60"])
async def test_a_grace_without_sense_is_refused(node: Node, grace_s: object) -> None:
    answer = await rotate(node, (await ids(node))["agent"], "admin", {"grace_s": grace_s})
    assert answer.status == 400
    assert "grace_s" in (await answer.json())["detail"]
