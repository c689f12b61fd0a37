"""The format of recorded sessions is what docs/sessions.md says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from ioint_node.errors import PredictionError
from ioint_node.flows.requests import SessionLimits
from ioint_node.scoring import predict_file
from ioint_node.scoring.predict import EVENTS_PER_SESSION, KINDS, LINE_CHARS, events_of, read_sessions
from ioint_node.scoring.text import LEAF_CHARS, LEAVES_PER_CALL, TEXT_CHARS
from ioint_node.web.requests import EventBody

TEXT = (Path(__file__).parents[2] / "docs" / "sessions.md").read_text()
CALL: Mapping[str, Any] = {"kind": "tool_call", "tool": "read_file"}


def example() -> dict[str, Any]:
    found = re.search(r"<!-- example -->\n```json\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    return dict(json.loads(found.group(1)))


def file_of(tmp_path: Path, *sessions: object) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(f"{json.dumps(session)}\n" for session in sessions))
    return path


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def fields(title: str) -> set[str]:
    return set(re.findall(r"(?m)^\| `(\w+)` \|", section(title)))


def test_the_example_is_read_and_its_attack_is_found(tmp_path: Path) -> None:
    assert predict_file(file_of(tmp_path, example()), tmp_path / "out.jsonl") == 1
    told = json.loads((tmp_path / "out.jsonl").read_text())
    assert told["verdicts"] == [None, "in_scope", None, "out_of_scope"]
    assert set(told) == fields("Predictions")


def test_the_example_shows_fields_that_are_documented() -> None:
    session = example()
    assert set(session) == fields("A session")
    assert {key for event in session["events"] for key in event} <= fields("An event")


def test_every_kind_of_event_is_documented() -> None:
    row = next(line for line in section("An event").splitlines() if line.startswith("| `kind`"))
    assert set(re.findall(r"`(\w+)`", row)) == KINDS | {"kind"}


def test_the_documented_bounds_are_those_of_the_code() -> None:
    limits = SessionLimits()
    hints = get_type_hints(EventBody, include_extras=True)
    text = hints["text"].__metadata__[0].max_length
    error = (
        next(kind for kind in get_args(hints["error"]) if kind is not type(None)).__metadata__[0].max_length
    )
    scored = (LINE_CHARS, TEXT_CHARS, LEAVES_PER_CALL, LEAF_CHARS)
    bounds = (*scored, text, error, limits.argument_bytes, limits.actions, limits.events)
    assert re.findall(r"[\d,]*\d", section("Bounds")) == [f"{bound:,}" for bound in bounds]
    assert f"at most {EVENTS_PER_SESSION:,}" in section("A session")


def test_what_nobody_needs_is_ignored(tmp_path: Path) -> None:
    plain = example()
    more = {
        **plain,
        "label": {"malicious": True},
        "agent": {"id": "a"},
        "declared_tools": ["x"],
        "licence": "MIT",
    }
    more["events"] = [{**event, "i": index, "text_len": 9} for index, event in enumerate(plain["events"])]
    first, second = read_sessions(file_of(tmp_path, plain, more))
    assert list(events_of(first)) == list(events_of(second))


@pytest.mark.parametrize(
    ("session", "fault"),
    [
        ({"declared": {"text": "Show my mail"}}, "declared_intent is missing, and declared is not read"),
        ({"declared_intent": {"text": "Show my mail"}}, "declared_intent is not a string"),
        ({"events": [{**CALL, "args": {}}]}, r"events\[0\]\.arguments is missing, and events\[0\]\.args"),
        ({"events": [{**CALL, "input": {}}]}, r"events\[0\]\.arguments is missing"),
        ({"events": [{"kind": "tool_result", "content": "x"}]}, r"events\[0\]\.text is missing"),
        ({"events": [{"kind": "prompt", "content": "x"}]}, r"events\[0\]\.text is missing"),
        ({"events": [{**CALL, "t": "soon"}]}, r"events\[0\]\.t is not a number"),
        ({"events": [{**CALL, "t": float("nan")}]}, r"events\[0\]\.t is not a number"),
    ],
)
def test_what_would_be_missed_in_silence_is_refused_by_name(
    tmp_path: Path, session: Mapping[str, Any], fault: str
) -> None:
    source = file_of(tmp_path, {"session_id": "s", "events": [], **session})
    with pytest.raises(PredictionError, match=f"line 1: {fault}"):
        list(read_sessions(source))


def test_a_call_without_arguments_and_a_result_that_only_failed_are_sessions(tmp_path: Path) -> None:
    events = [CALL, {"kind": "tool_result", "error": True, "output": None}]
    source = file_of(tmp_path, {"session_id": "s", "events": events})
    assert predict_file(source, tmp_path / "out.jsonl") == 1
