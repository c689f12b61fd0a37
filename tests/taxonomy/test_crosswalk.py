import json
from collections import Counter
from pathlib import Path
from typing import Any

import ioint_taxonomy
import pytest
from ioint_taxonomy import load_taxonomy

DATA = Path(ioint_taxonomy.__file__).parent / "data"


def rows() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((DATA / "crosswalk.json").read_text("utf-8"))["rows"]
    return found


def facts() -> dict[tuple[str, str, str], dict[str, str]]:
    found = {}
    for path in (DATA / "frameworks").glob("*.json"):
        edition = json.loads(path.read_text("utf-8"))
        for entry in edition["entries"]:
            found[edition["framework"], edition["edition"], entry["id"]] = entry
    return found


def fault_of(row: dict[str, Any], known: dict[tuple[str, str, str], dict[str, str]]) -> str | None:
    fact = known.get((row["framework"], row["edition"], row["id"]))
    if fact is None:
        return f"{row['framework']} {row['edition']} has no {row['id']}"
    if fact["status"] != "active":
        return f"{row['id']} is {fact['status']}"
    if fact["name"] != row["name"]:
        return f"{row['id']} was {row['name']!r}, now {fact['name']!r}"
    return None


def test_every_row_names_a_living_id_by_its_present_name() -> None:
    known = facts()
    assert [fault for row in rows() if (fault := fault_of(row, known)) is not None] == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"id": "AML.T9999"}, "has no"),
        ({"edition": "2026.08"}, "has no"),
        ({"name": "Something else"}, "was 'Something else'"),
    ],
)
def test_a_row_that_drifted_is_found(change: dict[str, str], fault: str) -> None:
    row = next(row for row in rows() if row["framework"] == "atlas")
    assert fault in (fault_of(row | change, facts()) or "")


def test_a_retired_id_is_found() -> None:
    known = facts()
    framework, edition, retired = next(key for key, fact in known.items() if fact["status"] == "retired")
    row = {"framework": framework, "edition": edition, "id": retired, "name": "any"}
    assert fault_of(row, known) == f"{retired} is retired"


def test_every_row_is_about_an_intent_of_the_release_and_stands_once() -> None:
    taxonomy = load_taxonomy()
    keys = Counter((row["intent"], row["framework"], row["edition"], row["id"]) for row in rows())
    assert [key for key, count in keys.items() if count > 1] == []
    assert [key for key in keys if taxonomy.intent_by_id(key[0]) is None] == []


def test_an_intent_carries_its_mappings_by_framework_and_edition() -> None:
    mappings = load_taxonomy().intents["goal_hijack"].mappings
    assert mappings["atlas", "2026.09"] == ("AML.T0051", "AML.T0051.001")
    assert mappings["owasp_asi", "2026"] == ("ASI01",)


def test_all_of_the_agentic_top_ten_is_reached() -> None:
    reached = {row["id"] for row in rows() if row["framework"] == "owasp_asi"}
    assert reached == {f"ASI{number:02}" for number in range(1, 11)}
