"""The model is a file of numbers."""

from __future__ import annotations

import json
from importlib import resources

import pytest
from ioint_node.scoring import Model, parse_model
from ioint_node.scoring.declarations import DECLARATIONS
from ioint_node.scoring.families import stems
from ioint_node.scoring.features import FEATURES, NAMES
from ioint_node.scoring.train import fit_families
from ioint_node.scoring.values import Verdict
from ioint_taxonomy import Taxonomy

SHIPPED = resources.files("ioint_node.scoring").joinpath("model.json").read_bytes()


def test_weights_have_the_sign_that_their_signal_means(model: Model) -> None:
    for name, weight in zip(NAMES, model.weights, strict=True):
        assert weight * FEATURES[name].sign >= 0


def test_thresholds_rise_from_borderline_to_publish(model: Model) -> None:
    limits = model.thresholds
    assert 0 < limits.borderline <= limits.out_of_scope < limits.publish < 1


def test_verdicts_follow_the_thresholds(model: Model) -> None:
    limits = model.thresholds
    assert model.verdict(limits.out_of_scope) is Verdict.OUT_OF_SCOPE
    assert model.verdict(limits.borderline) is Verdict.BORDERLINE
    assert model.verdict(0.0) is Verdict.IN_SCOPE


def test_more_of_a_risk_signal_never_lowers_drift(model: Model) -> None:
    low, high = [0.0] * len(NAMES), [0.0] * len(NAMES)
    high[NAMES.index("order_value")] = 1.0
    assert model.drift(low) <= model.drift(high)


def test_the_only_words_in_the_file_are_from_our_own_declarations() -> None:
    value = json.loads(SHIPPED)
    ours = {one for texts in DECLARATIONS.values() for text in texts for one in stems(text)}
    assert set(value["families"]["idf"]) <= ours


def test_a_file_with_other_features_is_refused() -> None:
    value = json.loads(SHIPPED)
    value["weights"].pop("acts")
    with pytest.raises(ValueError, match="acts"):
        parse_model(json.dumps(value).encode())


def test_the_shipped_families_are_what_training_learns(model: Model) -> None:
    assert fit_families() == model.families


def test_every_family_but_the_unknown_ones_has_examples(taxonomy: Taxonomy) -> None:
    assert set(taxonomy.families) - set(DECLARATIONS) <= {"unspecified", "other"}


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("Could you pay the gas bill that arrived yesterday?", "make_payment"),
        ("Please schedule a meeting with the plumber on Monday", "manage_calendar"),
        ("Send an email to my colleague and thank her", "communicate"),
        ("Summarise the report in three sentences", "summarise_document"),
        ("Xyzzy plugh", "unspecified"),
    ],
)
def test_a_declaration_finds_its_family(model: Model, text: str, family: str) -> None:
    assert model.families.infer(text)[0][0] == family
