"""The loop: what was blocked and should not have been becomes a proposal, and accepted, a part of the intent.

    a blocked action ── a person: "that is the work" ──► proposal: family × actor (or everybody), what it needed,
                                                         the past sessions that it would have allowed
                     ── a person accepts ──► the next such session is in scope ── withdrawn or expired ──► as before

What widens waits for a person; what narrows holds at once. Accepted changes are held in memory, so that opening a
session asks no database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ioint_taxonomy import Envelope, Taxonomy, map_call
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import BusyError, RequestError, unknown_name
from ioint_node.flows.replay import ReplayLimits, evidence_for, step_of
from ioint_node.scoring.changes import Change, cut, holds, needed_by
from ioint_node.scoring.concrete import step_of_tool
from ioint_node.scoring.families import UNSPECIFIED
from ioint_node.scoring.model import Model
from ioint_node.scoring.staging import Policy
from ioint_node.scoring.tracker import Mapper
from ioint_node.scoring.values import Declaration
from ioint_node.store import proposals
from ioint_node.store.engine import Store
from ioint_node.store.proposals import Asked, Proposal
from ioint_node.store.times import DAY_MS, from_text

HOLDS_DAYS: Final = 90  # an accepted change that names no end is looked at again after a quarter
MOST_DAYS: Final = 3_650
GAINED_OPEN: Final = 8  # proposals that wait because one actor has new tools
NODE: Final = "node"
ASKED_KEPT: Final = 20  # marked actions in the evidence of one proposal
NARROWED_KEPT: Final = 256  # actors with a taxonomy of their own in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A change that a person asks for by name; an empty list of verbs or resources takes the family's own."""

    family: str
    actor: str | None = None
    verbs: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    sensitivity: str | None = None
    boundary: str | None = None
    narrower: bool = False


class Accepted:
    """The accepted changes that hold, in memory: by family and actor, with the instants (Unix ms) from and until which.

    A session has what held when it was opened, also when it is followed again later: its opening is what `now` asks
    about. What was narrowed or withdrawn meanwhile is the exception, and errs toward caution.
    """

    def __init__(self) -> None:
        self._wider: dict[tuple[str, str | None], list[tuple[int, int | None, Envelope]]] = {}
        self._narrower: dict[tuple[str, str | None], list[tuple[int | None, Envelope]]] = {}
        self._taxonomies: dict[str, Taxonomy] = {}
        self._limited: frozenset[str] = frozenset()
        self._ends: list[int] = []  # of what narrows, in order

    def replace(self, found: Iterable[Proposal]) -> None:
        """Hold these and no others."""
        self._wider, self._narrower, self._taxonomies = {}, {}, {}
        ends = []
        for one in found:
            end = None if one.expires_at is None else from_text(one.expires_at)
            key, envelope = (one.family, one.actor), one.change.envelope
            if one.change.wider:
                since = from_text(one.decided_at or one.at)
                self._wider.setdefault(key, []).append((since, end, envelope))
                continue
            self._narrower.setdefault(key, []).append((end, envelope))
            if end is not None:
                ends.append(end)
        self._limited = frozenset(actor for _, actor in self._narrower if actor is not None)
        self._ends = sorted(ends)

    def of(self, family: str, actor: str, now: int) -> tuple[Envelope, ...]:
        """What held for sessions of this family and actor at an instant; about a microsecond."""
        if not self._wider:
            return ()
        found = (*self._wider.get((family, None), ()), *self._wider.get((family, actor), ()))
        return tuple(
            envelope for since, end, envelope in found if since <= now and (end is None or end > now)
        )

    def taxonomy(self, plain: Taxonomy, actor: str, now: int) -> Taxonomy:
        """The taxonomy with families as narrow as was accepted for this actor; `plain` itself where nothing was."""
        if not self._narrower:
            return plain
        if self._ends and self._ends[0] <= now:
            self._ends = [end for end in self._ends if end > now]
            self._taxonomies.clear()
        name = actor if actor in self._limited else ""
        known = self._taxonomies.get(name)
        if known is None:
            if len(self._taxonomies) >= NARROWED_KEPT:
                self._taxonomies.pop(next(iter(self._taxonomies)))
            known = self._taxonomies[name] = self._narrowed(plain, name, now)
        return known

    def _narrowed(self, plain: Taxonomy, actor: str, now: int) -> Taxonomy:
        families = dict(plain.families)
        for (family, whose), limits in self._narrower.items():
            if whose not in (None, actor) or family not in families:
                continue
            envelope = families[family].envelope
            for end, limit in limits:
                if end is None or end > now:
                    envelope = cut(envelope, limit, plain)
            families[family] = replace(families[family], envelope=envelope)
        return replace(plain, families=families)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopParts:
    """What the loop works with; `accepted` and `policy` are those that sessions are opened with.

    Attributes:
        model: the model in force, at the tolerance in force.
        shipped: the model as it was trained, of which other tolerances are read.
        replaying: one replay at a time.
        mapper: maps a call to a step, as when sessions are judged.
    """

    store: Store
    model: Model
    shipped: Model
    taxonomy: Taxonomy
    policy: Policy = field(default_factory=Policy)
    accepted: Accepted = field(default_factory=Accepted)
    limits: ReplayLimits = field(default_factory=ReplayLimits)
    replaying: asyncio.Lock = field(default_factory=asyncio.Lock)
    mapper: Mapper = map_call


