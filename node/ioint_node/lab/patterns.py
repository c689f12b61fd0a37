"""Risky patterns under the rule as it is shipped: who is warned in time, what it costs, what liars move.

Time advances in steps of two hours. What is said in a step takes effect after it, so that a delay of 0 means the same
step. The network part is `reputation.rule`, the local part `reputation.gate`; here is only who asks them when.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from ioint_node.lab.attacks import attack, liars_of, victim_of
from ioint_node.lab.meter import Figures, Meter
from ioint_node.lab.rules import RIVAL_EFFECT, SHIPPED, Candidate, Claims, Rival, threshold
from ioint_node.lab.saying import Said, Seconding, answered, honest
from ioint_node.lab.tallies import Tallies, electorates, member_name
from ioint_node.lab.viewers import Viewers, talk
from ioint_node.lab.world import Bools, Floats, Met, Setting, World, draw
from ioint_node.reputation import gate
from ioint_node.reputation.gate import Params
from ioint_node.reputation.rule import LIFE_DAYS, Network

STEPS: Final = 12  # of a day
CALIBRATION_SEEDS: Final = (900, 901, 902)
DISPUTED_SESSIONS: Final = 64  # what a rival takes a dispute for


def run(
    world: World, candidate: Candidate = SHIPPED, params: Params = gate.PARAMS, *, viewers: int = 24
) -> Figures:
    """What the shipped rule, or a candidate made of it, does in a world; `viewers` members are measured at most."""
    assault, liars = attack(world), frozenset(liars_of(world))
    said = answered(world, [*honest(world), *assault.said], candidate.second)
    voters = electorates(world.setting)
    hostile = frozenset(voters[0].group_of[member_name(m)] for m in liars)
    counted = first_reports(said, voters[0].group_of, params)
    firsts: dict[int, dict[str, tuple[float, bool]]] = defaultdict(dict)
    members = measured(world, viewers)
    view, meter = Viewers(world, members, candidate, params), Meter(world, members)
    tallies, blindness = Tallies(voters, assault, liars), Blindness(members)
    for step, (new, sessions) in enumerate(_steps(world, said)):
        day = step // STEPS
        for met in sessions:
            blindness.meet(met, view, meter)
        changed = tallies.turn(day) if step % STEPS == 0 else set()
        for one in new:
            tallies.say(one)
            group = voters[0].group_of[member_name(one.member)]
            counts = counted.get((one.pattern, group, one.at))
            if counts is not None and one.member not in assault.unheard:
                firsts[one.pattern][group] = one.at, counts
        changed |= tallies.settle(day)
        if step % STEPS == 0:
            view.calibrate(tallies)
        if changed:
            networks = {p: tallies.conclude(p) for p in sorted(changed)}
            meter.unsupported = max(
                [meter.unsupported, *(unsupported(n, hostile) for n in networks.values())]
            )
            talks = {p: talk(network, firsts[p], day) for p, network in networks.items()}
            view.judge(talks, tallies.scales, day)
            meter.reach(view.effects, (step + 1) / STEPS)
        if step % STEPS == STEPS - 1:
            slandered = np.isin(np.arange(len(world.risky)), sorted(tallies.accused_by(liars))) & ~world.risky
            meter.day(view.effects, slandered)
    return meter.figures()


def run_rival(world: World, rival: Rival, least: float, *, viewers: int = 24) -> Figures:
    """What a rival rule does in the same world: everything above a score has the effect of a consensus, everywhere."""
    assault, liars = attack(world), frozenset(liars_of(world))
    said = answered(world, [*honest(world), *assault.said], Seconding.NEVER)
    members = measured(world, viewers)
    meter, blindness, book = Meter(world, members), Blindness(members), _Book(world)
    view = _Everywhere(world, members)
    for step, (new, sessions) in enumerate(_steps(world, said)):
        for met in sessions:
            blindness.meet(met, view, meter)
        for one in new:
            if one.member not in assault.unheard:
                book.note(one)
        if new or step % STEPS == 0:
            scores = rival(book.claims(step / STEPS))
            view.effects[:] = np.where(scores > least, RIVAL_EFFECT, 0.0)[None]
            meter.reach(view.effects, (step + 1) / STEPS)
        if step % STEPS == STEPS - 1:
            meter.day(view.effects, book.accused_by(liars) & ~world.risky)
    return meter.figures()


def calibrate(orgs: int, rivals: Mapping[str, Rival]) -> dict[str, float]:
    """The scores above which each rival flags 1 % of what no campaign uses, without an attack, on other seeds."""
    scores: dict[str, list[Floats]] = defaultdict(list)
    for seed in CALIBRATION_SEEDS:
        world = draw(Setting(orgs=orgs, seed=seed))
        book = _Book(world)
        for one in answered(world, honest(world), Seconding.NEVER):
            book.note(one)
        claims = book.claims(float(world.setting.nature.days))
        for name, rival in rivals.items():
            scores[name].append(rival(claims)[~world.risky])
    return {name: threshold(np.concatenate(found)) for name, found in scores.items()}


def measured(world: World, count: int) -> tuple[int, ...]:
    """The honest members that are measured: all of a small consortium, an even draw of a large one, or the victim."""
    if world.setting.attack == "viewer" and world.setting.hostile:
        return (victim_of(world),)
    members = np.flatnonzero(~world.hostile)
    if len(members) > count:
        rng = np.random.default_rng((world.setting.seed, 11))
        members = np.sort(rng.choice(members, count, replace=False))
    return tuple(int(m) for m in members)


def first_reports(
    said: Iterable[Said], group_of: Mapping[str, str], params: Params
) -> dict[tuple[int, str, float], bool]:
    """By pattern, group and instant: the first reports within 30 days, and whether each was within the quota."""
    last: dict[tuple[int, str], float] = {}
    days: dict[str, list[int]] = defaultdict(list)
    found = {}
    for one in said:
        group = group_of[member_name(one.member)]
        if one.kind != "report" or one.at - last.get((one.pattern, group), -LIFE_DAYS) < LIFE_DAYS:
            continue
        last[one.pattern, group] = one.at
        counts = gate.within_quota(days[group], int(one.at), params)
        if counts:
            days[group].append(int(one.at))
        found[one.pattern, group, one.at] = counts
    return found


def unsupported(network: Network, hostile: Collection[str]) -> float:
    """The largest effect that this tier can have anywhere, where nobody but liars accuses."""
    if network.tier == "none" or any(v.accusing > 0 and v.group not in hostile for v in network.voices):
        return 0.0
    return gate.EFFECT["precautionary" if network.tier == "advisory" else network.tier]


class Blindness:
    """Which sessions of a campaign come later at members that have reported nothing of the kind themselves."""

    def __init__(self, members: Sequence[int]) -> None:
        self._at = {member: index for index, member in enumerate(members)}
        self._first: dict[tuple[int, int], int] = {}
        self._own: set[tuple[int, int]] = set()

    def meet(self, met: Met, view: Viewers | _Everywhere, meter: Meter) -> None:
        """Meet a session: the effect in force counts where it is a later one at a measured member."""
        first, index = self._first.get((met.campaign, met.pattern)), self._at.get(met.member)
        if first is not None and first != met.member and index is not None:
            if (met.member, met.pattern) in self._own:
                meter.know(float(view.effects[index, met.pattern]))
            else:
                meter.meet(float(view.effects[index, met.pattern]))
        view.meet(met)
        if met.published:
            self._own.add((met.member, met.pattern))
            if first is None:
                self._first[met.campaign, met.pattern] = met.member
                meter.begin(met.campaign, met.pattern, met.at)


class _Everywhere:
    """Effects that are the same at every member, whatever it knows itself."""

    def __init__(self, world: World, members: Sequence[int]) -> None:
        self.effects: Floats = np.zeros((len(members), world.setting.nature.patterns))

    def meet(self, met: Met) -> None:
        """A session changes nothing here."""


class _Book:
    """The counts that members have told, as rivals take them."""

    def __init__(self, world: World) -> None:
        members = world.members + (world.setting.hostile if world.setting.attack == "sybil" else 0)
        shape = members, world.setting.nature.patterns
        self._bad, self._seen, self._at = np.zeros(shape), np.zeros(shape), np.full(shape, -np.inf)

    def note(self, said: Said) -> None:
        """Keep the newest counts of a member."""
        bad = {"report": 1 << said.bad, "sighting": 1 << said.seen, "dispute": 0}[said.kind]
        seen = {"report": 1 << said.seen, "sighting": 1 << said.seen, "dispute": DISPUTED_SESSIONS}[said.kind]
        key = said.member, said.pattern
        self._bad[key], self._seen[key], self._at[key] = bad, max(bad, seen), said.at

    def claims(self, now: float) -> Claims:
        """All counts, decayed as voices are."""
        age = now - self._at
        left = np.where(age < LIFE_DAYS, 0.9 ** np.floor(np.clip(age, 0, LIFE_DAYS) / 7), 0)
        return Claims(bad=self._bad * left, seen=self._seen * left)

    def accused_by(self, members: Collection[int]) -> Bools:
        """Which patterns one of these members accuses."""
        return np.asarray((self._bad[sorted(members)] > 1).any(0))


def _steps(world: World, said: Sequence[Said]) -> Iterator[tuple[list[Said], list[Met]]]:
    """What is said and what is met in each step."""
    count = world.setting.nature.days * STEPS
    new: list[list[Said]] = [[] for _ in range(count)]
    met: list[list[Met]] = [[] for _ in range(count)]
    for one in said:
        if one.at * STEPS < count:
            new[int(one.at * STEPS)].append(one)
    for session in world.met:
        met[int(session.at * STEPS)].append(session)
    return zip(new, met, strict=True)
