"""Incidents: an own session contains a pattern that others warn of, and what people make of it.

There is one incident of a pattern in a session, whoever finds it and however often. What would flood the list is
folded: of one pattern so many sessions have an incident of their own, and all further ones share one that counts them.
Everything in a row is this node's own: which session and whose is told to nobody outside.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Row, Select, and_, delete, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import ConflictError, NotFoundError
from ioint_node.store.matches import AS_SESSION, WINDOW_DAYS
from ioint_node.store.rows import among
from ioint_node.store.schema import hunts, incident_notes, incidents, matches, sessions
from ioint_node.store.times import DAY_MS, day_of, from_text, to_text
from ioint_node.store.upsert import upserting

EACH_MOST: Final = (
    20  # open incidents of one pattern that are about one session each; further sessions are counted
)
OPEN_MOST: Final = (
    5_000  # open incidents about one session each, of all patterns; beyond that every pattern folds
)
NOTES_MOST: Final = 200  # notes of people on one incident
NODE_NOTES: Final = 8  # of the node itself, one for each thing that it says
KEPT_DAYS: Final = 365  # a closed incident
STATES: Final = ("open", "assigned", "closed")
FOUND: Final = ("live", "retro")
WARNINGS: Final = ("live", "withdrawn", "ended")
# What an incident is closed as, and how its matches are judged then; a duplicate says nothing of them.
CLOSED_AS: Final = {
    "true_positive": "flagged",
    "false_positive": "benign",
    "expected_use": "benign",
    "benign": "benign",
    "duplicate": None,
}
NODE: Final = "node"
_FOLDED: Final = ""


class Hit(Struct, frozen=True, kw_only=True):
    """A session contains a pattern that others warn of; found when it happened (`live`) or looking back (`retro`)."""

    pattern: str
    session_id: str
    actor: str
    found: str
    tier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One row; `session_id` and `actor` are None for the sessions beyond those with an incident of their own."""

    seq: int
    id: str
    pattern: str
    session_id: str | None
    actor: str | None
    found: str
    tier: str
    state: str
    warning: str
    assignee: str | None
    closed_as: str | None
    sessions: int
    opened_at: str
    updated_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What was done to an incident or said of it, by whom and when."""

    what: str
    text: str
    by: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which incidents; None: whatever it is. `unsettled` leaves out those that are closed."""

    state: str | None = None
    pattern: str | None = None
    actor: str | None = None
    session: str | None = None
    assignee: str | None = None
    found: str | None = None
    unsettled: bool = False


def incident_id(pattern: str, session_id: str = _FOLDED) -> str:
    """The id of the incident of a pattern in a session; without one, of all further sessions."""
    return hashlib.sha256(f"{pattern}\n{session_id}".encode()).hexdigest()[:16]


async def open_all(connection: AsyncConnection, hits: Iterable[Hit], now: int) -> int:
    """Open an incident of each hit that has none; returns how many were opened.

    The matches of the hits are in the store already: what is folded is counted there, so that finding it twice counts
    it once.
    """
    named: dict[str, Hit] = {}
    for hit in hits:  # what was found first counts: a session may end in the batch in which it was warned of
        named.setdefault(incident_id(hit.pattern, hit.session_id), hit)
    known = await connection.execute(
        select(incidents.c.id).where(incidents.c.id.in_(among(connection, named)))
    )
    for name in known.scalars():
        del named[name]
    if not named:
        return 0
    single = and_(incidents.c.state != "closed", incidents.c.session_id != _FOLDED)
    counted = await connection.execute(
        select(incidents.c.pattern, func.count().label("open")).where(single).group_by(incidents.c.pattern)
    )
    there = Counter({row.pattern: row.open for row in counted})
    room = OPEN_MOST - there.total()
    made, beyond = [], {}
    for name, hit in named.items():
        if room > 0 and there[hit.pattern] < EACH_MOST:
            there[hit.pattern] += 1
            room -= 1
            made.append((name, hit))
        else:
            beyond[hit.pattern] = hit
    if made:
        await connection.execute(insert(incidents), [_new(name, hit, now) for name, hit in made])
        await _tell(
            connection, [name for name, _ in made], Note(what="opened", text="", by=NODE, at=to_text(now))
        )
    for hit in beyond.values():
        await _fold(connection, hit, now)
    return len(made)


