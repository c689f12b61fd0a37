"""What is believed of a pattern or subject: recomputed from the records whenever something is said about it.

`examine` gathers the evidence of some subjects, `believe` draws the conclusions, writes indicator and stream rows in
the transaction that brought the evidence, and returns the beliefs that the caller puts in force after its commit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ioint_protocol import Dispute, Pattern, Report, Roster, Sighting, parse_pattern, pattern_value
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.flows.parts import ExchangeParts
from ioint_node.reputation.beliefs import Belief
from ioint_node.reputation.gate import (
    Candidate,
    Gate,
    Local,
    Rate,
    allocate,
    asks_gate,
    cheap,
    judge,
    own_record_clean,
    within_quota,
)
from ioint_node.reputation.rule import Electorate, Network, Statement, electorate, network_part
from ioint_node.reputation.view import Facts, Sightings, indicator_id, indicator_row, strictest, trend
from ioint_node.store import indicators, log, matches, overrides, stream
from ioint_node.store.log import StoredRecord
from ioint_node.store.matches import OwnRecord
from ioint_node.store.times import day_of, from_text

WEEK_DAYS: Final = 7
REMEMBERED_DAYS: Final = 45  # a record lives 30; a week more for the trend, and clocks differ
CHUNK_SUBJECTS: Final = 500  # recomputed in one transaction by `refresh_all`
HEARD: Final = ("state", "tier", "score", "confidence", "effect", "revoked", "disputed")
"""Columns whose change engines hear of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All evidence about one subject: the network part, and what only this node knows."""

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

    @property
    def candidate(self) -> bool:
        """Whether it passed the gate and asks for a share of the budget."""
        asks = asks_gate(self.network.tier, clean=self.clean) and self.gate.open
        return asks and self.others and not self.allowed and (self.first or self.network.tier != "advisory")

    def judged(self, *, fits: bool) -> Local:
        """Tier and effect here, given whether the budget has room."""
        return judge(
            self.network.tier,
            others=self.others,
            first=self.first,
            clean=self.clean,
            gate=self.gate,
            fits=fits,
            allowed=self.allowed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """What is believed of one subject now: its indicator row, how that came about, and what engines must hear."""

    row: dict[str, Any]
    details: Mapping[str, Any]
    event: str | None
    news: Mapping[str, Any]
    changed: bool


async def believe(
    connection: AsyncConnection, parts: ExchangeParts, patterns: Collection[str], now: int
) -> tuple[Belief, ...]:
    """Recompute some subjects, write what changed, and return the beliefs to put in force after the commit.

    Without a roster in force nothing is recomputed: what was believed fades with the silence of the network.
    """
    roster = parts.roster()
    if roster is None or not patterns:
        return ()
    cases = await examine(connection, parts, roster, patterns, now)
    fits, moved = _share_budget(parts, cases)
    if moved:
        # What now comes first, or no longer does, changes what else fits. One round is enough: it changes no evidence.
        cases |= await examine(connection, parts, roster, moved, now)
    previous = await indicators.details_of(connection, [indicator_id(subject) for subject in cases])
    conclusions = [
        _conclude(
            parts, case, roster, fits=case.subject in fits, previous=previous.get(indicator_id(case.subject))
        )
        for case in cases.values()
    ]
    return await _write(connection, [c for c in conclusions if c is not None], now)


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
    rates = await matches.rates(connection, anchors, today)
    own = await matches.own_records(connection, subjects, today)
    allowed = {override.subject for override in await overrides.active(connection, now, kind="allow")}
    us = roster.member(parts.member) if parts.member else None
    cases = {}
    for subject in sorted(set(subjects)):
        said = records.get(subject, ())
        network = _network(said, voters, today, equivocators)
        accusing = {v.group for v in network.voices if v.accusing > 0} - {us.group if us else ""}
        mine = own.get(subject, OwnRecord())
        cases[subject] = Case(
            subject=subject,
            records=said,
            network=network,
            a_week_ago=_network(said, voters_then, today - WEEK_DAYS, equivocators).score,
            gate=cheap(rates[subject], _base_rate(parts, subject), parts.params),
            own=mine,
            others=bool(accusing),
            first=any(first.counts and first.group in accusing for first in firsts.get(subject, ())),
            clean=own_record_clean(benign=mine.benign, flagged=mine.flagged, params=parts.params),
            allowed=subject in allowed,
        )
    return cases


async def note_first_reports(
    connection: AsyncConnection, parts: ExchangeParts, group: str, subjects: Collection[str], now: int
) -> None:
    """Note which subjects a group now reports for the first time in 30 days, and which of them are within its quota."""
    today = day_of(now)
    known = await matches.first_reports_of(connection, subjects, today)
    new = [s for s in sorted(set(subjects)) if all(first.group != group for first in known.get(s, ()))]
    days = list(await matches.first_report_days(connection, group, today))
    firsts = {}
    for subject in new:
        firsts[subject] = within_quota(days, today, parts.params)
        if firsts[subject]:
            days.append(today)
    await matches.add_first_reports(connection, group, firsts, today)


async def reload(parts: ExchangeParts, now: int) -> None:
    """Put in force what the store holds, after a restart."""
    async with parts.store.read() as connection:
        stored = await indicators.everything(connection)
        heard = await log.last_received(connection)
    parts.beliefs.replace(_remembered(row, details) for row, details in stored)
    if heard is not None:
        parts.beliefs.heard(min(now, from_text(heard)))


async def refresh_all(parts: ExchangeParts, now: int) -> None:
    """Recompute everything that was said within a record's life: daily, and after a change of the roster."""
    async with parts.store.read() as connection:
        subjects = await log.subjects_of(connection, since_day=day_of(now) - REMEMBERED_DAYS)
    for start in range(0, len(subjects), CHUNK_SUBJECTS):
        chunk = subjects[start : start + CHUNK_SUBJECTS]
        beliefs = await parts.store.write(partial(_believe_chunk, parts=parts, subjects=chunk, now=now))
        put_in_force(parts, beliefs)


