"""Grants: issued to a key, spent pass by pass, checked by resources, revoked.

A pass works once. Who spends it gets the next one, in one compare-and-swap; the answer is kept for a minute, so that
the same request on the same pass gets it again when the first answer was lost. Any other request on a pass that is no
longer the newest comes from somebody who should not have it, or from two at once: the grant is revoked, and it is told.
"""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.access.budget import IN_SCOPE_COUNTS, merged
from ioint_node.access.grants import (
    IN_FORCE,
    LIVE_PER_SESSION,
    PER_SESSION,
    Access,
    Grant,
    Standing,
    State,
    charge,
    check_access,
    check_in_force,
    claims_of,
    new_grant,
    scope_of,
)
from ioint_node.access.passes import (
    SKEW_MS,
    Claims,
    Fault,
    PassError,
    Proof,
    check_proof,
    holder_of,
    read_pass,
    read_proof,
    request_hash,
    sign_pass,
)
from ioint_node.errors import (
    BusyError,
    ConflictError,
    NotFoundError,
    RequestError,
    TooLargeError,
    unknown_name,
)
from ioint_node.flows.acting import network_of
from ioint_node.flows.assessing import recall
from ioint_node.flows.grant_parts import CheckRequest, GrantParts, GrantRequest, Signed, SpendRequest
from ioint_node.flows.journal import STREAM_TLP
from ioint_node.flows.live import Live
from ioint_node.flows.observations import Outside, observe_outside
from ioint_node.flows.requests import check_id
from ioint_node.scoring.levels import watched
from ioint_node.store import grants as kept
from ioint_node.store import stream
from ioint_node.store.responses import ACTIVE
from ioint_node.store.times import to_text

MOST_UNITS: Final = 100_000  # that one spend may name
REASON_CHARS: Final = 256
# An agent that uses a pass twice by mistake looks like one whose key was stolen.
REPLAY_CERTAINTY: Final = 0.6
SOURCE: Final = "ioint.grants"
NODE: Final = "node"
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spending:
    """One spend that was checked as far as it can be without the grant; `name` is the hash of its request."""

    held: str = field(repr=False)
    claims: Claims
    proof: Proof
    wanted: Access | int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    """An answer as JSON, and the pass in it where it is new; `alone` in its session is its grant."""

    text: str
    signed: Signed | None = None
    alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Replay:
    """A pass came a second time; what came of it is committed."""

    detail: str


async def issue(
    parts: GrantParts, request: GrantRequest, now: int, *, actor: str | None = None
) -> dict[str, Any]:
    """Grant what a session asks for, inside its envelope and its trust: the grant, and the first pass.

    Args:
        parts: what it works with.
        request: session, key, scope, units and time.
        now: Unix milliseconds.
        actor: the actor of the caller's token, None for a caller that may speak for any.

    Raises:
        RequestError: a field is malformed.
        PassError: out of scope or of units, a person or a new declaration is needed, suspended, or closed.
        NotFoundError: no such session, or another actor's.
        ConflictError: another request came under this `request_id`, or this one longer ago.
        TooLargeError: the session has too many grants in force.
    """
    key = holder_of(request.key)
    if request.request_id is not None:
        check_id("request_id", request.request_id)
    live = await _session(parts, request.session_id, now, actor=actor)
    job = partial(_issue, parts=parts, live=live, request=request, key=key, now=now)
    answer = await parts.assess.store.write(job)
    if answer.signed is not None:
        parts.counts["issued"] += 1
        # Again, for a spend that came in the same transaction, before this grant was there.
        parts.newest.drop_session(live.id)
        _remember(parts, answer)
    return _decoded(answer.text)


