"""The local part of reputation: what a viewer makes of the network part, with what only it knows.

A single report helps within seconds only where acting on it is measurably cheap. Every effect passes one gate: the
one-sided exact upper 95 % bound of the viewer's own rate of benign matches is at most 1 in 1,000 sessions, by its own
history or pooled with the signed base rate of the catalogue entry. All gated patterns together fit one budget of
expected extra checks; only a consensus needs none of it. A consensus that does not pass has the effect of precaution
up to 1 in 100: whom nobody warned yet may have been hit without noticing, and those matches look like ordinary ones.

What the viewer saw itself raises one thing: a report is a question that it can answer from its own history. Its own
flagged sessions are a voice that nobody can take away, and together with what others say they may corroborate.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ioint_protocol.pattern import Rate
from msgspec import Struct
from scipy.special import betaincinv

from ioint_node.reputation.rule import (
    COUNTED_SESSIONS,
    FULL_VOICE_LOG,
    LOG_BAD,
    LOG_GOOD,
    MICRO,
    SUBJECT_SESSIONS,
    THRESHOLD,
    TIERS,
)

EFFECT: Final = {"precautionary": 0.05, "disputed": 0.05, "corroborated": 0.10, "consensus": 0.30}
OWN_CLEAN_CAP = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """What the viewer is ready to pay.

    `tolerance` is the extra checks per 1,000 actions that all gated patterns together may cost; rates are per session,
    so it is turned into sessions with `session_actions`.
    """

    cheap_rate: float = 1 / 1000
    attention_rate: float = 1 / 100  # the same bound for what a consensus is given where acting is not cheap
    level: float = 0.95
    base_worth_sessions: int = 3_000
    tolerance: float = 1.0
    session_actions: int = 10
    sole_share: float = 1 / 3  # of the budget, for what one group alone reports
    first_reports: int = 5  # of a group in a week that may become precautionary
    clean_matches: int = 14  # benign matches without a bad one: log-odds below −2
    guard_share: float = 0.05  # of the actors of 30 days: what touches more waits for a person
    guard_actors: int = 5  # fewer are never too many
    shadow_days: int = 7  # for which what a new group says first is shown and has no effect

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
    """A gated pattern that asks for a share of the budget; `accusers` are the groups that accuse it itself.

    Who is heard of it by a more general pattern is none of them: to invent special cases of what many report costs one
    group nothing.
    """

    pattern: str
    accusers: tuple[str, ...]
    estimate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRecord:
    """Sessions of the last 30 days that contain a pattern: all, judged benign, judged flagged; and their actors.

    `ordinary_actors` are those of them in whose sessions with it nothing was flagged, or not in all.
    """

    sessions: int = 0
    benign: int = 0
    flagged: int = 0
    actors: int = 0
    ordinary_actors: int = 0


# One for each subject that a record is about: a frozen dataclass takes ten times as long to make.
class Grounds(Struct, frozen=True, kw_only=True):
    """All that is judged here about one subject: with the same grounds and `Params`, `judge` says the same anywhere.

    Attributes:
        network: the tier of the network part.
        calibrated: the same with every voice weighed by how it agreed with what this node saw itself.
        others: another group than the viewer's own accuses it itself.
        others_after_b: what the other groups accuse it with, weighed, without the b largest, in micro-units; None where
            nothing is made of it: below four groups, under review, and where this node flagged no session with it.
        public_subject: it is a package and no pattern.
        first: one of them made its first report within its weekly quota.
        known: such a one has been known here for longer than the shadow period.
        agreed: such a one mostly said what this node saw itself.
        rate: of our own ordinary sessions that complete it.
        base: the signed base rate of the catalogue entry; None for what the catalogue does not have.
        own: what this node saw of it.
        active: the actors of this node in the last 30 days.
        released: a person let it act however many actors it touches.
        allowed: a person of this organisation allowed it.
        switched_off: the effects of the network are off here.
        novel: it is a pattern that the catalogue does not have.
        broad: why it could be much ordinary work; None where it is specific.
        placed: it has a place among the novel patterns that are matched here.
        fits: it got its share of the budget.
    """

    network: str
    calibrated: str
    others: bool
    others_after_b: int | None = None
    public_subject: bool = False
    first: bool
    known: bool = True
    agreed: bool = True
    rate: Rate
    base: Rate | None
    own: OwnRecord
    active: int = 0
    released: bool = False
    allowed: bool = False
    switched_off: bool = False
    novel: bool = False
    broad: str | None = None
    placed: bool = False
    fits: bool = False

    @property
    def weighed(self) -> str:
        """The lower of the two tiers: how others agreed with this node can lower it, and raises nothing."""
        return min(self.network, self.calibrated, key=TIERS.index)

    @property
    def own_evidence(self) -> bool:
        """Whether what this node saw itself, added to what is left of the others, corroborates what they accuse.

        What others speak for is left as they dispute it.
        """
        advisory = self.weighed == "advisory" and self.network != "disputed"
        if not advisory or not self.others or self.others_after_b is None:
            return False
        own = own_voice(self.own, public_subject=self.public_subject)
        return own > 0 and self.others_after_b + own >= THRESHOLD

    @property
    def tier(self) -> str:
        """The tier that counts here."""
        return "corroborated" if self.own_evidence else self.weighed

    @property
    def warned(self) -> bool:
        """Whether others warn of it, whatever acts on that: an own session that contains it is an incident."""
        return self.tier != "none" and self.others and not self.allowed and self.broad is None

    @property
    def heard(self) -> bool:
        """Whether only this node's own rate and bounds can keep it from an effect."""
        return self.warned and (self.tier != "advisory" or (self.first and self.known and self.agreed))

    def clean(self, params: Params) -> bool:
        """Whether the viewer's own record speaks for it: many benign sessions with it, and no bad one."""
        return self.own.flagged == 0 and self.own.benign >= params.clean_matches

    def gate(self, params: Params) -> Gate:
        """Whether acting on it is cheap here."""
        return cheap(self.rate, self.base, params)

    def attention(self, params: Params) -> bool:
        """Whether a consensus that did not pass the gate is worth attention: hits of it may have gone unnoticed."""
        gate = self.gate(params)
        wide = not gate.open and gate.bound <= params.attention_rate
        return wide and self.tier == "consensus" and not self.clean(params)

    def budgeted(self, params: Params) -> bool:
        """Whether its effect takes a share of the budget: every one but a consensus in full."""
        return self.tier != "consensus" or self.clean(params)

    def candidate(self, params: Params) -> bool:
        """Whether it passed the gate and asks for a share of the budget."""
        acts = self.heard and not self.quarantined(params)
        return acts and self.budgeted(params) and self.gate(params).open

    def quarantined(self, params: Params) -> bool:
        """Whether too many actors meet it in ordinary work here for it to act before a person looked at it.

        Whom it is flagged at is not counted: an outbreak must not silence its own warning.
        """
        touched = self.own.ordinary_actors
        many = touched >= params.guard_actors and touched > params.guard_share * self.active
        return many and not self.released


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """What the viewer makes of it: the tier and the effect in force here, and why, in one code."""

    tier: str
    effect: float
    reason: str


