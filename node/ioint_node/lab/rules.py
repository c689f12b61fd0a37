"""The rules that are compared: the shipped one, what it was made from, and what others use.

A candidate is the shipped rule with a few lines changed. "TIER" is the rule as it was first published: nobody seconds
anything, nothing that a viewer saw itself corroborates, and a consensus passes no gate. A rival makes one number of
all counts; above a threshold, found on other seeds without an attack so that 1 % of the benign is flagged, it has the
effect of a consensus.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from msgspec.structs import replace

from ioint_node.lab.saying import Seconding
from ioint_node.lab.world import Bools, Floats, Ints
from ioint_node.reputation import gate
from ioint_node.reputation.gate import Grounds, Local, Params

RIVAL_EFFECT: Final = 0.30
PRIOR_BAD, PRIOR_SEEN = 0.2, 10.0  # of the Beta rules: .02 by default
LEAST_SEEN: Final = 3.0  # sessions before a member is counted by a rival
TRUSTED: Final = 10  # members that EigenTrust trusts beforehand
ROUNDS: Final = 10
HISTORY: Final = 100  # interactions after which Fides asks nobody else


def _as_seen(grounds: Grounds) -> Grounds:
    return grounds


def without_own_evidence(grounds: Grounds) -> Grounds:
    """As if nothing that the viewer saw itself corroborated what others accuse."""
    return replace(grounds, others_after_b=None)


def consensus_ungated(grounds: Grounds, params: Params) -> Local:
    """As if a consensus asked for no gate, unless the viewer's own record speaks for the pattern."""
    local = gate.judge(grounds, params)
    waits = local.reason in {"not_cheap_here", "attention"} and grounds.tier == "consensus"
    if waits and not grounds.clean(params) and not grounds.quarantined(params):
        return Local(tier="consensus", effect=gate.EFFECT["consensus"], reason="consensus")
    return local


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The shipped rule, changed: what members answer, what a viewer sees, how it judges what it sees."""

    name: str
    second: Seconding = Seconding.RARE
    see: Callable[[Grounds], Grounds] = _as_seen
    judge: Callable[[Grounds, Params], Local] = gate.judge


SHIPPED: Final = Candidate(name="IOINT")
CANDIDATES: Final = {
    rule.name: rule
    for rule in (
        SHIPPED,
        Candidate(name="TIER", second=Seconding.NEVER, see=without_own_evidence, judge=consensus_ungated),
        Candidate(name="TIER + seconding", see=without_own_evidence, judge=consensus_ungated),
        Candidate(name="TIER + seconding + gate", see=without_own_evidence),
        Candidate(name="TIER + own evidence", second=Seconding.NEVER, judge=consensus_ungated),
        Candidate(
            name="TIER + careless seconding",
            second=Seconding.ALWAYS,
            see=without_own_evidence,
            judge=consensus_ungated,
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What all members count of all subjects, decayed: `bad` of `seen` sessions, both members × subjects."""

    bad: Floats
    seen: Floats

    @property
    def told(self) -> Bools:
        """Whether a member says enough of a subject to be counted."""
        return self.seen >= LEAST_SEEN

    @property
    def mean(self) -> Floats:
        """The mean of each member's Beta posterior."""
        return (self.bad + PRIOR_BAD) / (self.seen + PRIOR_SEEN)

    def narrowed(self, subjects: Bools) -> Claims:
        """The same of some subjects."""
        return Claims(bad=self.bad[:, subjects], seen=self.seen[:, subjects])


def volume_mean(claims: Claims) -> Floats:
    """All bad sessions over all sessions."""
    return _floats(claims.bad.sum(0) / np.maximum(claims.seen.sum(0), 5))


def beta(claims: Claims) -> Floats:
    """The mean of the members' Beta means; of fewer than three, the missing ones count as clean."""
    told = claims.told
    return _floats((claims.mean * told).sum(0) / np.maximum(told.sum(0), 3))


