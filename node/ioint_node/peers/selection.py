"""Whom to keep a connection to, when there are too many members for all of them.

Every place is filled by the smallest of keyed hashes, first over affiliation groups, then over the members of the
group: who does not know our secret cannot compute whom we choose, and a hundred members of one group are no likelier to
be chosen than one of another. No group and no sponsor holds more than its share of the places, so that whoever captures
some groups captures some places. Some places change hands slowly: whoever found a way in does not keep it for ever.
Only links that we open ourselves are chosen; whoever opens one to us holds an inbound place, which displaces none.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ioint_protocol import Member


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionLimits:
    """How many links this node keeps open by itself; shares are of `outbound`."""

    everyone: int = 24
    """With no more members than this to dial, all of them are dialled."""
    outbound: int = 12
    rotating: int = 4
    rotate_s: int = 21_600
    """For so long a rotating place stays with one member; they change one after the other."""
    group_share: float = 0.25
    sponsor_share: float = 0.5
    least: int = 4
    """With fewer links than this the share of a sponsor does not count: who has one sponsor has no choice."""


def choose(
    dialable: Sequence[Member], secret: bytes, now_s: int, limits: SelectionLimits | None = None
) -> frozenset[str]:
    """The ids of the members to dial; `secret` is 32 bytes that no member knows, `now_s` Unix seconds."""
    bounds = limits or SelectionLimits()
    if len(dialable) <= bounds.everyone:
        return frozenset(member.id for member in dialable)
    chosen = _fill(dialable, (), secret, now_s, bounds, sponsors=True)
    if len(chosen) < bounds.least:
        chosen = _fill(dialable, chosen, secret, now_s, bounds, sponsors=False)[: bounds.least]
    return frozenset(member.id for member in chosen)


def _fill(
    dialable: Sequence[Member],
    chosen: Sequence[Member],
    secret: bytes,
    now_s: int,
    bounds: SelectionLimits,
    *,
    sponsors: bool,
) -> list[Member]:
    """Fill the places that are left, one after the other."""
    filled = list(chosen)
    groups = Counter(member.group for member in filled)
    vouched = Counter(member.sponsor for member in filled if member.sponsor)
    group_places = max(1, int(bounds.outbound * bounds.group_share))
    sponsor_places = max(1, int(bounds.outbound * bounds.sponsor_share))
    for place in range(len(filled), bounds.outbound):
        taken = {member.id for member in filled}
        free = [
            member
            for member in dialable
            if member.id not in taken
            and groups[member.group] < group_places
            and not (sponsors and member.sponsor and vouched[member.sponsor] >= sponsor_places)
        ]
        if not free:
            break
        draw = _Draw(secret=secret, place=place, epoch=_epoch(place, now_s, bounds))
        group = min({member.group for member in free}, key=draw.hash)
        member = min((one for one in free if one.group == group), key=lambda one: draw.hash(one.id))
        filled.append(member)
        groups[member.group] += 1
        vouched[member.sponsor] += bool(member.sponsor)
    return filled


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draw:
    """The keyed hash of one place at one time."""

    secret: bytes
    place: int
    epoch: int

    def hash(self, name: str) -> bytes:
        """The lot of a group or a member for this place."""
        text = f"{self.place}/{self.epoch}/{name}".encode()
        return hashlib.blake2b(text, key=self.secret, digest_size=16, person=b"ioint-links").digest()


def _epoch(place: int, now_s: int, bounds: SelectionLimits) -> int:
    """0 for a place that stays; else a number that changes every `rotate_s`, at another time for each place."""
    turn = place - (bounds.outbound - bounds.rotating)
    if turn < 0:
        return 0
    return 1 + (now_s + turn * bounds.rotate_s // bounds.rotating) // bounds.rotate_s
