"""Observations from outside: kept until they expire, bounded for each actor and source, each id once.

The key of a row is made of who may speak, the source and the id, so that nobody can take an id that another detector
will use.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import msgspec
from sqlalchemy import delete, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import TooLargeError
from ioint_node.scoring.observations import Observation
from ioint_node.store.schema import observations
from ioint_node.store.times import from_text, to_text

PER_ACTOR: Final = 256  # live ones
PER_SOURCE: Final = 64  # live ones of one source about one actor
OWN: Final = 32  # live ones that an actor sent about itself
FORGOTTEN_AT_ONCE: Final = 5_000  # rows
_FIELDS: Final = tuple(one.name for one in fields(Observation))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An observation as it is kept: `request` is the hash of what was sent, `own` says that the actor itself sent it.

    `counted` says that it moved trust when it came, `by` who sent it.
    """

    observation: Observation
    request: str
    own: bool
    counted: bool
    by: str


def key_of(source: str, observation_id: str, *, own_of: str | None) -> str:
    """The key of a row; `own_of` is the actor when it speaks of itself."""
    data = "\0".join((own_of or "", source, observation_id)).encode("utf-8", "surrogatepass")
    return hashlib.sha256(data).hexdigest()


async def find_observation(connection: AsyncConnection, key: str) -> Kept | None:
    """The observation of a key, also an expired one that is not forgotten yet."""
    row = (await connection.execute(select(observations).where(observations.c.id == key))).one_or_none()
    return None if row is None else _kept(row)


async def live_observations(connection: AsyncConnection, actor: str, now: int) -> tuple[Kept, ...]:
    """What holds about an actor now, the newest first."""
    statement = (
        select(observations)
        .where(observations.c.actor == actor, observations.c.expires_at > to_text(now))
        .order_by(observations.c.at.desc(), observations.c.id)
        .limit(PER_ACTOR)
    )
    return tuple(_kept(row) for row in await connection.execute(statement))


def check_room(live: Sequence[Kept], observation: Observation, *, own: bool) -> None:
    """See that one more may be kept; a full share of one source leaves the others theirs.

    Raises:
        TooLargeError: a bound is reached; the message names it.
    """
    actor = observation.actor
    if own and sum(one.own for one in live) >= OWN:
        raise TooLargeError(
            f"actor: {OWN} observations by {actor[:64]!r} of itself are live, the most there may be"
        )
    same = sum(one.observation.source == observation.source for one in live if one.own == own)
    if same >= PER_SOURCE:
        raise TooLargeError(
            f"source: {same} observations of this actor are live, the most one source may have"
        )
    if len(live) >= PER_ACTOR:
        raise TooLargeError(
            f"actor: {len(live)} observations of {actor[:64]!r} are live, the most there may be"
        )


async def add_observation(connection: AsyncConnection, key: str, kept: Kept) -> None:
    """Keep an observation until it expires."""
    observation = kept.observation
    body = {name: getattr(observation, name) for name in _FIELDS}
    body["detail"] = dict(observation.detail)
    body |= {"request": kept.request, "own": kept.own, "counted": kept.counted}
    row = {
        "id": key,
        "source": observation.source,
        "kind": observation.kind,
        "actor": observation.actor,
        "session_id": observation.session_id,
        "body": msgspec.json.encode(body).decode(),
        "by": kept.by,
        "at": to_text(observation.at),
        "expires_at": to_text(observation.expires),
    }
    await connection.execute(insert(observations), [row])


async def forget_observations(connection: AsyncConnection, now: int) -> int:
    """Remove what has expired, a bounded number at a time, and count it."""
    expired = (
        select(observations.c.id).where(observations.c.expires_at <= to_text(now)).limit(FORGOTTEN_AT_ONCE)
    )
    gone = await connection.execute(delete(observations).where(observations.c.id.in_(expired)))
    return gone.rowcount


async def list_observations(
    connection: AsyncConnection, limit: int, before: tuple[str, str] | None, *, actor: str | None, now: int
) -> tuple[list[dict[str, Any]], tuple[str, str] | None]:
    """A page of what holds now, the newest first, and the key that the next page begins after."""
    statement = (
        select(observations)
        .where(observations.c.expires_at > to_text(now))
        .order_by(observations.c.at.desc(), observations.c.id.desc())
        .limit(limit + 1)
    )
    if actor is not None:
        statement = statement.where(observations.c.actor == actor)
    if before is not None:
        statement = statement.where(tuple_(observations.c.at, observations.c.id) < tuple_(*before))
    rows = (await connection.execute(statement)).all()
    page = rows[:limit]
    following = (page[-1].at, page[-1].id) if len(rows) > limit else None
    return [shown(_kept(row)) for row in page], following


def shown(kept: Kept) -> dict[str, Any]:
    """An observation as people and programs see it."""
    observation = kept.observation
    return {
        "observation_id": observation.id,
        "source": observation.source,
        "kind": observation.kind,
        "actor": observation.actor,
        "session_id": observation.session_id,
        "value": observation.value,
        "detail": dict(observation.detail),
        "at": to_text(observation.at),
        "expires": to_text(observation.expires),
        "counted": kept.counted,
        "own": kept.own,
        "by": kept.by,
    }


def _kept(row: Any) -> Kept:  # noqa: ANN401 - a row of any result
    body = msgspec.json.decode(row.body)
    return Kept(
        observation=Observation(
            id=str(body["id"]),
            source=row.source,
            kind=row.kind,
            actor=row.actor,
            session_id=row.session_id,
            value=body["value"],
            detail=body["detail"],
            at=from_text(row.at),
            expires=from_text(row.expires_at),
        ),
        request=str(body["request"]),
        own=bool(body["own"]),
        counted=bool(body["counted"]),
        by=row.by,
    )
