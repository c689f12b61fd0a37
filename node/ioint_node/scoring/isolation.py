"""How unlike the rest of this node's traffic one action is, where nobody has labelled anything.

A reservoir keeps some of the in-scope actions of late as numbers, a few hundred per actor at most; a job fits
scikit-learn's IsolationForest on it in a thread (Liu, Ting, Zhou 2008: what few random cuts separate from the rest is
unusual); the trees become plain lists, and one action is scored with them in plain Python. The scores are those of
scikit-learn, and are told as 0 up to the 99th percentile of the reservoir.
"""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ioint_taxonomy import Step, Taxonomy

from ioint_node.scoring.baseline import Unusual

ROWS: Final = 2_048  # of the reservoir
ROWS_PER_ACTOR: Final = 256
ROWS_NEEDED: Final = 256  # before anything is called unlike the rest
TREES: Final = 64
SAMPLES: Final = 256  # rows that one tree sees
REPLACES_ONE_IN: Final = 8  # actions, once the reservoir is full
QUANTILE: Final = 0.99
SPAN_LEAST: Final = 0.05  # of scores, from the 99th percentile to 1
DIGITS: Final = 4  # of a number in the reservoir
_EULER: Final = 0.5772156649015329

_EFFECTS: Final = {
    "observe": 0.0,
    "derive": 0.1,
    "mutate": 0.4,
    "run": 0.6,
    "transfer": 0.7,
    "authority": 0.9,
    "value": 1.0,
}
_ORIGINS: Final = {
    "principal": 0.0,
    "tenant_content": 0.2,
    "agent_message": 0.4,
    "tool_output": 0.6,
    "memory": 0.6,
    "third_party_content": 0.8,
    "public_web": 1.0,
    "unknown": 0.8,
}
NUMBERS: Final = (
    "first_tool",
    "first_resource",
    "sequence",
    "pace",
    "hours",
    "tokens",
    "effect",
    "sensitivity",
    "boundary",
    "origin",
    "flow",
    "certainty",
    "departures",
)

Row = tuple[float, ...]


def row_of(unusual: Unusual, step: Step, departures: int, taxonomy: Taxonomy) -> Row:
    """One action as numbers of 0..1, in the order of `NUMBERS`: no name and no text."""
    return (
        *unusual,
        _EFFECTS[taxonomy.verbs.get(step.verb, "run")],
        taxonomy.sensitivity_rank(step.sensitivity) / 3.0,
        taxonomy.boundary_rank(step.boundary) / 5.0,
        _ORIGINS.get(step.provenance, 0.8),
        min(len(step.flow), 4) / 4.0,
        step.confidence,
        departures / 4.0,
    )


