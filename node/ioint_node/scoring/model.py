"""The trained weights as plain numbers: loaded from JSON, never from a pickle, applied without any library."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from itertools import pairwise
from operator import mul
from pathlib import Path
from typing import Any

from ioint_node.scoring.families import FamilyModel
from ioint_node.scoring.features import FEATURES, NAMES
from ioint_node.scoring.operating import OperatingPoint, between
from ioint_node.scoring.values import Reason, Verdict

SCHEMA = "ioint.model/1"
REASONS = 5
REASON_FLOOR = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Drift 0..1 from which an action is borderline, is out of scope, and its session may be told to others."""

    borderline: float
    out_of_scope: float
    publish: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Everything that was learned; `digest` is the SHA-256 of the file, which a record names as its detector."""

    weights: tuple[float, ...]
    bias: float
    thresholds: Thresholds
    families: FamilyModel
    digest: str
    operating: tuple[OperatingPoint, ...] = ()

    def drift(self, features: Sequence[float]) -> float:
        """The calibrated probability 0..1 that an action with these features has left the declared intent."""
        if len(features) != len(self.weights):
            raise ValueError(f"{len(features)} features, {len(self.weights)} weights")
        logit = self.bias + sum(map(mul, self.weights, features))
        if logit >= 0:
            return 1.0 / (1.0 + math.exp(-min(logit, 500.0)))
        grown = math.exp(max(logit, -500.0))
        return grown / (1.0 + grown)

    def at_tolerance(self, per_1000: float) -> Model:
        """This model with the thresholds of another tolerance: false out-of-scope verdicts per 1,000 actions.

        1 gives the shipped thresholds exactly; what lies beyond the operating points of the file gets the nearest.
        Nothing is told to others on less than before: `publish` may only rise. Raises ValueError without points.
        """
        point = between(self.operating, per_1000)
        limits = Thresholds(
            borderline=point.borderline,
            out_of_scope=point.out_of_scope,
            publish=max(self.thresholds.publish, point.out_of_scope),
        )
        return replace(self, thresholds=limits)

    def verdict(self, drift: float) -> Verdict:
        """How an action of this drift stands to the declared intent."""
        if drift >= self.thresholds.out_of_scope:
            return Verdict.OUT_OF_SCOPE
        return Verdict.BORDERLINE if drift >= self.thresholds.borderline else Verdict.IN_SCOPE

    def reasons(self, features: Sequence[float]) -> tuple[Reason, ...]:
        """The signals that moved the score most, with their weight in log-odds."""
        found = [
            Reason(code=name, weight=round(weight * value, 4), text=FEATURES[name].text)
            for name, weight, value in zip(NAMES, self.weights, features, strict=True)
            if value and abs(weight * value) >= REASON_FLOOR
        ]
        found.sort(key=lambda reason: (-abs(reason.weight), reason.code))
        return tuple(found[:REASONS])


def parse_model(data: bytes) -> Model:
    """A model from the bytes of its file; raises ValueError for another schema or other features than the code's."""
    value: Mapping[str, Any] = json.loads(data)
    if value.get("schema") != SCHEMA:
        message = f"model schema {value.get('schema')!r}, not {SCHEMA!r}"
        raise ValueError(message)
    weights = value["weights"]
    if sorted(weights) != sorted(NAMES):
        message = f"model features differ from the code's: {sorted(set(weights) ^ set(NAMES))}"
        raise ValueError(message)
    families = value["families"]
    return Model(
        weights=tuple(float(weights[name]) for name in NAMES),
        bias=float(value["bias"]),
        thresholds=Thresholds(**{name: float(limit) for name, limit in value["thresholds"].items()}),
        families=FamilyModel(
            slugs=tuple(families["slugs"]),
            bias=tuple(float(one) for one in families["bias"]),
            idf={one: float(weight) for one, weight in families["idf"].items()},
            weights={one: tuple(float(w) for w in row) for one, row in families["weights"].items()},
        ),
        digest=hashlib.sha256(data).hexdigest(),
        operating=_operating(value["operating"]),
    )


def _operating(rows: Sequence[Mapping[str, Any]]) -> tuple[OperatingPoint, ...]:
    """The operating points of the file, by rising tolerance; raises ValueError where thresholds do not fall with it."""
    found = tuple(
        OperatingPoint(
            per_1000=float(row["per_1000"]),
            borderline=float(row["borderline"]),
            out_of_scope=float(row["out_of_scope"]),
        )
        for row in rows
    )
    for one, next_one in pairwise(found):
        if one.per_1000 >= next_one.per_1000 or one.out_of_scope < next_one.out_of_scope:
            message = f"operating points are out of order at {next_one.per_1000:g} per 1,000"
            raise ValueError(message)
    return found


@cache
def load_model(path: Path | None = None) -> Model:
    """The shipped model, or the one of a file that `ioint train` wrote; raises ValueError or OSError."""
    if path is None:
        return parse_model(resources.files("ioint_node.scoring").joinpath("model.json").read_bytes())
    return parse_model(path.read_bytes())
