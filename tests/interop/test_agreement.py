"""What no vector holds: many cases drawn by chance, of which both implementations have to say the same."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.interop.draw import Sessions, damaged_records, sound_records
from tests.interop.test_vectors import VECTORS, run
from tests.protocol.test_vectors import vocabulary

CASES = 1_000
pytestmark = pytest.mark.network  # it starts a process


def vectors(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VECTORS / name).read_text())
    return found


def disagreements(javascript: str, folder: Path, name: str, file: dict[str, Any]) -> list[str]:
    """What the other implementation says is wrong with a file of cases; it has to look at every one."""
    text = json.dumps({"about": "drawn", **file})
    (folder / name).write_text(text)
    (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n")
    _, found = run(javascript, folder)
    assert found[name]["checked"] == CASES
    return list(found[name]["failed"])


def test_records_with_a_fault_are_refused_alike(javascript: str, tmp_path: Path) -> None:
    chance = random.Random(1)  # noqa: S311
    cases = list(damaged_records(chance, sound_records(vectors("records.json")), CASES))
    assert disagreements(javascript, tmp_path, "records.json", {"cases": cases}) == []


@pytest.mark.parametrize(
    ("part", "draw"), [("sessions", Sessions.completed), ("special_cases", Sessions.special)]
)
def test_patterns_mean_the_same(javascript: str, tmp_path: Path, part: str, draw: Any) -> None:
    words = vectors("patterns.json")["vocabulary"]
    sessions = Sessions(random.Random(2), words, vocabulary())  # noqa: S311
    empty: dict[str, Any] = {"patterns": [], "sessions": [], "canonical": [], "special_cases": []}
    file = {**empty, "vocabulary": words, part: [draw(sessions, number) for number in range(CASES)]}
    assert disagreements(javascript, tmp_path, "patterns.json", file) == []
