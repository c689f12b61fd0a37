"""`ioint score`: a file in, a file out, or a line that is named and no file."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ioint_node.errors import PredictionError
from ioint_node.scoring import Model, predict_file
from ioint_node.scoring.predict import predict_session
from ioint_protocol.pattern import Matcher
from ioint_taxonomy import Taxonomy

SESSION: Mapping[str, Any] = {
    "session_id": "s1",
    "declared_intent": "Show my mail",
    "time_unit": "seq",
    "events": [
        {"i": 0, "t": 0, "kind": "prompt", "role": "user", "text": "Show my mail"},
        {"i": 1, "t": 1, "kind": "tool_call", "tool": "get_mail", "arguments": {}},
        {"i": 2, "t": 2, "kind": "tool_result", "tool": "get_mail", "text": "none", "error": None},
    ],
}


def _write(path: Path, *lines: object) -> Path:
    path.write_text(
        "".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines), encoding="utf-8"
    )
    return path


def test_one_line_comes_out_for_each_that_goes_in(tmp_path: Path) -> None:
    source = _write(tmp_path / "in.jsonl", {**SESSION, "session_id": "b"}, {**SESSION, "session_id": "a"})
    heard: list[tuple[int, int]] = []
    count = predict_file(source, tmp_path / "out.jsonl", lambda done, total: heard.append((done, total)))
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert count == len(heard) == 2
    assert [line["session_id"] for line in lines] == ["b", "a"]
    assert [len(line["verdicts"]) for line in lines] == [3, 3]
    assert lines[0]["verdicts"][0] is None
    assert lines[0]["verdicts"][2] is None
    assert lines[0]["verdicts"][1] == "in_scope"
    assert 0 <= lines[0]["event_risk"][1] <= lines[0]["risk"] <= 1


def test_gzip_goes_in_and_out(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "in.jsonl.gz", "wt", encoding="utf-8") as out:
        out.write(json.dumps(SESSION) + "\n")
    assert predict_file(tmp_path / "in.jsonl.gz", tmp_path / "out.jsonl.gz") == 1
    with gzip.open(tmp_path / "out.jsonl.gz", "rt", encoding="utf-8") as lines:
        assert json.loads(lines.read())["session_id"] == "s1"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ({"events": []}, "session_id"),
        ({"session_id": "x"}, "events"),
        ({"session_id": "x", "events": [3]}, r"events\[0\]"),
        ({"session_id": "x", "events": [{"kind": "nap"}]}, r"events\[0\]\.kind"),
        ({"session_id": "x", "events": [{"kind": "tool_call"}]}, "without a tool"),
        ({"session_id": "x", "events": [{"kind": "prompt", "text": 3}]}, "text"),
        ({"session_id": "x", "events": [{"kind": "tool_call", "tool": "t", "arguments": []}]}, "arguments"),
    ],
)
def test_a_malformed_line_is_named_and_leaves_no_file(tmp_path: Path, line: object, fault: str) -> None:
    source = _write(tmp_path / "in.jsonl", SESSION, line)
    with pytest.raises(PredictionError, match=f"line 2: .*{fault}"):
        predict_file(source, tmp_path / "out.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_broken_archive_is_the_files_fault(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl.gz").write_bytes(gzip.compress(json.dumps(SESSION).encode() * 50)[:60])
    with pytest.raises(PredictionError, match="line 1"):
        predict_file(tmp_path / "in.jsonl.gz", tmp_path / "out.jsonl")


def test_the_label_and_the_clock_of_a_counter_change_nothing(model: Model, taxonomy: Taxonomy) -> None:
    matcher = Matcher({}, taxonomy)
    plain = predict_session(SESSION, model, matcher, taxonomy)
    events = [{**event, "t": 900 * event["i"]} for event in SESSION["events"]]
    marked = {
        **SESSION,
        "events": events,
        "label": {"malicious": True},
        "agent": {"model": "m"},
        "source": "z",
    }
    assert predict_session(marked, model, matcher, taxonomy) == plain