async def spend(
    parts: GrantParts, request: SpendRequest, now: int, *, actor: str | None = None
) -> dict[str, Any]:
    """Spend the newest pass of a grant: what it cost, what is left, and the next pass.

    Raises:
        RequestError: a field is malformed.
        PassError: why the pass does not open this; PASS_REPLAYED has revoked the grant.
        NotFoundError: no such grant, or another actor's.
        ConflictError: another spend of this pass was first; the same request may be sent again.
    """
    name = _name_of_spend(parts, request.wanted)
    known = parts.newest.get(request.held)
    claims = known.claims if known else read_pass(request.held, parts.key, parts.issuer)
    if actor is not None and claims.sub != actor:
        raise _no_grant(claims.ioint.grant)
    proof = read_proof(request.proof)
    check_proof(proof, request.held, claims, method=request.method, url=request.url, now=now, request=name)
    live = await _session(parts, claims.ioint.session, now, actor=claims.sub)
    spending = _Spending(held=request.held, claims=claims, proof=proof, wanted=request.wanted, name=name)
    answer = await parts.assess.store.write(
        partial(_spend, parts=parts, live=live, spending=spending, now=now)
    )
    if isinstance(answer, _Replay):
        parts.counts["replayed"] += 1
        parts.assess.notify()
        await _suspect(parts, claims, now)
        raise PassError(Fault.PASS_REPLAYED, answer.detail)
    # Only now: what did not reach the disk may come again.
    parts.proofs.note(proof, now)
    parts.newest.drop(request.held)
    if answer.signed is not None:
        parts.counts["spent"] += 1
        _remember(parts, answer)
    return _decoded(answer.text)


async def check(parts: GrantParts, request: CheckRequest, now: int) -> dict[str, Any]:
    """Say whether a pass is the newest, in force, and good for an access; spends nothing.

    The answer has the form of RFC 7662: `active`, and the claims where it is. `reason` says why it is not.

    Raises:
        RequestError: the access that is asked about is malformed.
    """
    if request.access is not None:
        _check_access(parts, request.access)
    try:
        claims = read_pass(request.held, parts.key, parts.issuer)
        proof = _checked_proof(parts, request, claims, now)
        grant = await _checked_grant(parts, request, claims, now)
    except PassError as error:
        return {"active": False, "reason": error.fault.value, "detail": str(error)}
    except NotFoundError as error:
        return {"active": False, "reason": Fault.GRANT_ENDED.value, "detail": str(error)}
    if proof is not None:
        parts.proofs.note(proof, now)
    return {
        "active": True,
        "reason": "",
        "holder_proved": proof is not None,
        "token_type": "DPoP",
        **msgspec.to_builtins(claims),
        "state": grant.state.value,
    }


async def revoke(
    parts: GrantParts, grant_id: str, now: int, *, by: str, reason: str = "", actor: str | None = None
) -> dict[str, Any]:
    """End a grant for good; a second time changes nothing.

    Raises:
        RequestError: the reason is too long.
        NotFoundError: no such grant, or another actor's.
    """
    check_id("grant", grant_id)
    if len(reason) > REASON_CHARS:
        raise RequestError(f"reason: {len(reason)} characters, more than {REASON_CHARS}")
    why = reason or ("given back" if actor is not None else f"revoked by {by}")
    job = partial(_revoke, grant_id=grant_id, actor=actor, why=why, now=now)
    grant, ended = await parts.assess.store.write(job)
    if ended:
        parts.counts["revoked"] += 1
        parts.assess.notify()
    return view(grant)


async def sweep(parts: GrantParts, now: int) -> int:
    """Write down which grants have ended meanwhile, and forget what is no longer needed; counts the ended."""
    return await parts.assess.store.write(partial(kept.sweep, now=now))


def view(grant: Grant) -> dict[str, Any]:
    """A grant as the API shows it."""
    return {
        "id": grant.id,
        "actor": grant.actor,
        "session_id": grant.session_id,
        "intent": grant.intent,
        "key": grant.key,
        "scope": grant.scope.to_json(),
        "audience": grant.audience,
        "units": grant.budget.granted,
        "left": grant.budget.left,
        "generation": grant.generation,
        "interval_s": grant.interval_s,
        "revalidate_at": to_text(grant.revalidate_at),
        "issued_at": to_text(grant.issued),
        "expires_at": to_text(grant.expires),
        "state": grant.state.value,
        "reason": grant.reason,
    }


