"""What happens to a segment that a member delivered: read `receive_segment` from top to bottom.

Checks come in the order of their cost, and nothing is believed of bytes that did not verify. What passes is stored,
passed on and believed in one transaction, so that a crash leaves either all of it or nothing; receiving the same
thing twice changes nothing the second time.
"""

from __future__ import annotations

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
from ioint_node.flows.parts import ExchangeParts, News
from ioint_node.flows.proofs import convict
from ioint_node.flows.spread import pass_on
from ioint_node.reputation.beliefs import Belief
from ioint_node.reputation.rule import LIFE_DAYS
from ioint_node.store import log
from ioint_node.store.matches import WINDOW_DAYS
from ioint_node.store.times import day_of

__all__ = ["ExchangeParts", "receive_segment"]
SPEAKING = ("report", "sighting", "dispute")  # kinds whose day their author signed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What a transaction came to: the answer, the beliefs to put in force, and what to tell others."""

    decision: Decision
    beliefs: tuple[Belief, ...] = ()
    news: News | None = None


async def receive_segment(  # noqa: PLR0911 - one answer for each check
    parts: ExchangeParts, wire: bytes, delivered_by: str, now: int
) -> Decision:
    """Admit a segment that the member `delivered_by` brought, store it, pass it on and believe it."""
    segment = check_shape(wire, parts.limits)
    if isinstance(segment, Rejected):
        return segment
    header = segment.header
    async with parts.store.read() as connection:
        floor = parts.floors.of(header.author)
        known = await log.known(connection, header.author, header.seq, floor=floor)
        equivocators = await log.equivocators(connection)
    place = check_place(header.seq, header.prev, segment.head, known, low=header.low)
    if isinstance(place, Ignored | Rejected):
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
    if outcome.news is not None:
        parts.announce(outcome.news)
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
    floor = parts.floors.of(segment.author)
    known = await log.known(connection, segment.author, segment.seq, floor=floor)
    place = check_place(segment.seq, segment.prev, segment.head, known, low=segment.low)
    if isinstance(place, Ignored | Rejected):
        return _Outcome(decision=place)
    if place == "conflict":
        return _Outcome(decision=Ignored(reason="fork"))
    if segment.low > known.low and await _forgets_too_much(connection, segment, now):
        return _Outcome(decision=Ignored(reason="early"))
    if segment.author == parts.member:
        await ownlog.note_left(connection, parts, segment, now)
    subjects = await log.add_segment(connection, segment, delivered_by=delivered_by, now=now)
    member = roster.member(segment.author)
    if member is not None:
        await note_first_reports(connection, parts, member.group, live_reports(segment, day_of(now)), now)
    news = await pass_on(connection, parts, segment, roster, delivered_by=delivered_by, now=now)
    return _Outcome(
        decision=Accepted(author=segment.author, seq=segment.seq, records=len(segment.records)),
        beliefs=await believe(connection, parts, subjects, now),
        news=news,
    )


async def _forgets_too_much(connection: AsyncConnection, segment: VerifiedSegment, now: int) -> bool:
    """Whether an author lets something be forgotten that will be alive tomorrow still, by whichever clock."""
    since_day = day_of(now) + 2 - LIFE_DAYS
    lowest = await log.lowest_live(connection, segment.author, since_day, kinds=SPEAKING)
    return lowest is not None and lowest < segment.low


async def _convict(parts: ExchangeParts, segment: VerifiedSegment, now: int) -> Decision:
    """An author signed two segments of one height: that is a proof against it, wherever it came from."""
    async with parts.store.read() as connection:
        held = await log.wire_of(connection, segment.author, segment.seq)
    if held is not None:
        proof = equivocation_proof(held, segment.wire)
        await convict(parts, segment.author, segment.seq, proof, now)
    return Ignored(reason="equivocation")


def live_reports(segment: VerifiedSegment, today: int) -> tuple[str, ...]:
    """The subjects of the reports in a segment that are young enough to count."""
    return tuple(
        record_pattern(item.record) or item.record.subj or ""
        for item in segment.records
        if isinstance(item.record, Report) and today - item.record.day_until < WINDOW_DAYS
    )