async def _fold(connection: AsyncConnection, hit: Hit, now: int) -> None:
    """Count the sessions with a pattern that have no incident of their own."""
    name = incident_id(hit.pattern)
    count = (await connection.execute(_further(hit.pattern, day_of(now)))).scalar_one()
    row = (await connection.execute(select(incidents).where(incidents.c.id == name))).one_or_none()
    if row is None:
        folded = {"session_id": _FOLDED, "actor": "", "sessions": count}
        await connection.execute(insert(incidents).values(_new(name, hit, now) | folded))
        await _tell(connection, [name], Note(what="opened", text="", by=NODE, at=to_text(now)))
    elif count > row.sessions:
        await _put(connection, name, now, {"sessions": count})
        if row.state == "closed":
            await _put(connection, name, now, {"state": _waiting(row.assignee), "closed_as": None})
            again = Note(what="reopened", text="more sessions contain the pattern", by=NODE, at=to_text(now))
            await _unsay(connection, select(literal(name)), again)
            await _tell(connection, [name], again)


def _further(pattern: str, today: int) -> Select[int]:
    own = select(incidents.c.session_id).where(incidents.c.pattern == pattern)
    return select(func.count()).where(
        matches.c.pattern == pattern, matches.c.day > today - WINDOW_DAYS, matches.c.session_id.not_in(own)
    )


async def find(connection: AsyncConnection, name: str) -> Incident:
    """An incident by its id.

    Raises:
        NotFoundError: there is none.
    """
    row = (await connection.execute(select(incidents).where(incidents.c.id == name))).one_or_none()
    if row is None:
        raise NotFoundError(f"no incident {name[:32]!r}")
    return _incident(row)


async def notes_of(connection: AsyncConnection, name: str) -> tuple[Note, ...]:
    """What was done to an incident and said of it, the oldest first; of very many the newest.

    What the node says of itself stands once, where it said it last.
    """
    newest = select(incident_notes).where(incident_notes.c.incident == name)
    rows = await connection.execute(
        newest.order_by(incident_notes.c.seq.desc()).limit(NOTES_MOST + NODE_NOTES)
    )
    return tuple(Note(what=row.what, text=row.text, by=row.by, at=row.at) for row in reversed(rows.all()))


async def page(
    connection: AsyncConnection, wanted: Wanted, limit: int, below: int | None = None
) -> tuple[tuple[Incident, ...], bool]:
    """Incidents, the newest first, those with a `seq` below a bound, and whether more follow."""
    columns = {
        "state": wanted.state,
        "pattern": wanted.pattern,
        "actor": wanted.actor,
        "session_id": wanted.session,
        "assignee": wanted.assignee,
        "found": wanted.found,
    }
    statement = select(incidents).order_by(incidents.c.seq.desc()).limit(limit + 1)
    statement = statement.where(*[incidents.c[name] == value for name, value in columns.items() if value])
    if wanted.unsettled:
        statement = statement.where(incidents.c.state != "closed")
    if below is not None:
        statement = statement.where(incidents.c.seq < below)
    rows = (await connection.execute(statement)).all()
    return tuple(_incident(row) for row in rows[:limit]), len(rows) > limit


async def waiting(connection: AsyncConnection) -> int:
    """How many incidents nobody has closed."""
    counted = select(func.count()).select_from(incidents).where(incidents.c.state != "closed")
    return int((await connection.execute(counted)).scalar_one())


