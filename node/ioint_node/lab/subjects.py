"""Public subjects (packages, MCP servers, agent cards): twelve weeks of counts, the rule beside its rivals.

Every member uses some of 200 subjects, of which a fifth is truly risky; a tenth of the others is noisy, and a tenth of
the honest members has a detector that errs five times as often. A member says nothing bad before three actors met
it, and counts are blurred (discrete Laplace noise). What is measured is the network part: what it is worth at a viewer
hangs on that viewer's gate.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from ioint_node.lab.rules import RIVAL_EFFECT, Claims, Rival, threshold
from ioint_node.lab.saying import BENIGN_MATCHES, exponent
from ioint_node.lab.tallies import DAY_ZERO, answering, group_name, member_name
from ioint_node.lab.world import SPONSORS, Bools, Floats, Ints
from ioint_node.reputation import rule
from ioint_node.reputation.gate import EFFECT
from ioint_node.reputation.rule import MICRO, Electorate, Scales, Statement
from ioint_node.reputation.tally import tallied

SUBJECTS: Final = 200
WEEKS: Final = 12
RISKY_SHARE: Final = 0.2
RISKY_RATE, BENIGN_RATE, NOISY_RATE = 0.15, 0.004, 0.02
TARGETS: Final = 15
LEAST_ACTORS: Final = 3
LEAST_USERS: Final = 5  # honest ones, for a subject whose detection is counted
COUNTED_WEEKS: Final = 4  # a statement tells the counts of 30 days
JOIN_WEEK: Final = 4
BURST: Final = (6, 9)  # weeks
CALIBRATION_SEEDS: Final = tuple(range(900, 906))
SUBJECT_ATTACKS: Final = ("none", "slander", "camouflage", "whitewash", "both", "sybil", "onoff")


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectSetting:
    """So many members, which share of them is hostile, how they attack, and the seed."""

    orgs: int = 100
    hostile: float = 0.0
    attack: str = "none"
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class SubjectWorld:
    """What is counted: `bad` of `seen` as told, members × subjects × weeks. Sybils come last and join in week 4."""

    setting: SubjectSetting
    hostile: Bools
    risky: Bools
    slandered: Ints
    hidden: Ints
    known: Bools
    bad: Ints
    seen: Ints
    lends: Bools


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectFigures:
    """What one rule did: shares of subjects, and effects.

    `tpr` and `fpr` are of risky and benign subjects that nobody attacked, at the peak of the attack; `effect` is the
    mean effect on the risky ones, `weeks` the median time until they have any. `slander` is the share of slandered
    subjects with .05, .10 and .30, `damage` their mean effect; `seen` the share of hidden ones with any effect left.
    """

    tpr: float
    fpr: float
    effect: float
    slander: tuple[float, float, float] | None
    damage: float | None
    seen: float | None
    weeks: float


def draw_subjects(setting: SubjectSetting) -> SubjectWorld:
    """The world of a setting."""
    rng = np.random.default_rng(setting.seed)
    n0, attack = setting.orgs, setting.attack
    hostile_count = round(setting.hostile * n0)
    if attack == "sybil":
        n = n0 + round(setting.hostile / (1 - setting.hostile) * n0)
        hostile = np.arange(n) >= n0
    else:
        n, hostile = n0, np.zeros(n0, bool)
        hostile[rng.choice(n0, hostile_count, replace=False)] = True
    risky = np.zeros(SUBJECTS, bool)
    risky[rng.choice(SUBJECTS, int(SUBJECTS * RISKY_SHARE), replace=False)] = True
    uses = rng.random((n, SUBJECTS)) < np.clip(rng.beta(0.8, 4, SUBJECTS), 0.03, 0.8)
    seen, bad = _counts(rng, uses, risky)
    slandered = _targets(rng, ~risky, attack in {"slander", "camouflage", "sybil", "onoff", "both"})
    hidden = _targets(rng, risky, attack in {"whitewash", "both", "sybil"})
    seen, bad = _released(rng, seen, bad, uses)
    world = SubjectWorld(
        setting=setting,
        hostile=hostile,
        risky=risky,
        slandered=slandered,
        hidden=hidden,
        known=(uses & ~hostile[:, None])[:n0].sum(0) >= LEAST_USERS,
        bad=bad,
        seen=seen,
        lends=rng.random(n) < 0.3,
    )
    if hostile.any():
        _lie(rng, world)
    return world


def _counts(rng: np.random.Generator, uses: Bools, risky: Bools) -> tuple[Ints, Ints]:
    n = len(uses)
    a_week = np.clip(rng.lognormal(np.log(8), 1, n), 1, 100)
    rate = np.where(risky, RISKY_RATE, BENIGN_RATE) * np.ones((n, 1))
    rate[:, ~risky & (rng.random(SUBJECTS) < 0.1)] = NOISY_RATE
    spread, errs = rng.lognormal(0, 0.5, (n, 1)), np.where(rng.random((n, 1)) < 0.1, 5, 1)
    rate = np.clip(np.where(risky, rate * spread, rate * errs), 0, 0.6)
    seen = rng.poisson(a_week[:, None, None], (n, SUBJECTS, WEEKS)) * uses[:, :, None]
    return seen, rng.binomial(seen, rate[:, :, None])


def _released(rng: np.random.Generator, seen: Ints, bad: Ints, uses: Bools) -> tuple[Ints, Ints]:
    """The counts as they leave: blurred, and nothing bad before enough actors met it."""
    so_far = np.cumsum(bad, 2)
    leaves = so_far >= LEAST_ACTORS
    first = leaves & ~np.concatenate([np.zeros_like(leaves[:, :, :1]), leaves[:, :, :-1]], 2)
    told = np.where(leaves & (bad > 0), np.maximum(bad + _laplace(rng, bad.shape), 0), 0)
    told = np.where(first, np.maximum(so_far + _laplace(rng, bad.shape), 0), told)
    seen = np.maximum(seen + _laplace(rng, seen.shape) * uses[:, :, None], 0)
    return seen, np.minimum(told, seen)


def _laplace(rng: np.random.Generator, shape: tuple[int, ...]) -> Ints:
    p = 1 - np.exp(-1)
    return rng.geometric(p, shape) - rng.geometric(p, shape)


def _targets(rng: np.random.Generator, among: Bools, wanted: bool) -> Ints:
    return rng.choice(np.flatnonzero(among), TARGETS if wanted else 0, replace=False)


def _lie(rng: np.random.Generator, world: SubjectWorld) -> None:
    """Write what the hostile say over what they would have said honestly."""
    attack, hostile, bad, seen = world.setting.attack, world.hostile, world.bad, world.seen
    slandered, hidden = world.slandered, world.hidden
    weeks = np.arange(WEEKS)
    if attack == "onoff":
        weeks = weeks[BURST[0] : BURST[1]]
    elif attack == "sybil":
        weeks = weeks[JOIN_WEEK:]
        bad[hostile, :, :JOIN_WEEK] = seen[hostile, :, :JOIN_WEEK] = 0
    elif attack == "slander":
        bad[hostile] = seen[hostile] = 0  # crude: they speak of their targets alone
    for week in weeks:
        loud = rng.poisson(20, (int(hostile.sum()), len(slandered))) + 1
        bad[np.ix_(hostile, slandered, [week])] = loud[:, :, None]
        seen[np.ix_(hostile, slandered, [week])] = loud[:, :, None]
        bad[np.ix_(hostile, hidden, [week])] = 0
        seen[np.ix_(hostile, hidden, [week])] = 200


def run_subjects(world: SubjectWorld, judge: Callable[[SubjectWorld, int], Floats]) -> SubjectFigures:
    """What a rule does; `judge` gives the effect on every subject after so many weeks."""
    peak = BURST[1] - 1 if world.setting.attack == "onoff" else WEEKS - 1
    detected = np.full(SUBJECTS, WEEKS + 1.0)
    at_peak = np.zeros(SUBJECTS)
    for week in range(WEEKS):
        effects = judge(world, week)
        detected = np.where((effects > 0) & (detected > WEEKS), week + 1, detected)
        if week == peak:
            at_peak = effects
    benign, risky = ~world.risky, world.risky & world.known
    benign[world.slandered] = False
    watched = risky.copy()
    watched[world.hidden] = False
    hidden = [s for s in world.hidden if risky[s]]
    lied = at_peak[world.slandered]
    slander = None
    if len(lied):
        slander = (
            float((lied > 0.04).mean()),
            float((lied > 0.06).mean()),
            float((lied > 0.2).mean()),
        )
    return SubjectFigures(
        tpr=float((at_peak[watched] > 0).mean()),
        fpr=float((at_peak[benign] > 0).mean()),
        effect=float(at_peak[watched].mean()),
        slander=slander,
        damage=float(lied.mean()) if len(lied) else None,
        seen=float((at_peak[hidden] > 0).mean()) if hidden else None,
        weeks=float(np.median(detected[risky])),
    )


def by_tier(world: SubjectWorld, week: int) -> Floats:
    """The effect of the network part of every subject, as it is shipped; precaution is a viewer's own, not counted."""
    scales = _scales(world, week)
    said = _statements(world, week)
    accused = Counter(
        scales.voters.group_of[s.author]
        for about in said.values()
        for s in about
        if s.kind == "report" and s.author in scales.voters.group_of
    )
    scales = Scales(
        voters=scales.voters,
        today=scales.today,
        halvings={group: t for group, count in accused.items() if (t := rule.halvings(count))},
    )
    effects = np.zeros(SUBJECTS)
    for subject, statements in said.items():
        tier = tallied(str(subject), answering(statements), scales, public_subject=True).outcome().tier
        effects[subject] = EFFECT.get(tier, 0.0)
    return effects


