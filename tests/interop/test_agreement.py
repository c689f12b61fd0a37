"""What no vector holds: many cases drawn by chance, of which both implementations have to say the same."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from ioint_protocol import canonical, segment

from tests.interop.draw import Sessions, damaged, damaged_records, opinions, sound_records
from tests.interop.test_vectors import VECTORS, run
from tests.protocol.test_reputation_vectors import judged
from tests.protocol.test_vectors import the_roster, vocabulary

CASES = 500
pytestmark = pytest.mark.network  # it starts a process


def vectors(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VECTORS / name).read_text())
    return found


def disagreements(javascript: str, folder: Path, name: str, file: dict[str, Any]) -> list[str]:
    """What the other implementation says is wrong with a file of cases; it has to look at every one."""
    text = json.dumps({**file, "about": "drawn"})
    (folder / name).write_text(text)
    (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n")
    _, found = run(javascript, folder)
    assert found[name]["checked"] == CASES
    return list(found[name]["failed"])


def read_value(data: bytes) -> dict[str, Any]:
    return {"value": canonical.decode(data)}


def read_segment(data: bytes) -> dict[str, Any]:
    by = the_roster()
    found = segment.verify_segment(segment.parse_segment(data), by.consortium, by)
    return {"head": found.head, "records": [record.id for record in found.records]}


def read_inclusion(data: bytes) -> dict[str, Any]:
    by = the_roster()
    found = segment.verify_inclusion(data, by.consortium, by)
    return {"author": found.author, "seq": found.seq, "index": found.index, "id": found.record.id}


def read_equivocation(data: bytes) -> dict[str, Any]:
    by = the_roster()
    author, seq = segment.verify_equivocation(data, by.consortium, by)
    return {"author": author, "seq": seq}


@pytest.mark.parametrize(
    ("name", "part", "field", "read"),
    [
        ("canonical.json", "cases", "bytes", read_value),
        ("segments.json", "cases", "wire", read_segment),
        ("segments.json", "inclusions", "proof", read_inclusion),
        ("segments.json", "proofs", "proof", read_equivocation),
    ],
)
def test_damaged_bytes_are_refused_alike(
    javascript: str, tmp_path: Path, name: str, part: str, field: str, read: Any
) -> None:
    file = vectors(name)
    sound = [case for case in file[part] if "refusal" not in case]
    chance = random.Random(4)  # noqa: S311
    empty = {key: [] if isinstance(value, list) else value for key, value in file.items()}
    cases = list(damaged(chance, sound, field, read, CASES))
    assert disagreements(javascript, tmp_path, name, {**empty, part: cases}) == []


def test_records_with_a_fault_are_refused_alike(javascript: str, tmp_path: Path) -> None:
    chance = random.Random(1)  # noqa: S311
    cases = list(damaged_records(chance, sound_records(vectors("records.json")), CASES))
    assert disagreements(javascript, tmp_path, "records.json", {"cases": cases}) == []


def test_the_same_records_come_to_the_same_opinion(javascript: str, tmp_path: Path) -> None:
    drawn = opinions(random.Random(3), CASES)  # noqa: S311
    cases = [case | {"expected": judged(case)} for case in drawn]
    assert disagreements(javascript, tmp_path, "reputations.json", {"cases": cases}) == []


@pytest.mark.parametrize(
    ("part", "draw"), [("sessions", Sessions.completed), ("special_cases", Sessions.special)]
)
def test_patterns_mean_the_same(javascript: str, tmp_path: Path, part: str, draw: Any) -> None:
    words = vectors("patterns.json")["vocabulary"]
    sessions = Sessions(random.Random(2), words, vocabulary())  # noqa: S311
    empty: dict[str, Any] = {"patterns": [], "sessions": [], "canonical": [], "special_cases": []}
    file = {**empty, "vocabulary": words, part: [draw(sessions, number) for number in range(CASES)]}
    assert disagreements(javascript, tmp_path, "patterns.json", file) == []
