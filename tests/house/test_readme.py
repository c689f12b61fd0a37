"""The README's session, run as it is written: in a fresh directory, on ports of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"<!-- tested -->\n```console\n(.*?)```", re.DOTALL)
PRINTED = re.compile(r"<!-- printed -->\n```\n(.*?)```", re.DOTALL)
SESSION_S = 110


def script(ports: dict[str, str]) -> str:
    """The tested blocks as one shell script; a curl that gets an error answer fails."""
    text = "".join(BLOCK.findall((ROOT / "README.md").read_text()))
    text = re.sub(r"(?m)^\$ ", "", text).replace("curl -sw ", "curl -sS --fail-with-body -w ")
    text = text.replace(
        "ioint init --org Alpha", "ioint init --org Alpha --web-port 8470 --exchange-port 4470"
    )
    text = re.sub("|".join(ports), lambda written: ports[written.group()], text)
    return f"set -eu\n{text}"


def free_ports(*written: str) -> dict[str, str]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in written]
    ports = {name: str(each.getsockname()[1]) for name, each in zip(written, held, strict=True)}
    for each in held:
        each.close()
    return ports


def test_there_is_a_session_to_run() -> None:
    assert len(BLOCK.findall((ROOT / "README.md").read_text())) == 6


@pytest.mark.network
@pytest.mark.skipif(shutil.which("curl") is None, reason="the README calls the node with curl")
def test_the_session_of_the_readme_works_as_written(tmp_path: Path) -> None:
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "IOINT_HOME": str(tmp_path / "alpha"),
    }
    with (tmp_path / "told").open("w+b") as told:
        shell = subprocess.Popen(
            ["/bin/bash", "-c", script(free_ports("8470", "4470", "8471", "4471"))],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = shell.wait(SESSION_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGTERM)  # the node that the script left in the background
            shell.wait(10)
        told.seek(0)
        text = told.read().decode()
    assert code == 0, text
    for block in PRINTED.findall((ROOT / "README.md").read_text()):
        assert block in text, text
    assert "clerk-7" in text
    assert text.count('{"ready":true') == 3
    assert '"ready":false' not in text
    assert "Beta  active" in text
    assert "approved by an operator" in text
    assert '"approval":{"id":' in text
    assert '"state":"used"' in text