def _statements(world: SubjectWorld, week: int) -> dict[int, list[Statement]]:
    """What every member says of every subject after a week: a report of 30 days, or a benign voice in answer."""
    opens = max(0, week - COUNTED_WEEKS + 1)
    bad, seen = world.bad[:, :, opens : week + 1].sum(2), world.seen[:, :, opens : week + 1].sum(2)
    today = DAY_ZERO + 7 * week
    said: dict[int, list[Statement]] = defaultdict(list)
    for member, subject in zip(*np.nonzero(bad), strict=True):
        exponents = exponent(int(bad[member, subject])), exponent(int(seen[member, subject]))
        said[int(subject)].append(_statement(int(member), int(subject), today, exponents))
    # A liar that hides a subject speaks for it whether or not that is its custom.
    lends = world.lends[:, None] | (world.hostile[:, None] & np.isin(np.arange(SUBJECTS), world.hidden)[None])
    for member, subject in zip(*np.nonzero(lends & (bad == 0) & (seen >= BENIGN_MATCHES)), strict=True):
        if int(subject) in said:
            said[int(subject)].append(_statement(int(member), int(subject), today, None))
    return said


def _statement(member: int, subject: int, day: int, counts: tuple[int, int] | None) -> Statement:
    """A report with the exponents of its counts, or a dispute."""
    author, kind = member_name(member), "report" if counts else "dispute"
    bad, seen = counts or (0, 0)
    return Statement(id=f"{author}:{subject}", author=author, kind=kind, bad=bad, seen=seen, day=day)


