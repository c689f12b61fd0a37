from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.signals.events import (
    REVOKED,
    RISK,
    Row,
    effect_level,
    event_of,
    trust_level,
)

ISSUER = "https://node.example.org"
AT = 1_795_000_000_123
PATTERN = "ab" * 32


def row(event: str, **body: Any) -> Row:
    return Row(seq=7, at=AT, event=event, body=body)


def reputation(before: float, after: float, **more: Any) -> Row:
    numbers = {"state": "malicious", "tier": "consensus", "score": 91, "confidence": 80, "effect": after}
    named = more or {"pattern": PATTERN}
    return row("reputation", before=before, after=after, reason="4 groups", **numbers, **named)


def order(after: str, **more: Any) -> Row:
    said = {
        "actor": "a-1",
        "session_id": "s-1",
        "response_id": "r-1",
        "reason": "left its scope",
        "by": "node",
    }
    return row("response", **(said | {"before": "none", "after": after, "do": [after]} | more))


@pytest.mark.parametrize(
    ("effect", "level"), [(0.0, "LOW"), (0.01, "MEDIUM"), (0.1, "MEDIUM"), (0.2999, "MEDIUM"), (0.3, "HIGH")]
)
def test_the_level_of_what_members_report_is_what_it_asks_for(effect: float, level: str) -> None:
    assert effect_level(effect) == level


@pytest.mark.parametrize(
    ("trust", "level"),
    [(0.0, "HIGH"), (0.2999, "HIGH"), (0.3, "MEDIUM"), (0.41, "MEDIUM"), (0.7, "LOW"), (1, "LOW")],
)
def test_the_level_of_an_actor_follows_the_ladder_of_autonomy(trust: float, level: str) -> None:
    assert trust_level(trust) == level


def test_a_pattern_that_a_consensus_accuses_is_a_change_of_risk() -> None:
    event = event_of(reputation(0.05, 0.3), ISSUER)

    assert event is not None
    assert (event.type, event.principal.sub, event.txn, event.at) == (RISK, PATTERN, "7", AT)
    assert event.claims == {
        "principal": "PATTERN",
        "current_level": "HIGH",
        "previous_level": "MEDIUM",
        "risk_reason": "4 groups",
        "event_timestamp": AT // 1000,
        "initiating_entity": "policy",
        "reason_admin": {"en": "risk MEDIUM to HIGH: 4 groups"},
        "ioint": {
            "seq": 7,
            "state": "malicious",
            "tier": "consensus",
            "score": 91,
            "confidence": 80,
            "effect": 0.3,
        },
    }


def test_a_package_is_named_by_its_package_url_and_not_by_the_id_of_its_indicator() -> None:
    event = event_of(reputation(0.0, 0.1, subject="cd" * 32, label="pkg:npm/left-pad"), ISSUER)

    assert event is not None
    assert event.principal.sub == "pkg:npm/left-pad"


def test_a_withdrawal_lowers_the_risk() -> None:
    event = event_of(
        row("withdrawal", pattern=PATTERN, before=0.1, after=0.0, state="withdrawn", reason=""), ISSUER
    )

    assert event is not None
    assert (event.claims["previous_level"], event.claims["current_level"]) == ("MEDIUM", "LOW")
    assert event.claims["reason_admin"]["en"]


def test_what_does_not_change_the_level_is_no_event() -> None:
    assert event_of(reputation(0.05, 0.1), ISSUER) is None
    assert (
        event_of(row("trust", actor="a-1", before=0.6, after=0.5, reason="", cause="local"), ISSUER) is None
    )


@pytest.mark.parametrize("person", [True, False])
def test_an_actor_that_loses_trust_is_a_change_of_risk(person: bool) -> None:
    event = event_of(
        row(
            "trust",
            actor="a-1",
            session_id="s-1",
            before=0.31,
            after=0.29,
            effect=0.1,
            cause="network",
            reason="x",
        ),
        ISSUER,
        person=person,
    )

    assert event is not None
    assert event.principal.named("iss_sub") == {"format": "iss_sub", "iss": ISSUER, "sub": "a-1"}
    assert event.claims["principal"] == ("USER" if person else "APPLICATION")
    assert (event.claims["previous_level"], event.claims["current_level"]) == ("MEDIUM", "HIGH")
    assert event.claims["ioint"] == {
        "seq": 7,
        "trust_before": 0.31,
        "trust": 0.29,
        "effect": 0.1,
        "cause": "network",
        "session_id": "s-1",
    }


@pytest.mark.parametrize("response", ["suspend", "relaunch", "kill"])
def test_a_halt_revokes_the_sessions_of_its_actor(response: str) -> None:
    event = event_of(order(response, decision_id="d-1"), ISSUER)

    assert event is not None
    assert (event.type, event.principal.sub, event.txn) == (REVOKED, "a-1", "d-1")
    assert event.claims["initiating_entity"] == "policy"
    assert event.claims["reason_admin"] == {"en": f"{response}: left its scope"}
    assert event.claims["ioint"]["response_id"] == "r-1"


def test_a_halt_by_a_person_is_one_by_an_administrator() -> None:
    event = event_of(order("kill", by="token:17"), ISSUER)

    assert event is not None
    assert event.claims["initiating_entity"] == "admin"


def test_what_a_node_that_observes_would_do_revokes_nothing() -> None:
    assert event_of(order("kill", do=[]), ISSUER) is None


@pytest.mark.parametrize("response", ["reduce", "approve", "interrupt", "release", "shred"])
def test_what_does_not_end_an_actor_revokes_nothing(response: str) -> None:
    assert event_of(order(response), ISSUER) is None


def test_a_reason_is_cut_to_its_bound() -> None:
    event = event_of(order("kill", reason="x" * 5_000), ISSUER)

    assert event is not None
    assert len(event.claims["reason_admin"]["en"]) == 1_024


@given(before=st.floats(0, 1), after=st.floats(0, 1))
def test_every_event_says_a_level_and_why(before: float, after: float) -> None:
    for one in (
        reputation(before, after),
        row(
            "trust", actor="a-1", before=before, after=after, effect=0.0, cause="local", reason="it was right"
        ),
    ):
        event = event_of(one, ISSUER)
        if event is not None:
            assert event.claims["current_level"] != event.claims["previous_level"]
            assert {event.claims["current_level"], event.claims["previous_level"]} < {"LOW", "MEDIUM", "HIGH"}
            assert event.claims["reason_admin"]["en"]
