"""Nothing that names a user, an agent, a prompt, an argument or a host leaves the node, by any way.

Unique strings stand in every place where such a thing can stand. A real node works with them in processes of its own,
and every byte that any of these gives to any socket is written down, with who is at the other end (`eavesdrop`); so is
what the exchange says inside its encryption, and every name that is looked up. Then all is searched, with the log, the
metrics, what `status`, `doctor` and `support-dump` print, and what strangers are answered.

Not searched are the answers to three callers, each of whom is entitled to what it reads: the agent gateway, which told
it; administrators of the own organisation, whose agents and sessions these are; and the commands on this machine.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from ioint_node.config import Config, change_setting
from ioint_node.demo.cast import SHIPPED
from ioint_node.demo.client import AnswerError, Client
from ioint_node.store import tokens
from ioint_node.store.engine import open_store

pytestmark = [pytest.mark.network, pytest.mark.timeout(180)]
INCIDENT = 8
WITHIN_S = 60.0
NAMES = (
    "user", "agent", "owner", "host", "prompt", "reasoning", "argument", "result", "tool", "server", "model", "session",
    "action", "domain", "scope", "note", "browser",
)  # fmt: skip
CANARY = {name: f"canary{name}q7x" for name in NAMES}
# Where the callers come from: the addresses of one machine tell its connections apart.
ENTITLED, STRANGER, COMMANDS = "127.0.0.2", "127.0.0.3", "127.0.0.1"
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")


def found_in(data: bytes) -> set[str]:
    """The canaries in some bytes, as they stand, in base64 and in hexadecimal."""
    whole = {part[: len(part) // 4 * 4] for part in _BASE64.findall(data)}
    readings = b"\n".join([data, *(base64.b64decode(part, altchars=b"-_") for part in whole)]).lower()
    return {
        canary
        for canary in CANARY.values()
        for mark in (canary.encode(), canary.encode().hex().encode())
        if mark in readings
    }


@dataclass(kw_only=True)
class Running:
    """A node in processes of its own, overheard."""

    config: Config
    heard: Path
    log: Path
    process: asyncio.subprocess.Process
    url: str = ""
    callers: dict[str, Client] = field(default_factory=dict)

    def overheard(self, kind: str) -> dict[tuple[int, str], bytes]:
        """What was said, by process and by who is at the other end."""
        found: dict[tuple[int, str], bytes] = {}
        for file in sorted(self.heard.glob("*.log")):
            for line in file.read_text().splitlines():
                what, peer, data = line.split(" ")
                if what == kind:
                    key = (int(file.stem), peer)
                    found[key] = found.get(key, b"") + bytes.fromhex(data)
        return found


@asynccontextmanager
async def running(config: Config, folder: Path) -> AsyncIterator[Running]:
    """Run a node as an operator does, with the eavesdropper on its path."""
    folder.mkdir()
    shutil.copy(Path(__file__).parent / "eavesdrop" / "sitecustomize.py", folder)
    log = folder / "node.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command("run", config),
            stdout=output,
            stderr=output,
            env=os.environ | {"PYTHONPATH": str(folder)},
        )
    node = Running(config=config, heard=folder / "heard", log=log, process=process)
    try:
        async with asyncio.timeout(WITHIN_S):
            while not config.run_file.exists():
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.05)
        node.url = str(json.loads(config.run_file.read_text())["url"])
        yield node
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WITHIN_S):
            await process.wait()


def command(name: str, config: Config, *more: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "ioint_node", name, "--home", str(config.home), *more)


async def printed(name: str, config: Config) -> bytes:
    """What a command shows."""
    process = await asyncio.create_subprocess_exec(
        *command(name, config), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(WITHIN_S):
        output, _ = await process.communicate()
    return output


@asynccontextmanager
async def calling(node: Running, roles: Sequence[str], source: str) -> AsyncIterator[list[Client]]:
    """Clients of a node, one of each role, whose connections come from an address of their own."""
    async with open_store(node.config.store_url) as store:
        keys = [
            await store.write(
                lambda connection, role=role: tokens.create(  # type: ignore[misc]
                    connection, role, "somebody-else" if role == "agent" else None, "red", None
                )
            )
            for role in roles
        ]
    connector = aiohttp.TCPConnector(local_addr=(source, 0))
    async with aiohttp.ClientSession(connector=connector) as http:
        yield [Client(http, node.url, key.token) for key in keys]


def poisoned() -> dict[str, Any]:
    """The demo's incident, with a canary in every text, name and argument."""
    session: dict[str, Any] = json.loads(SHIPPED.read_text().splitlines()[INCIDENT - 1])
    session["declared_intent"] += f" {CANARY['prompt']}"
    for event in session["events"]:
        if event["kind"] == "tool_call":
            event["arguments"] = {
                name: f"{value} {CANARY['argument']}"
                if isinstance(value, str) and "@" not in value
                else value
                for name, value in event["arguments"].items()
            } | {"note": CANARY["argument"], "host": CANARY["host"]}
        elif "text" in event:
            event["text"] += f" {CANARY['prompt' if event['kind'] == 'prompt' else 'result']}"
    return session


