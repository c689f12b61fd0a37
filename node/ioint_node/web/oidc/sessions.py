"""Who signed in to the console: a random cookie, of which only the hash is kept, in memory and for a while."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass, replace

from ioint_node.store.tokens import Caller


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """How many people are signed in, and for how long."""

    sessions: int = 4_096
    idle_ms: int = 1_800_000
    life_ms: int = 28_800_000


class Sessions:
    """The sessions of the console at this process; a restart ends them all."""

    def __init__(self, limits: SessionLimits | None = None) -> None:
        self._limits = limits or SessionLimits()
        self._open: OrderedDict[bytes, tuple[Caller, int]] = OrderedDict()  # hash → caller, last used

    def open(self, caller: Caller, now: int) -> str:
        """Let somebody in until `life_ms` from now, and return the cookie."""
        cookie = secrets.token_urlsafe(32)
        self._open[_hash(cookie)] = (replace(caller, expires=now + self._limits.life_ms), now)
        while len(self._open) > self._limits.sessions:
            self._open.popitem(last=False)
        return cookie

    def find(self, cookie: str, now: int) -> Caller | None:
        """Who holds this cookie, or None: nobody, not any more, or not for `idle_ms`."""
        key = _hash(cookie)
        caller, used = self._open.get(key, (None, 0))
        if caller is None:
            return None
        if now - used > self._limits.idle_ms or caller.expires is None or caller.expires <= now:
            del self._open[key]
            return None
        self._open[key] = (caller, now)
        self._open.move_to_end(key)
        return caller

    def end(self, cookie: str) -> None:
        """Sign somebody out."""
        self._open.pop(_hash(cookie), None)


def _hash(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()
