"""What members say in a world: honest ones what they noticed, and the answers to what others say.

Statements are values of the rule; who says what does not depend on what is believed, so that every rule hears the
same. A member's newest statement about a pattern is the one that stands.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from ioint_protocol.pattern import Rate

from ioint_node.lab.world import World
from ioint_node.reputation.gate import cheap
from ioint_node.reputation.rule import LIFE_DAYS

REFRESH_DAYS: Final = 7  # a statement is repeated when its count doubled, or after so long
ANSWER_DAYS: Final = 14  # a benign voice is repeated after so long
BENIGN_MATCHES: Final = 14  # before a member lends its benign voice


class Said(NamedTuple):
    """A statement: when (days), whose, about which pattern; `bad` and `seen` are exponents of powers of two."""

    at: float
    member: int
    pattern: int
    kind: str
    bad: int = 0
    seen: int = 0


def honest(world: World) -> list[Said]:
    """The reports of honest members: campaign sessions and benign ones that reached their publish threshold."""
    noticed = sorted(
        (x.at, x.member, x.pattern) for x in (*world.met, *world.named) if x.published and x.at >= 0
    )
    said = []
    for at, member, pattern, bad in _counted(noticed):
        total = (1 << bad) + world.matched(member, pattern, int(at))
        said.append(Said(at, member, pattern, "report", bad, max(bad, exponent(total))))
    return said


class Seconding(StrEnum):
    """Whether members answer a report of what they met themselves without publishing it."""

    NEVER = "never"
    ALWAYS = "always"
    RARE = "rare"  # only what is measurably rare among their own ordinary sessions


def answered(world: World, said: Iterable[Said], second: Seconding) -> list[Said]:
    """What is said, and what honest members answer: benign voices, and the sightings of seconding.

    A member seconds a pattern that another one reported within 30 days when it meets it in a session that was out of
    scope and not published, or met it in the 30 days before the report. Its own report counts for more than that.
    """
    spoken = sorted(said)
    more = _benign(world, spoken)
    if second is not Seconding.NEVER:
        more += _seconds(world, spoken, only_rare=second is Seconding.RARE)
    return sorted([*spoken, *more])


def exponent(count: int) -> int:
    """The power of two that a count is told by."""
    return max(0, count.bit_length() - 1)


def _counted(noticed: Iterable[tuple[float, int, int]]) -> Iterator[tuple[float, int, int, int]]:
    """When a member says so of a pattern, with the exponent of what it has noticed within 30 days."""
    times: dict[tuple[int, int], list[float]] = defaultdict(list)
    last: dict[tuple[int, int], tuple[float, int]] = {}
    for at, member, pattern in noticed:
        key = member, pattern
        recent = times[key] = [t for t in times[key] if at - t < LIFE_DAYS] + [at]
        bad = exponent(len(recent))
        before, told = last.get(key, (-LIFE_DAYS, -1))
        if bad > told or at - before >= REFRESH_DAYS:
            last[key] = at, bad
            yield at, member, pattern, bad


def _benign(world: World, spoken: Iterable[Said]) -> list[Said]:
    """Members that lend a benign voice dispute an accusation of what is ordinary work for them."""
    lenders = [m for m in range(world.members) if world.lends[m]]
    last: dict[tuple[int, int], float] = {}
    said = []
    for one in spoken:
        if one.kind == "dispute":
            continue
        for member in lenders:
            ordinary = world.matched(member, one.pattern, int(one.at)) >= BENIGN_MATCHES
            if ordinary and one.at - last.get((member, one.pattern), -ANSWER_DAYS) >= ANSWER_DAYS:
                last[member, one.pattern] = one.at
                said.append(Said(one.at, member, one.pattern, "dispute"))
    return said


def _seconds(world: World, spoken: Iterable[Said], *, only_rare: bool) -> list[Said]:
    """The sightings of members that met a reported pattern in sessions that they did not report themselves.

    One pass in the order of time over what is said and what is noticed.
    """
    noticed = sorted(
        (x.at, x.member, x.pattern) for x in (*world.met, *world.named) if x.noticed and not x.published
    )
    heard: dict[int, dict[int, float]] = defaultdict(dict)  # by pattern and member: its newest report
    met: dict[int, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))  # by pattern and member
    told: dict[tuple[int, int], tuple[float, int]] = {}
    said: list[Said] = []

    def consider(at: float, member: int, pattern: int) -> None:
        reports = heard[pattern]
        if at - reports.get(member, -LIFE_DAYS) < LIFE_DAYS:
            return
        if not any(other != member and at - t < LIFE_DAYS for other, t in reports.items()):
            return
        recent = [t for t in met[pattern][member] if at - t < LIFE_DAYS]
        seen = exponent(len(recent))
        before, count = told.get((member, pattern), (-LIFE_DAYS, -1))
        if recent and (at - before >= LIFE_DAYS or seen > count):
            if only_rare and not _rare(world, member, pattern, int(at)):
                return
            told[member, pattern] = at, seen
            said.append(Said(at, member, pattern, "sighting", seen=seen))

    reports = ((s.at, 0, s.member, s.pattern) for s in spoken if s.kind == "report")
    sessions = ((at, 1, member, pattern) for at, member, pattern in noticed)
    for at, what, member, pattern in heapq.merge(reports, sessions):
        if what == 0:
            heard[pattern][member] = at
            for other in list(met[pattern]):
                consider(at, other, pattern)
        else:
            met[pattern][member].append(at)
            if at >= 0:
                consider(at, member, pattern)
    return said


def _rare(world: World, member: int, pattern: int, day: int) -> bool:
    """Whether a pattern passes the gate at a member: ordinary sessions hardly ever complete it."""
    own = Rate(matches=world.matched(member, pattern, day), sessions=world.worked(member, day))
    base = Rate(matches=int(world.base[pattern]), sessions=world.setting.nature.base_sessions)
    return cheap(own, base).open
