"""`ioint run` as an operator runs it: a process that becomes ready, answers, and ends when it is told to."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ioint_node.cli import main
from ioint_node.cli.client import connect
from ioint_node.config import load_config, read_run
from ioint_node.errors import NodeError

READY_S = 60.0
STOP_S = 20.0
PAUSE_S = 0.05


def ioint(*words: object) -> list[str]:
    return [sys.executable, "-m", "ioint_node", *map(str, words)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    place = tmp_path / "node"
    words = ("init", "--home", place, "--org", "Alpha", "--web-port", 0, "--exchange-port", 0)
    assert main([str(word) for word in words]) == 0
    return place


@contextmanager
def running(home: Path, *words: object) -> Iterator[subprocess.Popen[str]]:
    """The command as a process of its own that cannot outlive the test."""
    process = subprocess.Popen(
        ioint("run", "--home", home, *words), stderr=subprocess.PIPE, text=True, umask=0o022
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
        assert process.poll() is None, process.communicate()[1]
        if read_run(load_config(home)) is not None:
            try:
                if not connect(home).get("readyz").get("waiting_for"):
                    return
            except NodeError:  # not yet
                pass
        time.sleep(PAUSE_S)
    raise AssertionError("the node did not become ready in time")


def stopped(process: subprocess.Popen[str]) -> str:
    """What the process said on standard error until SIGTERM ended it."""
    process.send_signal(signal.SIGTERM)
    return process.communicate(timeout=STOP_S)[1]


@pytest.mark.network
def test_a_node_becomes_ready_answers_and_ends_when_it_is_told_to(home: Path) -> None:
    with running(home) as process:
        ready(home, process)
        second = subprocess.run(
            ioint("run", "--home", home), capture_output=True, timeout=READY_S, check=False
        )
        status = connect(home).get("api", "v1", "status")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.rglob("*")}
        said = stopped(process)
    assert second.returncode == 1
    assert b"stop it first" in second.stderr
    assert isinstance(status, dict)
    assert {name for name, mode in modes.items() if mode & 0o077} == set()
    assert process.returncode == 0, said
    assert said.splitlines()[-1].endswith("stopped")
    assert "Traceback" not in said
    assert read_run(load_config(home)) is None


@pytest.mark.network
def test_the_log_of_a_member_is_the_nodes_own_and_no_librarys(home: Path) -> None:
    assert main(["consortium", "create", "--home", str(home), "--name", "Pact"]) == 0
    with running(home) as process:
        ready(home, process)
        said = stopped(process)
    assert {line.split()[3].partition(".")[0] for line in said.splitlines()} <= {"ioint", "ioint_node"}


def test_a_node_does_not_start_where_others_can_read_and_says_the_command(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "local.token").chmod(0o644)
    assert main(["run", "--home", str(home)]) == 1
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"run `chmod go-rwx {home / 'local.token'}`")
