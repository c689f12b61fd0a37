"""Which of its node keys a node speaks with, while one of them takes the place of the other.

Others let in the key that their newest roster names. A node that was away when a roster named its next key hears of it
from nobody under the old one. So, with nobody connected, it tries one after the other until somebody knows it.
"""

from __future__ import annotations

import logging
from typing import Final

from ioint_node.config import Keys
from ioint_node.peers import Exchange

LONELY_S: Final = 60.0
"""With nobody connected for so long, the other key is tried."""
TELL_S: Final = 10.0
"""For so long a key that was replaced may still serve to tell whoever is connected of the newer roster."""
log = logging.getLogger("ioint")


class Voice:
    """Changes the key that the exchange speaks with; `now` is in Unix milliseconds, here and below."""

    def __init__(self, exchange: Exchange, now: int) -> None:
        self._exchange = exchange
        self._heard_at = now  # somebody was connected, or the key was changed
        self._replaced_at: int | None = None

    def look(self, keys: Keys, now: int) -> bool:
        """Change the key if that is due, given those that the node has now; True when it was changed."""
        seed = self._next_seed(keys, now)
        if seed is None:
            return False
        self._heard_at, self._replaced_at = now, None
        self._exchange.speak_as(seed)
        return True

    def _next_seed(self, keys: Keys, now: int) -> bytes | None:
        spoken, connected = self._exchange.seed, bool(self._exchange.connected())
        own = {keys.node_seed, keys.next_seeds.get("node", keys.node_seed)}
        if spoken not in own:
            self._replaced_at = now if self._replaced_at is None else self._replaced_at
            if connected and now - self._replaced_at < TELL_S * 1000:
                return None
            log.info("the exchange speaks with the node key that the roster names now")
            return keys.node_seed
        other = next(iter(own - {spoken}), None)
        if connected or other is None:
            self._heard_at = now
        if now - self._heard_at < LONELY_S * 1000:
            return None
        log.info("nobody was connected for %d s: the exchange tries its other node key", LONELY_S)
        return other
