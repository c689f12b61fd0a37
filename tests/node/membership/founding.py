"""A consortium of five stewards of whom three sign, with every key at hand."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from ioint_node.membership import Membership, Terms, found, next_version
from ioint_protocol import Member, RecordKey, Release, Steward, member_id
from nacl.signing import SigningKey

NOW = time.time_ns() // 1_000_000
DAY_MS = 86_400_000


def seeded(name: str) -> SigningKey:
    return SigningKey(name.encode().ljust(32, b"."))


def public(name: str) -> str:
    return bytes(seeded(name).verify_key).hex()


def member(name: str, since: int = 1) -> Member:
    record = public(f"{name} record")
    return Member(
        id=member_id(bytes.fromhex(record)),
        name=name,
        node_key=public(f"{name} node"),
        record_keys=(RecordKey(key=record),),
        group=f"group-{name}",
        since=since,
    )


def seat(name: str) -> Steward:
    return Steward(
        member=member(name).id, steward_key=public(f"{name} steward"), clock_key=public(f"{name} clock")
    )


def stewards(names: str) -> list[SigningKey]:
    return [seeded(f"{name} steward") for name in names]


TERMS = Terms(
    members=tuple(map(member, "abcdef")),
    council=tuple(map(seat, "abcde")),
    threshold=3,
    taxonomy=Release(version="2026.11", digest="1" * 64),
    catalogue="2" * 64,
)


FIRST = found(TERMS, stewards("abc"), seeded("a clock"), NOW)


def after(
    held: Membership, *, by: str = "abc", clock: str = "a", now: int = NOW + 1_000, **terms: Any
) -> Membership:
    """The version after one, with some of its terms changed."""
    said = replace(Terms.of(held.roster), **terms)
    return next_version(held, said, stewards(by), seeded(f"{clock} clock"), now)


def with_state(held: Membership, name: str, state: str) -> tuple[Member, ...]:
    """The members with one in another state."""
    changed = member(name).id
    return tuple(replace(m, state=state) if m.id == changed else m for m in held.roster.members)
