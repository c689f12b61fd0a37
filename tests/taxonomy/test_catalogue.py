import hashlib
import json
from typing import Any

import pytest
from ioint_taxonomy import CatalogueEntry, load_catalogue, load_taxonomy

TAXONOMY = load_taxonomy()
ENTRIES = load_catalogue().entries
BY_SLUG = {entry.slug: entry for entry in ENTRIES.values()}
# What is wanted of attackers' goals, each by the intents that name it.
GOALS = {
    "unauthorised transaction": "financial_harm",
    "data exfiltration": "external_exfiltration",
    "credential or account change": "account_takeover",
    "destructive action": "destructive_action",
    "access grant": "permission_tampering",
    "external contact": "goal_hijack",
    "unwanted communication": "self_replicating_prompt",
    "content manipulation": "record_falsification",
    "lateral movement": "lateral_movement",
    "code execution": "unexpected_code_execution",
    "persistence": "unrequested_persistence",
    "memory poisoning": "memory_poisoning",
    "supply chain": "malicious_tool_install",
}


def steps(entry: CatalogueEntry) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = entry.pattern["steps"]
    return found


def test_an_id_is_the_hash_of_the_canonical_pattern() -> None:
    for entry in ENTRIES.values():
        body = json.dumps(entry.pattern, sort_keys=True, separators=(",", ":")).encode("ascii")
        assert entry.id == hashlib.sha256(b"ioint/pattern/v1\0" + body).hexdigest()


def test_slugs_and_titles_are_used_once() -> None:
    assert len(BY_SLUG) == len(ENTRIES)
    assert len({entry.title for entry in ENTRIES.values()}) == len(ENTRIES)


@pytest.mark.parametrize("goal", sorted(GOALS))
def test_every_goal_of_attackers_has_entries(goal: str) -> None:
    assert [entry.slug for entry in ENTRIES.values() if GOALS[goal] in entry.intents]


def test_every_layer_has_entries() -> None:
    layers = {TAXONOMY.intents[slug].layer for entry in ENTRIES.values() for slug in entry.intents}
    assert layers == {layer.id for layer in TAXONOMY.layers}


def test_lists_are_sorted_and_flows_point_backwards() -> None:
    for entry in ENTRIES.values():
        assert list(entry.pattern.get("declared", [])) == sorted(entry.pattern.get("declared", []))
        for at, step in enumerate(steps(entry)):
            for key in step.keys() & {"v", "r", "p", "f"}:
                assert step[key] == sorted(set(step[key])), entry.slug
            assert all(source < at for source in step.get("f", [])), entry.slug


def test_declared_families_exist() -> None:
    declared = {slug for entry in ENTRIES.values() for slug in entry.pattern.get("declared", [])}
    assert declared <= TAXONOMY.families.keys()


def test_no_entry_matches_on_a_verb_alone() -> None:
    for entry in ENTRIES.values():
        evidence = {key for step in steps(entry) for key in step.keys() & {"p", "f", "x"}}
        assert evidence, f"{entry.slug} would match ordinary work"


def test_the_risk_of_an_entry_is_near_that_of_its_intents() -> None:
    for entry in ENTRIES.values():
        risks = [TAXONOMY.intents[slug].risk for slug in entry.intents]
        assert min(risks) - 20 <= entry.risk <= max(risks) + 10, entry.slug


def test_the_severest_response_is_kept_for_the_clear_cases() -> None:
    kills = [entry for entry in ENTRIES.values() if entry.response == "kill"]
    assert len(kills) <= 5
    assert all(entry.risk >= 90 for entry in kills)


def test_an_entry_is_read_as_it_is_written() -> None:
    entry = BY_SLUG["confidential_to_untrusted_address"]
    read, sent = steps(entry)
    assert read == {"v": ["@observe"], "s": 2}
    assert sent["f"] == [0]
    assert sent["b"] == 4
    assert sent["x"] == 1
