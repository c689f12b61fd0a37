"""The logs of the members, as far as this node has them: segments as they came, and the records in them by subject.

Two members may sign the same bytes, so a row of `records` is a statement: its `id` is made of author and record id, and
the record's own id is computed from the body. A statement that is signed again keeps its first place. A sighting, a
dispute or a withdrawal that comes before the report it names has no subject until that report comes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from ioint_protocol import (
    Dispute,
    Record,
    Report,
    Sighting,
    VerifiedSegment,
    Withdrawal,
    content_id,
    decode_record,
    record_id,
    record_pattern,
)
from sqlalchemy import Column, Row, and_, bindparam, case, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.admission import Known
from ioint_node.store.schema import equivocations, records, segments
from ioint_node.store.times import day_of, to_text
from ioint_node.store.upsert import upserting

NO_SUBJECT: Final = ""
# A record without a label of its own has that of the report which it names; until that comes, the most closed.
UNLABELLED: Final = "red"
RANGE_SEGMENTS: Final = 256
AUTHOR_RECORDS: Final = 256  # about one subject, of one author
READ_RECORDS: Final = 8_192  # records kept as values, to save reading their bytes again
AUTHOR_ORPHANS: Final = 1_024  # records of one author that wait for the report they name
KINDS: Final[Mapping[type, str]] = {
    Report: "report",
    Sighting: "sighting",
    Dispute: "dispute",
    Withdrawal: "withdrawal",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """A record of a member's log with its place there; `day` is a UTC day, `received_at` RFC 3339 text."""

    id: str
    author: str
    segment: int
    kind: str
    subject: str
    tlp: str
    day: int
    received_at: str
    body: bytes = field(repr=False)
    record: Record


def statement_id(author: str, record: str) -> str:
    """The id of what one member said, 64 hex digits."""
    return content_id("statement", f"{author}/{record}".encode("ascii"))


async def vector(connection: AsyncConnection) -> dict[str, tuple[int, str]]:
    """Height and head of every author's log that we hold."""
    newest = (
        select(segments.c.author, func.max(segments.c.seq).label("seq"))
        .group_by(segments.c.author)
        .subquery()
    )
    rows = await connection.execute(
        select(segments.c.author, segments.c.seq, segments.c.head).join(
            newest, (segments.c.author == newest.c.author) & (segments.c.seq == newest.c.seq)
        )
    )
    return {row.author: (row.seq, row.head) for row in rows}


async def head(connection: AsyncConnection, author: str) -> tuple[int, str] | None:
    """Height and head of one author's log, or None when we hold nothing of it."""
    row = (
        await connection.execute(
            select(segments.c.seq, segments.c.head)
            .where(segments.c.author == author)
            .order_by(segments.c.seq.desc())
            .limit(1)
        )
    ).one_or_none()
    return None if row is None else (row.seq, row.head)


async def known(connection: AsyncConnection, author: str, seq: int) -> Known:
    """What admission needs to know about an author's log to place a segment of height `seq`."""
    newest = await head(connection, author)
    if newest is None:
        return Known()
    same = select(segments.c.head).where(segments.c.author == author, segments.c.seq == seq)
    return Known(
        seq=newest[0],
        head=newest[1],
        same_height=(await connection.execute(same)).scalar_one_or_none() if seq <= newest[0] else None,
    )


async def last_received(connection: AsyncConnection) -> str | None:
    """When the newest segment of another member came, as RFC 3339 text."""
    statement = select(func.max(segments.c.received_at)).where(segments.c.delivered_by.is_not(None))
    newest: str | None = (await connection.execute(statement)).scalar_one()
    return newest


async def wire_of(connection: AsyncConnection, author: str, seq: int) -> bytes | None:
    """One segment as it came, or None."""
    statement = select(segments.c.wire).where(segments.c.author == author, segments.c.seq == seq)
    found = (await connection.execute(statement)).scalar_one_or_none()
    return None if found is None else bytes(found)