async def _issue(
    connection: AsyncConnection,
    *,
    parts: GrantParts,
    live: Live,
    request: GrantRequest,
    key: str,
    now: int,
) -> _Answered:
    name = _name_of(request)
    grant_id = _id_of(live, request)
    if request.request_id is not None and await kept.find_alone(connection, grant_id) is not None:
        return await _issued_again(connection, grant_id, name, now)
    _check_halted(parts, live, await kept.halted(connection, live.actor.id))
    if not live.actions:
        live.lessen(now)
    # Only in the turn of writing: what came before it in the queue is on disk, and in memory.
    standing = _standing(parts, live, now)
    scope = scope_of(request.asked, standing, parts.assess.taxonomy)
    held = await kept.held(connection, live.id, standing, now)
    if held.in_force >= LIVE_PER_SESSION or held.count >= PER_SESSION:
        detail = f"{held.in_force} grants in force and {held.count} in all"
        raise TooLargeError(
            f"session {live.id!r} has {detail}: it may have {LIVE_PER_SESSION} and {PER_SESSION}"
        )
    grant = new_grant(
        request.asked,
        standing,
        scope,
        id=grant_id,
        session_id=live.id,
        key=key,
        audience=request.audience,
        used=held.used,
        groups=merged(*held.groups),
        now=now,
    )
    await kept.add(connection, grant)
    parts.newest.drop_session(live.id)
    answer = _answer(parts, grant, standing, now, alone=held.in_force == 0)
    kept_answer = kept.Answer(request=name, answer=answer.text, at=now)
    await kept.keep(connection, grant.id, kept.FIRST_ANSWER, kept_answer)
    return answer


async def _issued_again(connection: AsyncConnection, grant_id: str, name: str, now: int) -> _Answered:
    answer = await kept.answered(connection, grant_id, kept.FIRST_ANSWER)
    if answer is None or now - answer.at > SKEW_MS:
        raise ConflictError("request_id: a grant was issued under it longer ago: use another")
    if answer.request != name:
        raise ConflictError("request_id: was used before with another body")
    return _Answered(text=answer.answer)


async def _spend(
    connection: AsyncConnection, *, parts: GrantParts, live: Live, spending: _Spending, now: int
) -> _Answered | _Replay:
    told = spending.claims.ioint
    known = parts.newest.get(spending.held)
    if known is not None:
        remembered = kept.Kept(grant=known.grant, session_open=True, halted=None, others=())
        with suppress(PassError):  # what memory refuses, the database refuses for the better reason
            answer = await _advance(
                connection, remembered, parts=parts, live=live, spending=spending, now=now
            )
            if answer is not None:
                return answer
    for _ in range(2):
        found = await kept.find(connection, told.grant, live.id)
        if found is None:
            raise _no_grant(told.grant)
        if told.gen != found.grant.generation:
            return await _used_before(connection, found.grant, told.gen, spending.name, now)
        answer = await _advance(connection, found, parts=parts, live=live, spending=spending, now=now)
        if answer is not None:
            return answer
        # On a database with several writers another spend was first: what it left decides.
    raise ConflictError("pass: was spent at the same time by another request: send this one again")


async def _advance(
    connection: AsyncConnection,
    found: kept.Kept,
    *,
    parts: GrantParts,
    live: Live,
    spending: _Spending,
    now: int,
) -> _Answered | None:
    """Spend the newest generation, or None when the database no longer has it as `found` says."""
    _check_halted(parts, live, found.halted)
    standing = _with_stored(_standing(parts, live, now), found)
    check_in_force(found.grant, standing, now)
    wanted = spending.wanted
    if spending.claims.expired(now) and wanted != 0:
        raise PassError(Fault.PASS_EXPIRED, "pass: has run out; spend 0 units for a fresh one")
    if parts.proofs.known(spending.proof):
        raise PassError(Fault.PROOF_REUSED, "proof: its jti was used before: sign another")
    after, cost = charge(
        found.grant, standing, wanted, others=found.others, taxonomy=parts.assess.taxonomy, now=now
    )
    if not await kept.advance(connection, after, now):
        return None
    paid = wanted if isinstance(wanted, Access) else None
    answer = _answer(parts, after, standing, now, paid=paid, cost=cost, alone=not found.others)
    kept_answer = kept.Answer(request=spending.name, answer=answer.text, at=now)
    await kept.keep(connection, after.id, found.grant.generation, kept_answer)
    live.actor.charge(cost * IN_SCOPE_COUNTS, now)
    return answer


