"""The evidence about a subject: what was said of it, what only this node knows, and what follows from each."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace as scaled
from types import MappingProxyType
from typing import Final

from ioint_protocol import Pattern, Roster
from ioint_protocol.pattern import Rate
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.flows.parts import ExchangeParts
from ioint_node.reputation.calibration import FLOOR, left_of_others, weighed_tier
from ioint_node.reputation.dossier import Dossier, Heard
from ioint_node.reputation.gate import Grounds, OwnRecord
from ioint_node.reputation.lineage import lineage
from ioint_node.reputation.novel import Claim, too_broad
from ioint_node.reputation.rule import Network, Scales, halvings
from ioint_node.reputation.subjects import covers, folded, touches
from ioint_node.reputation.view import indicator_id
from ioint_node.store import indicators, log, matches, overrides
from ioint_node.store.matches import WINDOW_DAYS
from ioint_node.store.times import DAY_MS, day_of, to_text

WEEK_DAYS: Final = 7
REMEMBERED_DAYS: Final = 45  # a record lives 30; a week more for the trend, and clocks differ
COUNT_MS: Final = 60_000  # for which the number of actors is good enough
NOTHING_SEEN: Final = OwnRecord()
NOTHING_LOOKED_FOR: Final[Mapping[str, int]] = MappingProxyType({})


class Decided(Struct, frozen=True, kw_only=True):
    """What people of this organisation decided: what is allowed here, what was released, whether all is switched off.

    A canary is allowed too: what the operator knows to be good has no effect, whoever says otherwise. The names of
    both are `folded`.
    """

    allowed: frozenset[str]
    released: frozenset[str]
    canaries: frozenset[str]
    off: bool

    def allows(self, subject: str) -> bool:
        """Whether a subject, or all versions of it, is allowed, or it is said of a canary."""
        return covers(self.allowed, subject) or touches(self.canaries, subject)


# As `Grounds`: one for each subject.
class Case(Struct, frozen=True, kw_only=True):
    """All evidence about one subject: the network part, and the grounds of the judgement here.

    `general` are the dossiers of the entries that it is a special case of, `scales_then` the scales of a week ago.
    `accusers` are the groups that accuse it itself: who is only heard by a more general pattern counts for the tier,
    and for nothing that is shared out. `words` is what the reports say that are heard. `novel` is the pattern itself
    where the catalogue does not have it, `claimant` the group that reported it first, `measured_from` the day since
    which its own rate is known.
    """

    subject: str
    dossier: Dossier
    network: Network
    accusers: tuple[str, ...]
    general: Mapping[str, Dossier]
    scales_then: Scales
    grounds: Grounds
    words: Heard | None
    claimant: str
    novel: Pattern | None
    measured_from: int | None

    @property
    def claim(self) -> Claim | None:
        """What it asks for when it is a novel pattern that matters."""
        if self.novel is None or self.words is None or not self.grounds.heard:
            return None
        return Claim(pattern=self.subject, group=self.claimant, since=self.words.arrival[0])

    @property
    def a_week_ago(self) -> int:
        """The score of a week ago."""
        return self.dossier.score(self.scales_then, self.general)

    def settled(self, *, fits: bool, placed: bool) -> Grounds:
        """The grounds, given whether budget and matcher have room for it."""
        return replace(self.grounds, fits=fits, placed=placed)


async def open_dossiers(
    connection: AsyncConnection,
    parts: ExchangeParts,
    subjects: Collection[str],
    *,
    fresh: Collection[str] = (),
) -> tuple[dict[str, Dossier], frozenset[str]]:
    """Take the dossiers of some subjects out, and read the missing and the `fresh` ones; say which were read."""
    held = parts.dossiers.take(subjects)
    read = await read_dossiers(connection, [s for s in subjects if s not in held or s in fresh])
    dossiers = held | read
    parts.dossiers.lend(dossiers.values())
    return dossiers, frozenset(read)


def general_of(parts: ExchangeParts, dossier: Dossier) -> tuple[str, ...]:
    """The catalogue entries that the pattern of a dossier is a special case of: what is said of them counts for it.

    Of a novel pattern that was not learned yet, none.
    """
    return lineage(parts.catalogue, parts.taxonomy).general(dossier.subject) or ()


def unlearned(parts: ExchangeParts, dossiers: Mapping[str, Dossier]) -> dict[str, Pattern]:
    """The novel patterns among these of which is not known what they are special cases of."""
    among = lineage(parts.catalogue, parts.taxonomy)
    return {s: d.novel for s, d in dossiers.items() if d.novel is not None and among.general(s) is None}


async def learn(parts: ExchangeParts, patterns: Mapping[str, Pattern]) -> tuple[str, ...]:
    """Find out what novel patterns are special cases of; returns those that are one."""
    among = lineage(parts.catalogue, parts.taxonomy)
    return tuple(
        [name for name, pattern in patterns.items() if await asyncio.to_thread(among.learn, name, pattern)]
    )


def missing_general(parts: ExchangeParts, dossiers: Mapping[str, Dossier]) -> frozenset[str]:
    """Those of all these dossiers that are not among them."""
    return frozenset(name for d in dossiers.values() for name in general_of(parts, d)) - dossiers.keys()


async def read_dossiers(connection: AsyncConnection, subjects: Collection[str]) -> dict[str, Dossier]:
    """The dossiers of some subjects as the store has them."""
    if not subjects:
        return {}
    said = await log.said_about(connection, subjects)
    firsts = await matches.first_reports_of(connection, subjects)
    concluded = await indicators.concluded(connection, [indicator_id(subject) for subject in subjects])
    return {
        subject: Dossier(
            subject,
            said.get(subject, ()),
            firsts.get(subject, ()),
            concluded.get(indicator_id(subject)),
        )
        for subject in subjects
    }


async def counted_halvings(
    connection: AsyncConnection,
    parts: ExchangeParts,
    roster: Roster,
    dossiers: Collection[Dossier],
    today: int,
) -> dict[str, int]:
    """How often the voice of each group that speaks in these dossiers is halved, counted from the store."""
    voters = parts.dossiers.voters(roster, today)
    groups = {voters[author] for dossier in dossiers for author in dossier.said if author in voters}
    proven = await log.equivocators(connection)
    authors: dict[str, list[str]] = {group: [] for group in groups}
    for author, group in voters.items():
        if group in authors and author not in proven:
            authors[group].append(author)
    # Most speak of so few subjects that nothing needs to be read.
    spoken = await log.spoken_of(connection, {name for names in authors.values() for name in names}, today)
    return {
        group: halvings(await log.accused_by(connection, names, today))
        for group, names in authors.items()
        if halvings(sum([spoken.get(name, 0) for name in names]))
    }


async def examine(
    connection: AsyncConnection,
    parts: ExchangeParts,
    roster: Roster,
    dossiers: Mapping[str, Dossier],
    now: int,
    *,
    general: Mapping[str, Dossier],
    halved: Mapping[str, int] | None = None,
    looked_from: Mapping[str, int] = NOTHING_LOOKED_FOR,
) -> dict[str, Case]:
    """Put what members said of some subjects together with what only this node knows, by subject.

    `general` are the dossiers of the more general patterns as far as they are not among `dossiers`, `halved` how often
    the voices of groups are halved (None: as it is known in memory). `looked_from` are the days since which novel
    patterns that are matched here were now looked for too.
    """
    today = day_of(now)
    equivocators = await log.equivocators(connection)
    scales = parts.dossiers.scales(roster, today, equivocators)
    scales_then = parts.dossiers.scales(roster, today - WEEK_DAYS, equivocators)
    if halved is not None:
        scales, scales_then = (scaled(one, halvings=halved) for one in (scales, scales_then))
    anchors = {s: _first_day(d, today) for s, d in dossiers.items()}
    novel = {s: d.novel for s, d in dossiers.items() if d.novel and s not in parts.catalogue.entries}
    # What was matched for no whole day yet has no rate: nothing is counted before tomorrow.
    measured = {
        s: min(since, looked_from.get(s, since))
        for s in dossiers
        if (since := _measured_from(parts, s)) is not None
    }
    starts = {s: measured.get(s, today + 1) for s in novel}
    local = await matches.local_evidence(connection, anchors, today, measured_from=starts)
    decided = await decisions(connection, parts, now)
    here = parts.standpoint
    if any(own.ordinary_actors >= parts.params.guard_actors for own in local.own.values()):
        await _count_actors(connection, parts, now)
    us = roster.member(parts.member) if parts.member else None
    our_group = us.group if us else ""
    weights = here.weights
    everything = {**general, **dossiers}
    cases = {}
    for subject in sorted(dossiers):
        dossier = dossiers[subject]
        # What was learned while this was read is missing here: then it is concluded anew.
        above = {name: everything[name] for name in general_of(parts, dossier) if name in everything}
        network = dossier.network(scales, above)
        others = set(dossier.accusers) - {our_group}
        first = [
            f.group for f in dossier.first_since(today - WINDOW_DAYS + 1) if f.counts and f.group in others
        ]
        known = [g for g in first if here.knows(g, roster, today, parts.params.shadow_days)]
        mine = local.own.get(subject, NOTHING_SEEN)
        travelled = {name for v in network.voices for name in (v.via, v.benign_via) if name}
        words = _closed(dossier.words(today - REMEMBERED_DAYS), [above[name] for name in travelled])
        reporter = roster.member(words.arrival[1]) if words else None
        pattern = novel.get(subject)
        cases[subject] = Case(
            subject=subject,
            dossier=dossier,
            network=network,
            accusers=dossier.accusers,
            general=above,
            scales_then=scales_then,
            grounds=Grounds(
                network=network.tier,
                calibrated=weighed_tier(network, weights, scales),
                others=bool(others),
                others_after_b=left_of_others(network, weights, our_group) if mine.flagged else None,
                public_subject=dossier.public,
                first=bool(first),
                known=bool(known),
                agreed=any(here.weight(group) > FLOOR for group in known),
                rate=local.rates[subject],
                base=_base_rate(parts, subject),
                own=mine,
                active=max(here.active, mine.actors),
                released=subject in decided.released,
                allowed=decided.allows(subject),
                switched_off=decided.off,
                novel=pattern is not None,
                broad=too_broad(pattern, parts.taxonomy, parts.novel) if pattern else None,
            ),
            words=words,
            claimant=reporter.group if reporter else "",
            novel=pattern,
            measured_from=measured.get(subject),
        )
    return cases


async def decisions(connection: AsyncConnection, parts: ExchangeParts, now: int) -> Decided:
    """What people of this organisation decided that holds now."""
    holding = await overrides.active(connection, now)
    return Decided(
        allowed=frozenset({folded(one.subject) for one in holding if one.kind == "allow"}),
        canaries=parts.standpoint.canaries,
        released=frozenset({one.subject for one in holding if one.kind == "release"}),
        off=any(one.kind == overrides.OFF for one in holding),
    )


async def _count_actors(connection: AsyncConnection, parts: ExchangeParts, now: int) -> None:
    """Count the actors of 30 days, unless that was done within the last minute."""
    here = parts.standpoint
    if here.counted_at is None or not 0 <= now - here.counted_at < COUNT_MS:
        since = to_text(now - WINDOW_DAYS * DAY_MS)
        here.active, here.counted_at = await matches.active_actors(connection, since), now


def _closed(words: Heard | None, above: Collection[Dossier]) -> Heard | None:
    """The words of a pattern with the label of what is heard of more general ones: its numbers tell of that, too."""
    return words and replace(words, label=max([words.label, *[dossier.closed() for dossier in above]]))


def _first_day(dossier: Dossier, today: int) -> int:
    return min([first.day for first in dossier.first_since(today - WINDOW_DAYS + 1)], default=today)


def _base_rate(parts: ExchangeParts, subject: str) -> Rate | None:
    entry = parts.catalogue.entries.get(subject)
    return None if entry is None else Rate(matches=entry.base_matches, sessions=entry.base_sessions)


def _measured_from(parts: ExchangeParts, subject: str) -> int | None:
    belief = parts.beliefs.get(subject)
    return None if belief is None else belief.measured_from