def family_of(declaration: Declaration, model: Model, taxonomy: Taxonomy) -> str:
    """The family that a session of this declaration is opened with, before there is a tracker."""
    if declaration.family is not None and declaration.family in taxonomy.families:
        return declaration.family
    return model.families.infer(declaration.text)[0][0] if declaration.text else UNSPECIFIED


async def refresh(parts: LoopParts, now: int) -> None:
    """Bring memory up to what is accepted; at the start, after a change, and by the clock for other processes."""
    async with parts.store.read() as connection:
        parts.accepted.replace(await proposals.in_force(connection, now))


async def mark(
    parts: LoopParts, session_id: str, action_id: str, by: str, now: int, *, everyone: bool = False
) -> dict[str, Any]:
    """Take a person's word that an action was the work and not a departure: the proposal that follows from it.

    Marking the same need again adds to the same proposal.

    Args:
        parts: the parts.
        session_id: the session of the action.
        action_id: the action.
        by: who says so.
        now: Unix milliseconds.
        everyone: propose it for every actor of that family, not for this one alone.

    Raises:
        NotFoundError: no such action.
        RequestError: the action was in scope.
        ConflictError: too many proposals wait.
    """
    async with parts.store.read() as connection:
        asked = await proposals.find_asked(connection, session_id, action_id)
    if asked.body["verdict"] == "in_scope":
        raise RequestError(f"action_id: {action_id!r} was in scope: nothing of its envelope is missing")
    step = step_of(asked.body["step"])
    change = needed_by(step)
    actor = None if everyone else asked.actor
    beyond = Envelope.from_json(asked.envelope).departures(step, parts.taxonomy)
    told = _asked(asked, session_id, action_id, by, beyond)
    made = await _propose(parts, change, family=asked.family, actor=actor, by=by, now=now, asked=told)
    return made.to_json()


async def requested(
    parts: LoopParts, session_id: str, wanted: Envelope, *, actor: str, family: str, by: str, now: int
) -> dict[str, Any] | None:
    """Propose the scope that a session asked for and no declaration gives; None when too many of this actor wait.

    What is not named (verbs, say) is the family's own. Nothing is replayed for it: an agent must not be able to make
    the node work. `look_again` does when a person asks.
    """
    async with parts.store.read() as connection:
        waiting = await proposals.count_waiting(connection, actor=actor, by=by)
    if waiting >= GAINED_OPEN:
        return None
    told = {"session_id": session_id, "action_id": "", "wanted": wanted.to_json(), "by": by}
    own, rank = parts.taxonomy.families[family].envelope, parts.taxonomy
    envelope = Envelope(
        verbs=wanted.verbs or own.verbs,
        resources=wanted.resources or own.resources,
        max_sensitivity=max(own.max_sensitivity, wanted.max_sensitivity, key=rank.sensitivity_rank),
        max_boundary=max(own.max_boundary, wanted.max_boundary, key=rank.boundary_rank),
    )
    change = Change(wider=True, envelope=envelope)
    made = await _propose(parts, change, family=family, actor=actor, by=by, now=now, asked=told, look=False)
    return made.to_json()


