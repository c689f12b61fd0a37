"""The node outlives whatever its child says, even a child that a peer has taken over."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
from ioint_node.peers import life as life_module
from ioint_node.peers.frames import Call, Failure, Ready, Reply, Start, State, ToParent, pack
from ioint_node.peers.life import ChildGone, Events, Life, PeerUnavailable
from ioint_node.peers.limits import PeerLimits

LIMITS = PeerLimits(start_s=5.0, stop_s=1.0, calls=1, close_s=0.1)
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Process:
    """Stands where the child process does."""

    pid = 1
    stderr = None

    def kill(self) -> None: ...

    async def wait(self) -> int:
        return 0


def life_with(
    monkeypatch: pytest.MonkeyPatch,
    script: Script,
    tasks: list[asyncio.Task[None]],
    limits: PeerLimits = LIMITS,
) -> Life:
    """A life whose child is a script at the other end of the pipe."""

    async def spawn() -> tuple[Process, asyncio.StreamReader, asyncio.StreamWriter]:
        ours, theirs = socket.socketpair()
        their_reader, their_writer = await asyncio.open_unix_connection(sock=theirs)

        async def play() -> None:
            try:
                await script(their_reader, their_writer)
            finally:
                their_writer.close()

        tasks.append(asyncio.create_task(play()))
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        return Process(), reader, writer

    async def never(call: Call) -> bytes | None:
        await asyncio.Event().wait()
        return None

    def choosy(ready: Ready) -> None:
        assert ready.addresses[0]

    monkeypatch.setattr(life_module, "_spawn", spawn)
    start = Start(b"s" * 32, "127.0.0.1", 0, limits, ())
    return Life(start=start, events=Events(ready=choosy, state=lambda _: None, call=never))


def saying(*messages: ToParent | bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for message in messages:
            writer.write(message if isinstance(message, bytes) else pack(message))
        await writer.drain()
        while await reader.read(65_536):
            pass

    return script


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ((b"\xff\xff\xff\xff",), "a frame of 4294967295 bytes"),
        ((b"\x00\x00\x00\x01\xc1",), "malformed"),
        ((Ready("12D3KooW", ()),), "a Ready that makes no sense"),
        ((Call(1, "p", "q", b""), Call(2, "p", "q", b"")), "more than 1 calls"),
    ],
    ids=["oversized", "malformed", "senseless", "too many calls"],
)
async def test_a_child_that_makes_no_sense_is_ended(
    monkeypatch: pytest.MonkeyPatch, said: tuple[ToParent | bytes, ...], reason: str
) -> None:
    tasks: list[asyncio.Task[None]] = []
    with pytest.raises(ChildGone, match=reason):
        await life_with(monkeypatch, saying(*said), tasks).live()
    await asyncio.gather(*tasks)


async def test_what_was_asked_of_a_child_that_ends_has_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks: list[asyncio.Task[None]] = []

    async def read_the_start_and_one_ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))

    life = life_with(monkeypatch, read_the_start_and_one_ask, tasks)
    living = asyncio.create_task(life.live())
    with pytest.raises(PeerUnavailable, match="the exchange process ended"):
        await life.ask("p", "/ioint/push/1.0.0", b"", 5.0)
    with pytest.raises(ChildGone, match="the pipe closed"):
        await living
    await asyncio.gather(*tasks)


async def test_an_answer_nobody_waits_for_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks: list[asyncio.Task[None]] = []

    async def answer_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
        writer.write(pack(Failure(99, "timeout")) + pack(State((), ())))
        await writer.drain()

    with pytest.raises(ChildGone, match="the pipe closed"):
        await life_with(monkeypatch, answer_late, tasks).live()
    await asyncio.gather(*tasks)


async def test_requests_that_wait_for_one_member_leave_room_for_those_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks: list[asyncio.Task[None]] = []
    begun = asyncio.Event()

    async def answer_the_second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(3):  # the start and two requests
            await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
            if number == 1:
                begun.set()
        writer.write(pack(Reply(2, b"quick")))
        await writer.drain()

    limits = PeerLimits(start_s=5.0, stop_s=1.0, asks_per_peer=1)
    life = life_with(monkeypatch, answer_the_second, tasks, limits)
    living = asyncio.create_task(life.live())
    slow = asyncio.create_task(life.ask("slow", "/ioint/pull/1.0.0", b"", 5.0))
    await begun.wait()
    with pytest.raises(PeerUnavailable, match="1 requests are waiting for it"):
        await life.ask("slow", "/ioint/pull/1.0.0", b"", 5.0)
    assert await life.ask("quick", "/ioint/pull/1.0.0", b"", 5.0) == b"quick"
    await asyncio.gather(living, slow, *tasks, return_exceptions=True)
