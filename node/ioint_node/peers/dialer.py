"""Staying connected: one task for each member dials, waits, pings and dials again.

The library does not reconnect, and a peer that lost power leaves a connection that looks alive; a ping that is not
answered closes it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import trio

from ioint_node.peers.guard import HostError
from ioint_node.peers.host import Node
from ioint_node.peers.limits import PeerLimits


async def keep_connected(node: Node, peer: str, addresses: Sequence[str], limits: PeerLimits) -> None:
    """Keep a connection to a member for as long as the task lives; without addresses, wait for the member's own."""
    failures = 0
    if node.peer_id > peer:
        # Both sides dial: let one of them be first, so that there is usually one connection and not two.
        await _wait(node, peer, limits.redial_first_s)
    while True:
        if peer in node.connected():
            failures = 0
            await _watch(node, peer, limits)
        elif addresses:
            try:
                await node.dial(peer, addresses)
            except HostError:
                failures += 1
                await _wait(node, peer, pause_s(failures, limits))
            else:
                await trio.lowlevel.checkpoint()
                node.note_change(peer)
        else:
            await node.flip(peer).wait()


async def _watch(node: Node, peer: str, limits: PeerLimits) -> None:
    changed = await _wait(node, peer, limits.ping_every_s * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
    if not changed and not await node.ping(peer):
        await node.close_peer(peer)


async def _wait(node: Node, peer: str, seconds: float) -> bool:
    """Whether the peer's connections changed within the time."""
    with trio.move_on_after(seconds) as scope:
        await node.flip(peer).wait()
    return not scope.cancelled_caught


def pause_s(failures: int, limits: PeerLimits) -> float:
    """Seconds to wait after so many failures in a row: doubling up to a bound, and half of it at random."""
    longest = min(limits.redial_max_s, limits.redial_first_s * 2.0 ** min(failures - 1, 16))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
