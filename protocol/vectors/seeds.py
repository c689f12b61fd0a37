"""Values that several vector files share, from seeds: keys, members, JSON without the checks of the protocol."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ioint_protocol import keys, roster
from nacl.signing import SigningKey

DAY = 20_777
Case = dict[str, Any]


def seeded(name: str) -> SigningKey:
    """Give the signing key of a name."""
    return SigningKey(hashlib.sha256(b"ioint vector " + name.encode()).digest())


def public(name: str) -> str:
    """Give the public key of a name, in hex."""
    return bytes(seeded(name).verify_key).hex()


def raw_json(value: object) -> bytes:
    """Give JSON as anybody would sort and write it, without the checks of the protocol."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def changed(value: Mapping[str, Any], **fields: object) -> dict[str, Any]:
    """Give an object with fields replaced, or removed where the new value is None."""
    merged = {**value, **fields}
    return {key: item for key, item in merged.items() if item is not None}


def member(
    name: str, *, since: int = 1, since_day: int = 0, sponsor: str = "", state: str = "active"
) -> roster.Member:
    """Give a member of the vector rosters."""
    return roster.Member(
        id=keys.member_id(bytes(seeded(f"{name} record").verify_key)),
        name=name,
        node_key=public(f"{name} node"),
        record_keys=(roster.RecordKey(key=public(f"{name} record")),),
        group=f"group-{name}",
        sponsor=sponsor,
        since=since,
        since_day=since_day,
        addresses=("/ip4/192.0.2.1/tcp/4001",),
        state=state,
    )


def steward(name: str) -> roster.Steward:
    """Give a member as a steward."""
    return roster.Steward(
        member=member(name).id, steward_key=public(f"{name} steward"), clock_key=public(f"{name} clock")
    )