async def _used_before(
    connection: AsyncConnection, grant: Grant, generation: int, name: str, now: int
) -> _Answered | _Replay:
    """The same answer to the same request within a minute, else the end of the grant."""
    if generation > grant.generation:
        detail = "pass: is newer than what this node remembers: its database was replaced by an older copy"
        raise PassError(Fault.BAD_PASS, detail)
    if grant.state not in IN_FORCE:
        fault = Fault.GRANT_REVOKED if grant.state is State.REVOKED else Fault.GRANT_ENDED
        raise PassError(fault, f"the grant is {grant.state.value}: {grant.reason}")
    answer = await kept.answered(connection, grant.id, generation)
    if answer is not None and answer.request == name and now - answer.at <= SKEW_MS:
        return _Answered(text=answer.answer)
    detail = f"a pass was used again: generation {generation}, the newest is {grant.generation}"
    await kept.revoke(connection, grant.id, detail)
    await _tell(connection, grant, detail, now)
    return _Replay(detail=f"{detail}; the grant is revoked")


def _answer(
    parts: GrantParts,
    grant: Grant,
    standing: Standing,
    now: int,
    *,
    alone: bool,
    paid: Access | None = None,
    cost: float = 0.0,
) -> _Answered:
    """The answer with the grant's newest pass."""
    claims = claims_of(grant, standing.terms, parts.issuer, now, paid=paid)
    signed = Signed(text=sign_pass(claims, parts.key), claims=claims, grant=grant)
    text = _encode({"grant": view(grant), "pass": signed.text, "cost": cost}).decode()
    return _Answered(text=text, signed=signed, alone=alone)


def _remember(parts: GrantParts, answer: _Answered) -> None:
    if answer.signed is not None and answer.alone:
        parts.newest.put(answer.signed)


async def _revoke(
    connection: AsyncConnection, *, grant_id: str, actor: str | None, why: str, now: int
) -> tuple[Grant, bool]:
    grant = await kept.find_alone(connection, grant_id)
    if grant is None or actor not in (None, grant.actor):
        raise _no_grant(grant_id)
    ended = await kept.revoke(connection, grant_id, why)
    if not ended:
        return grant, False
    if actor is None:
        await _tell(connection, grant, why, now)
    return replace(grant, state=State.REVOKED, reason=why), True


async def _tell(connection: AsyncConnection, grant: Grant, reason: str, now: int) -> None:
    """Engines hear of a grant that others than its holder ended: its passes may still be accepted offline."""
    body = {
        "actor": grant.actor,
        "session_id": grant.session_id,
        "grant": grant.id,
        "before": "none",
        "after": "reduce",
        "state": "grant_revoked",
        "effect": 0.0,
        "do": [],
        "reason": reason,
    }
    await stream.append(connection, "response", body, STREAM_TLP, now)


async def _suspect(parts: GrantParts, claims: Claims, now: int) -> None:
    """Let a replay count against the actor: its key may be in other hands."""
    said = Outside(
        id=claims.jti,
        source=SOURCE,
        kind="credential_compromise",
        actor=claims.sub,
        by=NODE,
        own=False,
        session_id=claims.ioint.session,
        value=REPLAY_CERTAINTY,
        detail={"reason": "pass_replayed", "credential": "pass"},
        at=now,
    )
    # The grant is revoked and told, which is what must not fail.
    with suppress(BusyError, TooLargeError, ConflictError):
        await observe_outside(parts.assess, said, now)