async def segments_between(
    connection: AsyncConnection, author: str, first: int, last: int, *, limit: int = RANGE_SEGMENTS
) -> list[bytes]:
    """The segments `first` … `last` of an author in order, at most `limit` of them."""
    rows = await connection.execute(
        select(segments.c.wire)
        .where(segments.c.author == author, segments.c.seq >= first, segments.c.seq <= last)
        .order_by(segments.c.seq)
        .limit(limit)
    )
    return [bytes(row.wire) for row in rows]


async def lowest_live(connection: AsyncConnection, author: str, since_day: int) -> int | None:
    """The lowest segment of an author that holds a record of `since_day` or later."""
    statement = select(func.min(records.c.segment)).where(
        records.c.author == author, records.c.day >= since_day
    )
    lowest: int | None = (await connection.execute(statement)).scalar_one_or_none()
    return lowest


async def add_segment(
    connection: AsyncConnection, segment: VerifiedSegment, *, delivered_by: str | None, now: int
) -> frozenset[str]:
    """Store a segment that is next in its author's log, and return the subjects that its records are about."""
    await connection.execute(
        insert(segments).values(
            author=segment.author,
            seq=segment.seq,
            head=segment.head,
            wire=segment.wire,
            records=len(segment.records),
            received_at=to_text(now),
            delivered_by=delivered_by,
        )
    )
    subjects, labels = await _subjects(connection, segment), await _labels(connection, segment)
    rows = [
        {
            "id": statement_id(segment.author, item.id),
            "author": segment.author,
            "segment": segment.seq,
            "kind": KINDS[type(item.record)],
            "subject": subjects[item.id],
            "of": item.id if isinstance(item.record, Report) else item.record.of,
            "tlp": labels[item.id],
            "day": _day(item.record, now),
            "body": item.body,
            "received_at": to_text(now),
        }
        for item in segment.records
    ]
    kept = await _without_excess(connection, segment.author, rows)
    if kept:
        await connection.execute(
            upserting(connection, records).on_conflict_do_nothing(index_elements=["id"]), kept
        )
    reports = {item.id for item in segment.records if isinstance(item.record, Report)}
    await _adopt(connection, {r: subjects[r] for r in reports}, {r: labels[r] for r in reports})
    return frozenset(subjects.values()) - {NO_SUBJECT}


async def records_about(
    connection: AsyncConnection, subjects: Collection[str], *, since_day: int = 0
) -> dict[str, tuple[StoredRecord, ...]]:
    """The records about each subject since a day, each author's in the order of its log.

    Of one author only the newest `AUTHOR_RECORDS` about a subject: whoever says more can only drown itself out, and
    every node drops the same.
    """
    place = func.row_number().over(
        partition_by=(records.c.subject, records.c.author), order_by=records.c.seq.desc()
    )
    newest = (
        select(records.c.seq, place.label("place"))
        .where(records.c.subject.in_(list(subjects)), records.c.day >= since_day)
        .subquery()
    )
    rows = await connection.execute(
        select(records)
        .join(newest, records.c.seq == newest.c.seq)
        .where(newest.c.place <= AUTHOR_RECORDS)
        .order_by(records.c.author, records.c.segment, records.c.seq)
    )
    found: dict[str, list[StoredRecord]] = {}
    for row in rows:
        found.setdefault(row.subject, []).append(_stored(row))
    return {subject: tuple(items) for subject, items in found.items()}


async def subjects_of(
    connection: AsyncConnection, author: str | None = None, *, since_day: int = 0
) -> tuple[str, ...]:
    """The subjects of records (of one author) since a day, sorted."""
    statement = (
        select(records.c.subject)
        .where(records.c.subject != NO_SUBJECT, records.c.day >= since_day)
        .distinct()
    )
    if author is not None:
        statement = statement.where(records.c.author == author)
    return tuple(sorted((await connection.execute(statement)).scalars()))


async def public_subjects(connection: AsyncConnection, ours: str | None, limit: int) -> frozenset[str]:
    """Public subjects that members other than `ours` reported, at most `limit`."""
    statement = (
        select(records.c.subject)
        .where(
            records.c.kind == "report", records.c.subject.startswith("pkg:"), records.c.author != (ours or "")
        )
        .distinct()
        .limit(limit)
    )
    return frozenset((await connection.execute(statement)).scalars())


