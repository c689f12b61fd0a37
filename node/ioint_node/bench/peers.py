"""What a decision is measured beside: the least that the language must do, scikit-learn's own predict, and Cedar.

Each is a callable that makes one decision about one action's features. What is not installed is None.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ioint_node.scoring.features import NAMES
from ioint_node.scoring.model import Model

Features = Sequence[float]
Decide = Callable[[Features], object]
FITTED_ROWS = 512
TREES = 100
POLICIES = 10


def floor(model: Model) -> Decide:
    """A logistic sum in plain Python, one look-up of the caller, one JSON object: no session, no trust, no record."""
    weights, bias, most = model.weights, model.bias, model.thresholds.out_of_scope
    known = {f"agent-{number}": 0.5 for number in range(1_000)}
    encode = msgspec.json.Encoder().encode

    def decide(features: Features) -> bytes:
        drift = 1.0 / (1.0 + math.exp(-(bias + sum(map(float.__mul__, weights, features)))))
        return encode({"drift": drift, "allowed": drift < most, "trust": known["agent-7"]})

    return decide


def sklearn_logistic(model: Model) -> Decide:
    """scikit-learn's `predict_proba` of one row, with the shipped weights."""
    numpy, linear = importlib.import_module("numpy"), importlib.import_module("sklearn.linear_model")
    fitted = linear.LogisticRegression().fit(numpy.eye(2, len(NAMES)), [0, 1])
    fitted.coef_ = numpy.array([model.weights])
    fitted.intercept_ = numpy.array([model.bias])
    return lambda features: fitted.predict_proba(numpy.array([features]))


def sklearn_forest(rows: Sequence[Features]) -> Decide:
    """scikit-learn's `score_samples` of one row by an isolation forest of a hundred trees."""
    numpy, ensemble = importlib.import_module("numpy"), importlib.import_module("sklearn.ensemble")
    many = [rows[index % len(rows)] for index in range(FITTED_ROWS)]
    fitted = ensemble.IsolationForest(n_estimators=TREES, random_state=0, n_jobs=1).fit(numpy.array(many))
    return lambda features: fitted.score_samples(numpy.array([features]))


def cedar() -> Decide | None:
    """Ten Cedar policies, parsed once, over the features as context; None where cedarpy is not installed."""
    try:
        cedarpy: Any = importlib.import_module("cedarpy")
    except ImportError:
        return None
    permits = "\n".join(
        f'permit(principal, action == Action::"tool{number}", resource) when'
        f" {{ context.acts_unasked < {50 + number} && context.order_value < 60 && context.outside_verb < 100 }};"
        for number in range(POLICIES)
    )
    forbid = "forbid(principal, action, resource) when { context.observed > 90 };"
    policies = cedarpy.PolicySet.from_str(f"{permits}\n{forbid}")
    entities = cedarpy.Entities.from_json_str("[]")

    def decide(features: Features) -> object:
        context = {name: round(100 * value) for name, value in zip(NAMES, features, strict=True)}
        request = {
            "principal": 'Agent::"agent-7"',
            "action": f'Action::"tool{POLICIES - 1}"',
            "resource": 'Resource::"r1"',
            "context": context,
        }
        return cedarpy.is_authorized(request, policies, entities)

    return decide
