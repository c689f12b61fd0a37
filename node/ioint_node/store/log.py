"""The logs of the members, as far as this node has them: segments as they came, and the records in them by subject.

Two members may sign the same bytes, so a row of `records` is a statement: its `id` is made of author and record id, and
the record's own id is computed from the body. A statement that is signed again keeps its first place. A sighting, a
dispute or a withdrawal that comes before the report it names has no subject until that report comes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeAlias

from ioint_protocol import (
    Dispute,
    Pattern,
    Record,
    Report,
    Sighting,
    Unread,
    VerifiedRecord,
    VerifiedSegment,
    Withdrawal,
    content_id,
    decode_record,
    parse_pattern,
    record_id,
    record_pattern,
)
from msgspec import Struct
from msgspec.json import Decoder
from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Row,
    Select,
    and_,
    bindparam,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.admission import Known, Places
from ioint_node.reputation.dossier import PUBLIC, Said
from ioint_node.reputation.rule import LIFE_DAYS, Statement, accuses
from ioint_node.reputation.subjects import CRATE
from ioint_node.reputation.tally import AUTHOR_RECORDS
from ioint_node.store.rows import among, insert_rows, listed
from ioint_node.store.schema import equivocations, records, segments
from ioint_node.store.times import day_of, to_text
from ioint_node.store.upsert import upserting

NO_SUBJECT: Final = ""
UNREAD: Final = "unread"  # the kind of a record of a later version than this release reads
# A record without a label of its own has that of the report which it names; until that comes, the most closed.
UNLABELLED: Final = "red"
RANGE_SEGMENTS: Final = 256
PIECE_RECORDS: Final = 500  # read of a log at a time, where all of it is looked at
# Records about a subject: of more than these, the database sorts out whatever is too much of one author.
READ_WHOLE: Final = 16_384
AUTHOR_ORPHANS: Final = 1_024  # records of one author that wait for the report they name
KINDS: Final[Mapping[type, str]] = {
    Report: "report",
    Sighting: "sighting",
    Dispute: "dispute",
    Withdrawal: "withdrawal",
    Unread: UNREAD,
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
    record: Record | Unread

    @property
    def of(self) -> str | None:
        """The record that a sighting, dispute or withdrawal names."""
        return self.record.of if isinstance(self.record, Sighting | Dispute | Withdrawal) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A verified segment that is next in its author's log, and the member that brought it (None: it is our own).

    It is `fresh` when it was pushed or announced: what is found by comparing is no news to most members.
    """

    segment: VerifiedSegment
    delivered_by: str | None = None
    fresh: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What segments brought: statements by subject, and the subjects of which more changed than they say.

    Of a `stale` subject earlier records got their subject only now, or a statement was signed a second time. `reported`
    are the author and the subjects of the reports of each segment, in order.
    """

    said: Mapping[str, Sequence[Said]]
    stale: frozenset[str]
    reported: Sequence[tuple[str, frozenset[str]]]


class _Counts(Struct):
    """What a report or sighting counts; the rest of it is not looked at."""

    bad: int = 0
    seen: int = 0


class _Words(_Counts, gc=False):
    """What a stored record says that the rule or an indicator looks at; it was checked when it came."""

    day_from: int = 0
    intents: tuple[str, ...] = ()
    pat: str | dict[str, Any] | None = None


_COUNTS: Final = Decoder(_Counts)
_WORDS: Final = Decoder(_Words)
SEGMENT_COLUMNS: Final = ("author", "seq", "head", "wire", "records", "received_at", "delivered_by", "low")
RECORD_COLUMNS: Final = (
    "id", "author", "segment", "kind", "subject", "of", "tlp", "day", "body", "received_at",
)  # fmt: skip

SAID_COLUMNS: Final = tuple(
    records.c[name] for name in ("subject", "author", "kind", "of", "day", "body", "received_at", "tlp")
)


def statement_id(author: str, record: str) -> str:
    """The id of what one member said, 64 hex digits."""
    return content_id("statement", f"{author}/{record}".encode("ascii"))


async def vector(
    connection: AsyncConnection, authors: Collection[str] | None = None
) -> dict[str, tuple[int, str]]:
    """Height and head of every author's log that we hold, or of these authors' alone."""
    among = _authors() if authors is None else listed(connection, authors)
    return {row.author: (row.seq, row.head) for row in await connection.execute(_ends(among))}


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


async def places(
    connection: AsyncConnection,
    wanted: Collection[tuple[str, int]],
    floor: Callable[[str], int] = lambda _: 0,
) -> Places:
    """Where the logs of the authors of these segments (author, height) end, and which of the segments are held."""
    rows = await connection.execute(_ends(listed(connection, {author for author, _ in wanted})))
    newest = {row.author: Known(seq=row.seq, head=row.head, low=row.low) for row in rows}
    # What lies beyond the end of its log is not held.
    old = [(author, seq) for author, seq in wanted if author in newest and seq <= newest[author].seq]
    if not old:
        return Places(newest, {}, floor)
    held = await connection.execute(
        select(segments.c.author, segments.c.seq, segments.c.head).where(
            tuple_(segments.c.author, segments.c.seq).in_(old)
        )
    )
    return Places(newest, {(author, seq): head for author, seq, head in held}, floor)


async def known(connection: AsyncConnection, author: str, seq: int) -> Known:
    """What is known to place a segment of height `seq` in an author's log."""
    return (await places(connection, [(author, seq)])).known(author, seq)


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


