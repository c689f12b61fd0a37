"""Whom decisions are enforced on, and what an engine does alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.scoring.staging import (
    EFFECTS,
    FAIL_CLOSED,
    Policy,
    Staging,
    parse_shares,
    place_of,
    salt_of,
)
from ioint_taxonomy import load_taxonomy

SALT = salt_of(b"a node's seed of thirty-two byte")
ACTORS = [f"agent-{number}" for number in range(2_000)]


def stage(**given: object) -> Staging:
    return Staging(**{"enforce": True, "salt": SALT, **given})  # type: ignore[arg-type]


def test_observing_enforces_on_nobody() -> None:
    watching = stage(enforce=False, agents={"agent-17": 100})
    assert not any(watching.enforces(one, "research") for one in ACTORS)


def test_enforcing_without_a_share_is_on_everybody() -> None:
    assert all(stage().enforces(one, "research") for one in ACTORS)


def test_a_share_of_nothing_is_on_nobody() -> None:
    assert not any(stage(share=0).enforces(one, "research") for one in ACTORS)


@pytest.mark.parametrize("share", [10, 25, 50, 90])
def test_a_share_holds_for_about_so_many_actors(share: int) -> None:
    enforced = sum(stage(share=share).enforces(one, "research") for one in ACTORS)
    assert abs(enforced / len(ACTORS) - share / 100) < 0.04


@given(st.text(max_size=128), st.integers(0, 99), st.integers(1, 100))
def test_an_actor_never_flips_and_a_larger_share_keeps_it(actor: str, share: int, more: int) -> None:
    before = stage(share=share).enforces(actor, "f")
    assert stage(share=share).enforces(actor, "f") == before
    if before:
        assert stage(share=min(100, share + more)).enforces(actor, "f")


def test_an_agent_goes_before_its_family_and_a_family_before_the_rest() -> None:
    staged = stage(share=0, families={"research": 100}, agents={"a-17": 0})
    assert staged.enforces("a-1", "research")
    assert not staged.enforces("a-17", "research")
    assert not staged.enforces("a-1", "monitor")


def test_who_does_not_know_the_salt_cannot_choose_a_name_that_is_only_watched() -> None:
    other = salt_of(b"another node's seed, as long as it")
    same = sum(place_of(one, SALT) == place_of(one, other) for one in ACTORS)
    assert same < len(ACTORS) * 0.03
    assert salt_of(b"a node's seed of thirty-two byte") == SALT


def test_the_salt_is_not_shown() -> None:
    assert "salt" not in repr(stage())
    assert "salt" not in str(Policy(staging=stage()).to_json())


def test_shares_are_read_as_they_are_written() -> None:
    assert parse_shares(["research=25", "team=a-17=100", "off=0"]) == {
        "research": 25,
        "team=a-17": 100,
        "off": 0,
    }


@pytest.mark.parametrize(
    "rule", ["research", "=5", "research=", "research=101", "a=-1", "a=1.5", "a=٣", "a=x"]
)
def test_a_rule_without_sense_is_shown(rule: str) -> None:
    with pytest.raises(ValueError, match="NAME=PERCENT"):
        parse_shares([rule])


def test_a_name_that_comes_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="named twice"):
        parse_shares(["a=1", "a=2"])


def test_rules_are_bounded() -> None:
    with pytest.raises(ValueError, match="more than"):
        parse_shares([f"a{number}=1" for number in range(1_001)])


def test_every_effect_class_of_the_taxonomy_has_a_fail_mode() -> None:
    assert set(EFFECTS) == set(load_taxonomy().verbs.values())
    assert set(Policy().fail_mode(enforced=True)) == set(EFFECTS)


def test_what_cannot_be_taken_back_waits_for_the_node_and_business_goes_on() -> None:
    mode = Policy().fail_mode(enforced=True)
    assert {effect for effect, how in mode.items() if how == "closed"} == set(FAIL_CLOSED)
    assert mode["observe"] == mode["derive"] == mode["mutate"] == "open"


def test_where_nothing_is_enforced_nothing_is_closed() -> None:
    assert set(Policy().fail_mode(enforced=False).values()) == {"open"}
    assert set(Policy().to_json()["fail_mode"].values()) == {"open"}


def test_the_page_names_every_effect_class_with_its_verbs_and_its_default() -> None:
    text = (Path(__file__).parents[3] / "docs" / "policy.md").read_text()
    rows = re.findall(r"(?m)^\| ((?:`\w+`(?:, )?)+) \| ([a-z, ]+) \| (open|closed) \|", text)
    found = {}
    for classes, verbs, how in rows:
        named = re.findall(r"`(\w+)`", classes)
        assert {effect: Policy().fail_mode(enforced=True)[effect] for effect in named} == dict.fromkeys(
            named, how
        )
        for verb in verbs.split(", "):
            found[verb] = named
    assert found.keys() == load_taxonomy().verbs.keys()
    assert all(load_taxonomy().verbs[verb] in named for verb, named in found.items())
