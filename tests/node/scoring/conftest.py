"""What the scoring tests share: a shipped model, a way to play a session, and the development sessions if present."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ioint_node.scoring import Model, SessionTracker, load_model
from ioint_node.scoring.values import Declaration, Event, Judgement
from ioint_protocol.pattern import Matcher
from ioint_taxonomy import Taxonomy, load_taxonomy

SAMPLE_EVERY = 37
Play = Callable[..., list[Judgement]]


@pytest.fixture(scope="session")
def taxonomy() -> Taxonomy:
    return load_taxonomy()


@pytest.fixture(scope="session")
def model() -> Model:
    return load_model()


@pytest.fixture
def start(taxonomy: Taxonomy, model: Model) -> Callable[..., SessionTracker]:
    def started(text: str = "", **given: Any) -> SessionTracker:
        given.setdefault("matcher", Matcher({}, taxonomy))
        return SessionTracker(Declaration(text=text), model=model, taxonomy=taxonomy, catalogue={}, **given)

    return started


@pytest.fixture
def play(start: Callable[..., SessionTracker]) -> Play:
    """Judge the calls of a session given as ("call", tool, arguments), ("result", text), ("memory", text)…."""

    def played(text: str, *events: Sequence[Any]) -> list[Judgement]:
        tracker = start(text)
        judged = [tracker.observe(event_of(*event)) for event in events]
        return [one for one in judged if one is not None]

    return played


def event_of(kind: str, *rest: Any) -> Event:
    """One event from its short form."""
    if kind == "call":
        return Event(kind="tool_call", tool=rest[0], arguments=rest[1])
    if kind == "result":
        return Event(kind="tool_result", text=rest[0])
    if kind == "heard":
        return Event(kind="observation", text=rest[0])
    if kind == "reply":
        return Event(kind="response", text=rest[0])
    return Event(kind="prompt", role={"said": "user", "operator": "system"}.get(kind, kind), text=rest[0])


@pytest.fixture(scope="session")
def data() -> Path:
    folder = Path(os.environ.get("IOINT_DATA", Path(__file__).parents[4] / "shared" / "data"))
    if not list(folder.glob("dev-*.jsonl.gz")):
        pytest.skip("the development sessions are not here")
    return folder


@pytest.fixture(scope="session")
def sample(data: Path) -> list[Mapping[str, Any]]:
    """A fixed part of the development sessions, of every file."""
    found = []
    for path in sorted(data.glob("dev-*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            found += [json.loads(line) for number, line in enumerate(lines) if number % SAMPLE_EVERY == 0]
    return found
