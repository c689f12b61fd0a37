"""A person decides what waits: a record that would leave, an action that is held, a change of an envelope.

Whoever decides is never the actor itself: an agent's token opens no door to this. A decision on an action is an answer
that could have been negative, and counts once for or against the actor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ioint_node.errors import NotFoundError, RequestError, TooLargeError
from ioint_node.flows import assess, gap, publish
from ioint_node.flows.assess import AssessParts
from ioint_node.flows.gap import LoopParts
from ioint_node.flows.holding import decide_action, waits_no_longer
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.requests import Feedback
from ioint_node.flows.respond import RespondParts
from ioint_node.store import held
from ioint_node.store.held import Held

RECORD_DIGITS: Final = 64  # of a record's id; the others have half as many


async def decide(
    name: str,
    *,
    approve: bool,
    workflow_gap: bool,
    label: str | None = None,
    by: str,
    now: int,
    assessing: AssessParts,
    responding: RespondParts,
    exchange: ExchangeParts,
    loop: LoopParts,
) -> dict[str, Any]:
    """Decide what waits under a name, and return it as the API shows it, with its `kind`.

    Args:
        name: the id of a record, a held action or a proposed envelope change.
        approve: let it leave, go on or hold; else not.
        workflow_gap: of a held action: it was the work, and the envelope should have held it.
        label: of a record: the label of TLP 2.0 with which it leaves.
        by: the token of the person.
        now: Unix milliseconds.
        assessing: the parts of sessions, which take in what the decision says of the actor.
        responding: where actions are held.
        exchange: the parts that let records leave.
        loop: the parts of proposals.

    Raises:
        NotFoundError: nothing waits under this name.
        ConflictError: it was decided before, or has run out.
        RequestError: a workflow gap of something that is refused, is no held action, or was in scope.
    """
    if workflow_gap and not approve:
        raise RequestError(
            "workflow_gap: it says that the action was the work, and approve is false: approve it, or leave it out"
        )
    async with assessing.store.read() as connection:
        waiting = None if len(name) == RECORD_DIGITS else await held.get(connection, name)
    if waiting is not None:
        if label is not None:
            raise RequestError("tlp: a held action has no label")
        gaps = loop if workflow_gap else None
        return await _decide_action(
            assessing, responding, waiting, approve=approve, gaps=gaps, by=by, now=now
        )
    if workflow_gap:
        raise RequestError("workflow_gap: only a held action can be one")
    if label is not None and (not approve or len(name) != RECORD_DIGITS):
        raise RequestError("tlp: only a record that leaves has a label")
    try:
        if len(name) == RECORD_DIGITS:
            return as_record(await publish.decide(exchange, name, approve, by, now, label=label))
        return await gap.decide(loop, name, approve, by, now)
    except NotFoundError:
        raise NotFoundError(
            f"nothing waits here as {name!r}: no held action, change of an envelope or record has this id"
        ) from None


def as_record(shown: Mapping[str, Any]) -> dict[str, Any]:
    """A record of `outgoing` among other things that wait: `kind` says so, `record_kind` what the record is."""
    return {**shown, "kind": "record", "record_kind": shown["kind"]}


async def _decide_action(
    assessing: AssessParts,
    responding: RespondParts,
    waiting: Held,
    *,
    approve: bool,
    gaps: LoopParts | None,
    by: str,
    now: int,
) -> dict[str, Any]:
    proposal = None
    if gaps is not None:
        if waiting.state != held.WAITING:
            raise waits_no_longer(waiting.id, waiting.state)
        proposal = await gap.mark(gaps, waiting.session_id, waiting.action_id, by, now)
    decided = await decide_action(responding, waiting.id, approve=approve, by=by, now=now)
    said = Feedback(kind="approve" if approve else "reject", positive=approve, action_id=waiting.action_id)
    try:
        # The same answer again finds that it was counted, so that a crash in between is mended by asking again.
        told = await assess.feedback(assessing, waiting.session_id, said, now, by=by, by_person=True)
        counted = bool(told["counted"])
    except (NotFoundError, TooLargeError):
        counted = False  # the session is no longer known, or has been answered too often: the decision stands
    return {**decided.to_json(), "counted": counted, "proposal": None if proposal is None else proposal["id"]}
