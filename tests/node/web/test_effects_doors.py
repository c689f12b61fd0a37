"""The switch for all effects, decisions about what has not come, and what the lists show of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ioint_node.store.times import to_text

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

PACKAGE = "pkg:npm/left-pad"


async def put_effects(node: Node, role: str = "soc", **body: Any) -> Any:
    return await node.client.put("/api/v1/effects", json=body, headers=node.headers(role))


async def test_the_switch_says_who_why_and_until_when(node: Node) -> None:
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern))
    assert (await node.json("/api/v1/effects"))["off"] is False
    answer = await put_effects(node, off=True, reason="a drill", hours=2)
    assert answer.status == 200, await answer.text()
    shown = (await node.json("/api/v1/status"))["effects"]
    assert (shown["off"], shown["reason"]) == (True, "a drill")
    assert shown["expires_at"] == to_text(node.clock.now + 2 * 3_600_000)
    row = await node.json(f"/api/v1/patterns/{pattern}")
    assert (row["effect"], row["effect_now"], row["state"]) == (0.0, 0.0, "watched")
    assert (await (await put_effects(node, off=False)).json())["off"] is False


@pytest.mark.parametrize(
    ("role", "body", "status"),
    [
        ("soc", {"off": True}, 400),
        ("soc", {"off": True, "reason": "x", "hours": 0}, 400),
        ("soc", {"reason": "x"}, 400),
        ("engine", {"off": True, "reason": "x"}, 403),
        ("agent", {"off": True, "reason": "x"}, 403),
        ("admin", {"off": True, "reason": "x"}, 200),
    ],
)
async def test_the_switch_is_for_people(node: Node, role: str, body: dict[str, Any], status: int) -> None:
    assert (await put_effects(node, role, **body)).status == status


async def test_a_package_is_allowed_before_it_comes_and_the_list_shows_it_once_that_ended(node: Node) -> None:
    body = {"subject": PACKAGE, "kind": "allow", "reason": "ours"}
    assert (await node.post("/api/v1/overrides", body, "soc")).status == 201
    (held,) = (await node.json("/api/v1/overrides"))["items"]
    assert (held["subject"], held["kind"]) == (PACKAGE, "allow")
    gone = await node.client.delete(
        "/api/v1/overrides/allow", params={"subject": PACKAGE}, headers=node.headers("soc")
    )
    assert (await gone.json()) == {"removed": True}
    assert (await node.json("/api/v1/overrides"))["items"] == []


@pytest.mark.parametrize("subject", ["left-pad", "pkg:npm/@acme/x", "ab", "AB" * 32])
async def test_what_no_record_can_be_about_cannot_be_decided_on(node: Node, subject: str) -> None:
    body = {"subject": subject, "kind": "allow", "reason": "ours"}
    answer = await node.post("/api/v1/overrides", body, "soc")
    assert (answer.status, "subject" in await answer.text()) == (400, True)


async def test_a_pattern_that_nobody_named_yet_is_allowed_by_its_id(node: Node) -> None:
    unknown = "ab" * 32
    body = {"kind": "allow", "reason": "ours"}
    assert (await node.post(f"/api/v1/patterns/{unknown}/opinion", body, "soc")).status == 201


async def test_members_show_what_their_word_weighs_here(node: Node) -> None:
    group = next(
        row["group"] for row in (await node.json("/api/v1/members"))["items"] if row["name"] == "contoso"
    )
    node.parts.exchange.standpoint.caught = {group: 1}
    (row,) = [row for row in (await node.json("/api/v1/members"))["items"] if row["name"] == "contoso"]
    assert (row["weight"], row["canaries"]) == (0.2, 1)
