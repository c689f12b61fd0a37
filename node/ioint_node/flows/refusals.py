"""Every refusal is counted under its name, at the member that delivered what was refused.

Counts are gathered in memory and written once a period, so that a flood of refusals costs one write.
"""

from __future__ import annotations

from collections import Counter

from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store import peers
from ioint_node.store.engine import Store


class Refusals:
    """Refusals of members since the last `write`."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def note(self, member: str, reason: str) -> None:
        """Something that this member delivered was refused; both names come from closed lists."""
        self._counts[(member, reason)] += 1

    async def write(self, store: Store) -> None:
        """Put what was counted since the last call on disk."""
        if not self._counts:
            return
        counts, self._counts = self._counts, Counter()

        async def add(connection: AsyncConnection) -> None:
            for (member, reason), count in sorted(counts.items()):
                await peers.note_refusal(connection, member, reason, count)

        await store.write(add)
