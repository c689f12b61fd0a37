"""What a caller may cost the node."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WebLimits:
    """Bounds of the HTTP side; every refusal by one of them is counted under its name."""

    body_bytes: int = 1_048_576
    body_s: float = 10.0
    header_bytes: int = 8_190
    json_depth: int = 32
    page_rows: int = 100
    page_rows_max: int = 500
    filter_chars: int = 512
    failed_auth: int = 20  # per address and window
    failed_auth_window_ms: int = 60_000
    addresses: int = 4_096
    streams_per_token: int = 8
    streams: int = 2_000
    stream_buffer_bytes: int = 262_144
    replay_rows: int = 500
    replay_s: float = 60.0  # to catch up before joining the live stream
    heartbeat_s: float = 15.0
    rendered_objects: int = 20_000
    stop_s: float = 3.0


class FailedAuth:
    """Counts failed sign-ins per address in a fixed window, for a bounded number of addresses."""

    def __init__(self, limits: WebLimits) -> None:
        self._limits = limits
        self._counts: OrderedDict[str, tuple[int, int]] = OrderedDict()  # address → (window start, failures)

    def blocked_ms(self, address: str, now: int) -> int:
        """Milliseconds until this address may try unknown tokens again; 0 when it may."""
        start, failures = self._counts.get(address, (now, 0))
        if failures < self._limits.failed_auth:
            return 0
        return max(0, start + self._limits.failed_auth_window_ms - now)

    def note(self, address: str, now: int) -> None:
        """Count one failure."""
        start, failures = self._counts.pop(address, (now, 0))
        if now - start >= self._limits.failed_auth_window_ms:
            start, failures = now, 0
        self._counts[address] = (start, failures + 1)
        while len(self._counts) > self._limits.addresses:
            self._counts.popitem(last=False)
