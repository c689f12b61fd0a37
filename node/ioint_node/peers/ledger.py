"""Who the members are and what this node counts of each, over all lives of the child."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ioint_node.peers.frames import Link, Peer, State


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAddress:
    """A member to let in and, when it has addresses and is `chosen`, to dial; `group` is its affiliation group."""

    member: str
    peer_id: str
    addresses: tuple[str, ...] = ()
    group: str = ""
    chosen: bool = True


@dataclass(slots=True)
class Marks:
    """The counts of one life of the child when they were last added up: they begin at zero in each."""

    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    bytes: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(slots=True)
class _Traffic:
    connected_since: int | None = None
    last_success: int | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    version: str | None = None
    behind: int | None = None
    ahead: int | None = None


class Ledger:
    """Members by both of their names, their counts, and an event for whoever waits for a change."""

    def __init__(self) -> None:
        self._peers: dict[str, PeerAddress] = {}
        self._members: dict[str, str] = {}
        self._traffic: dict[str, _Traffic] = {}
        self._strangers: Counter[str] = Counter()
        self._on_connect: list[Callable[[str], None]] = []
        self._changed = asyncio.Event()

    def set_peers(self, peers: Sequence[PeerAddress]) -> None:
        """Replace the members; counts of those that stay are kept."""
        self._peers = {peer.member: peer for peer in peers}
        self._members = {peer.peer_id: peer.member for peer in peers}
        self._traffic = {member: self._traffic.get(member, _Traffic()) for member in self._peers}

    def allow_list(self) -> tuple[Peer, ...]:
        """The members as the child wants them."""
        return tuple(
            Peer(peer.peer_id, peer.addresses if peer.chosen else (), peer.group)
            for peer in self._peers.values()
        )

    def peer(self, member: str) -> PeerAddress | None:
        """The addresses of a member."""
        return self._peers.get(member)

    def member(self, peer_id: str) -> str | None:
        """The member with this peer id."""
        return self._members.get(peer_id)

    def on_connect(self, callback: Callable[[str], None]) -> None:
        """Call with the member id whenever a member becomes reachable."""
        self._on_connect.append(callback)

    def is_connected(self, member: str) -> bool:
        """Whether the member is reachable now."""
        return member in self._traffic and self._traffic[member].connected_since is not None

    def connected(self) -> frozenset[str]:
        """The members that are reachable now."""
        return frozenset(
            member for member, traffic in self._traffic.items() if traffic.connected_since is not None
        )

    def note_success(self, member: str) -> None:
        """A member answered."""
        if member in self._traffic:
            self._traffic[member].last_success = time.time_ns() // 1_000_000

    def note_lag(self, member: str, *, behind: int, ahead: int) -> None:
        """So many segments the member has that we lack, and we have that it lacks, by its last answer."""
        if member in self._traffic:
            self._traffic[member].behind, self._traffic[member].ahead = behind, ahead

    def note_state(self, state: State, marks: Marks) -> None:
        """Take over what the child reports; `marks` are of that child."""
        links = {link.peer_id: link for link in state.links}
        joined = [
            member
            for member, traffic in self._traffic.items()
            if _note_link(traffic, links.get(self._peers[member].peer_id), marks)
        ]
        for peer_id, reason, count in state.refused:
            member = self._members.get(peer_id)
            counter = self._strangers if member is None else self._traffic[member].refused
            counter[reason] += count - marks.refused[peer_id, reason]
            marks.refused[peer_id, reason] = count
        self.note_change()
        for member in joined:
            for callback in self._on_connect:
                callback(member)

    def forget_links(self) -> None:
        """There is no child, so nobody is connected."""
        for traffic in self._traffic.values():
            traffic.connected_since = None
        self.note_change()

    def note_change(self) -> None:
        """Wake who waits."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_change(self) -> None:
        """Wait for the next change of connections or counts."""
        await self._changed.wait()

    def status(self, restarts: int) -> list[dict[str, Any]]:
        """For each member what `Exchange.status` promises."""
        return [
            {
                "member": member,
                "peer_id": self._peers[member].peer_id,
                "addresses": list(self._peers[member].addresses),
                "connected_since": traffic.connected_since,
                "last_success": traffic.last_success,
                "bytes_in": traffic.bytes_in,
                "bytes_out": traffic.bytes_out,
                "refused": dict(sorted(traffic.refused.items())),
                "version": traffic.version,
                "behind": traffic.behind,
                "ahead": traffic.ahead,
                "chosen": self._peers[member].chosen,
                "restarts": restarts,
            }
            for member, traffic in sorted(self._traffic.items())
        ]

    def refused_strangers(self) -> dict[str, int]:
        """Refusals, by name, of whoever did not prove to be a member."""
        return dict(sorted(self._strangers.items()))


def _note_link(traffic: _Traffic, link: Link | None, marks: Marks) -> bool:
    """Add up one member's link; whether it is a new one."""
    if link is None:
        traffic.connected_since = None
        return False
    before_in, before_out = marks.bytes.get(link.peer_id, (0, 0))
    traffic.bytes_in += link.bytes_in - before_in
    traffic.bytes_out += link.bytes_out - before_out
    marks.bytes[link.peer_id] = (link.bytes_in, link.bytes_out)
    is_new = traffic.connected_since != link.since
    traffic.connected_since = link.since
    traffic.version = link.version or traffic.version
    return is_new
