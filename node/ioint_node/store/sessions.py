"""Sessions: what was declared, what happened, what was decided.

Events are kept as they came, in the order of their `seq`, so that a session can be followed again from its first
event; every decision is kept as it was answered.
"""

from __future__ import annotations

import base64
import binascii
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import Insert, Row, Table, Update, bindparam, func, insert, select, tuple_, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import NotFoundError, RequestError
from ioint_node.store.schema import decisions, events, matches, session_days, sessions, stream
from ioint_node.store.times import to_text
from ioint_node.store.upsert import upserting

PAGE_ROWS = 500
DECISIONS_SHOWN = 2_000
IDLE_BATCH = 200

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """One row of `events`: its kind, its JSON, and when it came (RFC 3339)."""

    kind: str
    body: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """All that is needed to follow a session again; `answered` has (action id, request hash) of every decision.

    `departures` counts the actions that were answered as out of scope, without those that a person had approved, and
    `doubts` the borderline ones.
    """

    row: Mapping[str, Any]
    events: tuple[StoredEvent, ...]
    answered: tuple[tuple[str, str], ...]
    departures: int
    doubts: int


async def add_sessions(connection: AsyncConnection, rows: Sequence[Values]) -> None:
    """Write new sessions, each with every column of the table."""
    await write_rows(connection, _adding(sessions, tuple(rows[0])), rows)


async def add_events(connection: AsyncConnection, rows: Sequence[Values]) -> None:
    """Write events in their order."""
    await write_rows(connection, _adding(events, tuple(rows[0])), rows)


async def add_decisions(connection: AsyncConnection, rows: Sequence[Values]) -> None:
    """Write decisions as they were answered."""
    await write_rows(connection, _adding(decisions, tuple(rows[0])), rows)


async def update_sessions(connection: AsyncConnection, rows: Sequence[Values]) -> None:
    """Bring sessions up to date; every row has the same columns and its key as `session_id`."""
    await write_rows(connection, _updating(tuple(rows[0])), rows)


async def add_stream(connection: AsyncConnection, rows: Sequence[Values]) -> None:
    """Write rows of `stream.row_of`, which get their `seq` in this order."""
    await write_rows(connection, _adding(stream, tuple(rows[0])), rows)


async def add_matches(connection: AsyncConnection, rows: Sequence[Values]) -> None:
    """Note which patterns sessions completed; a pattern counts once in a session."""
    await connection.execute(upserting(connection, matches).on_conflict_do_nothing(), rows)


async def write_rows(connection: AsyncConnection, statement: Insert | Update, rows: Sequence[Values]) -> None:
    """Run one statement for many rows of the same columns, in their order.

    SQLite's driver gets the rows as they are, in one trip to its thread: these are the writes of every action.

    Raises:
        DBAPIError: the write failed, as SQLAlchemy tells it, without the rows.
    """
    if connection.dialect.name != "sqlite":
        await connection.execute(statement, rows)
        return
    driver: Any = (await connection.get_raw_connection()).driver_connection
    written = _text_of(statement)
    try:
        await driver.executemany(written, rows)
    except sqlite3.Error as error:
        raise DBAPIError.instance(written, None, error, sqlite3.Error, hide_parameters=True) from error


@cache
def _adding(table: Table, columns: tuple[str, ...]) -> Insert:
    return insert(table).values({name: bindparam(name) for name in columns})


@cache
def _updating(columns: tuple[str, ...]) -> Update:
    named: dict[str, Any] = {name: bindparam(name) for name in columns if name != "session_id"}
    return update(sessions).where(sessions.c.id == bindparam("session_id")).values(named)


@cache
def _text_of(statement: Insert | Update) -> str:
    """A statement as SQLite's driver takes it, every value by its name."""
    return str(statement.compile(dialect=sqlite.dialect(paramstyle="named")))


async def judge_session(
    connection: AsyncConnection,
    session_id: str,
    patterns: Iterable[str],
    *,
    flagged: bool,
    whole: bool,
    day: int,
) -> None:
    """Count a session that is over among those of its day, and settle its matches as flagged or benign.

    What a person has judged already stays as it is. `whole` says that all of its path is kept.
    """
    named = tuple(patterns)
    if named:
        await connection.execute(
            update(matches)
            .where(
                matches.c.pattern.in_(named),
                matches.c.session_id == session_id,
                matches.c.judged == "open",
            )
            .values(judged="flagged" if flagged else "benign")
        )
    statement = upserting(connection, session_days).values(
        day=day, judged=1, flagged=int(flagged), unkept=int(not whole)
    )
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["day"],
            set_={
                "judged": session_days.c.judged + 1,
                "flagged": session_days.c.flagged + int(flagged),
                "unkept": session_days.c.unkept + int(not whole),
            },
        )
    )


async def find_session(connection: AsyncConnection, session_id: str) -> StoredSession | None:
    """A session with its events and the ids of its answered actions, or None."""
    found = await connection.execute(select(sessions).where(sessions.c.id == session_id))
    row = found.mappings().one_or_none()
    if row is None:
        return None
    happened = select(events.c.kind, events.c.body, events.c.at).where(events.c.session_id == session_id)
    answered = select(
        decisions.c.action_id, decisions.c.request_hash, decisions.c.verdict, decisions.c.response
    ).where(decisions.c.session_id == session_id)
    rows = (await connection.execute(answered)).all()
    return StoredSession(
        row=dict(row),
        events=tuple(
            StoredEvent(kind=kind, body=body, at=at)
            for kind, body, at in await connection.execute(happened.order_by(events.c.seq))
        ),
        answered=tuple((row.action_id, row.request_hash) for row in rows),
        # Nothing out of scope is merely told, unless a person answered for it.
        departures=sum(row.verdict == "out_of_scope" and row.response != "notify" for row in rows),
        doubts=sum(row.verdict == "borderline" for row in rows),
    )