class Reservoir:
    """In-scope actions of late, at most `ROWS`, of one actor at most `ROWS_PER_ACTOR`; once full, old ones give way.

    The owner of a row is kept as a number that its id is hashed to, and only to bound its share.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - chooses what is kept, and keeps nothing secret
        self._rows: list[Row] = []
        self._owners: list[int] = []
        self._of_owner: dict[int, list[int]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> tuple[Row, ...]:
        """What it holds now."""
        return tuple(self._rows)

    def add(self, owner: int, row: Row) -> None:
        """Offer an in-scope action of the actor whose salt is `owner`; its other rows make room where it has many."""
        if not self.passes_over(owner):
            self.keep(owner, row)

    def keep(self, owner: int, row: Row) -> None:
        """Keep an action that was not passed over."""
        if not all(0.0 <= number <= 1.0 for number in row):
            return
        own = self._of_owner.get(owner, [])
        rounded = tuple(round(number, DIGITS) for number in row)
        if len(own) >= ROWS_PER_ACTOR:
            self._rows[own[self._random.randrange(len(own))]] = rounded
        elif len(self._rows) < ROWS:
            self._take(len(self._rows), owner)
            self._rows.append(rounded)
            self._owners.append(owner)
        else:
            index = self._random.randrange(ROWS)
            self._drop(index)
            self._take(index, owner)
            self._rows[index], self._owners[index] = rounded, owner

    def passes_over(self, owner: int) -> bool:
        """Whether this action is not wanted, by chance: asked once, before anything is made of the action."""
        full = len(self._rows) >= ROWS or len(self._of_owner.get(owner, ())) >= ROWS_PER_ACTOR
        return full and self._random.randrange(REPLACES_ONE_IN) > 0

    def to_json(self) -> dict[str, Any]:
        """The rows and their owners as JSON, for the store."""
        return {"v": 1, "rows": [list(row) for row in self._rows], "owners": list(self._owners)}

    @staticmethod
    def from_json(value: object, *, seed: int = 0) -> Reservoir:
        """The reservoir that `to_json` wrote; raises ValueError on anything else."""
        made = Reservoir(seed=seed)
        if not isinstance(value, Mapping) or value.get("v") != 1:
            raise ValueError("no reservoir of version 1")
        rows, owners = value.get("rows"), value.get("owners")
        if not isinstance(rows, list) or not isinstance(owners, list) or len(rows) != len(owners):
            raise ValueError("no reservoir: rows and owners are not lists of one length")
        if len(rows) > ROWS:
            raise ValueError(f"no reservoir: {len(rows)} rows, more than {ROWS}")
        for row, owner in zip(rows, owners, strict=True):
            if not _is_row(row) or type(owner) is not int:
                raise ValueError("no reservoir: a row is not of numbers from 0 to 1")
            made._take(len(made._rows), owner)
            made._rows.append(tuple(map(float, row)))
            made._owners.append(owner)
        return made

    def _take(self, index: int, owner: int) -> None:
        self._of_owner.setdefault(owner, []).append(index)

    def _drop(self, index: int) -> None:
        left = self._of_owner[self._owners[index]]
        left.remove(index)
        if not left:
            del self._of_owner[self._owners[index]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """The trees one after another as flat lists, and the bounds between which a score counts.

    At node i the number `feature[i]` is compared with `threshold[i]`: up to it the way leads to `left[i]`, beyond it to
    `right[i]`. A leaf has feature −1 and its path length in `threshold[i]`. `scale` is the sum of mean path lengths.
    `usual` is the score at the 99th percentile of what it was fitted on, `unlike` the one that counts as 1.
    """

    roots: tuple[int, ...]
    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    scale: float
    usual: float
    unlike: float
    fitted_on: int

    def score(self, row: Sequence[float]) -> float:
        """The anomaly score 0..1 of Liu et al.: the negative of scikit-learn's `score_samples`."""
        feature, threshold, left, right = self.feature, self.threshold, self.left, self.right
        numbers = array("f", row).tolist()  # scikit-learn compares single precision with double
        depth = 0.0
        for node in self.roots:
            index = feature[node]
            while index >= 0:
                node = left[node] if numbers[index] <= threshold[node] else right[node]  # noqa: PLW2901 - the way down
                index = feature[node]
            depth += threshold[node]
        return float(2.0 ** (-depth / self.scale))

    def unlikeness(self, row: Sequence[float]) -> float:
        """How unlike the rest an action is: 0 up to the 99th percentile, then in a straight line to 1."""
        return min(1.0, max(0.0, (self.score(row) - self.usual) / (self.unlike - self.usual)))

    def to_json(self) -> dict[str, Any]:
        """The forest as JSON, exact to the last bit."""
        return {
            "v": 1,
            "roots": list(self.roots),
            "feature": list(self.feature),
            "threshold": list(self.threshold),
            "left": list(self.left),
            "right": list(self.right),
            "scale": self.scale,
            "usual": self.usual,
            "unlike": self.unlike,
            "fitted_on": self.fitted_on,
        }

    @staticmethod
    def from_json(value: object) -> Forest:
        """The forest that `to_json` wrote; raises ValueError on anything else, also on trees that would not end."""
        if not isinstance(value, Mapping) or value.get("v") != 1:
            raise ValueError("no forest of version 1")
        try:
            made = Forest(
                roots=tuple(map(int, value["roots"])),
                feature=tuple(map(int, value["feature"])),
                threshold=tuple(map(float, value["threshold"])),
                left=tuple(map(int, value["left"])),
                right=tuple(map(int, value["right"])),
                scale=float(value["scale"]),
                usual=float(value["usual"]),
                unlike=float(value["unlike"]),
                fitted_on=int(value["fitted_on"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"no forest: {type(error).__name__}") from None
        made.check()
        return made

    def check(self) -> None:
        """See that every way down ends.

        Raises:
            ValueError: a list is too short, a number out of bounds, or a way leads back.
        """
        nodes = len(self.feature)
        if not all(len(one) == nodes for one in (self.threshold, self.left, self.right)):
            raise ValueError("no forest: its lists differ in length")
        if not self.roots or not all(0 <= root < nodes for root in self.roots):
            raise ValueError("no forest: a root is no node")
        if not all(map(math.isfinite, (*self.threshold, self.scale, self.usual, self.unlike))):
            raise ValueError("no forest: a number is not finite")
        if self.scale <= 0.0 or self.unlike <= self.usual:
            raise ValueError("no forest: its bounds are out of order")
        for node, feature in enumerate(self.feature):
            if feature >= len(NUMBERS):
                raise ValueError("no forest: a number that no action has")
            # A child lies behind its parent, so that no way can lead back.
            if feature >= 0 and not (node < self.left[node] < nodes and node < self.right[node] < nodes):
                raise ValueError("no forest: a way leads nowhere")


def fit(rows: Sequence[Row], *, seed: int = 0) -> Forest | None:
    """Fit a forest on the rows of a reservoir; None as long as they are too few. Slow: call it in a thread."""
    if len(rows) < ROWS_NEEDED:
        return None
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415 - heavy, and not needed to score

    fitted = IsolationForest(n_estimators=TREES, max_samples=min(SAMPLES, len(rows)), random_state=seed)
    fitted.fit([list(row) for row in rows])
    return calibrated(flattened(fitted), rows)


def flattened(fitted: Any) -> Forest:  # noqa: ANN401 - scikit-learn has no types
    """The trees of a fitted IsolationForest as plain numbers, not yet calibrated."""
    roots: list[int] = []
    feature: list[int] = []
    threshold: list[float] = []
    left: list[int] = []
    right: list[int] = []
    for estimator, chosen in zip(fitted.estimators_, fitted.estimators_features_, strict=True):
        tree, base = estimator.tree_, len(feature)
        depths = _depths(tree)
        roots.append(base)
        for node in range(tree.node_count):
            leaf = tree.children_left[node] < 0
            feature.append(-1 if leaf else int(chosen[tree.feature[node]]))
            held = depths[node] + path_length(int(tree.n_node_samples[node]))
            threshold.append(held if leaf else float(tree.threshold[node]))
            left.append(-1 if leaf else base + int(tree.children_left[node]))
            right.append(-1 if leaf else base + int(tree.children_right[node]))
    return Forest(
        roots=tuple(roots),
        feature=tuple(feature),
        threshold=tuple(threshold),
        left=tuple(left),
        right=tuple(right),
        scale=len(roots) * path_length(int(fitted.max_samples_)),
        usual=0.5,
        unlike=1.0,
        fitted_on=0,
    )


def calibrated(forest: Forest, rows: Sequence[Row]) -> Forest:
    """The forest with the bounds of these rows: the 99th percentile, and half its distance from the median beyond."""
    scores = sorted(forest.score(row) for row in rows)
    usual = scores[min(len(scores) - 1, math.ceil(QUANTILE * len(scores)))]
    return Forest(
        roots=forest.roots,
        feature=forest.feature,
        threshold=forest.threshold,
        left=forest.left,
        right=forest.right,
        scale=forest.scale,
        usual=usual,
        unlike=usual + max(SPAN_LEAST, 0.5 * (usual - scores[len(scores) // 2])),
        fitted_on=len(rows),
    )


def path_length(rows: int) -> float:
    """The mean length of an unsuccessful search among so many rows (Liu et al., equation 1)."""
    if rows <= 1:
        return 0.0
    if rows == 2:
        return 1.0
    return 2.0 * (math.log(rows - 1.0) + _EULER) - 2.0 * (rows - 1.0) / rows


def _depths(tree: Any) -> list[int]:  # noqa: ANN401 - scikit-learn has no types
    """How deep each node lies; children come after their parent."""
    depths = [0] * int(tree.node_count)
    for node in range(int(tree.node_count)):
        for child in (tree.children_left[node], tree.children_right[node]):
            if child >= 0:
                depths[child] = depths[node] + 1
    return depths


def _is_row(row: object) -> bool:
    return (
        isinstance(row, list)
        and len(row) == len(NUMBERS)
        and all(type(number) in (int, float) and 0.0 <= number <= 1.0 for number in row)
    )
