"""Who is a member: what `roster.json` says, and what may follow it (SPEC, "Roster").

The document is one target of a repository after The Update Framework: who signs, how many must, and how long it holds
is in the signed files around it, and their check is not done here. This module reads and writes the document and
says which one may follow a trusted one, for as long as the members' rights depend on what was said of them before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from ioint_protocol import canonical
from ioint_protocol.canonical import Value
from ioint_protocol.errors import ProtocolError
from ioint_protocol.fields import HEX_64, check_keys, take_day, take_int, take_list, take_object, take_text
from ioint_protocol.limits import LIMITS
from ioint_protocol.members import (
    Member,
    RecordKey,
    Steward,
    check_distinct_keys,
    member_value,
    parse_member,
    parse_steward,
    steward_value,
)
from ioint_protocol.records import TAXONOMY_VERSION
from ioint_protocol.rulings import Ruling, parse_rulings, ruling_value

__all__ = [
    "Member",
    "RecordKey",
    "Release",
    "Roster",
    "Ruling",
    "Steward",
    "check_follows",
    "decode_roster",
    "encode_roster",
]

VERSION: Final = 1
_FIXED: Final = ("group", "since", "since_day")  # at admission, for as long as a member is listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A taxonomy release: its version and its digest in hex."""

    version: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Roster:
    """One version of the list.

    `version` is that of the targets file, `consortium` the id that every signature names, `issued_day` a UTC day,
    `catalogue` the catalogue's digest, `council` the stewards, of whom `threshold` sign, `rulings` what they ruled
    about records, ascending by `of` and `author`. `threshold` and `expires` (Unix seconds, the earliest of all files in
    force) are what the signed files around the document say; callers compare `expires` with their own clock.
    """

    version: int
    consortium: str
    issued_day: int
    members: tuple[Member, ...]
    taxonomy: Release
    catalogue: str
    council: tuple[Steward, ...] = ()
    rulings: tuple[Ruling, ...] = ()
    threshold: int = 1
    expires: int = 0

    @property
    def stewards(self) -> tuple[str, ...]:
        """The keys that sign rosters, ascending."""
        return tuple(sorted(steward.steward_key for steward in self.council))

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


def encode_roster(roster: Roster) -> bytes:
    """Give the document; whoever is new in this version gets its day.

    Raises:
        ProtocolError: when it is one that `decode_roster` would refuse.
    """
    members = tuple(_with_day(member, roster) for member in roster.members)
    value: dict[str, Value] = {
        "v": VERSION,
        "version": roster.version,
        "consortium": roster.consortium,
        "issued_day": roster.issued_day,
        "council": [steward_value(steward) for steward in roster.council],
        "members": [member_value(member) for member in members],
        "taxonomy": {"version": roster.taxonomy.version, "digest": roster.taxonomy.digest},
        "catalogue": roster.catalogue,
    }
    if roster.rulings:  # else the bytes are those of a roster from before there were rulings
        value["rulings"] = [ruling_value(ruling) for ruling in roster.rulings]
    data = canonical.encode(value)
    decode_roster(data)
    return data


def decode_roster(data: bytes, *, threshold: int = 1, expires: int = 0) -> Roster:
    """Read a document that signed files stand for; `threshold` and `expires` are what those say.

    Raises:
        ProtocolError: `too_large`, `not_canonical`, `bad_value`, `bad_shape`, `bad_field` or `bad_key`.
    """
    value = canonical.decode_object(data, limit_bytes=LIMITS.roster_bytes)
    check_keys(value, _KEYS, _OPTIONAL)
    take_int(value, "v", VERSION, VERSION)
    release = take_object(value["taxonomy"], "taxonomy")
    check_keys(release, {"version", "digest"})
    members = tuple(
        parse_member(take_object(item, "a member"))
        for item in take_list(value, "members", 1, LIMITS.roster_members)
    )
    issued_day = take_day(value, "issued_day")
    roster = Roster(
        version=take_int(value, "version", 1, LIMITS.integer),
        consortium=take_text(value, "consortium", HEX_64),
        issued_day=issued_day,
        members=members,
        taxonomy=Release(
            version=take_text(release, "version", TAXONOMY_VERSION),
            digest=take_text(release, "digest", HEX_64),
        ),
        catalogue=take_text(value, "catalogue", HEX_64),
        council=tuple(
            parse_steward(take_object(item, "a steward"))
            for item in take_list(value, "council", 1, LIMITS.roster_stewards)
        ),
        rulings=parse_rulings(value, issued_day),
        threshold=threshold,
        expires=expires,
    )
    check_distinct_keys(members, roster.council)
    _check_members(roster)
    return roster


def check_follows(roster: Roster, trusted: Roster) -> None:
    """Refuse a roster that may not take the place of the trusted one.

    Versions may be skipped by whoever was away. What is fixed at admission stays; that nobody disappears who was not
    removed is checked from one version to the next, because only then can it be told.

    Raises:
        ProtocolError: `wrong_consortium`, `rollback`, `roster_fork`, `member_changed`.
    """
    if roster.consortium != trusted.consortium:
        raise ProtocolError("wrong_consortium", f"{roster.consortium}, not {trusted.consortium}")
    if roster.version < trusted.version:
        raise ProtocolError("rollback", f"version {roster.version}, older than {trusted.version}")
    if roster.issued_day < trusted.issued_day:
        raise ProtocolError("rollback", f"issued on day {roster.issued_day}, before {trusted.issued_day}")
    if roster.version == trusted.version:
        if encode_roster(roster) != encode_roster(trusted):
            raise ProtocolError("roster_fork", f"another roster of version {trusted.version}")
        return
    for member in roster.members:
        _check_member(member, trusted.member(member.id), trusted)
    if roster.version == trusted.version + 1:
        for before in trusted.members:
            if before.state != "removed" and roster.member(before.id) is None:
                raise ProtocolError("member_changed", f"{before.id} is gone without having been removed")


def _check_member(member: Member, before: Member | None, trusted: Roster) -> None:
    if before is None:
        if member.since <= trusted.version or member.since_day < trusted.issued_day:
            raise ProtocolError("member_changed", f"{member.id} is new, and since says otherwise")
    elif any(getattr(member, name) != getattr(before, name) for name in _FIXED):
        raise ProtocolError("member_changed", f"{member.id}: one of {', '.join(_FIXED)}")
    elif member.record_keys[: len(before.record_keys)] != before.record_keys:
        raise ProtocolError("member_changed", f"{member.id}: a record key that it had")


def _with_day(member: Member, roster: Roster) -> Member:
    new = member.since == roster.version and member.since_day == 0
    return replace(member, since_day=roster.issued_day) if new else member


_KEYS: Final = frozenset(
    {"v", "version", "consortium", "issued_day", "council", "members", "taxonomy", "catalogue"}
)
_OPTIONAL: Final = frozenset({"rulings"})


def _check_members(roster: Roster) -> None:
    for steward in roster.council:
        if roster.member(steward.member) is None:
            raise ProtocolError("bad_field", f"steward {steward.member} is no member")
    for member in roster.members:
        if member.since > roster.version or member.since_day > roster.issued_day:
            raise ProtocolError("bad_field", f"{member.id} is listed since a later version or day")
        if member.since == roster.version and member.since_day != roster.issued_day:
            raise ProtocolError(
                "bad_field", f"{member.id} is new, and since_day is not the day of this version"
            )