async def lowest_live(
    connection: AsyncConnection, author: str, since_day: int, *, kinds: Collection[str] = KINDS.values()
) -> int | None:
    """The lowest segment of an author that holds a record of these kinds and of `since_day` or later."""
    statement = select(func.min(records.c.segment)).where(
        records.c.author == author, records.c.day >= since_day, records.c.kind.in_(list(kinds))
    )
    lowest: int | None = (await connection.execute(statement)).scalar_one_or_none()
    return lowest


async def add_segments(connection: AsyncConnection, arrivals: Sequence[Arrival], now: int) -> Stored:
    """Store segments that are next in their authors' logs, each author's in order."""
    at = to_text(now)
    await insert_rows(
        connection,
        segments,
        SEGMENT_COLUMNS,
        [
            (s.author, s.seq, s.head, s.wire, len(s.records), at, a.delivered_by, s.low)
            for a in arrivals
            for s in (a.segment,)
        ],
    )
    items = [(a.segment, item) for a in arrivals for item in a.segment.records]
    abouts = await _abouts(connection, items)
    rows = [
        (
            name,
            segment.author,
            segment.seq,
            KINDS[type(item.record)],
            about.subject,
            _named(item),
            about.label,
            _day(item.record, now),
            item.body,
            at,
        )
        for (segment, item), (name, about) in zip(items, abouts, strict=True)
    ]
    kept = await _without_excess(connection, rows)
    inserted = await insert_rows(connection, records, RECORD_COLUMNS, kept, unless=("id",))
    found: dict[str, list[Said]] = {}
    reported: dict[tuple[str, int], set[str]] = {}
    for (segment, item), (_, about) in zip(items, abouts, strict=True):
        if about.subject != NO_SUBJECT and not isinstance(item.record, Unread):
            said = _said_on(
                _day(item.record, now), segment.author, item.id, item.record, at, label=about.label
            )
            found.setdefault(about.subject, []).append(said)
            if said.kind == "report" and day_of(now) - said.day < LIFE_DAYS:
                reported.setdefault((segment.author, segment.seq), set()).add(about.subject)
    stale = await _adopt(connection, items)
    if inserted != len(kept):
        stale |= await _said_before(connection, kept)
    return Stored(
        said=found,
        stale=stale,
        reported=[(author, frozenset(subjects)) for (author, _), subjects in reported.items()],
    )


async def said_about(connection: AsyncConnection, subjects: Collection[str]) -> dict[str, list[Said]]:
    """What was said of each subject, each author's in the order of its log; of one author the newest 256 records."""
    about = records.c.subject.in_(among(connection, subjects))
    counted = select(records.c.subject, func.count()).where(about).group_by(records.c.subject)
    counts = await connection.execute(counted)
    crowded = {subject for subject, count in counts if count > READ_WHOLE}
    found = await _read_said(connection, _all_said, set(subjects) - crowded)
    return found | await _read_said(connection, _newest_said, crowded)


