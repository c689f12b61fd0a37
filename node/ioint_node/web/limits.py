"""What a caller may cost the node."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address


@dataclass(frozen=True, slots=True, kw_only=True)
class WebLimits:
    """Bounds of the HTTP side; every refusal by one of them is counted under its name."""

    body_bytes: int = 1_048_576
    body_s: float = 10.0
    header_bytes: int = 8_190
    header_s: float = 10.0  # from the first byte of a head to its last, and from connecting to the first head
    idle_s: float = 75.0  # between an answer and the next request
    connections: int = 4_096
    json_depth: int = 32
    page_rows: int = 100
    page_rows_max: int = 500
    failed_auth: int = 20  # per address and window
    failed_auth_window_ms: int = 60_000
    addresses: int = 4_096
    unknown_lookups: int = 4  # at a time, of tokens that never passed; the others wait their turn
    passed_tokens: int = 4_096
    requests_per_s: int = 10_000  # of one caller, in the long run
    requests_burst: int = 20_000  # of one caller, at once
    costly_per_s: int = 50  # the same of what costs much: receipts, exports, replays
    costly_burst: int = 200
    rated_callers: int = 4_096
    streams_per_token: int = 8
    streams: int = 2_000
    stream_buffer_bytes: int = 262_144
    stream_filters: int = 128  # different filters that open streams follow
    replay_rows: int = 500
    replay_s: float = 60.0  # to catch up before joining the live stream
    heartbeat_s: float = 15.0
    gone_s: float = 1.0  # until a stream whose connection has ended counts no more
    stop_s: float = 3.0


def nearest(forwarded: Sequence[str]) -> str | None:
    """The address that the proxy in front saw: it adds that at the end, and what is before it is anybody's word."""
    last = forwarded[-1].rpartition(",")[2].strip() if forwarded else ""
    try:
        return str(ip_address(last))
    except ValueError:
        return None


class FailedAuth:
    """Counts failed sign-ins per address in a fixed window, for a bounded number of addresses."""

    def __init__(self, limits: WebLimits) -> None:
        self._limits = limits
        self._counts: OrderedDict[str, tuple[int, int]] = OrderedDict()  # address → (window start, failures)

    def blocked_ms(self, address: str, now: int) -> int:
        """Milliseconds for which this address is told to stop trying; 0 when it has not failed too often."""
        start, failures = self._counts.get(address, (now, 0))
        if failures < self._limits.failed_auth:
            return 0
        # A window that begins after now is one from before the clock was put back.
        return max(0, start + self._limits.failed_auth_window_ms - now) if start <= now else 0

    def note(self, address: str, now: int) -> None:
        """Count one failure."""
        start, failures = self._counts.pop(address, (now, 0))
        if not 0 <= now - start < self._limits.failed_auth_window_ms:
            start, failures = now, 0
        self._counts[address] = (start, failures + 1)
        while len(self._counts) > self._limits.addresses:
            self._counts.popitem(last=False)


class Lookups:
    """Bounds what unknown tokens cost the database, without a way for guesses to keep valid tokens out.

    However many guess, `unknown_lookups` of them are in the database at a time, and the next is whoever has waited
    longest; a connection waits for one token at most, so the queue is bounded by `connections`. A token that has
    passed before does not queue.
    """

    def __init__(self, limits: WebLimits) -> None:
        self._limits = limits
        self._turn = asyncio.Semaphore(limits.unknown_lookups)
        self._passed: OrderedDict[bytes, None] = OrderedDict()  # hashes of tokens

    @asynccontextmanager
    async def turn(self, token: str) -> AsyncIterator[None]:
        """Hold a place for the lookup of this token."""
        if _hash(token) in self._passed:
            yield
            return
        async with self._turn:
            yield

    def note(self, token: str, *, passed: bool) -> None:
        """Remember whether this token let its holder in."""
        key = _hash(token)
        self._passed.pop(key, None)
        if passed:
            self._passed[key] = None
        while len(self._passed) > self._limits.passed_tokens:
            self._passed.popitem(last=False)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
