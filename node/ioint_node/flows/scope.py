"""What a session may do, talked over: another declaration, a request for scope, a narrower alternative."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from typing import Any

import msgspec
from ioint_taxonomy import Envelope

from ioint_node.errors import ConflictError, NotFoundError, RequestError, TooLargeError, unknown_name
from ioint_node.flows.assessing import AssessParts, start_session
from ioint_node.flows.decision import families_for
from ioint_node.flows.live import Live
from ioint_node.flows.recording import check_family, opened, recall_open, record, trust_of
from ioint_node.flows.requests import ScopeRequest, check_declaration, check_id
from ioint_node.scoring.changes import holds
from ioint_node.scoring.evidence import of_alternative, of_widening
from ioint_node.scoring.values import Declaration
from ioint_node.store.sessions import find_alternative


async def declare(
    parts: AssessParts, session_id: str, declaration: Declaration, now: int, *, by_actor: bool = False
) -> dict[str, Any]:
    """Declare again, which starts a new grant of time; what was judged stays judged.

    An actor that is trusted too little to choose its scope does not widen it by its own word (`by_actor`) where its
    decisions are enforced.

    Raises:
        RequestError: an unknown family, or nothing declared.
        NotFoundError: no such session.
        ConflictError: the session is closed, or a person has to widen it.
        TooLargeError: a bound is exceeded.
    """
    check_declaration(declaration, parts.limits)
    check_family(parts, declaration)
    if not declaration.text and declaration.family is None:
        raise RequestError("text: a declaration needs a text or a family")
    live = await recall_open(parts, session_id, now)
    _check_declarations(parts, live)
    if by_actor and live.enforced and live.terms(now).scope_by_person:
        _check_no_wider(parts, live, declaration, now)
    widenings = live.widenings
    live.redeclare(declaration, now, parts.taxonomy)
    evidence = of_widening(live.widenings) if live.widenings > widenings else ()
    record(parts, live, now, kind="declare", body=asdict(declaration), evidence=evidence)
    return opened(parts, live, now)


async def scope_request(
    parts: AssessParts, session_id: str, request: ScopeRequest, now: int
) -> dict[str, Any]:
    """Answer whether the session may have more scope.

    `granted`: its envelope holds that already, or a person accepted it. `redeclare`: one of `families` would hold it;
    declare that. `person`: no declared intent holds it, or the actor is trusted too little to choose: a person decides.

    Raises:
        RequestError: a name that the taxonomy does not know, or nothing asked for.
        NotFoundError: no such session.
        ConflictError: the session is closed.
        TooLargeError: a bound is exceeded.
    """
    wanted = wanted_of(parts, request)
    live = await recall_open(parts, session_id, now)
    _check_declarations(parts, live)
    taxonomy = parts.accepted.taxonomy(parts.taxonomy, live.actor.id, now)
    family = live.tracker.families[0][0]
    accepted = parts.accepted.of(family, live.actor.id, live.declared)
    held = live.ask(wanted, parts.taxonomy) or any(holds(one, wanted, parts.taxonomy) for one in accepted)
    if held:
        live.renew(now, by_person=False)
    by_person = live.terms(now).scope_by_person
    families = () if held or by_person else families_for(wanted, taxonomy)
    answer = {
        "request_id": secrets.token_hex(16),
        "state": "granted" if held else "redeclare" if families else "person",
        "families": list(families),
    }
    row = {**answer, "wanted": wanted.to_json(), "reason": request.reason[: parts.limits.text_bytes]}
    record(
        parts, live, now, kind="scope_request", body=row, evidence=() if held else of_widening(live.widenings)
    )
    return {**answer, **opened(parts, live, now)}


async def answer_alternative(
    parts: AssessParts, session_id: str, alternative_id: str, now: int, *, accepted: bool
) -> dict[str, Any]:
    """Take the answer to a narrower alternative that a decision offered; its id is the decision's.

    Raises:
        NotFoundError: no such session or alternative.
        ConflictError: the session is closed, or the other answer was given before.
    """
    check_id("alternative", alternative_id)
    live = await recall_open(parts, session_id, now)
    offered = await _offered(parts, live, alternative_id)
    before = live.alternatives.get(alternative_id)
    if before is None:
        live.alternatives[alternative_id] = accepted
        row = {"id": alternative_id, "accepted": accepted}
        record(
            parts,
            live,
            now,
            kind="alternative",
            body=row,
            evidence=of_alternative(accepted=accepted, nth=len(live.alternatives)),
        )
    elif before is not accepted:
        raise ConflictError(f"alternative {alternative_id!r} was answered the other way before")
    return {"alternative": offered, "accepted": accepted, "trust": trust_of(live, now)}


def _check_declarations(parts: AssessParts, live: Live) -> None:
    if live.declarations >= parts.limits.declarations:
        raise TooLargeError(
            f"session {live.id!r} has {live.declarations} declarations, the most that one may have"
        )


def _check_no_wider(parts: AssessParts, live: Live, declaration: Declaration, now: int) -> None:
    before = live.tracker.envelope
    opening = msgspec.json.encode(asdict(declaration)).decode()
    after = start_session(parts, live.id, live.actor, opening, matcher=live.matcher, now=now).tracker.envelope
    if before.union(after, parts.taxonomy) != before:
        raise ConflictError(
            "declare: this intent holds more than the session may touch, and the actor is trusted too little to widen "
            "it by its own word: ask with scope-requests, and a person decides"
        )


def wanted_of(parts: AssessParts, request: ScopeRequest) -> Envelope:
    """What is asked for, as an envelope; RequestError for a name that the taxonomy does not have, or nothing."""
    taxonomy = parts.taxonomy
    known = {
        "verbs": (request.verbs, taxonomy.verbs),
        "resources": (request.resources, taxonomy.resources),
        "sensitivity": ((request.sensitivity,) if request.sensitivity else (), taxonomy.sensitivities),
        "boundary": ((request.boundary,) if request.boundary else (), taxonomy.boundaries),
    }
    for field, (names, vocabulary) in known.items():
        for name in names:
            if name not in vocabulary:
                raise unknown_name(field, name, vocabulary, field)
    if not any(names for names, _ in known.values()):
        raise RequestError("verbs: nothing is asked for")
    return Envelope(
        verbs=frozenset(request.verbs),
        resources=frozenset(request.resources),
        max_sensitivity=request.sensitivity or min(taxonomy.sensitivities, key=taxonomy.sensitivity_rank),
        max_boundary=request.boundary or min(taxonomy.boundaries, key=taxonomy.boundary_rank),
    )


async def _offered(parts: AssessParts, live: Live, alternative_id: str) -> Any:  # noqa: ANN401 - JSON
    offered = live.offered.get(alternative_id)
    if offered is None:
        async with parts.store.read() as connection:
            offered = await find_alternative(connection, live.id, alternative_id)
    if offered is None:
        raise NotFoundError(f"no alternative {alternative_id!r} was offered in session {live.id!r}")
    return offered
