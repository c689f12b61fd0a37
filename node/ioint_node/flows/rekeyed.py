"""What a change of record keys takes back.

A key ends at a height, and what it signed above is nobody's word (SPEC, "Roster"). Until the roster that says so
comes, such segments may have been taken for their author's. They are dropped then: what is held depends on the roster
in force, and not on whether it or a segment came first.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

from ioint_protocol import Member, ProtocolError, Roster, parse_segment, verify_equivocation
from ioint_protocol.keys import key_id
from ioint_protocol.limits import LIMITS
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.flows.believe import Believed, believe, put_in_force
from ioint_node.flows.parts import ExchangeParts
from ioint_node.store import log, peers, proofs, pruning

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fallen:
    """What the roster lets stand no more: proofs against members, and logs from a height on."""

    proofs: tuple[str, ...] = ()
    segments: Mapping[str, int] = field(default_factory=dict)

    @property
    def authors(self) -> tuple[str, ...]:
        return tuple(sorted({*self.proofs, *self.segments}))


async def take_back(parts: ExchangeParts, now: int) -> tuple[str, ...]:
    """Drop what the roster in force lets stand no more, with all that follows from it; gives the authors."""
    async with parts.store.read() as connection:
        fallen = await _look(connection, parts)
    if fallen.authors:
        put_in_force(parts, await parts.store.write(partial(_drop, parts=parts, now=now)))
        parts.notify()
    return fallen.authors


async def _look(connection: AsyncConnection, parts: ExchangeParts) -> _Fallen:
    roster, consortium = parts.roster(), parts.consortium()
    if roster is None or consortium is None:
        return _Fallen()
    changed = [member for member in roster.members if len(member.record_keys) > 1]
    # Our own log is what we signed: it is never cut, and nothing is signed onto what does not fit.
    others = [member for member in changed if member.id != parts.member]
    ends = {member.id: await _void_from(connection, member) for member in others}
    return _Fallen(
        proofs=tuple([m.id for m in changed if await _proves_nothing(connection, m.id, roster, consortium)]),
        segments={author: seq for author, seq in ends.items() if seq is not None},
    )


async def _drop(connection: AsyncConnection, *, parts: ExchangeParts, now: int) -> Believed:
    fallen = await _look(connection, parts)
    subjects: set[str] = set()
    for author in fallen.proofs:
        _log.warning("a proof by a key that has ended is dropped author=%s", author)
        await proofs.forget(connection, author)
        await peers.release(connection, author)
        subjects.update(await log.subjects_of(connection, author))
    for author, seq in fallen.segments.items():
        _log.warning("segments by a key that has ended are dropped author=%s from=%d", author, seq)
        subjects.update(await pruning.drop_from(connection, author, seq))
        parts.floors.forget(author)
    # Within the one writer's turn nobody can read the dossiers before this and keep them after it.
    parts.dossiers.clear()
    parts.recent.clear()
    return await believe(connection, parts, subjects, now)


async def _void_from(connection: AsyncConnection, member: Member) -> int | None:
    """The lowest segment held that another key signed than the one of its height; all above follow it."""
    beginnings = [key.from_seq for key in member.record_keys[1:]]
    # What was stored while a key was known was held against it: only the first one of each key can be another's.
    for first, following in pairwise([*beginnings, LIMITS.integer]):
        for wire in await log.segments_between(connection, member.id, first, following - 1, limit=1):
            segment = parse_segment(wire)
            right = key_id(bytes.fromhex(member.record_key_at(segment.header.seq)))
            if any(signature.kid != right for signature in segment.signatures):
                return segment.header.seq
    return None


async def _proves_nothing(connection: AsyncConnection, author: str, roster: Roster, consortium: str) -> bool:
    """Whether the proof against a member is by a key that had ended: whoever stole that could make one."""
    for proof in await proofs.of(connection, [author]):
        try:
            verify_equivocation(proof, consortium, roster)
        except ProtocolError:
            return True
    return False
