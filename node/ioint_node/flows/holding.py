"""Actions that are held for a person: looked up before an action is judged, settled after, decided by a person.

Looking up and settling are for the one who decides on actions, and wait for nothing: `standing` before the response is
chosen, `settle` once it is, `row_of` when the decision is made. What memory says then is written with the decision. A
write that fails leaves memory stricter than the disk until the hold runs out, or the approval unused after a restart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import ConflictError, NotFoundError
from ioint_node.flows.requests import ActionRequest
from ioint_node.flows.respond import RespondParts
from ioint_node.scoring.response import Choice
from ioint_node.scoring.values import Verdict
from ioint_node.store import held
from ioint_node.store.held import HELD_MS, Held, Hold, Holds
from ioint_node.store.times import from_text, to_text

# Of each text among the arguments that whoever decides is shown; every name and every other value is shown whole, which
# the bound on a request's arguments bounds.
ARGUMENT_CHARS: Final = 512
# Causes that say nothing against the action itself.
ROUTINE: Final = frozenset({"level", "budget"})
OUTSIDE: Final = "observed"  # the signal of detectors outside: it says nothing of the declared intent
NOT_WHOLE: Final = (
    "its arguments are too long to be shown whole: look at them where the agent runs before approving"
)
_SORTED: Final = msgspec.json.Encoder(order="sorted")


class Settled(Struct, frozen=True, kw_only=True):
    """What became of holding: `approval` is DECISION's, `hold` is to be written, `used` is a used approval."""

    approval: Mapping[str, Any] | None = None
    hold: Hold | None = None
    used: str | None = None


NOTHING_HELD: Final = Settled()


def standing(holds: Holds, session_id: str, request: ActionRequest, now: int) -> Hold | None:
    """What is held or decided of exactly this action in this session; `Hold.state` "approved" lets it go on."""
    if not holds.any_of(session_id):
        return None
    return holds.find(session_id, content_of(request), now)


def settle(
    holds: Holds,
    hold: Hold | None,
    choice: Choice,
    *,
    decision_id: str,
    session_id: str,
    actor: str,
    request: ActionRequest,
    now: int,
) -> Settled:
    """Use an approval that stands, hold an action that needs one, or neither.

    Args:
        holds: what memory holds; it is changed.
        hold: what `standing` said of this action.
        choice: the response to it.
        decision_id: of the decision, which becomes the id of what is held.
        session_id: where it happens.
        actor: whose action it is.
        request: the action.
        now: Unix milliseconds.
    """
    if hold is not None and "approved" in choice.causes:
        holds.drop(hold)
        return Settled(approval={"id": hold.id, "state": held.USED, "expires_at": None}, used=hold.id)
    if not choice.held:
        return NOTHING_HELD
    if hold is not None:
        return Settled(approval=_approval(hold))
    if not holds.has_room(session_id, actor, now):
        return Settled(approval={"id": None, "state": "full", "expires_at": None})
    made = Hold(
        id=decision_id,
        session_id=session_id,
        actor=actor,
        content=content_of(request),
        state=held.WAITING,
        expires=now + HELD_MS,
    )
    holds.put(made)
    return Settled(approval=_approval(made), hold=made)


def row_of(
    hold: Hold,
    *,
    actor: str,
    request: ActionRequest,
    decision: Mapping[str, Any],
    causes: tuple[str, ...],
    now: int,
) -> dict[str, Any]:
    """The row of an action that is held, for `store.held.add`; `decision` is the DECISION as it is answered."""
    shown = _shortened(request.arguments)
    body = {
        "tool": request.tool,
        "server": request.server,
        "arguments": msgspec.json.encode(shown).decode(),
        "recommendation": recommend(decision, causes, whole=shown == request.arguments),
        "decision": decision,
    }
    return {
        "id": hold.id,
        "session_id": hold.session_id,
        "actor": actor,
        "action_id": request.action_id,
        "content": hold.content,
        "body": msgspec.json.encode(body).decode(),
        "state": hold.state,
        "at": to_text(now),
        "expires_at": to_text(hold.expires),
    }


