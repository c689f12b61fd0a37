"""What bears on actions from outside their sessions, beyond one session's life: habits, chains, and what people decide.

The parts are pure (`scoring.baseline`, `isolation`, `lineage`, `bounds`); here they meet the store.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ioint_taxonomy import Step
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import ConflictError, NotFoundError, RequestError, TooLargeError, unknown_name
from ioint_node.flows.assessing import AssessParts, find_live_actor
from ioint_node.flows.habits import new_baseline
from ioint_node.flows.live import LiveActor
from ioint_node.flows.observations import trust_of_the_store
from ioint_node.scoring.baseline import Sample
from ioint_node.scoring.bounds import Bound
from ioint_node.scoring.trust import DECIMALS, KINDS, imported, lower_bound, new_trust
from ioint_node.store import bounds as stored_bounds
from ioint_node.store.actors import save_owners, save_trusts
from ioint_node.store.baselines import find_baseline, save_baselines
from ioint_node.store.observations import live_observations, shown
from ioint_node.store.times import to_text

RUNS_AT_ONCE: Final = 256
STEPS_PER_RUN: Final = 2_000
IMPORTED_AT_ONCE: Final = 500
OBSERVATIONS_SHOWN: Final = 20
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStep:
    """One in-scope action of a run, abstract: no argument and no text. `gap_ms` since the one before it."""

    tool: str
    verb: str
    resource: str
    gap_ms: int | None = None
    tokens: float | None = None


async def load_baseline(
    parts: AssessParts, actor_id: str, runs: Sequence[Sequence[RunStep]], now: int, *, replace: bool
) -> dict[str, Any]:
    """Teach an actor's baseline with runs from before it went to work; each counts as an hour of in-scope work.

    Raises:
        RequestError: a verb or resource that the taxonomy does not have.
        NotFoundError: no such actor.
        TooLargeError: too many runs at once, or too many steps in one.
        BusyError: too many writes wait.
    """
    samples = [_samples(parts, index, run) for index, run in enumerate(runs)]
    if len(runs) > RUNS_AT_ONCE:
        raise TooLargeError(f"runs: {len(runs)}, more than {RUNS_AT_ONCE} at once")
    actor = await known_actor(parts, actor_id, now)
    baseline = new_baseline() if replace else actor.baseline
    steps = sum(baseline.learn_run(run, now) for run in samples)
    actor.baseline = baseline
    try:
        await parts.store.write(lambda connection: save_baselines(connection, [(actor.id, baseline)]))
    except BaseException:
        async with parts.store.read() as connection:
            actor.baseline = await find_baseline(connection, actor.id) or new_baseline()
        raise
    return {
        "actor": actor.id,
        "runs": sum(bool(run) for run in samples),
        "steps": steps,
        "baseline": baseline.describe(now),
    }


async def about(parts: AssessParts, actor_id: str, now: int) -> dict[str, Any]:
    """What is usual for an actor, in words; what others see of it; and what a person decided of its level."""
    live = parts.live.actor(actor_id)
    async with parts.store.read() as connection:
        kept = await live_observations(connection, actor_id, now)
        bound = await stored_bounds.find_bound(connection, actor_id, now)
        baseline = (live.baseline if live else None) or await find_baseline(connection, actor_id)
    return {
        "baseline": (baseline or new_baseline()).describe(now),
        "observations": [shown(one) for one in kept[:OBSERVATIONS_SHOWN]],
        "override": bound_row(bound),
    }


def _samples(parts: AssessParts, index: int, run: Sequence[RunStep]) -> list[Sample]:
    if len(run) > STEPS_PER_RUN:
        raise TooLargeError(f"runs[{index}]: {len(run)} steps, more than {STEPS_PER_RUN}")
    for step in run:
        if step.verb not in parts.taxonomy.verbs:
            raise unknown_name(f"runs[{index}].verb", step.verb, parts.taxonomy.verbs, "verbs")
        if step.resource not in parts.taxonomy.resources:
            raise unknown_name(
                f"runs[{index}].resource", step.resource, parts.taxonomy.resources, "resources"
            )
    return [
        Sample(
            one.tool,
            Step(verb=one.verb, resource=one.resource, sensitivity="unknown", boundary="unknown"),
            one.gap_ms,
            one.tokens,
        )
        for one in run
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """What another system knows of an actor before its first session here; `owner` answers for it, "" for unsaid."""

    id: str
    kind: str
    role: str
    tenure_days: float
    attestation: str
    owner: str = ""


async def import_actors(parts: AssessParts, rows: Sequence[Newcomer], now: int) -> dict[str, Any]:
    """Give actors a first opinion from elsewhere, all or none; one that has had its own keeps it.

    Raises:
        RequestError: a row is malformed, or names an actor twice; the message says which.
        ConflictError: an actor is known as one of another kind.
        TooLargeError: too many rows at once.
        BusyError: too many writes wait.
    """
    if len(rows) > IMPORTED_AT_ONCE:
        raise TooLargeError(f"actors: {len(rows)}, more than {IMPORTED_AT_ONCE} at once")
    (most, times), *_ = Counter(row.id for row in rows).most_common(1) or [("", 0)]
    if times > 1:
        raise RequestError(f"actors: {most[:128]!r} is named {times} times")
    async with parts.live.loading:
        arrivals = [await _arrival(parts, row, index, now) for index, row in enumerate(rows)]

        async def write(connection: AsyncConnection) -> None:
            # No wait between reading and setting: sessions of an actor move its trust meanwhile.
            for one in arrivals:
                before, row = one.actor.trust, one.row
                one.actor.trust = imported(
                    before, role=row.role, tenure_days=row.tenure_days, attestation=row.attestation, now=now
                )
                one.given = one.actor.trust is not before
            given = [(one.actor.id, one.actor.trust) for one in arrivals if one.given]
            if given:
                await save_trusts(connection, given, now)
            await save_owners(connection, {one.actor.id: one.row.owner for one in arrivals if one.row.owner})

        try:
            await parts.store.write(write)
        except BaseException:
            for one in arrivals:
                if one.known and one.given:
                    await trust_of_the_store(parts, one.actor, now)
            raise
        for one in arrivals:
            one.actor.owner = one.row.owner or one.actor.owner
            parts.live.put_actor(one.actor)
    return {
        "imported": sum(one.given for one in arrivals),
        "items": [
            {
                "id": one.actor.id,
                "state": "imported" if one.given else "known",
                "lower": round(lower_bound(one.actor.trust, now), DECIMALS),
            }
            for one in arrivals
        ],
    }


@dataclass(slots=True, kw_only=True)
class _Arrival:
    row: Newcomer
    actor: LiveActor
    known: bool
    given: bool = False


async def _arrival(parts: AssessParts, row: Newcomer, index: int, now: int) -> _Arrival:
    """The actor of a row, made where it is new; memory and store have not heard of it yet."""
    actor = await find_live_actor(parts, row.id, now)
    if row.kind not in KINDS:
        raise RequestError(f"actors[{index}].kind: {row.kind[:32]!r} is none of {', '.join(sorted(KINDS))}")
    if actor is not None and actor.trust.kind != row.kind:
        raise ConflictError(f"actors[{index}].kind: {row.id[:128]!r} is known as {actor.trust.kind}")
    trust = new_trust(row.kind, "", now)
    try:
        imported(trust, role=row.role, tenure_days=row.tenure_days, attestation=row.attestation, now=now)
    except RequestError as error:
        raise RequestError(f"actors[{index}].{error}") from None
    made = actor or LiveActor(id=row.id, trust=trust, told_lower=round(lower_bound(trust, now), DECIMALS))
    return _Arrival(row=row, actor=made, known=actor is not None)


async def decide_bound(parts: AssessParts, actor_id: str, bound: Bound | None, now: int) -> dict[str, Any]:
    """Let a person's bound hold for an actor's level, or end it with None; it is on disk when this returns.

    Raises:
        NotFoundError: no such actor.
        BusyError: too many writes wait.
    """
    actor = await known_actor(parts, actor_id, now)

    async def write(connection: AsyncConnection) -> bool:
        if bound is None:
            return await stored_bounds.remove_bound(connection, actor.id)
        await stored_bounds.put_bound(connection, actor.id, bound, now)
        return True

    done = await parts.store.write(write)
    actor.bound = bound
    _log.info(
        "trust_override actor=%.128r bound=%s by=%s",
        actor.id,
        "none" if bound is None else f"{bound.way}:{bound.level}",
        "-" if bound is None else bound.by,
    )
    return {"actor": actor.id, "changed": done, "override": bound_row(bound)}


def bound_row(bound: Bound | None) -> dict[str, Any] | None:
    """A bound as people see it."""
    if bound is None:
        return None
    return {
        "way": bound.way,
        "level": bound.level,
        "reason": bound.reason,
        "by": bound.by,
        "expires": to_text(bound.expires),
    }


async def known_actor(parts: AssessParts, actor_id: str, now: int) -> LiveActor:
    """An actor from memory or the store.

    Raises:
        NotFoundError: there is none.
    """
    async with parts.live.loading:
        actor = await find_live_actor(parts, actor_id, now)
    if actor is None:
        raise NotFoundError(f"no actor {actor_id[:128]!r}: it has opened no session and was not imported")
    return actor
