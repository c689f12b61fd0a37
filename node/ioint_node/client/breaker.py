"""When to ask a node that did not answer: not at all for a while, then once."""

from __future__ import annotations

from ioint_node.client.limits import ClientLimits


class Breaker:
    """Keeps a node that is away from costing each action a timeout.

    Closed until `away_failures` in a row; then open for `probe_s`, after which one request passes as a probe. A probe
    that fails doubles the pause up to `probe_most_s`; any answer closes it. Times are seconds of a monotonic clock.
    """

    def __init__(self, limits: ClientLimits) -> None:
        self._limits = limits
        self._failures = 0
        self._pause_s = limits.probe_s
        self._until: float | None = None
        self.since: float | None = None

    @property
    def open(self) -> bool:
        """Whether the node counts as away."""
        return self._until is not None

    def allows(self, now: float) -> bool:
        """Whether to ask now; of a node that is away this lets one request pass for each pause."""
        if self._until is None:
            return True
        if now < self._until:
            return False
        self._until = now + self._pause_s  # whoever comes beside the probe does not wait for it
        return True

    def failed(self, now: float) -> None:
        """No answer came."""
        self._failures += 1
        if self.since is None:
            self.since = now
        if self._until is not None:
            self._pause_s = min(2 * self._pause_s, self._limits.probe_most_s)
        if self._failures >= self._limits.away_failures:
            self._until = now + self._pause_s

    def succeeded(self) -> None:
        """An answer came, whatever it says."""
        self._failures = 0
        self._pause_s = self._limits.probe_s
        self._until = self.since = None
