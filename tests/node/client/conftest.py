"""A node as a process of its own, which a test can kill and start again at the same address."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from ioint_node.cli import main

READY_S = 60.0
PAUSE_S = 0.05


def ioint(*words: object) -> list[str]:
    return [sys.executable, "-m", "ioint_node", *map(str, words)]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@dataclass(kw_only=True)
class RealNode:
    """A home directory, and the process that runs in it."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        log = self.home.parent / "node.log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(ioint("run", "--home", self.home), stderr=out, stdout=out)
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, log.read_text()
            try:
                if httpx.get(f"{self.url}/readyz", trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(PAUSE_S)
        raise AssertionError("the node did not become ready in time")

    def kill(self) -> None:
        """End it as a power cut does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def get(self, path: str, role: str = "soc") -> dict[str, object]:
        headers = {"Authorization": f"Bearer {self.tokens[role]}"}
        answer = httpx.get(self.url + path, headers=headers, trust_env=False)
        assert answer.status_code == 200, answer.text
        found: dict[str, object] = answer.json()
        return found


def make_home(place: Path, *, mode: str = "enforce") -> RealNode:
    node = RealNode(home=place / "node", port=free_port())
    words = ("init", "--home", node.home, "--org", "Alpha", "--web-port", node.port, "--exchange-port", 0)
    before = os.umask(0o077)
    assert main([str(word) for word in words]) == 0
    os.umask(before)
    settings = node.home / "config.toml"
    settings.write_text(settings.read_text().replace('mode = "observe"', f'mode = "{mode}"'))
    return node


def make_tokens(node: RealNode) -> None:
    """A token of every role that a client is tried with."""
    local = (node.home / "local.token").read_text().strip()
    headers = {"Authorization": f"Bearer {local}"}
    for role in ("agent", "engine", "soc", "admin"):
        body = {"role": role, "actor": "a-17"} if role == "agent" else {"role": role}
        made = httpx.post(f"{node.url}/api/v1/tokens", json=body, headers=headers, trust_env=False)
        assert made.status_code == 201, made.text
        node.tokens[role] = made.json()["token"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealNode]:
    node = make_home(tmp_path_factory.mktemp("node"))
    yield node
    node.kill()


@pytest.fixture
def node(home: RealNode) -> RealNode:
    """The node, running; what a test killed is started for the next."""
    if home.process is None:
        home.start()
    if not home.tokens:
        make_tokens(home)
    return home
