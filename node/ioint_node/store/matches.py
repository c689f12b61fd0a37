"""What this node itself has seen of a pattern: the viewer's own evidence, and the counts of its own reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Final

from ioint_protocol.pattern import Rate
from sqlalchemy import ColumnElement, Row, and_, case, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.reputation.dossier import PUBLIC, FirstReport
from ioint_node.reputation.gate import OwnRecord
from ioint_node.store.rows import among
from ioint_node.store.schema import first_reports, matches, session_days, sessions
from ioint_node.store.times import day_of, from_text
from ioint_node.store.upsert import upserting

WINDOW_DAYS: Final = 30
WEEK_DAYS: Final = 7
AS_SESSION: Final = case(
    (sessions.c.state == "open", "open"),
    (and_(sessions.c.verdict == "out_of_scope", sessions.c.cleared == 0), "flagged"),
    else_="benign",
).label("judged")
"""How a match is judged as long as no person says otherwise: as its session is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalEvidence:
    """Own rates and own records, by pattern; who was never met has no own record."""

    rates: Mapping[str, Rate]
    own: Mapping[str, OwnRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What this node could report of a pattern now: bad sessions, all sessions, agents, first and last day.

    `principals` are the distinct people and owners behind the bad sessions; `agents` never counts more agents than
    there are people and owners behind all of them.
    """

    bad: int
    seen: int
    agents: int
    principals: int
    day_from: int
    day_until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Everyday:
    """Own sessions of 30 days with a pattern or subject: judged benign, judged flagged, people behind the benign."""

    benign: int
    flagged: int
    principals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """A session that contains a pattern; `at` is when it did, as RFC 3339 text, or when it was last heard of."""

    pattern: str
    session_id: str
    actor: str
    principal: str
    at: str
    judged: str


async def ever_met(connection: AsyncConnection, patterns: Collection[str], today: int) -> tuple[str, ...]:
    """Those of the patterns that a session of the last 30 days contains."""
    named = matches.c.pattern.in_(among(connection, patterns))
    found = await connection.execute(
        select(matches.c.pattern).where(named, matches.c.day > today - WINDOW_DAYS).distinct()
    )
    return tuple(sorted(found.scalars()))


async def met(
    connection: AsyncConnection, pattern: str, today: int, limit: int
) -> tuple[tuple[Met, ...], int]:
    """The newest sessions of the last 30 days with a pattern, so many of them, and how many there are."""
    window = and_(matches.c.pattern == pattern, matches.c.day > today - WINDOW_DAYS)
    columns = [matches.c[name] for name in ("pattern", "session_id", "actor", "principal", "at", "judged")]
    rows = await connection.execute(
        select(*columns).where(window).order_by(matches.c.day.desc(), matches.c.seq.desc()).limit(limit)
    )
    newest = tuple(Met(**row) for row in rows.mappings())
    if len(newest) < limit:
        return newest, len(newest)
    counted = await connection.execute(select(func.count()).select_from(matches).where(window))
    return newest, int(counted.scalar_one())


async def sessions_with(connection: AsyncConnection, found: Sequence[tuple[str, str]]) -> tuple[Met, ...]:
    """Sessions in whose paths patterns were found, given as (pattern, session); judged as the sessions were."""
    rows = await connection.execute(
        select(
            sessions.c.id, sessions.c.actor, sessions.c.principal, sessions.c.updated_at, AS_SESSION
        ).where(sessions.c.id.in_(among(connection, {session_id for _, session_id in found})))
    )
    known = {row.id: row for row in rows}
    return tuple(
        Met(
            pattern=pattern,
            session_id=session_id,
            actor=row.actor,
            principal=row.principal,
            at=row.updated_at,
            judged=row.judged,
        )
        for pattern, session_id in found
        if (row := known.get(session_id)) is not None
    )


async def add_met(connection: AsyncConnection, found: Sequence[Met]) -> None:
    """Note sessions that were found to contain patterns; what is noted already stays as it is."""
    if not found:
        return
    rows = [asdict(one) | {"action_id": "", "day": day_of(from_text(one.at))} for one in found]
    await connection.execute(upserting(connection, matches).on_conflict_do_nothing(), rows)


async def newest(connection: AsyncConnection) -> int:
    """The number of the newest match, 0 when there was none."""
    return int((await connection.execute(select(func.max(matches.c.seq)))).scalar_one() or 0)


async def own_records(
    connection: AsyncConnection, patterns: Collection[str], today: int
) -> Mapping[str, OwnRecord]:
    """The own record of each pattern that was met within the last 30 days."""
    return (await local_evidence(connection, dict.fromkeys(patterns, today), today)).own


async def rates(
    connection: AsyncConnection,
    anchors: Mapping[str, int],
    today: int,
    *,
    measured_from: Mapping[str, int] = MappingProxyType({}),
) -> Mapping[str, Rate]:
    """The own rate of ordinary sessions that complete each pattern, as `local_evidence` has it."""
    return (await local_evidence(connection, anchors, today, measured_from=measured_from)).rates


async def local_evidence(
    connection: AsyncConnection,
    anchors: Mapping[str, int],
    today: int,
    *,
    measured_from: Mapping[str, int] = MappingProxyType({}),
) -> LocalEvidence:
    """What this node has seen of each pattern, given the day its first live report came.

    The window of a rate opens 30 days before that day, or on the day in `measured_from` for a pattern that was neither
    matched nor looked for before it: then sessions whose path is not kept whole are left out, for nobody looked at all
    of them; what was found in them counts. Until the report came every match counts that was not flagged; from then on
    only those that were judged benign, so that a hit does not switch its own warning off.
    """
    if not anchors:
        return LocalEvidence(rates={}, own={})
    first = {name: measured_from.get(name, anchor - WINDOW_DAYS) for name, anchor in anchors.items()}
    opens = min(first.values())
    days = await connection.execute(
        select(session_days).where(session_days.c.day >= opens, session_days.c.day <= today)
    )
    ordinary = {row.day: (row.judged - row.flagged, row.unkept) for row in days}
    rows = await connection.execute(
        select(matches.c.pattern, matches.c.day, matches.c.judged, func.count())
        .where(
            matches.c.pattern.in_(among(connection, anchors)),
            matches.c.day >= min(opens, today - WINDOW_DAYS + 1),
        )
        .group_by(matches.c.pattern, matches.c.day, matches.c.judged)
    )
    matched = dict.fromkeys(anchors, 0)
    judged_as: dict[str, Counter[str]] = {}
    for pattern, day, judged, count in rows:
        counts = judged != "flagged" and (day < anchors[pattern] or judged == "benign")
        if counts and day >= first[pattern]:
            matched[pattern] += count
        if day > today - WINDOW_DAYS:
            judged_as.setdefault(pattern, Counter())[judged] += count
    spans = {name: (since, name in measured_from) for name, since in first.items()}
    windows = {
        (since, kept): sum(
            max(0, n - unkept) if kept else n for day, (n, unkept) in ordinary.items() if day >= since
        )
        for since, kept in set(spans.values())
    }
    return LocalEvidence(
        rates={name: Rate(matches=matched[name], sessions=windows[spans[name]]) for name in anchors},
        own=await _own(connection, judged_as, today),
    )


async def _own(
    connection: AsyncConnection, judged_as: Mapping[str, Counter[str]], today: int
) -> dict[str, OwnRecord]:
    if not judged_as:
        return {}
    actors = await _actors(connection, judged_as, today)
    return {
        pattern: OwnRecord(
            sessions=by.total(),
            benign=by["benign"],
            flagged=by["flagged"],
            actors=actors[pattern][0],
            ordinary_actors=actors[pattern][1],
        )
        for pattern, by in judged_as.items()
    }


async def judged_most(connection: AsyncConnection, today: int, most: int) -> dict[str, OwnRecord]:
    """The own records of the patterns of which most sessions of the last 30 days were judged."""
    benign = func.sum(case((matches.c.judged == "benign", 1), else_=0))
    rows = await connection.execute(
        select(matches.c.pattern, func.count(), benign)
        .where(matches.c.day > today - WINDOW_DAYS, matches.c.judged.in_(("benign", "flagged")))
        .group_by(matches.c.pattern)
        .order_by(func.count().desc(), matches.c.pattern)
        .limit(most)
    )
    return {
        pattern: OwnRecord(sessions=total, benign=int(good), flagged=total - int(good))
        for pattern, total, good in rows
    }


async def active_actors(connection: AsyncConnection, since: str) -> int:
    """How many actors of this node did anything since an instant (RFC 3339)."""
    counted = select(func.count(sessions.c.actor.distinct())).where(sessions.c.updated_at >= since)
    return int((await connection.execute(counted)).scalar_one())


async def seen_of(connection: AsyncConnection, pattern: str, session_id: str | None, today: int) -> Seen:
    """The counts of a report about a pattern now; the session at hand, if any, counts as bad."""
    bad = _is_bad()
    rows = (
        await connection.execute(
            select(
                matches.c.session_id, matches.c.actor, matches.c.principal, matches.c.day, bad.label("bad")
            )
            .select_from(matches.outerjoin(sessions, sessions.c.id == matches.c.session_id))
            .where(matches.c.pattern == pattern, matches.c.day > today - WINDOW_DAYS)
        )
    ).all()
    at_hand = set() if session_id is None else {session_id}
    days = [row.day for row in rows] or [today]
    # Before people were counted a match had no principal: then its actor stands for it.
    behind = {(row.session_id, row.principal or row.actor) for row in rows}
    flagged = {row.session_id for row in rows if row.bad} | at_hand
    everybody = {who for _, who in behind}
    return Seen(
        bad=len(flagged),
        seen=len({row.session_id for row in rows} | at_hand),
        agents=max(1, min(len({row.actor for row in rows}), len(everybody))),
        principals=max(1, len({who for session, who in behind if session in flagged})),
        day_from=min(days),
        day_until=today,
    )


async def met_badly(connection: AsyncConnection, today: int, most: int) -> tuple[str, ...]:
    """The patterns that sessions of the last 30 days completed which left their scope, those met last first.

    Not those of sessions that a person answered for, nor public subjects.
    """
    statement = (
        select(matches.c.pattern)
        .select_from(matches.outerjoin(sessions, sessions.c.id == matches.c.session_id))
        .where(matches.c.day > today - WINDOW_DAYS, ~matches.c.pattern.startswith(PUBLIC), _is_bad())
        .group_by(matches.c.pattern)
        .order_by(func.max(matches.c.day).desc(), matches.c.pattern)
        .limit(most)
    )
    return tuple((await connection.execute(statement)).scalars())


async def everyday(
    connection: AsyncConnection, today: int, *, sessions: int, most: int
) -> dict[str, Everyday]:
    """What at least so many benign sessions of the last 30 days met and no flagged one, the most frequent first."""
    benign, flagged = matches.c.judged == "benign", matches.c.judged == "flagged"
    count = func.sum(case((benign, 1), else_=0))
    # Before people were counted a match had no principal: then nobody stands for it.
    people = func.count(case((benign & (matches.c.principal != ""), matches.c.principal)).distinct())
    statement = (
        select(matches.c.pattern, count, people)
        .where(matches.c.day > today - WINDOW_DAYS)
        .group_by(matches.c.pattern)
        .having(count >= sessions, func.sum(case((flagged, 1), else_=0)) == 0)
        .order_by(count.desc(), matches.c.pattern)
        .limit(most)
    )
    return {
        pattern: Everyday(benign=seen, flagged=0, principals=whom)
        for pattern, seen, whom in await connection.execute(statement)
    }


def _is_bad() -> ColumnElement[bool]:
    """Whether a match is of a session that left its scope and that no person answered for."""
    return or_(
        matches.c.judged == "flagged",
        and_(matches.c.judged == "open", sessions.c.verdict == "out_of_scope", sessions.c.cleared == 0),
    )


async def first_reports_of(
    connection: AsyncConnection, patterns: Collection[str]
) -> dict[str, list[FirstReport]]:
    """The first reports of each pattern, as this node received them, also those of more than 30 days ago."""
    rows = await connection.execute(
        select(first_reports).where(first_reports.c.pattern.in_(among(connection, patterns)))
    )
    found: dict[str, list[FirstReport]] = {}
    for row in rows:
        found.setdefault(row.pattern, []).append(_first(row))
    return found


async def first_report_days(
    connection: AsyncConnection, groups: Collection[str], today: int
) -> dict[str, list[int]]:
    """The days of the last week on which each group made first reports that counted."""
    rows = await connection.execute(
        select(first_reports.c.group, first_reports.c.day).where(
            first_reports.c.group.in_(among(connection, groups)),
            first_reports.c.counts == 1,
            first_reports.c.day > today - WEEK_DAYS,
        )
    )
    found: dict[str, list[int]] = {group: [] for group in groups}
    for row in rows:
        found[row.group].append(row.day)
    return found


async def add_first_reports(connection: AsyncConnection, firsts: Collection[tuple[str, FirstReport]]) -> None:
    """Note first reports, each with its pattern; one that is older than its 30 days is replaced."""
    if not firsts:
        return
    statement = upserting(connection, first_reports)
    changed = {"day": statement.excluded.day, "counts": statement.excluded.counts}
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["group", "pattern"], set_=changed),
        [
            {"group": first.group, "pattern": pattern, "day": first.day, "counts": int(first.counts)}
            for pattern, first in firsts
        ],
    )


async def _actors(
    connection: AsyncConnection, patterns: Collection[str], today: int
) -> dict[str, tuple[int, int]]:
    """The actors of each pattern, and those of them with a match that is not bad so far."""
    # Only of what is open the session is looked up.
    departed = and_(
        matches.c.judged == "open",
        exists().where(
            sessions.c.id == matches.c.session_id,
            sessions.c.verdict == "out_of_scope",
            sessions.c.cleared == 0,
        ),
    )
    ordinary = case((or_(matches.c.judged == "flagged", departed), None), else_=matches.c.actor)
    rows = await connection.execute(
        select(matches.c.pattern, func.count(matches.c.actor.distinct()), func.count(ordinary.distinct()))
        .where(matches.c.pattern.in_(among(connection, patterns)), matches.c.day > today - WINDOW_DAYS)
        .group_by(matches.c.pattern)
    )
    return {pattern: (everybody, met) for pattern, everybody, met in rows}


def _first(row: Row[tuple[str, str, int, int]]) -> FirstReport:
    return FirstReport(group=row.group, day=row.day, counts=bool(row.counts))
