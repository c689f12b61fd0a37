"""Two nodes find out what one has missed and bring it over; one with nothing new costs one small request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

import pytest
from ioint_node.admission import Accepted, Decision, Ignored, Rejected
from ioint_node.flows import sync as flow
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.proofs import answer_proofs
from ioint_node.peers import PeerUnavailable
from ioint_node.peers.antientropy import AntiEntropyLimits, run_catch_up
from ioint_node.store.engine import Store
from ioint_node.store.schema import segments
from ioint_protocol import ProtocolError, sync
from ioint_protocol.segment import build_segment, parse_segment
from nacl.signing import SigningKey

NOW = 1_800_000_000_000
CONSORTIUM = "c" * 64
AUTHORS = ("1" * 32, "2" * 32)


class Listed:
    """Only what catching up itself reads of a member and of a roster."""

    def __init__(self, author: str) -> None:
        self.id, self.state = author, "active"


class Listing:
    members = tuple(map(Listed, AUTHORS))


class Parts:
    """Only what catching up itself reads of the parts."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def roster(self) -> Listing:
        return Listing()


def parts_of(store: Store) -> ExchangeParts:
    return cast(ExchangeParts, Parts(store))


def log_of(author: str, count: int, *, body: bytes = b"x", from_prev: str = "0" * 64) -> list[bytes]:
    wires, prev = [], from_prev
    for seq in range(1, count + 1):
        wire = build_segment(SigningKey(b"k" * 32), CONSORTIUM, author, seq, prev, 1, [body + b"%d" % seq])
        wires.append(wire)
        prev = parse_segment(wire).head
    return wires


async def keep(store: Store, wires: Sequence[bytes]) -> None:
    rows = []
    for wire in wires:
        found = parse_segment(wire)
        row = {"author": found.header.author, "seq": found.header.seq, "head": found.head, "wire": wire}
        rows.append({**row, "records": 1, "received_at": "", "delivered_by": None})
    await store.write(lambda connection: connection.execute(segments.insert(), rows))


async def wires_in(store: Store) -> set[bytes]:
    async with store.read() as connection:
        return {
            bytes(wire)
            for wire in (
                await connection.execute(segments.select().with_only_columns(segments.c.wire))
            ).scalars()
        }


async def receive(
    parts: ExchangeParts, wires: Sequence[bytes], delivered_by: str, now: int
) -> list[Decision]:
    """Stands where a node's own checks do: keeps every segment it has not got."""
    assert delivered_by == "other"
    assert now == NOW
    held = await wires_in(parts.store)
    new = [wire for wire in wires if wire not in held]
    if new:
        await keep(parts.store, new)
    headers = [parse_segment(wire).header for wire in wires]
    return [
        Accepted(author=header.author, seq=header.seq, records=1)
        if wire in new
        else Ignored(reason="duplicate")
        for wire, header in zip(wires, headers, strict=True)
    ]


