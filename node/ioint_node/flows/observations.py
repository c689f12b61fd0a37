"""What detectors outside see of an actor: taken once, kept until it expires, counted in trust and in drift.

An observation says something of an actor, and of one session where it names one. What arrives with the actor's own
token may only count against it; what one source says again while it holds counts half as much each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import ConflictError, NotFoundError, RequestError
from ioint_node.flows.assessing import AssessParts, find_live_actor
from ioint_node.flows.habits import held
from ioint_node.flows.journal import STREAM_TLP
from ioint_node.flows.live import LiveActor
from ioint_node.scoring.evidence import of_observation, text_of
from ioint_node.scoring.held import COMPONENTS
from ioint_node.scoring.observations import KINDS, Observation, check_observation, concern_of
from ioint_node.scoring.trust import DECIMALS, Evidence, after_all, lower_bound
from ioint_node.store import observations as kept
from ioint_node.store.actors import find_actor, save_trusts
from ioint_node.store.listings import session_actor
from ioint_node.store.observations import Kept
from ioint_node.store.stream import append
from ioint_node.store.times import to_text

_encoder = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What somebody says of an actor, unchecked; `at` and `expires` in Unix milliseconds.

    `by` is the caller, `own` says that it is the actor itself.
    """

    id: str
    source: str
    kind: str
    actor: str
    by: str
    own: bool
    session_id: str | None = None
    value: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    at: int | None = None
    expires: int | None = None


async def observe_outside(parts: AssessParts, said: Outside, now: int) -> dict[str, Any]:
    """Take an observation: once, whoever sends it again. It bears on the very next action.

    Raises:
        RequestError: a field is malformed; the message names it.
        NotFoundError: no such actor, or no such session of it.
        ConflictError: the source has said something else under this id.
        TooLargeError: too many observations of the actor are live.
        BusyError: too many writes wait.
    """
    observation = check_observation(_fields(said), now=now)
    if observation.expires <= now:
        raise RequestError(f"expires: {to_text(observation.expires)} is in the past")
    async with parts.live.loading:
        actor = await find_live_actor(parts, observation.actor, now)
    if actor is None:
        raise NotFoundError(
            f"no actor {observation.actor[:128]!r}: none has opened a session under this name"
        )
    taking = _Taking(parts=parts, actor=actor, said=said, observation=observation, now=now)
    try:
        found, fresh = await parts.store.write(taking.write)
    except BaseException:
        if taking.moved:
            await trust_of_the_store(parts, actor, now)
        raise
    if fresh:
        actor.observed = held((*actor.observed, observation), now)
        if taking.moved:
            parts.notify()
    shown = kept.shown(found)
    return {name: shown[name] for name in ("observation_id", "actor", "kind", "at", "expires", "counted")}


def said_in_session(
    data: Mapping[str, Any], *, actor: str, session_id: str, action_id: str | None, by: str, own: bool
) -> Outside | None:
    """The observation in an event of a session, None when its data is not one.

    Without an id of its own it takes that of the session and its action.

    Raises:
        RequestError: it names another actor or session than those it came in.
    """
    if not isinstance(data.get("kind"), str) or data["kind"] not in KINDS:
        return None
    for name, is_so in (("actor", actor), ("session_id", session_id)):
        if data.get(name, is_so) != is_so:
            raise RequestError(f"data.{name}: is not the one that this session belongs to")
    inner = {name: data.get(name) for name in ("value", "at", "expires")}
    unnamed = hashlib.sha256(_encoder.encode([session_id, action_id, dict(data)])).hexdigest()[:32]
    return Outside(
        id=str(data.get("id") or data.get("observation_id") or unnamed),
        source=str(data.get("source") or "session"),
        kind=data["kind"],
        actor=actor,
        by=by,
        own=own,
        session_id=session_id,
        detail=data.get("detail") or {},
        **inner,
    )


