"""Ids by their first digits, and commands on what a node answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ioint_node.cli import agents, approvals, consortium, indicators, main, why
from ioint_node.cli.ingest import _show_catchup
from ioint_node.cli.names import full_id, or_see, short_id
from ioint_node.errors import NotFoundError, RequestError
from ioint_node.reputation.gate import Grounds
from ioint_node.reputation.view import indicator_id
from ioint_taxonomy import load_catalogue

IDS = ("aabbccdd" + "0" * 56, "aabbccdd" + "1" * 56, "12345678" + "0" * 56)
PATTERN = min(load_catalogue().entries)
PACKAGE = "pkg:npm/left-pad"
PACKAGE_ID = indicator_id(PACKAGE)


class Node:
    """Answers from a table, and remembers what was sent."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers
        self.sent: list[tuple[str, Mapping[str, object]]] = []

    def get(self, *path: str, **_query: object) -> Any:
        """The answer of a route."""
        name = "/".join(path[2:])
        if name not in self._answers:
            raise NotFoundError(f"the node refused (404): no {name}")
        return self._answers[name]

    def items(self, *path: str, **_query: object) -> Iterator[Any]:
        """The items of a list."""
        yield from self.get(*path)["items"]

    def post(self, *path: str, body: Mapping[str, object]) -> Any:
        """Remember what was sent, and answer."""
        self.sent.append(("/".join(path[2:]), body))
        return self.get(*path)

    def delete(self, *path: str, **query: object) -> Any:
        """Remember what was to be taken back."""
        self.sent.append(("/".join(path[2:]), query))
        return {"removed": True}


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    held = {
        "id": IDS[0],
        "kind": "report",
        "subject": PATTERN,
        "bytes_b64": base64.b64encode(b'{"v":1}').decode(),
        "explain": [{"field": "v", "means": "1", "value": 1, "source": "number", "why": "a small number"}],
        "state": "held",
        "reason": "r" * 90,
        "category": "catalogue",
        "at": "2026-11-30T12:00:00.000Z",
        "tlp": "green",
        "readers": {"members": ["Beta"], "groups": 1, "tlp": "green", "pass_on": "to their communities"},
    }
    member = {"id": "b" * 32, "name": "Beta", "state": "active", "own": False, "quarantined_at": None}
    link = {
        "member": "b" * 32,
        "connected_since": 1_700_000_000_000,
        "last_success": 1_700_000_001_500,
        "behind": 2,
        "ahead": 0,
        "bytes_in": 70_000,
        "bytes_out": 512,
        "version": "1.0.0",
    }
    made = Node(
        {
            "approvals": {"items": [held, {**held, "id": IDS[2]}]},
            f"approvals/{IDS[0]}": {**held, "state": "ready", "reason": "approved by an operator"},
            "patterns": {"items": [{"id": PATTERN}]},
            "indicators": {"items": [{"id": each} for each in IDS]},
            f"patterns/{PATTERN}": {"id": PATTERN, "state": "unknown"},
            f"patterns/{PATTERN}/opinion": {"kind": "mute", "report": IDS[0], "deadline": "2026-12-14"},
            f"patterns/{PACKAGE_ID}/opinion": {"kind": "withdraw"},
            "overrides": {
                "items": [
                    {
                        "subject": subject,
                        "kind": kind,
                        "reason": "r",
                        "by": "x",
                        "at": "t",
                        "expires_at": None,
                    }
                    for subject, kind in (("cc" * 32, "allow"), ("pkg:npm/x", "allow"), ("", "effects"))
                ]
            },
            "members": {
                "items": [
                    {
                        **member,
                        "refused": {"bad_root": 2, "duplicate": 3},
                        "passed_over": {"duplicate": 3},
                        "last_success_at": None,
                    },
                    {
                        **member,
                        "id": "c" * 32,
                        "name": "Gamma",
                        "state": "removed",
                        "refused": {},
                        "passed_over": {},
                    },
                ]
            },
            "peers": {"items": [{**link, "refused": {"bad_root": 1, "too_large": 3}}]},
        }
    )
    for module in (approvals, consortium, indicators, why):
        monkeypatch.setattr(module, "connect", lambda _home: made)
    return made


def test_an_id_is_found_by_its_first_digits() -> None:
    assert full_id("12345678", IDS, what="record", listed="ioint list") == IDS[2]
    assert full_id("AABBCCDD0", IDS, what="record", listed="ioint list") == IDS[0]


