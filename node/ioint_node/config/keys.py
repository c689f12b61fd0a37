"""The keys of a node: Ed25519 seeds, each in a file of its own."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from ioint_protocol.keys import member_id
from nacl.signing import SigningKey

from ioint_node.config.files import make_home, read_private, write_private
from ioint_node.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The secrets of one node: three Ed25519 seeds of 32 bytes. Their `repr` shows none of them."""

    node_seed: bytes = field(repr=False)  # libp2p identity of this machine
    record_seed: bytes = field(repr=False)  # signs what the member publishes
    steward_seed: bytes | None = field(repr=False, default=None)  # signs rosters

    @property
    def record_key(self) -> SigningKey:
        """The key that signs segments."""
        return SigningKey(self.record_seed)

    @property
    def steward_key(self) -> SigningKey | None:
        """The key that signs rosters, where a consortium is steered from here."""
        return SigningKey(self.steward_seed) if self.steward_seed is not None else None

    @property
    def node_public(self) -> bytes:
        """The public node key, 32 bytes."""
        return bytes(SigningKey(self.node_seed).verify_key)

    @property
    def record_public(self) -> bytes:
        """The public record key, 32 bytes."""
        return bytes(self.record_key.verify_key)

    @property
    def member(self) -> str:
        """The member id, which follows from the record key."""
        return member_id(self.record_public)


def make_keys(home: Path) -> Keys:
    """Make a node's two keys, each in a new file of mode 0600.

    Raises:
        ConfigError: there are keys already.
    """
    make_home(home)
    return Keys(node_seed=_make_key(home, "node"), record_seed=_make_key(home, "record"))


def make_steward_key(home: Path) -> Keys:
    """Make the key that signs rosters, beside the two that are there.

    Raises:
        ConfigError: there is one already, or the node has no keys.
    """
    keys = load_keys(home)
    return Keys(
        node_seed=keys.node_seed, record_seed=keys.record_seed, steward_seed=_make_key(home, "steward")
    )


def load_keys(home: Path) -> Keys:
    """Read a node's keys.

    Raises:
        ConfigError: a key is missing, unreadable, or readable by others.
    """
    steward = _key_file(home, "steward")
    return Keys(
        node_seed=_load_key(home, "node"),
        record_seed=_load_key(home, "record"),
        steward_seed=_load_key(home, "steward") if steward.exists() else None,
    )


def load_pass_key(home: Path) -> bytes:
    """The seed of the key that signs passes, made at its first use: its public half is at the node's door.

    Raises:
        ConfigError: it is unreadable, or readable by others.
    """
    return _made_at_first_use(home, "pass")


def load_principal_key(home: Path) -> bytes:
    """The key under which people and owners are counted, made at its first use; it leaves the machine in no form.

    Raises:
        ConfigError: it is unreadable, or readable by others.
    """
    return _made_at_first_use(home, "principal")


def _made_at_first_use(home: Path, name: str) -> bytes:
    return _load_key(home, name) if _key_file(home, name).exists() else _make_key(home, name)


def _key_file(home: Path, name: str) -> Path:
    return home / "keys" / f"{name}.key"


def _make_key(home: Path, name: str) -> bytes:
    seed = os.urandom(32)
    path = _key_file(home, name)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_private(path, seed.hex().encode() + b"\n")
    return seed


def _load_key(home: Path, name: str) -> bytes:
    path = _key_file(home, name)
    text = read_private(path).strip()
    if not re.fullmatch(rb"[0-9a-f]{64}", text):
        raise ConfigError(f"{path} does not hold 64 hex digits: restore it from a backup")
    return bytes.fromhex(text.decode())
