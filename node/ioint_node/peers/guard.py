"""What makes a libp2p host survive its peers: each class closes holes that version 0.8.1 ships with.

As shipped it offers plaintext and SECIO, knows no allow-list of peers, ends the whole host on one exception in a
stream or a background task, reads a line of any announced length from a stranger, keeps the place of an inbound
connection after the connection is gone, and does not enforce a receive window. The overrides touch private parts
of the library, which is therefore pinned; `tests/network` attacks each of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias, cast

import trio
from libp2p.abc import IMuxedConn, INetConn, INetStream, IRawConnection, ISecureConn
from libp2p.crypto import serialization
from libp2p.crypto.exceptions import MissingDeserializerError
from libp2p.crypto.keys import KeyPair, KeyType
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.host.basic_host import BasicHost
from libp2p.io.abc import ReadWriteCloser
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.security.exceptions import HandshakeFailure
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import Yamux
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # the library ships no types

from ioint_node.peers.gate import UNKNOWN, Gate, Refused
from ioint_node.peers.limits import PeerLimits

READ_BYTES = 65_536
"""The most asked of a socket at once: the library passes on the length that a stranger announced."""
Task: TypeAlias = Callable[..., Awaitable[Any]]


class HostError(Exception):
    """A peer could not be reached, or broke off."""


class _NotAMember(HandshakeFailure):
    """The remote proved a key that is not on the list."""


class Wire(ReadWriteCloser):
    """A socket with bounded reads: a small total until the handshake is over, a rate per peer afterwards."""

    def __init__(self, inner: ReadWriteCloser, gate: Gate, limits: PeerLimits) -> None:
        self._inner, self._gate = inner, gate
        self._left: int | None = limits.handshake_bytes
        self._peer = UNKNOWN

    def admit(self, peer: str) -> None:
        """The handshake is over and this is who it proved."""
        self._left, self._peer = None, peer

    async def read(self, n: int | None = None) -> bytes:
        """At most `READ_BYTES`, after the wait that the peer's rate asks for."""
        size = READ_BYTES if n is None or n < 0 else min(n, READ_BYTES)
        if self._left is not None:
            size = min(size, self._left)
            if size == 0:
                raise HandshakeFailure("more bytes than a handshake takes")
        data = await self._inner.read(size)
        if self._left is not None:
            self._left -= len(data)
        elif (wait_s := self._gate.received(self._peer, len(data), trio.current_time())) > 0:
            await trio.sleep(wait_s)
        return data

    async def write(self, data: bytes) -> None:
        """Send, and count what went to a member."""
        await self._inner.write(data)
        if self._left is None:
            self._gate.sent(self._peer, len(data))

    async def close(self) -> None:
        """Close the socket."""
        await self._inner.close()

    def get_remote_address(self) -> tuple[str, int] | None:
        """Of the socket."""
        return self._inner.get_remote_address()


class Line(ReadWriteCloser):
    """A stream while its protocol is negotiated: no more bytes than that takes."""

    def __init__(self, inner: INetStream, limit_bytes: int) -> None:
        self._inner, self._left = inner, limit_bytes

    async def read(self, n: int | None = None) -> bytes:
        """At most what is left of the line."""
        size = self._left if n is None or n < 0 else min(n, self._left)
        if size == 0:
            raise HostError("more bytes than a negotiation takes")
        data = await self._inner.read(size)
        self._left -= len(data)
        return data

    async def write(self, data: bytes) -> None:
        """Send as it is."""
        await self._inner.write(data)

    async def close(self) -> None:
        """Close the stream."""
        await self._inner.close()

    def get_remote_address(self) -> tuple[str, int] | None:
        """Of the stream."""
        return self._inner.get_remote_address()


