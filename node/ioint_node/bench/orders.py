"""What the measuring process tells a member's process to do, and what that answers: one line of JSON each."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

LINE_BYTES = 1 << 20


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """Another member, and where it listens."""

    member: str
    peer_id: str
    addresses: tuple[str, ...]


class Ready(Neighbour, frozen=True, kw_only=True):
    """The first line of a member: who it is, where it listens, and the process that holds its libp2p."""

    child: int


class Meet(msgspec.Struct, frozen=True, tag="meet"):
    """Be connected with these members and no others."""

    neighbours: tuple[Neighbour, ...]


class Note(msgspec.Struct, frozen=True, tag="note"):
    """Note these records, to leave at the next `Send`."""

    first: int
    count: int


class Send(msgspec.Struct, frozen=True, tag="send"):
    """Let what is noted leave."""


class Pace(msgspec.Struct, frozen=True, tag="pace"):
    """Note and send one record every so many seconds, each in a segment of its own."""

    first: int
    count: int
    every_s: float


class Follow(msgspec.Struct, frozen=True, tag="follow"):
    """Tell when the segments after `after` up to `upto` of this member's log were on disk and believed."""

    author: str
    after: int
    upto: int


class Rest(msgspec.Struct, frozen=True, tag="rest"):
    """Answer when nothing waits to be sent to anybody."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """It is done; `height` is that of the member's own log, `times` are nanoseconds of the monotonic clock."""

    height: int
    times: tuple[int, ...] = ()


Order: TypeAlias = Meet | Note | Send | Pace | Follow | Rest