async def _believe_chunk(
    connection: AsyncConnection, *, parts: ExchangeParts, subjects: Collection[str], now: int
) -> tuple[Belief, ...]:
    return await believe(connection, parts, subjects, now)


def put_in_force(parts: ExchangeParts, beliefs: Sequence[Belief]) -> None:
    """After the commit: assess uses these beliefs from its next action on, and engines are woken."""
    if beliefs:
        parts.beliefs.apply(beliefs)
        parts.notify()


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


def _share_budget(parts: ExchangeParts, cases: Mapping[str, Case]) -> tuple[frozenset[str], tuple[str, ...]]:
    """The patterns that fit the budget, and those outside `cases` for which that has changed."""
    # Beliefs of jobs in the same commit group are not in force yet; the next recomputation counts them.
    standing = [b for b in parts.beliefs.all().values() if b.candidate and b.pattern not in cases]
    fits = allocate(
        [
            *(Candidate(pattern=b.pattern, support=b.support, estimate=b.estimate) for b in standing),
            *(
                Candidate(pattern=c.subject, support=c.network.accusing, estimate=c.gate.estimate)
                for c in cases.values()
                if c.candidate
            ),
        ],
        parts.params,
    )
    return fits, tuple(b.pattern for b in standing if (b.pattern in fits) != b.fits)


