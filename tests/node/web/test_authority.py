"""Nobody gives itself more than it was given: no clearance, no other's actor, and no time by a clock that goes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ioint_node.store import tokens
from ioint_node.store.signals import POLL, PUSH, Settings
from ioint_node.store.tokens import Caller
from ioint_node.web import WebLimits
from ioint_node.web.limits import FailedAuth
from ioint_node.web.problems import Refusal
from ioint_node.web.ssf.streams import check_keeper

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

NOW = 1_795_000_000_000


async def cleared(node: Node, tlp: str) -> dict[str, str]:
    """The header of a new administrator's token with this clearance."""
    made = await node.parts.store.write(
        lambda connection: tokens.create(connection, "admin", None, tlp, None, now=NOW)
    )
    return {"Authorization": f"Bearer {made.token}"}


async def test_nobody_makes_a_token_of_a_higher_clearance(node: Node) -> None:
    headers = await cleared(node, "green")
    for tlp, status in (("red", 403), ("amber", 403), ("green", 201), ("clear", 201)):
        body = {"role": "soc", "tlp": tlp}
        answer = await node.client.post("/api/v1/tokens", json=body, headers=headers)
        assert answer.status == status, tlp


async def test_nobody_takes_over_a_token_of_a_higher_clearance(node: Node) -> None:
    headers = await cleared(node, "green")
    other = await node.parts.store.write(
        lambda connection: tokens.create(connection, "soc", None, "red", None, now=NOW)
    )
    path = f"/api/v1/tokens/{other.id}/rotate"
    assert (await node.client.post(path, json={}, headers=headers)).status == 403
    holder = {"Authorization": f"Bearer {other.token}"}
    assert (await node.client.get("/api/v1/me", headers=holder)).status == 200


@pytest.mark.parametrize("path", ["/ext_authz", "/ext_authz/mcp"])
async def test_an_agents_token_asks_the_proxys_question_for_its_own_actor_alone(
    node: Node, path: str
) -> None:
    headers = node.headers("agent")
    other = await node.client.get(path, headers={**headers, "x-ioint-actor": "another-actor"})
    assert other.status == 403
    assert (await other.json())["type"] == "urn:ioint:problem:other_actor"
    nobody = await node.client.get(path, headers=headers)
    assert nobody.status == 400
    async with node.parts.store.read() as connection:
        rows = await tokens.list_tokens(connection)
    actor = next(row.actor for row in rows if row.role == "agent")
    own = await node.client.get(path, headers={**headers, "x-ioint-actor": str(actor)})
    assert own.status == 200


async def test_a_clock_that_is_put_back_keeps_no_revoked_token_alive(node: Node) -> None:
    store = node.parts.store
    cache = tokens.TokenCache(store)
    made = await store.write(
        lambda connection: tokens.create(connection, "soc", None, "amber", None, now=NOW)
    )
    assert await cache.check(made.token, NOW + 3_600_000) is not None
    await store.write(lambda connection: tokens.revoke(connection, made.id, now=NOW))
    assert await cache.check(made.token, NOW) is None


def test_a_clock_that_is_put_back_blocks_no_address_for_longer_than_a_window() -> None:
    failed = FailedAuth(WebLimits(failed_auth=2))
    for _ in range(3):
        failed.note("192.0.2.1", NOW + 3_600_000)
    assert failed.blocked_ms("192.0.2.1", NOW) == 0
    failed.note("192.0.2.1", NOW)
    assert failed.blocked_ms("192.0.2.1", NOW) == 0


def test_events_are_pushed_to_nobody_whose_end_no_one_tells_the_node() -> None:
    person = Caller(id="oidc:1f", role="engine", actor=None, tlp="green", expires=NOW)
    holder = Caller(id="1f", role="engine", actor=None, tlp="green", expires=NOW)
    check_keeper(person, Settings(method=POLL))
    check_keeper(holder, Settings(method=PUSH))
    with pytest.raises(Refusal, match="poll, or make the stream"):
        check_keeper(person, Settings(method=PUSH))
