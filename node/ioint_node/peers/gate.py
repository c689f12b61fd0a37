"""Who may come in and how much of us they may hold. Counts and names only: no libp2p, no clock of its own.

Strangers are counted by address until the handshake has shown a key; from then on everything is counted by the
peer id that the handshake proved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from ioint_node.peers.limits import PeerLimits

REASONS = frozenset(
    {
        "bad_frame",  # a length that does not end
        "buffers_full",  # a connection sent more than is read of it
        "calls_too_fast",  # more requests than its share of our time
        "connection_replaced",  # more connections of one peer than allowed: the oldest went
        "frame_too_large",
        "handshake",  # no Noise, or not to the end
        "inbound_full",  # as many connections that others opened as there are places for
        "inbound_group_full",  # as many of one affiliation group
        "no_answer",  # our own side gave none: the request was none, or it took too long
        "not_a_member",  # a proven key that is not on the list
        "not_ed25519",  # an identity of another kind, refused before it is parsed
        "slow_frame",  # a frame begun and not finished in time
        "stream_failed",  # reset, or broken off in the middle
        "too_many_calls",
        "too_many_from_address",
        "too_many_half_open",
        "too_many_streams",
        "upgrade_timeout",
    }
)
UNKNOWN = ""
"""The peer id under which the refusals of strangers are counted: what they claim is not proven."""


class Refused(Exception):  # noqa: N818 - an outcome with a name, not a fault
    """Something was not let in; `reason` is one of `REASONS`."""

    def __init__(self, reason: str, peer: str = UNKNOWN) -> None:
        super().__init__(reason)
        self.reason, self.peer = reason, peer


class Bucket:
    """A token bucket: of bytes, which may go into debt by one read, or of requests, which may not."""

    def __init__(self, *, rate: int, burst: int, now: float) -> None:
        self._rate, self._burst = rate, burst
        self._tokens, self._at = float(burst), now

    def take(self, count: int, now: float) -> float:
        """Spend `count` bytes at `now` (s, monotonic); returns seconds to wait before the next."""
        self._fill(now)
        self._tokens -= count
        return max(0.0, -self._tokens / self._rate)

    def spend(self, count: int, now: float) -> bool:
        """Spend `count` tokens at `now` (s, monotonic) if there are as many; what is refused costs none."""
        self._fill(now)
        if self._tokens < count:
            return False
        self._tokens -= count
        return True

    def _fill(self, now: float) -> None:
        self._tokens = min(float(self._burst), self._tokens + (now - self._at) * self._rate)
        self._at = now


class Gate:
    """The allow-list, the counters of what is open, and the count of refusals by peer and name."""

    def __init__(self, limits: PeerLimits) -> None:
        self._limits = limits
        self._groups: Mapping[str, str] = {}  # member → affiliation group
        self._inbound: Counter[str] = Counter()  # by group
        self._half_open: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._buckets: dict[str, Bucket] = {}
        self._shares: dict[str, Bucket] = {}  # of requests
        self.refused: Counter[tuple[str, str]] = Counter()
        self.bytes_in: Counter[str] = Counter()
        self.bytes_out: Counter[str] = Counter()
        self.on_refusal: Callable[[], None] = lambda: None

    def allow(self, members: Mapping[str, str]) -> frozenset[str]:
        """Replace the allow-list, peer by affiliation group; returns the peers that were on it and are no longer."""
        gone = frozenset(self._groups) - frozenset(members)
        self._groups = dict(members)
        for peer in gone:
            self._buckets.pop(peer, None)
            self._shares.pop(peer, None)
        return gone

    def is_member(self, peer: str) -> bool:
        """Whether this peer id is on the allow-list now."""
        return peer in self._groups

    def refuse(self, peer: str, reason: str) -> None:
        """Count a refusal; of strangers together, so that no one can fill the table."""
        self.refused[peer if peer in self._groups else UNKNOWN, reason] += 1
        self.on_refusal()

    @contextmanager
    def half_open(self, address: str) -> Iterator[None]:
        """A place for a connection that has not shown its key yet.

        Raises:
            Refused: the address, or all addresses together, hold as many as they may.
        """
        if self._half_open[address] >= self._limits.half_open_per_address:
            raise Refused("too_many_from_address")
        if self._half_open.total() >= self._limits.half_open:
            raise Refused("too_many_half_open")
        self._half_open[address] += 1
        try:
            yield
        finally:
            self._half_open[address] -= 1
            if not self._half_open[address]:
                del self._half_open[address]

    def enter_inbound(self, peer: str) -> Callable[[], None]:
        """Take a place for a connection that a member opened; returns what gives it back.

        Raises:
            Refused: all places, or those of its group, are taken.
        """
        group = self._groups.get(peer, "")
        if self._inbound.total() >= self._limits.inbound:
            raise Refused("inbound_full", peer)
        if self._inbound[group] >= self._limits.inbound_per_group:
            raise Refused("inbound_group_full", peer)
        self._inbound[group] += 1

        def leave() -> None:
            self._inbound[group] -= 1

        return leave

    @contextmanager
    def stream(self, peer: str) -> Iterator[None]:
        """A place for an inbound stream.

        Raises:
            Refused: the peer is no longer a member or holds as many streams as it may.
        """
        if not self.is_member(peer):
            raise Refused("not_a_member")
        if self._streams[peer] >= self._limits.streams_per_peer:
            raise Refused("too_many_streams")
        with _counted(self._streams, peer):
            yield

    @contextmanager
    def call(self, peer: str, now: float, cost: int = 1) -> Iterator[None]:
        """A place for a request that is being answered; `cost` is how many it counts for, `now` s, monotonic.

        Raises:
            Refused: the peer is no longer a member, too many requests are being answered, or it asks too fast.
        """
        if not self.is_member(peer):
            raise Refused("not_a_member")
        if self._calls[peer] >= self._limits.calls_per_peer or self._calls.total() >= self._limits.calls:
            raise Refused("too_many_calls")
        share = self._shares.get(peer)
        if share is None:
            rate, burst = self._limits.calls_per_s_per_peer, self._limits.burst_calls_per_peer
            share = self._shares[peer] = Bucket(rate=rate, burst=burst, now=now)
        if not share.spend(cost, now):
            raise Refused("calls_too_fast")
        with _counted(self._calls, peer):
            yield

    def received(self, peer: str, count: int, now: float) -> float:
        """Count bytes that came from a member; returns seconds to wait before reading on."""
        self.bytes_in[peer] += count
        bucket = self._buckets.get(peer)
        if bucket is None:
            rate, burst = self._limits.bytes_per_s_per_peer, self._limits.burst_bytes_per_peer
            bucket = self._buckets[peer] = Bucket(rate=rate, burst=burst, now=now)
        return bucket.take(count, now)

    def sent(self, peer: str, count: int) -> None:
        """Count bytes that went to a member."""
        self.bytes_out[peer] += count


@contextmanager
def _counted(counter: Counter[str], key: str) -> Iterator[None]:
    counter[key] += 1
    try:
        yield
    finally:
        counter[key] -= 1
        if not counter[key]:
            del counter[key]
