"""What is usual at this node, whoever acts: the reservoir of in-scope actions, and the forest that is fitted on it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from ioint_node.scoring.isolation import Forest, Reservoir, Row, fit
from ioint_node.store.engine import Store
from ioint_node.store.learned import find_learned, save_learned

ISOLATION: Final = "isolation"
_log = logging.getLogger(__name__)


class Isolation:
    """The reservoir of this node's in-scope actions and the forest that was last fitted on it."""

    def __init__(self) -> None:
        self.reservoir = Reservoir()
        self.forest: Forest | None = None

    def take(self, owner: int, row: Callable[[], Row]) -> None:
        """Offer an in-scope action of the actor whose baseline has this salt; `row` makes it a row if it is wanted."""
        if not self.reservoir.passes_over(owner):
            self.reservoir.keep(owner, row())

    async def load(self, store: Store) -> None:
        """Bring back what was learned before the node stopped; what cannot be read is learned anew."""
        async with store.read() as connection:
            value = await find_learned(connection, ISOLATION)
        if not isinstance(value, Mapping):
            return
        try:
            reservoir = Reservoir.from_json(value.get("reservoir"))
            forest = None if value.get("forest") is None else Forest.from_json(value["forest"])
        except ValueError as error:
            _log.error("isolation_unreadable error=%s: it is learned anew", error)
            return
        self.reservoir, self.forest = reservoir, forest

    async def refit(self, store: Store, now: int) -> bool:
        """Fit anew in a thread and keep what was learned; False as long as there is too little."""
        forest = await asyncio.to_thread(fit, self.reservoir.rows, seed=now // 1000 % (1 << 31))
        self.forest = forest or self.forest
        value = {
            "reservoir": self.reservoir.to_json(),
            "forest": None if self.forest is None else self.forest.to_json(),
        }
        await store.write(lambda connection: save_learned(connection, ISOLATION, value, now))
        return forest is not None
