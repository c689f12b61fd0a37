"""What members say now, and what the rule makes of it: `reputation.tally` asked in the order of time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Final

from msgspec.structs import replace

from ioint_node.lab.attacks import Attack
from ioint_node.lab.saying import Said
from ioint_node.lab.world import SPONSORS, Setting
from ioint_node.reputation import rule
from ioint_node.reputation.rule import MICRO, Electorate, Network, Scales, Statement
from ioint_node.reputation.tally import ANSWERS, Tally, tallied

DAY_ZERO: Final = 20_000  # the UTC day of the world's first; any


class Tallies:
    """The tally of every pattern of which something is said; `turn` it every day, `settle` it after what was said."""

    def __init__(self, voters: Mapping[int, Electorate], attack: Attack, liars: Collection[int]) -> None:
        self._voters, self._attack = voters, attack
        self._liars = frozenset(member_name(m) for m in liars)
        self._said: dict[int, dict[str, tuple[Statement, ...]]] = defaultdict(dict)  # by pattern and author
        self._tallies: dict[int, Tally[Statement]] = {}
        self._new: dict[int, Counter[str]] = defaultdict(Counter)  # by pattern and author: how much
        self.scales = self._scales(0, {})

    def turn(self, day: int) -> set[int]:
        """Begin a day: every voice is weighed anew, what is over is forgotten; returns what that may have changed."""
        today = DAY_ZERO + day
        touched = set(self._said)
        for pattern in touched:
            live = {a: _live(said, today) for a, said in self._said[pattern].items()}
            said = {author: left for author, left in live.items() if left}
            if said:
                self._said[pattern] = said
            else:
                del self._said[pattern]
        self._weigh(day)
        return touched

    def say(self, said: Said) -> Statement | None:
        """Take in a statement, which counts from the next `settle` on; returns it, None where nobody hears it.

        A sighting or dispute names the newest report of somebody else; where there is none, nothing is said.
        """
        author = member_name(said.member)
        if said.member in self._attack.unheard or author not in self.scales.voters.group_of:
            return None
        about = self._said[said.pattern]
        named = newest_report(about, author) if said.kind in ANSWERS else ""
        if named is None:
            return None
        statement = Statement(
            id=f"{said.member}:{said.pattern}:{said.at}",
            author=author,
            kind=said.kind,
            of=named,
            bad=said.bad,
            seen=said.seen,
            day=DAY_ZERO + int(said.at),
        )
        about[author] = (*about.get(author, ()), statement)
        self._new[said.pattern][author] += 1
        return statement

    def settle(self, day: int) -> set[int]:
        """Count what was said since; returns the patterns of which something may have changed."""
        touched = set(self._new)
        if touched and self._halvings() != self.scales.halvings:
            self._weigh(day)
            touched |= self._said.keys()
        for pattern, authors in self._new.items():
            tally = self._tallies.setdefault(pattern, self._tally(pattern))
            tally.changed |= authors
            tally.hear(self._said[pattern])
        self._new.clear()
        return touched

    def conclude(self, pattern: int) -> Network:
        """The network part of a pattern."""
        return self._tallies.get(pattern, self._tally(pattern)).network()

    def accused_by(self, members: Collection[int]) -> set[int]:
        """The patterns that one of these members accuses."""
        names = {member_name(m) for m in members}
        return {
            p for p, said in self._said.items() if any(a in names and _accuses(s) for a, s in said.items())
        }

    def _weigh(self, day: int) -> None:
        self.scales = self._scales(day, self._halvings())
        self._new.clear()
        self._tallies = {
            pattern: tallied(
                str(pattern), [s for each in said.values() for s in each], self.scales, public_subject=False
            )
            for pattern, said in self._said.items()
        }

    def _tally(self, pattern: int) -> Tally[Statement]:
        return Tally(str(pattern), self.scales, public_subject=False)

    def _halvings(self) -> dict[str, int]:
        """How often the accusing voice of a group is halved, where it accuses very many patterns."""
        group_of = self._voters[0].group_of
        accused = Counter(
            group
            for said in self._said.values()
            for group in {group_of[author] for author, s in said.items() if _accuses(s)}
        )
        return {group: times for group, count in accused.items() if (times := rule.halvings(count))}

    def _scales(self, day: int, halvings: Mapping[str, int]) -> Scales:
        proven = self._attack.silenced_from is not None and day >= self._attack.silenced_from
        return Scales(
            voters=self._voters[day],
            today=DAY_ZERO + day,
            equivocators=self._liars if proven else frozenset(),
            halvings=halvings,
        )


def newest_report(said: Mapping[str, Sequence[Statement]], author: str) -> str | None:
    """The id of the newest report of somebody else, of what each author says; None where there is none."""
    reports = [s for other, each in said.items() if other != author for s in each if s.kind == "report"]
    return max(reports, key=lambda s: (s.day, s.id)).id if reports else None


def answering(said: Sequence[Statement]) -> list[Statement]:
    """The same statements about one subject, where sightings and disputes name the newest report among them."""
    newest = max([s for s in said if s.kind == "report"], key=lambda s: s.day, default=None)
    named = newest.id if newest else ""
    return [replace(s, of=named) if s.kind in ANSWERS else s for s in said]


def electorates(setting: Setting) -> dict[int, Electorate]:
    """Who has a voice on each day: every member is a group of its own, Sybils come in by a few sponsors."""
    groups = {member_name(m): group_name(m) for m in range(setting.orgs)}
    tenure = dict.fromkeys(groups.values(), MICRO) | {
        group_name(m): amount for m, amount in enumerate(setting.tenures[: setting.orgs])
    }
    sybils = range(setting.orgs, setting.orgs + setting.hostile) if setting.attack == "sybil" else range(0)
    joined = {member_name(m): f"s{m % SPONSORS}" for m in sybils}
    return {
        day: Electorate(
            groups=len(tenure) + len(set(joined.values())),
            group_of=groups | joined,
            tenure=tenure | dict.fromkeys(joined.values(), rule.tenure(DAY_ZERO, DAY_ZERO + day)),
        )
        for day in range(setting.nature.days + 1)
    }


@lru_cache(maxsize=4_096)
def member_name(member: int) -> str:
    """The id of a member."""
    return f"m{member:05d}"


@lru_cache(maxsize=4_096)
def group_name(member: int) -> str:
    """The group of a member that is no Sybil."""
    return f"g{member:05d}"


def _live(said: Sequence[Statement], today: int) -> tuple[Statement, ...]:
    return tuple([s for s in said if rule.of_age(s, today)])


def _accuses(said: tuple[Statement, ...]) -> bool:
    return any(one.kind != "dispute" and rule.raw_voice(one) > 0 for one in said)