def test_a_whole_id_is_taken_without_asking_what_there_is() -> None:
    assert full_id("f" * 64, iter(()), what="record", listed="ioint list") == "f" * 64


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("aabbccdd", "more than one record begins with aabbccdd: give more digits"),
        ("99999999", "no record begins with 99999999: see `ioint list`"),
        ("1234567", "give at least its first 8 hex digits, as `ioint list` shows them"),
        ("payment!", "is no id of a record"),
        ("a" * 65, "is no id of a record"),
    ],
)
def test_an_id_that_is_not_found_says_what_to_do(given: str, said: str) -> None:
    with pytest.raises(RequestError) as caught:
        full_id(given, IDS, what="record", listed="ioint list")
    assert said in str(caught.value)


def test_a_refusal_ends_with_where_to_look_and_keeps_its_kind() -> None:
    with (
        pytest.raises(NotFoundError, match=r"no agent 'x'; see `ioint agents list`$"),
        or_see("ioint agents list"),
    ):
        raise NotFoundError("no agent 'x'")


def test_a_pattern_is_shown_and_muted_by_the_digits_that_lists_print(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["indicators", "show", PATTERN[:12]]) == 0
    assert PATTERN in capsys.readouterr().out
    assert main(["indicators", "mute", PATTERN[:12], "--reason", "known here"]) == 0
    assert node.sent == [(f"patterns/{PATTERN}/opinion", {"kind": "mute", "reason": "known here"})]


