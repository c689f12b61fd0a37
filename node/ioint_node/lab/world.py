"""A consortium's two months with risky patterns: who does what ordinary work, who is attacked, and what each notices.

Nothing here knows the rule. A world is drawn once from its seed; every rule that is compared is run in the same one.
The shape follows the study that the rule was chosen by: 300 catalogue patterns of which a tenth is in daily use,
members of very different size, campaigns that reach a part of the members over about a week.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ioint_node.reputation.rule import LIFE_DAYS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

WARM_DAYS: Final = LIFE_DAYS  # of history before the first day
MOST_GROUPS: Final = 2_000
SPONSORS: Final = 3  # of Sybils: who belongs together shares one voice
ACTOR_SESSIONS: Final = 5  # of one actor in a day
SESSION_ACTIONS: Final = 10
BENIGN: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Nature:
    """What the world is like; rates are per session, `lognormal` ones as (median, sigma).

    `published` and `noticed` are the shares of campaign sessions that reach the publish threshold and that are at least
    out of scope, `false_published` and `false_noticed` the same of benign sessions. Half of the false ones name a
    pattern in proportion to its use, half any. `judged` is the share of matches that somebody judges benign after a
    report; `benign_voices` the share of members that lend one.
    """

    patterns: int = 300
    days: int = 60
    rare: tuple[float, float] = (1e-6, 2.5)
    rare_most: float = 3e-3
    common_share: float = 0.1
    common: tuple[float, float] = (1e-3, 5e-2)
    common_users: float = 0.6
    spread: float = 1.5
    sessions_a_day: tuple[float, float] = (200.0, 1.2)
    new_share: float = 0.2
    base_sessions: int = 20_000
    campaigns: int = 8
    campaign_days: tuple[float, float] = (8.0, 0.7)
    published: float = 0.33
    noticed: float = 0.9
    false_published: float = 1e-4
    false_noticed: float = 1e-3
    judged: float = 0.2
    benign_voices: float = 0.3


NATURE: Final = Nature()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One world: so many groups, so many of them hostile, how these attack, and the seed.

    `tenures` are those of the groups of a roster, in micro-units; without them every group is a founder. Sybils come on
    top of `orgs`, as members of at most three groups.
    """

    orgs: int
    hostile: int = 0
    attack: str = "joint"
    seed: int = 0
    tenures: tuple[int, ...] = ()
    nature: Nature = NATURE


class Met(NamedTuple):
    """A session at a member: when (days), of which pattern, and whether the member noticed and published it.

    `campaign` is `BENIGN` where there was none: the member was wrong.
    """

    at: float
    member: int
    pattern: int
    campaign: int
    published: bool
    noticed: bool


@dataclass(frozen=True, kw_only=True)
class World:
    """What happens, whatever is believed. Members are numbered; the honest and the hostile are mixed.

    `rate` is each member's benign rate per session and pattern, `sessions` and `matches` are cumulative over the days
    from `WARM_DAYS` before the first, `base` the benign matches among the development sessions. `met` are the sessions
    of campaigns, whose patterns are in `campaigns`; `named` the benign ones that a member wrongly found out of scope.
    """

    setting: Setting
    hostile: Bools
    rate: Floats
    sessions: Floats
    matches: NDArray[np.uint32]
    base: Ints
    met: tuple[Met, ...]
    named: tuple[Met, ...]
    campaigns: tuple[tuple[int, ...], ...]
    lends: Bools

    @property
    def members(self) -> int:
        """How many members have work of their own: Sybils have none."""
        return len(self.hostile)

    @cached_property
    def risky(self) -> Bools:
        """Which patterns some campaign uses."""
        found = np.zeros(self.rate.shape[1], bool)
        found[[p for patterns in self.campaigns for p in patterns]] = True
        return found

    @cached_property
    def common(self) -> Bools:
        """Which patterns are in daily use: 1 in 1,000 development sessions or more."""
        return self.base >= self.setting.nature.base_sessions // 1_000

    def matched(self, member: int, pattern: int, day: int, days: int = LIFE_DAYS) -> int:
        """A member's benign matches of a pattern in the days before one."""
        cumulative = self.matches[member, pattern]
        return int(cumulative[WARM_DAYS + day]) - int(cumulative[max(0, WARM_DAYS + day - days)])

    def worked(self, member: int, day: int, days: int = LIFE_DAYS) -> int:
        """A member's sessions in the days before one."""
        cumulative = self.sessions[member]
        return int(cumulative[WARM_DAYS + day] - cumulative[max(0, WARM_DAYS + day - days)])


