"""What a new node and a narrow terminal show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ioint_node.cli import doctor, main
from ioint_node.cli.doctor import Note
from ioint_node.demo.screen import TABLE_COLUMNS, Screen
from ioint_node.errors import ConfigError
from ioint_taxonomy import load_catalogue
from rich.console import Console

ROW: dict[str, Any] = {
    "id": min(load_catalogue().entries),
    "state": "suspicious",
    "score": 64,
    "confidence": 61,
    "reporters": 3,
    "tier": "precautionary",
    "effect": 0.25,
    "local_hits": 12,
}


def shown(capsys: pytest.CaptureFixture[str], width: int) -> list[str]:
    screen = Screen(to_stderr=False)
    screen._console = Console(width=width, highlight=False)
    screen.soc([ROW])
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [80, TABLE_COLUMNS, 140])
def test_indicators_can_be_read_in_whatever_terminal(capsys: pytest.CaptureFixture[str], width: int) -> None:
    lines = shown(capsys, width)

    assert max(map(len, lines)) <= width
    assert len(lines) < 10
    assert "precautionary" in " ".join(lines)
    assert ("│" in lines[-2]) is (width >= TABLE_COLUMNS)


def test_what_is_still_to_be_done_is_a_note_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    checks = (
        ("roster", lambda _home: Note("in no consortium"), ()),
        ("input", lambda _home: Note("no session yet"), ("roster",)),
        ("keys", lambda _home: "member x", ()),
    )
    monkeypatch.setattr(doctor, "CHECKS", checks)
    assert main(["doctor", "--home", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert main(["doctor", "--home", str(tmp_path), "-o", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["checks"]

    assert "note     roster: in no consortium" in out
    assert "ok       keys" in out
    assert [row.get("note", False) for row in rows] == [True, True, False]
    assert all(row["ok"] for row in rows)


def test_a_node_that_nobody_has_called_yet_fails_loudly(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Empty:
        def items(self, *_path: str, **_query: object) -> list[object]:
            return []

    monkeypatch.setattr(doctor, "connect", lambda _home: Empty())
    with pytest.raises(ConfigError, match="nothing has arrived yet"):
        doctor._check_input(tmp_path)


@pytest.mark.parametrize(
    ("since", "found", "to_do"),
    [
        ([None, None], "0 of 2 other", True),
        ([5, None], "1 of 2 other", False),
        ([], "no other member", False),
    ],
)
def test_the_doctor_says_when_nobody_is_connected(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, since: list[int | None], found: str, to_do: bool
) -> None:
    class Node:
        def get(self, *path: str) -> dict[str, object]:
            rows: dict[str, list[dict[str, object]]] = {
                "members": [{"id": str(n), "own": False, "state": "active"} for n in range(len(since))],
                "peers": [{"member": str(n), "connected_since": each} for n, each in enumerate(since)],
            }
            return {"items": rows[path[-1]]}

    monkeypatch.setattr(doctor, "connect", lambda _home: Node())
    said = doctor._check_peers(tmp_path)
    assert found in said
    assert isinstance(said, Note) is to_do
