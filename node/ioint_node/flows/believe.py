"""What is believed of a pattern or subject: recomputed from the records whenever something is said about it.

`evidence.examine` gathers what is known of some subjects; `believe` draws the conclusions, writes indicator and stream
rows in the transaction that brought the evidence, and returns the beliefs that the caller puts in force after it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from ioint_protocol import Report, Roster, parse_pattern, pattern_value
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.flows.evidence import REMEMBERED_DAYS, Case, examine, heard_reports, heard_statements
from ioint_node.flows.parts import ExchangeParts
from ioint_node.reputation.beliefs import Belief
from ioint_node.reputation.gate import (
    Candidate,
    Local,
    allocate,
    within_quota,
)
from ioint_node.reputation.novel import Claim, places
from ioint_node.reputation.view import Facts, Sightings, indicator_id, indicator_row, strictest, trend
from ioint_node.store import indicators, log, matches, stream
from ioint_node.store.times import day_of, from_text

WEEK_DAYS: Final = 7
CHUNK_SUBJECTS: Final = 500  # recomputed in one transaction by `refresh_all`
HEARD: Final = ("state", "tier", "score", "confidence", "effect", "revoked", "disputed")
"""Columns whose change engines hear of."""


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
    placed, displaced = _share_places(parts, cases)
    fits, moved = _share_budget(parts, cases)
    if moved or displaced:
        # What now comes first, or no longer does, changes what else fits. One round is enough: it changes no evidence.
        cases |= await examine(connection, parts, roster, {*moved, *displaced}, now)
    previous = await indicators.details_of(connection, [indicator_id(subject) for subject in cases])
    conclusions = [
        _conclude(
            parts,
            case,
            roster,
            fits=case.subject in fits,
            measured_from=(case.measured_from or day_of(now) + 1) if case.subject in placed else None,
            previous=previous.get(indicator_id(case.subject)),
        )
        for case in cases.values()
    ]
    return await _write(connection, [c for c in conclusions if c is not None], now)


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


def _share_places(parts: ExchangeParts, cases: Mapping[str, Case]) -> tuple[frozenset[str], tuple[str, ...]]:
    """The novel patterns that are matched here, and those outside `cases` for which that has changed."""
    standing = [b for b in parts.beliefs.all().values() if b.claimant is not None and b.pattern not in cases]
    placed = places(
        [
            *(Claim(pattern=b.pattern, group=b.claimant or "", since=b.since) for b in standing),
            *(claim for case in cases.values() if (claim := case.claim) is not None),
        ],
        parts.novel,
    )
    return placed, tuple(
        b.pattern for b in standing if (b.pattern in placed) != (b.measured_from is not None)
    )


def _share_budget(parts: ExchangeParts, cases: Mapping[str, Case]) -> tuple[frozenset[str], tuple[str, ...]]:
    """The patterns that fit the budget, and those outside `cases` for which that has changed."""
    # Beliefs of jobs in the same commit group are not in force yet; the next recomputation counts them.
    standing = [b for b in parts.beliefs.all().values() if b.candidate and b.pattern not in cases]
    fits = allocate(
        [
            *(Candidate(pattern=b.pattern, accusers=b.accusers, estimate=b.estimate) for b in standing),
            *(
                Candidate(pattern=c.subject, accusers=c.accusers, estimate=c.gate.estimate)
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
    measured_from: int | None,
    previous: tuple[dict[str, Any], dict[str, Any]] | None,
) -> Conclusion | None:
    """What follows from the evidence about one subject; None when nothing that was ever said of it is live."""
    if not case.records or (previous is None and case.network.state == "unknown"):
        return None
    local = case.judged(fits=fits, placed=measured_from is not None)
    facts = _facts(parts, roster, case)
    if case.network.state == "withdrawn" and previous is not None:
        # Whoever was warned hears that the warning is taken back, and no more than that warning told.
        told = previous[0]
        facts = replace(facts, tlp=told["tlp"], first_reporter=told["first_reporter"])
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
    claim = case.claim
    details = {
        "subject": case.subject,
        "accusers": list(case.accusers),
        "estimate": case.gate.estimate,
        "candidate": case.candidate,
        "fits": fits,
        "reason": local.reason,
        "withdrawn": case.network.withdrawn,
        "novel": pattern_value(case.novel) if case.novel else None,
        "claimant": case.claimant if claim else None,
        "since": claim.since if claim else "",
        "measured_from": measured_from,
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
    live = heard_reports(case.records, case.network)
    first = case.first_report
    entry = parts.catalogue.entries.get(case.subject)
    said = {name for s in live if isinstance(s.record, Report) for name in s.record.intents}
    member = roster.member(first.author) if first else None
    return Facts(
        intents=entry.intents if entry else tuple(sorted(said)),
        first_reporter=member.name if member else "",
        first_day=min((s.record.day_from for s in live if isinstance(s.record, Report)), default=0),
        last_day=max((s.day for s in case.records if s.kind != "withdrawal"), default=0),
        tlp=strictest(s.tlp for s in heard_statements(case.records, case.network) or live),
        pattern=case.novel,
    )


def _remembered(row: Mapping[str, Any], details: Mapping[str, Any]) -> Belief:
    return Belief(
        pattern=details["subject"],
        state=row["state"],
        tier=row["tier"],
        effect=row["effect"],
        score=row["score"],
        confidence=row["confidence"],
        groups=row["reporters"],
        accusers=tuple(details.get("accusers", ())),  # a row of an older release has none of these
        estimate=details["estimate"],
        candidate=details["candidate"],
        fits=details["fits"],
        novel=None if details["novel"] is None else parse_pattern(details["novel"]),
        claimant=details.get("claimant"),
        since=details.get("since", ""),
        measured_from=details.get("measured_from"),
        seq=row["seq"],
    )
