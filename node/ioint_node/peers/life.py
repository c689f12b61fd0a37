"""One child process, from its start to its end."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from ioint_node.peers.frames import (
    Answer,
    Ask,
    Call,
    Failure,
    FrameError,
    Frames,
    Peer,
    Peers,
    Ready,
    Reply,
    Start,
    State,
    ToParent,
    pack,
    pipe_bytes,
    read_to_parent,
)

PIPE_READ_BYTES = 65_536
LOG_LINE_BYTES = 2_048
# The child sees nothing of our environment but what it takes to start Python: the rest may hold secrets.
ENVIRONMENT = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "TZ",
    "TMPDIR",
)

log = logging.getLogger("ioint.peers")


class PeerUnavailable(Exception):  # noqa: N818 - an outcome the caller waits for, not a fault
    """There is no answer from this member now; the message says why. Trying again later is safe."""


class ChildGone(Exception):  # noqa: N818 - what a life always ends with
    """The child ended, or stopped making sense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Whom a life tells what: `call` returns the answer to a peer's request, or None for no answer."""

    ready: Callable[[Ready], None]
    state: Callable[[State], None]
    call: Callable[[Call], Awaitable[bytes | None]]


class Life:
    """A child process and the requests that wait for it."""

    def __init__(self, *, start: Start, events: Events) -> None:
        self._first, self._events, self._limits = start, events, start.limits
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(start.limits.queue_frames)
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._asked_of: Counter[str] = Counter()
        self._ask_id = 0
        self._answering = 0
        self._peers: tuple[Peer, ...] = start.peers
        self._peers_changed = asyncio.Event()
        self._told_to_end = asyncio.Event()
        self.process_id: int | None = None

    async def live(self) -> None:
        """Run the child until it ends.

        Raises:
            ChildGone: always, unless cancelled.
        """
        process, reader, writer = await _spawn()
        self.process_id = process.pid
        reason = "it was told to end"
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._log(process.stderr), name="peers-log")
                writer.write(pack(self._first))
                tasks.create_task(self._write(writer), name="peers-write")
                tasks.create_task(self._announce(), name="peers-announce")
                tasks.create_task(self._end_when_told(), name="peers-end")
                await self._read(reader, tasks)
        except* (ChildGone, OSError, FrameError) as group:
            # Python 3.11.2 wraps what is raised in here in a group of its own.
            reason = _innermost(group)
        finally:
            self._fail_all()
            writer.close()
            await _end(process, self._limits.stop_s)
        raise ChildGone(reason)

    def set_peers(self, peers: tuple[Peer, ...]) -> None:
        """Tell the child the allow-list from now on."""
        self._peers = peers
        self._peers_changed.set()

    def end(self) -> None:
        """Let the child end soon."""
        self._told_to_end.set()

    async def _end_when_told(self) -> None:
        await self._told_to_end.wait()
        raise ChildGone("it was told to")

    async def ask(self, peer_id: str, protocol: str, body: bytes, timeout_s: float) -> bytes:
        """The answer of a peer.

        Raises:
            PeerUnavailable: there is none.
        """
        if len(self._asked) >= self._limits.asks:
            raise PeerUnavailable(f"{self._limits.asks} requests are waiting")
        if self._asked_of[peer_id] >= self._limits.asks_per_peer:
            raise PeerUnavailable(f"{self._limits.asks_per_peer} requests are waiting for it")
        self._ask_id += 1
        ask = Ask(self._ask_id, peer_id, protocol, body, timeout_s)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asked[ask.id] = future
        self._asked_of[peer_id] += 1
        try:
            # The child gives up first; our own limit is for a child that does not answer at all.
            async with asyncio.timeout(timeout_s + self._limits.close_s):
                await self._outgoing.put(pack(ask))
                return await future
        except TimeoutError:
            raise PeerUnavailable("timeout") from None
        finally:
            self._asked.pop(ask.id, None)
            self._asked_of[peer_id] -= 1

    async def _read(self, reader: asyncio.StreamReader, tasks: asyncio.TaskGroup) -> None:
        frames = Frames(pipe_bytes(self._limits))
        wait_s: float | None = self._limits.start_s
        while True:
            try:
                # Not `wait_for`, which in Python 3.11 may lose a cancellation that comes together with data.
                async with asyncio.timeout(wait_s):
                    data = await reader.read(PIPE_READ_BYTES)
            except TimeoutError:
                raise ChildGone(f"it did not listen within {self._limits.start_s} s") from None
            if not data:
                raise ChildGone("the pipe closed")
            for body in frames.feed(data):
                wait_s = None
                message = read_to_parent(body)
                try:
                    self._receive(message, tasks)
                except (LookupError, ValueError) as error:
                    # The child may have been taken over by a peer: what it says must not end the node.
                    raise ChildGone(f"it sent a {type(message).__name__} that makes no sense") from error

    def _receive(self, message: ToParent, tasks: asyncio.TaskGroup) -> None:
        match message:
            case Reply(id=ask, body=body):
                if (future := self._asked.get(ask)) is not None and not future.done():
                    future.set_result(body)
            case Failure(id=ask, reason=reason):
                if (future := self._asked.get(ask)) is not None and not future.done():
                    future.set_exception(PeerUnavailable(reason))
            case Call():
                if self._answering >= self._limits.calls:
                    raise ChildGone(f"more than {self._limits.calls} calls at once")
                self._answering += 1
                tasks.create_task(self._answer(message), name="peers-answer")
            case State():
                self._events.state(message)
            case Ready():
                self._events.ready(message)

    async def _answer(self, call: Call) -> None:
        try:
            body = await self._events.call(call)
        finally:
            self._answering -= 1
        await self._outgoing.put(pack(Answer(call.id, body)))

    async def _write(self, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(await self._outgoing.get())
            await writer.drain()

    async def _announce(self) -> None:
        while True:
            await self._peers_changed.wait()
            self._peers_changed.clear()
            await self._outgoing.put(pack(Peers(self._peers)))

    async def _log(self, stderr: asyncio.StreamReader | None) -> None:
        if stderr is None:
            return
        lines = 0
        while data := await stderr.read(LOG_LINE_BYTES):
            lines += 1
            # Read on past the bound: a full pipe would stop the child.
            if lines <= self._limits.log_lines_per_life:
                log.warning("exchange process: %s", data.decode(errors="replace").rstrip())

    def _fail_all(self) -> None:
        for future in self._asked.values():
            if not future.done():
                future.set_exception(PeerUnavailable("the exchange process ended"))
                future.exception()  # nobody may be waiting any more: that is no error to report
        self._asked.clear()


async def _spawn() -> tuple[asyncio.subprocess.Process, asyncio.StreamReader, asyncio.StreamWriter]:
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # nothing in the directory we were started in may replace a module
                "-m",
                "ioint_node.peers.process",
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
                start_new_session=True,  # Ctrl-C is for us: we tell it to stop by closing the pipe
            )
        reader, writer = await asyncio.open_unix_connection(sock=ours)
    except BaseException:
        ours.close()
        raise
    return process, reader, writer


async def _end(process: asyncio.subprocess.Process, stop_s: float) -> None:
    """Give the child, whose pipe is closed, time to say goodbye; then end it."""
    try:
        await asyncio.wait_for(process.wait(), stop_s)
    except (TimeoutError, asyncio.CancelledError) as reason:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if isinstance(reason, asyncio.CancelledError):
            raise


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__
