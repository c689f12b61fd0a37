"""Who gets in, what is refused and how: every refusal is documented, counted by name, and harms nothing."""

from __future__ import annotations

import asyncio
import base64
import secrets
from typing import TYPE_CHECKING, Any

import pytest
from ioint_node.store import tokens
from ioint_node.web import WebLimits
from ioint_node.web.limits import nearest

from tests.node.web.test_stream import until

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

OPEN = {"actor": {"id": "a-1", "kind": "agent"}, "declared": {"text": "answer support questions"}}


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/openapi.json", "/", "/console.js", "/console.css", "/icon.svg"]
)
async def test_operation_and_the_sign_in_page_need_no_token(node: Node, path: str) -> None:
    assert (await node.client.get(path)).status == 200


async def test_every_other_route_needs_a_token(node: Node) -> None:
    document = await (await node.client.get("/openapi.json")).json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answer = await node.client.request(method, path.replace("{", "").replace("}", ""))
            assert (answer.status == 401) == bool(operation["security"]), path


async def test_a_missing_token_is_answered_with_a_challenge(node: Node) -> None:
    answer = await node.client.get("/api/v1/indicators")
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.content_type == "application/problem+json"
    assert (await node.client.get("/taxii2/")).headers["WWW-Authenticate"].startswith("Basic")


async def test_a_token_works_as_the_password_of_basic(node: Node) -> None:
    basic = base64.b64encode(f"anybody:{node.keys['soc']}".encode()).decode()
    answer = await node.client.get("/api/v1/indicators", headers={"Authorization": f"Basic {basic}"})
    assert answer.status == 200


async def test_a_token_in_a_url_opens_nothing(node: Node) -> None:
    answer = await node.client.get("/api/v1/indicators", params={"access_token": node.keys["soc"]})
    assert answer.status == 401


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ioint_wrong",
        "Basic !!!",
        "Basic bm9jb2xvbg==",
        "Basic é",
        "Negotiate x",
        "Bearer " + "x" * 300,
    ],
)
async def test_a_bad_credential_is_401_and_counted(node: Node, header: str) -> None:
    answer = await node.client.get("/api/v1/indicators", headers={"Authorization": header})
    assert answer.status == 401
    assert sum(node.parts.refusals.values()) == 1


@pytest.mark.parametrize(
    ("role", "method", "path"),
    [
        ("agent", "GET", "/api/v1/indicators"),
        ("agent", "GET", "/taxii2/"),
        ("agent", "GET", "/metrics"),
        ("engine", "GET", "/api/v1/approvals"),
        ("engine", "GET", "/api/v1/tokens"),
        ("soc", "POST", "/api/v1/sessions"),
        ("soc", "POST", "/api/v1/approvals/ab"),
        ("soc", "POST", "/api/v1/tokens"),
    ],
)
async def test_a_role_does_not_open_what_is_not_its_own(
    node: Node, role: str, method: str, path: str
) -> None:
    answer = await node.client.request(method, path, headers=node.headers(role))
    assert answer.status == 403
    assert node.parts.refusals["forbidden"] == 1


async def test_an_agent_opens_its_own_sessions_and_no_others(node: Node) -> None:
    assert (await node.post("/api/v1/sessions", OPEN, "agent")).status == 201
    other = {**OPEN, "actor": {"id": "a-2", "kind": "agent"}}
    assert (await node.post("/api/v1/sessions", other, "agent")).status == 403
    await node.open_session("of-another", "a-2")
    action = {"action_id": "1", "tool": "send_email"}
    assert (await node.post("/api/v1/sessions/of-another/actions", action, "agent")).status == 403
    assert (await node.post("/api/v1/sessions/nowhere/actions", action, "agent")).status == 404


def guess() -> dict[str, str]:
    """The header of a token that is well formed and unknown."""
    return {"Authorization": f"Bearer {tokens.PREFIX}{secrets.token_urlsafe(32)}"}


@pytest.mark.parametrize(
    ("forwarded", "seen"),
    [
        ([], None),
        (["192.0.2.7, 198.51.100.9"], "198.51.100.9"),
        (["192.0.2.7", "2001:DB8::1"], "2001:db8::1"),
        (["192.0.2.7, anything"], None),
    ],
)
def test_of_forwarded_addresses_the_last_is_what_the_proxy_saw(
    forwarded: list[str], seen: str | None
) -> None:
    assert nearest(forwarded) == seen


