"""How two members find out what one of them has missed, and bring it over.

Asking costs one small request when there is nothing new: the hash of the own cursor vector. Otherwise the other
answers with its vector, the proofs that we lack are fetched and the missing ranges are pulled. An announcement is such
a vector of a few logs, without asking. What a peer delivers here is as untrusted as anything that is pushed.
"""

from __future__ import annotations

from asyncio import Semaphore, TaskGroup
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ioint_protocol import ProtocolError, parse_segment, sync, verify_segment
from ioint_protocol.limits import LIMITS
from ioint_protocol.segment import EVERY_STATE
from ioint_protocol.sync import Range, Vector
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.admission import Accepted, Decision, Ignored, Rejected
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.proofs import receive_proof
from ioint_node.flows.receive import receive_segments
from ioint_node.store import log, pruning
from ioint_node.store.engine import Store

Ask: TypeAlias = Callable[[str, bytes], Awaitable[bytes]]
Receive: TypeAlias = Callable[[ExchangeParts, Sequence[bytes], str, int], Awaitable[Sequence[Decision]]]
"""Receive segments of one log, in order: a decision for each, or for as many as it makes sense to look at."""

SEGMENTS_PER_AUTHOR = 4_096
"""After so many of one author the caller may turn to another peer; the next call goes on where this one ended."""
AUTHORS_AT_ONCE = 8
"""A commit waits for company: several logs side by side give it some."""
SEGMENTS_PER_READ = 8
"""Read from the store at once while an answer is filled: at most 2 MB in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaughtUp:
    """What a catch-up brought: segments accepted, whether all that we may take now came, and a refusal if any.

    `behind` is how many segments the peer had that we had not, `ahead` how many we had that it had not, before.
    """

    accepted: int = 0
    complete: bool = True
    rejected: str | None = None
    behind: int = 0
    ahead: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """The peer that is asked, and where its segments go."""

    parts: ExchangeParts
    ask: Ask
    member: str
    now: int
    receive: Receive
    turns: Semaphore = field(default_factory=lambda: Semaphore(AUTHORS_AT_ONCE))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pulled:
    """Of one range: the height that we now have, how many segments are new, and why one was rejected.

    `forked` when the next does not follow what we hold at the height reached.
    """

    reached: int
    new: int = 0
    rejected: str | None = None
    forked: bool = False


async def receive_found(
    parts: ExchangeParts, wires: Sequence[bytes], delivered_by: str, now: int
) -> list[Decision]:
    """Receive what comparing brought: it lay at the peer, and is no news to most."""
    return await receive_segments(parts, wires, delivered_by, now, fresh=False)


async def own_vector(
    connection: AsyncConnection, parts: ExchangeParts, authors: Collection[str] | None = None
) -> Vector:
    """The cursor vector of this node, or its part about some authors.

    It speaks of active members: a log that a newcomer cannot take any more would make its vector differ for ever.
    """
    listed = _active(parts)
    asked = listed if authors is None else listed.intersection(authors)
    convicted = await log.equivocators(connection) & asked
    return await log.vector(connection, asked) | dict.fromkeys(convicted, sync.CONVICTED)


async def answer_heads(parts: ExchangeParts, body: bytes) -> bytes:
    """Answer `/ioint/heads`: `same`, or our cursor vector.

    Raises:
        ProtocolError: the request is none.
    """
    have = sync.decode_heads_request(body)
    async with parts.store.read() as connection:
        return sync.encode_heads_answer(await own_vector(connection, parts), have)


async def answer_pull(store: Store, body: bytes) -> bytes:
    """Answer `/ioint/pull`: the segments of the range that we hold, as many as a frame takes.

    A range whose beginning we do not hold (any more) begins at the next that we hold.

    Raises:
        ProtocolError: the request is none.
    """
    wanted = sync.decode_pull_request(body)
    wires: list[bytes] = []
    room = LIMITS.frame_bytes
    async with store.read() as connection:
        lowest = await pruning.lowest(connection, wanted.author, wanted.from_seq)
        if lowest is not None and wanted.from_seq < lowest:
            end = lowest + wanted.to_seq - wanted.from_seq
            wanted = Range(author=wanted.author, from_seq=lowest, to_seq=end)
        async for wire in _segments(connection, wanted):
            wires.append(wire)
            room -= len(wire)
            if room <= 0:
                break
    return sync.encode_pull_answer(wires)


async def catch_up(
    parts: ExchangeParts,
    ask: Ask,
    member: str,
    now: int,
    *,
    receive: Receive = receive_found,
    spelled: bool = False,
) -> CaughtUp:
    """Bring from a peer whatever it has and we have not, and receive it.

    With `spelled` the peer must say what it has, and not only whether it has the same as we: saying that costs nothing.

    `ask(protocol, body)` returns the peer's answer and raises when there is none; what it raises passes through.

    Raises:
        ProtocolError: an answer of the peer is none.
    """
    async with parts.store.read() as connection:
        own = await own_vector(connection, parts)
    request = sync.encode_heads_request({} if spelled else own)
    other = sync.decode_heads_answer(await ask(sync.HEADS, request))
    if other is None:
        return CaughtUp(ahead=sync.lag({}, own) if spelled else 0)
    source = _Source(parts=parts, ask=ask, member=member, now=now, receive=receive)
    return await _bring(source, own, other)


async def bring_announced(
    parts: ExchangeParts,
    ask: Ask,
    member: str,
    heads: Vector,
    now: int,
    *,
    receive: Receive = receive_segments,
) -> CaughtUp:
    """Bring from a peer what it announced, if we still lack it; raises as `catch_up` does."""
    async with parts.store.read() as connection:
        own = await own_vector(connection, parts, heads.keys())
    source = _Source(parts=parts, ask=ask, member=member, now=now, receive=receive)
    return await _bring(source, own, heads)


async def _bring(source: _Source, own: Vector, other: Vector) -> CaughtUp:
    """Bring proofs first: of an author whom they convict nothing more is of use."""
    # Whom we cannot hear we do not ask for: a peer may name as many authors as it likes.
    listed = _active(source.parts)
    other = {author: head for author, head in other.items() if author in listed}
    refused = await _fetch_proofs(source, sync.unproven(own, other)[: LIMITS.range_segments])
    try:
        async with TaskGroup() as tasks:
            ends = [tasks.create_task(_follow(source, first, other)) for first in sync.missing(own, other)]
    except ExceptionGroup as group:
        # All authors come from one peer: the first thing that went wrong says it for the others.
        raise group.exceptions[0] from None
    results = [end.result() for end in ends]
    return CaughtUp(
        accepted=sum(result.accepted for result in results),
        complete=all(result.complete for result in results),
        rejected=next((result.rejected for result in results if result.rejected), refused),
        behind=sync.lag(own, other),
        ahead=sync.lag(other, own),
    )


async def _fetch_proofs(source: _Source, authors: Sequence[str]) -> str | None:
    """Fetch the proofs against some authors and receive them; returns why one was refused."""
    if not authors:
        return None
    answer = await source.ask(sync.PROOF, sync.encode_proof_request(authors))
    for proof in sync.decode_proof_answer(answer):
        decision = await receive_proof(source.parts, proof, source.member, source.now)
        if isinstance(decision, Rejected):
            return decision.reason
    return None


async def _follow(source: _Source, first: Range, other: Vector) -> CaughtUp:
    """Bring one author's log to where the peer has it; each segment is of use only after the one before."""
    author, (height, head) = first.author, other[first.author]
    accepted, wanted = 0, first
    async with source.turns:
        while accepted < SEGMENTS_PER_AUTHOR:
            pulled = await _pull(source, wanted, height)
            accepted += pulled.new
            if pulled.forked:
                # The peer holds another segment at the height where ours ends: the two convict their author.
                end = Range(author=author, from_seq=pulled.reached, to_seq=pulled.reached)
                pulled = await _pull(source, end, height)
                return CaughtUp(accepted=accepted, rejected=pulled.rejected)
            if pulled.rejected is not None or pulled.reached < wanted.from_seq or pulled.reached >= height:
                return CaughtUp(accepted=accepted, rejected=pulled.rejected)
            (wanted,) = sync.missing({author: (pulled.reached, "")}, {author: (height, head)})
    return CaughtUp(accepted=accepted, complete=False)


