"""What a change of an envelope would have done to the past: sessions followed again with it and without it.

Only sessions of which a decision could come out otherwise are followed: those with an action that was not in scope and
whose step lies inside the change. Each is followed in a thread, one after another, so that decisions go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec
from ioint_protocol.pattern import Matcher
from ioint_taxonomy import Envelope, Step, Taxonomy, map_call

from ioint_node.flows.requests import EVENT_KINDS, declaration_of
from ioint_node.scoring.changes import Change
from ioint_node.scoring.model import Model
from ioint_node.scoring.tracker import Mapper, SessionTracker
from ioint_node.scoring.values import Event, Judgement, Verdict
from ioint_node.store import proposals
from ioint_node.store.engine import Store
from ioint_node.store.proposals import Past
from ioint_node.store.sessions import StoredEvent
from ioint_node.store.times import DAY_MS

FOLLOWED: Final = EVENT_KINDS | {"tool_call"}
ORDERED: Final = (
    0.3  # of `Judgement.injection`: from here on content, not the request, gave what an action carries
)
Accepting = Callable[[str, str], tuple[Envelope, ...]]  # family, actor → what was accepted before


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayLimits:
    """How far back a change is held against the past, and how much of it is followed and told."""

    days: int = 30
    sessions: int = 200
    events: int = 20_000  # of all sessions together that are followed
    told: int = 50  # sessions in the evidence
    actions_told: int = 10  # of one session


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One action inside the change: its verdict without and with it, and the reasons that remain."""

    action_id: str
    before: Verdict
    after: Verdict
    ordered: bool
    why: str


async def evidence_for(
    store: Store,
    change: Change,
    family: str,
    actor: str | None,
    now: int,
    *,
    model: Model,
    taxonomy: Taxonomy,
    accepted: Accepting,
    limits: ReplayLimits,
    mapper: Mapper = map_call,
) -> dict[str, Any]:
    """What the change would have done to the past sessions of its family (of `actor`, or of everybody), as JSON.

    Of a wider change: the sessions that it would have `allowed` and those that it would still have `stopped`, where
    `ordered` counts the ones whose values content gave: they look malicious, and the change must not let them pass. Of
    a narrower one: the actions that it would have put `outside`.
    """
    async with store.read() as connection:
        past = await proposals.past_sessions(
            connection,
            family,
            actor,
            since=now - limits.days * DAY_MS,
            most=limits.sessions,
            flagged=change.wider,
        )
    if not change.wider:
        return _outside(past, change, taxonomy, limits)
    allowed: list[dict[str, Any]] = []
    stopped: list[dict[str, Any]] = []
    left, whole, followed = limits.events, True, 0
    for session in past:
        if not _concerned(session, change, taxonomy):
            continue
        if left <= 0:
            whole = False
            break
        async with store.read() as connection:
            happened = await proposals.events_of(connection, session.id, left)
        left -= len(happened)
        followed += 1
        before = accepted(family, session.actor)
        outcomes = await asyncio.to_thread(
            compare, session, happened, before, change, model=model, taxonomy=taxonomy, mapper=mapper
        )
        passed = [one for one in outcomes if one.after is Verdict.IN_SCOPE is not one.before]
        kept = [one for one in outcomes if one.after is not Verdict.IN_SCOPE]
        if passed and not kept:
            allowed.append(_told(session, passed, limits))
        elif kept:
            stopped.append(_told(session, kept, limits))
    return {
        "days": limits.days,
        "sessions": len(past),
        "followed": followed,
        "whole": whole and len(past) < limits.sessions,
        "allowed": _counted(allowed, limits),
        "stopped": {
            **_counted(stopped, limits),
            "ordered": sum(1 for one in stopped if one["ordered"]),
        },
    }


def compare(
    session: Past,
    happened: Sequence[StoredEvent],
    before: tuple[Envelope, ...],
    change: Change,
    *,
    model: Model,
    taxonomy: Taxonomy,
    mapper: Mapper = map_call,
) -> tuple[Outcome, ...]:
    """Follow one session without and with a wider change, and return what became of each action inside it."""
    follow = partial(_judgements, session, happened, model=model, taxonomy=taxonomy, mapper=mapper)
    one, two = follow(before), follow((*before, change.envelope))
    return tuple(
        Outcome(
            action_id=action,
            before=then.verdict,
            after=now.verdict,
            ordered=now.injection >= ORDERED,
            why=now.reasons[0].text if now.reasons else "",
        )
        for (action, then), (_, now) in zip(one, two, strict=True)
        if not change.envelope.departures(now.step, taxonomy) and then.verdict is not Verdict.IN_SCOPE
    )


def step_of(value: Mapping[str, Any]) -> Step:
    """The step of a stored decision."""
    return Step(
        verb=str(value["verb"]),
        resource=str(value["resource"]),
        sensitivity=str(value["sensitivity"]),
        boundary=str(value["boundary"]),
    )


def _judgements(
    session: Past,
    happened: Sequence[StoredEvent],
    accepted: tuple[Envelope, ...],
    *,
    model: Model,
    taxonomy: Taxonomy,
    mapper: Mapper,
) -> list[tuple[str, Judgement]]:
    tracker = SessionTracker(
        declaration_of(session.declaration),
        model=model,
        matcher=Matcher({}, taxonomy),
        taxonomy=taxonomy,
        catalogue={},
        accepted=accepted,
        mapper=mapper,
    )
    found = []
    for stored in happened:
        if stored.kind == "declare":
            tracker.redeclare(declaration_of(stored.body))
        elif stored.kind in FOLLOWED:
            event = msgspec.json.decode(stored.body, type=Event)
            judgement = tracker.observe(event)
            if judgement is not None:
                found.append((event.action_id or "", judgement))
    return found


def _concerned(session: Past, change: Change, taxonomy: Taxonomy) -> bool:
    return any(not change.envelope.departures(step_of(step), taxonomy) for _, _, step in session.decided)


def _outside(
    past: Sequence[Past], change: Change, taxonomy: Taxonomy, limits: ReplayLimits
) -> dict[str, Any]:
    """What a narrower change would have put outside: by the steps alone, nothing need be followed."""
    touched = []
    for session in past:
        left = [
            action
            for action, verdict, step in session.decided
            if verdict == "in_scope" and change.envelope.departures(step_of(step), taxonomy)
        ]
        if left:
            touched.append(
                {"session_id": session.id, "actor": session.actor, "actions": left[: limits.actions_told]}
            )
    return {
        "days": limits.days,
        "sessions": len(past),
        "followed": 0,
        "whole": len(past) < limits.sessions,
        "outside": _counted(touched, limits),
    }


def _told(session: Past, outcomes: Sequence[Outcome], limits: ReplayLimits) -> dict[str, Any]:
    return {
        "session_id": session.id,
        "actor": session.actor,
        "actions": [one.action_id for one in outcomes[: limits.actions_told]],
        "ordered": any(one.ordered for one in outcomes),
        "why": next((one.why for one in outcomes if one.ordered), outcomes[0].why),
    }


def _counted(items: list[dict[str, Any]], limits: ReplayLimits) -> dict[str, Any]:
    return {"sessions": len(items), "items": items[: limits.told]}
