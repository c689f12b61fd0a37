"""What is asked of whoever runs an actor: by the node with a decision, by a person, and what is reported back.

An order is a row of `responses` and an event of the stream, written in one transaction. Its `do` says what an
orchestrator should do; it is empty where the node only observes, so that obeying it word for word is always right. A
report ends the order. Who is halted is refused every action of every session, when enforcing, until a person releases
it, or until its relaunch is reported done.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import ConflictError, NotFoundError, RequestError, TooLargeError
from ioint_node.flows.journal import STREAM_TLP
from ioint_node.scoring.response import Choice
from ioint_node.scoring.values import Response
from ioint_node.store import held, responses, stream, webhooks
from ioint_node.store.engine import Store
from ioint_node.store.held import Holds
from ioint_node.store.responses import ACTIVE, Asked, Halt, Halted, Order, stricter
from ioint_node.store.times import to_text

ACTIONS: Final = ("interrupt", "suspend", "relaunch", "kill", "release")  # that a person may ask for
HALTS: Final = {"suspend": "suspended", "relaunch": "relaunch", "kill": "killed"}
# What an orchestrator does when it hears of a response.
DO: Final[Mapping[str, tuple[str, ...]]] = {
    "reduce": ("restrict",),
    "approve": ("wait",),
    "suspend": ("suspend",),
    "relaunch": ("relaunch", "shred"),
    "kill": ("kill", "shred"),
    "interrupt": ("interrupt",),
    "release": ("resume",),
    "shred": ("shred",),
}
NODE: Final = "node"
T = TypeVar("T")
_log = logging.getLogger(__name__)
REASON_CHARS: Final = 1_024
DETAIL_CHARS: Final = 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class RespondParts:
    """What the flows about halted actors and held actions work with.

    Attributes:
        store: the node's database.
        notify: called after a commit that engines have to hear of.
        mode: `enforce` or `observe`: whether the node itself refuses what it would refuse.
        halted: who is halted; the same object that decisions ask.
        holds: which actions are held; likewise.
        webhook_private: webhooks may lead into private networks.
    """

    store: Store
    notify: Callable[[], None]
    mode: str = "observe"
    halted: Halted = field(default_factory=Halted)
    holds: Holds = field(default_factory=Holds)
    webhook_private: bool = False


def of_action(
    halted: Halted,
    actor: str,
    session_id: str,
    decision: Mapping[str, Any],
    choice: Choice,
    *,
    before: Response,
    enforce: bool,
    now: int,
) -> Order | None:
    """What a decision asks of orchestrators, None when it asks nothing; `Order.halt` when an actor is to halt.

    Args:
        halted: who is halted.
        actor: whose action it was.
        session_id: where.
        decision: the DECISION as it is answered.
        choice: the response to the action.
        before: the response to the session's action before.
        enforce: what is asked is to be done; else it is noted as what would be asked.
        now: Unix milliseconds.
    """
    if not choice.ring:
        return None
    reasons = decision["reasons"]
    reason = reasons[0]["text"] if reasons else ", ".join(choice.causes)
    response = choice.response.value
    order = _order(
        actor,
        session_id,
        response,
        reason=reason,
        by=NODE,
        asked=enforce,
        mode=_mode(enforce),
        now=now,
        more={
            "action_id": decision["action_id"],
            "decision_id": decision["decision_id"],
            "before": before.value,
            "state": decision["verdict"],
            "effect": decision["network"]["effect"],
            "allowed": choice.allowed,
        },
    )
    if not enforce or response not in HALTS:
        return order
    state = HALTS[response]
    if stricter(halted.state_of(actor), state) == halted.state_of(actor):
        return order
    halt = Halt(actor=actor, state=state, reason=reason, by=NODE, session_id=session_id, at=to_text(now))
    return Order(row=order.row, body=order.body, halt=halt)


def on_close(halted: Halted, actor: str, session_id: str, *, enforce: bool, now: int) -> Order | None:
    """What the end of a session of a killed or relaunched actor asks: nothing of its environment may persist."""
    state = halted.state_of(actor)
    if state not in ("relaunch", "killed"):
        return None
    reason = (
        f"a session of an actor that is {'to be relaunched' if state == 'relaunch' else 'killed'} has ended"
    )
    more = {"before": state, "state": state, "effect": 0.0, "allowed": not enforce}
    return _order(
        actor,
        session_id,
        "shred",
        reason=reason,
        by=NODE,
        asked=enforce,
        mode=_mode(enforce),
        now=now,
        more=more,
    )


async def respond(
    parts: RespondParts, actor: str, action: str, *, reason: str, by: str, now: int
) -> dict[str, Any]:
    """A person interrupts, suspends, relaunches, kills or releases an actor, in whatever mode the node is.

    Raises:
        RequestError: no such action, or no text for a reason.
        NotFoundError: no such actor.
        ConflictError: it is halted more strictly already, or is not halted and would be released.
        TooLargeError: the reason is too long.
    """
    if action not in ACTIONS:
        raise RequestError(f"action: {action[:32]!r} is none of {', '.join(ACTIONS)}")
    _check_text("reason", reason, REASON_CHARS)
    why = reason or f"{action} by a person"

    async def write(connection: AsyncConnection) -> dict[str, Any]:
        if not await responses.is_known(connection, actor):
            raise NotFoundError(f"no agent {actor[:256]!r}")
        # Orders are decided one after another, and by the disk: what was decided or ordered before this is there.
        halt = await responses.halted(connection, actor)
        before = ACTIVE if halt is None else halt.state
        state = _state_after(before, action)
        more = {"before": before, "state": state, "effect": 0.0, "allowed": _allows(state, parts.mode)}
        order = _order(
            actor, None, action, reason=why, by=by, asked=True, mode=parts.mode, now=now, more=more
        )
        await responses.add(connection, [order.row])
        await stream.append(connection, "response", order.body, STREAM_TLP, now)
        if action == "release":
            await responses.release(connection, actor)
        elif action in HALTS:
            made = Halt(actor=actor, state=state, reason=why, by=by, session_id=None, at=to_text(now))
            await responses.halt(connection, made)
        return {
            "response": order.row["id"],
            "actor": actor,
            "action": action,
            "before": before,
            "state": state,
        }

    answer = await _written(parts, write, lambda told: parts.halted.put(actor, told["state"]))
    parts.notify()
    _log.info(
        "actor_order actor=%.128r action=%s before=%s state=%s by=%s",
        actor,
        action,
        answer["before"],
        answer["state"],
        by,
    )
    return answer


async def report(
    parts: RespondParts, actor: str, response: str, *, done: bool, detail: str, by: str, now: int
) -> dict[str, Any]:
    """An orchestrator says that it did what was asked, or could not. The same report again changes nothing.

    Raises:
        NotFoundError: nothing with this id was asked about this actor.
        ConflictError: nobody had to do it, or it was reported done before.
        TooLargeError: the detail is too long.
    """
    _check_text("detail", detail, DETAIL_CHARS)
    state = "done" if done else "failed"

    async def write(connection: AsyncConnection) -> tuple[Asked, bool]:
        asked = await responses.get(connection, response)
        if asked is None or asked.actor != actor:
            raise NotFoundError(f"nothing was asked about {actor[:256]!r} as {response[:64]!r}")
        if asked.state == responses.OBSERVED:
            raise ConflictError(f"response {response[:12]} was observed, not asked: there was nothing to do")
        if asked.state == state:
            return asked, False
        if asked.state == "done":
            raise ConflictError(f"response {response[:12]} was reported done before")
        said = {"done": done, "detail": detail, "by": by}
        await responses.report(connection, response, state=state, said=said, now=now)
        goes_on = done and await _relaunched(connection, asked, now, mode=parts.mode, by=by)
        told = await responses.get(connection, response)
        if told is None:
            raise AssertionError("a row vanished within its transaction")
        return told, goes_on

    def settle(ended: tuple[Asked, bool]) -> None:
        if ended[1]:
            parts.halted.put(actor, ACTIVE)

    told, goes_on = await _written(parts, write, settle)
    if goes_on:
        parts.notify()
    return told.to_json(now)


def coming(halted: Halted, order: Order | None, written: asyncio.Future[None]) -> None:
    """Let an actor be halted from the moment of the decision on, before the order's write has ended."""
    if order is None or order.halt is None:
        return
    halt = order.halt
    halted.expect(halt.actor, halt.state)
    written.add_done_callback(
        lambda done: halted.arrived(halt.actor, halt.state, written=_is_written(done)),
    )