async def assign(connection: AsyncConnection, name: str, assignee: str, *, by: str, now: int) -> Incident:
    """Give an incident to somebody, or with "" back to nobody.

    Raises:
        NotFoundError: there is none.
        ConflictError: it is closed, or has as many notes as one may have.
    """
    found = await find(connection, name)
    if found.state == "closed":
        raise ConflictError(f"incident {name!r} is closed: reopen it first")
    await _check_room(connection, name)
    await _tell(connection, [name], Note(what="assigned", text=assignee, by=by, at=to_text(now)))
    await _put(connection, name, now, {"assignee": assignee or None, "state": _waiting(assignee)})
    return await find(connection, name)


async def note(connection: AsyncConnection, name: str, text: str, *, by: str, now: int) -> Incident:
    """Say something of an incident.

    Raises:
        NotFoundError: there is none.
        ConflictError: it has as many notes as one may have.
    """
    found = await find(connection, name)
    await _check_room(connection, name)
    await _tell(connection, [name], Note(what="note", text=text, by=by, at=to_text(now)))
    return found


async def close(
    connection: AsyncConnection, name: str, closed_as: str, text: str = "", *, by: str, now: int
) -> Incident:
    """Close an incident, and judge its matches by what it is closed as; the same again changes nothing.

    Raises:
        NotFoundError: there is none.
        ConflictError: it is closed as something else.
    """
    found = await find(connection, name)
    if found.state == "closed":
        if found.closed_as == closed_as:
            return found
        raise ConflictError(f"incident {name!r} is closed as {found.closed_as}: reopen it first")
    await _tell(
        connection,
        [name],
        Note(what="closed", text=f"{closed_as}: {text}" if text else closed_as, by=by, at=to_text(now)),
    )
    await _put(connection, name, now, {"state": "closed", "closed_as": closed_as})
    judged = CLOSED_AS[closed_as]
    if judged is not None:
        await connection.execute(update(matches).where(_of(found, now)).values(judged=judged))
    return await find(connection, name)


async def reopen(connection: AsyncConnection, name: str, text: str = "", *, by: str, now: int) -> Incident:
    """Take a closing back: its matches are what their sessions say of them; one that is open stays so.

    Raises:
        NotFoundError: there is none.
        ConflictError: it has as many notes as one may have.
    """
    found = await find(connection, name)
    if found.state != "closed":
        return found
    await _check_room(connection, name)
    await _tell(connection, [name], Note(what="reopened", text=text, by=by, at=to_text(now)))
    await _put(connection, name, now, {"state": _waiting(found.assignee), "closed_as": None})
    said = select(AS_SESSION).where(sessions.c.id == matches.c.session_id).scalar_subquery()
    await connection.execute(
        update(matches).where(_of(found, now)).values(judged=func.coalesce(said, "open"))
    )
    return await find(connection, name)


async def mark(connection: AsyncConnection, patterns: Collection[str], warning: str, now: int) -> int:
    """Say of incidents that are not closed what became of their patterns' warning; returns how many changed.

    Of each thing that may become of it the last time is noted.
    """
    concerned = and_(
        incidents.c.pattern.in_(among(connection, patterns)),
        incidents.c.state != "closed",
        incidents.c.warning != warning,
    )
    said = Note(what="warning", text=warning, by=NODE, at=to_text(now))
    await _unsay(connection, select(incidents.c.id).where(concerned), said)
    told = select(
        incidents.c.id, literal(said.what), literal(said.text), literal(said.by), literal(said.at)
    ).where(concerned)
    await connection.execute(
        insert(incident_notes).from_select(["incident", "what", "text", "by", "at"], told)
    )
    done = await connection.execute(
        update(incidents).where(concerned).values(warning=warning, updated_at=to_text(now))
    )
    return done.rowcount


async def hunted(connection: AsyncConnection) -> dict[str, int]:
    """The patterns that were looked for in all that was kept, each with the day on which that was done."""
    return {
        name: day_of(from_text(at))
        for name, at in await connection.execute(select(hunts.c.pattern, hunts.c.at))
    }


