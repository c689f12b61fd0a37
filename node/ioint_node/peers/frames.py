"""What passes between the node and the process that holds libp2p: bounded frames of small typed messages.

A frame is four bytes of length, most significant first, and a MessagePack body. Only bytes, numbers and names
cross; neither side ever sees an object of the other's library.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import msgspec

from ioint_node.peers.limits import PeerLimits
from ioint_node.peers.protocols import OFFERS

LENGTH_BYTES = 4
OVERHEAD_BYTES = 1_024
"""Room around a body for the other fields of a message."""
CONTROL_BYTES = 4 * 1024 * 1024
"""A list of peers or of their states; 500 members with addresses take about 100 kB."""


class FrameError(Exception):
    """The other side of the pipe does not speak this format."""


class Peer(msgspec.Struct, frozen=True, array_like=True):
    """A member as libp2p knows it: whom to let in, where to dial if at all, and with whom it shares its places."""

    peer_id: str
    addresses: tuple[str, ...]
    group: str = ""


class Start(msgspec.Struct, frozen=True, tag="start"):
    """The first frame, to the child: its identity and its rules."""

    seed: bytes
    host: str
    port: int
    limits: PeerLimits
    peers: tuple[Peer, ...]
    offers: dict[str, tuple[str, ...]] = msgspec.field(default_factory=lambda: dict(OFFERS))

    def __repr__(self) -> str:
        return f"Start({self.host}:{self.port}, {len(self.peers)} peers)"


class Peers(msgspec.Struct, frozen=True, tag="peers"):
    """To the child: the allow-list from now on."""

    peers: tuple[Peer, ...]


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """To the child: send this request to that peer."""

    id: int
    peer_id: str
    protocol: str
    body: bytes
    timeout_s: float


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """To the child: what to answer to a `Call`; None resets the stream."""

    id: int
    body: bytes | None


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """From the child: it listens."""

    peer_id: str
    addresses: tuple[str, ...]


class Link(msgspec.Struct, frozen=True, array_like=True):
    """A connected peer: since when (Unix ms) and how many bytes went either way in this life of the child.

    `version` is that of the newest protocol that was agreed on with it, "" before any was.
    """

    peer_id: str
    since: int
    bytes_in: int
    bytes_out: int
    version: str = ""


class State(msgspec.Struct, frozen=True, tag="state"):
    """From the child: who is connected, and refusals so far as (peer id or "", reason, count)."""

    links: tuple[Link, ...]
    refused: tuple[tuple[str, str, int], ...]


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    """From the child: the answer to an `Ask`."""

    id: int
    body: bytes


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    """From the child: there is no answer to an `Ask`, and why."""

    id: int
    reason: str


class Call(msgspec.Struct, frozen=True, tag="call"):
    """From the child: a request of a peer whose id the handshake proved."""

    id: int
    peer_id: str
    protocol: str
    body: bytes


ToChild: TypeAlias = Start | Peers | Ask | Answer
ToParent: TypeAlias = Ready | State | Reply | Failure | Call

_encoder = msgspec.msgpack.Encoder()
_to_child: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild)
_to_parent: msgspec.msgpack.Decoder[ToParent] = msgspec.msgpack.Decoder(ToParent)


def pack(message: ToChild | ToParent) -> bytes:
    """The frame of a message."""
    body = _encoder.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def read_to_child(body: bytes) -> ToChild:
    """The message of a frame's body, on the child's side.

    Raises:
        FrameError: the body is no such message.
    """
    try:
        return _to_child.decode(body)
    except msgspec.DecodeError as error:
        raise FrameError(str(error)) from None


def read_to_parent(body: bytes) -> ToParent:
    """The message of a frame's body, on the node's side.

    Raises:
        FrameError: the body is no such message.
    """
    try:
        return _to_parent.decode(body)
    except msgspec.DecodeError as error:
        raise FrameError(str(error)) from None


class Frames:
    """Cuts a stream of bytes into the bodies of frames."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bodies that are complete with this piece.

        Raises:
            FrameError: a frame announces more than the limit.
        """
        self._buffer += data
        while len(self._buffer) >= LENGTH_BYTES:
            length = int.from_bytes(self._buffer[:LENGTH_BYTES], "big")
            if length > self._limit:
                raise FrameError(f"a frame of {length} bytes, more than {self._limit}")
            end = LENGTH_BYTES + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[LENGTH_BYTES:end])
            del self._buffer[:end]
            yield body


def pipe_bytes(limits: PeerLimits) -> int:
    """The largest frame either side may announce."""
    return max(CONTROL_BYTES, limits.frame_bytes + OVERHEAD_BYTES)
