"""Who is a member: a list that a threshold of stewards signs, version after version (SPEC, "Roster").

The consortium's id is the hash of its first roster, so that no other consortium's can pass for a later one. A version
follows the one before it when a threshold of both lists of stewards signed it; whoever trusts a roster follows the
chain from there, and never goes back.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from nacl.signing import SigningKey

from ioint_protocol import canonical, frame
from ioint_protocol.canonical import Value
from ioint_protocol.envelope import payload_type
from ioint_protocol.errors import ProtocolError
from ioint_protocol.fields import (
    HEX_64,
    check_keys,
    take_day,
    take_int,
    take_list,
    take_object,
    take_terms,
    take_text,
)
from ioint_protocol.frame import Reader, Signature
from ioint_protocol.keys import check_public_key
from ioint_protocol.limits import LIMITS
from ioint_protocol.members import Member, member_value, parse_member
from ioint_protocol.records import TAXONOMY_VERSION

__all__ = ["Member", "Release", "Roster", "VerifiedRoster", "add_signature", "sign_roster", "verify_roster"]

VERSION: Final = 1
_MAGIC: Final = b"IORO"
_DAY_S: Final = 86_400
_FIXED: Final = (
    "record_key",
    "group",
    "since",
    "since_day",
)  # at admission, for as long as a member is listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A taxonomy release: its version and its digest in hex."""

    version: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Roster:
    """One version of the list.

    `issued_day` is a UTC day, `expires` Unix seconds: callers compare it with their own clock. `stewards` are Ed25519
    public keys in hex, ascending, of which `threshold` sign. `catalogue` is the catalogue's digest. `consortium` is
    filled in when version 1 is verified and carried on by every later version.
    """

    version: int
    issued_day: int
    expires: int
    threshold: int
    stewards: tuple[str, ...]
    members: tuple[Member, ...]
    taxonomy: Release
    catalogue: str
    consortium: str = ""

    def member(self, member_id: str) -> Member | None:
        """Give the listed member of this id, in whatever state, or None."""
        return self._by_id.get(member_id)

    def by_peer_id(self, peer_id: str) -> Member | None:
        """Give the listed member of this libp2p peer id, in whatever state, or None."""
        return self._by_peer_id.get(peer_id)

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The groups that have a voice: those with an active member of class `member`, ascending."""
        return tuple(sorted({m.group for m in self.members if m.state == "active" and m.class_ == "member"}))

    @cached_property
    def founders(self) -> tuple[Member, ...]:
        """The listed members that version 1 already listed."""
        return tuple(member for member in self.members if member.since == 1)

    @cached_property
    def _by_id(self) -> dict[str, Member]:
        return {member.id: member for member in self.members}

    @cached_property
    def _by_peer_id(self) -> dict[str, Member]:
        return {member.peer_id: member for member in self.members}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedRoster:
    """A roster that its stewards signed and that follows the trusted one; its expiry is the caller's to check."""

    roster: Roster
    wire: bytes = field(repr=False)
    consortium: str


def sign_roster(roster: Roster, keys: Sequence[SigningKey]) -> bytes:
    """Give the wire of a roster with one signature per key; `add_signature` adds those of absent stewards.

    Raises:
        ProtocolError: when the roster is one that `verify_roster` would refuse for its contents.
    """
    payload = _encode(_with_days(roster))
    _decode(payload)
    kind = _payload_type(payload, roster)
    return _write(payload, [frame.make_signature(key, kind, payload) for key in keys])


def add_signature(wire: bytes, key: SigningKey) -> bytes:
    """Give the wire with one more steward's signature; a second one of the same key changes nothing.

    Raises:
        ProtocolError: when the wire is malformed.
    """
    payload, signatures = _read(wire)
    signature = frame.make_signature(key, _payload_type(payload, _decode(payload)), payload)
    return _write(payload, [*(item for item in signatures if item.kid != signature.kid), signature])


def verify_roster(wire: bytes, trusted: Roster | None) -> VerifiedRoster:
    """Check a roster against the one that is trusted, its exact predecessor or itself.

    With `trusted` None the first version is taken at its word (trust on first use): show its consortium id to the
    operator. Later versions are followed one by one.

    Raises:
        ProtocolError: `rollback`, `roster_fork`, `version_gap`, `wrong_consortium`, `below_threshold`,
            `member_changed`, `unknown_signer`, `duplicate_signer`, `bad_signature`, `bad_key`, or a fault of shape.
    """
    payload, signatures = _read(wire)
    roster = _decode(payload)
    _check_succession(roster, payload, trusted)
    stewards = set(roster.stewards) | set(trusted.stewards if trusted else ())
    keys = [bytes.fromhex(steward) for steward in stewards]
    signers = frame.verify_all(signatures, keys, _payload_type(payload, roster), payload)
    for judge in (roster, trusted or roster):
        signed = sum(bytes.fromhex(steward) in signers for steward in judge.stewards)
        if signed < judge.threshold:
            raise ProtocolError(
                "below_threshold",
                f"{signed} stewards of version {judge.version}, fewer than {judge.threshold}",
            )
    return VerifiedRoster(roster=roster, wire=wire, consortium=roster.consortium)