async def _read_said(
    connection: AsyncConnection,
    statement: Callable[[AsyncConnection, Collection[str]], Select[Any]],
    subjects: Collection[str],
) -> dict[str, list[Said]]:
    if not subjects:
        return {}
    found: dict[str, dict[str, list[Said]]] = {}  # by subject and author
    patterns: dict[str, Pattern] = {}
    for row in (await connection.execute(statement(connection, subjects))).all():
        found.setdefault(row[0], {}).setdefault(row[1], []).append(_said_in(row, patterns))
    return {
        subject: [one for said in authors.values() for one in said[-AUTHOR_RECORDS:]]
        for subject, authors in found.items()
    }


def _said_in(row: Sequence[Any], patterns: dict[str, Pattern]) -> Said:
    """What a row of `SAID_COLUMNS` says; `patterns` are the novel ones that were read before, by their ids."""
    subject, author, kind, of, day, body, received_at, label = row
    words = _WORDS.decode(body)
    if isinstance(words.pat, dict) and subject not in patterns:
        patterns[subject] = parse_pattern(words.pat)
    return Said(
        id=of if kind == "report" else record_id(bytes(body)),
        author=author,
        kind=kind,
        of="" if kind == "report" else of,
        bad=words.bad,
        seen=words.seen,
        day=day,
        received_at=received_at,
        tlp=label,
        day_from=words.day_from,
        intents=words.intents,
        pattern=patterns[subject] if isinstance(words.pat, dict) else None,
    )


def _all_said(connection: AsyncConnection, subjects: Collection[str]) -> Select[Any]:
    # In the order of the index: in that of `seq` alone all records there are would be read.
    return (
        select(*SAID_COLUMNS)
        .where(records.c.subject.in_(among(connection, subjects)))
        .order_by(records.c.subject, records.c.seq)
    )


def _newest_said(connection: AsyncConnection, subjects: Collection[str]) -> Select[Any]:
    place = func.row_number().over(
        partition_by=(records.c.subject, records.c.author), order_by=records.c.seq.desc()
    )
    about = records.c.subject.in_(among(connection, subjects))
    newest = select(records.c.seq, place.label("place")).where(about).subquery()
    return (
        select(*SAID_COLUMNS)
        .join(newest, records.c.seq == newest.c.seq)
        .where(newest.c.place <= AUTHOR_RECORDS)
        .order_by(records.c.subject, records.c.seq)
    )


async def places_of(connection: AsyncConnection, statements: Collection[str]) -> dict[str, tuple[int, bytes]]:
    """In which segment each of these statements stands, and its bytes there, by statement id."""
    rows = await connection.execute(
        select(records.c.id, records.c.segment, records.c.body).where(
            records.c.id.in_(among(connection, statements))
        )
    )
    return {row.id: (row.segment, bytes(row.body)) for row in rows}


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
        .where(records.c.subject.in_(among(connection, subjects)), records.c.day >= since_day)
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
        found.setdefault(row.subject, []).append(stored(row))
    return {subject: tuple(items) for subject, items in found.items()}


async def segments_about(
    connection: AsyncConnection,
    subjects: Collection[str],
    *,
    authors: Collection[str] = (),
    since_day: int = 0,
) -> tuple[tuple[str, int], ...]:
    """The segments (author, height) that `said_about` these subjects comes from, in the order of authors and heights.

    Those are the segments of each author's newest 256 records about a subject, of all reports and sightings of
    `authors` since a day, and of what these records name: without the report a sighting has no subject, and without the
    record nothing says what a withdrawal takes back.
    """
    place = func.row_number().over(
        partition_by=(records.c.subject, records.c.author), order_by=records.c.seq.desc()
    )
    columns = (records.c.author, records.c.segment, records.c.kind, records.c.of)
    about = (
        select(*columns, place.label("place"))
        .where(records.c.subject.in_(among(connection, subjects)))
        .subquery()
    )
    said = list((await connection.execute(select(about).where(about.c.place <= AUTHOR_RECORDS))).all())
    if authors:
        accused = select(*columns).where(
            records.c.author.in_(among(connection, authors)),
            records.c.kind.in_(("report", "sighting")),
            records.c.day >= since_day,
        )
        said += (await connection.execute(accused)).all()
    taken_back = {statement_id(row.author, row.of) for row in said if row.kind == "withdrawal"}
    ended = await connection.execute(select(*columns).where(records.c.id.in_(among(connection, taken_back))))
    said += ended.all()
    named = {row.of for row in said if row.kind in {"sighting", "dispute"}}
    reports = await connection.execute(
        select(*columns).where(records.c.of.in_(among(connection, named)), records.c.kind == "report")
    )
    return tuple(sorted({(row.author, row.segment) for row in (*said, *reports)}))


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


