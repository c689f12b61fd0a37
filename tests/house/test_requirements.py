"""The locked requirements: complete, hashed, of no particular index; and how the environment's Python is found."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("build", "run", "dev")
_NAME = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)


def lock(name: str) -> dict[str, str]:
    """Package → version of a lock file; of several for different Pythons, the last."""
    return {package.lower(): version for package, version in _NAME.findall(text(name))}


def text(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text()


def normal(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found.group()).lower()


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_hashed_and_no_index_is_named(name: str) -> None:
    body = text(name)
    assert "://" not in body
    assert "--index" not in body
    assert "--find-links" not in body
    for block in re.split(r"\n(?=[A-Za-z0-9])", body.strip()):
        assert re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*==", block), block[:80]
        assert "--hash=sha256:" in block, block[:80]


def test_the_tests_run_on_the_versions_that_the_node_runs_on() -> None:
    dev = lock("dev")
    assert {name: dev.get(name) for name in lock("run")} == lock("run")


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    wanted = {normal(each) for each in [*project["project"]["dependencies"], *extras["node"]]}
    assert wanted - set(lock("run")) == set()
    assert {normal(each) for each in extras["dev"]} - set(lock("dev")) == set()
    assert {normal(each) for each in project["build-system"]["requires"]} - set(lock("build")) == set()


def test_fastecdsa_is_the_one_with_wheels() -> None:
    assert int(lock("run")["fastecdsa"].split(".")[0]) >= 4
    assert lock("run")["libp2p"] == "0.8.1"


def find_python(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the search with nothing but the programs of a folder to find."""
    return subprocess.run(
        ["/bin/sh", str(ROOT / "deploy" / "find-python")],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": str(folder)},
        timeout=30,
    )


def put(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_a_machine_without_python_is_told_what_to_install(tmp_path: Path) -> None:
    done = find_python(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "ioint: Python 3.11 or newer is missing: apt-get install python3 python3-venv\n"


def test_a_machine_without_venv_is_told_the_package(tmp_path: Path) -> None:
    put(tmp_path, "python3", 'case "$2" in *ensurepip*) exit 1;; *) echo 3.12;; esac')
    done = find_python(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "apt-get install python3.12-venv" in done.stderr


def test_an_old_python_is_passed_over_for_a_newer_one(tmp_path: Path) -> None:
    put(tmp_path, "python3", "exit 0")  # prints no version: it is older than 3.11
    put(tmp_path, "python3.13", "echo 3.13")
    done = find_python(tmp_path)
    assert done.returncode == 0
    assert done.stdout.strip() == str(tmp_path / "python3.13")
