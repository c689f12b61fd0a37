"""A consortium lives through a world by the rule as it is shipped; what the network did about every session is kept.

Belief is `reputation.rule` and `reputation.gate`, publishing is `privacy.gate`, what is done about an action is
`scoring.response`: nothing of them is repeated here. What a node does around them (stores, segments, delays of seconds)
is left out, and so `flows.seconding`, which reads stores, is told here in its order of questions. Nobody judges others
by what it saw itself (`reputation.calibration`), which could only lower what is believed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence, Set
from math import comb

from ioint_protocol.pattern import Rate
from msgspec import Struct, structs

from ioint_node.lab.force_disputes import Disputes
from ioint_node.lab.organisations import Meeting, Organisation, World
from ioint_node.lab.replay import Scored, Warnings, alone, margin, stop_margin, stopped
from ioint_node.privacy.gate import Proposal, Release, Told, bucket, decide, last_said
from ioint_node.reputation.calibration import left_of_others
from ioint_node.reputation.gate import (
    EFFECT,
    PARAMS,
    Candidate,
    Grounds,
    Local,
    OwnRecord,
    allocate,
    cheap,
    judge,
    within_quota,
)
from ioint_node.reputation.rule import (
    LIFE_DAYS,
    MICRO,
    WEEK_DAYS,
    Electorate,
    Network,
    Statement,
    network_part,
)
from ioint_node.scoring.response import TIPPING_EFFECT

DAY_MS = 86_400_000
START_DAY = 1_000  # any day
LIE = 5  # liars say that 2^5 sessions were bad
SLANDERED = 15  # patterns that liars take in turn, five a week
TIPPING = Local(tier="corroborated", effect=TIPPING_EFFECT, reason="corroborated")
General = Mapping[str, tuple[str, ...]]


class Variant(Struct, frozen=True, kw_only=True):
    """The rule as it was first published, and each step from it to the one of this release.

    With `seconding` a member answers a live report with a sighting of what it saw out of scope itself, was not sure
    enough of to report, and could act on cheaply, and says once a week that it still meets what it is sure of. With
    `own_evidence` such sessions count as a voice that is never removed, here only. `gated` says that a consensus passes
    the gate too. With `general` what is said of an entry of the catalogue counts for its special cases.
    """

    seconding: bool = False
    own_evidence: bool = False
    gated: bool = False
    general: bool = False


TIER = Variant()
IOINT = Variant(seconding=True, own_evidence=True, gated=True, general=True)


class Warned(Struct, frozen=True, kw_only=True):
    """What the warnings of patterns that a session completed in time do.

    `effect` is the largest of them; `asks` says that with them an action is stopped or a person asked, own verdicts
    included, and `any_asks` the same if every warning could tip what is in doubt, and not only those from
    `TIPPING_EFFECT` on.
    """

    effect: float = 0.0
    asks: bool = False
    any_asks: bool = False


class Control(Struct, frozen=True, kw_only=True):
    """How likely patterns that nobody need have reported would do as much: be met in time, and ask a person.

    `asks` is of as many as can tip what is in doubt, `any_asks` of as many as are in force.
    """

    met: float = 0.0
    asks: float = 0.0
    any_asks: float = 0.0


class Outcome(Struct, frozen=True, kw_only=True):
    """What bore on one session at one honest member.

    Attributes:
        session: its place among all.
        member: where it came to.
        at: in days from the start.
        new: nothing of its task is in the history of this member.
        true: of patterns that another honest member accuses.
        lies: of patterns that only liars accuse.
        margin: over what asks for a step-up by own verdicts, in log-odds; see `replay.margin`.
        stop: the same over what stops an action or asks a person; see `replay.stop_margin`.
        by_chance: as many patterns as are in force here, drawn from those cheap to act on.
        every_cheap: every pattern that it is cheap to act on here.
        reported: an honest member that is heard here had reported a pattern that it completed in time.
        seen: this member had caught a session of the same attack by its own verdicts before.
    """

    session: int
    member: str
    at: float
    new: bool
    true: Warned
    lies: Warned
    margin: float
    stop: float
    by_chance: Control
    every_cheap: Control
    reported: bool
    seen: bool


class _Member:
    """What one organisation knows of itself so far; days of sessions by pattern."""

    def __init__(self, organisation: Organisation) -> None:
        self.organisation = organisation
        self.benign: dict[str, list[int]] = defaultdict(list)
        self.flagged: dict[str, list[int]] = defaultdict(list)
        self.told: dict[str, list[Told]] = defaultdict(list)
        self.caught: set[str] = set()

    def own(self, pattern: str, today: int) -> OwnRecord:
        benign = self.organisation.matches.get(pattern, 0) + _recent(self.benign[pattern], today)
        flagged = _recent(self.flagged[pattern], today)
        return OwnRecord(sessions=benign + flagged, benign=benign, flagged=flagged)

    def rate(self, pattern: str, today: int) -> Rate:
        return Rate(matches=self.own(pattern, today).benign, sessions=self.organisation.sessions)

    def benign_rate(self, pattern: str, today: int) -> float | None:
        """The share of ordinary sessions that complete it, as it is measured before something is told."""
        own, base, worth = (
            self.rate(pattern, today),
            self.organisation.base[pattern],
            PARAMS.base_worth_sessions,
        )
        if base.sessions:
            return (own.matches + worth * base.matches / base.sessions) / (own.sessions + worth)
        return None if own.sessions < worth else own.matches / own.sessions


class Consortium:
    """All that was said so far, and what each member makes of it."""

    def __init__(self, world: World, patterns: General, variant: Variant) -> None:
        self._world = world
        self._patterns = tuple(patterns)
        self._variant = variant
        self._general = patterns if variant.general else dict.fromkeys(patterns, ())
        self._special = _turned(self._general)
        self._members = {name: _Member(one) for name, one in world.members.items()}
        self._voters = Electorate(
            groups=len(world.groups),
            group_of={name: name for name in world.groups},
            tenure=dict.fromkeys(world.groups, MICRO),
        )
        self._audiences = tuple(dict.fromkeys(one.hears for one in world.members.values()))
        self._said: dict[str, list[Statement]] = defaultdict(
            list
        )  # but for the disputes of liars, the oldest first
        self._disputes = Disputes(world.liars)
        self._firsts: dict[str, dict[str, tuple[int, bool]]] = defaultdict(dict)
        self._quota: dict[str, list[int]] = defaultdict(list)
        self._networks: dict[str, dict[tuple[int, frozenset[str]], Network]] = defaultdict(dict)
        self._in_force: dict[str, tuple[int, dict[str, Local]]] = {}
        self._cheap: dict[str, tuple[int, frozenset[str]]] = {}
        self._cheap_at_first = {
            name: frozenset(p for p in patterns if self._is_cheap(one, p, START_DAY))
            for name, one in self._members.items()
        }
        self._records = 0

    # What members say.

    def report(self, author: str, pattern: str, today: int, *, bad: int, seen: int) -> None:
        """Someone reports a pattern, counts as exponents; the others hear it before anything else happens."""
        first = self._firsts[pattern].get(author)
        if first is None or first[0] <= today - LIFE_DAYS:
            counts = within_quota(self._quota[author], today)
            if counts:
                self._quota[author].append(today)
            self._firsts[pattern][author] = (today, counts)
        self._say(author, pattern, "report", today, bad=bad, seen=max(bad, seen))
        self._whitewash(pattern, today)
        if self._variant.seconding:
            for name in self._members:
                self._second(name, pattern, today)

    def slander(self, week: int, today: int) -> None:
        """What liars accuse together in a week: what ordinary work completes most and no honest member reports."""
        turn = self._world.slandered[:SLANDERED]
        for place in range(PARAMS.first_reports):
            pattern = turn[(PARAMS.first_reports * week + place) % len(turn)]
            if not self._live_reports(pattern, self._members, today):
                for liar in self._world.liars:
                    self.report(liar, pattern, today, bad=LIE, seen=LIE)

    def whitewash(self, today: int) -> None:
        """What liars dispute on a day: whatever honest members report."""
        for pattern in self._patterns:
            self._whitewash(pattern, today)

    def _whitewash(self, pattern: str, today: int) -> None:
        for audience in self._audiences:
            reports = self._live_reports(pattern, audience & self._members.keys(), today)
            if reports and self._disputes.speak(pattern, audience, reports, today):
                self._changed(pattern)

    def close(self, name: str, session: Scored, today: int) -> None:
        """A session ends at a member: it counts for its own record, and what it gives to tell is told."""
        member = self._members[name]
        if session.campaign and alone(session):
            member.caught.add(session.campaign)
        counted = member.flagged if session.flagged else member.benign
        for pattern in session.completed:
            counted[pattern].append(today)
            if session.confirmed:
                self._tell(name, pattern, today)
            elif session.flagged:
                self._second(name, pattern, today)
        if session.completed:
            self._in_force.pop(name, None)
            self._cheap.pop(name, None)

    def _tell(self, name: str, pattern: str, today: int) -> None:
        """A confirmed session gives a report; what was reported of late is kept fresh once a week."""
        own = self._members[name].own(pattern, today)
        if self._lets(name, pattern, today):
            self.report(name, pattern, today, bad=bucket(own.flagged), seen=bucket(own.sessions))
        elif self._variant.seconding:
            self._sight(name, pattern, today, self._heard_by(name), refresh=True)

    def _second(self, name: str, pattern: str, today: int) -> None:
        """Answer a live report of another, who accuses still, with a sighting of what was out of scope here."""
        member = self._members[name]
        if not self._variant.seconding or not _recent(member.flagged[pattern], today):
            return
        accusers = set(self._accusers(name, pattern, today)) - {name}
        if self._is_cheap(member, pattern, today):
            self._sight(name, pattern, today, accusers)

    def _sight(
        self, name: str, pattern: str, today: int, reporters: Set[str], *, refresh: bool = False
    ) -> None:
        """Confirm the newest live report of some members, if there is one."""
        reports = self._live_reports(pattern, reporters, today)
        if reports and self._lets(name, pattern, today, refresh=refresh):
            seen = bucket(self._members[name].own(pattern, today).flagged)
            self._say(name, pattern, "sighting", today, of=reports[-1].id, bad=seen, seen=seen)

    def _lets(self, name: str, pattern: str, today: int, *, refresh: bool = False) -> bool:
        """Whether the node's own gate lets it leave, which is then noted as told."""
        member, now = self._members[name], today * DAY_MS
        bad = bucket(_recent(member.flagged[pattern], today))
        proposal = Proposal(
            novel=False,
            confirmed=True,
            principals=1,
            bad=bad,
            benign_rate=member.benign_rate(pattern, today),
            said=last_said(member.told[pattern], now),
            refresh=refresh,
        )
        released = isinstance(decide(proposal, mode="catalogue", now=now, draw=lambda _: 0), Release)
        if released:
            member.told[pattern].append(Told(leaves=now, bad=bad, refresh=refresh))
        return released

    def _live_reports(self, pattern: str, among: Container[str], today: int) -> list[Statement]:
        """The live reports of some members, the newest last."""
        return [
            s
            for s in self._said[pattern]
            if s.kind == "report" and s.author in among and today - s.day < LIFE_DAYS
        ]

    def _say(
        self, author: str, pattern: str, kind: str, today: int, *, of: str = "", bad: int, seen: int
    ) -> None:
        self._records += 1
        said = Statement(
            id=str(self._records), author=author, kind=kind, of=of, bad=bad, seen=seen, day=today
        )
        self._said[pattern] = [*(s for s in self._said[pattern] if today - s.day < LIFE_DAYS), said]
        self._changed(pattern)

    def _changed(self, pattern: str) -> None:
        for name in (pattern, *self._special[pattern]):
            self._networks[name].clear()
        self._in_force.clear()

    # What members believe.

    def in_force(self, name: str, today: int) -> Mapping[str, Local]:
        """Every pattern that has an effect at a member now."""
        known = self._in_force.get(name)
        if known is None or known[0] != today:
            known = self._in_force[name] = (today, self._judge_all(name, today))
        return known[1]

    def _judge_all(self, name: str, today: int) -> dict[str, Local]:
        grounds = {p: self._grounds(name, p, today) for p in self._patterns if self._said[p]}
        fits = allocate(
            Candidate(pattern=p, accusers=self._accusers(name, p, today), estimate=one.gate(PARAMS).estimate)
            for p, one in grounds.items()
            if one.candidate(PARAMS)
        )
        judged = {p: self._judged(structs.replace(one, fits=p in fits)) for p, one in grounds.items()}
        return {p: local for p, local in judged.items() if local.effect > 0}

    def _judged(self, grounds: Grounds) -> Local:
        # As first published, a consensus that the own record does not speak against passed no gate.
        if grounds.tier == "consensus" and not self._variant.gated and not grounds.clean(PARAMS):
            return Local(tier="consensus", effect=EFFECT["consensus"], reason="consensus")
        return judge(grounds)

    def _grounds(self, name: str, pattern: str, today: int) -> Grounds:
        member = self._members[name]
        network = self._network(name, pattern, today)
        accusers = self._accusers(name, pattern, today)
        others = set(accusers) - {name}
        return Grounds(
            network=network.tier,
            calibrated=network.tier,
            others=bool(others),
            others_after_b=left_of_others(network, {}, name) if self._variant.own_evidence else None,
            first=any(
                counts and group in others and day > today - LIFE_DAYS
                for group, (day, counts) in self._firsts[pattern].items()
            ),
            rate=member.rate(pattern, today),
            base=member.organisation.base[pattern],
            own=member.own(pattern, today),
        )

    def _accusers(self, name: str, pattern: str, today: int) -> tuple[str, ...]:
        """The groups that accuse it itself, and not only something more general."""
        return tuple(
            v.group
            for v in self._network(name, pattern, today).voices
            if v.accusing > 0 and any(s.kind != "dispute" for s in v.statements)
        )

    def _network(self, name: str, pattern: str, today: int) -> Network:
        hears = self._heard_by(name)
        known, key = self._networks[pattern], (today, hears)
        if key not in known:
            known[key] = network_part(
                self._heard(pattern, hears),
                self._voters,
                today,
                general={entry: self._heard(entry, hears) for entry in self._general[pattern]},
            )
        return known[key]

    def _heard_by(self, name: str) -> frozenset[str]:
        return self._world.members[name].hears

    def _heard(self, pattern: str, hears: frozenset[str]) -> list[Statement]:
        said = [s for s in self._said[pattern] if s.author in hears]
        disputes = self._disputes.heard(pattern, hears)
        return sorted([*said, *disputes], key=lambda s: s.day) if disputes else said

    # What it means for a session.

    def meet(self, place: int, meeting: Meeting, session: Scored, today: int) -> Outcome:
        """What bears on a session when it comes to a member."""
        name = meeting.member
        member = self._members[name]
        met = tuple(dict.fromkeys(p for call in session.in_time for p in call.completed))
        force = self.in_force(name, today) if met else {}
        honest = {p: force[p] for p in met if p in force and self._is_honest(name, p, today)}
        lies = {p: force[p] for p in met if p in force and p not in honest}
        affordable = self._affordable(name, today) if met else frozenset()
        cheaply_met = affordable.intersection(met)
        asking = sum(stopped(session, {p: TIPPING}) for p in cheaply_met)
        choice, tip = len(affordable), sum(one.effect >= TIPPING_EFFECT for one in force.values())
        return Outcome(
            session=place,
            member=name,
            at=meeting.at,
            new=meeting.new,
            true=_warned(session, honest),
            lies=_warned(session, lies),
            margin=margin(session),
            stop=stop_margin(session),
            by_chance=Control(
                met=_chance(choice, len(cheaply_met), len(force)),
                asks=_chance(choice, asking, tip),
                any_asks=_chance(choice, asking, len(force)),
            ),
            every_cheap=Control(met=bool(cheaply_met), asks=asking > 0, any_asks=asking > 0),
            reported=any(self._is_honest(name, p, today) for p in met),
            seen=session.campaign in member.caught,
        )

    def _is_honest(self, name: str, pattern: str, today: int) -> bool:
        """Whether an honest member other than this one accuses a pattern, as far as it hears."""
        return any(a in self._members and a != name for a in self._accusers(name, pattern, today))

    def _affordable(self, name: str, today: int) -> frozenset[str]:
        known = self._cheap.get(name)
        if known is None or known[0] != today:
            member = self._members[name]
            moved = {p for p, days in member.benign.items() if days}
            now = {p for p in moved if self._is_cheap(member, p, today)}
            known = self._cheap[name] = (today, (self._cheap_at_first[name] - moved) | now)
        return known[1]

    def _is_cheap(self, member: _Member, pattern: str, today: int) -> bool:
        return cheap(member.rate(pattern, today), member.organisation.base[pattern], PARAMS).open


