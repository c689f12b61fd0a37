"""The process that holds libp2p: `python -m ioint_node.peers.process`, started by `exchange.py` and by nobody else.

Its standard input is one end of a socket pair. The first frame brings the key and the rules, the last is the end of
the pipe: then it closes its connections and leaves. It has no other input, prints nothing and writes no file.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence

import trio

from ioint_node.peers.dialer import keep_connected
from ioint_node.peers.frames import (
    Answer,
    Ask,
    Call,
    Failure,
    FrameError,
    Frames,
    Link,
    Peer,
    Peers,
    Ready,
    Reply,
    Start,
    State,
    ToChild,
    ToParent,
    pack,
    pipe_bytes,
    read_to_child,
)
from ioint_node.peers.gate import Gate, Refused
from ioint_node.peers.guard import HostError
from ioint_node.peers.host import Node, Stream, open_node
from ioint_node.peers.limits import PeerLimits
from ioint_node.peers.protocols import COMPARING, version_of
from ioint_node.peers.wire import Unframer, WireError, frame

PIPE_READ_BYTES = 65_536


class Pipe:
    """Our end of the socket pair."""

    def __init__(self, stream: trio.SocketStream, limits: PeerLimits) -> None:
        self._stream = stream
        self._send, self._queue = trio.open_memory_channel[bytes](limits.queue_frames)

    async def send(self, message: ToParent) -> None:
        """Queue a message; waits while the node is behind."""
        await self._send.send(pack(message))

    async def drain(self) -> None:
        """Write what is queued, for ever."""
        async for data in self._queue:
            await self._stream.send_all(data)


class Asker:
    """One stream kept to a peer for one protocol; a request at a time, in order of arrival."""

    def __init__(self, node: Node, peer: str, protocols: Sequence[str], limits: PeerLimits) -> None:
        self._node, self._peer, self._protocols, self._limits = node, peer, protocols, limits
        self._turn = trio.Lock()
        self._stream: Stream | None = None

    async def ask(self, body: bytes) -> bytes:
        """Send a request and wait for its answer.

        Raises:
            HostError: not connected, or broken off.
            WireError: the answer is no frame.
        """
        async with self._turn:
            if self._stream is not None:
                try:
                    return await self._exchange(self._stream, body)
                except HostError:
                    # The peer let an idle stream go. A request may come twice: that changes nothing for it.
                    pass
            self._stream = await self._node.open_stream(self._peer, self._protocols)
            self._node.note_version(self._peer, version_of(self._stream.protocol))
            return await self._exchange(self._stream, body)

    async def _exchange(self, stream: Stream, body: bytes) -> bytes:
        try:
            await stream.write(frame(body))
            unframer = Unframer(self._limits.frame_bytes)
            while (answer := unframer.next()) is None:
                data = await stream.read()
                if not data:
                    raise HostError("closed without an answer")
                unframer.feed(data)
        except BaseException:
            # After an error or a timeout the stream may hold half a frame: never use it again.
            self._stream = None
            with trio.CancelScope(shield=True):
                await stream.reset()
            raise
        return answer


class Child:
    """The state of the process: the host, who waits for which answer, and one task for each member."""

    def __init__(self, node: Node, pipe: Pipe, gate: Gate, start: Start, nursery: trio.Nursery) -> None:
        self._node, self._pipe, self._gate, self._nursery = node, pipe, gate, nursery
        self._limits, self._offers = start.limits, start.offers
        self._askers: dict[tuple[str, str], Asker] = {}
        self._asking = 0
        self._calls: dict[int, trio.MemorySendChannel[bytes | None]] = {}
        self._call_id = 0
        self._dialling: dict[Peer, trio.CancelScope] = {}
        gate.on_refusal = self._changed
        self._named = {offered: protocol for protocol, ids in start.offers.items() for offered in ids}
        for offered in self._named:
            node.serve(offered, self._serve)

    def receive(self, message: ToChild) -> None:
        """Act on a message of the node; never waits for a peer."""
        match message:
            case Peers(peers):
                self.allow(peers)
            case Ask():
                self._nursery.start_soon(self._ask, message)
            case Answer(id=call, body=body):
                if (waiting := self._calls.get(call)) is not None:
                    waiting.send_nowait(body)
            case Start():
                raise FrameError("started twice")

    def allow(self, peers: tuple[Peer, ...]) -> None:
        """Let in these peers and no others, and keep connected to each that has addresses here."""
        for gone in self._gate.allow({peer.peer_id: peer.group for peer in peers}):
            self._nursery.start_soon(self._node.close_peer, gone)
            self._node.forget_version(gone)
            for protocol in self._offers:
                self._askers.pop((gone, protocol), None)
        wanted = {peer for peer in peers if peer.peer_id != self._node.peer_id}
        undialled = {peer.peer_id for peer in wanted if not peer.addresses}
        for old in set(self._dialling) - wanted:
            self._dialling.pop(old).cancel()
            if old.addresses and old.peer_id in undialled:
                self._nursery.start_soon(self._node.close_opened, old.peer_id)
        for new in wanted - set(self._dialling):
            self._dialling[new] = trio.CancelScope()
            self._nursery.start_soon(self._keep, new, self._dialling[new])

    async def report(self) -> None:
        """Tell the node who is connected, after every change and not more often than it can use."""
        while True:
            with trio.move_on_after(self._limits.report_idle_s):
                await self._node.changed.wait()
            self._node.changed = trio.Event()
            self._node.look_again()
            await self._pipe.send(self._state())
            await trio.sleep(self._limits.report_every_s)

    def _changed(self) -> None:
        self._node.changed.set()

    def _state(self) -> State:
        gate = self._gate
        links = tuple(
            Link(peer, since, gate.bytes_in[peer], gate.bytes_out[peer], self._node.version(peer))
            for peer, since in self._node.connected().items()
        )
        return State(links, tuple((peer, reason, count) for (peer, reason), count in gate.refused.items()))

    async def _keep(self, peer: Peer, scope: trio.CancelScope) -> None:
        with scope:
            await keep_connected(self._node, peer.peer_id, peer.addresses, self._limits)

    async def _ask(self, ask: Ask) -> None:
        if self._asking >= self._limits.asks:
            await self._pipe.send(Failure(ask.id, "busy"))
            return
        self._asking += 1
        key = (ask.peer_id, ask.protocol)
        try:
            if not self._gate.is_member(ask.peer_id):
                raise HostError("not a member")
            if key not in self._askers:
                self._askers[key] = Asker(self._node, ask.peer_id, self._offers[ask.protocol], self._limits)
            with trio.fail_after(ask.timeout_s):
                outcome: Reply | Failure = Reply(ask.id, await self._askers[key].ask(ask.body))
        except trio.TooSlowError:
            outcome = Failure(ask.id, "timeout")
        except WireError as error:
            self._gate.refuse(ask.peer_id, error.reason)
            outcome = Failure(ask.id, error.reason)
        except HostError as error:
            outcome = Failure(ask.id, str(error))
        finally:
            self._asking -= 1
        await self._pipe.send(outcome)

    async def _serve(self, stream: Stream, peer: str, protocol: str) -> None:
        self._node.note_version(peer, version_of(protocol))
        cost = self._limits.comparing_calls if self._named[protocol] in COMPARING else 1
        try:
            unframer = Unframer(self._limits.frame_bytes)
            while (body := await self._next_request(stream, unframer)) is not None:
                with self._gate.call(peer, trio.current_time(), cost):
                    answer = await self._call(peer, self._named[protocol], body)
                with trio.fail_after(self._limits.frame_s):
                    await stream.write(frame(answer))
            await stream.close()
        except (WireError, Refused) as error:
            self._gate.refuse(peer, error.reason)
        except trio.TooSlowError:
            self._gate.refuse(peer, "slow_frame")
        except HostError:
            self._gate.refuse(peer, "stream_failed")
        else:
            return
        await stream.reset()

    async def _next_request(self, stream: Stream, unframer: Unframer) -> bytes | None:
        """The next body, or None when the peer is done with the stream or has been idle for long."""
        while (body := unframer.next()) is None:
            if unframer.begun:
                break
            with trio.move_on_after(self._limits.stream_idle_s):
                if data := await stream.read():
                    unframer.feed(data)
                    continue
            return None
        with trio.fail_after(self._limits.frame_s):
            while body is None:
                data = await stream.read()
                if not data:
                    raise HostError("closed in the middle of a frame")
                unframer.feed(data)
                body = unframer.next()
        return body

    async def _call(self, peer: str, protocol: str, body: bytes) -> bytes:
        self._call_id += 1
        call = self._call_id
        answered, answer = trio.open_memory_channel[bytes | None](1)
        self._calls[call] = answered
        try:
            await self._pipe.send(Call(call, peer, protocol, body))
            with trio.move_on_after(self._limits.answer_s):
                if (reply := await answer.receive()) is not None:
                    return reply
            raise Refused("no_answer")
        finally:
            del self._calls[call]


async def main(stream: trio.SocketStream) -> None:
    """Serve until the pipe ends."""
    messages = _messages(stream)
    start = await anext(messages)
    if not isinstance(start, Start):
        raise FrameError("the first frame does not start")
    limits, gate = start.limits, Gate(start.limits)
    pipe = Pipe(stream, limits)
    async with (
        open_node(seed=start.seed, host=start.host, port=start.port, gate=gate, limits=limits) as node,
        trio.open_nursery() as nursery,
    ):
        child = Child(node, pipe, gate, start, nursery)
        nursery.start_soon(pipe.drain)
        await pipe.send(Ready(node.peer_id, node.addresses()))
        nursery.start_soon(child.report)
        child.allow(start.peers)
        async for message in messages:
            child.receive(message)
        nursery.cancel_scope.cancel()


async def _messages(stream: trio.SocketStream) -> AsyncIterator[ToChild]:
    frames = Frames(pipe_bytes(PeerLimits()))
    while data := await stream.receive_some(PIPE_READ_BYTES):
        for body in frames.feed(data):
            yield read_to_child(body)


def _run() -> int:
    # The library logs what peers send, and several of its modules through the root logger.
    logging.root.addHandler(logging.NullHandler())
    logging.disable(logging.CRITICAL)
    pipe = socket.socket(fileno=os.dup(0))

    async def serve() -> None:
        await main(trio.SocketStream(trio.socket.from_stdlib_socket(pipe)))

    code = 0
    try:
        trio.run(serve, restrict_keyboard_interrupt_to_checkpoints=True)
    except* (trio.BrokenResourceError, KeyboardInterrupt):
        pass  # the node is gone
    except* (HostError, FrameError) as group:
        sys.stderr.write(f"{_first(group)}\n")
        code = 1
    return code


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


if __name__ == "__main__":
    sys.exit(_run())
