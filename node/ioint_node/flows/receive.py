"""What happens to segments that members delivered: read `receive_batch` from top to bottom.

Checks come in the order of their cost, and nothing is believed of bytes that did not verify. What passes is stored,
passed on and believed in one transaction for all that came together, so that a crash leaves either all of it or
nothing; receiving the same thing twice changes nothing the second time. One that is refused takes nobody with it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

from ioint_protocol import Roster, Segment, VerifiedSegment, equivocation_proof
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
from ioint_node.flows.believe import Believed, believe, enter, put_in_force
from ioint_node.flows.parts import ExchangeParts
from ioint_node.store import log, outbox, peers
from ioint_node.store.log import Arrival

__all__ = ["Delivered", "ExchangeParts", "receive_batch", "receive_segment", "receive_segments"]
THREAD_BYTES: Final = 65_536
"""From so many on, checking leaves the event loop: decisions must not wait for it."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A segment as it came, and the member that brought it."""

    wire: bytes = field(repr=False)
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What a transaction came to: the answer to each segment, and what to put in force."""

    decisions: tuple[Decision, ...]
    believed: Believed


async def receive_segment(parts: ExchangeParts, wire: bytes, delivered_by: str, now: int) -> Decision:
    """Admit a segment that the member `delivered_by` brought, store it, pass it on and believe it."""
    return (await receive_segments(parts, (wire,), delivered_by, now))[0]


async def receive_segments(
    parts: ExchangeParts, wires: Sequence[bytes], delivered_by: str, now: int
) -> list[Decision]:
    """Receive segments that one member brought together, each author's in order; one answer for each."""
    answers = await receive_batch(parts, [Delivered(wire=wire, by=delivered_by) for wire in wires], now)
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
    arrivals = [Arrival(segment=segment, delivered_by=batch[index].by) for index, segment in fitting]
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
        return [s for s in shaped if isinstance(s, Rejected)]
    async with parts.store.read() as connection:
        places = await log.places(connection, [(header.author, header.seq) for header in ours])
        equivocators = await log.equivocators(connection)
    verify = partial(
        verify_all, shaped, places, parts.roster(), parts.consortium(), quarantined=equivocators, now=now
    )
    return await asyncio.to_thread(verify) if heavy else verify()


def _shapes(batch: Sequence[Delivered], parts: ExchangeParts) -> list[Segment | Rejected]:
    return [check_shape(one.wire, parts.limits) for one in batch]


def verify_all(
    shaped: Iterable[Segment | Rejected],
    places: Places,
    roster: Roster | None,
    consortium: str | None,
    *,
    quarantined: Iterable[str],
    now: int,
) -> list[Checked | Ignored | Rejected]:
    """Check place, author and signature of each, as if those before it that pass were stored already."""
    convicted = set(quarantined)
    found: list[Checked | Ignored | Rejected] = []
    for segment in shaped:
        one = (
            segment
            if isinstance(segment, Rejected)
            else _verify(segment, places, roster, consortium, convicted, now)
        )
        found.append(one)
        if isinstance(one, Checked) and one.place == "next":
            places.advance(one.segment.author, one.segment.seq, one.segment.head)
        elif isinstance(one, Checked):
            convicted.add(one.segment.author)
    return found


def _verify(
    segment: Segment,
    places: Places,
    roster: Roster | None,
    consortium: str | None,
    convicted: set[str],
    now: int,
) -> Checked | Ignored | Rejected:
    header = segment.header
    place = check_place(header.seq, header.prev, segment.head, places.known(header.author, header.seq))
    if isinstance(place, Ignored):
        return place
    author = check_author(header.author, roster, now, convicted)
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
            partial(_accept, parts=parts, roster=roster, arrivals=arrivals, now=now)
        )
    except BusyError:
        raise
    except Exception as error:  # the others must not pay for the one that we cannot store
        if len(arrivals) == 1:
            _log.exception("a segment could not be stored author=%s", arrivals[0].segment.author)
            return [error]
        return [answer for one in arrivals for answer in await _store(parts, [one], now)]
    put_in_force(parts, outcome.believed)
    if any(isinstance(decision, Accepted) for decision in outcome.decisions):
        parts.beliefs.heard(now)
        parts.notify()
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
    places = await log.places(connection, [(a.segment.author, a.segment.seq) for a in arrivals])
    decisions: list[Decision] = []
    taken: list[Arrival] = []
    for arrival in arrivals:
        segment = arrival.segment
        known = places.known(segment.author, segment.seq)
        place = check_place(segment.seq, segment.prev, segment.head, known)
        if place == "next":
            places.advance(segment.author, segment.seq, segment.head)
            taken.append(arrival)
            decisions.append(Accepted(author=segment.author, seq=segment.seq, records=len(segment.records)))
        else:
            decisions.append(place if isinstance(place, Ignored) else Ignored(reason="fork"))
    for arrival in taken:
        if arrival.segment.author == parts.member:
            await ownlog.note_left(connection, parts, arrival.segment, now)
    if not taken:
        return _Outcome(decisions=tuple(decisions), believed=Believed())
    believed = await enter(connection, parts, roster, taken, now)
    await outbox.add_all(connection, list(_relays(parts, roster, taken)), now)
    return _Outcome(decisions=tuple(decisions), believed=believed)


async def _convict(parts: ExchangeParts, segment: VerifiedSegment, now: int) -> Decision:
    """Keep the proof that an author signed two segments of one height, and believe it no more."""

    async def write(connection: AsyncConnection) -> Believed:
        ours = await log.wire_of(connection, segment.author, segment.seq)
        if ours is None:
            return Believed()
        proof = equivocation_proof(ours, segment.wire)
        if not await log.add_equivocation(connection, segment.author, segment.seq, proof, now):
            return Believed()
        await peers.quarantine(connection, segment.author, "equivocation", now)
        return await believe(connection, parts, await log.subjects_of(connection, segment.author), now)

    believed = await parts.store.write(write)
    _log.warning("equivocation author=%s seq=%d", segment.author, segment.seq)
    put_in_force(parts, believed)
    return Ignored(reason="equivocation")


def _relays(
    parts: ExchangeParts, roster: Roster, arrivals: Iterable[Arrival]
) -> Iterable[tuple[str, str, int]]:
    """To whom each segment is passed on: destination, author, seq."""
    active = [m.id for m in roster.members if m.state == "active" and m.id != parts.member]
    for arrival in arrivals:
        segment = arrival.segment
        targets = relay_targets(
            active,
            segment.head,
            us=parts.member or "",
            not_to=(segment.author, arrival.delivered_by),
            count=parts.limits.relay_members,
        )
        yield from ((target, segment.author, segment.seq) for target in targets)


def relay_targets(
    active: Sequence[str], head: str, *, us: str, not_to: Sequence[str | None], count: int
) -> tuple[str, ...]:
    """A few active members to pass a segment on to.

    They are drawn by hash of segment and sender: each node picks others, each segment goes other ways, and nobody can
    choose to be left out.
    """
    drawn = Random(hashlib.sha256(f"{head}/{us}".encode()).digest()).sample(  # noqa: S311 - seeded by a hash
        active, min(len(active), count + len(not_to))
    )
    return tuple([member for member in drawn if member not in not_to][:count])