async def tell(admin: Client, engine: Client) -> None:
    """Give the node a canary wherever it takes a name or a text."""
    agent, session_id = CANARY["agent"], CANARY["session"]
    row = {"id": agent, "kind": "agent", "role": "service", "tenure_days": 9, "attestation": "stated"}
    await admin.post("/api/v1/agents/import", {"actors": [row | {"owner": CANARY["owner"]}]})
    recorded = poisoned()
    made_of = {"model": CANARY["model"], "prompt_sha256": "ab" * 32, "tools": [CANARY["tool"]]}
    actor = {"id": agent, "kind": "agent", "on_behalf_of": CANARY["user"], "composition": made_of}
    declared = {"text": recorded["declared_intent"]}
    await engine.post("/api/v1/sessions", {"session_id": session_id, "actor": actor, "declared": declared})
    path = f"/api/v1/sessions/{session_id}/"
    await engine.post(path + "events", {"kind": "reasoning", "text": CANARY["reasoning"]})
    for index, event in enumerate(recorded["events"]):
        if event["kind"] == "tool_call":
            named = {"action_id": f"{CANARY['action']}-{index}", "server": CANARY["server"], "durable": True}
            await engine.post(
                path + "actions", named | {"tool": event["tool"], "arguments": event["arguments"]}
            )
        else:
            await engine.post(path + "events", {"kind": event["kind"], "text": event["text"]})
    odd = {"action_id": "last", "tool": CANARY["tool"], "arguments": {CANARY["tool"]: CANARY["argument"]}}
    await engine.post(path + "actions", odd | {"durable": True})
    pattern = next(iter((await admin.get("/api/v1/patterns"))["items"]))["id"]
    note = {"kind": "mute", "reason": CANARY["note"]}
    await admin.post(f"/api/v1/patterns/{pattern}/opinion", note)
    standing = {"class": "catalogue", "reason": CANARY["note"]}
    await admin.post("/api/v1/standing-approvals", standing)


async def strangers(node: Running, client: Client) -> None:
    """Ask for everything with a token that opens none of it, without one, and in ways that are wrong."""
    wrong: tuple[tuple[str, dict[str, Any]], ...] = (
        ("/api/v1/sessions", {"unknown": 1}),
        ("/api/v1/sessions", {"actor": {"id": 5}, "declared": {}}),
        ("/api/v1/observations", {"kind": "nothing"}),
        ("/api/v1/approvals/" + "ab" * 32, {"approve": True}),
    )
    for path, body in wrong:
        with pytest.raises(AnswerError):
            await client.post(path, body)
    doors = (
        "agents", "sessions", "indicators", "outgoing", "approvals", "records", "status", "members", "snapshot",
        "standing-approvals", "overrides", "tokens", "novel-patterns", "peers", "observations",
    )  # fmt: skip
    for door in doors:
        with pytest.raises(AnswerError):
            await client.get(f"/api/v1/{door}")
    connector = aiohttp.TCPConnector(local_addr=(STRANGER, 0))
    async with aiohttp.ClientSession(connector=connector) as http:
        for path in ("/healthz", "/readyz", "/openapi.json", "/", "/.well-known/jwks.json", "/metrics"):
            async with http.get(node.url + path) as answer:
                await answer.read()
        for data in (b"{", b'{"actor"', b"\xff\x00", b"[" * 5_000):
            async with http.post(f"{node.url}/api/v1/sessions", data=data) as answer:
                await answer.read()


