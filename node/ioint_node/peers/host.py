"""A libp2p host as the rest of the package sees it: peer ids and addresses as text, streams of bytes, one error.

libp2p is imported here and in `guard.py`, and nowhere else.
"""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import trio
from libp2p.abc import INetConn, INetStream, INetwork, INotifee
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.custom_types import TProtocol
from libp2p.host.ping import ID as PING
from libp2p.host.ping import PING_LENGTH, handle_ping
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.identity.identify_push.identify_push import ID_PUSH as IDENTIFY_PUSH
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.peer.peerstore import PeerStore
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.rcmgr.metrics import Direction
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.transport.tcp.tcp import TCP
from libp2p.transport.upgrader import TransportUpgrader
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # the library ships no types

from ioint_node.peers.gate import Gate
from ioint_node.peers.guard import (
    READ_BYTES,
    HostError,
    Line,
    MemberHost,
    MemberNoise,
    MemberSwarm,
    forget_other_identities,
    reset,
)
from ioint_node.peers.limits import PeerLimits

StreamHandler = Callable[["Stream", str, str], Awaitable[None]]


class _Watcher(INotifee):
    """Tells when a peer's connections change."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed

    async def connected(self, network: INetwork, conn: INetConn) -> None:
        self._changed(str(conn.muxed_conn.peer_id))

    async def disconnected(self, network: INetwork, conn: INetConn) -> None:
        self._changed(str(conn.muxed_conn.peer_id))

    async def opened_stream(self, network: INetwork, stream: INetStream) -> None: ...

    async def closed_stream(self, network: INetwork, stream: INetStream) -> None: ...

    async def listen(self, network: INetwork, multiaddr: Multiaddr) -> None: ...

    async def listen_close(self, network: INetwork, multiaddr: Multiaddr) -> None: ...


class Stream:
    """A libp2p stream as the rest of the package sees it: bytes, and one error; `protocol` is the id agreed on."""

    def __init__(self, inner: INetStream, protocol: str) -> None:
        self._inner, self.protocol = inner, protocol

    async def read(self) -> bytes:
        """What has arrived, at least one byte; b"" once the other side has closed.

        Raises:
            HostError: the stream broke.
        """
        try:
            return await self._inner.read(READ_BYTES)
        except StreamEOF:
            return b""
        except Exception as error:
            raise HostError(f"reading: {type(error).__name__}") from error

    async def write(self, data: bytes) -> None:
        """Send bytes, as fast as the other side reads.

        Raises:
            HostError: the stream broke.
        """
        try:
            await self._inner.write(data)
        except Exception as error:
            raise HostError(f"writing: {type(error).__name__}") from error

    async def close(self) -> None:
        """End our half; a stream that is broken stays so."""
        with suppress(Exception):
            await self._inner.close()

    async def reset(self) -> None:
        """Break the stream off; never raises and never waits for the peer."""
        await reset(self._inner)


class Node:
    """The running host; peer ids are text. Made by `open_node`."""

    def __init__(self, host: MemberHost, swarm: MemberSwarm, limits: PeerLimits) -> None:
        self._host, self._swarm, self._limits = host, swarm, limits
        self._flips: dict[str, trio.Event] = {}
        self._since: dict[str, int] = {}
        self._versions: dict[str, str] = {}
        self.changed = trio.Event()

    @property
    def peer_id(self) -> str:
        """Our own."""
        return str(self._host.get_id())

    def addresses(self) -> tuple[str, ...]:
        """Where we listen, with our peer id at the end."""
        return tuple(
            f"{str(address).split('/p2p/')[0]}/p2p/{self.peer_id}"
            for listener in self._swarm.listeners.values()
            for address in listener.get_addrs()
        )

    def connected(self) -> Mapping[str, int]:
        """Connected peers and since when, in Unix milliseconds."""
        return self._since

    def note_version(self, peer: str, version: str) -> None:
        """A stream with this peer was agreed to be of this version."""
        if self._versions.get(peer) != version:
            self._versions[peer] = version
            self.changed.set()

    def version(self, peer: str) -> str:
        """The version that was agreed on last with this peer, "" before any was."""
        return self._versions.get(peer, "")

    def forget_version(self, peer: str) -> None:
        """The peer is no member any more."""
        self._versions.pop(peer, None)

    def flip(self, peer: str) -> trio.Event:
        """An event that is set when this peer's connections next change."""
        return self._flips.setdefault(peer, trio.Event())

    async def dial(self, peer: str, addresses: Sequence[str]) -> None:
        """Connect to a peer unless connected.

        Raises:
            HostError: none of the addresses led to the peer.
        """
        peer_id = ID.from_string(peer)
        # The swarm remembers a peer that did not answer for a minute, longer than our own pause.
        self._swarm.unblock_peer(peer_id)
        try:
            with trio.fail_after(self._limits.dial_s):
                await self._host.connect(PeerInfo(peer_id, [_transport_part(text) for text in addresses]))
        except Exception as error:
            raise HostError(f"dialling: {type(error).__name__}") from error

    async def ping(self, peer: str) -> bool:
        """Whether the peer still answers; False closes nothing."""
        try:
            with trio.fail_after(self._limits.ping_s):
                stream = await self.open_stream(peer, (str(PING),))
                try:
                    await stream.write(bytes(PING_LENGTH))
                    answered = 0
                    while answered < PING_LENGTH and (data := await stream.read()):
                        answered += len(data)
                finally:
                    await stream.reset()
        except (HostError, trio.TooSlowError):
            return False
        return answered >= PING_LENGTH

    async def close_peer(self, peer: str) -> None:
        """Close every connection of a peer, within a bounded time."""
        async with trio.open_nursery() as nursery:
            for conn in self._swarm.get_connections(ID.from_string(peer)):
                nursery.start_soon(self._swarm.drop, conn)

    async def close_opened(self, peer: str) -> None:
        """Close the connections to a peer that we opened; it may open one to us all the same."""
        async with trio.open_nursery() as nursery:
            for conn in self._swarm.get_connections(ID.from_string(peer)):
                if getattr(conn, "direction", None) == Direction.OUTBOUND:
                    nursery.start_soon(self._swarm.drop, conn)

    async def open_stream(self, peer: str, protocols: Sequence[str]) -> Stream:
        """A new stream to a connected peer, by the first of the protocols that it speaks.

        Raises:
            HostError: not connected, or the peer speaks none of them.
        """
        peer_id = ID.from_string(peer)
        if not self._swarm.get_connections(peer_id):
            raise HostError("not connected")
        stream: INetStream | None = None
        try:
            stream = await self._swarm.new_stream(peer_id)
            line = MultiselectCommunicator(Line(stream, self._limits.negotiate_bytes))
            names = [TProtocol(protocol) for protocol in protocols]
            name = await self._host.multiselect_client.select_one_of(
                names, line, int(self._limits.negotiate_s)
            )
            stream.set_protocol(name)
        except BaseException as error:
            if stream is not None:
                with trio.CancelScope(shield=True):
                    await reset(stream)
            if isinstance(error, Exception):
                raise HostError(f"opening a stream: {type(error).__name__}") from error
            raise
        return Stream(stream, str(name))

    def serve(self, protocol: str, handler: StreamHandler) -> None:
        """Give each inbound stream of a protocol to `handler(stream, peer, protocol)`."""

        async def handle(stream: INetStream) -> None:
            await handler(Stream(stream, protocol), str(stream.muxed_conn.peer_id), protocol)

        self._host.set_stream_handler(TProtocol(protocol), handle)

    def look_again(self) -> None:
        """Notice connections that ended without a word of the library."""
        for peer in [peer for peer in self._since if not self._swarm.get_connections(ID.from_string(peer))]:
            self.note_change(peer)

    def note_change(self, peer: str) -> None:
        """Look again whether a peer is connected, and wake who waits."""
        if self._swarm.get_connections(ID.from_string(peer)):
            self._since.setdefault(peer, time.time_ns() // 1_000_000)
        else:
            self._since.pop(peer, None)
        if (event := self._flips.pop(peer, None)) is not None:
            event.set()
        self.changed.set()


@asynccontextmanager
async def open_node(
    *, seed: bytes, host: str, port: int, gate: Gate, limits: PeerLimits
) -> AsyncIterator[Node]:
    """Listen on an address as the peer of a 32-byte Ed25519 seed; closes every connection before it returns.

    Raises:
        HostError: the address cannot be listened on.
    """
    forget_other_identities()
    _check_free(host, port)
    keys = create_new_key_pair(seed)
    swarm = _make_swarm(keys, gate, limits)
    libp2p_host = MemberHost(swarm, disable_identify_address_discovery=True)
    libp2p_host.gate, libp2p_host.limits = gate, limits
    for protocol in (IDENTIFY, IDENTIFY_PUSH):
        libp2p_host.remove_stream_handler(protocol)
    libp2p_host.set_stream_handler(PING, handle_ping)
    node = Node(libp2p_host, swarm, limits)
    swarm.register_notifee(_Watcher(node.note_change))
    family = "ip6" if ":" in host else "ip4"
    async with libp2p_host.run(listen_addrs=[Multiaddr(f"/{family}/{host}/tcp/{port}")]):
        if not swarm.listeners:
            raise HostError(
                f"cannot listen on {host} port {port}: choose another address in the configuration"
            )
        try:
            yield node
        finally:
            # Leaving the block alone would leave the peers with connections that nobody answers.
            with trio.CancelScope(shield=True), trio.move_on_after(limits.close_s):
                await libp2p_host.close()


def _check_free(host: str, port: int) -> None:
    # The library's listener shares its port with whoever asks, so that two nodes would each get half of the peers.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise HostError(f"cannot listen on {host} port {port}: {error.strerror}") from None


def _make_swarm(keys: KeyPair, gate: Gate, limits: PeerLimits) -> MemberSwarm:
    peer_id = ID.from_pubkey(keys.public_key)
    store = PeerStore()
    store.add_key_pair(peer_id, keys)
    swarm = MemberSwarm(
        peer_id,
        store,
        TransportUpgrader({NOISE: MemberNoise(keys, gate)}, {TProtocol(YAMUX): Yamux}),
        transports=[TCP()],
        retry_config=RetryConfig(max_retries=0),
        connection_config=ConnectionConfig(
            max_connections=limits.connections,
            min_connections=0,
            low_watermark=0,
            high_watermark=limits.connections,
            max_connections_per_peer=limits.connections_per_peer + 1,
            inbound_upgrade_timeout=limits.upgrade_s,
            outbound_upgrade_timeout=limits.dial_s,
            dial_timeout=limits.dial_s,
        ),
    )
    swarm.gate, swarm.limits, swarm.places = gate, limits, {}
    return swarm


def _transport_part(text: str) -> Multiaddr:
    return Multiaddr(text.split("/p2p/", maxsplit=1)[0])
