"""The measured members: what each knows itself, and what `reputation.gate` makes of it there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from ioint_protocol.pattern import Rate
from msgspec.structs import replace

from ioint_node.lab.rules import Candidate
from ioint_node.lab.saying import exponent
from ioint_node.lab.tally import group_name
from ioint_node.lab.world import ACTOR_SESSIONS, Floats, Met, World
from ioint_node.reputation import gate, rule
from ioint_node.reputation.gate import Grounds, OwnRecord, Params
from ioint_node.reputation.rule import LIFE_DAYS, Network, Statement

Firsts = Mapping[str, tuple[float, bool]]
"""By group: when its first live report of a pattern came, and whether it was within the group's quota."""


class Viewers:
    """The measured members: what each knows itself, and the effects in force there."""

    def __init__(self, world: World, members: Sequence[int], candidate: Candidate, params: Params) -> None:
        self.world, self.members, self._candidate, self._params = world, tuple(members), candidate, params
        patterns = world.setting.nature.patterns
        self.effects: Floats = np.zeros((len(members), patterns))
        self._grounds: list[dict[int, Grounds]] = [{} for _ in members]
        self._asking: list[dict[int, gate.Candidate]] = [{} for _ in members]
        self._fits: list[frozenset[str]] = [frozenset() for _ in members]
        self._noticed: dict[tuple[int, int], list[float]] = defaultdict(list)
        self._missed: dict[tuple[int, int], list[float]] = defaultdict(list)
        self._groups = [group_name(m) for m in members]

    def meet(self, met: Met) -> None:
        """Note a campaign session: a flagged match, or one that looks like any other."""
        notes = self._noticed if met.noticed else self._missed
        notes[met.member, met.pattern].append(met.at)

    def judge(self, networks: Mapping[int, Network], firsts: Mapping[int, Firsts], day: int) -> None:
        """Judge some patterns anew at every measured member."""
        for viewer in range(len(self.members)):
            self._judge_at(viewer, networks, firsts, day)

    def _judge_at(
        self,
        viewer: int,
        networks: Mapping[int, Network],
        firsts: Mapping[int, Firsts],
        day: int,
    ) -> None:
        grounds, asking = self._grounds[viewer], self._asking[viewer]
        moved = False
        for pattern, network in networks.items():
            mine = grounds[pattern] = self._see(viewer, pattern, network, firsts[pattern], day)
            wants = None
            if mine.candidate(self._params):
                accusers = tuple([v.group for v in network.voices if v.accusing > 0])
                cost = mine.gate(self._params).estimate
                wants = gate.Candidate(pattern=f"{pattern:05d}", accusers=accusers, estimate=cost)
            if wants != asking.get(pattern):
                moved = True
                if wants is None:
                    del asking[pattern]
                else:
                    asking[pattern] = wants
        fits = gate.allocate(asking.values(), self._params) if moved else self._fits[viewer]
        changed = {int(name) for name in fits ^ self._fits[viewer]} | networks.keys()
        self._fits[viewer] = fits
        for pattern in changed:
            judged = _with_share(grounds[pattern], fits=f"{pattern:05d}" in fits)
            self.effects[viewer, pattern] = gate.judge(judged, self._params).effect

    def _see(
        self,
        viewer: int,
        pattern: int,
        network: Network,
        firsts: Firsts,
        day: int,
    ) -> Grounds:
        """The grounds of a pattern at a viewer."""
        world, member, us = self.world, self.members[viewer], self._groups[viewer]
        nature = world.setting.nature
        live = {g: (at, counts) for g, (at, counts) in firsts.items() if day - at < LIFE_DAYS}
        anchor = min((int(at) for at, _ in live.values()), default=day)
        before = world.matched(member, pattern, anchor)
        after = world.matched(member, pattern, day, day - anchor) if day > anchor else 0
        missed = sum(anchor - LIFE_DAYS <= at < anchor for at in self._missed.get((member, pattern), ()))
        flagged = sum(day - at < LIFE_DAYS for at in self._noticed.get((member, pattern), ()))
        month = world.matched(member, pattern, day)
        active = world.worked(member, day) // (ACTOR_SESSIONS * LIFE_DAYS) + 1
        accusers = {v.group for v in network.voices if v.accusing > 0} - {us}
        own = _own_voice(flagged)
        tier = self._candidate.tier(network, own)
        return Grounds(
            network=tier,
            calibrated=tier,
            others=bool(accusers),
            first=any(counts and group in accusers for group, (_, counts) in live.items()),
            rate=Rate(
                matches=before + missed + round(nature.judged * after),
                sessions=world.worked(member, day, day - anchor + LIFE_DAYS),
            ),
            base=_base(int(world.base[pattern]), nature.base_sessions),
            own=OwnRecord(
                sessions=month + flagged,
                benign=round(nature.judged * month),
                flagged=flagged,
                actors=round(active * -np.expm1(-month / active)),
            ),
            active=active,
        )


def _with_share(grounds: Grounds, *, fits: bool) -> Grounds:
    """The same grounds, with or without a share of the budget."""
    return grounds if grounds.fits == fits else replace(grounds, fits=fits)


def _own_voice(sessions: int) -> int:
    """What the viewer would say itself, in micro-units."""
    if not sessions:
        return 0
    return rule.raw_voice(Statement(id="", author="", kind="sighting", seen=exponent(sessions)))


@lru_cache(maxsize=4_096)
def _base(matches: int, sessions: int) -> Rate:
    return Rate(matches=matches, sessions=sessions)