async def standing(connection: AsyncConnection, actor: str, now: int) -> dict[str, Any]:
    """How an actor stands: `{"state", "halted", "responses"}`, the newest order first."""
    halt = await responses.halted(connection, actor)
    asked = await responses.newest(connection, actor)
    return {
        "state": ACTIVE if halt is None else halt.state,
        "halted": None
        if halt is None
        else {name: value for name, value in asdict(halt).items() if name != "actor"},
        "responses": [one.to_json(now) for one in asked],
    }


async def counts(connection: AsyncConnection, now: int) -> dict[str, Any]:
    """What waits for somebody: orders that nobody reported on, held actions, halted actors; and the webhooks."""
    return {
        **await responses.count_open(connection, now),
        "halted": await responses.count_halted(connection),
        "held": await held.count_waiting(connection, now),
        "webhooks": await webhooks.count(connection),
    }


async def _written(
    parts: RespondParts, job: Callable[[AsyncConnection], Awaitable[T]], settle: Callable[[T], None]
) -> T:
    """Run a write; `settle` hears of it in the order of the disk, also where whoever asked has gone."""
    done = parts.store.submit(job)
    done.add_done_callback(lambda ended: settle(ended.result()) if _is_written(ended) else None)
    # Cancelling would lose what memory has to hear of.
    return await asyncio.shield(done)


