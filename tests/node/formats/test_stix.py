"""What an indicator is as STIX: the same at every node, and nothing in it that only one organisation knows."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.formats import contributed, stix
from ioint_taxonomy import load_taxonomy

TAXONOMY = load_taxonomy()
INTENTS = sorted(TAXONOMY.intents)


@dataclass(frozen=True, kw_only=True)
class Row:
    """An indicator as the store keeps it."""

    id: str = "a" * 64
    subject: str = "a" * 64
    state: str = "suspicious"
    tlp: str = "green"
    added_at: str = "2026-11-18T10:00:00.000Z"
    row: dict[str, Any] = field(
        default_factory=lambda: {
            "kind": "pattern",
            "label": "Payment named by a third party",
            "intents": ["goal_hijack", "financial_harm"],
            "score": 62,
            "confidence": 50,
            "tier": "corroborated",
            "effect": 0.1,
            "reporters": 3,
            "first_reporter": "SECRET-member",
            "first_seen": "2026-11-01",
            "last_seen": "2026-11-17",
            "valid_until": "2026-12-17",
            "seen_locally": True,
            "local_hits": 4711,
            "blast_radius": 4712,
            "why": "SECRET own rate at most 0.05 in 1,000",
            "disputed": False,
            "revoked": False,
        }
    )
    novel: dict[str, Any] | None = None


def made(row: Row) -> dict[str, dict[str, Any]]:
    return {one["id"].partition("--")[0]: one for one in stix.group(row, None, TAXONOMY)}


def changed(state: str, **values: Any) -> Row:
    return Row(state=state, row={**Row().row, **values})


def test_a_group_tells_who_saw_it_and_what_it_indicates() -> None:
    objects = stix.group(Row(), None, TAXONOMY)
    assert [one["type"] for one in objects] == ["indicator", "sighting", "relationship", "relationship"]
    assert len({one["id"] for one in objects}) == 4
    sighting = made(Row())["sighting"]
    assert (sighting["count"], sighting["first_seen"]) == (3, "2026-11-01T00:00:00.000Z")
    assert sighting["where_sighted_refs"] == [stix.CONSORTIUM]
    targets = {one["target_ref"] for one in objects if one["type"] == "relationship"}
    assert targets == {stix.attack_pattern_id("goal_hijack"), stix.attack_pattern_id("financial_harm")}


def test_what_only_this_organisation_knows_is_in_no_object() -> None:
    text = stix.encoded(stix.group(Row(), None, TAXONOMY)).decode()
    assert "SECRET" not in text
    assert "4711" not in text
    assert "4712" not in text


@pytest.mark.parametrize(
    ("state", "opinion"),
    [
        ("disputed", "disagree"),
        ("benign", "strongly-disagree"),
        ("withdrawn", "strongly-disagree"),
        ("watched", None),
    ],
)
def test_what_is_doubted_comes_with_an_opinion_and_a_note(state: str, opinion: str | None) -> None:
    objects = made(changed(state, revoked=state == "withdrawn", reporters=0))
    assert objects.get("opinion", {}).get("opinion") == opinion
    assert ("note" in objects) == (opinion is not None)
    assert objects["indicator"].get("revoked", False) == (state == "withdrawn")
    assert "sighting" not in objects


@pytest.mark.parametrize(
    ("subject", "pattern"),
    [
        ("pkg:npm/%40scope/name@1.2.3", "[software:name = '@scope/name' AND software:version = '1.2.3']"),
        ("pkg:pypi/left-pad", "[software:name = 'left-pad']"),
        ("pkg:github/owner/repo@v1", "[url:value = 'https://github.com/owner/repo']"),
    ],
)
def test_a_public_subject_is_matched_by_standard_objects(subject: str, pattern: str) -> None:
    key = hashlib.sha256(subject.encode()).hexdigest()
    indicator = stix.indicator(Row(id=key, subject=subject), None)
    assert (indicator["pattern"], indicator["pattern_type"]) == (pattern, "stix")
    assert indicator["external_references"] == [{"source_name": "purl", "external_id": subject}]


@given(st.uuids(version=5), st.sampled_from(INTENTS))
def test_a_relationship_leads_back_to_its_indicator(about: Any, intent: str) -> None:
    folded = stix.relationship_uuid(str(about), intent)
    assert folded[14] == "5"
    assert folded[19] in "89ab"
    assert stix.relationship_uuid(folded, intent) == str(about)


def test_every_intent_is_an_attack_pattern_and_those_of_atlas_say_so() -> None:
    patterns = stix.attack_patterns(TAXONOMY)
    assert patterns.keys() == TAXONOMY.intents.keys()
    references = patterns["goal_hijack"]["external_references"]
    assert ("mitre-atlas", "AML.T0051") in [(one["source_name"], one["external_id"]) for one in references]


def test_other_bytes_for_the_same_row_are_another_rendering() -> None:
    # When this fails, what is made of a row has changed: count RENDERING up, and write the new digest here.
    data = stix.encoded(stix.group(changed("disputed"), {"steps": []}, TAXONOMY))
    assert (stix.RENDERING, hashlib.sha256(data).hexdigest()[:16]) == (1, "1911bf5cad03b5f3")


@given(st.dictionaries(st.text(max_size=12), st.recursive(st.none() | st.text() | st.integers(), st.lists)))
def test_whatever_is_contributed_is_read_or_refused_with_a_reason(value: dict[str, Any]) -> None:
    for kind in ("", "opinion", "indicator", "sighting"):
        named = {
            "id": f"{kind}--00000001-0000-4000-8000-000000000000",
            "type": kind,
            "modified": "2026-11-18T10:00:00Z",
        }
        with suppress(ValueError):  # and nothing else
            contributed.meaning(contributed.read({**value, **named} if kind else value))