async def _pull(source: _Source, wanted: Range, height: int) -> _Pulled:
    answer = await source.ask(sync.PULL, sync.encode_pull_request(wanted))
    wires = sync.decode_pull_answer(answer)
    try:
        if wires and parse_segment(wires[0]).header.seq > wanted.from_seq:
            await _learn_floor(source, wanted.author, height)
        decisions = await source.receive(source.parts, wires, source.member, source.now)
        reached, new, forked = wanted.from_seq - 1, 0, False
        for wire, decision in zip(wires, decisions, strict=False):
            if isinstance(decision, Rejected):
                return _Pulled(reached=reached, new=new, rejected=decision.reason)
            if not _held(decision):
                forked = decision == Ignored(reason="fork") and reached > 0
                break
            reached = parse_segment(wire).header.seq
            new += isinstance(decision, Accepted)
    except ProtocolError as error:
        return _Pulled(reached=wanted.from_seq - 1, rejected=error.name)
    return _Pulled(reached=reached, new=new, forked=forked)


async def _learn_floor(source: _Source, author: str, height: int) -> None:
    """Ask the author itself, in the newest header that the peer has, what may be left out of its log.

    Raises:
        ProtocolError: the peer gave something that its author did not sign.
    """
    roster, consortium = source.parts.roster(), source.parts.consortium()
    if roster is None or consortium is None or roster.member(author) is None:
        return
    newest = Range(author=author, from_seq=height, to_seq=height)
    answer = await source.ask(sync.PULL, sync.encode_pull_request(newest))
    for wire in sync.decode_pull_answer(answer)[:1]:
        found = verify_segment(parse_segment(wire), consortium, roster, states=EVERY_STATE)
        source.parts.floors.learn(found.author, found.low)


def _active(parts: ExchangeParts) -> frozenset[str]:
    roster = parts.roster()
    return frozenset(m.id for m in roster.members if m.state == "active") if roster else frozenset()


def _held(decision: Decision) -> bool:
    """Whether we have the segment now: it is new, or was pushed to us meanwhile."""
    return isinstance(decision, Accepted) or decision == Ignored(reason="duplicate")


async def _segments(connection: AsyncConnection, wanted: Range) -> AsyncIterator[bytes]:
    for start in range(wanted.from_seq, wanted.to_seq + 1, SEGMENTS_PER_READ):
        end = min(start + SEGMENTS_PER_READ - 1, wanted.to_seq)
        wires = await log.segments_between(connection, wanted.author, start, end)
        for wire in wires:
            yield bytes(wire)
        if len(wires) < end - start + 1:
            return
