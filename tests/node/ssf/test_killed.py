"""A node as a process of its own, killed while it pushes: its receiver hears all, in order, by the same names."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from aiohttp import ClientSession
from ioint_node.cli import main
from ioint_node.cli.client import connect
from ioint_node.config import load_config, read_run
from ioint_node.errors import NodeError

from tests.node.ssf.conftest import PUSH, WAIT_S, Receiver, receiving, verified

pytestmark = pytest.mark.network
READY_S = 60.0
AGENTS = 6


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """Commands set the umask of their process, which here is that of all tests."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    place = tmp_path / "node"
    assert main(["init", "--home", str(place), "--org", "Alpha"]) == 0
    file = place / "config.toml"
    text = (
        file.read_text()
        .replace("web_port = 8470", "web_port = 0")
        .replace("exchange_port = 4470", "exchange_port = 0")
    )
    file.write_text(text.replace('public_url = ""', 'public_url = "http://127.0.0.1:8470/alpha"'))
    return place


async def test_a_node_that_is_killed_while_it_pushes_loses_nothing(home: Path) -> None:
    async with receiving() as receiver:
        with running(home) as process:
            await asyncio.to_thread(ready, home, process)
            await asyncio.to_thread(_make, home, receiver.url)
            dying = _dies_at(receiver, 3, process)
            for number in range(AGENTS):
                await asyncio.to_thread(_halt, home, f"a-{number}")
                if process.poll() is not None:
                    break
            async with asyncio.timeout(WAIT_S):
                await dying.wait()
            await asyncio.to_thread(process.wait)
        with running(home) as process:
            await asyncio.to_thread(ready, home, process)
            for number in range(AGENTS):
                await asyncio.to_thread(_halt, home, f"a-{number}")
            receiver.jwks = await _keys(home)
            async with asyncio.timeout(2 * WAIT_S):
                while len(named := {one["jti"]: one for one in _claims(receiver)}) < AGENTS:
                    await receiver.wait_for(len(receiver.bodies) + 1)
            bodies = tuple(receiver.bodies)
            await asyncio.to_thread(_operate, home)

    assert [one["sub_id"]["sub"] for one in named.values()] == [f"a-{number}" for number in range(AGENTS)]
    assert len(bodies) > AGENTS  # what was in flight came again
    assert len(set(bodies)) == AGENTS  # as it was
    assert {one["iss"] for one in named.values()} == {"http://127.0.0.1:8470/alpha"}
    assert stat.S_IMODE((home / "keys" / "ssf.json").stat().st_mode) == 0o600


def _operate(home: Path) -> None:
    """What the operator of this node sees and does."""
    [row] = _said("streams", "list", "--home", home)["items"]
    assert (row["method"], row["status"], row["attempts"], row["last_status"]) == (
        "push",
        "enabled",
        0,
        "202",
    )
    token = load_config(home).token_file.read_text().strip()
    run = read_run(load_config(home))
    assert run is not None
    request = Request(f"{run.url}/metrics", headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - our own
    with urlopen(request) as answer:  # noqa: S310 - as above
        assert "ioint_signals_delivered" in answer.read().decode()
    assert _checked(home) == "security events: all of 1 streams go on"
    _said("streams", "set", row["id"][:8], "--status", "paused", "--reason", "we move", "--home", home)
    assert "security events: 1 of 1 streams do not go on" in _checked(home)
    assert _said("streams", "rotate-key", "--home", home)["signs_from_s"] > time.time() + 80_000
    with urlopen(f"{run.url}/ssf/jwks.json") as answer:  # noqa: S310 - as above
        assert len(json.load(answer)["keys"]) == 2


def _checked(home: Path) -> str:
    checks = _said("doctor", "--home", home)["checks"]
    return next(str(one["detail"]) for one in checks if one["check"] == "streams")


def _said(*words: object) -> Any:
    """What a command answers, here: a process of its own would take a while."""
    with StringIO() as out, redirect_stdout(out):
        main([*map(str, words), "-o", "json"])
        return json.loads(out.getvalue())


def _claims(receiver: Receiver) -> list[dict[str, Any]]:
    return [verified(one, receiver.jwks) for one in receiver.bodies]


def _dies_at(receiver: Receiver, count: int, process: subprocess.Popen[str]) -> asyncio.Event:
    """Let the node die while a receiver has a token and has not answered."""
    dying = asyncio.Event()

    def kill(came: int) -> None:
        if came == count:
            process.kill()
            dying.set()

    receiver.before_answer = kill
    return dying


def _make(home: Path, url: str) -> None:
    body = {"delivery": {"method": PUSH, "endpoint_url": url}}
    made = connect(home).post("ssf", "streams", body=body)
    assert made["iss"] == "http://127.0.0.1:8470/alpha"


def _halt(home: Path, agent: str) -> None:
    """Suspend an agent, unless it is."""
    node = connect(home)
    body = {"actor": {"id": agent, "kind": "agent"}, "declared": {"text": "answer questions"}}
    try:
        node.post("api", "v1", "sessions", body=body)
        if node.get("api", "v1", "agents", agent)["state"] != "suspended":
            node.post("api", "v1", "agents", agent, "respond", body={"action": "suspend"})
    except NodeError:  # it was killed
        return


async def _keys(home: Path) -> dict[str, Any]:
    run = read_run(load_config(home))
    assert run is not None
    async with ClientSession() as client, client.get(f"{run.url}/ssf/jwks.json") as answer:
        found: dict[str, Any] = await answer.json()
        return found


@contextmanager
def running(home: Path) -> Iterator[subprocess.Popen[str]]:
    """The command as a process of its own that cannot outlive the test."""
    process = subprocess.Popen(
        _ioint("run", "--home", home, "--role", "web,scorer,jobs"),
        stderr=subprocess.DEVNULL,
        text=True,
        umask=0o022,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def ready(home: Path, process: subprocess.Popen[str]) -> None:
    """Wait until the node serves and waits for nothing."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        assert process.poll() is None
        run = read_run(load_config(home))
        if run is not None and run.pid == process.pid:
            with suppress(NodeError):  # not yet
                if not connect(home).get("readyz").get("waiting_for"):
                    return
        time.sleep(0.1)
    raise AssertionError("the node did not become ready in time")


def _ioint(*words: object) -> list[str]:
    return [sys.executable, "-m", "ioint_node", *map(str, words)]