def _checked_proof(parts: GrantParts, request: CheckRequest, claims: Claims, now: int) -> Proof | None:
    if request.proof is None:
        return None
    proof = read_proof(request.proof)
    check_proof(proof, request.held, claims, method=request.method, url=request.url, now=now)
    if parts.proofs.known(proof):
        raise PassError(Fault.PROOF_REUSED, "proof: its jti was used before")
    return proof


async def _checked_grant(parts: GrantParts, request: CheckRequest, claims: Claims, now: int) -> Grant:
    told = claims.ioint
    live = await recall(parts.assess, told.session, now)
    async with parts.assess.store.read() as connection:
        found = await kept.find(connection, told.grant, told.session)
    if found is None:
        raise _no_grant(told.grant)
    standing = _with_stored(_standing(parts, live, now), found)
    check_in_force(found.grant, standing, now)
    _check_halted(parts, live, found.halted)
    if told.gen != found.grant.generation:
        detail = f"is of generation {told.gen}, the newest is {found.grant.generation}"
        raise PassError(Fault.SUPERSEDED, f"pass: {detail}")
    if claims.expired(now):
        raise PassError(Fault.PASS_EXPIRED, "pass: has run out")
    if claims.aud is not None and request.audience != claims.aud:
        another = "another audience" if request.audience else "one audience: name yours as `audience`"
        raise PassError(Fault.OTHER_AUDIENCE, f"pass: is for {another}")
    if request.access is not None:
        check_access(found.grant.scope, standing, request.access, parts.assess.taxonomy)
    return found.grant


async def _session(parts: GrantParts, session_id: str, now: int, *, actor: str | None) -> Live:
    """A session, which for an agent's token exists only when it is its own."""
    live = await recall(parts.assess, session_id, now)
    if actor not in (None, live.actor.id):
        raise NotFoundError(f"no session {session_id!r}: open it first")
    return live


def _standing(parts: GrantParts, live: Live, now: int) -> Standing:
    """How a session stands; under a warning of other members it is looked at again sooner."""
    standing, network = parts.standing(live, now), network_of(parts.assess, live, now)
    if network.effect <= 0.0:
        return standing
    return replace(standing, terms=watched(standing.terms, network.tier, network.effect))


def _with_stored(standing: Standing, found: kept.Kept) -> Standing:
    return standing if found.session_open else replace(standing, open=False)


def _check_access(parts: GrantParts, access: Access) -> None:
    taxonomy = parts.assess.taxonomy
    for name, known in (
        ("verb", taxonomy.verbs),
        ("resource", taxonomy.resources),
        ("sensitivity", taxonomy.sensitivities),
        ("boundary", taxonomy.boundaries),
    ):
        value = getattr(access, name)
        if value not in known:
            raise unknown_name(name, value, known, f"{name}s")


def _name_of_spend(parts: GrantParts, wanted: Access | int) -> str:
    """What names a spend, and what the proof has to name: the hash of what is paid for."""
    if isinstance(wanted, Access):
        _check_access(parts, wanted)
        return request_hash(wanted.to_json())
    if not 0 <= wanted <= MOST_UNITS:
        raise RequestError(f"units: must be 0 to {MOST_UNITS}")
    return request_hash({"units": wanted})


def _id_of(live: Live, request: GrantRequest) -> str:
    if request.request_id is None:
        return secrets.token_hex(16)
    named = _encode((live.actor.id, live.id, request.request_id))
    return hashlib.sha256(named).hexdigest()[:32]


def _name_of(request: GrantRequest) -> str:
    """What names the body of a request for a grant."""
    return hashlib.sha256(_encode(request)).hexdigest()


def _no_grant(grant_id: str) -> NotFoundError:
    return NotFoundError(f"no grant {grant_id[:64]!r}")


def _check_halted(parts: GrantParts, live: Live, stored: str | None) -> None:
    """Refuse an actor that is halted on disk, or that this process has just halted."""
    state = stored or parts.assess.halted.state_of(live.actor.id)
    if state != ACTIVE:
        raise PassError(Fault.SUSPENDED, f"the actor is {state}: a person has to release it")


def _decoded(text: str) -> dict[str, Any]:
    answer: dict[str, Any] = msgspec.json.decode(text)
    return answer
