"""How two members find out what one of them has missed, and bring it over.

Asking costs one small request when there is nothing new: the hash of the own cursor vector. Otherwise the other
answers with its vector, and the missing ranges are pulled and received as if they had been pushed: what a peer
delivers here is as untrusted as anything else.
"""

from __future__ import annotations

from asyncio import Semaphore, TaskGroup
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from ioint_protocol import sync
from ioint_protocol.limits import LIMITS
from ioint_protocol.sync import Range, Vector
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.admission import Accepted, Decision, Ignored, Rejected
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.receive import receive_segment
from ioint_node.store import log
from ioint_node.store.engine import Store

Ask: TypeAlias = Callable[[str, bytes], Awaitable[bytes]]
Receive: TypeAlias = Callable[[ExchangeParts, bytes, str, int], Awaitable[Decision]]

SEGMENTS_PER_AUTHOR = 4_096
"""After so many of one author the caller may turn to another peer; the next call goes on where this one ended."""
AUTHORS_AT_ONCE = 8
"""A commit waits for company: several logs side by side give it some."""
SEGMENTS_PER_READ = 8
"""Read from the store at once while an answer is filled: at most 2 MB in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaughtUp:
    """What a catch-up brought: segments accepted, whether all that we may take now came, and a refusal if any."""

    accepted: int = 0
    complete: bool = True
    rejected: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """The peer that is asked, and where its segments go."""

    parts: ExchangeParts
    ask: Ask
    member: str
    now: int
    receive: Receive
    turns: Semaphore


async def answer_heads(store: Store, body: bytes) -> bytes:
    """Answer `/ioint/heads`: `same`, or our cursor vector.

    Raises:
        ProtocolError: the request is none.
    """
    have = sync.decode_heads_request(body)
    async with store.read() as connection:
        return sync.encode_heads_answer(await log.vector(connection), have)


async def answer_pull(store: Store, body: bytes) -> bytes:
    """Answer `/ioint/pull`: the segments of the range that we hold, as many as a frame takes.

    Raises:
        ProtocolError: the request is none.
    """
    wanted = sync.decode_pull_request(body)
    wires: list[bytes] = []
    room = LIMITS.frame_bytes
    async with store.read() as connection:
        async for wire in _segments(connection, wanted):
            wires.append(wire)
            room -= len(wire)
            if room <= 0:
                break
    return sync.encode_pull_answer(wires)


async def catch_up(
    parts: ExchangeParts, ask: Ask, member: str, now: int, *, receive: Receive = receive_segment
) -> CaughtUp:
    """Pull from a peer whatever it has and we have not, and receive it.

    `ask(protocol, body)` returns the peer's answer and raises when there is none; what it raises passes through.

    Raises:
        ProtocolError: an answer of the peer is none.
    """
    async with parts.store.read() as connection:
        own: Vector = await log.vector(connection)
    other = sync.decode_heads_answer(await ask(sync.HEADS, sync.encode_heads_request(own)))
    if other is None:
        return CaughtUp()
    source = _Source(
        parts=parts, ask=ask, member=member, now=now, receive=receive, turns=Semaphore(AUTHORS_AT_ONCE)
    )
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
        rejected=next((result.rejected for result in results if result.rejected), None),
    )


async def _follow(source: _Source, first: Range, other: Vector) -> CaughtUp:
    """Bring one author's log to where the peer has it; each segment is of use only after the one before."""
    author, (height, head) = first.author, other[first.author]
    accepted, wanted = 0, first
    async with source.turns:
        while accepted < SEGMENTS_PER_AUTHOR:
            passed, new, rejected = await _pull(source, wanted)
            accepted += new
            reached = wanted.from_seq + passed - 1
            if rejected is not None or not passed or reached >= height:
                return CaughtUp(accepted=accepted, rejected=rejected)
            (wanted,) = sync.missing({author: (reached, "")}, {author: (height, head)})
    return CaughtUp(accepted=accepted, complete=False)


async def _pull(source: _Source, wanted: Range) -> tuple[int, int, str | None]:
    """Of one range: segments that we now have, how many of them are new, and the reason when one was rejected."""
    passed = new = 0
    answer = await source.ask(sync.PULL, sync.encode_pull_request(wanted))
    for wire in sync.decode_pull_answer(answer):
        match await source.receive(source.parts, wire, source.member, source.now):
            case Accepted():
                new += 1
            case Ignored(reason="duplicate"):
                pass  # pushed to us meanwhile
            case Ignored():
                break
            case Rejected(reason=reason):
                return passed, new, reason
        passed += 1
    return passed, new, None


async def _segments(connection: AsyncConnection, wanted: Range) -> AsyncIterator[bytes]:
    for start in range(wanted.from_seq, wanted.to_seq + 1, SEGMENTS_PER_READ):
        end = min(start + SEGMENTS_PER_READ - 1, wanted.to_seq)
        wires = await log.segments_between(connection, wanted.author, start, end)
        for wire in wires:
            yield bytes(wire)
        if len(wires) < end - start + 1:
            return
