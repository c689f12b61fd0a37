"""Fingerprint keys that an inviter's node seals for a new member."""

from __future__ import annotations

from pathlib import Path

import pytest
from ioint_node.card import add_fingerprint_keys, fingerprint_keys
from ioint_node.config import Config, Keys
from ioint_node.errors import ConfigError
from ioint_node.membership.sealed import SEALED_BYTES, seal, unseal
from ioint_protocol import ProtocolError, Roster

from tests.node.membership.founding import FIRST, after, public, seeded, with_state

KEYS = {"1": "ab" * 32, "2": "cd" * 32}


def test_the_bearer_of_the_node_key_opens_what_was_sealed_to_it() -> None:
    assert unseal(seal(KEYS, public("a node")), [seeded("b node"), seeded("a node")]) == KEYS


def test_nobody_else_opens_it() -> None:
    with pytest.raises(ProtocolError, match="bad_signature"):
        unseal(seal(KEYS, public("a node")), [seeded("b node")])


@pytest.mark.parametrize(
    "keys", [{"x": "ab" * 32}, {"1": "ab"}, {str(epoch): "ab" * 32 for epoch in range(65)}]
)
def test_what_is_no_key_by_epoch_is_refused(keys: dict[str, str]) -> None:
    with pytest.raises(ProtocolError, match="bad_shape"):
        unseal(seal(keys, public("a node")), [seeded("a node")])


def test_what_is_too_long_is_not_opened() -> None:
    with pytest.raises(ProtocolError, match="too_large"):
        unseal(bytes(SEALED_BYTES + 1), [seeded("a node")])


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The home of the member f, which has no fingerprint keys yet."""
    config = Config(home=tmp_path, org="f")
    config.fingerprint_file.parent.mkdir(parents=True, exist_ok=True)
    return config


OWN = Keys(node_seed=bytes(seeded("f node")), record_seed=bytes(seeded("f record")))
SUSPENDED = after(FIRST, members=with_state(FIRST, "f", "suspended"))


def test_an_inviter_adds_what_is_missing_and_replaces_no_key(config: Config) -> None:
    add_fingerprint_keys(config, OWN, FIRST.roster, seal({"1": "ab" * 32}, public("f node")))
    add_fingerprint_keys(config, OWN, FIRST.roster, seal({"1": "00" * 32, "2": "cd" * 32}, public("f node")))
    assert fingerprint_keys(config) == KEYS


@pytest.mark.parametrize("roster", [None, SUSPENDED.roster])
def test_who_is_no_active_member_takes_no_keys_of_a_door(config: Config, roster: Roster | None) -> None:
    add_fingerprint_keys(config, OWN, roster, seal(KEYS, public("f node")))
    assert fingerprint_keys(config) == {}


def test_keys_that_cannot_be_opened_are_told_with_what_to_do(config: Config) -> None:
    with pytest.raises(ConfigError, match="ask another member"):
        add_fingerprint_keys(config, OWN, FIRST.roster, seal(KEYS, public("a node")))
