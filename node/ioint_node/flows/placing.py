"""Each indicator gets its place in the MISP feed, and the feed hears of labels that became others."""

from __future__ import annotations

from functools import partial
from typing import Final

from ioint_node.store import placements
from ioint_node.store.engine import Store

AT_ONCE: Final = 2_000  # indicators, in one transaction


class Placing:
    """Looks at what changed since it looked last; after a start at everything, which writes only what is missing."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._after = ""

    async def run(self, now: int) -> None:
        """Place what has no place, at this time (milliseconds)."""
        while True:
            async with self._store.read() as connection:
                found = await placements.changed_since(connection, self._after, AT_ONCE)
                fresh, moved = await placements.unsettled(connection, {name: tlp for name, tlp, _ in found})
            if fresh:
                await self._store.write(partial(placements.place, fresh=fresh, now=now))
            if moved:
                await self._store.write(partial(placements.relabel, moved=moved, now=now))
            if not found:
                return
            self._after = found[-1][2]

    async def forget(self, now: int) -> None:
        """Drop the places of indicators that are no more."""
        await self._store.write(placements.forget)
