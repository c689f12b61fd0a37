"""Where the second implementation runs: Node.js 22 or newer, with what its lock file names installed beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "js"
LEAST_VERSION = 22
START_S = 20.0


def find_node() -> str | None:
    """A Node.js that is new enough: the one that was installed with the rest, or the machine's own."""
    candidates = (str(FOLDER / "node_modules" / ".bin" / "node"), "node")
    return next((found for name in candidates if (found := shutil.which(name)) and _version(found)), None)


def _version(binary: str) -> bool:
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=START_S, check=False)
    major = said.stdout.removeprefix("v").partition(".")[0]
    return major.isdigit() and int(major) >= LEAST_VERSION


def missing() -> str | None:
    """What is not there, as a reason to skip."""
    if not (FOLDER / "node_modules" / ".package-lock.json").exists():
        return "the JavaScript node is not installed: run `make interop`"
    return None if find_node() else f"no Node.js {LEAST_VERSION} or newer on this machine: run `make interop`"


@pytest.fixture(scope="session")
def javascript() -> str:
    """The Node.js to run; in CI its absence is a failure."""
    if (reason := missing()) is not None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    node = find_node()
    assert node is not None
    return node
