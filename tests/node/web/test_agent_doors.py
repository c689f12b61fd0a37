"""The doors of detectors outside, of a first baseline, a first opinion and a person's bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ioint_node.store.times import to_text

from tests.node.web.conftest import NOW

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

DAY_MS = 86_400_000
ALERT = {"observation_id": "alert-1", "source": "edr-1", "kind": "edr", "actor": "a-1", "value": 0.9}
STEP = {"tool": "files/read", "verb": "read", "resource": "file", "gap_ms": 4_000}


async def written(node: Node) -> None:
    """What the session has done so far is on disk."""
    body = {"action_id": "c-1", "tool": "read_file", "durable": True}
    assert (await node.post("/api/v1/sessions/s-1/actions", body)).status == 200


async def test_an_observation_is_taken_listed_and_shown_with_its_agent(node: Node) -> None:
    before = (await node.open_session())["trust"]["lower"]
    answer = await node.post("/api/v1/observations", {**ALERT, "t": to_text(NOW)})
    assert answer.status == 202, await answer.text()
    made = await answer.json()
    assert (made["observation_id"], made["counted"]) == ("alert-1", True)
    page = await node.json("/api/v1/observations?actor=a-1")
    assert [one["kind"] for one in page["items"]] == ["edr"]
    assert (await node.json("/api/v1/observations?actor=a-2"))["items"] == []
    agent = await node.json("/api/v1/agents/a-1")
    assert agent["observations"][0]["source"] == "edr-1"
    assert agent["baseline"]["known"] is False
    assert agent["trust"]["lower"] < before


async def test_the_same_observation_again_is_the_same_and_another_body_a_conflict(node: Node) -> None:
    await node.open_session()
    first = await (await node.post("/api/v1/observations", ALERT)).json()
    again = await node.post("/api/v1/observations", ALERT)
    assert (again.status, await again.json()) == (202, first)
    assert (await node.post("/api/v1/observations", {**ALERT, "value": 0.2})).status == 409


async def test_an_agent_speaks_of_itself_alone_and_gains_nothing(node: Node) -> None:
    before = (await node.open_session())["trust"]["lower"]
    own = await node.post("/api/v1/observations", {**ALERT, "kind": "satisfaction", "value": 1.0}, "agent")
    assert (await own.json())["counted"] is False
    assert (await node.json("/api/v1/agents/a-1"))["trust"]["lower"] == before
    other = await node.post("/api/v1/observations", {**ALERT, "actor": "a-2"}, "agent")
    assert other.status == 403
    assert (await node.post("/api/v1/observations", ALERT, "soc")).status == 403


@pytest.mark.parametrize(
    ("change", "status", "named"),
    [
        ({"kind": "gossip"}, 400, "kind"),
        ({"value": 7}, 400, "value"),
        ({"value": "high"}, 400, "value"),
        ({"detail": {"note": 1}}, 400, "detail.note"),
        ({"t": "yesterday"}, 400, "t"),
        ({"t": to_text(NOW + DAY_MS)}, 400, "at"),
        ({"expires": to_text(NOW - 1)}, 400, "expires"),
        ({"text": "x"}, 400, "text"),
        ({"source": ""}, 400, "source"),
        ({"actor": "nobody"}, 404, "nobody"),
        ({"session_id": "s-9"}, 404, "session_id"),
    ],
)
async def test_what_is_wrong_is_named_and_moves_nothing(
    node: Node, change: dict[str, Any], status: int, named: str
) -> None:
    await node.open_session()
    await written(node)
    before = await node.json("/api/v1/agents/a-1")
    answer = await node.post("/api/v1/observations", {**ALERT, **change})
    assert answer.status == status
    assert named in (await answer.json(content_type=None))["detail"]
    assert await node.json("/api/v1/agents/a-1") == before
    assert await node.unharmed()


async def test_observations_are_listed_page_by_page(node: Node) -> None:
    await node.open_session()
    for turn in range(5):
        body = {**ALERT, "observation_id": f"o-{turn}", "t": to_text(NOW - turn)}
        assert (await node.post("/api/v1/observations", body)).status == 202
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        query = "limit=2" + (f"&cursor={cursor}" if cursor else "")
        page = await node.json(f"/api/v1/observations?{query}")
        seen += [one["observation_id"] for one in page["items"]]
        cursor = page["next"]
    assert (seen, cursor) == ([f"o-{turn}" for turn in range(5)], None)


async def test_a_first_baseline_is_loaded_by_an_administrator(node: Node) -> None:
    await node.open_session()
    body = {"runs": [[STEP] * 3] * 12}
    assert (await node.post("/api/v1/agents/a-1/baseline", body)).status == 403
    answer = await node.post("/api/v1/agents/a-1/baseline", body, "admin")
    assert (await answer.json())["baseline"]["runs_loaded"] == 12
    assert (await node.json("/api/v1/agents/a-1"))["baseline"]["known"]
    missing = await node.post("/api/v1/agents/a-9/baseline", body, "admin")
    assert missing.status == 404
    with_text = {"runs": [[{**STEP, "arguments": {"path": "/etc"}}]]}
    assert (await node.post("/api/v1/agents/a-1/baseline", with_text, "admin")).status == 400
    unknown = {"runs": [[{**STEP, "verb": "juggle"}]]}
    assert (await node.post("/api/v1/agents/a-1/baseline", unknown, "admin")).status == 400
    assert (await node.post("/api/v1/agents/a-1/baseline", {"runs": [[]] * 257}, "admin")).status == 413


async def test_actors_are_imported_by_an_administrator(node: Node) -> None:
    row = {"id": "a-7", "kind": "agent", "role": "service", "tenure_days": 90, "attestation": "stated"}
    assert (await node.post("/api/v1/agents/import", {"actors": [row]})).status == 403
    answer = await node.post("/api/v1/agents/import", {"actors": [row]}, "admin")
    assert (await answer.json())["imported"] == 1
    assert "imported" in (await node.json("/api/v1/agents/a-7"))["trust"]
    bad = await node.post("/api/v1/agents/import", {"actors": [{**row, "role": "king"}]}, "admin")
    assert (bad.status, "actors[0].role" in (await bad.json(content_type=None))["detail"]) == (400, True)


async def test_an_override_is_put_counted_by_person_shown_and_ended(node: Node) -> None:
    await node.open_session()
    await written(node)
    path = "/api/v1/agents/a-1/override"
    body = {"at_most": "strict", "reason": "an audit is on", "days": 3}
    assert (await node.post(path, body)).status == 403
    answer = await node.post(path, body, "admin")
    made = await answer.json()
    assert (answer.status, made["override"]["expires"]) == (201, to_text(NOW + 3 * DAY_MS))
    assert list(made["by_person"].values()) == [1]
    assert (await node.json("/api/v1/agents/a-1"))["override"]["reason"] == "an audit is on"
    both = await node.post(path, {**body, "at_least": "standard"}, "admin")
    assert both.status == 400
    long = await node.post(path, {"at_least": "standard", "reason": "x", "days": 30}, "admin")
    assert long.status == 400
    gone = await node.client.delete(path, headers=node.headers("admin"))
    assert (await gone.json())["changed"] is True
    assert (await node.json("/api/v1/agents/a-1"))["override"] is None
