"""The summary of a demo: the contract's document, key by key, out of what was observed at the nodes' interfaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

LINKS = ("assess", "publish", "receive", "believe", "trust", "tell", "show")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustChange:
    """A decision in which what other members reported lowered the trust that was used."""

    organisation: str
    agent: str
    pattern: str
    cause: str
    before: float
    after: float
    effect: float
    without_network: float
    at_s: float


@dataclass(slots=True, kw_only=True)
class Observed:
    """What the demo has seen so far; filled while the story runs."""

    sessions: int = 0
    verdicts: dict[str, int] = field(
        default_factory=lambda: {"in_scope": 0, "borderline": 0, "out_of_scope": 0}
    )
    trust_changes: list[TrustChange] = field(default_factory=list)
    engine_events: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    first_report_s: float | None = None
    effects: dict[str, float] = field(
        default_factory=dict
    )  # pattern → largest effect at any honest node, ever
    attacks: dict[str, int] = field(
        default_factory=lambda: {"slander": 0, "replay": 0, "equivocation": 0, "garbage": 0}
    )
    slandered: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What the honest nodes know at the end, as their interfaces tell it."""

    bytes_left: Sequence[Mapping[str, str]]
    patterns: Sequence[Mapping[str, Any]]
    published: int
    received: int
    propagation_ms: Sequence[float]
    soc_objects: int
    refused: Mapping[str, int]
    quarantined: bool
    only_hostile: frozenset[str]  # patterns that nobody but the hostile member reported


def broken_link(observed: Observed, reported: Reported) -> str | None:
    """The first link of the story at which it stopped, or None."""
    network = [change for change in observed.trust_changes if change.cause == "network"]
    holds = {
        "assess": sum(observed.verdicts.values()) > 0,
        "publish": reported.published > 0,
        "receive": reported.received > 0,
        "believe": any(float(row["effect"]) > 0 for row in reported.patterns),
        "trust": bool(network),
        "tell": any(observed.engine_events.values()),
        "show": reported.soc_objects > 0,
    }
    return next((link for link in LINKS if not holds[link]), None)


def document(
    observed: Observed, reported: Reported, organisations: Sequence[Mapping[str, Any]], hostile: str
) -> dict[str, Any]:
    """The document of `ioint demo -o json`."""
    broken = broken_link(observed, reported)
    network = [change for change in observed.trust_changes if change.cause == "network"]
    return {
        "schema": "ioint.demo/1",
        "story_complete": broken is None,
        "broken_link": broken,
        "organisations": len(organisations),
        "sessions": observed.sessions,
        "actions": sum(observed.verdicts.values()),
        "verdicts": observed.verdicts,
        "reports_published": reported.published,
        "reports_received": reported.received,
        "propagation_ms": _spread(reported.propagation_ms),
        "first_report_s": observed.first_report_s,
        "first_trust_change_s": min((change.at_s for change in network), default=None),
        "bytes_left": list(reported.bytes_left),
        "patterns": [
            {key: row[key] for key in ("id", "state", "score", "confidence", "reporters", "tier")}
            for row in reported.patterns
        ],
        "trust_changes": [asdict(change) for change in observed.trust_changes],
        "engine_events": sum(len(events) for events in observed.engine_events.values()),
        "soc_objects": reported.soc_objects,
        "hostile": {
            "organisation": hostile,
            "effect": max(
                (observed.effects.get(pattern, 0.0) for pattern in reported.only_hostile), default=0.0
            ),
            "slandered_pattern": observed.slandered,
            "attacks": observed.attacks,
            "refused": dict(reported.refused),
            "quarantined": reported.quarantined,
        },
        "nodes": list(organisations),
    }


def _spread(values: Sequence[float]) -> dict[str, float | int]:
    if not values:
        return {"p50": 0.0, "max": 0.0, "n": 0}
    return {"p50": round(median(values), 3), "max": round(max(values), 3), "n": len(values)}