async def gained(
    parts: LoopParts,
    session_id: str,
    tools: Sequence[str],
    now: int,
    *,
    actor: str,
    family: str,
    envelope: Envelope,
) -> tuple[dict[str, Any], ...]:
    """Propose what the new tools of an actor do beyond its envelope: what it can do more, a person has to allow.

    Until then a new tool is like any other: a call that leaves the envelope is judged as such. What an actor has lost
    needs no word: it is not among the names that a session is opened with. An actor that keeps changing has at most
    `GAINED_OPEN` such proposals waiting.
    """
    made: list[dict[str, Any]] = []
    for tool in tools[:GAINED_OPEN]:
        step = step_of_tool(tool)
        beyond = envelope.departures(step, parts.taxonomy)
        if not beyond:
            continue
        async with parts.store.read() as connection:
            waiting = await proposals.count_waiting(connection, actor=actor, by=NODE)
        if waiting >= GAINED_OPEN:
            break
        told = {
            "session_id": session_id,
            "action_id": "",
            "tool": tool[:256],
            "beyond": list(beyond),
            "by": NODE,
        }
        proposal = await _propose(
            parts, needed_by(step), family=family, actor=actor, by=NODE, now=now, asked=told
        )
        made.append(proposal.to_json())
    return tuple(made)


async def propose(
    parts: LoopParts, wanted: Wanted, by: str, now: int, *, days: int | None = HOLDS_DAYS
) -> dict[str, Any]:
    """Propose a change by name. What narrows holds at once, for `days` or for good; what widens waits.

    Raises:
        RequestError: a name that the taxonomy does not have, or nothing asked for.
        ConflictError: too many proposals wait.
    """
    change = _change(parts.taxonomy, wanted)
    expires = _expiry(days, now)
    made = await _propose(parts, change, family=wanted.family, actor=wanted.actor, by=by, now=now)
    if change.wider:
        return made.to_json()
    return await _settle(parts, made.id, accept=True, by=by, now=now, expires=expires)


async def decide(
    parts: LoopParts, proposal_id: str, accept: bool, by: str, now: int, *, days: int | None = HOLDS_DAYS
) -> dict[str, Any]:
    """Accept a proposal for `days` (None: for good), or refuse it. Accepted, the next such session is in scope.

    Raises:
        NotFoundError: no such proposal.
        ConflictError: it was decided already.
        RequestError: `days` is out of range.
    """
    return await _settle(parts, proposal_id, accept=accept, by=by, now=now, expires=_expiry(days, now))


async def withdraw(parts: LoopParts, proposal_id: str, by: str, now: int) -> dict[str, Any]:
    """Take an accepted change back: from the next session on it holds no longer.

    Raises:
        NotFoundError: no such proposal.
        ConflictError: it was refused.
    """
    made = await parts.store.write(
        lambda connection: proposals.withdraw(connection, proposal_id, by=by, now=now)
    )
    await refresh(parts, now)
    return made.to_json()


async def look_again(parts: LoopParts, proposal_id: str, now: int) -> dict[str, Any]:
    """Hold a proposal against the past once more, as of now; nothing is written.

    Raises:
        NotFoundError: no such proposal.
        BusyError: another replay is running.
    """
    if parts.replaying.locked():
        raise BusyError("another replay is running: ask again when it is done")
    async with parts.store.read() as connection:
        found = await proposals.find(connection, proposal_id)
    past = await _evidence(parts, found.family, found.actor, found.change, now)
    return {**found.to_json(), "past": past}