@dataclass(slots=True, kw_only=True)
class _Taking:
    """One observation on its way to the disk; `moved` says that memory has counted it."""

    parts: AssessParts
    actor: LiveActor
    said: Outside
    observation: Observation
    now: int
    moved: bool = False

    async def write(self, connection: AsyncConnection) -> tuple[Kept, bool]:
        """Keep it and count it in one transaction; what is kept, and whether it is new."""
        said, observation, now = self.said, self.observation, self.now
        own_of = observation.actor if said.own else None
        key = kept.key_of(observation.source, observation.id, own_of=own_of)
        request = hashlib.sha256(_encoder.encode(_fields(said))).hexdigest()
        known = await kept.find_observation(connection, key)
        if known is not None:
            if known.request != request:
                raise ConflictError(f"observation_id: {observation.id!r} was sent before with another body")
            return known, False
        await self._check_session(connection)
        live = await kept.live_observations(connection, observation.actor, now)
        gone = kept.make_room(live, observation, by=said.by, own=said.own)
        await kept.remove_observations(connection, gone)
        evidence = self._evidence(live)
        made = Kept(
            observation=observation, request=request, own=said.own, counted=bool(evidence), by=said.by
        )
        await kept.add_observation(connection, key, made)
        if evidence:
            await self._count(connection, evidence)
        return made, True

    async def _check_session(self, connection: AsyncConnection) -> None:
        session_id = self.observation.session_id
        if session_id is None:
            return
        live = self.parts.live.get(session_id)
        whose = live.actor.id if live is not None else await session_actor(connection, session_id)
        if whose != self.observation.actor:
            raise NotFoundError(f"session_id: {self.observation.actor[:128]!r} has no session {session_id!r}")

    def _evidence(self, live: Sequence[Kept]) -> tuple[Evidence, ...]:
        """What it says of the actor; of what is said again about the same, each time half."""
        observation = self.observation
        same = [one for one in live if one.counted and one.observation.kind == observation.kind]
        found = of_observation(
            observation, self.now, by=self.said.by, by_actor=self.said.own, nth=len(same) + 1
        )
        # The same caller cannot praise twice with what still holds.
        stated = COMPONENTS[KINDS[self.said.kind].component].stated
        praised = not stated and any(
            one.by == self.said.by and not concern_of(one.observation) for one in same
        )
        return tuple(one for one in found if not one.positive or not (self.said.own or praised))

    async def _count(self, connection: AsyncConnection, evidence: Sequence[Evidence]) -> None:
        # No wait between reading and setting: sessions of the actor move its trust meanwhile.
        actor, session_id = self.actor, self.observation.session_id or ""
        actor.trust = after_all(actor.trust, evidence, self.now)
        self.moved = True
        moves = actor.moves(
            session_id,
            lower=round(lower_bound(actor.trust, self.now), DECIMALS),
            effect=actor.effects.get(session_id, 0.0),
            reason=text_of(max(evidence, key=lambda one: one.weight).kind),
            why="",
            pattern=None,
        )
        await save_trusts(connection, [(actor.id, actor.trust)], self.now)
        for body in moves:
            told = body if session_id else {name: one for name, one in body.items() if name != "session_id"}
            await append(connection, "trust", told, STREAM_TLP, self.now)


async def trust_of_the_store(parts: AssessParts, actor: LiveActor, now: int) -> None:
    """Let memory know no more than the disk, once a write has failed."""
    async with parts.store.read() as connection:
        stored = await find_actor(connection, actor.id, now=now, marks_days=1, most_open=1)
    if stored is not None:
        actor.trust = stored.trust
        actor.told_lower = round(lower_bound(stored.trust, now), DECIMALS)


def _fields(said: Outside) -> dict[str, Any]:
    return {
        "id": said.id,
        "source": said.source,
        "kind": said.kind,
        "actor": said.actor,
        "session_id": said.session_id,
        "value": said.value,
        "detail": said.detail,
        "at": said.at,
        "expires": said.expires,
    }