class TestTooManyFailures:
    @pytest.fixture
    def limits(self) -> WebLimits:
        return WebLimits(failed_auth=3, unknown_lookups=2)

    async def test_a_valid_token_nobody_used_yet_gets_in_from_an_address_that_keeps_failing(
        self, node: Node
    ) -> None:
        statuses = [(await node.client.get("/api/v1/status", headers=guess())).status for _ in range(5)]
        assert statuses == [401, 401, 401, 429, 429]
        assert (await node.get("/api/v1/status", "soc")).status == 200
        assert (await node.client.get("/api/v1/status", headers=guess())).status == 429

    async def test_guesses_wait_for_one_another_and_known_tokens_for_none_of_them(
        self, node: Node, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert (await node.get("/api/v1/status")).status == 200
        release, inside, most = asyncio.Event(), 0, 0
        look_up = tokens.check

        async def slow(connection: Any, token: str, now: int) -> tokens.Caller | None:
            nonlocal inside, most
            if token not in node.keys.values():
                inside += 1
                most = max(most, inside)
                await release.wait()
                inside -= 1
            return await look_up(connection, token, now)

        monkeypatch.setattr("ioint_node.store.tokens.check", slow)
        async with asyncio.TaskGroup() as group:
            guesses = [
                group.create_task(node.client.get("/api/v1/status", headers=guess())) for _ in range(8)
            ]
            await until(lambda: inside == 2)
            assert (await node.get("/api/v1/status")).status == 200
            node.clock.now += 60_000  # the token is known, but has to be asked for again
            assert (await node.get("/api/v1/status")).status == 200
            new = group.create_task(node.get("/api/v1/status", "admin"))
            release.set()
        assert most == 2
        assert new.result().status == 200
        assert sorted(one.result().status for one in guesses) == [401] * 3 + [429] * 5

    async def test_what_is_no_token_costs_no_look_into_the_database(
        self, node: Node, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def never(*_: object) -> None:
            raise AssertionError

        monkeypatch.setattr("ioint_node.store.tokens.check", never)
        for token in ("x", "ioint_short", "ioint_" + "é" * 43, "ioint_" + "x" * 44):
            bad = {"Authorization": f"Bearer {token}"}
            assert (await node.client.get("/api/v1/status", headers=bad)).status in (401, 429)

    async def test_unknown_tokens_are_told_to_stop_while_known_ones_pass(self, node: Node) -> None:
        assert (await node.get("/api/v1/status")).status == 200
        bad = {"Authorization": "Bearer ioint_wrong"}
        statuses = [(await node.client.get("/api/v1/status", headers=bad)).status for _ in range(5)]
        assert statuses == [401, 401, 401, 429, 429]
        assert (await node.get("/api/v1/status")).status == 200
        node.clock.now += 60_000
        assert (await node.client.get("/api/v1/status", headers=bad)).status == 401


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/api/v1/indicators", "colour=red", "colour"),
        ("/api/v1/indicators", "limit=0", "limit"),
        ("/api/v1/indicators", "limit=many", "limit"),
        ("/api/v1/indicators", "limit=99999", "limit"),
        ("/api/v1/indicators", "cursor=!!!", "cursor"),
        ("/api/v1/indicators", "cursor=AAAA", "cursor"),
        ("/api/v1/indicators", "limit=1&limit=2", "limit"),
        ("/api/v1/indicators", "since=yesterday", "since"),
        ("/api/v1/indicators", "state=evil", "state"),
        ("/api/v1/records", "kind=gossip", "kind"),
        ("/api/v1/patterns/xyz", "", "pattern"),
    ],
)
async def test_a_bad_parameter_is_refused_with_its_name(
    node: Node, path: str, query: str, field: str
) -> None:
    answer = await node.get(f"{path}?{query}")
    assert answer.status == 400
    assert (await answer.json(content_type=None))["field"] == field
    assert await node.unharmed()


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("colour:red", 0),
        ("state", 5),
        ("state:watched,evil", 14),
        ('q:"never closed', 2),
        ("state:watched tier:none kind:", 29),
        ("state:watched state:benign", 14),
        ("since:soon", 6),
        ('q:"a"b', 5),
    ],
)
async def test_a_filter_that_makes_no_sense_is_pointed_at(node: Node, text: str, at: int) -> None:
    answer = await node.get("/api/v1/indicators", params={"filter": text})
    problem = await answer.json(content_type=None)
    assert (answer.status, problem["field"], problem["at"]) == (400, "filter", at)


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "/nowhere", 404, "no_route"),
        ("PUT", "/api/v1/indicators", 405, "method_not_allowed"),
        ("GET", "/api/v1/agents/nobody", 404, "not_found"),
        ("GET", "/api/v1/sessions/nowhere", 404, "not_found"),
        ("GET", f"/api/v1/patterns/{'0' * 64}", 404, "not_found"),
        ("GET", f"/api/v1/patterns/{'0' * 64}/why", 404, "not_found"),
    ],
)
async def test_what_is_not_there_is_said_so(
    node: Node, method: str, path: str, status: int, name: str
) -> None:
    answer = await node.client.request(method, path, headers=node.headers("admin"))
    assert answer.status == status
    assert node.parts.refusals[name] == 1