def _scales(world: SubjectWorld, week: int) -> Scales:
    n0, today = world.setting.orgs, DAY_ZERO + 7 * week
    groups = {member_name(m): group_name(m) for m in range(n0)}
    tenure = dict.fromkeys(groups.values(), MICRO)
    if week >= JOIN_WEEK:
        for member in range(n0, len(world.hostile)):
            group = groups[member_name(member)] = f"s{member % SPONSORS}"
            tenure[group] = rule.tenure(DAY_ZERO + 7 * JOIN_WEEK, today)
    return Scales(voters=Electorate(groups=len(tenure), group_of=groups, tenure=tenure), today=today)


def by_rival(rival: Rival, least: float) -> Callable[[SubjectWorld, int], Floats]:
    """A rival above a score has the effect of a consensus; it is told every count, those of clean use too."""

    def judge(world: SubjectWorld, week: int) -> Floats:
        return np.where(rival(_claims(world, week)) > least, RIVAL_EFFECT, 0.0)

    return judge


def calibrate_subjects(orgs: int, rivals: Mapping[str, Rival]) -> dict[str, float]:
    """The scores above which each rival flags 1 % of the benign subjects, without an attack, on other seeds."""
    worlds = [draw_subjects(SubjectSetting(orgs=orgs, seed=seed)) for seed in CALIBRATION_SEEDS]
    return {
        name: threshold(np.concatenate([rival(_claims(w, WEEKS - 1))[~w.risky] for w in worlds]))
        for name, rival in rivals.items()
    }


def _claims(world: SubjectWorld, week: int) -> Claims:
    left = 0.9 ** np.arange(week, -1, -1)
    return Claims(bad=world.bad[:, :, : week + 1] @ left, seen=world.seen[:, :, : week + 1] @ left)