async def subjects_among(connection: AsyncConnection, names: Collection[str]) -> tuple[str, ...]:
    """The subjects of records that are among these names, or are a version of one (`NAME@VERSION`), however spelled."""
    if not names:
        return ()
    versions = [
        records.c.subject.startswith(f"{name}@", autoescape=True) for name in names if name.startswith(PUBLIC)
    ]
    crates = {_as_one(name) for name in names if name.startswith(CRATE)}
    if crates:
        spelled = func.lower(func.replace(records.c.subject, "_", "-"))
        likewise = [spelled.startswith(f"{name}@", autoescape=True) for name in crates]
        crate = records.c.subject.startswith(CRATE)
        versions.append(and_(crate, or_(spelled.in_(among(connection, crates)), *likewise)))
    statement = (
        select(records.c.subject)
        .where(or_(records.c.subject.in_(among(connection, names)), *versions))
        .distinct()
    )
    return tuple(sorted((await connection.execute(statement)).scalars()))


def _as_one(crate: str) -> str:
    return crate.lower().replace("_", "-")


async def accused_by(connection: AsyncConnection, authors: Collection[str], today: int) -> int:
    """How many subjects these authors accuse in statements that would live today, taken back or not."""
    accused: set[str] = set()
    for author in authors:
        last: tuple[int, int] | None = (0, 0)
        while last is not None:
            last = await _add_accused(connection, accused, author, last, today)
    return len(accused)


async def _add_accused(
    connection: AsyncConnection, accused: set[str], author: str, last: tuple[int, int], today: int
) -> tuple[int, int] | None:
    """Read one piece of an author's log after a place (segment, seq); returns where the next begins, None at the end.

    In pieces, so that others have their turn: a member may have said very much.
    """
    rows = (
        await connection.execute(
            select(*(records.c[name] for name in ("segment", "seq", "subject", "kind", "day", "body")))
            .where(
                records.c.author == author,
                tuple_(records.c.segment, records.c.seq) > last,
                _speaks_of_something(today),
            )
            .order_by(records.c.segment, records.c.seq)
            .limit(PIECE_RECORDS)
        )
    ).all()
    for _, _, subject, kind, day, body in rows:
        if subject not in accused:
            counts = _COUNTS.decode(bytes(body))
            said = Statement(id="", author="", kind=kind, bad=counts.bad, seen=counts.seen, day=day)
            if accuses(said, today, public_subject=subject.startswith(PUBLIC)):
                accused.add(subject)
    return (rows[-1][0], rows[-1][1]) if len(rows) == PIECE_RECORDS else None


async def spoken_of(connection: AsyncConnection, authors: Collection[str], today: int) -> dict[str, int]:
    """Of how many subjects each of these authors says anything that would live today: of no fewer than it accuses."""
    rows = await connection.execute(
        select(records.c.author, func.count(records.c.subject.distinct()))
        .where(records.c.author.in_(among(connection, authors)), _speaks_of_something(today))
        .group_by(records.c.author)
    )
    return {author: int(count) for author, count in rows}


def _speaks_of_something(today: int) -> ColumnElement[bool]:
    return and_(
        records.c.kind.in_(("report", "sighting")),
        records.c.subject != NO_SUBJECT,
        records.c.day > today - LIFE_DAYS,
    )


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


Item: TypeAlias = tuple[VerifiedSegment, VerifiedRecord]