class MemberNoise(NoiseTransport):
    """Noise that lets nobody past the handshake who is not on the list."""

    def __init__(self, keys: KeyPair, gate: Gate) -> None:
        super().__init__(keys, noise_privkey=create_noise_key_pair().private_key)
        self._gate = gate

    async def secure_inbound(self, conn: IRawConnection) -> ISecureConn:
        """Shake hands, then look at the list."""
        return await self._check(await super().secure_inbound(conn))

    async def secure_outbound(self, conn: IRawConnection, peer_id: ID) -> ISecureConn:
        """Shake hands, then look at the list: it may have changed meanwhile."""
        return await self._check(await super().secure_outbound(conn, peer_id))

    async def _check(self, secured: ISecureConn) -> ISecureConn:
        if not self._gate.is_member(str(secured.get_remote_peer())):
            await secured.close()
            raise _NotAMember("peer id not on the list")
        return secured


class MemberSwarm(Swarm):
    """A swarm whose tasks cannot end it and whose inbound places are given back."""

    gate: Gate
    limits: PeerLimits
    places: dict[IMuxedConn, Callable[[], None]]
    """What gives back the place of an inbound connection."""

    async def run(self) -> None:
        """Run until stopped, with every later task in a nursery of our own."""
        async with trio.open_nursery() as nursery:

            def run_task(task: Task, *args: object, **_: object) -> None:
                nursery.start_soon(self._survive, task, *args)

            # The manager ends the service on the first error of any task: ours never see the manager.
            setattr(self.manager, "run_task", run_task)  # noqa: B010 - assigning to a method is what mypy forbids
            await super().run()
            nursery.cancel_scope.cancel()

    async def _handle_inbound_connection(self, read_write_closer: ReadWriteCloser, maddr: Multiaddr) -> None:
        wire = Wire(read_write_closer, self.gate, self.limits)
        try:
            with self.gate.half_open(_address_of(read_write_closer)):
                muxed = await self.upgrade_inbound_raw_conn(RawConnection(wire, False), maddr)
        except Exception as error:
            self.gate.refuse(*_refusal(error))
            return
        # Returning closes the socket: this task lives as long as the connection, and gives its place back then.
        try:
            await cast(Yamux, muxed).event_closed.wait()
        finally:
            self.places.pop(muxed)()

    async def upgrade_outbound_raw_conn(
        self, raw_conn: IRawConnection, peer_id: ID, pre_scope: object = None
    ) -> SwarmConn:
        """Bound what whoever answers our dial may send before it has shown its key."""
        raw = cast(RawConnection, raw_conn)
        raw.stream = Wire(raw.stream, self.gate, self.limits)
        return await super().upgrade_outbound_raw_conn(raw, peer_id, pre_scope)

    async def add_conn(self, muxed_conn: IMuxedConn, direction: str = "unknown") -> SwarmConn:
        """Register a connection of a member, and let the oldest go when it has too many."""
        muxed, peer = cast(Yamux, muxed_conn), str(muxed_conn.peer_id)
        _wire_of(muxed).admit(peer)
        self._bound(muxed, peer)
        if direction == "inbound":
            self.places[muxed] = self.gate.enter_inbound(peer)
        try:
            conn = await self._register(muxed, direction, peer)
        except BaseException:
            if (leave := self.places.pop(muxed, None)) is not None:
                leave()
            raise
        for oldest in self.get_connections(muxed.peer_id)[: -self.limits.connections_per_peer]:
            # The newest is the one the peer is using: an old one may be what a crash left behind.
            self.gate.refuse(peer, "connection_replaced")
            self.manager.run_task(self.drop, oldest)
        return conn

    async def _register(self, muxed: Yamux, direction: str, peer: str) -> SwarmConn:
        conn = await super().add_conn(muxed, direction)
        if not self.gate.is_member(peer):
            # Removed while it was shaking hands.
            await self.drop(conn)
            raise _NotAMember("peer id not on the list")
        return conn

    async def drop(self, conn: INetConn) -> None:
        """Close a connection within a bounded time, whether or not the peer reads our farewell."""
        muxed = cast(Yamux, conn.muxed_conn)
        with trio.move_on_after(self.limits.close_s) as scope:
            await conn.close()
        if scope.cancelled_caught or conn in self.get_connections(muxed.peer_id):
            with suppress(Exception), trio.move_on_after(self.limits.close_s):
                await muxed.secured_conn.close()
            muxed.event_closed.set()
            self.remove_conn(cast(SwarmConn, conn))
            await self.notify_disconnected(conn)

    async def _survive(self, task: Task, *args: object) -> None:
        # What a peer sends can make any task of the library raise; only that peer's connection may end of it.
        try:
            await task(*args)
        except Exception:
            owner = getattr(task, "__self__", None)
            if isinstance(owner, Yamux):
                await self._abandon(owner)
            elif isinstance(owner, SwarmConn):
                await self._abandon(cast(Yamux, owner.muxed_conn))

    async def _abandon(self, muxed: Yamux) -> None:
        for conn in self.get_connections(muxed.peer_id):
            if conn.muxed_conn is muxed:
                await self.drop(conn)
        with suppress(Exception), trio.move_on_after(self.limits.close_s):
            await muxed.secured_conn.close()
        muxed.event_closed.set()

    def _bound(self, muxed: Yamux, peer: str) -> None:
        read_body = muxed._read_data_body  # noqa: SLF001

        async def read_bounded_body(length: int) -> bytes:
            unread = sum(map(len, muxed.stream_buffers.values()))
            if (
                length > self.limits.muxer_frame_bytes
                or unread + length > self.limits.unread_bytes_per_connection
            ):
                self.gate.refuse(peer, "buffers_full")
                # Of all errors this is the one on which every branch of the muxer closes the connection.
                raise trio.TooSlowError
            return await read_body(length)

        setattr(muxed, "_read_data_body", read_bounded_body)  # noqa: B010