def test_a_receipt_that_does_not_exist_points_at_the_pattern(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", PATTERN[:12]]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith(f"see `ioint indicators show {PATTERN[:12]}`")


def test_what_was_decided_here_is_listed_and_taken_back_also_where_nobody_reported_it(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["indicators", "decided"]) == 0
    out = capsys.readouterr().out
    assert ("cccccccccccc" in out, "pkg:npm/x" in out, "effects" in out) == (True, True, False)
    for given, subject in (("cccccccc", "cc" * 32), ("pkg:npm/x", "pkg:npm/x")):
        assert main(["indicators", "allow", given, "--end"]) == 0
        assert node.sent.pop() == ("overrides/allow", {"subject": subject})
    assert main(["indicators", "mute", "cccccccc", "--end"]) == 1
    assert "ioint indicators decided" in capsys.readouterr().err
    for words in ([], ["--end", "--reason", "x"], ["--end", "--days", "3"]):
        assert main(["indicators", "allow", "cccccccc", *words]) == 2
    assert node.sent == []


def test_records_that_do_not_verify_are_one_document_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = {"id": IDS[0], "kind": "report", "author": "b" * 32, "bytes_b64": ""}
    proofs = {f"records/{IDS[0]}/proof": {"items": [{"proof_b64": "AAAA"}]}, "records": {"items": [record]}}

    async def book(_config: object) -> SimpleNamespace:
        return SimpleNamespace(last=SimpleNamespace(), consortium="c" * 64)

    monkeypatch.setattr(indicators, "connect", lambda _home: Node(proofs))
    monkeypatch.setattr(indicators, "load_config", lambda _home: None)
    monkeypatch.setattr(indicators, "read_book", book)
    assert main(["indicators", "verify", PATTERN, "-o", "json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["ok"] is False
    assert "do not rely on them" in said.err


@pytest.mark.parametrize("kind", ["dispute", "withdraw"])
def test_what_others_read_has_a_reason_of_the_protocols_list(
    node: Node, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    assert main(["indicators", kind, PATTERN, "--reason", "because"]) == 2
    assert "'false_positive'" in capsys.readouterr().err
    assert main(["indicators", kind, PATTERN, "--reason", "false_positive"]) == 0
    assert node.sent[0][1] == {"kind": kind, "reason": "false_positive"}
    told = capsys.readouterr().err
    assert ("ioint consortium rule --false aabbccdd0000" in told) == (kind == "dispute")
    assert ("2026-12-14" in told) == (kind == "dispute")


def test_a_package_is_named_whole_and_by_its_url(node: Node) -> None:
    assert short_id(PACKAGE) == PACKAGE
    assert main(["indicators", "withdraw", PACKAGE, "--reason", "mistake"]) == 0
    assert node.sent[0][0] == f"patterns/{PACKAGE_ID}/opinion"


def test_every_ground_is_told_in_words() -> None:
    assert set(why.GROUNDS) == set(Grounds.__struct_fields__)


def test_a_note_is_short(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["indicators", "allow", PATTERN, "--reason", "x" * 65]) == 2
    assert "1 to 64" in capsys.readouterr().err
    assert node.sent == []


def test_what_waits_is_listed_in_lines_a_person_can_read(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["approvals", "list"]) == 0
    printed = capsys.readouterr().out
    assert IDS[0][:12] in printed
    for told in (load_catalogue().entries[PATTERN].title, "r" * 90, "green", "2026-11-30T12:00:00.000Z"):
        assert told in printed
    assert main(["approvals", "list", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["items"][0]["id"] == IDS[0]


def test_what_is_no_id_is_refused_in_plain_words(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["approvals", "show", "nonsense"]) == 1
    assert "'nonsense' is no id of an approval that waits" in capsys.readouterr().err


def test_a_record_that_waits_is_shown_to_the_byte(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["approvals", "show", IDS[0][:9]]) == 0
    printed = capsys.readouterr().out
    assert '7 bytes: {"v":1}' in printed
    assert "a small number" in printed
    assert "1 other member of 1 group will be able to read it: Beta" in printed
    assert main(["approvals", "show", IDS[1]]) == 1
    assert capsys.readouterr().err.splitlines()[-1].endswith("see `ioint approvals list`")


def test_a_decision_is_asked_for_and_told_in_three_lines(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    for contradiction in ([], ["--approve", "--refuse"], ["--refuse", "--approve"]):
        assert main(["approvals", "decide", IDS[0][:9], *contradiction]) == 2
        assert "give one of --approve" in capsys.readouterr().err
    assert node.sent == []
    assert main(["approvals", "decide", IDS[0][:9], "--approve"]) == 0
    assert node.sent == [(f"approvals/{IDS[0]}", {"approve": True})]
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_peers_are_told_with_instants_and_the_names_of_refusals_and_without_who_was_removed(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["peers"]) == 0
    _, line = capsys.readouterr().out.splitlines()
    assert "Beta  active  2023-11-14T22:13:20Z  2023-11-14T22:13:21Z  2 behind, 0 ahead" in line
    assert line.endswith("70000 in, 512 out  1.0.0    duplicate 3  bad_root 3, too_large 3")


def test_what_each_round_of_a_catch_up_took_is_printed_as_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    each = {"seconds": [0.28, 0.3], "copy_s": [0.1, 0.1], "verify_s": [0.05, 0.05]}
    plain = dict.fromkeys(("records", "authors", "megabytes", "per_cpu_s", "floor_per_cpu_s"), 1)
    machine = {"cores": 2, "processor": "x", "load": [0.5]}
    _show_catchup({**each, **plain, "times_floor": 2.0, "lifted": [], "machine": machine})
    assert "catching up      0.28, 0.3 s, 1 records per CPU second" in capsys.readouterr().out


def test_a_file_without_sessions_is_no_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "prose.jsonl").write_text("no session\n")
    for name in ("empty.jsonl", "prose.jsonl"):
        assert main(["demo", "--sessions", str(tmp_path / name), "--exit"]) == 1
        assert "docs/sessions.md" in capsys.readouterr().err.splitlines()[-1]


def test_a_session_is_explained_with_its_tools_and_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    decision = {
        "action_id": "c-1",
        "tool": "get_order",
        "server": "orders",
        "verdict": "in_scope",
        "response": "step_up",
        "allowed": True,
        "mode": "observe",
        "drift": 0.12,
        "wis": 0.87,
        "reasons": [
            {"code": "a", "weight": 1.5, "text": "the amount is new"},
            {"code": "level", "weight": 0.0, "text": "changes are accompanied"},
        ],
    }
    found = {"session_id": "s-1", "composition": "", "decisions": [decision]}
    monkeypatch.setattr(agents, "connect", lambda _home: Node({"sessions/s-1": found}))
    assert main(["explain", "s-1"]) == 0
    out = capsys.readouterr().out

    for said in (
        "orders/get_order: in_scope → step_up, allowed (observe)",
        "drift 0.12, WIS 0.87",
        "+1.50  the amount is new",
        "·  changes are accompanied",
        "log-odds",
    ):
        assert said in out
    assert "+0.00" not in out
    assert "composition  -" in " ".join(out.split("\n"))


def test_an_agents_token_without_its_actor_is_told_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "create", "--role", "agent"]) == 2
    assert "--actor" in capsys.readouterr().err
