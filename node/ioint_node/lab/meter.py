"""What happened at the measured members, counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ioint_node.lab.world import ACTOR_SESSIONS, SESSION_ACTIONS, Bools, Floats, World
from ioint_node.reputation.rule import LIFE_DAYS

LEVELS: Final = (0.05, 0.10, 0.30)
REACHED: Final = 0.9  # of the measured members, before a pattern counts as reached
_BANDS: Final = ((0.05, 0.10), (0.10, 0.30), (0.30, 9.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one rule did in one world; shares are of the measured members, rates per 1,000 benign actions.

    `lift` is the share of the `blind` sessions at which the effect was at least .05, .10, .30; `lift_all` the same of
    all later sessions, `known` the share of these that are not blind. `friction` are the completing benign actions
    under .05, .10 and .30, `p95` their sum at the worst twentieth, `under` the share of all benign actions under any.
    `slandered` is the friction by what liars accuse and no campaign uses, `worst` that of the worst member, `damage`
    the trust that it takes per 1,000 actions. `flagged` and `false_flagged` are the shares of risky and of benign
    patterns with .05 or more, over members and days, `false_corroborated` with .10 or more. `unsupported` is the
    largest effect anywhere on what no honest group accuses. `delay_h` are the median hours from the first report until
    .05 and .10 at nine tenths of the members, None where fewer than half of the campaigns' patterns got there.
    """

    blind: int
    known: float
    lift: tuple[float, float, float]
    lift_all: tuple[float, float, float]
    friction: tuple[float, float, float]
    p95: float
    under: float
    slandered: tuple[float, float, float]
    worst: float
    damage: float
    flagged: float
    false_flagged: float
    false_corroborated: float
    unsupported: float
    delay_h: tuple[float | None, float | None]


class Meter:
    """Counts what happened at the measured members."""

    def __init__(self, world: World, members: Sequence[int]) -> None:
        self._world = world
        self._rate = world.rate[list(members)]
        self._met: list[tuple[float, bool]] = []
        self._friction = np.zeros((len(members), len(LEVELS)))
        self._slandered = np.zeros((len(members), len(LEVELS)))
        self._under = np.zeros(len(members))
        self._flagged = np.zeros(3)
        self._days = 0
        self.unsupported = 0.0
        self._since: dict[tuple[int, int], tuple[float, list[float | None]]] = {}

    def meet(self, effect: float) -> None:
        """A blind session, and the effect that it met."""
        self._met.append((effect, True))

    def know(self, effect: float) -> None:
        """A later session at a member that had reported the pattern itself, and the effect that it met."""
        self._met.append((effect, False))

    def begin(self, campaign: int, pattern: int, at: float) -> None:
        """The first report of a campaign's pattern."""
        self._since.setdefault((campaign, pattern), (at, [None, None]))

    def reach(self, effects: Floats, at: float) -> None:
        """See which patterns have an effect at nearly all measured members."""
        for (_, pattern), (start, reached) in self._since.items():
            if at - start < LIFE_DAYS:
                for i, level in enumerate(LEVELS[:2]):
                    if reached[i] is None and _at_least(effects[:, pattern], level).mean() >= REACHED:
                        reached[i] = max(0.0, at - start)

    def day(self, effects: Floats, only_liars: Bools) -> None:
        """Add a day's costs."""
        self._days += 1
        masks = [_at_least(effects, low) & ~_at_least(effects, high) for low, high in _BANDS]
        for i, mask in enumerate(masks):
            self._friction[:, i] += (self._rate * mask).sum(1)
            self._slandered[:, i] += (self._rate * mask * only_liars).sum(1)
        rest = (SESSION_ACTIONS + 1) / 2 / SESSION_ACTIONS  # of a session, from the completing action on
        this_session = -np.expm1(-(self._rate * (effects > 0)).sum(1)) * rest
        # Only a consensus counts for the actor's next seven days.
        this_week = -np.expm1(-7 * ACTOR_SESSIONS * (self._rate * masks[2]).sum(1))
        self._under += np.maximum(this_session, this_week)
        benign, risky = ~self._world.risky, self._world.risky
        self._flagged += (
            _at_least(effects[:, risky], 0.05).mean(),
            _at_least(effects[:, benign], 0.05).mean(),
            _at_least(effects[:, benign], 0.10).mean(),
        )

    def figures(self) -> Figures:
        """All of it."""
        per_1000 = 1000 / SESSION_ACTIONS / max(self._days, 1)
        met = np.array([effect for effect, blind in self._met if blind])
        later = np.array([effect for effect, _ in self._met])
        friction, slandered = self._friction * per_1000, self._slandered * per_1000
        return Figures(
            blind=len(met),
            known=1 - len(met) / max(len(self._met), 1),
            lift=_lift(met),
            lift_all=_lift(later),
            friction=_three(friction.mean(0)),
            p95=float(np.quantile(friction.sum(1), 0.95)),
            under=float(self._under.mean() / max(self._days, 1)),
            slandered=_three(slandered.mean(0)),
            worst=float(slandered.sum(1).max()),
            damage=float((slandered @ np.array(LEVELS)).mean()),
            flagged=float(self._flagged[0] / max(self._days, 1)),
            false_flagged=float(self._flagged[1] / max(self._days, 1)),
            false_corroborated=float(self._flagged[2] / max(self._days, 1)),
            unsupported=self.unsupported,
            delay_h=(self._delay(0), self._delay(1)),
        )

    def _delay(self, level: int) -> float | None:
        delays = [np.inf if r[level] is None else 24 * float(r[level] or 0) for _, r in self._since.values()]
        middle = float(np.median(delays)) if delays else np.inf
        return middle if np.isfinite(middle) else None


def _at_least(effects: Floats, level: float) -> Bools:
    return np.asarray(effects > level - 0.001)


def _three(values: Iterable[float]) -> tuple[float, float, float]:
    one, two, three = (float(v) for v in values)
    return one, two, three


def _lift(effects: Floats) -> tuple[float, float, float]:
    return _three([float(_at_least(effects, level).mean()) if len(effects) else 0.0 for level in LEVELS])
