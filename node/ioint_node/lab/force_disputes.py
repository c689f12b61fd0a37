"""What liars dispute: as long as any live report was not disputed for its days, all of them dispute one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from ioint_node.reputation.rule import DISPUTE_DAYS, LIFE_DAYS, WEEK_DAYS, Statement

Audience = frozenset[str]


class Aim(Struct, frozen=True, kw_only=True):
    """The report that is disputed now, since which day, and the day on which it was said last."""

    of: str
    since: int
    said: int


class Disputes:
    """What some liars said against the reports of a pattern, for each audience.

    A dispute speaks for 14 days from the first of its report, and loses weight by the week. So the newest report that
    was never disputed is disputed for its days, again each week, and then the next. What one audience hears does not
    wear off what another one does: real liars, with one log for all, can do no more.
    """

    def __init__(self, liars: Sequence[str]) -> None:
        self._liars = liars
        self._aims: dict[tuple[str, Audience], Aim] = {}
        self._spent: dict[tuple[str, Audience], set[str]] = defaultdict(set)
        self._said: dict[tuple[str, Audience], list[Statement]] = defaultdict(list)

    def speak(self, pattern: str, audience: Audience, reports: Sequence[Statement], today: int) -> bool:
        """Dispute where that wins something; whether anything was said.

        `reports` are the live ones of others that this audience hears, the newest last.
        """
        key = pattern, audience
        aim = self._aims.get(key)
        if aim and any(one.id == aim.of for one in reports) and today < aim.since + DISPUTE_DAYS:
            if today < aim.said + WEEK_DAYS:
                return False
            aim = replace(aim, said=today)
        else:
            fresh = [one.id for one in reports if one.id not in self._spent[key]]
            if not fresh or not self._liars:
                return False
            aim = Aim(of=fresh[-1], since=today, said=today)
            self._spent[key].add(aim.of)
        self._aims[key] = aim
        self._said[key] = [one for one in self._said[key] if today - one.day < LIFE_DAYS]
        self._said[key] += [
            Statement(id=f"{aim.of}/{liar}/{today}", author=liar, kind="dispute", of=aim.of, day=today)
            for liar in self._liars
        ]
        return True

    def heard(self, pattern: str, audience: Audience) -> Sequence[Statement]:
        """Their disputes of a pattern, as this audience hears them, the oldest first."""
        return self._said.get((pattern, audience), ())