def _check_succession(roster: Roster, payload: bytes, trusted: Roster | None) -> None:
    if trusted is None:
        if roster.version != 1:
            raise ProtocolError("version_gap", f"version {roster.version} and no trusted roster; begin at 1")
        return
    if roster.consortium != trusted.consortium:
        raise ProtocolError("wrong_consortium", f"{roster.consortium}, not {trusted.consortium}")
    if roster.version < trusted.version:
        raise ProtocolError("rollback", f"version {roster.version}, older than {trusted.version}")
    if roster.version == trusted.version:
        if payload != _encode(trusted):
            raise ProtocolError("roster_fork", f"another roster of version {trusted.version}")
        return
    if roster.version > trusted.version + 1:
        raise ProtocolError("version_gap", f"version {roster.version} after {trusted.version}")
    if roster.issued_day < trusted.issued_day:
        raise ProtocolError("rollback", f"issued on day {roster.issued_day}, before {trusted.issued_day}")
    _check_members(roster, trusted)


def _check_members(roster: Roster, trusted: Roster) -> None:
    for member in roster.members:
        before = trusted.member(member.id)
        if before is None:
            if (member.since, member.since_day) != (roster.version, roster.issued_day):
                raise ProtocolError("member_changed", f"{member.id} is new, and since says otherwise")
        elif any(getattr(member, name) != getattr(before, name) for name in _FIXED):
            raise ProtocolError("member_changed", f"{member.id}: one of {', '.join(_FIXED)}")
    for before in trusted.members:
        if before.state != "removed" and roster.member(before.id) is None:
            raise ProtocolError("member_changed", f"{before.id} is gone without having been removed")


def _with_days(roster: Roster) -> Roster:
    def filled(member: Member) -> Member:
        new = member.since == roster.version and member.since_day == 0
        return replace(member, since_day=roster.issued_day) if new else member

    return replace(roster, members=tuple(filled(member) for member in roster.members))


def _payload_type(payload: bytes, roster: Roster) -> str:
    return payload_type("roster", roster.consortium or hashlib.sha256(payload).hexdigest())


def _write(payload: bytes, signatures: Sequence[Signature]) -> bytes:
    wire = frame.opening(_MAGIC) + frame.block(4, payload) + frame.write_signatures(signatures)
    _read(wire)
    return wire


def _read(wire: bytes) -> tuple[bytes, tuple[Signature, ...]]:
    frame.check_size(wire, LIMITS.roster_bytes)
    reader = Reader(wire)
    reader.magic(_MAGIC)
    payload = reader.block(4, LIMITS.roster_bytes)
    signatures = frame.read_signatures(reader)
    reader.end()
    return payload, signatures


def _encode(roster: Roster) -> bytes:
    value: dict[str, Value] = {
        "v": VERSION,
        "version": roster.version,
        "issued_day": roster.issued_day,
        "expires": roster.expires,
        "threshold": roster.threshold,
        "stewards": list(roster.stewards),
        "members": [member_value(member) for member in roster.members],
        "taxonomy": {"version": roster.taxonomy.version, "digest": roster.taxonomy.digest},
        "catalogue": roster.catalogue,
    }
    # The first version's hash is the consortium's id, so it cannot contain it.
    if roster.version > 1:
        value["consortium"] = roster.consortium
    return canonical.encode(value)


_KEYS: Final = frozenset(
    {"v", "version", "issued_day", "expires", "threshold", "stewards", "members", "taxonomy", "catalogue"}
)


def _decode(payload: bytes) -> Roster:
    value = canonical.decode_object(payload, limit_bytes=LIMITS.roster_bytes)
    later = value.get("version") != 1
    check_keys(value, _KEYS | {"consortium"} if later else _KEYS)
    take_int(value, "v", VERSION, VERSION)
    issued_day = take_day(value, "issued_day")
    stewards = take_terms(value, "stewards", HEX_64, 1, LIMITS.roster_stewards)
    for steward in stewards:
        check_public_key(bytes.fromhex(steward))
    release = take_object(value["taxonomy"], "taxonomy")
    check_keys(release, {"version", "digest"})
    members = tuple(
        parse_member(take_object(item, "a member"))
        for item in take_list(value, "members", 1, LIMITS.roster_members)
    )
    roster = Roster(
        version=take_int(value, "version", 1, LIMITS.integer),
        issued_day=issued_day,
        expires=take_int(value, "expires", issued_day * _DAY_S, LIMITS.day * _DAY_S),
        threshold=take_int(value, "threshold", 1, len(stewards)),
        stewards=stewards,
        members=members,
        taxonomy=Release(
            version=take_text(release, "version", TAXONOMY_VERSION),
            digest=take_text(release, "digest", HEX_64),
        ),
        catalogue=take_text(value, "catalogue", HEX_64),
        consortium=take_text(value, "consortium", HEX_64) if later else hashlib.sha256(payload).hexdigest(),
    )
    _check_distinct(roster)
    return roster


def _check_distinct(roster: Roster) -> None:
    keys = Counter(key for member in roster.members for key in (member.node_key, member.record_key))
    if any(count > 1 for count in keys.values()):
        raise ProtocolError("bad_field", "one key of two members")
    for member in roster.members:
        if member.since > roster.version or member.since_day > roster.issued_day:
            raise ProtocolError("bad_field", f"{member.id} is listed since a later version or day")
        if member.since == roster.version and member.since_day != roster.issued_day:
            raise ProtocolError(
                "bad_field", f"{member.id} is new, and since_day is not the day of this version"
            )