async def _settle(
    parts: LoopParts, proposal_id: str, *, accept: bool, by: str, now: int, expires: int | None
) -> dict[str, Any]:
    async def write(connection: AsyncConnection) -> Proposal:
        return await proposals.decide(connection, proposal_id, accept=accept, by=by, now=now, expires=expires)

    made = await parts.store.write(write)
    await refresh(parts, now)
    return made.to_json()


async def _propose(
    parts: LoopParts,
    change: Change,
    *,
    family: str,
    actor: str | None,
    by: str,
    now: int,
    asked: Mapping[str, Any] | None = None,
    look: bool = True,
) -> Proposal:
    past = await _evidence(parts, family, actor, change, now) if look else None

    async def write(connection: AsyncConnection) -> Proposal:
        same = await proposals.find_same(connection, family, actor, change)
        marks = [] if same is None else list(same.evidence.get("asked", ()))
        if asked is not None and all(_name(one) != _name(asked) for one in marks):
            marks.append(dict(asked))
        evidence = {"asked": marks[-ASKED_KEPT:], "past": past}
        if same is not None:
            return await proposals.put_evidence(connection, same.id, evidence)
        return await proposals.add(
            connection, family=family, actor=actor, change=change, evidence=evidence, by=by, now=now
        )

    return await parts.store.write(write)


async def _evidence(
    parts: LoopParts, family: str, actor: str | None, change: Change, now: int
) -> dict[str, Any]:
    async with parts.replaying:
        return await evidence_for(
            parts.store,
            change,
            family,
            actor,
            now,
            model=parts.model,
            taxonomy=parts.taxonomy,
            # Of one that holds already the question is what it does, so it must be missing from the other side.
            accepted=lambda one, whose: tuple(
                held for held in parts.accepted.of(one, whose, now) if held != change.envelope
            ),
            limits=parts.limits,
            mapper=parts.mapper,
        )


def _change(taxonomy: Taxonomy, wanted: Wanted) -> Change:
    family = taxonomy.families.get(wanted.family)
    if family is None:
        raise unknown_name("family", wanted.family, taxonomy.families, "families")
    for name, given, known in (
        ("verbs", wanted.verbs, taxonomy.verbs),
        ("resources", wanted.resources, taxonomy.resources),
        ("sensitivity", (wanted.sensitivity or "public",), taxonomy.sensitivities),
        ("boundary", (wanted.boundary or "in_context",), taxonomy.boundaries),
    ):
        for one in given:
            if one not in known:
                raise unknown_name(name, one, known, name)
    own = family.envelope
    envelope = Envelope(
        verbs=frozenset(wanted.verbs) or own.verbs,
        resources=frozenset(wanted.resources) or own.resources,
        max_sensitivity=wanted.sensitivity or own.max_sensitivity,
        max_boundary=wanted.boundary or own.max_boundary,
    )
    if wanted.narrower and holds(envelope, own, taxonomy):
        raise RequestError("verbs: nothing of the family's envelope would be taken away")
    if not wanted.narrower and holds(own, envelope, taxonomy):
        raise RequestError("verbs: the family's envelope holds all of it already")
    return Change(wider=not wanted.narrower, envelope=envelope)


def _expiry(days: int | None, now: int) -> int | None:
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise RequestError(f"days: {days}, must be 1 to {MOST_DAYS}")
    return None if days is None else now + days * DAY_MS


def _asked(asked: Asked, session_id: str, action_id: str, by: str, beyond: tuple[str, ...]) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "action_id": action_id,
        "actor": asked.actor,
        "verdict": asked.body["verdict"],
        "drift": asked.body["drift"],
        "step": asked.body["step"],
        "beyond": list(beyond),
        "by": by,
        "at": asked.at,
    }


def _name(asked: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(asked["session_id"]), str(asked["action_id"]), str(asked.get("tool", ""))
