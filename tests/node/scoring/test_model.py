"""The model is a file of numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources

import numpy as np
import pytest
from ioint_node.scoring import Model, Thresholds, parse_model
from ioint_node.scoring.declarations import DECLARATIONS
from ioint_node.scoring.families import stems
from ioint_node.scoring.features import FEATURES, NAMES
from ioint_node.scoring.model import SCHEMA
from ioint_node.scoring.train import fit_families
from ioint_node.scoring.values import Verdict
from ioint_taxonomy import Taxonomy
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

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


def test_no_word_of_any_session_stands_in_the_file(taxonomy: Taxonomy) -> None:
    """Every string of the file is a name of ours: of a signal, a family, a verb, a resource, or of our declarations."""
    ours = {one for texts in DECLARATIONS.values() for text in texts for one in stems(text)}
    ours |= {*FEATURES, *taxonomy.families, taxonomy.version, SCHEMA, *Thresholds.__slots__, "per_1000"}
    ours |= {"schema", "taxonomy", "weights", "bias", "thresholds", "operating", "families", "slugs", "idf"}
    assert set(strings(json.loads(SHIPPED))) <= ours


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from strings(item)


def test_plain_numbers_predict_what_scikit_learn_predicts(model: Model) -> None:
    """scikit-learn, loaded with the rounded coefficients, gives the same drift to 1e-9."""
    classifier = LogisticRegression()
    classifier.classes_ = np.array([0, 1])
    classifier.coef_ = np.array([model.weights])
    classifier.intercept_ = np.array([model.bias])
    rows = np.random.default_rng(7).random((200, len(NAMES)))
    expected = classifier.predict_proba(rows)[:, 1]
    assert np.abs(expected - [model.drift(row) for row in rows.tolist()]).max() < 1e-9


def test_plain_numbers_find_the_families_that_scikit_learn_finds(model: Model) -> None:
    families = model.families
    names = sorted(families.idf)
    vectorizer = TfidfVectorizer(analyzer=stems, sublinear_tf=True, vocabulary=names)
    vectorizer.idf_ = np.array([families.idf[name] for name in names])
    classifier = LogisticRegression()
    classifier.classes_ = np.arange(len(families.slugs))
    classifier.coef_ = np.array([families.weights[name] for name in names]).T
    classifier.intercept_ = np.array(families.bias)
    texts = [text for listed in DECLARATIONS.values() for text in listed[::7]]
    expected = classifier.predict_proba(vectorizer.transform(texts))
    for text, row in zip(texts, expected, strict=True):
        found = families.spread(text)
        if found:
            assert np.abs(row - [found[slug] for slug in families.slugs]).max() < 1e-9


def test_a_file_whose_operating_points_rise_is_refused() -> None:
    value = json.loads(SHIPPED)
    value["operating"].reverse()
    with pytest.raises(ValueError, match="out of order"):
        parse_model(json.dumps(value).encode())


def test_a_file_with_other_features_is_refused() -> None:
    value = json.loads(SHIPPED)
    value["weights"].pop("acts")
    with pytest.raises(ValueError, match="acts"):
        parse_model(json.dumps(value).encode())


def test_the_shipped_families_are_what_training_learns(model: Model) -> None:
    assert fit_families() == model.families


def test_no_digit_of_the_families_depends_on_the_processor(model: Model) -> None:
    """Every x86-64 processor has these kernels of OpenBLAS, which round in another order than those of newer ones."""
    script = "from ioint_node.scoring.train import fit_families; print(repr(fit_families()))"
    environment = {**os.environ, "OPENBLAS_CORETYPE": "Prescott"}
    command = [sys.executable, "-c", script]
    fitted = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=120)
    assert fitted.stdout.strip() == repr(model.families)


def test_every_family_but_the_unknown_ones_has_examples(taxonomy: Taxonomy) -> None:
    assert set(taxonomy.families) - set(DECLARATIONS) <= {"unspecified", "other"}


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("Could you pay the gas bill that arrived yesterday?", "make_payment"),
        ("Please schedule a meeting with the plumber on Monday", "manage_calendar"),
        ("Send an email to my colleague and thank her", "communicate"),
        ("Summarise the report in three sentences", "summarise_document"),
        ("Answer tickets", "support_customer"),
        ("What time does the library open?", "answer_question"),
        ("Xyzzy plugh", "unspecified"),
        ("please do it for me", "unspecified"),
    ],
)
def test_a_declaration_finds_its_family(model: Model, text: str, family: str) -> None:
    assert model.families.infer(text)[0][0] == family
