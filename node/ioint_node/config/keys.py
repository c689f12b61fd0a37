"""The keys of a node: Ed25519 seeds, each in a file of its own.

node, record              of every node
steward, clock            of a steward's node
record-N                  a later record key, which signs segments from N on
node-next, steward-next, clock-next    made by a rotation; they take the place of the others once the roster names them
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from ioint_protocol import Roster
from ioint_protocol.keys import member_id
from nacl.signing import SigningKey

from ioint_node.config.files import make_home, read_private, replace_private, write_private
from ioint_node.errors import ConfigError

_LATER: Final = re.compile(r"record-([1-9][0-9]{0,15})\.key")
_REPLACEABLE: Final = ("node", "steward", "clock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The secrets of one node: Ed25519 seeds of 32 bytes. Their `repr` shows none of them.

    `later_record_seeds` sign segments from the number on that is their key, `next_seeds` wait for the roster to name
    them; `listed_as` is the member id where it does not follow from the first record key: an earlier one was lost.
    """

    node_seed: bytes = field(repr=False)  # libp2p identity of this machine
    record_seed: bytes = field(repr=False)  # signs what the member publishes
    later_record_seeds: Mapping[int, bytes] = field(repr=False, default_factory=dict)
    steward_seed: bytes | None = field(repr=False, default=None)  # signs rosters
    clock_seed: bytes | None = field(repr=False, default=None)  # says daily which roster is the newest
    next_seeds: Mapping[str, bytes] = field(repr=False, default_factory=dict)
    listed_as: str = ""

    @property
    def record_key(self) -> SigningKey:
        """The newest key that signs segments."""
        return self.record_keys[-1]

    @property
    def record_keys(self) -> tuple[SigningKey, ...]:
        """Every key that signs segments, the oldest first."""
        later = [SigningKey(self.later_record_seeds[seq]) for seq in sorted(self.later_record_seeds)]
        return (SigningKey(self.record_seed), *later)

    def record_key_at(self, seq: int) -> SigningKey:
        """The key that this node signs segment `seq` with."""
        begun = [start for start in self.later_record_seeds if start <= seq]
        return SigningKey(self.later_record_seeds[max(begun)] if begun else self.record_seed)

    @property
    def steward_key(self) -> SigningKey | None:
        """The key that signs rosters, where a consortium is steered from here."""
        return SigningKey(self.steward_seed) if self.steward_seed is not None else None

    @property
    def clock_key(self) -> SigningKey | None:
        """The key that a steward's node signs timestamps with."""
        return SigningKey(self.clock_seed) if self.clock_seed is not None else None

    def next_key(self, name: str) -> SigningKey | None:
        """The key that waits to take the place of `node`, `steward` or `clock`."""
        seed = self.next_seeds.get(name)
        return None if seed is None else SigningKey(seed)

    @property
    def node_public(self) -> bytes:
        """The public node key, 32 bytes."""
        return bytes(SigningKey(self.node_seed).verify_key)

    @property
    def record_public(self) -> bytes:
        """The newest public record key, 32 bytes."""
        return bytes(self.record_key.verify_key)

    @property
    def member(self) -> str:
        """The member id: that of the first record key, unless the roster lists its bearer under another."""
        return self.listed_as or member_id(bytes(self.record_keys[0].verify_key))


def make_keys(home: Path) -> Keys:
    """Make a node's two keys, each in a new file of mode 0600.

    Raises:
        ConfigError: there are keys already.
    """
    make_home(home)
    return Keys(node_seed=_make_key(home, "node"), record_seed=_make_key(home, "record"))


def make_steward_key(home: Path) -> Keys:
    """Make the keys of a steward, beside those that are there: one signs rosters, one their timestamps.

    Raises:
        ConfigError: there is one already, or the node has no keys.
    """
    keys = load_keys(home)
    return replace(keys, steward_seed=_make_key(home, "steward"), clock_seed=_make_key(home, "clock"))


def make_record_key(home: Path, from_seq: int) -> Keys:
    """Make a record key that signs from segment `from_seq` on.

    Raises:
        ConfigError: there is one already, or the node has no keys.
    """
    keys = load_keys(home)
    later = {**keys.later_record_seeds, from_seq: _make_key(home, f"record-{from_seq}")}
    return replace(keys, later_record_seeds=later)


def make_next_keys(home: Path, *names: str) -> Keys:
    """Make keys that wait to take the place of `node`, or of `steward` and `clock`; those that wait already stay.

    Raises:
        ConfigError: the node has no keys.
    """
    waiting = load_keys(home).next_seeds
    for name in names:
        if name not in waiting:
            _make_key(home, f"{name}-next")
    return load_keys(home)


def settle_keys(home: Path, roster: Roster) -> bool:
    """Put the keys in their place that the roster names for this node now; True when any was moved.

    Raises:
        ConfigError: the keys cannot be read or written.
    """
    keys = load_keys(home)
    moved = False
    if not keys.listed_as and roster.member(keys.member) is None:
        own = {bytes(key.verify_key).hex() for key in keys.record_keys}
        for member in roster.members:
            if own & {item.key for item in member.record_keys}:
                replace_private(home / "keys" / "member.id", member.id.encode() + b"\n")
                moved = True
    named = {key for member in roster.members for key in member.keys}
    named |= {key for steward in roster.council for key in (steward.steward_key, steward.clock_key)}
    for name, seed in keys.next_seeds.items():
        if bytes(SigningKey(seed).verify_key).hex() in named:
            _key_file(home, f"{name}-next").replace(_key_file(home, name))
            moved = True
    return moved


def load_keys(home: Path) -> Keys:
    """Read a node's keys.

    Raises:
        ConfigError: a key is missing, unreadable, or readable by others.
    """
    found = (_LATER.fullmatch(path.name) for path in _key_file(home, "record").parent.glob("record-*.key"))
    listed_as = home / "keys" / "member.id"
    return Keys(
        node_seed=_load_key(home, "node"),
        record_seed=_load_key(home, "record"),
        later_record_seeds={int(each[1]): _load_key(home, f"record-{each[1]}") for each in found if each},
        steward_seed=_load_if_there(home, "steward"),
        clock_seed=_load_if_there(home, "clock"),
        next_seeds={
            name: seed for name in _REPLACEABLE if (seed := _load_if_there(home, f"{name}-next")) is not None
        },
        listed_as=read_private(listed_as).decode().strip() if listed_as.exists() else "",
    )


def load_pass_key(home: Path) -> bytes:
    """The seed of the key that signs passes, made at its first use: its public half is at the node's door.

    Raises:
        ConfigError: it is unreadable, or readable by others.
    """
    return _made_at_first_use(home, "pass")


def load_feed_key(home: Path) -> SigningKey:
    """The key that signs the public bundle, made at its first use: its public half is at the node's door.

    Raises:
        ConfigError: it is unreadable, or readable by others.
    """
    return SigningKey(_made_at_first_use(home, "feed"))


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


def _load_if_there(home: Path, name: str) -> bytes | None:
    return _load_key(home, name) if _key_file(home, name).exists() else None


def _load_key(home: Path, name: str) -> bytes:
    path = _key_file(home, name)
    text = read_private(path).strip()
    if not re.fullmatch(rb"[0-9a-f]{64}", text):
        raise ConfigError(f"{path} does not hold 64 hex digits: restore it from a backup")
    return bytes.fromhex(text.decode())
