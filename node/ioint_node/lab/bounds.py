"""Whether what came out is within the bounds: a bound is the worst number of some rows, and a limit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ioint_node.lab.rules import SHIPPED
from ioint_node.lab.runs import Row, together
from ioint_node.lab.world import SPONSORS
from ioint_node.reputation.rule import removals

SCHEMA: Final = "ioint.simulate/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the rule has to keep; rates per 1,000 benign actions, shares 0 … 1.

    `friction` and `worst` are of the tolerance. `lift` is the least share of blind sessions with .05 or more in any
    world, `damage` the most trust that slander by at most b groups takes.
    """

    lift: float = 0.70
    friction: float = 1.0
    worst: float = 2.0
    under: float = 0.02
    false_corroborated: float = 0.01
    damage: float = 0.05
    subject_false: float = 0.03


LIMITS: Final = Limits()


def judge(rows: Sequence[Row], limits: Limits = LIMITS) -> list[Row]:
    """The bounds: name, limit, value, and whether the value may be at most or at least the limit."""
    tier = [row for row in rows if row["rule"] == SHIPPED.name]
    worlds = [row for row in tier if row["part"] == "patterns"]
    lemmas = [row for row in rows if row["part"] == "lemma"]
    few = [row for row in worlds if 0 < _liars(row) <= removals(_groups(row))[0]]
    third = [row for row in worlds if 0 < _liars(row) <= removals(_groups(row))[1]]
    quiet = [row for row in worlds if row["hostile"] == 0]
    clean = [row for row in tier if row["part"] == "subjects" and row["attack"] == "none"]
    flips = [row for row in tier if row["part"] == "flip" and row["users"] == 0]
    found = [
        _most("effect by b liars without honest support (lemma)", 0.05, [r["by_b"] for r in lemmas]),
        _most("effect by a third of liars without honest support (lemma)", 0.10, [r["by_q"] for r in lemmas]),
        _most("effect by b liars without honest support (worlds)", 0.05, [r["unsupported"] for r in few]),
        _most(
            "effect by a third of liars without honest support (worlds)",
            0.10,
            [r["unsupported"] for r in third],
        ),
        _least("liars beyond b for .10 on one subject", 1, [_beyond(r, 1, 0) for r in flips]),
        _least("liars beyond ⌈n/3⌉ for .30 on one subject", 1, [_beyond(r, 2, 1) for r in flips]),
        _least(
            "blind sessions warned",
            limits.lift,
            [r["lift"][0] for r in worlds if r["blind"] and r["attack"] != "eclipse"],
        ),
        _most(
            "friction per 1,000 actions, mean member", limits.friction, [sum(r["friction"]) for r in worlds]
        ),
        _most(
            "friction by slander per 1,000 actions, worst member", limits.worst, [r["worst"] for r in worlds]
        ),
        _most("share of benign actions under effect", limits.under, [r["under"] for r in worlds]),
        _most(
            "benign patterns at .10 without liars",
            limits.false_corroborated,
            [r["false_corroborated"] for r in quiet],
        ),
        _most("damage by b liars, trust per 1,000 actions", limits.damage, [r["damage"] for r in few]),
        _most("benign subjects flagged without liars", limits.subject_false, [r["fpr"] for r in clean]),
    ]
    return [bound for bound in found if bound is not None]


def passed(bounds: Iterable[Row]) -> bool:
    """Whether every bound holds."""
    return all(
        bound["value"] <= bound["limit"] if bound["side"] == "most" else bound["value"] >= bound["limit"]
        for bound in bounds
    )


def document(rows: Sequence[Row], limits: Limits = LIMITS) -> dict[str, Any]:
    """The document of the contract, of the rows of all jobs."""
    table = together(rows)
    bounds = judge(table, limits)
    return {"schema": SCHEMA, "passed": passed(bounds), "bounds": bounds, "table": table}


def _groups(row: Row) -> int:
    return int(row["orgs"]) + (min(SPONSORS, int(row["hostile"])) if row["attack"] == "sybil" else 0)


def _liars(row: Row) -> int:
    """Groups that lie: Sybils are as many as their sponsors."""
    return min(SPONSORS, int(row["hostile"])) if row["attack"] == "sybil" else int(row["hostile"])


def _beyond(row: Row, level: int, removal: int) -> int:
    """How many colluders more than are removed it takes; as many as there are members where none do it."""
    needed = row["slander"][level]
    most = int(row["orgs"])
    return (most if needed is None else round(needed)) - removals(most)[removal]


def _most(name: str, limit: float, values: Sequence[float]) -> Row | None:
    return _bound(name, limit, max(values), "most") if values else None


def _least(name: str, limit: float, values: Sequence[float]) -> Row | None:
    return _bound(name, limit, min(values), "least") if values else None


def _bound(name: str, limit: float, value: float, side: str) -> Row:
    return {"name": name, "limit": limit, "value": round(float(value), 4), "side": side}