def live(
    world: World, sessions: Sequence[Scored], patterns: General, variant: Variant = IOINT
) -> Iterator[Outcome]:
    """Live through a world; what bore on each session, in order of time.

    `patterns` are the entries of the catalogue, each with those that it is a special case of.
    """
    consortium = Consortium(world, patterns, variant)
    day = 0
    for meeting in world.meetings:
        while meeting.at >= day:
            if day % WEEK_DAYS == 0:
                consortium.slander(day // WEEK_DAYS, START_DAY + day)
            consortium.whitewash(START_DAY + day)
            day += 1
        today = START_DAY + int(meeting.at)
        session = sessions[meeting.session]
        yield consortium.meet(meeting.session, meeting, session, today)
        consortium.close(meeting.member, session, today)


def _turned(general: General) -> Mapping[str, tuple[str, ...]]:
    """The special cases of each pattern."""
    return {name: tuple(other for other, above in general.items() if name in above) for name in general}


def _recent(days: Sequence[int], today: int) -> int:
    return len(days) - bisect_right(days, today - LIFE_DAYS)


def _warned(session: Scored, warnings: Warnings) -> Warned:
    if not warnings:
        return Warned()
    every = {p: max(one, TIPPING, key=lambda local: local.effect) for p, one in warnings.items()}
    return Warned(
        effect=max(one.effect for one in warnings.values()),
        asks=stopped(session, warnings),
        any_asks=stopped(session, every),
    )


def _chance(choice: int, met: int, drawn: int) -> float:
    """How likely so many patterns drawn from a choice contain one of those that were met."""
    drawn = min(drawn, choice)
    return 1.0 - comb(choice - met, drawn) / comb(choice, drawn) if met and drawn else 0.0