async def note_hunted(connection: AsyncConnection, sessions_of: Mapping[str, int], now: int) -> None:
    """Note that patterns were looked for, each with the sessions in which it was found."""
    statement = upserting(connection, hunts)
    at = to_text(now)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["pattern"],
            set_={"sessions": statement.excluded.sessions, "at": statement.excluded.at},
        ),
        [{"pattern": name, "sessions": count, "at": at} for name, count in sessions_of.items()],
    )


async def forget_hunts(connection: AsyncConnection, patterns: Collection[str]) -> None:
    """Look for these again when they come again."""
    await connection.execute(delete(hunts).where(hunts.c.pattern.in_(among(connection, patterns))))


async def trim(connection: AsyncConnection, now: int) -> None:
    """Forget incidents that were closed long ago, with their notes."""
    old = and_(incidents.c.state == "closed", incidents.c.updated_at < to_text(now - KEPT_DAYS * DAY_MS))
    gone = select(incidents.c.id).where(old)
    await connection.execute(delete(incident_notes).where(incident_notes.c.incident.in_(gone)))
    await connection.execute(delete(incidents).where(old))


async def _check_room(connection: AsyncConnection, name: str) -> None:
    """Refuse what would be noted where people noted too much; closing is always possible.

    What others say makes the node note something, and must not keep people from it.
    """
    counted = select(func.count()).where(incident_notes.c.incident == name, incident_notes.c.by != NODE)
    if (await connection.execute(counted)).scalar_one() >= NOTES_MOST:
        raise ConflictError(f"incident {name!r} has {NOTES_MOST} notes, the most that one may have")


def _of(found: Incident, now: int) -> Any:  # noqa: ANN401 - SQLAlchemy's conditions have no common type
    """The matches that an incident is about."""
    if found.session_id is not None:
        return and_(matches.c.pattern == found.pattern, matches.c.session_id == found.session_id)
    own = select(incidents.c.session_id).where(incidents.c.pattern == found.pattern)
    return and_(
        matches.c.pattern == found.pattern,
        matches.c.day > day_of(now) - WINDOW_DAYS,
        matches.c.session_id.not_in(own),
    )


def _new(name: str, hit: Hit, now: int) -> dict[str, Any]:
    at = to_text(now)
    return {
        "id": name,
        "pattern": hit.pattern,
        "session_id": hit.session_id,
        "actor": hit.actor,
        "found": hit.found,
        "tier": hit.tier,
        "state": "open",
        "warning": "live",
        "sessions": 1,
        "opened_at": at,
        "updated_at": at,
    }


def _waiting(assignee: str | None) -> str:
    return "assigned" if assignee else "open"


async def _put(connection: AsyncConnection, name: str, now: int, values: Mapping[str, object]) -> None:
    changed = {**values, "updated_at": to_text(now)}
    await connection.execute(update(incidents).where(incidents.c.id == name).values(changed))


async def _tell(connection: AsyncConnection, names: Sequence[str], told: Note) -> None:
    await connection.execute(insert(incident_notes), [{"incident": name, **asdict(told)} for name in names])


async def _unsay(connection: AsyncConnection, names: Select[str], said: Note) -> None:
    """Take back what the node said before in the same words: it says it anew."""
    await connection.execute(
        delete(incident_notes).where(
            incident_notes.c.by == said.by,
            incident_notes.c.what == said.what,
            incident_notes.c.text == said.text,
            incident_notes.c.incident.in_(names),
        )
    )


def _incident(row: Row[Any]) -> Incident:
    return Incident(
        seq=row.seq,
        id=row.id,
        pattern=row.pattern,
        session_id=row.session_id or None,
        actor=row.actor or None,
        found=row.found,
        tier=row.tier,
        state=row.state,
        warning=row.warning,
        assignee=row.assignee,
        closed_as=row.closed_as,
        sessions=row.sessions,
        opened_at=row.opened_at,
        updated_at=row.updated_at,
    )