def own_log_odds(own: OwnRecord, sessions: int) -> int:
    """What so many sessions, the flagged ones of the own record among them, say by the rule: micro log-odds."""
    log_odds = own.flagged * LOG_BAD + (sessions - own.flagged) * LOG_GOOD
    return log_odds * COUNTED_SESSIONS // sessions if sessions > COUNTED_SESSIONS else log_odds


def own_voice(own: OwnRecord, *, public_subject: bool) -> int:
    """The own record as a voice of the rule, in micro-units, −10⁶ (benign) … 10⁶ (accusing)."""
    if own.sessions == 0 or (public_subject and own.sessions < SUBJECT_SESSIONS):
        return 0
    return max(-MICRO, min(MICRO, own_log_odds(own, own.sessions) // FULL_VOICE_LOG))


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


def judge(grounds: Grounds, params: Params = PARAMS) -> Local:
    """The tier and the effect here, and the first reason that decided.

    The effect is never more than the network part's tier has, but for precaution and for own evidence.
    """
    tier = grounds.tier
    if tier == "none":
        return Local(tier="none", effect=0.0, reason="no_accusation")
    clean, attention = grounds.clean(params), grounds.attention(params)
    stops = (
        (grounds.allowed, "allowed_here"),
        (not grounds.others, "only_our_own"),
        (grounds.broad is not None, "too_broad"),
        (tier == "advisory" and not grounds.first, "over_quota"),
        (tier == "advisory" and not grounds.known, "new_here"),
        (tier == "advisory" and not grounds.agreed, "often_wrong_here"),
        (grounds.novel and not grounds.placed, "no_place"),
        (not grounds.gate(params).open and not attention, "not_cheap_here"),
        (grounds.quarantined(params), "quarantined"),
        (grounds.budgeted(params) and not grounds.fits, "over_budget"),
        (grounds.switched_off, "switched_off"),
    )
    for stopped, reason in stops:
        if stopped:
            return Local(tier="advisory", effect=0.0, reason=reason)
    if attention:
        return Local(tier="precautionary", effect=EFFECT["precautionary"], reason="attention")
    tier = "precautionary" if tier == "advisory" else tier
    if clean:
        return Local(tier=tier, effect=min(EFFECT[tier], OWN_CLEAN_CAP), reason="own_record_clean")
    return Local(tier=tier, effect=EFFECT[tier], reason="own_evidence" if grounds.own_evidence else tier)


def _estimate(matches: float, sessions: float) -> float:
    return matches / sessions if sessions > 0 else 1.0
