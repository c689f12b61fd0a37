"""What happens to segments that members delivered: read `receive_batch` from top to bottom.

Checks come in the order of their cost, and nothing is believed of bytes that did not verify. What passes is stored,
passed on and believed in one transaction for all that came together, so that a crash leaves either all of it or
nothing; receiving the same thing twice changes nothing the second time. One that is refused takes nobody with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from ioint_protocol import (
    ProtocolError,
    Roster,
    Segment,
    Unread,
    VerifiedSegment,
    equivocation_proof,
    verify_equivocation,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.admission import (
    Accepted,
    Checked,
    Decision,
    Ignored,
    Places,
    Rejected,
    check_age,
    check_author,
    check_place,
    check_shape,
    check_signature,
)
from ioint_node.errors import BusyError
from ioint_node.flows import ownlog
from ioint_node.flows.believe import Believed, enter, put_in_force
from ioint_node.flows.parts import ExchangeParts, News
from ioint_node.flows.proofs import convict
from ioint_node.flows.rekeyed import take_back
from ioint_node.flows.spread import pass_on
from ioint_node.reputation.rule import LIFE_DAYS
from ioint_node.store import log
from ioint_node.store.log import Arrival
from ioint_node.store.times import day_of

__all__ = ["Delivered", "ExchangeParts", "receive_batch", "receive_segment", "receive_segments"]
THREAD_BYTES: Final = 65_536
"""From so many on, checking leaves the event loop: decisions must not wait for it."""
SPEAKING: Final = ("report", "sighting", "dispute")  # kinds whose day their author signed
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A segment as it came, and the member that brought it; `fresh` when it was news to that member too."""

    wire: bytes = field(repr=False)
    by: str
    fresh: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What a transaction came to: the answer to each segment, what to put in force, and what to tell others."""

    decisions: tuple[Decision, ...]
    believed: Believed = field(default_factory=Believed)
    news: tuple[News, ...] = ()


async def receive_segment(parts: ExchangeParts, wire: bytes, delivered_by: str, now: int) -> Decision:
    """Admit a segment that the member `delivered_by` brought, store it, pass it on and believe it."""
    return (await receive_segments(parts, (wire,), delivered_by, now))[0]


async def receive_segments(
    parts: ExchangeParts, wires: Sequence[bytes], delivered_by: str, now: int, *, fresh: bool = True
) -> list[Decision]:
    """Receive segments that one member brought together, each author's in order; one answer for each."""
    batch = [Delivered(wire=wire, by=delivered_by, fresh=fresh) for wire in wires]
    answers = await receive_batch(parts, batch, now)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return [answer for answer in answers if not isinstance(answer, Exception)]


async def receive_batch(
    parts: ExchangeParts, batch: Sequence[Delivered], now: int
) -> list[Decision | Exception]:
    """Receive segments that came together, whoever brought them; one answer for each.

    An exception among the answers is a fault of ours with this one segment: the others are not touched by it.

    Raises:
        BusyError: the database fails; nothing was stored.
    """
    checked = await _check(parts, batch, now)
    answers: dict[int, Decision | Exception] = {}
    fitting: list[tuple[int, VerifiedSegment]] = []
    stopped: set[str] = set()
    for index, found in enumerate(checked):
        if isinstance(found, Ignored | Rejected):
            answers[index] = found
        elif found.place == "next":
            late = _too_much(parts, found.segment, stopped, now)
            if late is None:
                fitting.append((index, found.segment))
            else:
                stopped.add(found.segment.author)
                answers[index] = late
    arrivals = [
        Arrival(segment=segment, delivered_by=batch[index].by, fresh=batch[index].fresh)
        for index, segment in fitting
    ]
    stored = await _store(parts, arrivals, now)
    answers |= dict(zip((index for index, _ in fitting), stored, strict=True))
    for index, found in enumerate(checked):
        if isinstance(found, Checked) and found.place == "conflict":
            answers[index] = await _convict(parts, found.segment, now)
    return [answers[index] for index in range(len(batch))]


async def _check(
    parts: ExchangeParts, batch: Sequence[Delivered], now: int
) -> list[Checked | Ignored | Rejected]:
    """Everything that the bytes and the logs that we hold decide, in the order of cost."""
    heavy = sum(len(one.wire) for one in batch) > THREAD_BYTES
    shape = partial(_shapes, batch, parts)
    shaped = await asyncio.to_thread(shape) if heavy else shape()
    ours = [s.header for s in shaped if isinstance(s, Segment)]
    if not ours:
        return [s for s in shaped if not isinstance(s, Segment)]
    async with parts.store.read() as connection:
        wanted = [(header.author, header.seq) for header in ours]
        places = await log.places(connection, wanted, parts.floors.of)
        equivocators = await log.equivocators(connection)
    verify = partial(
        _verify_all, shaped, places, parts.roster(), parts.consortium(), convicted=equivocators, now=now
    )
    return await asyncio.to_thread(verify) if heavy else verify()


def _shapes(batch: Sequence[Delivered], parts: ExchangeParts) -> list[Segment | Ignored | Rejected]:
    shaped = [check_shape(one.wire, parts.limits) for one in batch]
    return [
        Ignored(reason="duplicate") if isinstance(s, Segment) and s.head in parts.recent else s
        for s in shaped
    ]


