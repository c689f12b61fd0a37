"""Proposed changes of an envelope, what was decided of each, and the past sessions that they are held against."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, func, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import ConflictError, NotFoundError
from ioint_node.scoring.changes import Change
from ioint_node.store.schema import decisions, events, proposals, sessions
from ioint_node.store.sessions import StoredEvent
from ioint_node.store.times import to_text

STATES: Final = ("open", "accepted", "refused", "withdrawn")
OPEN: Final = 1_000  # proposals that may wait for a person
IN_FORCE: Final = 2_000  # accepted changes that may hold at a time
DECISIONS_READ: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One proposed change, for one actor or (None) for everybody; instants are RFC 3339 text."""

    id: str
    family: str
    actor: str | None
    change: Change
    evidence: Mapping[str, Any]
    state: str
    by: str
    at: str
    decided_by: str | None
    decided_at: str | None
    expires_at: str | None

    def to_json(self) -> dict[str, Any]:
        """The proposal as its door shows it."""
        return {
            "id": self.id,
            "kind": "envelope",
            "family": self.family,
            "actor": self.actor,
            "change": self.change.to_json(),
            "text": self.change.text,
            "evidence": dict(self.evidence),
            "state": self.state,
            "by": self.by,
            "at": self.at,
            "decided_by": self.decided_by,
            "decided_at": self.decided_at,
            "expires_at": self.expires_at if self.state == "accepted" else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An action as it was decided, and the session that asked; `body` is the DECISION, `envelope` the session's now."""

    actor: str
    family: str
    envelope: Mapping[str, Any]
    body: Mapping[str, Any]
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A session of the past by its columns, with its decisions as (action id, verdict, step)."""

    id: str
    actor: str
    declaration: str
    verdict: str
    actions: int
    decided: tuple[tuple[str, str, Mapping[str, Any]], ...]


async def add(
    connection: AsyncConnection,
    *,
    family: str,
    actor: str | None,
    change: Change,
    evidence: Mapping[str, Any],
    by: str,
    now: int,
) -> Proposal:
    """Write a proposal that waits for a person.

    Raises:
        ConflictError: too many wait already.
    """
    waiting = select(func.count()).select_from(proposals).where(proposals.c.state == "open")
    if (await connection.execute(waiting)).scalar_one() >= OPEN:
        raise ConflictError(f"{OPEN} proposals wait for a person: decide some of them")
    key = secrets.token_hex(16)
    await connection.execute(
        insert(proposals).values(
            id=key,
            family=family,
            actor=actor,
            change=change_text(change),
            wider=int(change.wider),
            evidence=json.dumps(evidence, separators=(",", ":")),
            state="open",
            by=by,
            at=to_text(now),
        )
    )
    return await find(connection, key)


async def find(connection: AsyncConnection, key: str) -> Proposal:
    """A proposal by its id.

    Raises:
        NotFoundError: there is none.
    """
    row = (await connection.execute(select(proposals).where(proposals.c.id == key))).one_or_none()
    if row is None:
        raise NotFoundError(f"no proposal {key[:32]!r}")
    return _proposal(row)


async def find_same(
    connection: AsyncConnection, family: str, actor: str | None, change: Change
) -> Proposal | None:
    """The proposal of this very change that waits, or None."""
    statement = select(proposals).where(
        proposals.c.state == "open",
        proposals.c.family == family,
        proposals.c.actor.is_(None) if actor is None else proposals.c.actor == actor,
        proposals.c.change == change_text(change),
    )
    row = (await connection.execute(statement.limit(1))).one_or_none()
    return None if row is None else _proposal(row)


async def count_waiting(connection: AsyncConnection, *, actor: str, by: str) -> int:
    """How many proposals about an actor, made by one maker, wait for a person."""
    statement = (
        select(func.count())
        .select_from(proposals)
        .where(proposals.c.state == "open", proposals.c.actor == actor, proposals.c.by == by)
    )
    return int((await connection.execute(statement)).scalar_one())


async def put_evidence(connection: AsyncConnection, key: str, evidence: Mapping[str, Any]) -> Proposal:
    """Replace what speaks for a proposal."""
    text = json.dumps(evidence, separators=(",", ":"))
    await connection.execute(update(proposals).where(proposals.c.id == key).values(evidence=text))
    return await find(connection, key)


async def decide(
    connection: AsyncConnection, key: str, *, accept: bool, by: str, now: int, expires: int | None
) -> Proposal:
    """Accept a proposal that waits, until `expires` (Unix ms) or for good, or refuse it.

    Raises:
        NotFoundError: there is none.
        ConflictError: it was decided already, or too many changes hold.
    """
    found = await find(connection, key)
    if found.state != "open":
        raise ConflictError(f"proposal {key!r} is {found.state}")
    if accept and len(await in_force(connection, now)) >= IN_FORCE:
        raise ConflictError(f"{IN_FORCE} accepted changes hold: withdraw some of them")
    return await _settle(
        connection,
        found,
        state="accepted" if accept else "refused",
        by=by,
        now=now,
        expires_at=to_text(expires) if accept and expires is not None else None,
    )


async def withdraw(connection: AsyncConnection, key: str, *, by: str, now: int) -> Proposal:
    """Take an accepted change back, or a proposal that waits; a second time changes nothing.

    Raises:
        NotFoundError: there is none.
        ConflictError: it was refused.
    """
    found = await find(connection, key)
    if found.state == "withdrawn":
        return found
    if found.state == "refused":
        raise ConflictError(f"proposal {key!r} is refused: there is nothing to take back")
    return await _settle(connection, found, state="withdrawn", by=by, now=now, expires_at=found.expires_at)


async def in_force(connection: AsyncConnection, now: int) -> tuple[Proposal, ...]:
    """The accepted changes that hold at an instant (Unix ms), the oldest first."""
    statement = (
        select(proposals)
        .where(
            proposals.c.state == "accepted",
            or_(proposals.c.expires_at.is_(None), proposals.c.expires_at > to_text(now)),
        )
        .order_by(proposals.c.at, proposals.c.id)
        .limit(IN_FORCE)
    )
    return tuple(_proposal(row) for row in await connection.execute(statement))


async def page(
    connection: AsyncConnection, limit: int, after: tuple[str, str] | None = None, *, state: str | None = None
) -> tuple[tuple[Proposal, ...], bool]:
    """Proposals, the newest first, those after (instant, id), and whether more follow."""
    statement = select(proposals).order_by(proposals.c.at.desc(), proposals.c.id.desc()).limit(limit + 1)
    if state is not None:
        statement = statement.where(proposals.c.state == state)
    if after is not None:
        statement = statement.where(tuple_(proposals.c.at, proposals.c.id) < tuple_(*after))
    rows = (await connection.execute(statement)).all()
    return tuple(_proposal(row) for row in rows[:limit]), len(rows) > limit


async def find_asked(connection: AsyncConnection, session_id: str, action_id: str) -> Asked:
    """An action of a session, as it was decided.

    Raises:
        NotFoundError: no such session, or no decision on such an action in it.
    """
    statement = (
        select(sessions.c.actor, sessions.c.family, sessions.c.envelope, decisions.c.body, decisions.c.at)
        .select_from(decisions.join(sessions, sessions.c.id == decisions.c.session_id))
        .where(decisions.c.session_id == session_id, decisions.c.action_id == action_id)
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise NotFoundError(f"no action {action_id[:128]!r} in session {session_id[:128]!r}")
    return Asked(
        actor=row.actor,
        family=row.family,
        envelope=json.loads(row.envelope),
        body=json.loads(row.body),
        at=row.at,
    )


async def past_sessions(
    connection: AsyncConnection, family: str, actor: str | None, *, since: int, most: int, flagged: bool
) -> tuple[Past, ...]:
    """The newest sessions of a family since an instant (Unix ms), with a bounded number of their decisions.

    With `flagged` only those with a verdict other than in scope, and of these the decisions that were so.
    """
    statement = (
        select(
            sessions.c.id, sessions.c.actor, sessions.c.declaration, sessions.c.verdict, sessions.c.actions
        )
        .where(sessions.c.updated_at >= to_text(since), sessions.c.family == family)
        .order_by(sessions.c.updated_at.desc())
        .limit(most)
    )
    if actor is not None:
        statement = statement.where(sessions.c.actor == actor)
    if flagged:
        statement = statement.where(sessions.c.verdict != "in_scope")
    found = (await connection.execute(statement)).all()
    decided = (
        select(decisions.c.session_id, decisions.c.action_id, decisions.c.verdict, decisions.c.body)
        .where(decisions.c.session_id.in_([row.id for row in found]))
        .order_by(decisions.c.at.desc(), decisions.c.id.desc())
        .limit(DECISIONS_READ)
    )
    if flagged:
        decided = decided.where(decisions.c.verdict != "in_scope")
    by_session: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
    for row in await connection.execute(decided):
        by_session.setdefault(row.session_id, []).append(
            (row.action_id, row.verdict, json.loads(row.body)["step"])
        )
    return tuple(
        Past(
            id=row.id,
            actor=row.actor,
            declaration=row.declaration,
            verdict=row.verdict,
            actions=row.actions,
            decided=tuple(reversed(by_session.get(row.id, ()))),
        )
        for row in found
    )


async def events_of(connection: AsyncConnection, session_id: str, most: int) -> tuple[StoredEvent, ...]:
    """The first events of a session in their order, as far as retention has left them."""
    statement = (
        select(events.c.kind, events.c.body, events.c.at)
        .where(events.c.session_id == session_id)
        .order_by(events.c.seq)
        .limit(most)
    )
    return tuple(
        StoredEvent(kind=kind, body=body, at=at) for kind, body, at in await connection.execute(statement)
    )


async def drifts(
    connection: AsyncConnection, *, since: int, most: int, before: tuple[str, str] | None
) -> Sequence[tuple[str, str, str, str, str]]:
    """Decisions since an instant (Unix ms), newest first, as (instant, id, family, verdict, body); `before` pages."""
    statement = (
        select(decisions.c.at, decisions.c.id, sessions.c.family, decisions.c.verdict, decisions.c.body)
        .select_from(decisions.join(sessions, sessions.c.id == decisions.c.session_id))
        .where(decisions.c.at >= to_text(since))
        .order_by(decisions.c.at.desc(), decisions.c.id.desc())
        .limit(most)
    )
    if before is not None:
        statement = statement.where(tuple_(decisions.c.at, decisions.c.id) < tuple_(*before))
    return [
        (at, key, family, verdict, body)
        for at, key, family, verdict, body in await connection.execute(statement)
    ]


def change_text(change: Change) -> str:
    """The one text of a change: equal changes have equal texts."""
    return json.dumps(change.to_json(), separators=(",", ":"), sort_keys=True)


async def _settle(
    connection: AsyncConnection, found: Proposal, *, state: str, by: str, now: int, expires_at: str | None
) -> Proposal:
    at = to_text(now)
    # Who accepted must still be known when somebody else has withdrawn.
    history = [*found.evidence.get("history", ()), {"state": state, "by": by, "at": at}]
    await connection.execute(
        update(proposals)
        .where(proposals.c.id == found.id)
        .values(
            state=state,
            decided_by=by,
            decided_at=at,
            expires_at=expires_at,
            evidence=json.dumps({**found.evidence, "history": history}, separators=(",", ":")),
        )
    )
    return await find(connection, found.id)


def _proposal(row: Row[Any]) -> Proposal:
    return Proposal(
        id=row.id,
        family=row.family,
        actor=row.actor,
        change=Change.from_json(json.loads(row.change)),
        evidence=json.loads(row.evidence),
        state=row.state,
        by=row.by,
        at=row.at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        expires_at=row.expires_at,
    )
