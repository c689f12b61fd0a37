"""Members as the roster lists them (SPEC, "Roster")."""

from __future__ import annotations

import re
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
        "record_key",
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
class Member:
    """One member of the consortium.

    `id` is the key id of the record key; keys are Ed25519 public keys in hex, the node key for connections and the
    record key for segments. `group` is the affiliation group, whose members share one voice; `sponsor` is the id of the
    member that vouched, empty for founders. `since` is the roster version that first listed it and `since_day` that
    version's day; left at 0, signing fills it in. `addresses` are multiaddrs to dial; none means outbound only.
    """

    id: str
    name: str
    node_key: str
    record_key: str
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


def member_value(member: Member) -> dict[str, Value]:
    """Give the canonical JSON value of a member."""
    return {
        "id": member.id,
        "name": member.name,
        "node_key": member.node_key,
        "record_key": member.record_key,
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
    record_key, node_key = _take_key(value, "record_key"), _take_key(value, "node_key")
    if record_key == node_key:
        raise ProtocolError("bad_key", "node key and record key are the same")
    identity = take_text(value, "id", HEX_32)
    if identity != member_id(bytes.fromhex(record_key)):
        raise ProtocolError("bad_field", "id is not the key id of the record key")
    return Member(
        id=identity,
        name=take_text(value, "name", NAME),
        node_key=node_key,
        record_key=record_key,
        group=take_text(value, "group", GROUP),
        sponsor=take_text(value, "sponsor", SPONSOR),
        class_=take_code(value, "class", CLASSES),
        since=take_int(value, "since", 1, LIMITS.integer),
        since_day=take_day(value, "since_day"),
        addresses=_addresses(value),
        state=take_code(value, "state", STATES),
    )


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