def _ends(authors: FromClause) -> Select[tuple[str, int, str, int]]:
    """Author, height, hash and `low` of the newest segment of each of these authors (column `value`)."""
    # Asked author by author, the end of a log is the last entry of the key; grouped, it is found by reading all of it.
    end = (
        select(func.max(segments.c.seq))
        .where(segments.c.author == authors.c.value)
        .scalar_subquery()
        .correlate(authors)
    )
    return select(segments.c.author, segments.c.seq, segments.c.head, segments.c.low).join(
        authors, (segments.c.author == authors.c.value) & (segments.c.seq == end)
    )


def _authors() -> CTE:
    """Every author, as a table with one column, `value`; each found by a step in the key and not by reading it."""
    first = select(func.min(segments.c.author).label("value")).cte("authors", recursive=True)
    following = select(func.min(segments.c.author)).where(segments.c.author > first.c.value).scalar_subquery()
    return first.union_all(select(following).where(first.c.value.is_not(None)))


@dataclass(frozen=True, slots=True)
class About:
    """What a record is about, and its label: a report's own, else that of what it names."""

    subject: str = NO_SUBJECT
    label: str = UNLABELLED


NOT_KNOWN: Final = About()


async def _abouts(connection: AsyncConnection, items: Sequence[Item]) -> list[tuple[str, About]]:
    """The statement id of each record and what it is about; nothing where the report is not known yet."""
    names = [statement_id(segment.author, item.id) for segment, item in items]
    reported = {item.id: _reported(item.record) for _, item in items if isinstance(item.record, Report)}
    named = {
        item.record.of for _, item in items if isinstance(item.record, Sighting | Dispute)
    } - reported.keys()
    reported |= await _about_reports(connection, named)
    said: dict[str, About] = {}
    taken_back: dict[str, str] = {}
    for name, (segment, item) in zip(names, items, strict=True):
        if isinstance(item.record, Withdrawal):
            taken_back[name] = statement_id(segment.author, item.record.of)
        else:
            said[name] = reported.get(_named(item) or "", NOT_KNOWN)
    earlier = await _about_statements(connection, set(taken_back.values()) - said.keys())
    for name, other in taken_back.items():
        said[name] = said.get(other) or earlier.get(other, NOT_KNOWN)
    return [(name, said[name]) for name in names]


def _reported(report: Report) -> About:
    return About(record_pattern(report) or report.subj or NO_SUBJECT, report.tlp)


async def _about_reports(connection: AsyncConnection, ids: Collection[str]) -> dict[str, About]:
    if not ids:
        return {}
    columns = select(records.c.of, records.c.subject, records.c.tlp)
    rows = await connection.execute(
        columns.where(records.c.of.in_(among(connection, ids)), records.c.kind == "report")
    )
    return {of: About(subject, label) for of, subject, label in rows}


async def _about_statements(connection: AsyncConnection, ids: Collection[str]) -> dict[str, About]:
    if not ids:
        return {}
    columns = select(records.c.id, records.c.subject, records.c.tlp)
    rows = await connection.execute(columns.where(records.c.id.in_(among(connection, ids))))
    return {name: About(subject, label) for name, subject, label in rows}


async def _adopt(connection: AsyncConnection, items: Sequence[Item]) -> frozenset[str]:
    """Give records that came before the report they name its subject, and the withdrawals of those records too.

    Returns the subjects that got some.
    """
    waits = select(records.c.seq).where(records.c.subject == NO_SUBJECT, records.c.kind != UNREAD).limit(1)
    if (await connection.execute(waits)).scalar_one_or_none() is None:
        return frozenset()
    reports = {item.id: _reported(item.record) for _, item in items if isinstance(item.record, Report)}
    waiting = records.c.of.in_(among(connection, reports)) & (records.c.subject == NO_SUBJECT)
    rows = (await connection.execute(select(records.c.author, records.c.of).where(waiting).distinct())).all()
    if not rows:
        return frozenset()
    # One statement for any number of them: a statement of another length each time would be kept each time.
    await connection.execute(
        update(records)
        .where(records.c.of == bindparam("report"), records.c.subject == NO_SUBJECT)
        .values(subject=bindparam("about"), tlp=bindparam("label")),
        [
            {"report": name, "about": reports[name].subject, "label": reports[name].label}
            for name in sorted({row.of for row in rows})
        ],
    )
    orphans = await connection.execute(
        select(records.c.seq, records.c.author, records.c.of).where(
            records.c.author.in_(among(connection, {row.author for row in rows})),
            records.c.kind == "withdrawal",
            records.c.subject == NO_SUBJECT,
        )
    )
    named = {row.seq: statement_id(row.author, row.of) for row in orphans}
    adopted = {reports[row.of].subject for row in rows}
    for start in range(0, len(named), AUTHOR_ORPHANS):
        chunk = dict(list(named.items())[start : start + AUTHOR_ORPHANS])
        said = await _about_statements(connection, set(chunk.values()))
        found = [
            {"row": seq, "about": said[name].subject, "label": said[name].label}
            for seq, name in chunk.items()
            if said.get(name, NOT_KNOWN).subject != NO_SUBJECT
        ]
        if found:
            await connection.execute(
                update(records)
                .where(records.c.seq == bindparam("row"))
                .values(subject=bindparam("about"), tlp=bindparam("label")),
                found,
            )
            adopted.update(one["about"] for one in found)
    return frozenset(adopted)


