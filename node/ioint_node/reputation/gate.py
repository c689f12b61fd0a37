"""The local part of reputation: what a viewer makes of the network part, with what only it knows.

A single report helps within seconds only where acting on it is measurably cheap. Every effect below consensus, and a
consensus that the viewer's own clean record caps, passes one gate: the one-sided exact upper 95 % bound of the
viewer's own rate of benign matches is at most 1 in 1,000 sessions, by its own history or pooled with the signed base
rate of the catalogue entry. All gated patterns together fit one budget of expected extra checks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ioint_protocol.pattern import Rate
from scipy.special import betaincinv

EFFECT: Final = {"precautionary": 0.05, "disputed": 0.05, "corroborated": 0.10, "consensus": 0.30}
OWN_CLEAN_CAP = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """What the viewer is ready to pay.

    `tolerance` is the extra checks per 1,000 actions that all gated patterns together may cost; rates are per session,
    so it is turned into sessions with `session_actions`.
    """

    cheap_rate: float = 1 / 1000
    level: float = 0.95
    base_worth_sessions: int = 3_000
    tolerance: float = 1.0
    session_actions: int = 10
    sole_share: float = 1 / 3  # of the budget, for what one group alone reports
    first_reports: int = 5  # of a group in a week that may become precautionary
    clean_matches: int = 14  # benign matches without a bad one: log-odds below −2

    @property
    def budget(self) -> float:
        """The sum of rates per session that fits the tolerance."""
        return self.tolerance / 1000 * self.session_actions


PARAMS: Final = Params()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Whether acting is measurably cheap: the evidence that decided (own or pooled), its bound and its estimate."""

    open: bool
    by: str
    bound: float
    estimate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A gated pattern that asks for a share of the budget; `accusers` are the groups that accuse it."""

    pattern: str
    accusers: tuple[str, ...]
    estimate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """What the viewer makes of it: the tier and the effect in force here, and why, in one code."""

    tier: str
    effect: float
    reason: str


def upper_bound(matches: float, sessions: float, level: float = PARAMS.level) -> float:
    """The one-sided exact (Clopper–Pearson) upper bound of a rate; 1 where nothing was seen."""
    if matches >= sessions:
        return 1.0
    return float(betaincinv(matches + 1, sessions - matches, level))


# Most subjects were never met here, so that few cases are asked for again and again.
@lru_cache(maxsize=4_096)
def cheap(own: Rate, base: Rate | None, params: Params = PARAMS) -> Gate:
    """Whether acting on a pattern is cheap by own history, or pooled with its base rate where that was measured."""
    bound = upper_bound(own.matches, own.sessions, params.level)
    gate = Gate(
        open=bound <= params.cheap_rate, by="own", bound=bound, estimate=_estimate(own.matches, own.sessions)
    )
    if gate.open or base is None or base.sessions == 0:
        return gate
    matches = own.matches + params.base_worth_sessions * base.matches / base.sessions
    sessions = own.sessions + params.base_worth_sessions
    pooled = upper_bound(matches, sessions, params.level)
    if pooled > params.cheap_rate and pooled >= bound:
        return gate
    return Gate(
        open=pooled <= params.cheap_rate, by="pooled", bound=pooled, estimate=_estimate(matches, sessions)
    )


def allocate(candidates: Iterable[Candidate], params: Params = PARAMS) -> frozenset[str]:
    """The patterns that fit the budget together; what does not fit waits.

    First come those with the most independent groups, then those that cost least. What a reporter says of its own
    counts decides nothing, and what one group alone reports fits at most `sole_share` of the budget: however much a
    group invents, it takes no more than that from the first reports of the others.

    Only point estimates are summed: with upper bounds a few patterns without any own match would use it up.
    """
    spent, fits = 0.0, set()
    alone: dict[str, float] = {}
    for candidate in sorted(candidates, key=lambda c: (-len(c.accusers), c.estimate, c.pattern)):
        if spent + candidate.estimate > params.budget:
            continue
        if len(candidate.accusers) == 1:
            (group,) = candidate.accusers
            own = alone.get(group, 0.0) + candidate.estimate
            if own > params.sole_share * params.budget:
                continue
            alone[group] = own
        spent += candidate.estimate
        fits.add(candidate.pattern)
    return frozenset(fits)


def within_quota(days: Collection[int], today: int, params: Params = PARAMS) -> bool:
    """Whether a group that made first reports on these days may make one more precautionary pattern today."""
    return sum(0 <= today - day < 7 for day in days) < params.first_reports


def own_record_clean(*, benign: int, flagged: int, params: Params = PARAMS) -> bool:
    """Whether the viewer's own record speaks for the pattern: many benign sessions with it, and no bad one."""
    return flagged == 0 and benign >= params.clean_matches


def asks_gate(tier: str, *, clean: bool) -> bool:
    """Whether this network tier takes effect only through the gate."""
    return tier in ("advisory", "disputed", "corroborated") or (tier == "consensus" and clean)


def judge(
    tier: str,
    *,
    others: bool,
    first: bool,
    clean: bool,
    gate: Gate,
    fits: bool,
    allowed: bool,
    broad: bool = False,
    placed: bool = True,
) -> Local:
    """The tier and effect here of a network tier.

    Args:
        tier: of the network part.
        others: another group than the viewer's own accuses.
        first: an accusing group's first report was within its weekly quota.
        clean: the viewer's own record speaks for the pattern.
        gate: whether acting is cheap.
        fits: the pattern fits the budget.
        allowed: a person of this organisation allowed the pattern.
        broad: the pattern is novel and could be much ordinary work.
        placed: the pattern is of the catalogue, or has a place among the novel ones that are matched here.
    """
    if tier == "none":
        return Local(tier="none", effect=0.0, reason="no_accusation")
    stops = (
        (allowed, "allowed_here"),
        (not others, "only_our_own"),
        (broad, "too_broad"),
        (tier == "advisory" and not first, "over_quota"),
        (not placed, "no_place"),
        (asks_gate(tier, clean=clean) and not gate.open, "not_cheap_here"),
        (asks_gate(tier, clean=clean) and not fits, "over_budget"),
    )
    for stopped, reason in stops:
        if stopped:
            return Local(tier="advisory", effect=0.0, reason=reason)
    tier = "precautionary" if tier == "advisory" else tier
    if clean:
        return Local(tier=tier, effect=min(EFFECT[tier], OWN_CLEAN_CAP), reason="own_record_clean")
    return Local(tier=tier, effect=EFFECT[tier], reason=tier)


def _estimate(matches: float, sessions: float) -> float:
    return matches / sessions if sessions > 0 else 1.0