async def test_no_canary_leaves(consortium: Any, tmp_path: Path) -> None:
    first, second = consortium.configs[:2]
    first = change_setting(first, "own_domains", (f"{CANARY['domain']}.example",))  # type: ignore[arg-type]
    first = change_setting(first, "private_names", (f"@{CANARY['scope']}",))  # type: ignore[arg-type]
    mapped = [f"{kind}:{CANARY[kind]}=pkg:npm/left-pad" for kind in ("server", "tool", "model")]
    first = change_setting(first, "subjects", tuple(mapped))  # type: ignore[arg-type]
    first = change_setting(first, "benign_voices", True)
    async with running(second, tmp_path / "second") as there, running(first, tmp_path / "first") as here:
        async with calling(there, ("soc",), ENTITLED) as (reader,):
            async with calling(here, ("admin", "engine"), ENTITLED) as (admin, engine):
                await tell(admin, engine)
                told = await arrived(reader)
                metrics = await text_of(admin, f"{here.url}/metrics")
                left = await admin.get("/api/v1/outgoing", state="left")
                about_members = [
                    await admin.get(f"/api/v1/{door}")
                    for door in ("indicators", "records", "members", "peers", "status")
                ]
            async with calling(here, ("agent",), STRANGER) as (stranger,):
                await strangers(here, stranger)
        shown = {name: await printed(name, first) for name in ("status", "doctor", "support-dump")}
    assert told, "the report did not arrive: the search would prove nothing"
    said, names = here.overheard("said"), here.overheard("name")
    assert any(b"threshold" in data for data in said.values()), "the exchange was not overheard"
    assert found_in(b"".join(said.values())) == set()
    assert found_in(b"".join(names.values())) == set()
    main = here.process.pid
    assert {process == main for process, _ in here.overheard("bytes")} == {True, False}
    for (process, peer), data in here.overheard("bytes").items():
        if process != main or peer.split(":")[0] not in {ENTITLED, COMMANDS}:
            assert found_in(data) == set(), (process == main, peer)
    to_strangers = [peer for process, peer in here.overheard("bytes") if peer.startswith(f"{STRANGER}:")]
    assert to_strangers, "no stranger was answered: the search would prove nothing"
    assert found_in(here.log.read_bytes()) == set()
    assert found_in(metrics) == set()
    assert found_in(json.dumps([left, about_members, told]).encode()) == set()
    for name, output in shown.items():
        assert output, name
        assert found_in(output) == set(), name
    assert str(first.home).encode() not in shown["support-dump"]
    assert socket.gethostname().encode() not in shown["support-dump"]


async def test_the_eavesdropper_hears_what_does_leave(consortium: Any, tmp_path: Path) -> None:
    """The search would find a canary: the gateway's own answers are overheard with every one that they hold."""
    config = consortium.configs[0]
    async with (
        running(config, tmp_path / "node") as node,
        calling(node, ("admin", "engine"), ENTITLED) as (admin, engine),
    ):
        await tell(admin, engine)
        await admin.get("/api/v1/agents")
    answers = b"".join(
        data for (_, peer), data in node.overheard("bytes").items() if peer.startswith(f"{ENTITLED}:")
    )
    assert {CANARY["session"], CANARY["agent"], CANARY["owner"]} <= found_in(answers)


async def arrived(reader: Client) -> Any:
    """The reports that came to the other member; None when none did in time."""
    return await reader.until(
        "/api/v1/records", lambda answer: bool(answer["items"]), within_s=WITHIN_S, kind="report"
    )


async def text_of(client: Client, url: str) -> bytes:
    connector = aiohttp.TCPConnector(local_addr=(ENTITLED, 0))
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        http.get(url, headers=client.headers) as answer,
    ):
        assert answer.status == 200
        return await answer.read()
