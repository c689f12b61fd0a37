"""The outbox is drained in order, by destination, and only silence keeps a row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from ioint_node.delivery import Delivery, DeliveryLimits
from ioint_node.store import outbox
from ioint_node.store.engine import Store
from ioint_node.store.schema import outbox as outbox_rows
from ioint_node.store.schema import segments
from ioint_protocol.sync import PUSH, PushAnswer, encode_push_answer
from sqlalchemy import select

LIMITS = DeliveryLimits(pause_first_s=0.01, pause_max_s=0.02, idle_s=5.0, attempts=3)
NOW = 1_800_000_000_000
AUTHOR = "a" * 32


class SilentError(Exception):
    """No answer."""


class Members:
    """Stands where the exchange does: answers by script, remembers what came."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.silent: set[str] = set()
        self.result, self.why = "accepted", ""
        self.answer: bytes | None = None
        self.changed = asyncio.Event()
        self.at_once: dict[str, int] = {}
        self.most_at_once = 0

    async def request(self, member: str, protocol: str, body: bytes, timeout_s: float | None = None) -> bytes:
        assert protocol == PUSH
        assert timeout_s is not None
        self.at_once[member] = self.at_once.get(member, 0) + 1
        self.most_at_once = max(self.most_at_once, self.at_once[member])
        await asyncio.sleep(0)
        self.at_once[member] -= 1
        self.changed.set()
        self.changed = asyncio.Event()
        if member in self.silent:
            raise SilentError
        self.got.append((member, body))
        return (
            self.answer
            if self.answer is not None
            else encode_push_answer(PushAnswer(result=self.result, why=self.why))
        )


@asynccontextmanager
async def delivering(store: Store, members: Members, now: Callable[[], int]) -> AsyncIterator[Delivery]:
    delivery = Delivery(store, members, LIMITS, unavailable=SilentError, now=now)
    task = asyncio.create_task(delivery.run())
    try:
        yield delivery
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(members: Members, condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            try:
                await asyncio.wait_for(members.changed.wait(), 0.02)
            except TimeoutError:
                continue


async def put(store: Store, count: int, *destinations: str) -> None:
    async def write(connection):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        for seq in range(1, count + 1):
            known = await connection.execute(select(segments.c.seq).where(segments.c.seq == seq))
            if known.one_or_none() is None:
                row = {"author": AUTHOR, "seq": seq, "head": "0" * 64, "wire": b"%d" % seq, "records": 1}
                await connection.execute(segments.insert().values(**row, received_at="", delivered_by=None))
            await outbox.add(connection, destinations, AUTHOR, seq, NOW)

    await store.write(write)


async def left(store: Store) -> int:
    async with store.read() as connection:
        return len((await connection.execute(select(outbox_rows.c.id))).all())


async def test_each_destination_gets_every_segment_in_order_and_one_at_a_time(store: Store) -> None:
    members = Members()
    await put(store, 40, "bob", "carol")
    async with delivering(store, members, lambda: NOW) as delivery:
        await until(members, lambda: is_empty(store))
        assert delivery.counts == {"accepted": 80}
    for name in ("bob", "carol"):
        assert [body for member, body in members.got if member == name] == [
            b"%d" % seq for seq in range(1, 41)
        ]
    assert members.most_at_once == 1


async def is_empty(store: Store) -> bool:
    return await left(store) == 0


async def test_a_rejected_and_an_ignored_segment_leave_the_outbox_too(store: Store) -> None:
    members = Members()
    for result in ("rejected", "ignored"):
        members.result = result
        await put(store, 1, "bob")
        async with delivering(store, members, lambda: NOW) as delivery:
            await until(members, lambda: is_empty(store))
            assert delivery.counts == {result: 1}


async def test_a_busy_member_keeps_its_rows_and_gets_them_later(store: Store) -> None:
    members = Members()
    members.result, members.why = "ignored", "busy"
    await put(store, 2, "bob")
    clock = iter(range(NOW, NOW + 10**9, 10))
    async with delivering(store, members, lambda: next(clock)) as delivery:
        await until(members, lambda: was_tried(store))
        assert await left(store) == 2
        members.result, members.why = "accepted", ""
        await until(members, lambda: is_empty(store))
        assert delivery.counts == {"accepted": 2}


async def test_an_answer_that_is_none_ends_the_row(store: Store) -> None:
    members = Members()
    members.answer = b"\xff"
    await put(store, 1, "bob")
    async with delivering(store, members, lambda: NOW) as delivery:
        await until(members, lambda: is_empty(store))
        assert delivery.counts == {"bad_answer": 1}


async def test_a_silent_member_holds_up_nobody_else_and_gets_its_rows_when_it_is_back(store: Store) -> None:
    members = Members()
    members.silent.add("bob")
    await put(store, 2, "bob", "carol")
    async with delivering(store, members, lambda: NOW) as delivery:
        await until(members, lambda: has(store, 2))
        assert {member for member, _ in members.got} == {"carol"}
        members.silent.clear()
        await delivery.reachable("bob")
        await until(members, lambda: is_empty(store))
    assert [body for member, body in members.got if member == "bob"] == [b"1", b"2"]


async def has(store: Store, rows: int) -> bool:
    return await left(store) == rows


async def test_rows_survive_a_restart(store: Store) -> None:
    members = Members()
    members.silent.add("bob")
    await put(store, 3, "bob")
    async with delivering(store, members, lambda: NOW):
        await until(members, lambda: was_tried(store))
    assert await left(store) == 3
    members.silent.clear()
    async with delivering(store, members, lambda: NOW + 10_000):
        await until(members, lambda: is_empty(store))
    assert len(members.got) == 3


async def was_tried(store: Store) -> bool:
    async with store.read() as connection:
        return any((await connection.execute(select(outbox_rows.c.attempts))).scalars())


async def test_a_row_is_given_up_after_its_attempts_and_left_to_catching_up(store: Store) -> None:
    members = Members()
    members.silent.add("bob")
    await put(store, 1, "bob")
    clock = iter(range(NOW, NOW + 10**9, 1_000))
    async with delivering(store, members, lambda: next(clock)) as delivery:
        await until(members, lambda: is_empty(store))
        assert delivery.counts == {"given_up": 1}


async def test_a_new_row_goes_as_soon_as_delivery_is_woken(store: Store) -> None:
    members = Members()
    async with delivering(store, members, lambda: NOW) as delivery:
        await put(store, 1, "bob")
        delivery.wake()
        await until(members, lambda: is_empty(store))


async def test_one_segment_waits_once_for_a_destination_and_the_queue_is_bounded(store: Store) -> None:
    await put(store, 2, "bob")
    await put(store, 2, "bob")
    assert await left(store) == 2
    await store.write(lambda connection: outbox.add(connection, ["bob"], AUTHOR, 9, NOW, rows=2))
    assert await left(store) == 2
    await store.write(lambda connection: outbox.drop(connection, "bob"))
    assert await left(store) == 0


async def test_what_a_member_has_shown_to_have_is_not_sent_to_it(store: Store) -> None:
    members = Members()
    await put(store, 2, "bob")
    delivery = Delivery(
        store,
        members,
        LIMITS,
        unavailable=SilentError,
        has=lambda member, author, seq: (member, author, seq) == ("bob", AUTHOR, 1),
        now=lambda: NOW,
    )
    task = asyncio.create_task(delivery.run())
    await until(members, lambda: is_empty(store))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert members.got == [("bob", b"2")]
    assert delivery.counts == {"known": 1, "accepted": 1}
