"""Grants and their spends. What makes a pass single-use is one statement here: `advance`.

An answer to a spend is kept beside it for a short while, so that an answer that was lost on the way can be asked for
again, and a pass that comes a second time with another request is known for what it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, bindparam, delete, exists, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.access.budget import Budget, Groups
from ioint_node.access.grants import IN_FORCE, Grant, Scope, Standing, State, Used
from ioint_node.errors import RequestError
from ioint_node.store.schema import actor_states, grant_spends, grants, sessions
from ioint_node.store.times import DAY_MS, from_text, to_text

PAGE_ROWS: Final = 500
ANSWERS_MS: Final = 600_000  # for which the answer to a spend is kept
ENDED_DAYS: Final = 30  # for which a grant that has ended is kept
FIRST_ANSWER: Final = 0  # the generation under which the answer to the issue is kept
# Not `IN`: its list is expanded anew at each execution.
_IN_FORCE = or_(*(grants.c.state == state.value for state in sorted(IN_FORCE)))
_OPEN = exists().where(sessions.c.id == grants.c.session_id, sessions.c.state == "open")
_HALTED = exists().where(actor_states.c.actor == grants.c.actor)

# The statements of a spend are made once: putting one together costs more than running it.
_FAMILY = (
    select(grants, sessions.c.state.label("session_state"), actor_states.c.state.label("actor_state"))
    .select_from(
        grants.outerjoin(sessions, sessions.c.id == grants.c.session_id).outerjoin(
            actor_states, actor_states.c.actor == grants.c.actor
        )
    )
    .where(
        grants.c.session_id == bindparam("of_session"),
        or_(grants.c.id == bindparam("of_grant"), _IN_FORCE),
    )
)
_ADVANCE = (
    update(grants)
    .where(
        grants.c.id == bindparam("of_grant"),
        grants.c.generation == bindparam("of_generation"),
        _IN_FORCE,
        grants.c.expires_at > bindparam("at"),
        grants.c.left >= bindparam("new_left"),
        _OPEN,
        ~_HALTED,
    )
    .values(
        generation=bindparam("new_generation"),
        left=bindparam("new_left"),
        spread=bindparam("new_spread"),
        interval_s=bindparam("new_interval_s"),
        revalidate_at=bindparam("new_revalidate_at"),
        expires_at=bindparam("new_expires_at"),
        state=bindparam("new_state"),
    )
)
_KEEP = insert(grant_spends)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A grant as it is in the database, and what ends it from outside: its session's state, its actor's.

    `session_open` is false also for a session that is not there; `halted` is the state of a halted actor, else None.
    `others` are the resource groups that other grants of the session remember.
    """

    grant: Grant
    session_open: bool
    halted: str | None
    others: tuple[Groups, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was answered to a request on one generation: the hash that names the request, JSON, and when (ms)."""

    request: str
    answer: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a session's grants hold: how many there are and are in force, the units that count, the groups touched."""

    count: int
    in_force: int
    used: Used
    groups: tuple[Groups, ...]


async def find(connection: AsyncConnection, grant_id: str, session_id: str) -> Kept | None:
    """A grant of this session with what bears on it, or None."""
    found = await connection.execute(_FAMILY, {"of_session": session_id, "of_grant": grant_id})
    rows = found.all()
    own = next((row for row in rows if row.id == grant_id), None)
    if own is None:
        return None
    return Kept(
        grant=_grant(own),
        session_open=own.session_state == "open",
        halted=own.actor_state,
        others=tuple(_budget(row).groups for row in rows if row is not own),
    )


async def find_alone(connection: AsyncConnection, grant_id: str) -> Grant | None:
    """A grant by its id, or None."""
    row = (await connection.execute(select(grants).where(grants.c.id == grant_id))).one_or_none()
    return None if row is None else _grant(row)


async def halted(connection: AsyncConnection, actor: str) -> str | None:
    """The state of a halted actor, None of one that may act."""
    statement = select(actor_states.c.state).where(actor_states.c.actor == actor)
    state: str | None = (await connection.execute(statement)).scalar_one_or_none()
    return state


async def held(connection: AsyncConnection, session_id: str, standing: Standing, now: int) -> Held:
    """What the session's grants hold or have spent since its actor was last looked at, and by a person.

    An older one that is in force counts with what it still holds, one that has ended with what was spent of it.
    """
    since = min(standing.whole_at, standing.renewed_at)
    rows = (
        await connection.execute(
            select(grants).where(
                grants.c.session_id == session_id,
                or_(grants.c.issued_at >= to_text(since), _IN_FORCE),
            )
        )
    ).all()
    alive = [row for row in rows if row.state in IN_FORCE and row.expires_at > to_text(now)]
    holding = sum(row.left for row in alive)
    renewed, whole = (
        holding + sum(row.units - row.left for row in rows if row.issued_at >= to_text(edge))
        for edge in (standing.renewed_at, standing.whole_at)
    )
    return Held(
        count=len(rows),
        in_force=len(alive),
        used=Used(renewed=renewed, whole=whole),
        groups=tuple(_budget(row).groups for row in rows),
    )


async def add(connection: AsyncConnection, grant: Grant) -> None:
    """Write a new grant; its id is free."""
    await connection.execute(
        insert(grants).values(
            id=grant.id,
            actor=grant.actor,
            session_id=grant.session_id,
            key=grant.key,
            intent=grant.intent,
            scope=_text(grant.scope.to_json() | ({"audience": grant.audience} if grant.audience else {})),
            units=grant.budget.granted,
            left=grant.budget.left,
            generation=grant.generation,
            spread=_text(grant.budget.memory()),
            interval_s=grant.interval_s,
            revalidate_at=to_text(grant.revalidate_at),
            issued_at=to_text(grant.issued),
            expires_at=to_text(grant.expires),
            state=grant.state.value,
            reason=grant.reason,
        )
    )


async def advance(connection: AsyncConnection, grant: Grant, now: int) -> bool:
    """Write a grant after a spend, if the database still has the generation before it and nothing has ended it.

    False: another spend was first, or the grant, its session or its actor was stopped meanwhile; nothing is written.
    """
    done = await connection.execute(
        _ADVANCE,
        {
            "of_grant": grant.id,
            "of_generation": grant.generation - 1,
            "at": to_text(now),
            "new_generation": grant.generation,
            "new_left": grant.budget.left,
            "new_spread": _text(grant.budget.memory()),
            "new_interval_s": grant.interval_s,
            "new_revalidate_at": to_text(grant.revalidate_at),
            "new_expires_at": to_text(grant.expires),
            "new_state": grant.state.value,
        },
    )
    return done.rowcount == 1


async def keep(connection: AsyncConnection, grant_id: str, generation: int, answer: Answer) -> None:
    """Keep what was answered to a request on a generation of a grant."""
    row = {
        "grant": grant_id,
        "generation": generation,
        "request": answer.request,
        "answer": answer.answer,
        "at": to_text(answer.at),
    }
    await connection.execute(_KEEP, row)


async def answered(connection: AsyncConnection, grant_id: str, generation: int) -> Answer | None:
    """What was answered on a generation of a grant, or None."""
    statement = select(grant_spends).where(
        grant_spends.c.grant == grant_id, grant_spends.c.generation == generation
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else Answer(request=row.request, answer=row.answer, at=from_text(row.at))


async def revoke(connection: AsyncConnection, grant_id: str, reason: str) -> bool:
    """End a grant for good; False when it had ended already."""
    return await _end(connection, State.REVOKED, reason, grant=grant_id) == 1


async def end_of_session(connection: AsyncConnection, session_id: str, reason: str) -> int:
    """End the grants of a session, and count them."""
    return await _end(connection, State.EXPIRED, reason, session=session_id)


async def end_of_actor(connection: AsyncConnection, actor: str, reason: str) -> int:
    """Revoke the grants of an actor that is halted, and count them; release brings none of them back."""
    return await _end(connection, State.REVOKED, reason, actor=actor)


async def sweep(connection: AsyncConnection, now: int) -> int:
    """Write down which grants have ended by time, session or actor; forget old answers and grants. Counts the ended."""
    at = to_text(now)
    ended = 0
    for state, reason, condition in (
        (State.REVOKED, "the actor was halted", _HALTED),
        (State.EXPIRED, "the session is closed", ~_OPEN),
        (State.EXPIRED, "its time is over", grants.c.expires_at <= at),
    ):
        statement = update(grants).where(_IN_FORCE, condition)
        ended += (await connection.execute(statement.values(state=state.value, reason=reason))).rowcount
    await connection.execute(delete(grant_spends).where(grant_spends.c.at < to_text(now - ANSWERS_MS)))
    old = to_text(now - ENDED_DAYS * DAY_MS)
    await connection.execute(delete(grants).where(~_IN_FORCE, grants.c.expires_at < old))
    return ended


async def list_grants(
    connection: AsyncConnection,
    limit: int,
    cursor: Sequence[str] | None = None,
    *,
    actor: str | None = None,
    session_id: str | None = None,
    state: str | None = None,
) -> tuple[Grant, ...]:
    """Grants, the newest first, those after (`issued_at`, id); optionally of one actor, session or state.

    Raises:
        RequestError: a limit out of range.
    """
    if not 1 <= limit <= PAGE_ROWS + 1:
        raise RequestError(f"limit: {limit}, must be 1 to {PAGE_ROWS}")
    statement = select(grants).order_by(grants.c.issued_at.desc(), grants.c.id.desc()).limit(limit)
    wanted = ((grants.c.actor, actor), (grants.c.session_id, session_id), (grants.c.state, state))
    for column, value in wanted:
        if value is not None:
            statement = statement.where(column == value)
    if cursor is not None:
        statement = statement.where(tuple_(grants.c.issued_at, grants.c.id) < tuple_(*cursor))
    return tuple(_grant(row) for row in await connection.execute(statement))


async def _end(
    connection: AsyncConnection,
    state: State,
    reason: str,
    *,
    grant: str | None = None,
    session: str | None = None,
    actor: str | None = None,
) -> int:
    statement = update(grants).where(_IN_FORCE)
    for column, value in ((grants.c.id, grant), (grants.c.session_id, session), (grants.c.actor, actor)):
        if value is not None:
            statement = statement.where(column == value)
    return (await connection.execute(statement.values(state=state.value, reason=reason))).rowcount


def _grant(row: Row[Any]) -> Grant:
    scope: dict[str, Any] = json.loads(row.scope)
    return Grant(
        id=row.id,
        actor=row.actor,
        session_id=row.session_id,
        key=row.key,
        intent=row.intent,
        scope=Scope.from_json(scope),
        audience=scope.get("audience"),
        budget=_budget(row),
        generation=row.generation,
        interval_s=row.interval_s,
        revalidate_at=from_text(row.revalidate_at),
        issued=from_text(row.issued_at),
        expires=from_text(row.expires_at),
        state=State(row.state),
        reason=row.reason,
    )


def _budget(row: Row[Any]) -> Budget:
    memory: Mapping[str, Any] = json.loads(row.spread)
    return Budget.remembered(row.units, row.left, memory)


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
