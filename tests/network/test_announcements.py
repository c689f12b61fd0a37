"""News are told together and to whom they are new; what is announced is fetched once, unless it comes by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from ioint_node.errors import BusyError
from ioint_node.peers import PeerUnavailable
from ioint_node.peers.announcer import Announcer, AnnouncerLimits, Holders
from ioint_node.peers.puller import Puller, PullLimits
from ioint_protocol import ProtocolError, sync
from ioint_protocol.sync import Announcement

A, B = "a" * 32, "b" * 32
HEAD = "1" * 64
ACCEPTED = sync.encode_push_answer(sync.PushAnswer(result="accepted"))
QUICK = PullLimits(grace_s=0.001, again_s=0.01, claim_s=60.0, turn_s=5.0, attempts=3)


@asynccontextmanager
async def going(loop: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(loop)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


class Members:
    """Stands where the exchange does."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Announcement]] = []
        self.answer: bytes | Exception = ACCEPTED

    async def request(self, member: str, protocol: str, body: bytes, timeout_s: float | None = None) -> bytes:
        assert protocol == sync.ANNOUNCE
        self.heard.append((member, sync.decode_announcement(body)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_news_of_one_moment_go_as_one_and_to_each_what_it_lacks() -> None:
    members = Members()
    announcer = Announcer(members, lambda: 7)
    announcer.holders.note("bob", A, 3)
    announcer.tell(["bob", "carol"], {A: (3, HEAD)})
    announcer.tell(["bob", "carol"], {B: (1, HEAD)})
    announcer.holders.note("carol", B, 1)
    async with going(announcer.run()):
        await until(lambda: len(members.heard) == 2)
    assert dict(members.heard) == {
        "bob": Announcement(heads={B: (1, HEAD)}, roster=7),
        "carol": Announcement(heads={A: (3, HEAD)}, roster=7),
    }


async def test_who_has_all_of_it_hears_nothing_and_a_newer_roster_is_told_all_the_same() -> None:
    members = Members()
    announcer = Announcer(members, lambda: 7)
    announcer.holders.note("bob", A, 3)
    announcer.tell(["bob"], {A: (3, HEAD)})
    announcer.tell(["carol"], {})
    async with going(announcer.run()):
        await until(lambda: announcer.counts["known"] and announcer.counts["accepted"])
    assert members.heard == [("carol", Announcement(heads={}, roster=7))]


@pytest.mark.parametrize(
    ("answer", "counted"), [(PeerUnavailable("away"), "unavailable"), (b"\xff", "bad_answer")], ids=str
)
async def test_an_announcement_that_is_lost_ends_nothing(answer: bytes | Exception, counted: str) -> None:
    members = Members()
    members.answer = answer
    announcer = Announcer(members, lambda: 1)
    async with going(announcer.run()):
        announcer.tell(["bob"], {A: (1, HEAD)})
        await until(lambda: announcer.counts[counted])
        announcer.tell(["bob"], {A: (2, HEAD)})
        await until(lambda: announcer.counts[counted] == 2)


async def test_what_waits_for_a_member_is_bounded_and_the_oldest_goes() -> None:
    members = Members()
    announcer = Announcer(members, lambda: 1, AnnouncerLimits(heads_per_member=2))
    for number in range(5):
        announcer.tell(["bob"], {f"{number:032x}": (1, HEAD)})
    async with going(announcer.run()):
        await until(lambda: members.heard)
    assert set(members.heard[0][1].heads) == {f"{number:032x}" for number in (3, 4)}


def test_who_has_what_is_remembered_of_the_newest_heads_alone() -> None:
    holders = Holders(2)
    for seq in (1, 2, 3):
        holders.note("bob", A, seq)
    assert [holders.has("bob", A, seq) for seq in (1, 2, 3)] == [False, True, True]
    assert not holders.has("carol", A, 3)


class Source:
    """Stands where fetching does: remembers what was asked of whom, and answers by script."""

    def __init__(self, *outcomes: bool | Exception) -> None:
        self.asked: list[tuple[str, Announcement]] = []
        self.outcomes = list(outcomes)
        self.wait: Callable[[str], Awaitable[object]] | None = None

    async def pull(self, member: str, announced: Announcement) -> bool:
        self.asked.append((member, announced))
        if self.wait is not None:
            await self.wait(member)
        outcome = self.outcomes.pop(0) if self.outcomes else True
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def said(author: str, seq: int = 1, roster: int = 0) -> Announcement:
    return Announcement(heads={author: (seq, HEAD)}, roster=roster)


async def test_what_one_member_announces_before_it_is_asked_is_asked_for_together() -> None:
    source = Source()
    puller = Puller(source.pull, QUICK)
    puller.want("bob", said(A, roster=3))
    puller.want("bob", said(B))
    async with going(puller.run()):
        await until(lambda: source.asked)
    assert source.asked == [("bob", Announcement(heads={A: (1, HEAD), B: (1, HEAD)}, roster=3))]


async def test_one_log_is_fetched_from_one_member_at_a_time() -> None:
    source, done = Source(), asyncio.Event()
    puller = Puller(source.pull, QUICK)

    async def first_waits(member: str) -> None:
        if member == "bob":
            await done.wait()

    source.wait = first_waits
    async with going(puller.run()):
        puller.want("bob", said(A))
        await until(lambda: source.asked)
        puller.want("carol", Announcement(heads={A: (1, HEAD), B: (1, HEAD)}, roster=0))
        await until(lambda: len(source.asked) == 2)
        assert source.asked[1] == ("carol", said(B))
        done.set()
        await until(lambda: ("carol", said(A)) in source.asked)


async def test_a_member_that_gives_slowly_holds_a_log_up_for_a_moment_only() -> None:
    source = Source()
    puller = Puller(source.pull, PullLimits(grace_s=0.0, claim_s=0.02))

    async def bob_never_ends(member: str) -> None:
        if member == "bob":
            await asyncio.Event().wait()

    source.wait = bob_never_ends
    async with going(puller.run()):
        puller.want("bob", said(A))
        await until(lambda: source.asked)
        puller.want("carol", said(A))
        await until(lambda: ("carol", said(A)) in source.asked)


@pytest.mark.parametrize(
    "fault",
    [PeerUnavailable("away"), BusyError("full"), ProtocolError("bad_frame", "x"), RuntimeError("a bug")],
    ids=lambda fault: type(fault).__name__,
)
async def test_what_failed_is_tried_again_a_few_times_and_then_left_to_comparing(fault: Exception) -> None:
    source = Source(*[fault] * 10)
    puller = Puller(source.pull, QUICK)
    async with going(puller.run()):
        puller.want("bob", said(A))
        await until(lambda: len(source.asked) == QUICK.attempts)
        puller.want("carol", said(B))
        await until(lambda: ("carol", said(B)) in source.asked)
    assert [member for member, _ in source.asked].count("bob") == QUICK.attempts


async def test_a_member_that_never_answers_costs_one_turn() -> None:
    source = Source()
    puller = Puller(source.pull, PullLimits(grace_s=0.0, first_s=0.01, turn_s=0.01, again_s=0.01, attempts=2))

    async def never(member: str) -> None:
        await asyncio.Event().wait()

    source.wait = never
    async with going(puller.run()):
        puller.want("bob", said(A))
        await until(lambda: len(source.asked) == 2)


async def test_slow_members_hold_up_others_for_one_short_turn() -> None:
    source = Source()
    limits = PullLimits(grace_s=0.0, at_once=2, slow_at_once=1, first_s=0.05, turn_s=60.0, again_s=0.0)
    puller = Puller(source.pull, limits)

    async def only_bob_ends(member: str) -> None:
        if member != "bob":
            await asyncio.Event().wait()

    source.wait = only_bob_ends
    async with going(puller.run()):
        for number in range(6):
            puller.want(f"slow{number}", said(f"{number:032x}"))
        await until(lambda: len({member for member, _ in source.asked}) == 6)
        puller.want("bob", said(A))
        await until(lambda: ("bob", said(A)) in source.asked)
        puller.want("bob", said(B))
        await until(lambda: ("bob", said(B)) in source.asked)
