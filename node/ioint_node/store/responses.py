"""What was asked of orchestrators, what they reported, and which actors are halted.

A halted actor stays halted, in all its sessions and after a restart, until a person releases it; one that was to be
relaunched goes on once that is reported done.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.scoring.response import STATES, STRICTNESS
from ioint_node.store import grants
from ioint_node.store.schema import actor_states, actors, responses
from ioint_node.store.times import to_text
from ioint_node.store.upsert import upserting

ASKED: Final = "asked"
SUPERSEDED: Final = "superseded"  # by a later order of the same actor: there is nothing left to do
OBSERVED: Final = "observed"  # what enforcing would have asked
# What an orchestrator has to do and to report; the others are done by whoever obeys the decision.
ORDERS: Final = ("suspend", "relaunch", "kill", "interrupt", "release", "shred")
_HALTING: Final = ("suspend", "relaunch", "kill", "interrupt")
# A later order → the earlier ones of the same actor that it takes the place of: the newest says how the actor stands.
_REPLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "suspend": ("suspend", "interrupt", "release"),
    "relaunch": ("suspend", "relaunch", "interrupt", "release"),
    "kill": (*_HALTING, "release"),
    "release": (*_HALTING, "release"),
}
REPORT_MS: Final = 60_000  # from which an order that nobody reported on is overdue
SHOWN: Final = 20
ACTIVE: Final = "active"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One thing that was asked of orchestrators; instants are RFC 3339 text.

    `state` is asked, done or failed; or nobody has to do it: observed, or superseded by a later order.
    """

    id: str
    actor: str
    session_id: str | None
    response: str
    reason: str
    by: str
    state: str
    at: str
    reported_at: str | None
    report: Mapping[str, Any] | None

    def to_json(self, now: int) -> dict[str, Any]:
        """The order as the API shows it."""
        waits = self.state == ASKED and self.response in ORDERS
        return {**asdict(self), "overdue": waits and self.at < to_text(now - REPORT_MS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Why an actor is halted: `state` is suspended, relaunch or killed, `by` is node or token:ID."""

    actor: str
    state: str
    reason: str
    by: str
    session_id: str | None
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One thing that is asked: `row` for `add`, `body` for the stream's `response` event.

    `halt` is what else it does: the actor is halted from here on.
    """

    row: Mapping[str, Any]
    body: Mapping[str, Any]
    halt: Halt | None = None


class Halted:
    """The actors that are halted, in memory: every action asks.

    What a person orders counts once it is on disk, in the order in which it came there. What a decision orders counts
    at once, and is no longer counted apart when its write has ended: the stricter of the two is the answer.
    """

    def __init__(self, states: Mapping[str, str] | None = None) -> None:
        self._stored = dict(states or {})  # as the disk has it
        self._coming: dict[str, list[str]] = {}  # on the way to the disk; the journal's bound is theirs
        self._states = dict(self._stored)  # the stricter of both: every action reads it

    def __len__(self) -> int:
        return len(self._states)

    def state_of(self, actor: str) -> str:
        """`active`, `suspended`, `relaunch` or `killed`."""
        return self._states.get(actor, ACTIVE)

    def put(self, actor: str, state: str) -> None:
        """An actor is halted on disk, or let go on there."""
        _set(self._stored, actor, state)
        self._join(actor)

    def expect(self, actor: str, state: str) -> None:
        """A decision halts an actor, and the disk does not have it yet."""
        self._coming.setdefault(actor, []).append(state)
        self._join(actor)

    def arrived(self, actor: str, state: str, *, written: bool) -> None:
        """The write of what was expected has ended: well, or it never happened."""
        coming = self._coming[actor]
        coming.remove(state)
        if not coming:
            del self._coming[actor]
        if written:
            # As `tighten` has it.
            _set(self._stored, actor, stricter(self._stored.get(actor, ACTIVE), state))
        self._join(actor)

    def _join(self, actor: str) -> None:
        state = self._stored.get(actor, ACTIVE)
        for one in self._coming.get(actor, ()):
            state = stricter(state, one)
        _set(self._states, actor, state)


def stricter(one: str, other: str) -> str:
    """The state of an actor that halts it more."""
    return max(one, other, key=lambda state: STRICTNESS[STATES[state]])


async def load(connection: AsyncConnection) -> Halted:
    """The actors that are halted."""
    rows = await connection.execute(select(actor_states.c.actor, actor_states.c.state))
    return Halted({row.actor: row.state for row in rows})


async def is_known(connection: AsyncConnection, actor: str) -> bool:
    """Whether an actor has ever opened a session here."""
    found = await connection.execute(select(actors.c.id).where(actors.c.id == actor))
    return found.one_or_none() is not None


async def add(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write what is asked; a row has id, actor, session_id, response, reason, by, state and at.

    Earlier orders that nobody reported on, and whose place one of these takes, are superseded.
    """
    await connection.execute(insert(responses), list(rows))
    table = responses.c
    for index, row in enumerate(rows):
        if row["state"] != ASKED or (replaced := _REPLACES.get(row["response"])) is None:
            continue
        earlier = and_(table.actor == row["actor"], table.state == ASKED, table.response.in_(replaced))
        others = table.id.not_in([one["id"] for one in rows[index:]])
        await connection.execute(update(responses).where(earlier, others).values(state=SUPERSEDED))


async def get(connection: AsyncConnection, response: str) -> Asked | None:
    """One order by its id."""
    row = (await connection.execute(select(responses).where(responses.c.id == response))).one_or_none()
    return None if row is None else _value(row)


async def newest(connection: AsyncConnection, actor: str, limit: int = SHOWN) -> tuple[Asked, ...]:
    """What was asked about an actor, the newest first."""
    statement = (
        select(responses)
        .where(responses.c.actor == actor)
        .order_by(responses.c.at.desc(), responses.c.id.desc())
        .limit(limit)
    )
    return tuple(_value(row) for row in await connection.execute(statement))


async def report(
    connection: AsyncConnection, response: str, *, state: str, said: Mapping[str, Any], now: int
) -> None:
    """Note what an orchestrator says of an order; `state` is done or failed."""
    text = json.dumps(said, separators=(",", ":"))
    await connection.execute(
        update(responses)
        .where(responses.c.id == response)
        .values(state=state, reported_at=to_text(now), report=text)
    )


async def count_open(connection: AsyncConnection, now: int) -> dict[str, int]:
    """How many orders nobody has reported on, and how many of them are overdue."""
    waits = _waits()
    asked = (await connection.execute(select(func.count()).where(waits))).scalar_one()
    late = and_(waits, responses.c.at < to_text(now - REPORT_MS))
    overdue = (await connection.execute(select(func.count()).where(late))).scalar_one()
    return {"asked": int(asked), "overdue": int(overdue)}


async def halt(connection: AsyncConnection, row: Halt) -> None:
    """Halt an actor, or halt it for another reason; its grants end."""
    values = asdict(row)
    statement = upserting(connection, actor_states).values(**values)
    changed = {name: value for name, value in values.items() if name != "actor"}
    await connection.execute(statement.on_conflict_do_update(index_elements=["actor"], set_=changed))
    await grants.end_of_actor(connection, row.actor, f"the actor is {row.state}")


async def tighten(connection: AsyncConnection, row: Halt) -> None:
    """Halt an actor unless it is halted as strictly already: a decision loosens nothing that came before it."""
    found = await halted(connection, row.actor)
    before = ACTIVE if found is None else found.state
    if stricter(before, row.state) != before:
        await halt(connection, row)


async def release(connection: AsyncConnection, actor: str) -> None:
    """Let an actor go on."""
    await connection.execute(delete(actor_states).where(actor_states.c.actor == actor))


async def halted(connection: AsyncConnection, actor: str) -> Halt | None:
    """Why an actor is halted, None when it is not."""
    statement = select(actor_states).where(actor_states.c.actor == actor)
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else Halt(**row)


async def count_halted(connection: AsyncConnection) -> int:
    """How many actors are halted."""
    return int((await connection.execute(select(func.count()).select_from(actor_states))).scalar_one())


async def trim(connection: AsyncConnection, before: int) -> int:
    """Remove orders older than an instant, and return how many went; those that nobody reported on stay."""
    old = and_(responses.c.at < to_text(before), ~_waits())
    return (await connection.execute(delete(responses).where(old))).rowcount


def _set(states: dict[str, str], actor: str, state: str) -> None:
    if state == ACTIVE:
        states.pop(actor, None)
    else:
        states[actor] = state


def _waits() -> ColumnElement[bool]:
    return and_(responses.c.state == ASKED, responses.c.response.in_(ORDERS))


def _value(row: Row[Any]) -> Asked:
    return Asked(
        id=row.id,
        actor=row.actor,
        session_id=row.session_id,
        response=row.response,
        reason=row.reason,
        by=row.by,
        state=row.state,
        at=row.at,
        reported_at=row.reported_at,
        report=None if row.report is None else json.loads(row.report),
    )