async def label_of(connection: AsyncConnection, record: str, author: str | None) -> str:
    """The label of a report, or of another statement of this author; the most closed when it is not known."""
    own = statement_id(author or "", record)
    statement = (
        select(records.c.tlp)
        .where(or_(records.c.id == own, and_(records.c.of == record, records.c.kind == "report")))
        .limit(1)
    )
    return (await connection.execute(statement)).scalar_one_or_none() or UNLABELLED


async def subject_of(connection: AsyncConnection, record: str) -> str:
    """The subject of a record, or of the report it names; empty when it is not known."""
    statement = (
        select(records.c.subject).where(records.c.of == record, records.c.subject != NO_SUBJECT).limit(1)
    )
    return (await connection.execute(statement)).scalar_one_or_none() or NO_SUBJECT


async def equivocators(connection: AsyncConnection) -> frozenset[str]:
    """The members that a proof names."""
    return frozenset((await connection.execute(select(equivocations.c.author).distinct())).scalars())


async def equivocation_of(connection: AsyncConnection, author: str) -> int | None:
    """The lowest height of which two segments of this author are proven, or None."""
    statement = select(func.min(equivocations.c.seq)).where(equivocations.c.author == author)
    lowest: int | None = (await connection.execute(statement)).scalar_one_or_none()
    return lowest


async def add_equivocation(
    connection: AsyncConnection, author: str, seq: int, proof: bytes, now: int
) -> bool:
    """Keep a proof; False when there was one of that height."""
    done = await connection.execute(
        upserting(connection, equivocations)
        .values(author=author, seq=seq, proof=proof, found_at=to_text(now))
        .on_conflict_do_nothing(index_elements=["author", "seq"])
    )
    return done.rowcount > 0


async def _subjects(connection: AsyncConnection, segment: VerifiedSegment) -> dict[str, str]:
    """The subject of each record of a segment, by record id; empty where the report is not known yet."""
    found = {
        item.id: record_pattern(item.record) or item.record.subj or NO_SUBJECT
        for item in segment.records
        if isinstance(item.record, Report)
    }
    others = [(item.id, item.record) for item in segment.records if not isinstance(item.record, Report)]
    named = {record.of for _, record in others if not isinstance(record, Withdrawal)} - found.keys()
    stored = await _report_subjects(connection, named)
    for name, record in others:
        if not isinstance(record, Withdrawal):
            found[name] = found.get(record.of) or stored.get(record.of, NO_SUBJECT)
    taken_back = {
        statement_id(segment.author, record.of) for _, record in others if isinstance(record, Withdrawal)
    }
    said = await _statement_subjects(connection, taken_back)
    for name, record in others:
        if isinstance(record, Withdrawal):
            found[name] = said.get(statement_id(segment.author, record.of)) or found.get(
                record.of, NO_SUBJECT
            )
    return found


async def _report_subjects(connection: AsyncConnection, ids: Collection[str]) -> dict[str, str]:
    if not ids:
        return {}
    rows = await connection.execute(
        select(records.c.of, records.c.subject).where(records.c.of.in_(list(ids)), records.c.kind == "report")
    )
    return {row.of: row.subject for row in rows}


async def _statement_subjects(connection: AsyncConnection, ids: Collection[str]) -> dict[str, str]:
    if not ids:
        return {}
    rows = await connection.execute(
        select(records.c.id, records.c.subject).where(records.c.id.in_(list(ids)))
    )
    return {row.id: row.subject for row in rows}


