"""What the node believes now, in memory: read on every action, replaced after every commit that changes it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ioint_protocol import Pattern
from msgspec import Struct

NO_EFFECT_TIER = "none"
LEAP_MS = 3_600_000  # a silence, or a step of the clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """What holds here for one pattern or subject.

    `tier` and `effect` are those in force at this node, `state`, `score` and `confidence` those of the network part.
    `groups` counts the independent accusing groups, `accusing` is the sum of their voices in micro-units; `accusers`
    names those that accuse it itself, and not only a pattern that is more general. A `candidate` passed the gate and
    asks the budget for its `estimate` (rate per session); `fits` says that it got it. `warned` says that another
    group accuses it and nobody here allowed it: an own session that has it is an incident, whatever its effect.
    `novel` is the pattern itself where the catalogue does not have it, `general` the entries that it is a special
    case of; one with a `claimant` (the group that reported it first, at `since`) asks to be matched here. It is when
    it has a day `measured_from`, since which its own rate is known. `reason` is the code of what decided here,
    `seq` that of its newest stream row, `tlp` the label of all this.
    """

    pattern: str
    state: str
    tier: str
    effect: float
    score: int
    confidence: int
    groups: int
    accusers: tuple[str, ...] = ()
    estimate: float = 0.0
    candidate: bool = False
    fits: bool = False
    warned: bool = False
    novel: Pattern | None = None
    claimant: str | None = None
    since: str = ""
    measured_from: int | None = None
    reason: str = ""
    accusing: int = 0
    benign: int = 0  # the sum of the benign voices, in micro-units
    general: tuple[str, ...] = ()
    seq: int = 0
    tlp: str = ""


class NetworkEffect(Struct, frozen=True, kw_only=True):
    """By how much the network lowers the trust used for one action; `age_s` is its silence, None if never heard.

    `unfaded` is the same before silence took from it, as long as anything is left. `off`: a person switched all of its
    effects off.
    """

    effect: float
    unfaded: float = 0.0
    tier: str
    patterns: tuple[str, ...]
    age_s: int | None
    off: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Staleness:
    """From which silence on belief fades, and when nothing is left of it; in between it falls on a straight line."""

    stale_after_s: int = 3_600
    gone_after_s: int = 7 * 86_400

    def left(self, age_s: int) -> float:
        """The share of an effect that is left after so many seconds of silence, 1 … 0."""
        over = max(0, age_s - self.stale_after_s)
        return max(0.0, 1.0 - over / (self.gone_after_s - self.stale_after_s))


class Beliefs:
    """The view that assess reads. Flows change it after their commit, never before."""

    def __init__(self, staleness: Staleness | None = None) -> None:
        self._staleness = staleness or Staleness()
        self._beliefs: dict[str, Belief] = {}
        self._novel: dict[str, Pattern] = {}
        self._own: dict[str, Pattern] = {}
        self._claiming: dict[str, Belief] = {}
        self._spending: dict[str, Belief] = {}
        self._special: dict[str, dict[str, None]] = {}
        self._heard_ms: int | None = None
        self._before_ms: int | None = None  # when it was heard before the newest leap in time
        self.off = False  # a person switched all effects off

    def get(self, pattern: str) -> Belief | None:
        """What is believed of a pattern, or None when nothing was ever said of it."""
        return self._beliefs.get(pattern)

    def all(self) -> Mapping[str, Belief]:
        """Every belief, by pattern."""
        return self._beliefs

    def apply(self, beliefs: Iterable[Belief]) -> None:
        """Take in beliefs that a commit made true."""
        for belief in beliefs:
            self._beliefs[belief.pattern] = belief
            if belief.novel is not None and belief.measured_from is not None:
                self._novel[belief.pattern] = belief.novel
            else:
                self._novel.pop(belief.pattern, None)
            _list(self._claiming, belief, listed=belief.claimant is not None)
            _list(self._spending, belief, listed=belief.candidate and belief.estimate > 0)
            for entry in belief.general:
                self._special.setdefault(entry, {})[belief.pattern] = None

    def forget(self, patterns: Iterable[str]) -> None:
        """Drop those of these that are still unknown: nothing was ever said of them, as far as anybody remembers."""
        for name in patterns:
            belief = self._beliefs.get(name)
            if belief is None or belief.state != "unknown":
                continue
            for kept in (self._beliefs, self._novel, self._claiming, self._spending):
                kept.pop(name, None)
            for entry in belief.general:
                self._special.get(entry, {}).pop(name, None)

    def replace(self, beliefs: Iterable[Belief]) -> None:
        """Start over from the store."""
        self._beliefs, self._novel, self._claiming, self._spending = {}, {}, {}, {}
        self._special = {}
        self.apply(beliefs)

    def claiming(self) -> Collection[Belief]:
        """Those that ask for a place among the novel patterns that are matched here."""
        return self._claiming.values()

    def spending(self) -> Collection[Belief]:
        """Those that ask for a share of the budget; what was never met here costs nothing and always fits."""
        return self._spending.values()

    def special(self, entry: str) -> Collection[str]:
        """The novel patterns that are special cases of an entry of the catalogue."""
        return self._special.get(entry, ())

    def patterns(self) -> Mapping[str, Pattern]:
        """The novel patterns to match: those with an effect, and those that only their unknown own rate keeps from one.

        They are at most `novel.LIMITS.total`, and beside them those that this node named itself; the catalogue's are
        elsewhere.
        """
        return self._own | self._novel

    def watch(self, patterns: Mapping[str, Pattern]) -> None:
        """Match these too, which this node named itself: to count whom they are about before anything is said."""
        self._own = dict(patterns)

    def waiting(self) -> int:
        """How many novel patterns are believed to some degree and not matched."""
        live = (b for b in self._beliefs.values() if b.novel is not None and b.tier != NO_EFFECT_TIER)
        return sum(b.measured_from is None for b in live)

    def heard(self, now: int) -> None:
        """The network answered at this instant (milliseconds)."""
        last = self._heard_ms
        if last is not None and now - last > LEAP_MS:
            self._before_ms = last
        if last is None or now > last or last - now > LEAP_MS:
            self._heard_ms = now

    def age_s(self, now: int) -> int | None:
        """Seconds since the network was last heard, None if it never was.

        What was heard while the clock was far ahead does not count: else nothing would fade until it is as late again.
        """
        known = [at for at in (self._heard_ms, self._before_ms) if at is not None and at <= now + LEAP_MS]
        return max(0, now - known[0]) // 1000 if known else None

    def share_left(self, now: int) -> float:
        """The share of every effect that the silence of the network leaves, 1 … 0."""
        age_s = self.age_s(now)
        return 0.0 if age_s is None else self._staleness.left(age_s)

    def effect_of(self, pattern_ids: Collection[str], now: int) -> NetworkEffect:
        """The single largest effect among patterns, never a sum, less the longer the network has been silent."""
        found = [b for name in pattern_ids if (b := self._beliefs.get(name)) is not None and b.effect > 0]
        age_s, left = self.age_s(now), self.share_left(now)
        found.sort(key=lambda b: (-b.effect, b.pattern))
        effect = round(found[0].effect * left, 6) if found and not self.off else 0.0
        if effect == 0:
            return NetworkEffect(effect=0.0, tier=NO_EFFECT_TIER, patterns=(), age_s=age_s, off=self.off)
        return NetworkEffect(
            effect=effect,
            unfaded=found[0].effect,
            tier=found[0].tier,
            patterns=tuple(b.pattern for b in found),
            age_s=age_s,
        )


def _list(among: dict[str, Belief], belief: Belief, *, listed: bool) -> None:
    if listed:
        among[belief.pattern] = belief
    else:
        among.pop(belief.pattern, None)