class MemberHost(BasicHost):
    """A host whose streams fail alone, and which neither asks for nor tells identities beyond the handshake's."""

    gate: Gate
    limits: PeerLimits

    async def _swarm_stream_handler(self, net_stream: INetStream) -> None:
        peer = str(net_stream.muxed_conn.peer_id)
        try:
            with self.gate.stream(peer):
                line = MultiselectCommunicator(Line(net_stream, self.limits.negotiate_bytes))
                protocol, handler = await self.multiselect.negotiate(line, int(self.limits.negotiate_s))
                if protocol is None or handler is None:
                    raise HostError("no protocol")
                net_stream.set_protocol(protocol)
                await handler(net_stream)
        except Refused as error:
            self.gate.refuse(peer, error.reason)
            await reset(net_stream)
        except Exception:
            self.gate.refuse(peer, "stream_failed")
            await reset(net_stream)

    def _schedule_identify(self, peer_id: ID, *, reason: str) -> None:
        """Nothing: it would parse what a peer says in a task outside of every guard, and the roster says it all."""


def forget_other_identities() -> None:
    """Leave only Ed25519 to parse: a member's key is one, so anything else is refused before it is looked at."""
    parsers = serialization.key_type_to_public_key_deserializer
    for kind in set(parsers) - {KeyType.Ed25519.value}:
        del parsers[kind]


async def reset(stream: INetStream) -> None:
    """Break a stream off; never raises and never waits long for the peer."""
    with suppress(Exception), trio.move_on_after(1.0):
        await stream.reset()


def _wire_of(muxed: Yamux) -> Wire:
    wire = muxed.secured_conn.conn.read_writer.read_write_closer.stream  # type: ignore[attr-defined]
    if not isinstance(wire, Wire):
        raise TypeError(f"a connection over {type(wire).__name__}")
    return wire


def _address_of(connection: ReadWriteCloser) -> str:
    try:
        # Not `get_remote_address`, which knows no IPv6.
        return str(connection.stream.socket.getpeername()[0])  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return ""


def _refusal(error: BaseException | None) -> tuple[str, str]:
    """Who is refused and by which name: the first known cause behind what the library raised."""
    while error is not None:
        match error:
            case Refused():
                return error.peer, error.reason
            case _NotAMember():
                return UNKNOWN, "not_a_member"
            case MissingDeserializerError():
                return UNKNOWN, "not_ed25519"
            case trio.TooSlowError():
                return UNKNOWN, "upgrade_timeout"
        error = error.__cause__ or error.__context__
    return UNKNOWN, "handshake"