def _is_written(done: asyncio.Future[Any]) -> bool:
    return not done.cancelled() and done.exception() is None


async def _relaunched(connection: AsyncConnection, asked: Asked, now: int, *, mode: str, by: str) -> bool:
    """Let an actor go on whose newest order was its relaunch."""
    halt = await responses.halted(connection, asked.actor)
    if asked.response != "relaunch" or halt is None or halt.state != "relaunch" or halt.at > asked.at:
        return False
    await responses.release(connection, asked.actor)
    body: dict[str, Any] = {
        "actor": asked.actor,
        "session_id": asked.session_id,
        "response_id": asked.id,
        "before": "relaunch",
        "after": "release",
        "state": ACTIVE,
        "effect": 0.0,
        "reason": "its relaunch was reported done",
        "mode": mode,
        "allowed": True,
        "do": [],
        "by": by,
    }
    await stream.append(connection, "response", body, STREAM_TLP, now)
    return True


def _order(
    actor: str,
    session_id: str | None,
    response: str,
    *,
    reason: str,
    by: str,
    asked: bool,
    mode: str,
    now: int,
    more: Mapping[str, Any],
) -> Order:
    # Ordered by time, so that the newest of one millisecond is not a matter of chance alone.
    name = f"{now:012x}{secrets.token_hex(10)}"
    row = {
        "id": name,
        "actor": actor,
        "session_id": session_id,
        "response": response,
        "reason": reason,
        "by": by,
        "state": responses.ASKED if asked else responses.OBSERVED,
        "at": to_text(now),
    }
    body = {
        "actor": actor,
        "session_id": session_id,
        "response_id": name,
        **more,
        "after": response,
        "reason": reason,
        "mode": mode,
        "do": list(DO[response]) if asked else [],
        "by": by,
    }
    return Order(row=row, body=body)


def _state_after(before: str, action: str) -> str:
    if action == "release":
        if before == ACTIVE:
            raise ConflictError("action: the actor is active, there is nothing to release it from")
        return ACTIVE
    if action == "interrupt":
        return before
    state = HALTS[action]
    if stricter(before, state) != state:
        raise ConflictError(f"action: the actor is {before}, which is stricter: release it first")
    return state


def _mode(enforce: bool) -> str:
    return "enforce" if enforce else "observe"


def _allows(state: str, mode: str) -> bool:
    return state == ACTIVE or mode != "enforce"


def _check_text(field: str, text: str, most: int) -> None:
    if len(text) > most:
        raise TooLargeError(f"{field}: {len(text)} characters, more than {most}")