async def _said_before(connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> frozenset[str]:
    """The subjects of rows that were not inserted: a statement that was signed again keeps its first place."""
    places: dict[str, list[int]] = {}
    subjects: dict[str, str] = {}
    for name, _, segment, _, subject, *_ in rows:
        places.setdefault(name, []).append(segment)
        subjects[name] = subject
    held = await connection.execute(
        select(records.c.id, records.c.segment).where(records.c.id.in_(among(connection, places)))
    )
    return frozenset(subjects[name] for name, segment in held if places[name] != [segment]) - {NO_SUBJECT}


async def _without_excess(
    connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]
) -> Sequence[tuple[Any, ...]]:
    """The rows without those that would be one orphan too many of their author; its segments are kept whole."""
    orphans: dict[str, list[str]] = {}
    for name, author, _, kind, subject, *_ in rows:
        if subject == NO_SUBJECT and kind != UNREAD:
            orphans.setdefault(author, []).append(name)
    if not orphans:
        return rows
    waiting = dict.fromkeys(orphans, 0)
    counted = await connection.execute(
        select(records.c.author, func.count())
        .where(
            records.c.author.in_(among(connection, orphans)),
            records.c.subject == NO_SUBJECT,
            records.c.kind != UNREAD,
        )
        .group_by(records.c.author)
    )
    waiting.update((author, count) for author, count in counted)
    excess = {
        name
        for author, names in orphans.items()
        for name in names[max(0, AUTHOR_ORPHANS - waiting[author]) :]
    }
    return [row for row in rows if row[0] not in excess]


def _named(item: VerifiedRecord) -> str | None:
    """The report that a record is or names, or the record that it takes back."""
    if isinstance(item.record, Report):
        return item.id
    return None if isinstance(item.record, Unread) else item.record.of


def _day(record: Record | Unread, now: int) -> int:
    if isinstance(record, Report):
        return record.day_until
    # The others say no day of their own, and are kept as long as what is said today.
    return day_of(now) if isinstance(record, Withdrawal | Unread) else record.day


def _said_on(day: int, author: str, name: str, record: Record, received_at: str, *, label: str) -> Said:
    """What a record says, in the words of the rule and of an indicator."""
    said = partial(Said, id=name, author=author, day=day, received_at=received_at, tlp=label)
    match record:
        case Report():
            return said(
                kind="report",
                bad=record.bad,
                seen=record.seen,
                day_from=record.day_from,
                intents=record.intents,
                pattern=record.pat if isinstance(record.pat, Pattern) else None,
            )
        case Sighting():
            return said(kind="sighting", of=record.of, seen=record.seen)
        case Dispute():
            return said(kind="dispute", of=record.of)
        case Withdrawal():
            return said(kind="withdrawal", of=record.of)


def stored(row: Row[Any]) -> StoredRecord:
    """A row of `records`, read."""
    body = bytes(row.body)
    return StoredRecord(
        id=record_id(body),
        author=row.author,
        segment=row.segment,
        kind=row.kind,
        subject=row.subject,
        tlp=row.tlp,
        day=row.day,
        received_at=row.received_at,
        body=body,
        record=decode_record(body),
    )
