"""Observations from outside: kept until they expire, bounded for each actor and caller, each id once.

The key of a row is made of who may speak, the source and the id, so that nobody can take an id that another detector
will use. The source is the caller's word, so that room is shared by who calls: what says nothing against the actor
makes way for what does, and a caller is refused only for want of its own share.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import msgspec
from sqlalchemy import delete, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import TooLargeError
from ioint_node.scoring.observations import Observation, concern_of
from ioint_node.store.schema import observations
from ioint_node.store.times import from_text, to_text

PER_ACTOR: Final = 256  # live ones
PER_CALLER: Final = 64  # live ones that one caller sent about one actor
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


def make_room(live: Sequence[Kept], observation: Observation, *, by: str, own: bool) -> tuple[Kept, ...]:
    """What of `live` makes way for one more, at most one: the least grave, and nothing where there is room.

    A caller whose share is full displaces what is less grave of its own. Where all room is taken, the caller that
    holds the most gives way; so a concern is never refused for want of room that others have taken.

    Raises:
        TooLargeError: the caller's own share is full of what is as grave; or there is no room for what says nothing
            against the actor. The message names the bound.
    """
    actor, gravity = observation.actor[:64], concern_of(observation)
    mine = [one for one in live if (one.by, one.own) == (by, own)]
    most = OWN if own else PER_CALLER
    if len(mine) >= most:
        least = min(mine, key=_standing)
        if concern_of(least.observation) < gravity:
            return (least,)
        whose = "of itself" if own else "by this caller"
        raise TooLargeError(
            f"actor: {most} observations of {actor!r} {whose} are live, the most there may be"
        )
    if len(live) < PER_ACTOR:
        return ()
    neutral = [one for one in live if not concern_of(one.observation)]
    if neutral and gravity:
        return (min(neutral, key=_standing),)
    held = Counter((one.by, one.own) for one in live)
    fullest, count = max(held.items(), key=lambda item: (item[1], item[0]))
    if not gravity or count <= len(mine):
        raise TooLargeError(f"actor: {len(live)} observations of {actor!r} are live, the most there may be")
    return (min((one for one in live if (one.by, one.own) == fullest), key=_standing),)


async def remove_observations(connection: AsyncConnection, gone: Collection[Kept]) -> None:
    """Remove observations that make way for others."""
    keys = [
        key_of(one.observation.source, one.observation.id, own_of=one.observation.actor if one.own else None)
        for one in gone
    ]
    if keys:
        await connection.execute(delete(observations).where(observations.c.id.in_(keys)))


def _standing(kept: Kept) -> tuple[float, bool, int, str]:
    # Praise that was counted stays longer than what counts for nothing: it keeps the same praise from counting again.
    return concern_of(kept.observation), kept.counted, kept.observation.at, kept.observation.id


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
