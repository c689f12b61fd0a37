"""Worlds of a few organisations out of recorded sessions: who does which work, who meets which attack, and when.

User tasks are never shared: each belongs to one organisation. In the hard world an organisation hears reports only from
those that do other kinds of work. One half of every organisation's tasks it has done before: half of the ordinary
sessions of these make its history and the base rates, the others are judged, and so are all of the tasks that are new.
No number is made from a session that is judged by it.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from math import log
from typing import Any

from ioint_protocol.pattern import Rate
from msgspec import Struct

from ioint_node.lab.replay import ORDINARY, Scored


class Plan(Struct, frozen=True, kw_only=True):
    """What kind of world: `honest` organisations, and hostile ones so that they are `hostile` of all (0 … 1).

    `sessions` is the median of what an organisation does in 30 days, `spread` the standard deviation of its logarithm.
    An attack begins somewhere within `begins` days, and at each organisation a mean of `spreads` days later.
    """

    honest: int = 30
    hostile: float = 0.0
    hard: bool = False
    days: int = 60
    begins: float = 30.0
    spreads: float = 8.0
    sessions: int = 3_000
    spread: float = 1.0
    least: int = 300
    most: int = 30_000


class Organisation(Struct, frozen=True, kw_only=True):
    """An organisation: what it works on, how many ordinary sessions 30 days have, and how many complete each pattern.

    `base` are the base rates that it was given; `hears` are those whose reports reach it.
    """

    name: str
    suites: frozenset[str]
    sessions: int
    matches: Mapping[str, int]
    base: Mapping[str, Rate]
    hears: frozenset[str]


class Meeting(Struct, frozen=True, kw_only=True):
    """A session comes to an organisation: `at` in days from the start; `session` is its place among all.

    `new` says that nothing of its task is in the history.
    """

    at: float
    member: str
    session: int
    new: bool


class World(Struct, frozen=True, kw_only=True):
    """The honest organisations, the names of the hostile ones, what they accuse, and what happens in order of time."""

    members: Mapping[str, Organisation]
    liars: tuple[str, ...]
    slandered: tuple[str, ...]
    meetings: tuple[Meeting, ...]
    days: int

    @property
    def groups(self) -> tuple[str, ...]:
        """Everybody on the roster; each is a group of its own."""
        return (*self.members, *self.liars)


def make_world(sessions: Sequence[Scored], plan: Plan, patterns: Collection[str], seed: int) -> World:
    """Deal the tasks, draw the times, and count what each organisation knows of its own work.

    The same seed gives the same honest organisations and the same attacks, however many liars there are.
    """
    draw = random.Random(seed)  # noqa: S311 - a simulation
    owner = deal(sorted({(one.suite, one.task) for one in sessions}), plan, draw)
    known = _known_tasks(owner, draw)
    done_before = [place for place, one in enumerate(sessions) if one.kind == ORDINARY and one.task in known]
    work = sorted(draw.sample(done_before, len(done_before) // 2))
    history = frozenset(work)
    suites: dict[str, set[str]] = defaultdict(set)
    for one in sessions:
        suites[owner[one.task]].add(one.suite)
    liars = tuple(f"liar {number}" for number in range(liars_of(plan)))
    done: dict[str, list[Scored]] = {name: [] for name in suites}
    for place in work:
        done[owner[sessions[place].task]].append(sessions[place])
    hears = {
        name: frozenset(
            other for other in suites if other == name or not plan.hard or not suites[other] & suites[name]
        )
        for name in suites
    }
    members = {
        name: Organisation(
            name=name,
            suites=frozenset(suites[name]),
            hears=hears[name] | {*liars},
            **_history(done[name], plan, draw),
            base=_base(patterns, [one for other in hears[name] - {name} for one in done[other]]),
        )
        for name in sorted(suites)
    }
    return World(
        members=members,
        liars=liars,
        slandered=commonest(sessions, patterns),
        meetings=_meetings(
            [
                (place, one, owner[one.task], one.task not in known)
                for place, one in enumerate(sessions)
                if place not in history
            ],
            plan,
            draw,
        ),
        days=plan.days,
    )


def liars_of(plan: Plan) -> int:
    """How many hostile organisations make the share of all that the plan asks for."""
    return round(plan.honest * plan.hostile / (1 - plan.hostile))


def deal(tasks: Sequence[tuple[str, str]], plan: Plan, draw: random.Random) -> dict[str, str]:
    """Who owns which task, given as (suite, task); in the hard world tasks of one suite go to the same few."""
    names = [f"org {number:02d}" for number in range(plan.honest)]
    draw.shuffle(names)
    if not plan.hard:
        mixed = draw.sample(tasks, len(tasks))
        return {task: names[place % len(names)] for place, (_, task) in enumerate(mixed)}
    by_suite: dict[str, list[str]] = defaultdict(list)
    for suite, task in tasks:
        by_suite[suite].append(task)
    owner = {}
    for suite, those in _seats(by_suite, names).items():
        shuffled = draw.sample(by_suite[suite], len(by_suite[suite]))
        owner.update({task: those[place % len(those)] for place, task in enumerate(shuffled)})
    return owner


def _seats(by_suite: Mapping[str, Sequence[str]], names: Sequence[str]) -> dict[str, list[str]]:
    """Which organisations do the work of a suite: one each, then wherever most tasks wait for one."""
    ordered = sorted(by_suite, key=lambda suite: (-len(by_suite[suite]), suite))
    seats = {suite: [names[place % len(names)]] for place, suite in enumerate(ordered)}
    for name in names[len(ordered) :]:
        busiest = max(ordered, key=lambda suite: (len(by_suite[suite]) / len(seats[suite]), suite))
        seats[busiest].append(name)
    return seats


def commonest(sessions: Sequence[Scored], patterns: Collection[str]) -> tuple[str, ...]:
    """The patterns in the order of how many ordinary sessions complete them, then of how many others not malicious."""
    counts: Counter[str] = Counter(
        name for one in sessions if one.kind == ORDINARY for name in one.completed if name in patterns
    )
    return tuple(sorted(patterns, key=lambda name: (-counts[name], name)))


def _known_tasks(owner: Mapping[str, str], draw: random.Random) -> frozenset[str]:
    """One half of every organisation's tasks."""
    by_owner: dict[str, list[str]] = defaultdict(list)
    for task, name in sorted(owner.items()):
        by_owner[name].append(task)
    return frozenset(task for tasks in by_owner.values() for task in draw.sample(tasks, len(tasks) // 2))


def _history(own: Sequence[Scored], plan: Plan, draw: random.Random) -> dict[str, Any]:
    """What 30 days of ordinary work are: so many sessions, of which as many complete a pattern as of the recorded."""
    drawn = draw.lognormvariate(log(plan.sessions), plan.spread)
    sessions = int(min(plan.most, max(plan.least, drawn)))
    matches = {name: round(sessions * count / len(own)) for name, count in _counts(own).items()}
    return {"sessions": sessions, "matches": matches}


def _base(patterns: Collection[str], work: Sequence[Scored]) -> dict[str, Rate]:
    counts = _counts(work)
    return {name: Rate(matches=counts[name], sessions=len(work)) for name in patterns}


def _counts(sessions: Sequence[Scored]) -> Counter[str]:
    return Counter(name for one in sessions for name in one.completed)


def _meetings(
    judged: Sequence[tuple[int, Scored, str, bool]], plan: Plan, draw: random.Random
) -> tuple[Meeting, ...]:
    """When each of some sessions comes, given as (place, session, owner, new)."""
    attacks = sorted({(one.campaign, owner) for _, one, owner, _ in judged if one.campaign})
    begins = {name: draw.uniform(0, plan.begins) for name in sorted({name for name, _ in attacks})}
    since = {
        (name, owner): min(begins[name] + draw.expovariate(1 / plan.spreads), plan.days - 1.0)
        for name, owner in attacks
    }
    found = [
        Meeting(
            at=draw.uniform(since.get((one.campaign, owner), 0.0), plan.days),
            member=owner,
            session=place,
            new=new,
        )
        for place, one, owner, new in judged
    ]
    return tuple(sorted(found, key=lambda meeting: (meeting.at, meeting.session)))
