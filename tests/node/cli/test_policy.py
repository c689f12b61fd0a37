"""`ioint policy` and `ioint token rotate` as a person sees them."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ioint_node.cli import client, main, policy
from ioint_node.config import Config, write_config
from ioint_node.scoring.staging import Policy

KEY = "ab" * 16
CHANGE = {
    "wider": True,
    "envelope": {
        "verbs": ["send"],
        "resources": ["email"],
        "max_sensitivity": "internal",
        "max_boundary": "external",
    },
}
PAST = {
    "days": 30,
    "sessions": 9,
    "followed": 3,
    "whole": True,
    "allowed": {
        "sessions": 2,
        "items": [
            {"session_id": "s-1", "actor": "a-1", "actions": ["1"], "ordered": False, "why": "because"}
        ],
    },
    "stopped": {
        "sessions": 1,
        "ordered": 1,
        "items": [
            {"session_id": "s-9", "actor": "a-1", "actions": ["4"], "ordered": True, "why": "an order"}
        ],
    },
}
ROW = {
    "id": KEY,
    "kind": "envelope",
    "family": "research",
    "actor": None,
    "change": CHANGE,
    "text": "also send of email",
    "evidence": {"asked": [], "past": PAST},
    "state": "open",
    "by": "token:1",
    "at": "2026-11-20T00:00:00.000Z",
    "decided_by": None,
    "decided_at": None,
    "expires_at": None,
}
VERDICTS = {"in_scope": 7, "borderline": 2, "out_of_scope": 1}
COUNTED = {"answered": VERDICTS, "now": VERDICTS, "then": {**VERDICTS, "out_of_scope": 5}}
PREVIEW = {
    "tolerance": {"now": 1.0, "then": 3.0},
    "thresholds": {
        "now": {"borderline": 0.4, "out_of_scope": 0.7},
        "then": {"borderline": 0.2, "out_of_scope": 0.5},
    },
    "days": 7,
    "since": "2026-11-13T00:00:00.000Z",
    "actions": 10,
    "whole": True,
    "total": COUNTED,
    "families": [{"family": "research", "actions": 10, **COUNTED}],
}


class Answers(client.Client):
    """A node that answers from this page and keeps what it was sent."""

    sent: list[tuple[tuple[str, ...], Mapping[str, object]]] = []  # noqa: RUF012 - emptied by the fixture

    def get(self, *path: str, **query: object) -> Any:
        if path[-1] == "preview":
            return PREVIEW
        if path[-1] == "replay":
            return {**ROW, "past": PAST}
        if path[-1] == "policies":
            return {"in_force": Policy().to_json(), "items": [ROW], "next": None}
        return ROW

    def items(self, *path: str, limit: int | None = None, **query: object) -> Iterator[dict[str, Any]]:
        yield ROW

    def post(self, *path: str, body: Mapping[str, object]) -> Any:
        self.sent.append((path[3:], body))
        return {**ROW, "state": "accepted"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_config(Config(home=tmp_path / "home", org="Org"))
    Answers.sent.clear()
    monkeypatch.setattr(policy, "connect", lambda home: Answers(url="http://127.0.0.1:1", token="secret"))
    return tmp_path / "home"


def run(home: Path, *words: str) -> int:
    return main([*words, "--home", str(home)])


def test_the_policy_and_the_proposals_are_shown(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(home, "policy", "show") == 0
    shown = capsys.readouterr().out
    assert "also send of email" in shown
    assert "everyone" in shown
    assert "restart the node" not in shown


def test_a_setting_that_the_node_has_not_taken_up_is_named(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / "config.toml"
    text = (
        path.read_text()
        .replace("tolerance = 1.0", "tolerance = 2")
        .replace("enforce_share = 100", "enforce_share = 5")
    )
    path.write_text(text)
    assert run(home, "policy", "show") == 0
    assert "another tolerance, enforce_share: restart the node" in capsys.readouterr().out


def test_another_tolerance_is_a_table(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(home, "policy", "test", "--tolerance", "3") == 0
    shown = capsys.readouterr().out
    assert "1 / 1 / 5" in shown
    assert "0.7000 now, 0.5000 asked" in shown
    assert run(home, "policy", "test", "--tolerance", "31") == 2


def test_a_replay_names_the_sessions_and_warns(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(home, "policy", "replay", KEY[:12]) == 0
    shown = capsys.readouterr().out
    assert "would have been allowed: 2 sessions" in shown
    assert "1 of these take what they do from content" in shown


def test_a_change_is_decided_by_the_first_digits_of_its_id(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(home, "policy", "accept", KEY[:8], "--days", "7") == 0
    assert run(home, "policy", "accept", KEY, "--for-good") == 0
    assert run(home, "policy", "refuse", KEY) == 0
    assert run(home, "policy", "withdraw", KEY) == 0
    assert Answers.sent == [
        ((KEY,), {"accept": True, "days": 7}),
        ((KEY,), {"accept": True, "days": None}),
        ((KEY,), {"accept": False}),
        ((KEY, "withdraw"), {}),
    ]
    assert run(home, "policy", "accept", KEY, "--days", "7", "--for-good") == 2
    assert run(home, "policy", "accept", "12345678") == 1
    assert "see `ioint policy show`" in capsys.readouterr().err


def test_an_action_or_a_name_is_proposed(home: Path) -> None:
    assert run(home, "policy", "propose", "--session", "s-1", "--action", "4", "--everyone") == 0
    assert (
        run(home, "policy", "propose", "--family", "research", "--verb", "read", "--narrower", "--days", "3")
        == 0
    )
    assert [body for _, body in Answers.sent] == [
        {"session_id": "s-1", "action_id": "4", "everyone": True},
        {"family": "research", "verbs": ["read"], "narrower": True, "days": 3},
    ]


def test_rotating_this_machines_token_keeps_its_commands_signed_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "node"
    assert run(home, "init", "--org", "Alpha") == 0
    before = (home / "local.token").read_text().strip()
    capsys.readouterr()
    assert run(home, "token", "list", "-o", "json") == 0
    (row,) = json.loads(capsys.readouterr().out)["items"]
    assert run(home, "token", "rotate", row["id"], "-o", "json") == 0
    made = json.loads(capsys.readouterr().out)
    kept = home / "local.token"
    assert kept.read_text().strip() == made["token"] != before
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert run(home, "token", "rotate", "nowhere") == 1
    assert "see `ioint token list`" in capsys.readouterr().err


def test_a_policy_of_who_may_do_what_is_checked_without_a_node(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "boundary.json"
    file.write_text('{"schema":"ioint.boundary/1","rules":[{"effect":"permit","action":{"name":"read"}}]}')
    assert main(["policy", "boundary", "--file", str(file), "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["actions"] == ["read"]
    file.write_text('{"schema":"ioint.boundary/1","rules":[{"effect":"allow"}]}')
    assert main(["policy", "boundary", "--file", str(file)]) == 1
    told = capsys.readouterr().err
    assert "rules[0].effect" in told
    assert "permit or deny" in told
