"""The hostile organisation: the real node, with a valid key, under a driver that means harm.

It takes orders as JSON lines on standard input and answers each with one line: what it did and how often. It can
do what any member with a changed program can: sign lies, send again what was sent, send what nobody can read, and
sign two histories.
"""

from __future__ import annotations

from dataclasses import dataclass

from ioint_node.app import Node

SLANDER_BUCKET = 5  # "between 32 and 63 sessions": a lie may as well be a large one
GARBAGE_FRAMES = 8
REPLAYS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """The node and the members that it can reach."""

    node: Node
    members: tuple[str, ...]

    async def send(self, protocol: str, body: bytes) -> int:
        """Send the same bytes to every member; returns how many were reached."""
        sent = 0
        for member in self.members:
            try:
                await self.node.exchange.request(member, protocol, body, 10.0)
                sent += 1
            except Exception:
                continue
        return sent