def content_of(request: ActionRequest) -> str:
    """SHA-256 (hex) of what an approval is for: tool, server and arguments, whatever the order of their names."""
    return hashlib.sha256(_SORTED.encode([request.tool, request.server, request.arguments])).hexdigest()


def recommend(decision: Mapping[str, Any], causes: tuple[str, ...], *, whole: bool = True) -> dict[str, str]:
    """What to do with a held action and why: `{"advice": "approve"|"refuse"|"ask", "why"}`.

    Refuse what left the declared intent; approve what is inside it and is held by the actor's level or budget alone;
    ask the person behind the session in every other case, also where what weighs most is no signal of this session, or
    where the arguments are not shown whole.
    """
    reasons = [one for one in decision["reasons"] if one["weight"] > 0.0] or list(decision["reasons"])
    against = max(reasons, key=lambda one: one["weight"], default=None)
    why = "" if against is None else against["text"]
    trust = decision["trust"]
    if against is not None and against["code"] == OUTSIDE:
        return {"advice": "ask", "why": f"a detector outside speaks against the actor: {why}"}
    if decision["verdict"] == Verdict.OUT_OF_SCOPE.value:
        return {"advice": "refuse", "why": f"it left the declared intent: {why or 'no signal stands out'}"}
    if decision["verdict"] == Verdict.IN_SCOPE.value and ROUTINE.issuperset(causes):
        spent = "its trust budget is spent" if "budget" in causes else ""
        level = f"trust {trust['lower']:.2f} is {trust['friction']}" if "level" in causes else ""
        if not whole:
            return {"advice": "ask", "why": NOT_WHOLE}
        text = f"it is inside the declared intent; held only because {' and '.join(filter(None, (level, spent)))}"
        return {"advice": "approve", "why": text}
    told = f"it is not clear that the declared intent carries it: {why or ', '.join(causes)}"
    return {"advice": "ask", "why": told}


async def decide_action(parts: RespondParts, held_id: str, *, approve: bool, by: str, now: int) -> Held:
    """Approve or refuse an action that waits. The same answer again changes nothing and is answered the same.

    Raises:
        NotFoundError: nothing with this id is held.
        ConflictError: its time has run out, its session is closed, or it was decided the other way.
    """
    state = held.APPROVED if approve else held.REFUSED

    async def write(connection: AsyncConnection) -> Held:
        found = await held.get(connection, held_id)
        if found is None:
            raise NotFoundError(f"nothing waits here as {held_id[:64]!r}")
        before = held.APPROVED if found.state == held.USED else found.state
        if found.state != held.WAITING and before == state:
            return found
        if found.state != held.WAITING or from_text(found.expires_at) <= now:
            is_now = found.state if found.state != held.WAITING else held.EXPIRED
            raise waits_no_longer(held_id, is_now)
        return await held.decide(connection, found, state=state, by=by, now=now, expires=now + HELD_MS)

    decided = await parts.store.write(write)
    if decided.state == state:
        parts.holds.put(
            Hold(
                id=decided.id,
                session_id=decided.session_id,
                actor=decided.actor,
                content=decided.content,
                state=state,
                expires=from_text(decided.expires_at),
            )
        )
    return decided


def waits_no_longer(held_id: str, state: str) -> ConflictError:
    """Why an action cannot be decided on any more."""
    if state == held.ENDED:
        return ConflictError(f"action {held_id[:12]} waits no longer: its session is closed")
    return ConflictError(f"action {held_id[:12]} is {state}, it does not wait")


async def expire(parts: RespondParts, now: int) -> int:
    """End what has run out, in memory and on disk, and return how many rows it was."""
    parts.holds.expire(now)
    return await parts.store.write(lambda connection: held.expire(connection, now))


def _shortened(value: Any) -> Any:  # noqa: ANN401 - JSON
    """The same JSON with its long texts cut, each of which says how long it is."""
    if isinstance(value, str) and len(value) > ARGUMENT_CHARS:
        return f"{value[:ARGUMENT_CHARS]}… ({len(value)} characters)"
    if isinstance(value, Mapping):
        return {name: _shortened(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_shortened(one) for one in value]
    return value


def _approval(hold: Hold) -> dict[str, Any]:
    return {"id": hold.id, "state": hold.state, "expires_at": to_text(hold.expires)}
