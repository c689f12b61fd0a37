"""The network part of reputation, as the node computes it, held to the vectors of the specification."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ioint_node.reputation.rule import Statement, electorate, halvings, network_part, ruled
from ioint_protocol import Member, Release, Roster, Ruling

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "protocol" / "vectors" / "reputations.json").read_text(encoding="ascii")
)


def member(value: dict[str, Any]) -> Member:
    return Member(
        id=value["id"],
        name=value["id"],
        node_key="",
        record_keys=(),
        group=value["group"],
        class_=value["class"],
        since=value["since"],
        since_day=value["since_day"],
        state=value["state"],
    )


def judged(case: dict[str, Any]) -> dict[str, Any]:
    """What the node computes of a case."""
    roster = Roster(
        version=9,
        consortium="0" * 64,
        issued_day=case["today"],
        expires=0,
        members=tuple(member(value) for value in case["members"]),
        taxonomy=Release(version="2026.11", digest="0" * 64),
        catalogue="0" * 64,
        rulings=tuple(Ruling(**value) for value in case["rulings"]),
    )
    in_force = ruled(roster, case["today"])
    found = network_part(
        [Statement(**value) for value in case["statements"]],
        electorate(roster, case["today"]),
        case["today"],
        equivocators=case["equivocators"],
        public_subject=case["kind"] == "subject",
        ruled=in_force,
        halvings={group: halvings(count) for group, count in case["breadth"].items()},
        review=case["subject"] in in_force.reviewed,
        general={name: [Statement(**value) for value in said] for name, said in case["general"].items()},
    )
    return {
        "n": found.groups,
        "b": found.b,
        "q": found.q,
        "P": found.accusing,
        "N": found.benign,
        "P_b": found.after_b,
        "N_b": found.benign_after_b,
        "P_q": found.after_q,
        "tier": found.tier,
        "state": found.state,
        "score": found.score,
        "confidence": found.confidence,
    }


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in VECTORS["cases"]])
def test_the_network_part(case: dict[str, Any]) -> None:
    assert judged(case) == case["expected"]
