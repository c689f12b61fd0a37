"""From a session that was found bad to bytes that leave: propose, decide, flush.

What would leave is written down as exact bytes before anything else happens to it, with a reason for every field. Only
those bytes are signed, after one more check of what is in them, and they stay listed for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from ioint_protocol import (
    Dispute,
    Pattern,
    Record,
    Report,
    Roster,
    VerifiedSegment,
    Withdrawal,
    build_segment,
    encode_record,
    parse_segment,
    record_id,
    record_pattern,
    verify_segment,
)
from ioint_protocol.pattern import Matcher, parse_pattern
from nacl.signing import SigningKey
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import ConflictError, NotFoundError
from ioint_node.flows import ownlog
from ioint_node.flows.believe import Believed, enter, put_in_force
from ioint_node.flows.draft import STATE_OF, Draft, draft_report, sample_report
from ioint_node.flows.evidence import REMEMBERED_DAYS
from ioint_node.flows.journal import LocalSighting
from ioint_node.flows.ownlog import Halted, Lost, Next
from ioint_node.flows.parts import ExchangeParts, News
from ioint_node.flows.spread import pass_on
from ioint_node.privacy.egress import check_segment
from ioint_node.privacy.explain import explain
from ioint_node.privacy.gate import Release
from ioint_node.reputation.novel import too_broad
from ioint_node.reputation.rule import LIFE_DAYS
from ioint_node.scoring.model import Model
from ioint_node.scoring.predict import events_of, read_sessions
from ioint_node.scoring.tracker import SessionTracker
from ioint_node.scoring.values import Declaration
from ioint_node.store import log, matches, outgoing, sessions
from ioint_node.store.log import Arrival, StoredRecord
from ioint_node.store.outgoing import Outgoing
from ioint_node.store.times import day_of, to_text

FLUSH_SEGMENTS: Final = 16  # in one call of `flush`
ALREADY_SAID: Final = "already said"
PUBLISH_OFF: Final = 'publish is off: set publish = "hold" in config.toml to send single records'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sender:
    """All that signing needs, once it is certain that others will accept the signature."""

    member: str
    key: SigningKey = field(repr=False)
    roster: Roster
    consortium: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flushed:
    records: int = 0
    believed: Believed = field(default_factory=Believed)
    news: tuple[News, ...] = ()


async def propose(
    connection: AsyncConnection, parts: ExchangeParts, sighting: LocalSighting, now: int
) -> None:
    """Note what this session gives to tell, in the transaction that notes the session itself.

    A pattern that was told already, and whose count has not doubled, leaves no trace.
    """
    if not sighting.confirmed:
        return
    ready = False
    for pattern in sorted(set(sighting.patterns)):
        draft = await draft_report(
            connection, parts, pattern, sighting.session_id, confirmed=True, basis="threshold", now=now
        )
        if draft is None or draft.outcome.reason.startswith(ALREADY_SAID):
            continue
        noted = _noted(draft, now)
        if not await outgoing.add(connection, noted) and noted.state == "ready":
            # The same bytes were held under another setting.
            await outgoing.decide(
                connection, noted.id, state="ready", reason=noted.reason, not_before=now, by="the setting"
            )
        ready = ready or isinstance(draft.outcome, Release)
    if ready:
        parts.flush_soon()


async def halted(connection: AsyncConnection, parts: ExchangeParts) -> str | None:
    """Why this node signs nothing and what to do about it, for `status` and `doctor`; None when it may sign."""
    if parts.member is None:
        return None
    found = await ownlog.outlook(connection, parts, parts.member)
    return found.reason if isinstance(found, Halted) else None


async def flush(parts: ExchangeParts, now: int) -> int:
    """Sign what is ready into our own log and pass it on (`flows.spread`); returns how many records left.

    Before the first contact since the start nothing is signed: members may hold more of our log than we do.
    """
    total = 0
    if not parts.in_contact():
        return total
    for _ in range(FLUSH_SEGMENTS):
        sender = _sender(parts)
        if sender is None:
            break
        flushed = await parts.store.write(partial(_flush, parts=parts, sender=sender, now=now))
        if flushed.records == 0:
            break
        total += flushed.records
        put_in_force(parts, flushed.believed)
        parts.notify()
        for news in flushed.news:
            parts.announce(news)
    return total


async def preview(
    parts: ExchangeParts, session_id: str | None, now: int, *, sure: float
) -> list[dict[str, Any]]:
    """The exact bytes that a session would make leave, field by field; without a session, a sample.

    A session whose risk is below `sure`, the publish threshold, tells nothing by itself, and each record says so.

    Raises:
        NotFoundError: no such session.
    """
    if session_id is None:
        first = min(parts.catalogue.entries.values(), key=lambda entry: entry.slug)
        return [sample_report(parts, first.id, now).to_json()]
    async with parts.store.read() as connection:
        detail = await sessions.get_session(connection, session_id)
        drafts = [
            await draft_report(
                connection,
                parts,
                pattern,
                session_id,
                confirmed=float(detail["risk"]) >= sure,
                basis="threshold",
                now=now,
            )
            for pattern in sorted({str(match["pattern"]) for match in detail["patterns"]})
        ]
    return [draft.to_json() for draft in drafts if draft is not None]


def preview_file(parts: ExchangeParts, source: Path, model: Model, now: int) -> list[dict[str, Any]]:
    """What the sessions of a file would make leave, had they happened here today: one first report for each pattern.

    Raises:
        PredictionError: a line is no session; the message names it.
    """
    patterns = {name: parse_pattern(entry.pattern) for name, entry in parts.catalogue.entries.items()}
    matcher = Matcher(patterns, parts.taxonomy)
    told: set[str] = set()
    for session in read_sessions(source):
        declaration = Declaration(text=str(session.get("declared_intent") or ""))
        tracker = SessionTracker(declaration, model=model, matcher=matcher, taxonomy=parts.taxonomy)
        judged = [tracker.observe(event) for event in events_of(session)]
        if tracker.session_risk >= model.thresholds.publish:
            told.update(pattern for one in judged if one is not None for pattern in one.completed)
    return [sample_report(parts, pattern, now).to_json() for pattern in sorted(told)]


async def decide(parts: ExchangeParts, record: str, approve: bool, by: str, now: int) -> dict[str, Any]:
    """Let a held record leave, or never; returns it as the API shows it.

    Raises:
        NotFoundError: no such record.
        ConflictError: it is not held.
    """

    async def write(connection: AsyncConnection) -> dict[str, Any]:
        held = await outgoing.get(connection, record)
        if held is None:
            raise NotFoundError(f"no record {record[:64]!r} waits here")
        if held.state != "held":
            raise ConflictError(f"record {record[:12]} is {held.state}, not held")
        reason = "approved by an operator" if approve else "refused by an operator"
        state = "ready" if approve else "refused"
        await outgoing.decide(connection, record, state=state, reason=reason, not_before=now, by=by)
        decided = await outgoing.get(connection, record)
        if decided is None:
            raise AssertionError("a row vanished within its transaction")
        return decided.to_json()

    answer = await parts.store.write(write)
    if approve:
        await flush(parts, now)
    return answer


async def publish_record(parts: ExchangeParts, record: Record, *, by: str, now: int) -> str:
    """Send a record that a person asked for: a dispute, a withdrawal, a confirmed report. Returns its id.

    Raises:
        ConflictError: publishing is off, or it is about a novel pattern that is not specific.
        EgressError: it holds something that may not leave.
    """
    if parts.publish_mode == "off":
        raise ConflictError(PUBLISH_OFF)
    _check_specific(parts, record.pat if isinstance(record, Report) else None)
    body = encode_record(record)
    name = record_id(body)

    async def write(connection: AsyncConnection) -> None:
        await outgoing.add(
            connection,
            Outgoing(
                id=name,
                kind=log.KINDS[type(record)],
                subject=await _subject(connection, record),
                body=body,
                explain=explain(body, parts.taxonomy, parts.catalogue),
                state="ready",
                reason="asked for by an operator",
                not_before=to_text(now),
                at=to_text(now),
                decided_by=by,
            ),
        )

    await parts.store.write(write)
    await flush(parts, now)
    return name


async def confirm_pattern(parts: ExchangeParts, pattern: str, *, by: str, now: int) -> str:
    """Report a pattern on an analyst's word, from what this node has seen of it; returns the record's id.

    Raises:
        NotFoundError: the pattern is not known.
        ConflictError: it was not met here, it is not specific, or publishing is off.
    """
    async with parts.store.read() as connection:
        draft = await draft_report(connection, parts, pattern, None, confirmed=True, basis="analyst", now=now)
        own = await matches.own_records(connection, (pattern,), day_of(now))
    if draft is None:
        raise NotFoundError(f"no pattern {pattern[:64]!r}")
    if pattern not in own:
        raise ConflictError(
            "this pattern was not met here in the last 30 days: there is nothing of ours to report"
        )
    if parts.publish_mode == "off":
        raise ConflictError(PUBLISH_OFF)
    belief = parts.beliefs.get(pattern)
    _check_specific(parts, None if pattern in parts.catalogue.entries or belief is None else belief.novel)
    noted = _noted(draft, now, state="ready", reason="confirmed by an analyst", by=by)
    await parts.store.write(lambda connection: outgoing.add(connection, noted))
    await flush(parts, now)
    return draft.id


async def dispute_pattern(parts: ExchangeParts, pattern: str, *, reason: str, by: str, now: int) -> str:
    """Speak for a pattern: dispute the newest report about it; returns the record's id.

    Raises:
        NotFoundError: nobody else has reported it.
        ConflictError: publishing is off.
    """
    async with parts.store.read() as connection:
        said = await _said_of(connection, pattern, now)
    reports = [s for s in said if isinstance(s.record, Report) and s.author != parts.member]
    if not reports:
        raise NotFoundError("no other member has reported it: there is nothing to dispute")
    newest = max(reports, key=lambda s: (s.day, s.id))
    return await publish_record(parts, Dispute(of=newest.id, reason=reason, day=day_of(now)), by=by, now=now)


async def withdraw_pattern(
    parts: ExchangeParts, pattern: str, *, reason: str, by: str, now: int
) -> list[str]:
    """Take back all that this node said of a pattern; returns the ids of the withdrawals.

    Raises:
        NotFoundError: this node said nothing of it, or took it all back before.
        ConflictError: publishing is off.
    """
    async with parts.store.read() as connection:
        said = await _said_of(connection, pattern, now)
    ours = [s for s in said if s.author == parts.member]
    gone = {s.record.of for s in ours if isinstance(s.record, Withdrawal)}
    # All of them: else an older report would speak again where the newest was taken back.
    standing = [s.id for s in ours if s.kind != "withdrawal" and s.id not in gone]
    if not standing:
        raise NotFoundError("this node has said nothing of it that stands")
    return [
        await publish_record(parts, Withdrawal(of=each, reason=reason), by=by, now=now) for each in standing
    ]


def _noted(
    draft: Draft, now: int, *, state: str | None = None, reason: str | None = None, by: str | None = None
) -> Outgoing:
    outcome = draft.outcome
    return Outgoing(
        id=draft.id,
        kind="report",
        subject=draft.pattern,
        body=draft.body,
        explain=draft.rows,
        state=state or STATE_OF[type(outcome)],
        reason=reason or outcome.reason,
        not_before=to_text(outcome.not_before if isinstance(outcome, Release) else now),
        at=to_text(now),
        decided_by=by,
    )


def _check_specific(parts: ExchangeParts, pattern: object) -> None:
    """Let no person send what would warn others of everyday work.

    Raises:
        ConflictError: a novel pattern is too broad.
    """
    broad = too_broad(pattern, parts.taxonomy, parts.novel) if isinstance(pattern, Pattern) else None
    if broad is not None:
        raise ConflictError(f"this pattern is not specific: {broad}")


def _sender(parts: ExchangeParts) -> _Sender | None:
    """Who signs; None while this node is no active member."""
    roster, consortium = parts.roster(), parts.consortium()
    if roster is None or consortium is None or parts.member is None or parts.record_key is None:
        return None
    us = roster.member(parts.member)
    if us is None or us.state != "active":
        return None
    return _Sender(member=parts.member, key=parts.record_key, roster=roster, consortium=consortium)


async def _flush(connection: AsyncConnection, *, parts: ExchangeParts, sender: _Sender, now: int) -> _Flushed:
    """One segment. All reading happens here, within the write: nothing can become ready in between and be lost."""
    match await ownlog.outlook(connection, parts, sender.member):
        case Halted():
            return _Flushed()
        case Lost(segment=segment):
            await ownlog.note_left(connection, parts, segment, now)
        case Next(seq=seq, prev=prev):
            ready = await outgoing.ready(connection, now, parts.limits.flush_records)
            key = parts.later_key(seq + 1) or sender.key
            if not ready or not _may_sign(sender, seq + 1, key):
                return _Flushed()
            bodies = [record.body for record in ready]
            segment = await _sign(
                connection, parts, replace(sender, key=key), bodies, seq=seq, prev=prev, now=now
            )
            ownlog.fasten(parts.anchor, segment.wire)
            await outgoing.mark_left(connection, [record.id for record in ready], segment.seq, now)
    arrivals = [Arrival(segment=segment)]
    return _Flushed(
        records=len(segment.records),
        news=await pass_on(connection, parts, arrivals, sender.roster, now),
        believed=await enter(connection, parts, sender.roster, arrivals, now),
    )


def _may_sign(sender: _Sender, seq: int, key: SigningKey) -> bool:
    """Whether the roster names this key for this segment: until it does, records wait."""
    us = sender.roster.member(sender.member)
    return us is not None and us.record_key_at(seq) == bytes(key.verify_key).hex()


async def _sign(
    connection: AsyncConnection,
    parts: ExchangeParts,
    sender: _Sender,
    bodies: Sequence[bytes],
    *,
    seq: int,
    prev: str,
    now: int,
) -> VerifiedSegment:
    """Sign the segment that follows number `seq`, whose hash is `prev`."""
    # Never lower than what was signed before: a withdrawal that members brought back counts from the day of its return.
    signed = await log.known(connection, sender.member, seq)
    low = max(
        signed.low, await log.lowest_live(connection, sender.member, day_of(now) - LIFE_DAYS) or seq + 1
    )
    wire = build_segment(sender.key, sender.consortium, sender.member, seq + 1, prev, low, bodies)
    check_segment(wire, parts.taxonomy, parts.catalogue)
    # Others will verify these bytes: if they would not, better to find out before they are our history.
    return verify_segment(parse_segment(wire), sender.consortium, sender.roster)


async def _said_of(connection: AsyncConnection, pattern: str, now: int) -> tuple[StoredRecord, ...]:
    since = day_of(now) - REMEMBERED_DAYS
    return (await log.records_about(connection, (pattern,), since_day=since)).get(pattern, ())


async def _subject(connection: AsyncConnection, record: Record) -> str:
    if isinstance(record, Report):
        return record_pattern(record) or record.subj or ""
    return await log.subject_of(connection, record.of)
