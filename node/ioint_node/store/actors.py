"""Actors: agents, users and workloads of this organisation, with the trust in each."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import NotFoundError, RequestError
from ioint_node.scoring.bounds import Bound, bounded_view
from ioint_node.scoring.composition import maker_of
from ioint_node.scoring.trust import KINDS, Trust, new_trust, standing, view
from ioint_node.store.bounds import bounds_of, find_bound
from ioint_node.store.faults import Seldom
from ioint_node.store.schema import actors, decisions, matches, sessions
from ioint_node.store.times import DAY_MS, from_text, to_text
from ioint_node.store.upsert import upserting

PAGE_ROWS = 500
MARKS_ROWS = 256
DEPARTED_MS = 3_600_000
DEPARTED_KEPT = 8  # actions out of scope of an actor, within that time
DEPARTED_SESSIONS = 64  # of its newest sessions
NAMESAKES = 32  # actors of one composition, or of one model and prompt, that a newcomer is held against
_TRUSTS = select(actors.c.kind, actors.c.composition, actors.c.trust, actors.c.owner)
_log = logging.getLogger(__name__)
_seldom_unreadable = Seldom()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredActor:
    """What is kept of one actor: its trust, its open sessions, and its newest match of each pattern (ms).

    `departed` is when actions in its sessions of the last hour were out of scope and not approved (ms), the newest.
    `owner` is who answers for it, as imported.
    """

    id: str
    trust: Trust
    open_sessions: frozenset[str]
    marks: tuple[tuple[str, int], ...]
    departed: tuple[int, ...] = ()
    owner: str = ""


async def find_actor(
    connection: AsyncConnection, actor: str, *, now: int, marks_days: int, most_open: int
) -> StoredActor | None:
    """An actor with its open sessions (at most `most_open`) and its matches of the last days, or None."""
    row = (await connection.execute(_TRUSTS.where(actors.c.id == actor))).one_or_none()
    if row is None:
        return None
    opened = (
        select(sessions.c.id).where(sessions.c.actor == actor, sessions.c.state == "open").limit(most_open)
    )
    newest = (
        select(matches.c.pattern, func.max(matches.c.at))
        .where(matches.c.actor == actor, matches.c.day >= now // DAY_MS - marks_days)
        .group_by(matches.c.pattern)
        .limit(MARKS_ROWS)
    )
    lately = to_text(now - DEPARTED_MS)
    recent = (
        select(sessions.c.id)
        .where(sessions.c.actor == actor, sessions.c.updated_at >= lately)
        .order_by(sessions.c.updated_at.desc())
        .limit(DEPARTED_SESSIONS)
    )
    departed = (
        select(decisions.c.at)
        .where(
            decisions.c.session_id.in_(recent),
            decisions.c.verdict == "out_of_scope",
            decisions.c.response != "notify",
            decisions.c.at >= lately,
        )
        .order_by(decisions.c.at.desc())
        .limit(DEPARTED_KEPT)
    )
    left = [from_text(at) for at in (await connection.execute(departed)).scalars()]
    return StoredActor(
        id=actor,
        trust=_known_trust(actor, row, now),
        open_sessions=frozenset((await connection.execute(opened)).scalars()),
        marks=tuple((pattern, from_text(at)) for pattern, at in await connection.execute(newest)),
        departed=tuple(reversed(left)),
        owner=row.owner,
    )


async def namesakes(
    connection: AsyncConnection, *, maker: str, composition: str
) -> tuple[tuple[str, Trust], ...]:
    """Actors of the same model and prompt, or of the same composition: those that stand worst, a bounded number."""
    found: dict[str, Trust | None] = {}
    for column, value in ((actors.c.maker, maker), (actors.c.composition, composition)):
        if value:
            statement = (
                select(actors.c.id, actors.c.kind, actors.c.composition, actors.c.trust)
                .where(column == value)
                .order_by(actors.c.standing)
                .limit(NAMESAKES)
            )
            found |= {row.id: _read_trust(row) for row in await connection.execute(statement)}
    return tuple((actor, trust) for actor, trust in found.items() if trust is not None)


async def save_trusts(connection: AsyncConnection, trusts: Sequence[tuple[str, Trust]], now: int) -> None:
    """Write the trust of several actors, each named once."""
    at = to_text(now)
    rows = [
        {
            "id": actor,
            "kind": trust.kind,
            "composition": trust.composition,
            "maker": maker_of(trust.parts),
            "standing": standing(trust, now),
            "trust": json.dumps(trust.to_json(), separators=(",", ":")),
            "created_at": at,
            "updated_at": at,
        }
        for actor, trust in trusts
    ]
    statement = upserting(connection, actors)
    kept = ("kind", "composition", "maker", "standing", "trust", "updated_at")
    changed = {name: statement.excluded[name] for name in kept}
    await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changed), rows)


async def save_owners(connection: AsyncConnection, owners: Mapping[str, str]) -> None:
    """Write who answers for some actors that are stored already."""
    for actor, owner in owners.items():
        await connection.execute(update(actors).where(actors.c.id == actor).values(owner=owner))


async def list_agents(
    connection: AsyncConnection,
    limit: int,
    cursor: str | None = None,
    *,
    kind: str | None = None,
    now: int | None = None,
) -> dict[str, Any]:
    """A page of actors in the order of their ids; trust as of `now`, or of its last change when not given.

    With `now`, levels are as a person may have bounded them. An actor whose trust cannot be read is `unreadable`.

    Raises:
        RequestError: a limit out of range.
    """
    if not 1 <= limit <= PAGE_ROWS:
        raise RequestError(f"limit: {limit}, must be 1 to {PAGE_ROWS}")
    statement = select(actors).order_by(actors.c.id).limit(limit + 1)
    if cursor is not None:
        statement = statement.where(actors.c.id > cursor)
    if kind is not None:
        statement = statement.where(actors.c.kind == kind)
    rows = (await connection.execute(statement)).all()
    page = rows[:limit]
    bounds = {} if now is None else await bounds_of(connection, [row.id for row in page], now)
    return {
        "items": [_agent(row, 0.0, now, bounds.get(row.id)) for row in page],
        "next": page[-1].id if len(rows) > limit else None,
    }


async def get_agent(connection: AsyncConnection, actor: str, *, now: int | None = None) -> dict[str, Any]:
    """One actor, its trust with the network's effect on its open sessions, and its newest sessions.

    `unreadable` is there, and true, when the stored trust cannot be read: then the trust is that of a newcomer.

    Raises:
        NotFoundError: no such actor.
    """
    row = (await connection.execute(select(actors).where(actors.c.id == actor))).one_or_none()
    if row is None:
        raise NotFoundError(f"no agent {actor!r}")
    newest = (
        select(sessions.c.id, sessions.c.state, sessions.c.family, sessions.c.verdict, sessions.c.risk)
        .where(sessions.c.actor == actor)
        .order_by(sessions.c.updated_at.desc(), sessions.c.id.desc())
        .limit(20)
    )
    found = [dict(one) for one in (await connection.execute(newest)).mappings()]
    bound = None if now is None else await find_bound(connection, actor, now)
    return {**_agent(row, await _open_effect(connection, actor), now, bound), "sessions": found}


async def _open_effect(connection: AsyncConnection, actor: str) -> float:
    """The largest effect of the network on the newest decision of an open session of the actor."""
    newest = (
        select(func.max(decisions.c.at))
        .where(decisions.c.session_id == sessions.c.id)
        .correlate(sessions)
        .scalar_subquery()
    )
    statement = (
        select(func.max(decisions.c.effect))
        .select_from(sessions.join(decisions, decisions.c.session_id == sessions.c.id))
        .where(sessions.c.actor == actor, sessions.c.state == "open", decisions.c.at == newest)
    )
    return float((await connection.execute(statement)).scalar_one() or 0.0)


def _known_trust(actor: str, row: Row[*tuple[Any, ...]], now: int) -> Trust:
    """The trust of an actor's row; one that cannot be read says nothing for the actor, and keeps nobody from it."""
    trust = _read_trust(row)
    if trust is not None:
        return trust
    if _seldom_unreadable.due(time.monotonic()) is not None:
        _log.error("trust_unreadable actor=%.128r: nothing is known of it", actor)
    return _unknown_trust(row, now)


def _unknown_trust(row: Row[*tuple[Any, ...]], now: int) -> Trust:
    return new_trust(row.kind if row.kind in KINDS else "agent", row.composition or "", now)


def _read_trust(row: Row[*tuple[Any, ...]]) -> Trust | None:
    try:
        return Trust.from_json(json.loads(row.trust))
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return None


def _agent(row: Row[Any], effect: float, now: int | None, bound: Bound | None) -> dict[str, Any]:
    moment = from_text(row.updated_at) if now is None else now
    trust = _read_trust(row)
    marked = {"unreadable": True} if trust is None else {}
    if trust is None:
        trust = _unknown_trust(row, moment)
    return {
        **marked,
        "id": row.id,
        "kind": row.kind,
        "composition": row.composition,
        "owner": row.owner,
        "trust": bounded_view(view(trust, moment, effect), bound, moment),
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


async def people_among(connection: AsyncConnection, names: Collection[str]) -> frozenset[str]:
    """Which of these actors are people."""
    statement = select(actors.c.id).where(actors.c.id.in_(names), actors.c.kind == "user")
    return frozenset((await connection.execute(statement)).scalars()) if names else frozenset()
