"""The evidence about a subject: what was said of it, what only this node knows, and what follows from each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from ioint_protocol import Pattern, Roster
from ioint_protocol.pattern import Rate
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.flows.parts import ExchangeParts
from ioint_node.reputation.dossier import Dossier, Heard
from ioint_node.reputation.gate import Grounds, OwnRecord
from ioint_node.reputation.novel import Claim, too_broad
from ioint_node.reputation.rule import Network
from ioint_node.reputation.view import indicator_id
from ioint_node.store import indicators, log, matches, overrides
from ioint_node.store.matches import WINDOW_DAYS
from ioint_node.store.times import day_of

WEEK_DAYS: Final = 7
REMEMBERED_DAYS: Final = 45  # a record lives 30; a week more for the trend, and clocks differ
NOTHING_SEEN: Final = OwnRecord()


# As `Grounds`: one for each subject.
class Case(Struct, frozen=True, kw_only=True):
    """All evidence about one subject: the network part, and the grounds of the judgement here.

    `words` is what the reports say that are heard. `novel` is the pattern itself where the catalogue does not have it,
    `claimant` the group that reported it first, `measured_from` the day since which this node matches it.
    """

    subject: str
    dossier: Dossier
    network: Network
    accusers: tuple[str, ...]
    a_week_ago: int
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


async def examine(
    connection: AsyncConnection,
    parts: ExchangeParts,
    roster: Roster,
    dossiers: Mapping[str, Dossier],
    now: int,
) -> dict[str, Case]:
    """Put what members said of some subjects together with what only this node knows, by subject."""
    today = day_of(now)
    equivocators = await log.equivocators(connection)
    scales = parts.dossiers.scales(roster, today, equivocators)
    scales_then = parts.dossiers.scales(roster, today - WEEK_DAYS, equivocators)
    anchors = {s: _first_day(d, today) for s, d in dossiers.items()}
    novel = {s: d.novel for s, d in dossiers.items() if d.novel and s not in parts.catalogue.entries}
    # What was matched for no whole day yet has no rate: nothing is counted before tomorrow.
    measured = {s: since for s in dossiers if (since := _measured_from(parts, s)) is not None}
    starts = {s: measured.get(s, today + 1) for s in novel}
    local = await matches.local_evidence(connection, anchors, today, measured_from=starts)
    allowed = {override.subject for override in await overrides.active(connection, now, kind="allow")}
    us = roster.member(parts.member) if parts.member else None
    our_group = us.group if us else ""
    cases = {}
    for subject in sorted(dossiers):
        dossier = dossiers[subject]
        network = dossier.network(scales)
        accusers = tuple([v.group for v in network.voices if v.accusing > 0])
        others = set(accusers) - {our_group}
        words = dossier.words(today - REMEMBERED_DAYS)
        reporter = roster.member(words.arrival[1]) if words else None
        pattern = novel.get(subject)
        cases[subject] = Case(
            subject=subject,
            dossier=dossier,
            network=network,
            accusers=accusers,
            a_week_ago=dossier.score(scales_then),
            grounds=Grounds(
                network=network.tier,
                calibrated=network.tier,
                others=bool(others),
                first=any(
                    f.counts and f.group in others for f in dossier.first_since(today - WINDOW_DAYS + 1)
                ),
                rate=local.rates[subject],
                base=_base_rate(parts, subject),
                own=local.own.get(subject, NOTHING_SEEN),
                allowed=subject in allowed,
                novel=pattern is not None,
                broad=too_broad(pattern, parts.taxonomy, parts.novel) if pattern else None,
            ),
            words=words,
            claimant=reporter.group if reporter else "",
            novel=pattern,
            measured_from=measured.get(subject),
        )
    return cases


def _first_day(dossier: Dossier, today: int) -> int:
    return min([first.day for first in dossier.first_since(today - WINDOW_DAYS + 1)], default=today)


def _base_rate(parts: ExchangeParts, subject: str) -> Rate | None:
    entry = parts.catalogue.entries.get(subject)
    return None if entry is None else Rate(matches=entry.base_matches, sessions=entry.base_sessions)


def _measured_from(parts: ExchangeParts, subject: str) -> int | None:
    belief = parts.beliefs.get(subject)
    return None if belief is None else belief.measured_from