async def _labels(connection: AsyncConnection, segment: VerifiedSegment) -> dict[str, str]:
    """The label of each record of a segment, by record id: a report's own, else that of what the record names."""
    found = {item.id: item.record.tlp for item in segment.records if isinstance(item.record, Report)}
    others = [(item.id, item.record) for item in segment.records if not isinstance(item.record, Report)]
    if not others:
        return found
    reports = await _labels_where(
        connection, records.c.of, {record.of for _, record in others} - found.keys()
    )
    for name, record in others:
        if not isinstance(record, Withdrawal):
            found[name] = found.get(record.of) or reports.get(record.of, UNLABELLED)
    taken_back = {statement_id(segment.author, r.of) for _, r in others if isinstance(r, Withdrawal)}
    said = await _labels_where(connection, records.c.id, taken_back)
    for name, record in others:
        if isinstance(record, Withdrawal):
            found[name] = said.get(statement_id(segment.author, record.of)) or found.get(
                record.of, UNLABELLED
            )
    return found


async def _labels_where(
    connection: AsyncConnection, column: Column[str], ids: Collection[str]
) -> dict[str, str]:
    """Labels by `of`, which is a report's own id, or by the id of a statement."""
    if not ids:
        return {}
    statement = select(column, records.c.tlp).where(column.in_(list(ids)))
    if column is records.c.of:
        statement = statement.where(records.c.kind == "report")
    return {row[0]: row[1] for row in await connection.execute(statement)}


async def _adopt(connection: AsyncConnection, reports: Mapping[str, str], labels: Mapping[str, str]) -> None:
    """Give records that came before the report they name its subject and label, and their withdrawals too."""
    waiting = records.c.of.in_(list(reports)) & (records.c.subject == NO_SUBJECT)
    authors = (await connection.execute(select(records.c.author).where(waiting).distinct())).scalars().all()
    if not authors:
        return
    subject = case(dict(reports), value=records.c.of, else_=NO_SUBJECT)
    label = case(dict(labels), value=records.c.of, else_=UNLABELLED)
    await connection.execute(update(records).where(waiting).values(subject=subject, tlp=label))
    orphans = await connection.execute(
        select(records.c.seq, records.c.author, records.c.of).where(
            records.c.author.in_(authors),
            records.c.kind == "withdrawal",
            records.c.subject == NO_SUBJECT,
        )
    )
    named = {row.seq: statement_id(row.author, row.of) for row in orphans}
    for start in range(0, len(named), AUTHOR_ORPHANS):
        chunk = dict(list(named.items())[start : start + AUTHOR_ORPHANS])
        said = await _statement_subjects(connection, set(chunk.values()))
        labelled = await _labels_where(connection, records.c.id, set(chunk.values()))
        found = [
            {"row": seq, "about": said[name], "label": labelled[name]}
            for seq, name in chunk.items()
            if said.get(name)
        ]
        if found:
            await connection.execute(
                update(records)
                .where(records.c.seq == bindparam("row"))
                .values(subject=bindparam("about"), tlp=bindparam("label")),
                found,
            )


async def _without_excess(
    connection: AsyncConnection, author: str, rows: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The rows without those that would be one orphan too many of their author; its segments are kept whole."""
    orphans = [row for row in rows if row["subject"] == NO_SUBJECT]
    if not orphans:
        return list(rows)
    statement = select(func.count()).where(records.c.author == author, records.c.subject == NO_SUBJECT)
    waiting: int = (await connection.execute(statement)).scalar_one()
    excess = {row["id"] for row in orphans[max(0, AUTHOR_ORPHANS - waiting) :]}
    return [row for row in rows if row["id"] not in excess]


def _day(record: Record, now: int) -> int:
    if isinstance(record, Report):
        return record.day_until
    return day_of(now) if isinstance(record, Withdrawal) else record.day


@lru_cache(maxsize=READ_RECORDS)
def _read(body: bytes) -> tuple[str, Record]:
    # What is said of a busy pattern is read again with every segment about it.
    return record_id(body), decode_record(body)


def _stored(row: Row[Any]) -> StoredRecord:
    body = bytes(row.body)
    name, record = _read(body)
    return StoredRecord(
        id=name,
        author=row.author,
        segment=row.segment,
        kind=row.kind,
        subject=row.subject,
        tlp=row.tlp,
        day=row.day,
        received_at=row.received_at,
        body=body,
        record=record,
    )
