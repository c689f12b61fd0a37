"""Scopes take away and never give; rates end before they harm; both say what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ioint_node.access.rights import MAY, RIGHTS, SCOPES, rights_of
from ioint_node.store import tokens
from ioint_node.web import WebLimits
from ioint_node.web.rates import Rate, Rates

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

NOW = 1_795_000_000_000


async def cut(node: Node, role: str, *scopes: str) -> dict[str, str]:
    """The header of a new token with these scopes."""
    made = await node.parts.store.write(
        lambda connection: tokens.create(connection, role, None, "red", None, scopes=scopes, now=NOW)
    )
    return {"Authorization": f"Bearer {made.token}"}


async def test_a_scope_leaves_what_it_names_and_the_refusal_names_what_is_missing(node: Node) -> None:
    headers = await cut(node, "soc", "query")
    assert (await node.client.get("/api/v1/indicators", headers=headers)).status == 200
    refused = await node.client.get("/api/v1/approvals", headers=headers)
    assert refused.status == 403
    assert (await refused.json())["type"] == "urn:ioint:problem:insufficient_scope"
    assert 'error="insufficient_scope", scope="review"' in refused.headers["WWW-Authenticate"]
    # What a role may do behind a door that another right opens is cut too.
    order = {"action": "kill", "reason": "test"}
    killed = await node.client.post("/api/v1/agents/a-1/respond", json=order, headers=headers)
    assert killed.status == 403


async def test_the_scopes_of_streams_of_security_events_are_taken(node: Node) -> None:
    reads, manages = await cut(node, "engine", "ssf.read"), await cut(node, "engine", "ssf.manage")
    assert (await node.client.get("/api/v1/webhooks", headers=reads)).status == 403
    assert (await node.client.get("/api/v1/webhooks", headers=manages)).status == 200
    assert (await node.client.get("/api/v1/indicators", headers=reads)).status == 200


async def test_a_token_gives_nothing_that_it_has_not(node: Node) -> None:
    headers = await cut(node, "admin", "manage", "query")
    path = "/api/v1/tokens"
    assert (await node.client.post(path, json={"role": "admin"}, headers=headers)).status == 403
    body = {"role": "soc", "scopes": ["query"]}
    made = await node.client.post(path, json=body, headers=headers)
    assert made.status == 201
    assert (await made.json())["scopes"] == ["query"]
    listed = (await (await node.client.get(path, headers=headers)).json())["items"]
    admin = next(row["id"] for row in listed if row["role"] == "admin" and row["scopes"] is None)
    assert (await node.client.post(f"{path}/{admin}/rotate", json={}, headers=headers)).status == 403


@pytest.mark.parametrize("scopes", [["everything"], [], ["decide"]])
async def test_scopes_that_a_role_has_not_are_refused(node: Node, scopes: list[str]) -> None:
    answer = await node.post("/api/v1/tokens", {"role": "soc", "scopes": scopes}, "admin")
    assert answer.status == 400
    assert (await answer.json())["field"] == "scopes"


async def test_a_token_with_one_scope_still_rotates_itself(node: Node) -> None:
    headers = await cut(node, "engine", "query")
    me = await (await node.client.get("/api/v1/me", headers=headers)).json()
    assert me["rights"] == ["query"]
    answer = await node.client.post(f"/api/v1/tokens/{me['id']}/rotate", json={}, headers=headers)
    assert answer.status == 200
    assert (await answer.json())["scopes"] == ["query"]


def test_every_right_is_a_scope_and_no_scope_gives_more_than_the_role() -> None:
    assert set(RIGHTS) <= set(SCOPES)
    for role in MAY:
        assert rights_of(role, frozenset(SCOPES)) == MAY[role]
        assert rights_of(role, frozenset({"unknown"})) == frozenset()


class TestRates:
    @pytest.fixture
    def limits(self) -> WebLimits:
        return WebLimits(requests_per_s=2, requests_burst=3)

    async def test_who_asks_too_often_waits_and_nobody_else(self, node: Node) -> None:
        answers = [await node.get("/api/v1/me") for _ in range(4)]
        assert [one.status for one in answers] == [200, 200, 200, 429]
        last = answers[-1].headers
        assert "the setting requests_per_s" in (await answers[-1].json(content_type=None))["detail"]
        assert last["Retry-After"] == "1"
        assert last["RateLimit-Policy"] == '"requests";q=3;w=2'
        assert last["RateLimit"] == '"requests";r=0;t=2'
        assert (await node.get("/api/v1/me", "engine")).status == 200
        assert node.parts.refusals["too_many_requests"] == 1
        taxii = await node.get("/taxii2/")
        assert taxii.status == 429
        assert (await taxii.json(content_type=None))["error_code"] == "too_many_requests"
        node.clock.now += 500
        assert (await node.get("/api/v1/me")).status == 200


def test_a_bucket_fills_at_its_rate_and_holds_no_more_than_its_burst() -> None:
    rates = Rates(
        cheap=Rate(name="a", per_s=1_000, burst=5), costly=Rate(name="b", per_s=1, burst=1), callers=2
    )
    assert [rates.take("x", NOW).more for _ in range(5)] == [4, 3, 2, 1, 0]
    assert rates.take("x", NOW).wait_ms == pytest.approx(1)
    assert rates.take("x", NOW, costly=True).wait_ms == 0
    assert rates.take("x", NOW + 60_000).more == 4
    # A clock that goes back locks nobody out: the bucket is empty at worst.
    assert rates.take("x", NOW - 3_600_000).wait_ms <= 1
    for name in "abcdefgh":
        rates.take(name, NOW)
    assert len(rates._full_at) == 4


async def test_what_is_costly_says_how_many_more_may_come(node: Node) -> None:
    answer = await node.get("/api/v1/novel-patterns")
    assert answer.status == 200
    assert answer.headers["RateLimit"].startswith('"costly";r=199')