class Other:
    """The peer that is asked."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.asked: list[str] = []
        self.bytes = 0

    async def __call__(self, protocol: str, body: bytes) -> bytes:
        answerers = {sync.PULL: flow.answer_pull}
        self.asked.append(protocol)
        if protocol == sync.HEADS:
            answer = await flow.answer_heads(parts_of(self.store), body)
        else:
            answer = await answerers[protocol](self.store, body)
        self.bytes += len(body) + len(answer)
        return answer


async def test_missing_segments_of_every_author_come_over_and_then_nothing_more(
    store: Store, other_store: Store
) -> None:
    for author, count in zip(AUTHORS, (300, 3), strict=True):
        await keep(other_store, log_of(author, count))
    await keep(store, log_of(AUTHORS[0], 2))
    other = Other(other_store)
    first = await flow.catch_up(parts_of(store), other, "other", NOW, receive=receive)
    assert first == flow.CaughtUp(accepted=301, behind=301)
    assert await wires_in(store) == await wires_in(other_store)
    other = Other(other_store)
    assert await flow.catch_up(parts_of(store), other, "other", NOW, receive=receive) == flow.CaughtUp()
    assert other.asked == [sync.HEADS]
    assert other.bytes <= 1024


async def test_a_log_larger_than_a_frame_comes_in_several_answers(store: Store, other_store: Store) -> None:
    await keep(other_store, log_of(AUTHORS[0], 400, body=b"y" * 1_500))
    other = Other(other_store)
    done = await flow.catch_up(parts_of(store), other, "other", NOW, receive=receive)
    assert done == flow.CaughtUp(accepted=400, behind=400)
    assert other.asked.count(sync.PULL) >= 2


async def test_a_segment_pushed_meanwhile_does_not_stop_the_rest(store: Store, other_store: Store) -> None:
    wires = log_of(AUTHORS[0], 3)
    await keep(other_store, wires)

    async def receive_after_a_push(
        parts: ExchangeParts, wires: Sequence[bytes], delivered_by: str, now: int
    ) -> list[Decision]:
        await keep(store, wires[1:2])
        return await receive(parts, wires, delivered_by, now)

    done = await flow.catch_up(
        parts_of(store), Other(other_store), "other", NOW, receive=receive_after_a_push
    )
    assert done == flow.CaughtUp(accepted=2, behind=3)
    assert await wires_in(store) == set(wires)


async def test_a_rejected_segment_ends_that_log_and_is_named(store: Store, other_store: Store) -> None:
    await keep(other_store, log_of(AUTHORS[0], 3))

    async def reject(
        parts: ExchangeParts, wires: Sequence[bytes], delivered_by: str, now: int
    ) -> list[Decision]:
        return [Rejected(reason="bad_signature")]

    done = await flow.catch_up(parts_of(store), Other(other_store), "other", NOW, receive=reject)
    assert done == flow.CaughtUp(accepted=0, rejected="bad_signature", behind=3)


async def test_a_peer_that_promises_more_than_it_gives_is_asked_once(
    store: Store, other_store: Store
) -> None:
    asked = []

    async def boast(protocol: str, body: bytes) -> bytes:
        asked.append(protocol)
        if protocol == sync.HEADS:
            return sync.encode_heads_answer({AUTHORS[0]: (9, "f" * 64)}, sync.decode_heads_request(body))
        return sync.encode_pull_answer([])

    assert await flow.catch_up(parts_of(store), boast, "other", NOW, receive=receive) == flow.CaughtUp(
        behind=9
    )
    assert asked == [sync.HEADS, sync.PULL]


async def test_garbage_from_a_peer_is_a_protocol_error(store: Store) -> None:
    async def garbage(protocol: str, body: bytes) -> bytes:
        return b"\xff"

    with pytest.raises(ProtocolError):
        await flow.catch_up(parts_of(store), garbage, "other", NOW, receive=receive)
    with pytest.raises(ProtocolError):
        await flow.answer_heads(parts_of(store), b"\xff")
    for answer in (flow.answer_pull, answer_proofs):
        with pytest.raises(ProtocolError):
            await answer(store, b"\xff")


class Network:
    """Stands where the exchange does: who is reachable, and who just became so."""

    def __init__(self, *members: str) -> None:
        self.members = set(members)
        self.callbacks: list[Callable[[str], None]] = []

    def on_connect(self, callback: Callable[[str], None]) -> None:
        self.callbacks.append(callback)

    def connected(self) -> frozenset[str]:
        return frozenset(self.members)


async def caught_up_with(network: Network, outcomes: Sequence[bool | Exception], calls: int) -> list[str]:
    """The members of the first so many calls, each with the outcome given for it."""
    seen: list[str] = []
    done = asyncio.Event()
    left = iter(outcomes)

    async def catch_up(member: str) -> bool:
        seen.append(member)
        if len(seen) >= calls:
            done.set()
        outcome = next(left, True)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    task = asyncio.create_task(run_catch_up(network, catch_up, AntiEntropyLimits(every_s=0.01, peers=1)))
    try:
        async with asyncio.timeout(10):
            await done.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return seen


async def test_every_member_that_is_reachable_is_caught_up_with_first_and_one_at_random_ever_after() -> None:
    seen = await caught_up_with(Network("bob", "carol"), [], calls=5)
    assert set(seen[:2]) == {"bob", "carol"}


async def test_a_member_with_more_to_give_is_asked_again_at_once() -> None:
    assert await caught_up_with(Network("bob"), [False, False, True], calls=3) == ["bob"] * 3


@pytest.mark.parametrize(
    "fault", [PeerUnavailable("away"), ProtocolError("bad_frame", "x"), RuntimeError("a bug")], ids=str
)
async def test_one_members_fault_does_not_end_the_loop(fault: Exception) -> None:
    assert len(await caught_up_with(Network("bob"), [fault], calls=3)) >= 3
