"""The evidence about a subject: what was said of it, what only this node knows, and what follows from each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from ioint_protocol import Dispute, Pattern, Report, Roster, Sighting
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.flows.parts import ExchangeParts
from ioint_node.reputation.gate import Gate, Local, Rate, asks_gate, cheap, judge, own_record_clean
from ioint_node.reputation.novel import Claim, too_broad
from ioint_node.reputation.rule import Electorate, Network, Statement, electorate, network_part
from ioint_node.store import log, matches, overrides
from ioint_node.store.log import StoredRecord
from ioint_node.store.matches import OwnRecord
from ioint_node.store.times import day_of

WEEK_DAYS: Final = 7
REMEMBERED_DAYS: Final = 45  # a record lives 30; a week more for the trend, and clocks differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All evidence about one subject: the network part, and what only this node knows.

    `first_report` is the live report that came first. `novel` is the pattern itself where the catalogue does not have
    it, `broad` says why it is not specific, `measured_from` is the day since which this node matches it.
    """

    subject: str
    records: tuple[StoredRecord, ...]
    network: Network
    a_week_ago: int
    gate: Gate
    own: OwnRecord
    others: bool
    first: bool
    clean: bool
    allowed: bool
    first_report: StoredRecord | None
    claimant: str
    novel: Pattern | None
    broad: str | None
    measured_from: int | None

    @property
    def accusers(self) -> tuple[str, ...]:
        """The groups with a live accusing voice."""
        return tuple(voice.group for voice in self.network.voices if voice.accusing > 0)

    @property
    def matters(self) -> bool:
        """Whether only its own rate and the bounds of this node can keep it from an effect."""
        heard = self.others and not self.allowed and self.broad is None
        return heard and self.network.tier != "none" and (self.first or self.network.tier != "advisory")

    @property
    def claim(self) -> Claim | None:
        """What it asks for when it is a novel pattern that matters."""
        if self.novel is None or self.first_report is None or not self.matters:
            return None
        return Claim(pattern=self.subject, group=self.claimant, since=self.first_report.received_at)

    @property
    def candidate(self) -> bool:
        """Whether it passed the gate and asks for a share of the budget."""
        return self.matters and asks_gate(self.network.tier, clean=self.clean) and self.gate.open

    def judged(self, *, fits: bool, placed: bool) -> Local:
        """Tier and effect here, given whether budget and matcher have room for it."""
        return judge(
            self.network.tier,
            others=self.others,
            first=self.first,
            clean=self.clean,
            gate=self.gate,
            fits=fits,
            allowed=self.allowed,
            broad=self.broad is not None,
            placed=placed or self.novel is None,
        )


async def examine(
    connection: AsyncConnection, parts: ExchangeParts, roster: Roster, subjects: Collection[str], now: int
) -> dict[str, Case]:
    """Gather all evidence about some subjects, by subject."""
    today = day_of(now)
    records = await log.records_about(connection, subjects, since_day=today - REMEMBERED_DAYS)
    equivocators = await log.equivocators(connection)
    voters, voters_then = electorate(roster, today), electorate(roster, today - WEEK_DAYS)
    firsts = await matches.first_reports_of(connection, subjects, today)
    anchors = {s: min((first.day for first in firsts.get(s, ())), default=today) for s in subjects}
    novel = {s: _novel(parts, s, records.get(s, ())) for s in subjects}
    # What was matched for no whole day yet has no rate: nothing is counted before tomorrow.
    measured = {s: since for s in subjects if (since := _measured_from(parts, s)) is not None}
    starts = {s: measured.get(s, today + 1) for s, pattern in novel.items() if pattern}
    rates = await matches.rates(connection, anchors, today, measured_from=starts)
    own = await matches.own_records(connection, subjects, today)
    allowed = {override.subject for override in await overrides.active(connection, now, kind="allow")}
    us = roster.member(parts.member) if parts.member else None
    cases = {}
    for subject in sorted(set(subjects)):
        said = records.get(subject, ())
        network = _network(said, voters, today, equivocators)
        accusing = {v.group for v in network.voices if v.accusing > 0} - {us.group if us else ""}
        mine = own.get(subject, OwnRecord())
        first = _first_report(said, network)
        reporter = roster.member(first.author) if first else None
        pattern = novel[subject]
        cases[subject] = Case(
            subject=subject,
            records=said,
            network=network,
            a_week_ago=_network(said, voters_then, today - WEEK_DAYS, equivocators).score,
            gate=cheap(rates[subject], _base_rate(parts, subject), parts.params),
            own=mine,
            others=bool(accusing),
            first=any(f.counts and f.group in accusing for f in firsts.get(subject, ())),
            clean=own_record_clean(benign=mine.benign, flagged=mine.flagged, params=parts.params),
            allowed=subject in allowed,
            first_report=first,
            claimant=reporter.group if reporter else "",
            novel=pattern,
            broad=too_broad(pattern, parts.taxonomy, parts.novel) if pattern else None,
            measured_from=measured.get(subject),
        )
    return cases


def statement(stored: StoredRecord) -> Statement:
    """What a stored record says, in the words of the rule."""
    record = stored.record
    match record:
        case Report():
            return Statement(
                id=stored.id,
                author=stored.author,
                kind="report",
                bad=record.bad,
                seen=record.seen,
                day=record.day_until,
            )
        case Sighting():
            return Statement(
                id=stored.id, author=stored.author, kind="sighting", seen=record.seen, day=record.day
            )
        case Dispute():
            return Statement(id=stored.id, author=stored.author, kind="dispute", day=record.day)
        case _:
            return Statement(id=stored.id, author=stored.author, kind="withdrawal", of=record.of)


def heard_reports(records: Sequence[StoredRecord], network: Network) -> list[StoredRecord]:
    """The reports that are heard now; all of them when none is."""
    heard = [s for s in heard_statements(records, network) if isinstance(s.record, Report)]
    return heard or [s for s in records if isinstance(s.record, Report)]


def heard_statements(records: Sequence[StoredRecord], network: Network) -> list[StoredRecord]:
    """The records that are heard now, of every kind."""
    heard = {(s.author, s.id) for voice in network.voices for s in voice.statements}
    return [s for s in records if (s.author, s.id) in heard]


def _network(
    records: Sequence[StoredRecord], voters: Electorate, today: int, equivocators: Collection[str]
) -> Network:
    return network_part(
        (statement(stored) for stored in records),
        voters,
        today,
        equivocators=equivocators,
        public_subject=any(isinstance(s.record, Report) and s.record.kind == "subject" for s in records),
    )


def _base_rate(parts: ExchangeParts, subject: str) -> Rate | None:
    entry = parts.catalogue.entries.get(subject)
    return None if entry is None else Rate(matches=entry.base_matches, sessions=entry.base_sessions)


def _first_report(records: Sequence[StoredRecord], network: Network) -> StoredRecord | None:
    return min(heard_reports(records, network), key=lambda s: (s.received_at, s.author), default=None)


def _novel(parts: ExchangeParts, subject: str, records: Sequence[StoredRecord]) -> Pattern | None:
    """The pattern itself, unless the catalogue has it."""
    if subject in parts.catalogue.entries:
        return None
    said = (s.record.pat for s in records if isinstance(s.record, Report))
    return next((pattern for pattern in said if isinstance(pattern, Pattern)), None)


def _measured_from(parts: ExchangeParts, subject: str) -> int | None:
    belief = parts.beliefs.get(subject)
    return None if belief is None else belief.measured_from
