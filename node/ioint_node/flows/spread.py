"""Who hears of a new segment, and how: whole, by its head, or later by comparing vectors (SPEC, "How news travels").

The choice is a hash of segment, sender and receiver: each node picks others, each segment goes other ways, and nobody
can choose to be left out. It goes round the affiliation groups, so that no group is the only one to hear.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ioint_protocol import Member, Roster, Vector
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.admission import Limits
from ioint_node.flows.parts import ExchangeParts, News
from ioint_node.store import outbox
from ioint_node.store.log import Arrival


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """To whom a segment goes whole, and who is told its head."""

    push: tuple[str, ...] = ()
    announce: tuple[str, ...] = ()


async def pass_on(
    connection: AsyncConnection, parts: ExchangeParts, arrivals: Sequence[Arrival], roster: Roster, now: int
) -> tuple[News, ...]:
    """Queue segments that are being stored for those who get them whole; returns the news for the others.

    One that nobody delivered is our own. Of those that are not fresh the newest head of each author is told, and
    nothing goes whole. The news are to be given to `parts.announce` after the commit.
    """
    found = {arrival.segment.author: arrival for arrival in arrivals if not arrival.fresh}
    active = [m for m in roster.members if m.state == "active" and m.id != parts.member]
    connected, us = parts.connected(), parts.member or ""
    pushed: list[tuple[str, str, int]] = []
    told: dict[frozenset[str], dict[str, tuple[int, str]]] = {}
    for arrival in (*(one for one in arrivals if one.fresh), *found.values()):
        segment, own = arrival.segment, arrival.delivered_by is None
        if not own and not connected:
            continue  # who comes back asks for what it missed
        not_to = {segment.author, arrival.delivered_by}
        planned = plan(
            [m for m in active if m.id not in not_to and (own or m.id in connected)],
            connected,
            segment.head,
            us=us,
            whole=arrival.fresh and len(segment.wire) <= parts.limits.push_bytes,
            own=own,
            limits=parts.limits,
        )
        pushed += ((member, segment.author, segment.seq) for member in planned.push)
        # Of several segments of one author the newest head says it all.
        told.setdefault(frozenset(planned.announce), {})[segment.author] = (segment.seq, segment.head)
    await outbox.add_all(connection, pushed, now)
    return tuple(News(heads=heads, to=to) for to, heads in told.items())


def plan(
    members: Sequence[Member],
    connected: Collection[str],
    head: str,
    *,
    us: str,
    whole: bool,
    own: bool,
    limits: Limits,
) -> Plan:
    """Divide the members who may hear of a segment, `whole` or by its head alone.

    Who is not connected hears by comparing vectors once it is. Only a segment of our own while nobody is connected
    waits in the outbox, for a few: they are the first to be told when we are back.
    """
    near = order([member for member in members if member.id in connected], head, us)
    if own and not near:
        near = order(members, head, us)[: limits.push_members]
    pushes = (limits.push_members if own else limits.relay_members) if whole else 0
    told = near[pushes:] if own else near[pushes : pushes + limits.relay_announcements]
    return Plan(push=near[:pushes], announce=tuple(member for member in told if member in connected))


def order(members: Sequence[Member], head: str, us: str) -> tuple[str, ...]:
    """The ids of members in the order of the hash, one of each group before the second of any."""
    hashed = sorted(members, key=lambda m: hashlib.sha256(f"{head}/{us}/{m.id}".encode()).digest())
    seen: Counter[str] = Counter()
    ranked = []
    for place, member in enumerate(hashed):
        ranked.append((seen[member.group], place, member.id))
        seen[member.group] += 1
    return tuple(name for _, _, name in sorted(ranked))


def everyone(parts: ExchangeParts, heads: Vector) -> News:
    """The same news for all that are connected."""
    return News(heads=heads, to=parts.connected())
