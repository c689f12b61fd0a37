"""What the gate decided of a record, written down among what would leave: in place of what it makes stale."""

from __future__ import annotations

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.flows.draft import Draft, bad_of
from ioint_node.privacy.gate import DAY_MS, PARAMS, Hold, Refuse
from ioint_node.store import outgoing
from ioint_node.store.outgoing import Outgoing
from ioint_node.store.times import from_text

ALREADY_SAID: Final = "already said"


async def note(connection: AsyncConnection, draft: Draft, now: int, *, by: str | None = None) -> bool:
    """Write down what the gate decided of a record, in place of an older count that waits; True when it may leave.

    `by` is the person who asked for it by name.
    """
    if draft.outcome.reason.startswith(ALREADY_SAID):
        return False
    rows = [
        row for row in await outgoing.about(connection, draft.subject) if _accuses(row.kind) == draft.accuses
    ]
    since = now - PARAMS.once_days * DAY_MS
    if isinstance(draft.outcome, Hold) and any(_asked(row, draft, since) for row in rows):
        return False
    older = [row.id for row in rows if _waits(row, now) and row.id != draft.id]
    noted = draft.noted(now, by=by)
    if isinstance(draft.outcome, Refuse):
        await outgoing.add(connection, noted)
        return False
    await outgoing.replace(connection, older, "a newer count takes its place")
    if not await outgoing.add(connection, noted) and noted.state == "ready":
        # The same bytes were held under another setting.
        await outgoing.decide(
            connection,
            noted.id,
            state="ready",
            reason=noted.reason,
            not_before=from_text(noted.not_before),
            by=noted.decided_by or "the setting",
        )
    return noted.state == "ready"


def _accuses(kind: str) -> bool | None:
    """Whether a record of this kind speaks against its subject or for it; None for one that takes back."""
    return {"report": True, "sighting": True, "dispute": False}.get(kind)


def _waits(row: Outgoing, now: int) -> bool:
    """Whether a record waits for a person, or for an emission slot that has not come."""
    return row.state == "held" or (row.state == "ready" and from_text(row.not_before) > now)


def _asked(row: Outgoing, draft: Draft, since: int) -> bool:
    """Whether a person was asked the same before, and has not answered or has said no."""
    waits = row.state == "held" or (row.state == "refused" and row.decided_by is not None)
    return waits and from_text(row.at) > since and draft.bad <= bad_of(row)