def median(claims: Claims) -> Floats:
    """The median of the members' Beta means, from three members on."""
    means, count = _sorted_means(claims)
    column = np.arange(means.shape[1])
    low, high = np.maximum((count - 1) // 2, 0), count // 2
    middle = (means[low, column] + means[np.minimum(high, len(means) - 1), column]) / 2
    return np.where(count >= 3, middle, 0.0)


def trimmed(claims: Claims) -> Floats:
    """The mean without the lowest and the highest quarter, of at least two members."""
    means, count = _sorted_means(claims)
    cut = count // 4
    rank = np.arange(len(means))[:, None]
    kept = (rank >= cut) & (rank < count - cut)
    total = np.where(kept, means, 0).sum(0)
    return np.where(count - 2 * cut >= 2, total / np.maximum(kept.sum(0), 1), 0.0)


def eigentrust(claims: Claims) -> Floats:
    """Members trusted by agreement of opinions, from ten that are trusted beforehand (Kamvar et al. 2003, a = .2)."""
    told = claims.told
    opinions = np.where(told, claims.mean - 0.05, 0)
    opinions = np.sign(opinions) * (np.abs(opinions) > 0.01)
    agreed = np.clip(opinions @ opinions.T, 0, None)
    np.fill_diagonal(agreed, 0)
    agreed = agreed / np.maximum(agreed.sum(1, keepdims=True), 1e-9)
    members = len(told)
    before = np.zeros(members)
    before[np.random.default_rng(5).choice(members, min(TRUSTED, members), replace=False)] = 1
    before /= before.sum()
    trust = before.copy()
    for _ in range(ROUNDS):
        trust = 0.8 * (agreed.T @ trust) + 0.2 * before
    weight = trust[:, None] * told
    return _floats((weight * claims.mean).sum(0) / np.maximum(weight.sum(0), 2 * trust.mean()))


def crh(claims: Claims) -> Floats:
    """Truth discovery: weights by the loss against the weighted mean, in turns (Li et al., SIGMOD 2014)."""
    means, told = claims.mean, claims.told
    weight = np.ones(len(means))
    truth = np.zeros(means.shape[1])
    for _ in range(ROUNDS):
        truth = (weight[:, None] * means * told).sum(0) / np.maximum((weight[:, None] * told).sum(0), 1e-9)
        loss = (((means - truth) ** 2) * told).sum(1) / np.maximum(told.sum(1), 1) + 1e-6
        weight = np.clip(-np.log(loss / loss.sum()), 0, None)
    return _floats(truth * (told.sum(0) >= 2))


def fides(claims: Claims) -> Floats:
    """Slips' Fides: service trust from past satisfaction, and reports weighed by it.

    Every subject that a member speaks of is one interaction, judged by its distance from the aggregate; service trust
    is st = (h/100)(cb − ib/2) + (1 − h/100)·.5, with cb the mean satisfaction and ib its deviation (around cb, not
    around the faded value of the thesis, which punishes constancy). Aggregate and trust are computed in turns.
    """
    told = claims.told
    score = 1 - 2 * np.clip(
        claims.bad / np.maximum(claims.seen, 1), 0, 1
    )  # 1 good … −1 bad, as in its alerts
    sure = claims.seen / (claims.seen + PRIOR_SEEN)
    trust = np.full(len(told), 0.5)
    history = np.minimum(told.sum(1), HISTORY)
    together = np.zeros(told.shape[1])
    for _ in range(ROUNDS):
        weight = trust[:, None] * told
        share = weight / np.maximum(weight.sum(0), 1e-9)
        together, confidence = (share * score).sum(0), (share * sure).sum(0)
        satisfied = (1 - np.abs(together - score) / 2 * sure) * confidence
        count = np.maximum(told.sum(1), 1)
        mean = (satisfied * told).sum(1) / count
        deviation = np.sqrt((((satisfied - mean[:, None]) ** 2) * told).sum(1) / count)
        known = history / HISTORY
        trust = np.clip(known * (mean - deviation / 2) + (1 - known) * 0.5, 0, 1)
    weight = trust[:, None] * told
    confidence = (weight * sure).sum(0) / np.maximum(weight.sum(0), 1e-9)
    return _floats(np.where(told.any(0), (1 - together) / 2 * confidence, 0.0))


Rival = Callable[[Claims], Floats]
RIVALS: Final[Mapping[str, Rival]] = {
    "volume mean": volume_mean,
    "Beta": beta,
    "median": median,
    "trimmed mean": trimmed,
    "EigenTrust": eigentrust,
    "CRH": crh,
    "Fides": fides,
}


def threshold(scores: Floats, benign_flagged: float = 0.01) -> float:
    """The score above which this share of what is benign is flagged."""
    return float(np.quantile(scores, 1 - benign_flagged))


def _sorted_means(claims: Claims) -> tuple[Floats, Ints]:
    told = claims.told
    return np.sort(np.where(told, claims.mean, np.inf), axis=0), told.sum(0)


def _floats(values: Floats) -> Floats:
    return np.asarray(values, np.float64)
