"""What happens to a segment that a member delivered: read `receive_segment` from top to bottom.

Checks come in the order of their cost, and nothing is believed of bytes that did not verify. What passes is stored,
passed on and believed in one transaction, so that a crash leaves either all of it or nothing; receiving the same
thing twice changes nothing the second time.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass

from ioint_protocol import Report, Roster, VerifiedSegment, equivocation_proof, record_pattern
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.admission import (
    Accepted,
    Decision,
    Ignored,
    Rejected,
    check_age,
    check_author,
    check_place,
    check_shape,
    check_signature,
)
from ioint_node.flows import ownlog
from ioint_node.flows.believe import believe, note_first_reports, put_in_force
from ioint_node.flows.parts import ExchangeParts
from ioint_node.reputation.beliefs import Belief
from ioint_node.store import log, outbox, peers
from ioint_node.store.matches import WINDOW_DAYS
from ioint_node.store.times import day_of

__all__ = ["ExchangeParts", "receive_segment"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What a transaction came to: the answer, and the beliefs to put in force."""

    decision: Decision
    beliefs: tuple[Belief, ...] = ()


async def receive_segment(  # noqa: PLR0911 - one answer for each check
    parts: ExchangeParts, wire: bytes, delivered_by: str, now: int
) -> Decision:
    """Admit a segment that the member `delivered_by` brought, store it, pass it on and believe it."""
    segment = check_shape(wire, parts.limits)
    if isinstance(segment, Rejected):
        return segment
    header = segment.header
    async with parts.store.read() as connection:
        known = await log.known(connection, header.author, header.seq)
        equivocators = await log.equivocators(connection)
    place = check_place(header.seq, header.prev, segment.head, known)
    if isinstance(place, Ignored):
        return place
    roster, consortium = parts.roster(), parts.consortium()
    author = check_author(header.author, roster, now, equivocators)
    if isinstance(author, Ignored):
        return author
    if consortium is None:
        return Ignored(reason="no_roster")
    verified = check_signature(segment, consortium, author)
    if isinstance(verified, Rejected):
        return verified
    if place == "conflict":
        return await _convict(parts, verified, now)
    late = check_age(verified, now, parts.limits)
    if late is None and verified.author != parts.member:
        # Our own log has no quota: after a loss it comes back as fast as members send it.
        late = parts.quotas.admit(verified.author, len(verified.records), now, parts.limits)
    if late is not None:
        return late
    outcome = await parts.store.write(
        lambda c: _accept(c, parts, verified, roster=author, delivered_by=delivered_by, now=now)
    )
    if isinstance(outcome.decision, Accepted):
        parts.beliefs.heard(now)
        put_in_force(parts, outcome.beliefs)
        parts.notify()
    return outcome.decision


async def _accept(
    connection: AsyncConnection,
    parts: ExchangeParts,
    segment: VerifiedSegment,
    *,
    roster: Roster,
    delivered_by: str,
    now: int,
) -> _Outcome:
    """Store, pass on, believe. Another delivery of the same segment may have been written since we looked."""
    known = await log.known(connection, segment.author, segment.seq)
    place = check_place(segment.seq, segment.prev, segment.head, known)
    if isinstance(place, Ignored):
        return _Outcome(decision=place)
    if place == "conflict":
        return _Outcome(decision=Ignored(reason="fork"))
    if segment.author == parts.member:
        await ownlog.note_left(connection, parts, segment, now)
    subjects = await log.add_segment(connection, segment, delivered_by=delivered_by, now=now)
    member = roster.member(segment.author)
    if member is not None:
        await note_first_reports(connection, parts, member.group, live_reports(segment, day_of(now)), now)
    relays = relay_targets(
        roster,
        segment.head,
        us=parts.member or "",
        not_to={segment.author, delivered_by},
        count=parts.limits.relay_members,
    )
    await outbox.add(connection, relays, segment.author, segment.seq, now)
    return _Outcome(
        decision=Accepted(author=segment.author, seq=segment.seq, records=len(segment.records)),
        beliefs=await believe(connection, parts, subjects, now),
    )


async def _convict(parts: ExchangeParts, segment: VerifiedSegment, now: int) -> Decision:
    """Keep the proof that an author signed two segments of one height, and believe it no more."""

    async def write(connection: AsyncConnection) -> tuple[Belief, ...]:
        ours = await log.wire_of(connection, segment.author, segment.seq)
        if ours is None:
            return ()
        proof = equivocation_proof(ours, segment.wire)
        if not await log.add_equivocation(connection, segment.author, segment.seq, proof, now):
            return ()
        await peers.quarantine(connection, segment.author, "equivocation", now)
        return await believe(connection, parts, await log.subjects_of(connection, segment.author), now)

    beliefs = await parts.store.write(write)
    _log.warning("equivocation author=%s seq=%d", segment.author, segment.seq)
    put_in_force(parts, beliefs)
    return Ignored(reason="equivocation")


def live_reports(segment: VerifiedSegment, today: int) -> tuple[str, ...]:
    """The subjects of the reports in a segment that are young enough to count."""
    return tuple(
        record_pattern(item.record) or item.record.subj or ""
        for item in segment.records
        if isinstance(item.record, Report) and today - item.record.day_until < WINDOW_DAYS
    )


def relay_targets(roster: Roster, head: str, *, us: str, not_to: set[str], count: int) -> tuple[str, ...]:
    """A few active members to pass a segment on to.

    They are chosen by hash of segment, sender and receiver: each node picks others, each segment goes other ways, and
    nobody can choose to be left out.
    """
    active = [m.id for m in roster.members if m.state == "active" and m.id != us and m.id not in not_to]
    active.sort(key=lambda member: hashlib.sha256(f"{head}/{us}/{member}".encode()).digest())
    return tuple(active[:count])
