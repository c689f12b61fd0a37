"""What the flows about sessions work with, and how a session comes back from the store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from ioint_protocol.pattern import Matcher
from ioint_taxonomy import Catalogue, Envelope, Step, Taxonomy, map_call
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.access.budget import begun_budget
from ioint_node.errors import NotFoundError
from ioint_node.flows.confirming import Confirming
from ioint_node.flows.gap import Accepted, family_of
from ioint_node.flows.habits import habits_of
from ioint_node.flows.isolation import Isolation
from ioint_node.flows.journal import Entry, Journal, LocalSighting
from ioint_node.flows.lineage import find_lineage
from ioint_node.flows.live import Live, LiveActor, LiveSessions, Matching, Tracker
from ioint_node.flows.namesakes import Namesakes
from ioint_node.flows.requests import SessionLimits, declaration_of, says_right
from ioint_node.flows.respond import coming
from ioint_node.flows.subjects import NO_SUBJECTS, LocalSubjects
from ioint_node.privacy.principals import KEY_BYTES
from ioint_node.reputation.beliefs import Beliefs
from ioint_node.scoring.bounds import bounded
from ioint_node.scoring.levels import terms_of
from ioint_node.scoring.lineage import Lineage, warnings
from ioint_node.scoring.model import Model
from ioint_node.scoring.staging import Policy
from ioint_node.scoring.tracker import Mapper, SessionTracker, alternative
from ioint_node.scoring.trust import DECIMALS, lower_bound
from ioint_node.scoring.values import Event, Verdict
from ioint_node.store.actors import find_actor
from ioint_node.store.engine import Store
from ioint_node.store.held import Holds
from ioint_node.store.responses import Halted
from ioint_node.store.sessions import StoredEvent, StoredSession, find_session
from ioint_node.store.times import from_text

MARKS_DAYS = 7
REBUILT_IN_LOOP_EVENTS = 32  # longer sessions are followed again in a thread


@dataclass(frozen=True, slots=True, kw_only=True)
class AssessParts:
    """The parts that opening, acting and closing share.

    Attributes:
        policy: on whom decisions are enforced, and what engines do while the node is away.
        halted: the actors that are halted.
        holds: the actions that wait for a person, and what was decided of them.
        accepted: the changes of envelopes that people accepted.
        isolation: what is usual at this node.
        namesakes: who is distrusted of those made of the same.
        on_risky: told of sightings inside the transaction that stores them.
        notify: called after a commit that engines or members have to hear of.
        tracker: makes the tracker of a session.
        mapper: maps a call to a step, with what this organisation knows of its own domains.
        narrower: the narrower alternative to a step, or None.
        confirming: from which risk on a session is confirmed enough for others to hear of it.
        subjects: which public subjects local servers, tools and models are.
        principal_key: 32 bytes under which people and owners are counted.
    """

    store: Store
    live: LiveSessions
    model: Model
    taxonomy: Taxonomy
    catalogue: Catalogue
    beliefs: Beliefs
    on_risky: Callable[[AsyncConnection, LocalSighting], Awaitable[None]]
    notify: Callable[[], None]
    policy: Policy = field(default_factory=Policy)
    halted: Halted = field(default_factory=Halted)
    holds: Holds = field(default_factory=Holds)
    accepted: Accepted = field(default_factory=Accepted)
    isolation: Isolation = field(default_factory=Isolation)
    namesakes: Namesakes = field(default_factory=Namesakes)
    limits: SessionLimits = field(default_factory=SessionLimits)
    tracker: Callable[..., Tracker] = SessionTracker
    mapper: Mapper = map_call
    narrower: Callable[[Step, Envelope, Taxonomy], Mapping[str, Any] | None] = alternative
    confirming: Confirming = field(default_factory=Confirming)
    subjects: LocalSubjects = NO_SUBJECTS
    principal_key: bytes = field(default=bytes(KEY_BYTES), repr=False)
    journal: Journal = field(default_factory=Journal)
    matching: Matching = field(default_factory=Matching)


def write(parts: AssessParts, entry: Entry) -> asyncio.Future[None]:
    """Put what happened in line for the disk.

    Raises:
        BusyError: too much waits; memory has forgotten what was not written.
    """
    try:
        entry.live.written = parts.journal.add(
            entry,
            store=parts.store,
            propose=parts.on_risky,
            notify=parts.notify,
            forget=parts.live.forget,
        )
    except BaseException:
        parts.live.forget(entry.live)
        raise
    if entry.trust is not None:
        parts.namesakes.note(entry.live.actor.id, entry.trust, entry.now)
    if entry.order is not None:
        coming(parts.halted, entry.order, entry.live.written)
    return entry.live.written


async def recall(parts: AssessParts, session_id: str, now: int) -> Live:
    """A session from memory, else rebuilt from the store; it may be closed.

    Raises:
        NotFoundError: no such session.
    """
    live = parts.live.get(session_id)
    if live is None:
        async with parts.live.loading:
            live = await find_live(parts, session_id, now)
    if live is None:
        raise NotFoundError(f"no session {session_id!r}: open it first")
    return live


async def find_live(parts: AssessParts, session_id: str, now: int) -> Live | None:
    """The same, or None; the caller holds `loading`."""
    live = parts.live.get(session_id)
    if live is not None:
        return live
    await parts.live.settled()
    async with parts.store.read() as connection:
        stored = await find_session(connection, session_id)
    if stored is None:
        return None
    actor = await find_live_actor(parts, stored.row["actor"], now)
    if actor is None:
        raise NotFoundError(f"the actor of session {session_id!r} is no longer known")
    matcher = matcher_of(parts, now)
    if len(stored.events) > REBUILT_IN_LOOP_EVENTS:
        live = await asyncio.to_thread(rebuild, parts, stored, actor, matcher)
    else:
        live = rebuild(parts, stored, actor, matcher)
    if stored.row["parent"]:
        parent = msgspec.json.decode(stored.row["parent"])["session_id"]
        live.lineage = await trace_lineage(parts, parent, actor=actor.id, session_id=session_id)
    parts.live.put(live)
    return live


async def find_live_actor(parts: AssessParts, actor_id: str, now: int) -> LiveActor | None:
    """An actor from memory, else from the store, or None; the caller holds `loading`."""
    actor = parts.live.actor(actor_id)
    if actor is not None:
        return actor
    async with parts.store.read() as connection:
        stored = await find_actor(
            connection, actor_id, now=now, marks_days=MARKS_DAYS, most_open=parts.limits.open_per_actor
        )
        if stored is None:
            return None
        habits = await habits_of(connection, actor_id, now)
    actor = LiveActor(
        id=actor_id,
        trust=stored.trust,
        told_lower=round(lower_bound(stored.trust, now), DECIMALS),
        open_sessions=set(stored.open_sessions),
        marks=dict(stored.marks),
        departed=stored.departed,
        baseline=habits.baseline,
        bound=habits.bound,
        observed=habits.observed,
        owner=stored.owner,
    )
    parts.live.put_actor(actor)
    return actor


def matcher_of(parts: AssessParts, now: int) -> Matcher:
    """The matcher on the patterns that are believed now."""
    return parts.matching.current(parts.catalogue, parts.taxonomy, parts.beliefs, now)


def keep_up(parts: AssessParts, live: Live, now: int) -> None:
    """Let a session be matched against the patterns that are believed now."""
    matcher = matcher_of(parts, now)
    if matcher is not live.matcher:
        live.tracker.use_matcher(matcher)
        live.matcher = matcher


async def trace_lineage(parts: AssessParts, parent: str, *, actor: str, session_id: str) -> Lineage:
    """Where a session comes from that names this parent."""
    limits = parts.model.thresholds
    return await find_lineage(parts.store, parts.live, limits, parent, actor=actor, session_id=session_id)


def start_session(
    parts: AssessParts, session_id: str, actor: LiveActor, opening: str, *, matcher: Matcher, now: int
) -> Live:
    """A session at its beginning, from the JSON that it was opened with."""
    declaration = declaration_of(opening)
    family = family_of(declaration, parts.model, parts.taxonomy)
    tracker = parts.tracker(
        declaration,
        model=parts.model,
        matcher=matcher,
        taxonomy=parts.accepted.taxonomy(parts.taxonomy, actor.id, now),
        accepted=parts.accepted.of(family, actor.id, now),
        mapper=parts.mapper,
    )
    return Live(
        id=session_id,
        actor=actor,
        tracker=tracker,
        matcher=matcher,
        opening=opening,
        declared=now,
        budget=begun_budget(
            terms_of(bounded(lower_bound(actor.trust, now), actor.bound, now)), now, actor.spent_lately(now)
        ),
        enforced=parts.policy.staging.enforces(actor.id, family),
    )


def parent_of(parts: AssessParts, live: Live) -> Live | None:
    """The session that delegated this one, while it is in memory."""
    return None if live.lineage is None else parts.live.get(live.lineage.parent)


def warnings_of(parts: AssessParts, live: Live) -> tuple[str, ...]:
    """What the agent of a delegated session has to know of the sessions above it."""
    above = parent_of(parts, live)
    return warnings(live.lineage, verdict=Verdict.IN_SCOPE if above is None else above.tracker.verdict)


def meet(parts: AssessParts, live: Live, event: Event) -> tuple[str, ...]:
    """Let a session meet the public subjects that an action goes through; returns all that it goes through."""
    met = parts.subjects.met(tool=event.tool, server=event.server, made_of=live.actor.trust.parts)
    live.meet(met)
    return met


def rebuild(parts: AssessParts, stored: StoredSession, actor: LiveActor, matcher: Matcher) -> Live:
    """Follow a stored session again from its first event; trust has counted it already and stays as it is.

    What was answered counts as it was answered: another model may judge the same actions otherwise, and repetition is
    only what the actor was held to account for.
    """
    row = stored.row
    began = from_text(row["opened_at"])
    live = start_session(parts, row["id"], actor, row["declaration"], matcher=matcher, now=began)
    live.closed = None if row["closed_at"] is None else from_text(row["closed_at"])
    live.outcome = row["outcome"]
    live.hashes = dict(stored.answered)
    for event in stored.events:
        _follow_again(parts, live, event)
    live.departures, live.doubts = stored.departures, stored.doubts
    live.principal, live.cleared = row["principal"], bool(row["cleared"])
    return live


def _follow_again(parts: AssessParts, live: Live, stored: StoredEvent) -> None:
    if stored.kind == "declare":
        live.redeclare(declaration_of(stored.body), from_text(stored.at), parts.taxonomy)
    elif stored.kind == "scope_request":
        live.ask(Envelope.from_json(msgspec.json.decode(stored.body)["wanted"]), parts.taxonomy)
    elif stored.kind == "feedback":
        value = msgspec.json.decode(stored.body)
        said = (value["kind"], value["action_id"], value["positive"], value["by_actor"])
        live.feedbacks.add(said)
        right = says_right(value["kind"], value["action_id"], positive=value["positive"])
        if right and value.get("by_person"):
            live.answered.add(value["action_id"])
    elif stored.kind == "alternative":
        value = msgspec.json.decode(stored.body)
        live.alternatives[value["id"]] = value["accepted"]
    else:
        event = msgspec.json.decode(stored.body, type=Event)
        measured = live.follow(event)
        if measured is not None:
            live.judge(measured, event.around, publish=parts.model.thresholds.publish)
            meet(parts, live, event)
            live.spend(measured.step, parts.taxonomy, from_text(stored.at))