async def test_unknown_closed_and_replayed_actions_have_their_documented_answers(node: Node) -> None:
    action = {"action_id": "1", "tool": "search_orders", "arguments": {"q": "12"}}
    assert (await node.post("/api/v1/sessions/nowhere/actions", action)).status == 404
    opened = await node.open_session()
    assert opened["session_id"] == "s-1"
    assert set(opened["trust"]) >= {"score", "lower", "layers", "friction", "autonomy", "used"}
    first = await node.post("/api/v1/sessions/s-1/actions", action)
    again = await node.post("/api/v1/sessions/s-1/actions", action)
    assert first.status == again.status == 200
    assert await first.json() == await again.json()
    other = {**action, "tool": "delete_orders"}
    assert (await node.post("/api/v1/sessions/s-1/actions", other)).status == 409
    event = {"kind": "prompt", "role": "user", "text": "where is my order?"}
    assert (await node.post("/api/v1/sessions/s-1/events", event)).status == 202
    closing = await node.post("/api/v1/sessions/s-1/close", {"outcome": "done"})
    assert closing.status == 200, await closing.text()
    assert (await node.post("/api/v1/sessions/s-1/actions", {**action, "action_id": "2"})).status == 409
    assert node.parts.refusals["conflict"] == 2


async def test_declarations_scope_alternatives_and_feedback_are_answered(node: Node) -> None:
    await node.open_session()
    declared = await node.post("/api/v1/sessions/s-1/declare", {"text": "prepare the monthly sales report"})
    assert declared.status == 200, await declared.text()
    asked = await node.post("/api/v1/sessions/s-1/scope-requests", {"reason": "needs it"})
    assert asked.status in (200, 400)
    said = await node.post("/api/v1/sessions/s-1/feedback", {"kind": "satisfied", "positive": True})
    assert said.status == 200, await said.text()
    answer = await node.post("/api/v1/sessions/s-1/alternatives/none", {"accepted": True})
    assert answer.status == 404


async def test_a_session_is_shown_with_its_decisions(node: Node) -> None:
    await node.open_session()
    action = {"action_id": "1", "tool": "search_orders", "durable": True}
    assert (await node.post("/api/v1/sessions/s-1/actions", action)).status == 200
    shown = await node.json("/api/v1/sessions/s-1", "agent")
    assert [one["action_id"] for one in shown["decisions"]] == ["1"]
    assert (await node.json("/api/v1/agents"))["items"][0]["id"] == "a-1"
    assert (await node.json("/api/v1/agents/a-1"))["trust"]["friction"]
    assert (await node.json("/api/v1/sessions"))["items"][0]["session_id"] == "s-1"


async def test_tokens_are_made_listed_and_revoked(node: Node) -> None:
    answer = await node.post("/api/v1/tokens", {"role": "soc", "expires": "2099-01-01T00:00:00Z"}, "admin")
    made = await answer.json()
    assert answer.status == 201
    assert list(made)[:6] == ["id", "token", "role", "actor", "tlp", "expires"]
    mine = {"Authorization": f"Bearer {made['token']}"}
    assert (await node.client.get("/api/v1/status", headers=mine)).status == 200
    listed = (await node.json("/api/v1/tokens", "admin"))["items"]
    assert made["id"] in [row["id"] for row in listed]
    assert made["token"] not in str(listed)
    gone = await node.client.delete(f"/api/v1/tokens/{made['id']}", headers=node.headers("admin"))
    assert gone.status == 200
    assert (await node.client.get("/api/v1/status", headers=mine)).status == 401


@pytest.mark.parametrize(
    "body",
    [
        {"role": "agent"},
        {"role": "soc", "expires": "2001-01-01T00:00:00Z"},
        {"role": "soc", "expires": "9999-12-31T23:59:59-23:59"},
        {"role": "soc", "expires": "0001-01-01T00:00:00+23:59"},
    ],
)
async def test_a_token_without_sense_is_refused(node: Node, body: dict[str, str]) -> None:
    assert (await node.post("/api/v1/tokens", body, "admin")).status == 400


async def test_metrics_count_refusals_and_answers(node: Node) -> None:
    await node.client.get("/nowhere")
    text = await (await node.get("/metrics")).text()
    assert 'ioint_refused_total{name="no_route"} 1' in text
    assert 'ioint_http_answers_total{route="(no route)",method="GET",status="404"} 1' in text
    assert "ioint_stream_subscribers 0" in text


async def test_a_bug_is_answered_without_its_details(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("the secret is 42")

    monkeypatch.setattr("ioint_node.web.query.listings.newest_indicators", broken)
    answer = await node.get("/api/v1/indicators")
    assert answer.status == 500
    assert "42" not in await answer.text()
    assert node.parts.refusals["internal"] == 1


async def test_the_page_runs_nothing_that_is_not_its_own(node: Node) -> None:
    answer = await node.client.get("/")
    text = await answer.text()
    policy = answer.headers["Content-Security-Policy"]
    assert answer.headers["Server"] == "ioint"
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text
    assert "style=" not in text
