"""A session begins: who acts in it, what is known of that actor, and what it may do."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

import msgspec

from ioint_node.errors import ConflictError, TooLargeError
from ioint_node.flows.assessing import AssessParts, matcher_of, start_session, write
from ioint_node.flows.decision import evidence_text
from ioint_node.flows.journal import Entry
from ioint_node.flows.live import Live, LiveActor
from ioint_node.flows.recording import changed, opened, session_row
from ioint_node.flows.requests import OpenSession, composition_of, composition_parts
from ioint_node.privacy.principals import principal, unknown
from ioint_node.scoring.composition import maker_of
from ioint_node.scoring.evidence import CredentialFacts, of_credential
from ioint_node.scoring.lineage import Lineage
from ioint_node.scoring.trust import (
    DECIMALS,
    Evidence,
    Trust,
    after_all,
    change_text,
    has_record,
    inherited,
    lower_bound,
    new_trust,
    recomposed,
)
from ioint_node.store.lineage import find_head
from ioint_node.store.times import to_text
from ioint_node.store.tokens import credential_of

CREDENTIAL_MS: Final = 3_600_000  # for which a look at an actor's credential holds


def new_actor(request: OpenSession, now: int) -> LiveActor:
    """An actor that was never seen, made of nothing yet."""
    trust = new_trust(request.kind, "", now)
    return LiveActor(id=request.actor, trust=trust, told_lower=round(lower_bound(trust, now), DECIMALS))


async def made_of(parts: AssessParts, actor: LiveActor, request: OpenSession, now: int) -> Trust:
    """The actor's trust with the composition that it names.

    Another composition inherits little. One that is known under other names, of which one is distrusted, is
    distrusted here as well, also with other tools: a new name washes nothing. It is looked at again at each opening
    until the actor has a record of its own, which what others do under the same composition does not touch.
    """
    composition = composition_of(request, parts.limits)
    named = recomposed(actor.trust, composition, now, parts=composition_parts(request))
    if not composition or (_is_same_make(actor.trust, named) and has_record(named, now)):
        return named
    return inherited(named, await parts.namesakes.of(parts.store, actor.id, named, now), now)


def _is_same_make(before: Trust, after: Trust) -> bool:
    if before.composition == after.composition:
        return True
    maker = maker_of(after.parts)
    return bool(maker) and maker == maker_of(before.parts)


async def credential_evidence(
    parts: AssessParts, actor: LiveActor, lineage: Lineage | None, now: int
) -> tuple[Evidence, ...]:
    """What the actor's own credential says of its identity, looked at once an hour."""
    depth = 0 if lineage is None else lineage.depth
    if now - actor.credential_at < CREDENTIAL_MS:
        return of_credential(CredentialFacts(depth=depth))
    async with parts.store.read() as connection:
        found = await credential_of(connection, actor.id, now)
    actor.credential_at = now
    if found is None:
        return of_credential(CredentialFacts(depth=depth))
    return of_credential(
        CredentialFacts(
            age_days=found.age_days,
            rotated_days=found.rotated_days,
            expires_in_days=found.expires_in_days,
            bound=True,
            depth=depth,
        )
    )


async def principal_of(parts: AssessParts, actor: LiveActor, request: OpenSession) -> str:
    """The digest of whom the session is about: what was delegated is about whom the session above it is about.

    An actor's own word names nobody else, or one agent could pass for five people: not as its user, nor by the sessions
    that it calls its parents.
    """
    if request.parent is not None and request.by_actor:
        return unknown(parts.principal_key)
    if request.parent is None:
        named = None if request.by_actor else request.on_behalf_of
        return principal(
            on_behalf_of=named,
            owner=actor.owner,
            actor=actor.id,
            kind=actor.trust.kind,
            key=parts.principal_key,
        )
    above = request.parent["session_id"]
    live = parts.live.get(above)
    if live is not None:
        return live.principal or unknown(parts.principal_key)
    async with parts.store.read() as connection:
        head = await find_head(connection, above)
    return (head["principal"] if head else "") or unknown(parts.principal_key)


def begin(
    parts: AssessParts,
    request: OpenSession,
    actor: LiveActor,
    *,
    session_id: str,
    trust: Trust,
    evidence: tuple[Evidence, ...],
    lineage: Lineage | None,
    principal: str,
    now: int,
) -> dict[str, Any]:
    """Begin a session of an actor: what memory becomes, what is answered, and what is to be written.

    Raises:
        ConflictError: the actor is of another kind.
        TooLargeError: it has too many sessions open.
        BusyError: too many writes wait.
    """
    if actor.trust.kind != request.kind:
        raise ConflictError(f"actor.kind: {request.actor!r} is known as {actor.trust.kind}")
    if len(actor.open_sessions) >= parts.limits.open_per_actor:
        raise TooLargeError(f"{request.actor!r} has {len(actor.open_sessions)} sessions open: close some")
    recently = change_text(trust) if trust.changed != actor.trust.changed else ""
    actor.trust = after_all(trust, evidence, now)
    opening = opening_text(request)
    live = start_session(parts, session_id, actor, opening, matcher=matcher_of(parts, now), now=now)
    live.lineage, live.principal = lineage, principal
    actor.open_sessions.add(session_id)
    parts.live.put_actor(actor)
    parts.live.put(live)
    text = recently or evidence_text(evidence)
    at = to_text(now)
    row = {
        **session_row(live, at),
        "id": session_id,
        "actor": actor.id,
        "declaration": opening,
        "parent": None if request.parent is None else msgspec.json.encode(request.parent).decode(),
        "opened_at": at,
        "principal": principal,
    }
    del row["session_id"]
    # A new actor is written even though its trust has not moved.
    write(parts, Entry(live=live, now=now, opened=row, trust=actor.trust, stream=changed(live, now, text)))
    return opened(parts, live, now)


def begun_before(parts: AssessParts, live: Live, request: OpenSession, now: int) -> dict[str, Any]:
    """The answer to an opening that came before; raises ConflictError when it had another body."""
    if live.closed is not None:
        raise ConflictError(f"session_id: {live.id!r} is closed")
    if live.actor.id != request.actor or live.opening != opening_text(request):
        raise ConflictError(f"session_id: {live.id!r} was opened with another body")
    return opened(parts, live, now)


def opening_text(request: OpenSession) -> str:
    """What a session was opened with, as the JSON that is kept of it."""
    value = {**asdict(request.declared), "on_behalf_of": request.on_behalf_of}
    return msgspec.json.encode(value).decode()
