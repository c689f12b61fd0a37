"""Members as the roster lists them (SPEC, "Roster")."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ioint_protocol.canonical import Value
from ioint_protocol.errors import ProtocolError
from ioint_protocol.fields import (
    HEX_32,
    HEX_64,
    Object,
    check_keys,
    take_code,
    take_day,
    take_int,
    take_list,
    take_object,
    take_text,
)
from ioint_protocol.keys import check_public_key, member_id, peer_id
from ioint_protocol.limits import LIMITS

CLASSES: Final = frozenset({"member", "observer"})
STATES: Final = frozenset({"active", "suspended", "removed"})
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .,&()+_-]{0,63}")
GROUP: Final = re.compile(r"[a-z0-9-]{1,64}")
SPONSOR: Final = re.compile(r"(?:[0-9a-f]{32})?")
ADDRESS: Final = re.compile(
    r"/(?:ip4/[0-9.]{7,15}|ip6/[0-9a-f:]{2,45}|dns[46]?/[A-Za-z0-9](?:[A-Za-z0-9.-]{0,99}))"
    r"/tcp/[0-9]{1,5}(?:/p2p/[1-9A-HJ-NP-Za-km-z]{40,60})?"
)
_KEYS: Final = frozenset(
    {
        "id",
        "name",
        "node_key",
        "record_keys",
        "group",
        "sponsor",
        "class",
        "since",
        "since_day",
        "addresses",
        "state",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordKey:
    """A key that signs a member's segments: Ed25519 public key in hex, and the first segment (seq) that it signs."""

    key: str
    from_seq: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member of the consortium.

    `id` is the key id of the first record key; keys are Ed25519 public keys in hex, the node key for connections and
    the record keys for segments: each signs from its `from_seq` on, until the next one does. `group` is the affiliation
    group, whose members share one voice; `sponsor` is the id of the member that vouched, empty for founders. `since`
    is the roster version that first listed it and `since_day` that version's day; left at 0, encoding fills it in.
    `addresses` are multiaddrs to dial; none means outbound only.
    """

    id: str
    name: str
    node_key: str
    record_keys: tuple[RecordKey, ...]
    group: str
    sponsor: str = ""
    class_: str = "member"
    since: int
    since_day: int = 0
    addresses: tuple[str, ...] = ()
    state: str = "active"

    @property
    def peer_id(self) -> str:
        """The libp2p peer id of the node key."""
        return peer_id(bytes.fromhex(self.node_key))

    @property
    def record_key(self) -> str:
        """The newest record key."""
        return self.record_keys[-1].key

    def record_key_at(self, seq: int) -> str:
        """The key that signs segment `seq` (from 1), and the only one that may."""
        return next(item.key for item in reversed(self.record_keys) if item.from_seq <= seq)

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that this member ever had in use on this list."""
        return (self.node_key, *(item.key for item in self.record_keys))


@dataclass(frozen=True, slots=True, kw_only=True)
class Steward:
    """A member that steers: Ed25519 public keys in hex, of the steward and of the clock of its node."""

    member: str
    steward_key: str
    clock_key: str


def steward_value(steward: Steward) -> dict[str, Value]:
    """Give the canonical JSON value of a steward."""
    return {
        "member": steward.member,
        "steward_key": steward.steward_key,
        "clock_key": steward.clock_key,
    }


def parse_steward(value: Object) -> Steward:
    """Give the steward that a canonical JSON value spells.

    Raises:
        ProtocolError: `bad_shape`, `bad_field` or `bad_key`.
    """
    check_keys(value, {"member", "steward_key", "clock_key"})
    return Steward(
        member=take_text(value, "member", HEX_32),
        steward_key=_take_key(value, "steward_key"),
        clock_key=_take_key(value, "clock_key"),
    )


def member_value(member: Member) -> dict[str, Value]:
    """Give the canonical JSON value of a member."""
    return {
        "id": member.id,
        "name": member.name,
        "node_key": member.node_key,
        "record_keys": [{"key": item.key, "from_seq": item.from_seq} for item in member.record_keys],
        "group": member.group,
        "sponsor": member.sponsor,
        "class": member.class_,
        "since": member.since,
        "since_day": member.since_day,
        "addresses": list(member.addresses),
        "state": member.state,
    }


def parse_member(value: Object) -> Member:
    """Give the member that a canonical JSON value spells.

    Raises:
        ProtocolError: `bad_shape`, `bad_field` or `bad_key`.
    """
    check_keys(value, _KEYS)
    record_keys, node_key = _record_keys(value), _take_key(value, "node_key")
    if any(item.key == node_key for item in record_keys):
        raise ProtocolError("bad_key", "node key and record key are the same")
    identity = take_text(value, "id", HEX_32)
    if identity != member_id(bytes.fromhex(record_keys[0].key)):
        raise ProtocolError("bad_field", "id is not the key id of the first record key")
    return Member(
        id=identity,
        name=take_text(value, "name", NAME),
        node_key=node_key,
        record_keys=record_keys,
        group=take_text(value, "group", GROUP),
        sponsor=take_text(value, "sponsor", SPONSOR),
        class_=take_code(value, "class", CLASSES),
        since=take_int(value, "since", 1, LIMITS.integer),
        since_day=take_day(value, "since_day"),
        addresses=_addresses(value),
        state=take_code(value, "state", STATES),
    )


def check_distinct_keys(members: Sequence[Member], council: Sequence[Steward]) -> None:
    """Refuse one key in two places.

    Raises:
        ProtocolError: `bad_field`.
    """
    keys = Counter(key for member in members for key in member.keys)
    keys.update(key for steward in council for key in (steward.steward_key, steward.clock_key))
    if any(count > 1 for count in keys.values()):
        raise ProtocolError("bad_field", "one key in two places")
    if any(count > 1 for count in Counter(steward.member for steward in council).values()):
        raise ProtocolError("bad_field", "one steward twice")


def _record_keys(value: Object) -> tuple[RecordKey, ...]:
    found: list[RecordKey] = []
    for item in take_list(value, "record_keys", 1, LIMITS.record_keys):
        entry = take_object(item, "a record key")
        check_keys(entry, {"key", "from_seq"})
        low = found[-1].from_seq + 1 if found else 1
        from_seq = take_int(entry, "from_seq", low, LIMITS.integer if found else 1)
        found.append(RecordKey(key=_take_key(entry, "key"), from_seq=from_seq))
    return tuple(found)


def _take_key(value: Object, name: str) -> str:
    text = take_text(value, name, HEX_64)
    check_public_key(bytes.fromhex(text))
    return text


def _addresses(value: Object) -> tuple[str, ...]:
    found: list[str] = []
    for item in take_list(value, "addresses", 0, LIMITS.member_addresses):
        if not isinstance(item, str):
            raise ProtocolError("bad_shape", "addresses holds something other than strings")
        if len(item) > LIMITS.address_chars or not ADDRESS.fullmatch(item):
            raise ProtocolError("bad_field", "addresses holds something that is no TCP multiaddr")
        if item in found:
            raise ProtocolError("bad_field", "one address twice")
        found.append(item)
    return tuple(found)
