"""Actions that wait for a person, and what was decided of them.

An approval is for one action: the same tool, server and arguments, in the same session, once, within its time. Memory
holds what has not run out, since every action of a session with something held is looked up; the table knows better
after a restart.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store.schema import held_actions
from ioint_node.store.times import from_text, to_text

HELD_MS: Final = 3_600_000  # that an action waits, and from then on that its approval is good for
PER_SESSION: Final = 20  # actions of one session that may be held or decided and not run out
PER_ACTOR: Final = 100  # of all sessions of one actor
MOST: Final = 10_000  # of all actors
WAITING: Final = "waiting"
APPROVED: Final = "approved"
REFUSED: Final = "refused"
USED: Final = "used"
EXPIRED: Final = "expired"
ENDED: Final = "ended"  # its session was closed first


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An action that waits or waited for a person; instants are RFC 3339 text.

    `content` is the SHA-256 of tool, server and arguments. `body` holds the decision, the recommendation, tool and
    server, and the arguments as long as it waits.
    """

    id: str
    session_id: str
    actor: str
    action_id: str
    content: str
    body: Mapping[str, Any] = field(repr=False)
    state: str
    by: str | None
    at: str
    decided_at: str | None
    expires_at: str

    def to_json(self) -> dict[str, Any]:
        """The action as the API shows it."""
        return {
            "id": self.id,
            "kind": "action",
            "actor": self.actor,
            "session_id": self.session_id,
            "action_id": self.action_id,
            **self.body,
            "state": self.state,
            "at": self.at,
            "expires_at": self.expires_at,
            "decided_by": self.by,
            "decided_at": self.decided_at,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What memory keeps of a held action: `state` is waiting, approved or refused; `expires` in Unix milliseconds."""

    id: str
    session_id: str
    actor: str
    content: str
    state: str
    expires: int


class Holds:
    """The held actions that have not run out, by session and content; bounded."""

    def __init__(
        self, *, most: int = MOST, per_actor: int = PER_ACTOR, per_session: int = PER_SESSION
    ) -> None:
        self._most, self._per_actor, self._per_session = most, per_actor, per_session
        self._holds: dict[tuple[str, str], Hold] = {}
        self._sessions: Counter[str] = Counter()
        self._actors: Counter[str] = Counter()
        self._next = 0  # nothing runs out before that

    def __len__(self) -> int:
        return len(self._holds)

    def any_of(self, session_id: str) -> bool:
        """Whether a session has anything held or decided: the cheap question that most actions stop at."""
        return session_id in self._sessions

    def find(self, session_id: str, content: str, now: int) -> Hold | None:
        """What is held or decided of this action, while it has not run out."""
        hold = self._holds.get((session_id, content))
        if hold is not None and hold.expires <= now:
            self.drop(hold)
            return None
        return hold

    def has_room(self, session_id: str, actor: str, now: int) -> bool:
        """Whether one more action of an actor's session may be held."""
        if self._is_full(session_id, actor):
            self.expire(now)
        return not self._is_full(session_id, actor)

    def _is_full(self, session_id: str, actor: str) -> bool:
        return (
            len(self._holds) >= self._most
            or self._actors[actor] >= self._per_actor
            or self._sessions[session_id] >= self._per_session
        )

    def put(self, hold: Hold) -> None:
        """Hold an action, or note what was decided of it."""
        key = (hold.session_id, hold.content)
        if key not in self._holds:
            self._sessions[hold.session_id] += 1
            self._actors[hold.actor] += 1
        self._holds[key] = hold
        self._next = min(self._next, hold.expires)

    def drop(self, hold: Hold) -> None:
        """Forget a held action: it ran out, or was let go on."""
        if self._holds.pop((hold.session_id, hold.content), None) is None:
            return
        for counts, name in ((self._sessions, hold.session_id), (self._actors, hold.actor)):
            counts[name] -= 1
            if not counts[name]:
                del counts[name]

    def end_session(self, session_id: str) -> None:
        """Forget all that is held in a session: it is over."""
        if not self.any_of(session_id):
            return
        for hold in [hold for hold in self._holds.values() if hold.session_id == session_id]:
            self.drop(hold)

    def expire(self, now: int) -> None:
        """Forget what has run out."""
        # Every action of a session that is full asks: all of them are looked at only when one may have run out.
        if now < self._next:
            return
        for hold in [hold for hold in self._holds.values() if hold.expires <= now]:
            self.drop(hold)
        self._next = min((hold.expires for hold in self._holds.values()), default=now + HELD_MS)


async def load(connection: AsyncConnection, now: int) -> Holds:
    """The held actions that have not run out, the newest first where there are too many."""
    holds = Holds()
    statement = (
        select(held_actions)
        .where(
            held_actions.c.state.in_((WAITING, APPROVED, REFUSED)), held_actions.c.expires_at > to_text(now)
        )
        .order_by(held_actions.c.at.desc())
        .limit(MOST)
    )
    for row in reversed((await connection.execute(statement)).all()):
        holds.put(
            Hold(
                id=row.id,
                session_id=row.session_id,
                actor=row.actor,
                content=row.content,
                state=row.state,
                expires=from_text(row.expires_at),
            )
        )
    return holds


async def add(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write actions that wait; a row has the columns of `held_actions`."""
    await connection.execute(insert(held_actions), list(rows))


async def get(connection: AsyncConnection, held: str) -> Held | None:
    """One held action by its id."""
    row = (await connection.execute(select(held_actions).where(held_actions.c.id == held))).one_or_none()
    return None if row is None else _value(row)


async def list_waiting(
    connection: AsyncConnection, limit: int, now: int, before: tuple[str, str] | None = None
) -> tuple[Held, ...]:
    """Actions that wait, the newest first; `before` is the instant and the id of the last one seen."""
    table = held_actions.c
    statement = (
        select(held_actions)
        .where(table.state == WAITING, table.expires_at > to_text(now))
        .order_by(table.at.desc(), table.id.desc())
        .limit(limit)
    )
    if before is not None:
        at, last = before
        statement = statement.where((table.at < at) | ((table.at == at) & (table.id < last)))
    return tuple(_value(row) for row in await connection.execute(statement))


async def count_waiting(connection: AsyncConnection, now: int) -> int:
    """How many actions wait."""
    statement = select(func.count()).where(
        held_actions.c.state == WAITING, held_actions.c.expires_at > to_text(now)
    )
    return int((await connection.execute(statement)).scalar_one())


async def decide(
    connection: AsyncConnection, held: Held, *, state: str, by: str, now: int, expires: int
) -> Held:
    """Note what a person decided of an action that waits; its arguments are kept no longer."""
    decided = Held(
        id=held.id,
        session_id=held.session_id,
        actor=held.actor,
        action_id=held.action_id,
        content=held.content,
        body=_without_arguments(held.body),
        state=state,
        by=by,
        at=held.at,
        decided_at=to_text(now),
        expires_at=to_text(expires),
    )
    await connection.execute(
        update(held_actions)
        .where(held_actions.c.id == held.id, held_actions.c.state == WAITING)
        .values(
            state=state,
            by=by,
            decided_at=decided.decided_at,
            expires_at=decided.expires_at,
            body=json.dumps(decided.body, separators=(",", ":")),
        )
    )
    return decided


async def use(connection: AsyncConnection, held: str) -> None:
    """Note that an approved action was posted again, which is what its approval was for."""
    await connection.execute(
        update(held_actions)
        .where(held_actions.c.id == held, held_actions.c.state == APPROVED)
        .values(state=USED)
    )


async def expire(connection: AsyncConnection, now: int, limit: int = 500) -> int:
    """End actions whose time has run out, and return how many: waiting or approved, they can be used no more."""
    statement = (
        select(held_actions)
        .where(held_actions.c.state.in_((WAITING, APPROVED)), held_actions.c.expires_at <= to_text(now))
        .order_by(held_actions.c.expires_at)
        .limit(limit)
    )
    rows = (await connection.execute(statement)).all()
    for row in rows:
        body = json.dumps(_without_arguments(json.loads(row.body)), separators=(",", ":"))
        await connection.execute(
            update(held_actions).where(held_actions.c.id == row.id).values(state=EXPIRED, body=body)
        )
    return len(rows)


async def end_of_session(connection: AsyncConnection, session_id: str, now: int) -> None:
    """End what still waits or is approved in a session that is closed; its arguments are kept no longer."""
    table = held_actions.c
    statement = select(table.id, table.body).where(
        table.session_id == session_id, table.state.in_((WAITING, APPROVED))
    )
    for row in (await connection.execute(statement)).all():
        body = json.dumps(_without_arguments(json.loads(row.body)), separators=(",", ":"))
        ending = update(held_actions).where(table.id == row.id)
        await connection.execute(ending.values(state=ENDED, body=body, expires_at=to_text(now)))


async def trim(connection: AsyncConnection, before: int) -> int:
    """Remove actions that ran out before an instant, and return how many went."""
    done = await connection.execute(delete(held_actions).where(held_actions.c.expires_at < to_text(before)))
    return done.rowcount


def _without_arguments(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "arguments"}


def _value(row: Row[Any]) -> Held:
    return Held(
        id=row.id,
        session_id=row.session_id,
        actor=row.actor,
        action_id=row.action_id,
        content=row.content,
        body=json.loads(row.body),
        state=row.state,
        by=row.by,
        at=row.at,
        decided_at=row.decided_at,
        expires_at=row.expires_at,
    )