async def find_decision(connection: AsyncConnection, session_id: str, action_id: str) -> str | None:
    """The JSON of the decision on an action, as it was answered, or None."""
    statement = select(decisions.c.body).where(
        decisions.c.session_id == session_id, decisions.c.action_id == action_id
    )
    return (await connection.execute(statement)).scalar_one_or_none()


async def find_alternative(connection: AsyncConnection, session_id: str, alternative_id: str) -> Any:  # noqa: ANN401 - JSON
    """The narrower alternative that a decision of the session offered, or None."""
    statement = select(decisions.c.body).where(
        decisions.c.id == alternative_id, decisions.c.session_id == session_id
    )
    body = (await connection.execute(statement)).scalar_one_or_none()
    return None if body is None else json.loads(body)["alternative"]


async def idle_sessions(connection: AsyncConnection, before: int) -> tuple[str, ...]:
    """Open sessions in which nothing has happened since an instant, the oldest first, a bounded number."""
    statement = (
        select(sessions.c.id)
        .where(sessions.c.state == "open", sessions.c.updated_at < to_text(before))
        .order_by(sessions.c.updated_at)
        .limit(IDLE_BATCH)
    )
    return tuple((await connection.execute(statement)).scalars())


async def list_sessions(
    connection: AsyncConnection,
    limit: int,
    cursor: str | None = None,
    *,
    actor: str | None = None,
    state: str | None = None,
    verdict: str | None = None,
    pattern: str | None = None,
) -> dict[str, Any]:
    """A page of sessions, the newest change first, optionally of one actor, state, worst verdict or matched pattern.

    Raises:
        RequestError: a limit out of range or a cursor that is none.
    """
    if not 1 <= limit <= PAGE_ROWS:
        raise RequestError(f"limit: {limit}, must be 1 to {PAGE_ROWS}")
    statement = select(sessions).order_by(sessions.c.updated_at.desc(), sessions.c.id.desc()).limit(limit + 1)
    for column, value in (
        (sessions.c.actor, actor),
        (sessions.c.state, state),
        (sessions.c.verdict, verdict),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if pattern is not None:
        matched = select(matches.c.session_id).where(matches.c.pattern == pattern)
        statement = statement.where(sessions.c.id.in_(matched))
    if cursor is not None:
        statement = statement.where(tuple_(sessions.c.updated_at, sessions.c.id) < tuple_(*_key(cursor)))
    rows = (await connection.execute(statement)).all()
    page = rows[:limit]
    return {
        "items": [_summary(row) for row in page],
        "next": _cursor(page[-1].updated_at, page[-1].id) if len(rows) > limit else None,
    }


async def get_session(connection: AsyncConnection, session_id: str) -> dict[str, Any]:
    """A session with what it declared, its envelope, the patterns it completed, and every decision with its reasons.

    `cleared` says that a person answered for all that left its scope.

    Raises:
        NotFoundError: no such session.
    """
    row = (await connection.execute(select(sessions).where(sessions.c.id == session_id))).one_or_none()
    if row is None:
        raise NotFoundError(f"no session {session_id!r}")
    decided = (
        select(decisions.c.body, decisions.c.at, decisions.c.action_id)
        .where(decisions.c.session_id == session_id)
        .order_by(decisions.c.at, decisions.c.id)
        .limit(DECISIONS_SHOWN)
    )
    matched = (
        select(matches.c.pattern, matches.c.action_id, matches.c.at, matches.c.judged)
        .where(matches.c.session_id == session_id)
        .order_by(matches.c.seq)
    )
    happened = select(events.c.kind, func.count().label("happened")).where(events.c.session_id == session_id)
    counted = happened.group_by(events.c.kind)
    called = (
        select(events.c.body)
        .where(events.c.session_id == session_id, events.c.kind == "tool_call")
        .order_by(events.c.seq)
        .limit(DECISIONS_SHOWN)
    )
    calls = [msgspec.json.decode(body, type=_Call) for body in (await connection.execute(called)).scalars()]
    tools = {call.action_id: {"tool": call.tool, "server": call.server} for call in calls}
    return {
        **_summary(row),
        "declared": json.loads(row.declaration),
        "envelope": json.loads(row.envelope),
        "parent": json.loads(row.parent) if row.parent else None,
        "cleared": bool(row.cleared),
        "events": {row.kind: row.happened for row in await connection.execute(counted)},
        "patterns": [dict(one) for one in (await connection.execute(matched)).mappings()],
        "decisions": [
            {"tool": None, "server": None, **tools.get(name, {}), **json.loads(body), "at": at}
            for body, at, name in await connection.execute(decided)
        ],
    }


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of a tool call here: its arguments are not."""

    action_id: str | None = None
    tool: str = ""
    server: str | None = None


def _summary(row: Row[Any]) -> dict[str, Any]:
    return {
        "session_id": row.id,
        "actor": row.actor,
        "family": row.family,
        "family_confidence": row.family_confidence,
        "state": row.state,
        "outcome": row.outcome,
        "verdict": row.verdict,
        "risk": row.risk,
        "actions": row.actions,
        "opened_at": row.opened_at,
        "updated_at": row.updated_at,
        "closed_at": row.closed_at,
    }


def _cursor(updated_at: str, session_id: str) -> str:
    return base64.urlsafe_b64encode(f"{updated_at} {session_id}".encode()).decode("ascii").rstrip("=")


def _key(cursor: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        updated_at, session_id = text.split(" ", 1)
    except (binascii.Error, ValueError):
        raise RequestError("cursor: not one that a page of sessions named") from None
    return updated_at, session_id
