"""On recorded sessions: fits that did not see a corpus rank it well, and names and numbers do not matter."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from ioint_node.scoring import Model
from ioint_node.scoring.predict import predict_session
from ioint_node.scoring.train import Rows, measure_sessions
from ioint_protocol.pattern import Matcher
from ioint_taxonomy import Taxonomy

pytestmark = pytest.mark.data
Session = Mapping[str, Any]


@pytest.fixture(scope="module")
def detection() -> ModuleType:
    path = Path(__file__).parents[3] / "docs" / "measurements" / "detection.py"
    spec = importlib.util.spec_from_file_location("detection", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["detection"] = module
    sys.path.insert(0, str(path.parent))  # it imports what lies beside it
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rows(sample: list[Session], taxonomy: Taxonomy, model: Model) -> Rows:
    return measure_sessions(sample, model.families, taxonomy=taxonomy)


def test_a_corpus_that_was_left_out_is_ranked_well(detection: ModuleType, rows: Rows) -> None:
    for corpus in ("agentdojo", "craibench"):
        drift = detection.held_out(rows, lambda one: one["source"])
        inside = np.array([one["source"] == corpus for one in rows.sessions])
        part = detection.subset(rows, inside)
        assert detection.session_auc(part, drift[inside[rows.session]]) > 0.95


def test_names_and_numbers_do_not_matter(
    detection: ModuleType, rows: Rows, sample: list[Session], taxonomy: Taxonomy, model: Model
) -> None:
    beta = np.array([*model.weights, model.bias])
    other = measure_sessions(
        [detection.renamed(one, index) for index, one in enumerate(sample)], model.families, taxonomy=taxonomy
    )
    before = detection.session_auc(rows, detection.scores(rows, beta))
    after = detection.session_auc(other, detection.scores(other, beta))
    assert before - after < 0.01


def test_no_calm_session_is_told_to_others(sample: list[Session], model: Model, taxonomy: Taxonomy) -> None:
    matcher = Matcher({}, taxonomy)
    calm = [one for one in sample if not one["label"]["malicious"] and not one["label"]["partial_attack"]]
    risks = [predict_session(one, model, matcher, taxonomy)["risk"] for one in calm]
    assert max(risks) < model.thresholds.publish


def test_few_calm_sessions_are_out_of_scope(sample: list[Session], model: Model, taxonomy: Taxonomy) -> None:
    matcher = Matcher({}, taxonomy)
    calm = [one for one in sample if not one["label"]["attack_present"]]
    flagged = sum(
        "out_of_scope" in predict_session(one, model, matcher, taxonomy)["verdicts"] for one in calm
    )
    assert flagged <= 0.02 * len(calm)