def _verify_all(
    shaped: Iterable[Segment | Ignored | Rejected],
    places: Places,
    roster: Roster | None,
    consortium: str | None,
    *,
    convicted: frozenset[str],
    now: int,
) -> list[Checked | Ignored | Rejected]:
    """Check place, author and signature of each, as if those before it that pass were stored already."""
    found: list[Checked | Ignored | Rejected] = []
    for segment in shaped:
        if not isinstance(segment, Segment):
            found.append(segment)
            continue
        author = check_author(segment.header.author, roster, now, convicted)
        one = _verify(segment, places, author, consortium)
        found.append(one)
        if isinstance(one, Checked) and one.place == "next":
            places.advance(one.segment)
        elif isinstance(one, Checked):
            convicted |= {one.segment.author}
    return found


def _verify(
    segment: Segment, places: Places, author: Ignored | Roster, consortium: str | None
) -> Checked | Ignored | Rejected:
    header = segment.header
    known = places.known(header.author, header.seq)
    place = check_place(header.seq, header.prev, segment.head, known, low=header.low)
    if isinstance(place, Ignored | Rejected):
        return place
    if isinstance(author, Ignored):
        return author
    if consortium is None:
        return Ignored(reason="no_roster")
    verified = check_signature(segment, consortium, author)
    return verified if isinstance(verified, Rejected) else Checked(segment=verified, place=place)


def _too_much(parts: ExchangeParts, segment: VerifiedSegment, stopped: set[str], now: int) -> Ignored | None:
    """Age and quota; what follows a segment that was not taken is a gap."""
    if segment.author in stopped:
        return Ignored(reason="gap")
    late = check_age(segment, now, parts.limits)
    if late is None and segment.author != parts.member:
        # Our own log has no quota: after a loss it comes back as fast as members send it.
        late = parts.quotas.admit(segment.author, len(segment.records), now, parts.limits)
    return late


async def _store(
    parts: ExchangeParts, arrivals: Sequence[Arrival], now: int
) -> Sequence[Decision | Exception]:
    """Store, pass on and believe in one transaction; where that fails by a fault of ours, each one alone."""
    roster = parts.roster()
    if not arrivals:
        return ()
    if roster is None:
        return [Ignored(reason="no_roster")] * len(arrivals)
    try:
        outcome = await parts.store.write(
            partial(_accept, parts=parts, roster=roster, arrivals=arrivals, now=now), alone=True
        )
    except BusyError:
        raise
    except Exception as error:  # the others must not pay for the one that we cannot store
        if len(arrivals) == 1:
            _log.exception("a segment could not be stored author=%s", arrivals[0].segment.author)
            return [error]
        return [answer for one in arrivals for answer in await _store(parts, [one], now)]
    put_in_force(parts, outcome.believed)
    for arrival, decision in zip(arrivals, outcome.decisions, strict=True):
        if isinstance(decision, Accepted):
            parts.recent.note(arrival.segment.head)
    if any(isinstance(decision, Accepted) for decision in outcome.decisions):
        parts.beliefs.heard(now)
        parts.notify()
    for news in outcome.news:
        parts.announce(news)
    return outcome.decisions


async def _accept(
    connection: AsyncConnection,
    *,
    parts: ExchangeParts,
    roster: Roster,
    arrivals: Sequence[Arrival],
    now: int,
) -> _Outcome:
    """Store, pass on, believe. Another delivery of the same segments may have been written since we looked."""
    wanted = [(a.segment.author, a.segment.seq) for a in arrivals]
    places = await log.places(connection, wanted, parts.floors.of)
    decisions: list[Decision] = []
    taken: list[Arrival] = []
    for arrival in arrivals:
        segment = arrival.segment
        decision = await _place(connection, segment, places, now)
        decisions.append(decision)
        if isinstance(decision, Accepted):
            places.advance(segment)
            taken.append(arrival)
            if segment.author == parts.member:
                await ownlog.note_left(connection, parts, segment, now)
    if not taken:
        return _Outcome(decisions=tuple(decisions))
    return _Outcome(
        decisions=tuple(decisions),
        believed=await enter(connection, parts, roster, taken, now),
        news=await pass_on(connection, parts, taken, roster, now),
    )


async def _place(connection: AsyncConnection, segment: VerifiedSegment, places: Places, now: int) -> Decision:
    """Whether a segment may be stored now."""
    known = places.known(segment.author, segment.seq)
    place = check_place(segment.seq, segment.prev, segment.head, known, low=segment.low)
    if isinstance(place, Ignored | Rejected):
        return place
    if place == "conflict":
        return Ignored(reason="fork")
    if segment.low > known.low and await _forgets_too_much(connection, segment, now):
        return Ignored(reason="early")
    return Accepted(
        author=segment.author,
        seq=segment.seq,
        records=len(segment.records),
        unread=sum(isinstance(item.record, Unread) for item in segment.records),
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
    roster, consortium = parts.roster(), parts.consortium()
    if held is None or roster is None or consortium is None:
        return Ignored(reason="gap")
    proof = equivocation_proof(held, segment.wire)
    try:
        verify_equivocation(proof, consortium, roster)
    except ProtocolError:
        # The one held is by a key that has ended since; without it, the one at hand is next when it comes again.
        await take_back(parts, now)
        return Ignored(reason="gap")
    await convict(parts, segment.author, segment.seq, proof, now)
    return Ignored(reason="equivocation")
