"""The threshold from which a session is confirmed, kept in memory and counted anew from own history by the hour."""

from __future__ import annotations

from dataclasses import dataclass

from ioint_node.privacy.confirming import own_threshold, tolerated
from ioint_node.store.engine import Store
from ioint_node.store.judged import benign_sessions, riskiest_benign


@dataclass(slots=True)
class Confirming:
    """What own history asks of a session's risk, 0..1, and how many own benign sessions that is read from."""

    own: float = 0.0
    judged: int = 0

    def threshold(self, shipped: float) -> float:
        """The risk from which a session is confirmed: the higher of the shipped threshold and our own."""
        return max(shipped, self.own)

    async def refresh(self, store: Store, now: int) -> None:
        """Count own benign sessions anew."""
        async with store.read() as connection:
            judged = await benign_sessions(connection)
            riskiest = await riskiest_benign(connection, tolerated(judged) + 1)
        self.own, self.judged = own_threshold(judged=judged, riskiest=riskiest), judged