def draw(setting: Setting) -> World:
    """The world of a setting: the same at every machine with one numpy."""
    nature, n = setting.nature, setting.orgs
    rng = np.random.default_rng((setting.seed, n, setting.hostile))
    hostile = np.zeros(n, bool)
    if setting.attack != "sybil":
        hostile[rng.choice(n, setting.hostile, replace=False)] = True
    typical, common = _typical(rng, nature)
    rate = np.minimum(typical * rng.lognormal(0, nature.spread, (n, nature.patterns)), 0.3)
    rate[:, common] *= rng.random((n, int(common.sum()))) < nature.common_users
    base = rng.binomial(nature.base_sessions, typical)
    a_day, active = _work(rng, nature, n)
    # Poisson, and whole days of a member that has just begun are empty.
    daily = rng.poisson((rate * a_day[:, None])[:, :, None] * active[:, None, :])
    matches = np.zeros((n, nature.patterns, active.shape[1] + 1), np.uint32)
    np.cumsum(daily, axis=2, out=matches[:, :, 1:])
    sessions = np.concatenate([np.zeros((n, 1)), np.cumsum(active * a_day[:, None], 1)], 1)
    campaigns, met = _campaigns(rng, nature, ~hostile)
    return World(
        setting=setting,
        hostile=hostile,
        rate=rate,
        sessions=sessions,
        matches=matches,
        base=base,
        met=met,
        named=_named(rng, nature, rate, a_day * ~hostile),
        campaigns=campaigns,
        lends=(rng.random(n) < nature.benign_voices) & ~hostile,
    )


def _typical(rng: np.random.Generator, nature: Nature) -> tuple[Floats, Bools]:
    """The typical benign rate of each pattern, and which are in daily use."""
    median, sigma = nature.rare
    typical = np.minimum(rng.lognormal(np.log(median), sigma, nature.patterns), nature.rare_most)
    common = np.zeros(nature.patterns, bool)
    common[rng.choice(nature.patterns, int(nature.patterns * nature.common_share), replace=False)] = True
    low, high = np.log10(nature.common)
    typical[common] = 10 ** rng.uniform(low, high, int(common.sum()))
    return typical, common


def _work(rng: np.random.Generator, nature: Nature, n: int) -> tuple[Floats, Floats]:
    """Sessions a day of each member, and on which days it works: some have just begun."""
    median, sigma = nature.sessions_a_day
    a_day = np.clip(rng.lognormal(np.log(median), sigma, n), 10, 20_000)
    start = np.where(rng.random(n) < nature.new_share, rng.uniform(20, WARM_DAYS, n), 0)
    return a_day, (np.arange(WARM_DAYS + nature.days)[None] >= start[:, None]).astype(float)


def _campaigns(
    rng: np.random.Generator, nature: Nature, honest: Bools
) -> tuple[tuple[tuple[int, ...], ...], tuple[Met, ...]]:
    n, used, met = len(honest), [], []
    for campaign in range(nature.campaigns):
        patterns = rng.choice(nature.patterns, rng.integers(1, 4), replace=False)
        used.append(tuple(int(p) for p in patterns))
        begins, lasts = rng.uniform(0, nature.days * 2 / 3), rng.lognormal(*_log(nature.campaign_days))
        reached = rng.permutation(n)[: max(2, round(rng.beta(2, 3) * n))]
        for member, first in zip(reached, begins + np.sort(rng.uniform(0, lasts, len(reached))), strict=True):
            for _ in range(1 + rng.poisson(3)):
                at, chance = float(first + rng.exponential(1.0)), rng.random()
                pattern = int(rng.choice(patterns))
                if at < nature.days and honest[member]:
                    published, noticed = chance < nature.published, chance < nature.noticed
                    met.append(Met(at, int(member), pattern, campaign, bool(published), bool(noticed)))
    return tuple(used), tuple(sorted(met))


def _named(rng: np.random.Generator, nature: Nature, rate: Floats, a_day: Floats) -> tuple[Met, ...]:
    """The benign sessions, history included, that their member found out of scope."""
    found = []
    counts = rng.poisson(a_day * nature.false_noticed * (WARM_DAYS + nature.days))
    for member in np.flatnonzero(counts):
        use = rate[member] / max(rate[member].sum(), 1e-12)
        weights = 0.5 * use + 0.5 / len(use)
        for pattern in rng.choice(len(use), counts[member], p=weights / weights.sum()):
            at = float(rng.uniform(-WARM_DAYS, nature.days))
            published = bool(rng.random() < nature.false_published / nature.false_noticed) and at >= 0
            found.append(Met(at, int(member), int(pattern), BENIGN, published, True))
    return tuple(sorted(found))


def _log(lognormal: tuple[float, float]) -> tuple[float, float]:
    return float(np.log(lognormal[0])), lognormal[1]
