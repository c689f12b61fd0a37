"""Nothing that names a user, an agent, a prompt, an argument or a host leaves the node, by any way.

Unique strings stand in every place where such a thing can stand. Then every byte that any part sent to members, every
log line, metric, error, indicator and feed is searched for them. What the node tells its own engines and
administrators about their own agents and sessions is theirs, and is not searched.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from ioint_node.app import Node, start_logging
from ioint_node.demo.cast import SHIPPED
from ioint_node.demo.client import AnswerError, Client
from ioint_node.peers.life import Life

pytestmark = [pytest.mark.network, pytest.mark.timeout(120)]
INCIDENT = 8
USER, AGENT, HOST, PROMPT, ARGUMENT, RESULT, TOOL, SERVER = (
    f"canary{name}q7x" for name in ("user", "agent", "host", "prompt", "argument", "result", "tool", "server")
)
CANARIES = (USER, AGENT, HOST, PROMPT, ARGUMENT, RESULT, TOOL, SERVER)


def found_in(data: bytes) -> list[str]:
    lowered = data.lower()
    decoded = [lowered, *(base64.b64decode(part + b"==") for part in lowered.split() if _is_base64(part))]
    return [canary for canary in CANARIES for text in decoded if canary.encode() in text]


def _is_base64(part: bytes) -> bool:
    try:
        base64.b64decode(part + b"==", validate=True)
    except ValueError:
        return False
    return len(part) > 16


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every byte that the node hands to its exchange process for a member, asked or answered."""
    gathered: list[bytes] = []
    ask, answer = Life.ask, Life._answer

    async def asking(self: Life, peer_id: str, protocol: str, body: bytes, timeout_s: float) -> bytes:
        gathered.append(body)
        return await ask(self, peer_id, protocol, body, timeout_s)

    async def answering(self: Life, call: Any) -> None:
        events = self._events
        body = await events.call(call)
        gathered.append(body or b"")
        await answer(self, call)

    monkeypatch.setattr(Life, "ask", asking)
    monkeypatch.setattr(Life, "_answer", answering)
    return gathered


def poisoned() -> dict[str, Any]:
    """The demo's incident, with a canary in every text, name and argument."""
    session: dict[str, Any] = json.loads(SHIPPED.read_text().splitlines()[INCIDENT - 1])
    session["declared_intent"] += f" {PROMPT}"
    for event in session["events"]:
        if event["kind"] == "tool_call":
            event["arguments"] = {
                name: f"{value} {ARGUMENT}" if isinstance(value, str) and "@" not in value else value
                for name, value in event["arguments"].items()
            } | {"note": ARGUMENT, "host": HOST}
        elif "text" in event:
            event["text"] += f" {PROMPT if event['kind'] == 'prompt' else RESULT}"
    return session


async def replay(engine: Client, session: dict[str, Any]) -> None:
    await engine.post(
        "/api/v1/sessions",
        {
            "session_id": f"s-{AGENT}",
            "actor": {"id": AGENT, "kind": "agent", "on_behalf_of": USER},
            "declared": {"text": session["declared_intent"]},
        },
    )
    for index, event in enumerate(session["events"]):
        path = f"/api/v1/sessions/s-{AGENT}/"
        if event["kind"] == "tool_call":
            body = {"action_id": f"{index}", "tool": event["tool"], "arguments": event["arguments"]}
            await engine.post(path + "actions", body | {"server": SERVER, "durable": True})
        else:
            await engine.post(path + "events", {"kind": event["kind"], "text": event["text"]})
    body = {"action_id": "last", "tool": TOOL, "arguments": {TOOL: ARGUMENT}, "durable": True}
    await engine.post(f"/api/v1/sessions/s-{AGENT}/actions", body)


async def errors(engine: Client) -> bytes:
    """What the node says to requests that are wrong in every way, each with a canary in it."""
    said = b""
    for path, body in (
        ("/api/v1/sessions", {PROMPT: 1}),
        ("/api/v1/sessions", {"actor": {"id": 5}, "declared": {"text": PROMPT}}),
        (
            f"/api/v1/sessions/s-{AGENT}/actions",
            {"action_id": "1", "tool": ["x"], "arguments": {"a": ARGUMENT}},
        ),
        (f"/api/v1/sessions/s-{AGENT}/events", {"kind": "nothing", "text": PROMPT}),
    ):
        try:
            await engine.post(path, body)
        except AnswerError as error:
            said += str(error).encode()
    return said


async def test_no_canary_leaves(
    consortium: Any,
    client: Callable[[Node, str], Awaitable[Client]],
    until: Callable[..., Awaitable[Any]],
    sent: list[bytes],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    start_logging()
    caplog.set_level(logging.DEBUG)
    async with consortium.running(0, 1) as (first, second):
        engine, soc, admin = [await client(first, role) for role in ("engine", "soc", "admin")]
        await replay(engine, poisoned())
        refused = await errors(engine)
        there = await client(second, "soc")

        async def arrived() -> list[Any]:
            return [row async for row in there.items("/api/v1/records", kind="report")]

        assert await until(arrived), "the report did not leave: the search would prove nothing"
        left = await admin.get("/api/v1/outgoing", state="left")
        shown = [await soc.get(path) for path in ("/api/v1/indicators", "/api/v1/members", "/api/v1/peers")]
        async with aiohttp.ClientSession() as http:
            metrics = await http.get(f"{first.url}/metrics", headers=admin.headers)
            pages = await metrics.read()
    out, err = capfd.readouterr()
    logs = "\n".join(record.getMessage() for record in caplog.records) + out + err
    assert sent
    assert found_in(b"".join(sent)) == []
    assert found_in(json.dumps([left, shown]).encode()) == []
    assert found_in(pages) == []
    assert found_in(logs.encode()) == []
    # A caller may be told the name of a field that it sent; nothing of what stood in it.
    assert set(found_in(refused)) <= {PROMPT, AGENT}
    assert not Path(first.config.home / "node.log").exists()
