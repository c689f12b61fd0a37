"""The measurement pages that need no data from outside are what their scripts write today."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from ioint_node.scoring.predict import read_sessions
from ioint_taxonomy import load_taxonomy

PLACE = Path(__file__).parents[2] / "docs" / "measurements"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"measurements_{name}", PLACE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_figures_of_the_step_mapper_are_those_of_today() -> None:
    mapping = script("mapping")
    result = mapping.measure()
    assert (PLACE / "mapping.md").read_text("utf-8") == mapping.page(result)
    assert json.loads((PLACE / "mapping.json").read_text("utf-8")) == result


def test_hand_labels_are_of_the_vocabulary() -> None:
    taxonomy = load_taxonomy()
    for one in script("mapping").other_servers():
        assert one.verb in taxonomy.verbs, one
        assert one.resource in taxonomy.resource_classes, one
        assert one.boundary in taxonomy.boundaries, one


def test_every_probe_can_be_read_and_says_what_is_bad_in_it() -> None:
    sessions = list(read_sessions(PLACE / "probes.jsonl"))
    assert len({one["session_id"] for one in sessions}) == len(sessions)
    for one in sessions:
        label, events = one["label"], one["events"]
        assert one["licence"] == "CC0-1.0"
        assert len(label["event_labels"]) == len(events)
        marked = [index for index, mark in enumerate(label["event_labels"]) if mark == "attack"]
        assert label["malicious"] == bool(marked)
        assert label["first_bad_event"] == (marked[0] if marked else None)
        assert all(events[index]["kind"] == "tool_call" for index in marked)


def test_both_halves_of_the_probes_hold_both_classes_and_no_common_field_of_work() -> None:
    fields: dict[str, set[str]] = {}
    classes: dict[str, set[bool]] = {}
    for one in read_sessions(PLACE / "probes.jsonl"):
        fields.setdefault(one["source"], set()).add(one["suite"])
        classes.setdefault(one["source"], set()).add(one["label"]["malicious"])
    assert sorted(fields) == ["probes-1", "probes-2"]
    assert not fields["probes-1"] & fields["probes-2"]
    assert all(found == {True, False} for found in classes.values())


@pytest.mark.parametrize("name", ["hunt", "propagate", "push", "withdrawal"])
def test_a_page_says_what_was_measured(name: str) -> None:
    found = json.loads((PLACE / f"{name}.json").read_text("utf-8"))
    assert (PLACE / f"{name}.md").read_text("utf-8") == script(name).page(found)


def test_the_page_about_the_rule_under_attack_says_what_was_measured() -> None:
    found = json.loads((PLACE / "reputation.json").read_text("utf-8"))
    assert found["passed"]
    assert (PLACE / "reputation.md").read_text("utf-8") == script("reputation").page(found)


def test_the_page_about_what_the_others_give_says_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PLACE)  # it imports what lies beside it
    found = json.loads((PLACE / "force.json").read_text("utf-8"))
    assert (PLACE / "force.md").read_text("utf-8") == script("force").page(found)
