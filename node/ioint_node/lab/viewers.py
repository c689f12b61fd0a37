"""The measured members: what each knows itself, and what `reputation.gate` makes of it there."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from ioint_protocol.pattern import Rate
from msgspec.structs import replace

from ioint_node.lab.rules import Candidate
from ioint_node.lab.tallies import Tallies, group_name
from ioint_node.lab.world import ACTOR_SESSIONS, Floats, Met, World
from ioint_node.reputation import calibration, gate
from ioint_node.reputation.gate import Grounds, OwnRecord, Params
from ioint_node.reputation.rule import LIFE_DAYS, MICRO, Network, Scales


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """What is said of a pattern, as every viewer hears it.

    `anchor` is the day of the first live report, `first` the accusing groups whose first report was within its quota.
    """

    network: Network
    accusers: tuple[str, ...]
    anchor: int
    first: tuple[str, ...]


def talk(network: Network, firsts: Mapping[str, tuple[float, bool]], day: int) -> Talk:
    """What is said, given by group when its first report came, and whether it was within the quota."""
    live = {group: first for group, first in firsts.items() if day - first[0] < LIFE_DAYS}
    accusers = tuple([v.group for v in network.voices if v.accusing > 0])
    return Talk(
        network=network,
        accusers=accusers,
        anchor=min((int(at) for at, _ in live.values()), default=day),
        first=tuple(group for group in accusers if group in live and live[group][1]),
    )


class Viewers:
    """The measured members, and the effects in force there: members × patterns."""

    def __init__(self, world: World, members: Sequence[int], candidate: Candidate, params: Params) -> None:
        self.effects: Floats = np.zeros((len(members), world.setting.nature.patterns))
        self._viewers = [Viewer(world, member, candidate, params) for member in members]
        self._by_member = {viewer.member: viewer for viewer in self._viewers}

    def meet(self, met: Met) -> None:
        """Note a campaign session at one of them."""
        viewer = self._by_member.get(met.member)
        if viewer is not None:
            viewer.meet(met)

    def calibrate(self, tallies: Tallies) -> None:
        """Weigh at each the groups by what it saw itself."""
        conclude = lru_cache(maxsize=None)(tallies.conclude)
        for viewer in self._viewers:
            viewer.calibrate(conclude)

    def judge(self, talks: Mapping[int, Talk], scales: Scales, day: int) -> None:
        """Judge some patterns anew at each."""
        for index, viewer in enumerate(self._viewers):
            for pattern, effect in viewer.judge(talks, scales, day).items():
                self.effects[index, pattern] = effect


class Viewer:
    """One member: what it knows itself, and what it makes of what others say."""

    def __init__(self, world: World, member: int, candidate: Candidate, params: Params) -> None:
        self.member = member
        self._world, self._candidate, self._params = world, candidate, params
        self._us = group_name(member)
        self._grounds: dict[int, Grounds] = {}
        self._asking: dict[int, gate.Candidate] = {}
        self._fits: frozenset[str] = frozenset()
        self._weights: Mapping[str, int] = {}
        self._day = -1
        self._facts: dict[tuple[int, int], tuple[Rate, OwnRecord, int]] = {}
        self._missed: dict[int, list[float]] = defaultdict(list)
        self._flagged: dict[int, list[float]] = defaultdict(list)
        for one in world.named:
            if one.member == member:
                self._flagged[one.pattern].append(one.at)

    def meet(self, met: Met) -> None:
        """Note a campaign session: a flagged match, or one that looks like any other."""
        (self._flagged if met.noticed else self._missed)[met.pattern].append(met.at)
        self._facts.clear()

    def calibrate(self, conclude: Callable[[int], Network]) -> None:
        """Weigh the groups by what was seen here."""
        seen = []
        for pattern, grounds in self._grounds.items():
            bad = calibration.strong(grounds.own)
            if bad is not None:
                sides = calibration.sides(conclude(pattern).voices)
                sides.pop(self._us, None)
                seen.append(calibration.Observation(bad=bad, public_subject=False, sides=sides))
        self._weights = calibration.weights(seen)

    def judge(self, talks: Mapping[int, Talk], scales: Scales, day: int) -> dict[int, float]:
        """The effects of some patterns, and of those whose share of the budget that changes."""
        moved = False
        for pattern, said in talks.items():
            mine = self._grounds[pattern] = self._see(pattern, said, scales, day)
            wants = None
            if mine.candidate(self._params):
                cost = mine.gate(self._params).estimate
                wants = gate.Candidate(pattern=_name(pattern), accusers=said.accusers, estimate=cost)
            if wants != self._asking.get(pattern):
                moved = True
                if wants is None:
                    del self._asking[pattern]
                else:
                    self._asking[pattern] = wants
        fits = gate.allocate(self._asking.values(), self._params) if moved else self._fits
        changed = {int(name) for name in fits ^ self._fits} | talks.keys()
        self._fits = fits
        return {pattern: self._effect(pattern) for pattern in changed}

    def _effect(self, pattern: int) -> float:
        grounds = self._grounds[pattern]
        if _name(pattern) in self._fits:
            grounds = replace(grounds, fits=True)
        return self._candidate.judge(grounds, self._params).effect

    def _see(self, pattern: int, said: Talk, scales: Scales, day: int) -> Grounds:
        """The grounds of a pattern."""
        rate, own, active = self._known(pattern, said.anchor, day)
        network, calibrated = said.network, said.network.tier
        # Weights only lower, and what somebody accuses is never lower than advisory.
        if calibrated not in ("none", "advisory"):
            calibrated = calibration.weighed_tier(network, self._weights, scales)
        left = None
        if own.flagged and calibrated == "advisory":  # nothing else asks for it
            left = calibration.left_of_others(network, self._weights, self._us)
        first = [group for group in said.first if group != self._us]
        grounds = Grounds(
            network=network.tier,
            calibrated=calibrated,
            others_after_b=left,
            others=any(group != self._us for group in said.accusers),
            first=bool(first),
            agreed=any(self._weights.get(group, MICRO) > calibration.FLOOR for group in first),
            rate=rate,
            base=_base(int(self._world.base[pattern]), self._world.setting.nature.base_sessions),
            own=own,
            active=active,
        )
        return self._candidate.see(grounds)

    def _known(self, pattern: int, anchor: int, day: int) -> tuple[Rate, OwnRecord, int]:
        """The own rate and the own record of a pattern, and the actors of 30 days: the same for the whole day."""
        if self._day != day:
            self._day = day
            self._facts.clear()
        key = pattern, anchor
        if key not in self._facts:
            self._facts[key] = self._look_up(pattern, anchor, day)
        return self._facts[key]

    def _look_up(self, pattern: int, anchor: int, day: int) -> tuple[Rate, OwnRecord, int]:
        world, member = self._world, self.member
        judged = world.setting.nature.judged
        flagged = sum(0 <= day + 1 - at < LIFE_DAYS for at in self._flagged.get(pattern, ()))
        missed = sum(0 <= anchor - at < LIFE_DAYS for at in self._missed.get(pattern, ()))
        month = world.matched(member, pattern, day)
        before, since = (
            world.matched(member, pattern, anchor),
            world.matched(member, pattern, day, day - anchor),
        )
        active = world.worked(member, day) // (ACTOR_SESSIONS * LIFE_DAYS) + 1
        rate = Rate(
            matches=before + missed + round(judged * since),
            sessions=world.worked(member, day, day - anchor + LIFE_DAYS),
        )
        own = OwnRecord(
            sessions=month + flagged,
            benign=round(judged * month),
            flagged=flagged,
            ordinary_actors=round(active * -math.expm1(-month / active)),
        )
        return rate, own, active


def _name(pattern: int) -> str:
    return f"{pattern:05d}"


@lru_cache(maxsize=4_096)
def _base(matches: int, sessions: int) -> Rate:
    return Rate(matches=matches, sessions=sessions)
