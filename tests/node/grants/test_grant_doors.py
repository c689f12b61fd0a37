"""Grants over HTTP: who may do what, which fault has which name, and what anybody may read."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import ClientResponse, ClientSession
from ioint_node.access.passes import Fault
from ioint_node.flows.grant_parts import GrantParts
from ioint_node.scoring.levels import TERMS, terms_of
from ioint_node.store import tokens
from ioint_node.store.engine import WriterLimits, open_store
from ioint_node.store.times import from_text
from ioint_node.web import WebLimits, build_web, serve
from ioint_node.web.grants import JWKS_PATH, STATUS
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.node.grants.agent import ISSUER, KEY, READ, Agent, Level
from tests.node.web.conftest import NOW, Clock, Node, make_consortium, make_parts, make_tokens

GRANTS = "/api/v1/grants"
FAMILY = "support_customer"


@pytest.fixture
async def node(tmp_path: Path, empty_database: Path) -> AsyncIterator[Node]:
    """A node that signs passes, with a token of every role and one of another agent."""
    url = f"sqlite+aiosqlite:///{shutil.copy(empty_database, tmp_path / 'node.db')}"
    clock, consortium = Clock(), make_consortium(NOW)
    async with open_store(url, WriterLimits(group_s=0.001)) as store:
        parts = make_parts(store, consortium, clock, WebLimits(), [])
        parts = replace(parts, grants=GrantParts(assess=parts.assess, key=KEY, issuer=ISSUER))
        made = await store.write(make_tokens)

        async def other(connection: AsyncConnection) -> tokens.NewToken:
            return await tokens.create(connection, "agent", "a-2", "clear", None, now=NOW)

        keys = {role: one.token for role, one in made.items()}
        keys["other"] = (await store.write(other)).token
        async with (
            serve(build_web(parts), "127.0.0.1", 0, parts) as served,
            ClientSession(base_url=served) as client,
        ):
            yield Node(
                parts=parts,
                client=client,
                url=served,
                consortium=consortium,
                clock=clock,
                keys=keys,
                peers=[],
            )


@pytest.fixture
async def agent(node: Node) -> Agent:
    """The agent a-1, with an open session s-1 and a key."""
    body = {
        "session_id": "s-1",
        "actor": {"id": "a-1", "kind": "agent"},
        "declared": {"text": "answer support questions about orders", "family": FAMILY},
    }
    assert (await node.post("/api/v1/sessions", body, "agent")).status == 201
    assert node.parts.grants is not None
    return Agent(parts=node.parts.grants)


async def ask(node: Node, agent: Agent, role: str = "agent", **changed: Any) -> ClientResponse:
    body = {"session_id": "s-1", "key": agent.jwk, "scope": {"verbs": ["read", "search"]}, "units": 10}
    return await node.post(GRANTS, body | changed, role)


async def spend(node: Node, agent: Agent, role: str = "agent", **changed: Any) -> ClientResponse:
    url = f"{node.url}{GRANTS}/spend"
    proof = agent.proof(agent.newest, READ, now=node.clock.now, htu=url)
    body = {"pass": agent.newest, "proof": proof, "action": READ.to_json()}
    return await node.post(f"{GRANTS}/spend", body | changed, role)


async def granted(node: Node, agent: Agent) -> dict[str, Any]:
    answer = await ask(node, agent)
    assert answer.status == 201, await answer.text()
    return agent.take(await answer.json())


async def problem(answer: ClientResponse) -> tuple[int, str]:
    body = await answer.json(content_type=None)
    return answer.status, body["type"].rpartition(":")[2]


async def test_an_agent_asks_spends_and_gives_back_its_own_grant(node: Node, agent: Agent) -> None:
    issued = await granted(node, agent)
    assert issued["grant"]["state"] == "live"
    spent = await spend(node, agent)
    assert spent.status == 200, await spent.text()
    agent.take(await spent.json())
    assert agent.grant["left"] == 8.8
    ended = await node.post(f"{GRANTS}/revoke", {"grant": agent.grant["id"]}, "agent")
    assert (await ended.json())["state"] == "revoked"
    assert await problem(await spend(node, agent)) == (403, "grant_revoked")
    assert node.parts.refusals["grant_revoked"] == 1


async def test_a_resource_checks_a_pass(node: Node, agent: Agent) -> None:
    await granted(node, agent)
    body: dict[str, Any] = {"pass": agent.newest, "resource": READ.to_json()}
    answer = await node.post(f"{GRANTS}/check", body)
    checked = await answer.json()
    assert (checked["active"], checked["sub"], checked["ioint"]["intent"]) == (True, "a-1", FAMILY)
    outside = READ.to_json() | {"verb": "delete"}
    checked = await (await node.post(f"{GRANTS}/check", body | {"resource": outside})).json()
    assert (checked["active"], checked["reason"]) == (False, "out_of_scope")
    assert set(checked) == {"active", "reason", "detail"}


async def test_anybody_reads_the_key_and_checks_a_pass_offline(node: Node, agent: Agent) -> None:
    await granted(node, agent)
    answer = await node.client.get(JWKS_PATH)
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    keys = jwt.PyJWKSet.from_dict(await answer.json())
    kid = jwt.get_unverified_header(agent.newest)["kid"]
    claims = jwt.decode(agent.newest, keys[kid], algorithms=["EdDSA"], options={"verify_exp": False})
    assert claims["iss"] == ISSUER


async def test_each_role_has_its_doors(node: Node) -> None:
    for role, path, status in (
        ("soc", GRANTS, 403),
        ("soc", f"{GRANTS}/spend", 403),
        ("agent", f"{GRANTS}/check", 403),
        ("soc", f"{GRANTS}/check", 400),
        ("engine", GRANTS, 400),
        ("admin", f"{GRANTS}/spend", 400),
        ("soc", f"{GRANTS}/revoke", 400),
        ("engine", f"{GRANTS}/revoke", 400),
    ):
        assert (await node.post(path, {}, role)).status == status, (role, path)


async def test_engines_and_people_act_for_any_agent(node: Node, agent: Agent) -> None:
    answer = await ask(node, agent, "engine")
    agent.take(await answer.json())
    assert (await spend(node, agent, "engine")).status == 200
    ended = await node.post(f"{GRANTS}/revoke", {"grant": agent.grant["id"], "reason": "odd"}, "soc")
    assert (await ended.json())["reason"] == "odd"


async def test_what_is_anothers_looks_like_what_is_not_there(node: Node, agent: Agent) -> None:
    await granted(node, agent)
    asked = [
        (await ask(node, agent, "other"), await ask(node, agent, "other", session_id="s-0")),
        (
            await node.post(f"{GRANTS}/revoke", {"grant": agent.grant["id"]}, "other"),
            await node.post(f"{GRANTS}/revoke", {"grant": "0" * 32}, "other"),
        ),
    ]
    for theirs, nobodys in asked:
        first, second = await theirs.json(content_type=None), await nobodys.json(content_type=None)
        assert theirs.status == nobodys.status == 404
        detail = second["detail"].replace("s-0", "s-1").replace("0" * 32, agent.grant["id"])
        assert first == second | {"detail": detail}
    assert await problem(await spend(node, agent, "other")) == (404, "not_found")


async def test_grants_are_listed_for_those_who_may_know(node: Node, agent: Agent) -> None:
    for _ in range(3):
        await granted_with(node, agent, units=2)
    page = await node.json(f"{GRANTS}?limit=2&actor=a-1&state=live")
    rest = await node.json(f"{GRANTS}?limit=2&cursor={page['next']}")
    assert (len(page["items"]), len(rest["items"]), rest["next"]) == (2, 1, None)
    assert "pass" not in page["items"][0]
    assert (await node.get(f"{GRANTS}?state=odd")).status == 400
    assert (await node.get(GRANTS, "agent")).status == 403


async def granted_with(node: Node, agent: Agent, **changed: Any) -> None:
    answer = await ask(node, agent, **changed)
    assert answer.status == 201, await answer.text()


async def test_a_proof_for_another_address_is_refused_with_a_challenge(node: Node, agent: Agent) -> None:
    await granted(node, agent)
    proof = agent.proof(agent.newest, READ, now=NOW, htu="http://elsewhere.example/api/v1/grants/spend")
    answer = await spend(node, agent, proof=proof)
    assert await problem(answer) == (401, "proof_target")
    assert answer.headers["WWW-Authenticate"] == 'DPoP error="invalid_dpop_proof", algs="EdDSA"'
    answer = await spend(node, agent, **{"pass": "e30.e30.e30"})
    assert answer.headers["WWW-Authenticate"] == 'DPoP error="invalid_token", algs="EdDSA"'


async def test_a_replay_over_http_is_told_and_counted(node: Node, agent: Agent) -> None:
    await granted(node, agent)
    old = agent.newest
    agent.take(await (await spend(node, agent)).json())
    agent.passes.append(old)
    other = {"units": 1}
    url = f"{node.url}{GRANTS}/spend"
    body = {"pass": old, "proof": agent.proof(old, 1, now=NOW, htu=url), **other}
    answer = await node.post(f"{GRANTS}/spend", body, "agent")
    assert await problem(answer) == (409, "pass_replayed")
    assert node.parts.refusals["pass_replayed"] == 1
    listed = (await node.json(GRANTS))["items"]
    assert [grant["state"] for grant in listed] == ["revoked"]


MALFORMED_GRANTS: tuple[tuple[dict[str, Any], str | None], ...] = (
    ({"key": {"kty": "OKP", "crv": "Ed25519", "x": "short"}}, "key.x"),
    ({"key": {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "d": "B" * 43}}, "key.d"),
    ({"scope": {"verbs": ["read"], "colour": "red"}}, "scope.colour"),
    ({"scope": {"verbs": "read"}}, "scope.verbs"),
    ({"units": 0}, "units"),
    ({"units": "many"}, "units"),
    ({"ttl_s": 0}, "ttl_s"),
    ({"ttl_s": 1.5}, "ttl_s"),
    ({"session_id": ""}, "session_id"),
    ({"request_id": "with blank"}, "request_id"),
    ({"more": 1}, "more"),
)
MALFORMED_SPENDS: tuple[dict[str, Any], ...] = (
    {"units": 1},
    {"action": None},
    {"action": {"verb": "read"}},
    {"proof": ""},
    {"pass": 7},
    {"action": None, "units": -1},
    {"action": None, "units": 1.5},
)


async def test_a_malformed_request_for_a_grant_is_refused_with_its_field(node: Node, agent: Agent) -> None:
    for changed, field in MALFORMED_GRANTS:
        answer = await ask(node, agent, **changed)
        body = await answer.json(content_type=None)
        assert (answer.status, body.get("field")) == (400, field), changed
        assert field is not None or body["detail"].startswith("key.")
    assert await node.unharmed()


async def test_a_malformed_spend_is_refused(node: Node, agent: Agent) -> None:
    await granted(node, agent)
    for changed in MALFORMED_SPENDS:
        assert (await spend(node, agent, **changed)).status == 400, changed
    assert await node.unharmed()


async def test_a_scope_outside_the_session_names_the_departure(node: Node, agent: Agent) -> None:
    answer = await ask(node, agent, scope={"verbs": ["read"], "resources": ["secret"]})
    body = await answer.json(content_type=None)
    assert (answer.status, body["field"]) == (403, "scope.resources")
    assert "secret" in body["detail"]


async def test_who_is_new_is_granted_little_and_nothing_that_changes(node: Node, agent: Agent) -> None:
    issued = await granted(node, agent)
    assert issued["grant"]["units"] == 10
    answer = await ask(node, agent, scope={"verbs": ["read", "send"]})
    assert await problem(answer) == (403, "needs_person")


async def test_every_level_changes_what_the_door_grants(node: Node, agent: Agent) -> None:
    assert node.parts.grants is not None
    lowers = (0.2, 0.4, 0.6, 0.8, 0.95)
    assert [terms_of(lower) for lower in lowers] == list(TERMS)
    for lower in lowers:
        terms, session = terms_of(lower), f"s-{lower}"
        await node.open_session(session, "a-1")
        parts = replace(node.parts, grants=replace(node.parts.grants, standing=Level(lower=lower)))
        async with (
            serve(build_web(parts), "127.0.0.1", 0, parts) as url,
            ClientSession(base_url=url) as client,
        ):
            body = {"session_id": session, "key": agent.jwk}
            answer = await client.post(GRANTS, json=body, headers=node.headers("agent"))
            assert answer.status == 201, await answer.text()
            issued = await answer.json()
        grant = issued["grant"]
        life_ms = from_text(grant["expires_at"]) - from_text(grant["issued_at"])
        assert (grant["units"], life_ms) == (terms.grant_units, terms.grant_s * 1_000)
        assert grant["interval_s"] == terms.revalidate_s
        claims = jwt.decode(issued["pass"], options={"verify_signature": False})
        assert claims["exp"] - claims["iat"] == terms.pass_s
        classes = {node.parts.assess.taxonomy.verbs[verb] for verb in grant["scope"]["verbs"]}
        assert not classes & terms.approve


def test_every_fault_has_a_status() -> None:
    assert set(STATUS) == set(Fault)


async def test_a_node_without_a_key_for_passes_has_no_such_doors(node: Node, agent: Agent) -> None:
    parts = replace(node.parts, grants=None)
    async with serve(build_web(parts), "127.0.0.1", 0, parts) as url, ClientSession(base_url=url) as client:
        assert (await client.get(JWKS_PATH)).status == 404
        assert (await client.post(GRANTS, json={}, headers=node.headers("admin"))).status == 404


async def test_more_time_than_trust_gives_is_cut(node: Node, agent: Agent) -> None:
    longest = await (await ask(node, agent)).json()
    asked = await ask(node, agent, ttl_s=1_000_000_000)
    assert asked.status == 201, await asked.text()
    assert (await asked.json())["grant"]["expires_at"] == longest["grant"]["expires_at"]
