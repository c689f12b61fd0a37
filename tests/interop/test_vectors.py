"""The vectors, run by an implementation that shares no code with this one: it was written from the specification."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.interop.conftest import FOLDER

VECTORS = Path(__file__).parents[2] / "protocol" / "vectors"
RUN_S = 60.0
pytestmark = pytest.mark.network  # it starts a process


def run(javascript: str, *words: object) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [javascript, FOLDER / "vectors.mjs", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def cases_in(path: Path) -> int:
    parts = json.loads(path.read_text(encoding="ascii")).values()
    return sum(isinstance(case, dict) for part in parts if isinstance(part, list) for case in part)


def test_every_case_of_every_file_has_the_outcome_that_it_tells(javascript: str) -> None:
    code, files = run(javascript, VECTORS)
    assert {name: found["failed"] for name, found in files.items() if found["failed"]} == {}
    assert {name: found["checked"] for name, found in files.items()} == {
        path.name: cases_in(path) for path in VECTORS.glob("*.json")
    }
    assert code == 0


def test_no_byte_of_an_accepted_case_can_change_unnoticed(javascript: str) -> None:
    code, files = run(javascript, VECTORS, "--mutate")
    assert {name: found["unnoticed"] for name, found in files.items() if found["unnoticed"]} == {}
    assert all(found["changed"] for found in files.values())
    assert code == 0


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(VECTORS, tmp_path / "vectors", ignore=shutil.ignore_patterns("*.py", "__*")))


def sign_off(folder: Path) -> None:
    """List the files as they are now."""
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.json")}
    (folder / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in digests.items()))


def test_one_changed_byte_of_any_file_fails_that_file(javascript: str, copy: Path) -> None:
    for path in copy.glob("*.json"):
        text = bytearray(path.read_bytes())
        text[text.index(b":") - 2] ^= 1  # within the name of a field, where JSON stays JSON
        path.write_bytes(text)
    code, files = run(javascript, copy)
    assert code == 1
    assert {name for name, found in files.items() if found["failed"]} == {
        path.name for path in copy.glob("*.json")
    }


def test_a_case_that_is_not_understood_is_a_failure(javascript: str, copy: Path) -> None:
    vectors = json.loads((copy / "records.json").read_text())
    vectors["cases"][0]["colour"] = "blue"
    (copy / "records.json").write_text(json.dumps(vectors))
    (copy / "more.json").write_text('{"about": "nothing", "cases": []}')
    sign_off(copy)
    code, files = run(javascript, copy)
    assert code == 1
    assert {"more.json", "records.json"} <= {name for name, found in files.items() if found["failed"]}
