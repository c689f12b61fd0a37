"""What members say now, and what the rule makes of it: `reputation.rule` asked in the order of time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Final

from ioint_node.lab.attacks import Attack
from ioint_node.lab.saying import Said
from ioint_node.lab.world import SPONSORS, Setting
from ioint_node.reputation import rule
from ioint_node.reputation.rule import MICRO, Electorate, Network, Scales, Statement, Voice

DAY_ZERO: Final = 20_000  # the UTC day of the world's first; any


class Tally:
    """What every member says now of every pattern, and what the rule makes of it."""

    def __init__(self, voters: Mapping[int, Electorate], attack: Attack, liars: Collection[int]) -> None:
        self._voters, self._attack = voters, attack
        self._liars = tuple(member_name(m) for m in liars)
        self.spoken: dict[int, dict[str, dict[int, Statement]]] = defaultdict(lambda: defaultdict(dict))
        self._voices: dict[int, dict[str, Voice]] = defaultdict(dict)
        self.scales = self._scales(0)

    def turn(self, day: int) -> None:
        """Begin a day: every voice is weighed anew, and what is over is forgotten."""
        self.scales = self._scales(day)
        for pattern, groups in self.spoken.items():
            self._voices[pattern] = {}
            for group in list(groups):
                self._weigh(pattern, group)

    def say(self, said: Said) -> None:
        """Take in a statement."""
        author = member_name(said.member)
        if said.member in self._attack.unheard or author not in self.scales.voters.group_of:
            return
        group = self.scales.voters.group_of[author]
        self.spoken[said.pattern][group][said.member] = Statement(
            id=f"{said.member}:{said.pattern}:{said.at}",
            author=author,
            kind=said.kind,
            bad=said.bad,
            seen=said.seen,
            day=DAY_ZERO + int(said.at),
        )
        self._weigh(said.pattern, group)

    def conclude(self, pattern: int) -> Network:
        """The network part of a pattern."""
        voices = self._voices[pattern]
        return rule.outcome([voices[group] for group in sorted(voices)], self.scales, withdrawn=0)

    def _weigh(self, pattern: int, group: str) -> None:
        by_member = self.spoken[pattern][group]
        heard = []
        for member in sorted(by_member):
            newest, _ = rule.standing([by_member[member]], self.scales.today)
            if newest is None:
                del by_member[member]
            elif self.scales.hears(newest.author):
                heard.append(newest)
        if heard:
            self._voices[pattern][group] = rule.voice(group, heard, self.scales, public_subject=False)
        else:
            self._voices[pattern].pop(group, None)
            if not by_member:
                del self.spoken[pattern][group]

    def _scales(self, day: int) -> Scales:
        proven = self._attack.silenced_from is not None and day >= self._attack.silenced_from
        return Scales(
            voters=self._voters[day],
            today=DAY_ZERO + day,
            equivocators=frozenset(self._liars) if proven else (),
        )


@lru_cache(maxsize=4_096)
def member_name(member: int) -> str:
    """The id of a member."""
    return f"m{member:05d}"


@lru_cache(maxsize=4_096)
def group_name(member: int) -> str:
    """The group of a member that is no Sybil."""
    return f"g{member:05d}"


def electorates(setting: Setting) -> dict[int, Electorate]:
    """Who has a voice on each day: every member is a group of its own, Sybils come in by a few sponsors."""
    honest = {member_name(m): group_name(m) for m in range(setting.orgs)}
    tenure = dict.fromkeys(honest.values(), MICRO) | {
        group_name(m): amount for m, amount in enumerate(setting.tenures[: setting.orgs])
    }
    sybils = range(setting.orgs, setting.orgs + setting.hostile) if setting.attack == "sybil" else range(0)
    joined = {member_name(m): f"s{m % SPONSORS}" for m in sybils}
    return {
        day: Electorate(
            groups=len(tenure) + len(set(joined.values())),
            group_of=honest | joined,
            tenure=tenure | dict.fromkeys(joined.values(), rule.tenure(DAY_ZERO, DAY_ZERO + day)),
        )
        for day in range(setting.nature.days + 1)
    }