def _conclude(
    parts: ExchangeParts,
    case: Case,
    roster: Roster,
    *,
    fits: bool,
    previous: tuple[dict[str, Any], dict[str, Any]] | None,
) -> Conclusion | None:
    """What follows from the evidence about one subject; None when nothing that was ever said of it is live."""
    if not case.records or (previous is None and case.network.state == "unknown"):
        return None
    local = case.judged(fits=fits)
    facts = _facts(parts, roster, case)
    row = indicator_row(
        case.subject,
        network=case.network,
        local=local,
        gate=case.gate,
        facts=facts,
        seen=Sightings(sessions=case.own.sessions, actors=case.own.actors),
        trend=trend(case.network.score, case.a_week_ago),
        taxonomy=parts.taxonomy,
        catalogue=parts.catalogue,
    )
    details = {
        "subject": case.subject,
        "support": case.network.accusing,
        "estimate": case.gate.estimate,
        "candidate": case.candidate,
        "fits": fits,
        "reason": local.reason,
        "withdrawn": case.network.withdrawn,
        "novel": pattern_value(facts.pattern) if facts.pattern else None,
    }
    old, old_details = previous or ({}, {})
    taken_back = case.network.withdrawn > old_details.get("withdrawn", 0)
    moved = any(row[name] != old.get(name) for name in HEARD)
    row["seq"] = old.get("seq", 0)
    return Conclusion(
        row=row,
        details=details,
        event="withdrawal" if taken_back else "reputation" if moved else None,
        news=_news(row, old, local, facts),
        changed=row != old or details != old_details,
    )


async def _write(
    connection: AsyncConnection, conclusions: Sequence[Conclusion], now: int
) -> tuple[Belief, ...]:
    """Write the stream rows of what engines must hear, and the indicator rows of what changed."""
    for c in conclusions:
        if c.event is not None:
            c.row["seq"] = await stream.append(connection, c.event, c.news, c.row["tlp"], now)
    changed = [(c.row, c.details) for c in conclusions if c.changed or c.event is not None]
    await indicators.upsert(connection, changed, now)
    return tuple(_remembered(c.row, c.details) for c in conclusions)


def _news(row: Mapping[str, Any], old: Mapping[str, Any], local: Local, facts: Facts) -> dict[str, Any]:
    """The body of a stream row; `before` and `after` are the effect, which is what an engine acts on."""
    return {
        row["kind"]: row["id"],
        "before": old.get("effect", 0.0),
        "after": row["effect"],
        "state": row["state"],
        "tier": row["tier"],
        "score": row["score"],
        "confidence": row["confidence"],
        "effect": row["effect"],
        "revoked": row["revoked"],
        "reason": local.reason,
        "label": row["label"],
        "first_reporter": facts.first_reporter,
    }


def _facts(parts: ExchangeParts, roster: Roster, case: Case) -> Facts:
    """Who was first, when, and what the records say of intents; live ones where there are any."""
    live_ids = {(s.author, s.id) for voice in case.network.voices for s in voice.statements}
    reports = [s for s in case.records if isinstance(s.record, Report)]
    live = [s for s in reports if (s.author, s.id) in live_ids] or reports
    first = min(live, key=lambda s: (s.received_at, s.author), default=None)
    entry = parts.catalogue.entries.get(case.subject)
    said = {name for s in live if isinstance(s.record, Report) for name in s.record.intents}
    member = roster.member(first.author) if first else None
    return Facts(
        intents=entry.intents if entry else tuple(sorted(said)),
        first_reporter=member.name if member else "",
        first_day=min((s.record.day_from for s in live if isinstance(s.record, Report)), default=0),
        last_day=max((s.day for s in case.records if s.kind != "withdrawal"), default=0),
        tlp=strictest(s.tlp for s in live),
        pattern=next((p for s in live if (p := _novel(s)) is not None), None),
    )


def _novel(stored: StoredRecord) -> Pattern | None:
    pattern = stored.record.pat if isinstance(stored.record, Report) else None
    return pattern if isinstance(pattern, Pattern) else None


def _remembered(row: Mapping[str, Any], details: Mapping[str, Any]) -> Belief:
    return Belief(
        pattern=details["subject"],
        state=row["state"],
        tier=row["tier"],
        effect=row["effect"],
        score=row["score"],
        confidence=row["confidence"],
        groups=row["reporters"],
        support=details["support"],
        estimate=details["estimate"],
        candidate=details["candidate"],
        fits=details["fits"],
        novel=None if details["novel"] is None else parse_pattern(details["novel"]),
        seq=row["seq"],
    )
