"""What this node would tell, waits to tell, or has told: the exact bytes of each record, for ever."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Row, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import RequestError
from ioint_node.reputation.dossier import PUBLIC
from ioint_node.store.clearance import LABELS, visible
from ioint_node.store.schema import outgoing
from ioint_node.store.times import to_text
from ioint_node.store.upsert import upserting

STATES: Final = ("held", "ready", "left", "refused")
PAGE_ROWS: Final = 500
SUBJECTS_MOST: Final = 10_000  # public subjects of our own that an id is looked for among


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A record that would leave, waits, left or was refused; instants are RFC 3339 text.

    `category` is what a standing approval would call it, "" for what only a person asks for. `tlp` is its label: its
    own, or that of the report which it names.
    """

    id: str
    kind: str
    subject: str
    body: bytes = field(repr=False)
    explain: Sequence[Mapping[str, Any]] = field(repr=False)
    state: str
    reason: str
    not_before: str
    at: str
    decided_by: str | None = None
    left_at: str | None = None
    segment: int | None = None
    category: str = ""
    tlp: str

    def to_json(self) -> dict[str, Any]:
        """The record as the API shows it, with its bytes in base64 and their meaning field by field."""
        return {
            "id": self.id,
            "kind": self.kind,
            "subject": self.subject,
            "bytes_b64": base64.b64encode(self.body).decode("ascii"),
            "explain": list(self.explain),
            "state": self.state,
            "reason": self.reason,
            "not_before": self.not_before,
            "at": self.at,
            "decided_by": self.decided_by,
            "left_at": self.left_at,
            "segment": self.segment,
            "category": self.category,
            "tlp": self.tlp,
        }


async def add(connection: AsyncConnection, record: Outgoing) -> bool:
    """Note a record; False when the same bytes were noted before, which changes nothing."""
    done = await connection.execute(
        upserting(connection, outgoing)
        .values(
            id=record.id,
            kind=record.kind,
            subject=record.subject,
            body=record.body,
            explain=json.dumps(record.explain, separators=(",", ":")),
            state=record.state,
            reason=record.reason,
            not_before=record.not_before,
            at=record.at,
            decided_by=record.decided_by,
            category=record.category,
            tlp=record.tlp,
        )
        .on_conflict_do_nothing(index_elements=["id"])
    )
    return done.rowcount > 0


async def get(connection: AsyncConnection, record: str) -> Outgoing | None:
    """One record by its id."""
    row = (await connection.execute(select(outgoing).where(outgoing.c.id == record))).one_or_none()
    return None if row is None else _value(row)


async def about(connection: AsyncConnection, subject: str) -> tuple[Outgoing, ...]:
    """Everything noted about a subject, oldest first."""
    statement = select(outgoing).where(outgoing.c.subject == subject).order_by(outgoing.c.at, outgoing.c.id)
    return tuple(_value(row) for row in await connection.execute(statement))


async def public_subjects(connection: AsyncConnection) -> tuple[str, ...]:
    """The public subjects that something was noted about, the newest first, so many that one may look at each."""
    statement = (
        select(outgoing.c.subject)
        .where(outgoing.c.subject.startswith(PUBLIC))
        .group_by(outgoing.c.subject)
        .order_by(func.max(outgoing.c.at).desc(), outgoing.c.subject)
        .limit(SUBJECTS_MOST)
    )
    return tuple((await connection.execute(statement)).scalars())


async def ready(connection: AsyncConnection, now: int, limit: int) -> tuple[Outgoing, ...]:
    """The oldest records that may leave now."""
    statement = (
        select(outgoing)
        .where(outgoing.c.state == "ready", outgoing.c.not_before <= to_text(now))
        .order_by(outgoing.c.not_before, outgoing.c.at, outgoing.c.id)
        .limit(limit)
    )
    return tuple(_value(row) for row in await connection.execute(statement))


async def decide(
    connection: AsyncConnection, record: str, *, state: str, reason: str, not_before: int, by: str
) -> None:
    """Note what a person decided about a held record."""
    await connection.execute(
        update(outgoing)
        .where(outgoing.c.id == record, outgoing.c.state == "held")
        .values(state=state, reason=reason, not_before=to_text(not_before), decided_by=by)
    )


async def replace(connection: AsyncConnection, ids: Sequence[str], reason: str) -> None:
    """End the waiting of records of which something newer would be said, for a person or for a slot."""
    await connection.execute(
        update(outgoing)
        .where(outgoing.c.id.in_(ids), outgoing.c.state.in_(("held", "ready")))
        .values(state="refused", reason=reason)
    )


async def refuse_unsaid(connection: AsyncConnection, reason: str) -> None:
    """End the waiting of everything that would say something new: of all but withdrawals."""
    await connection.execute(
        update(outgoing)
        .where(outgoing.c.state.in_(("held", "ready")), outgoing.c.kind != "withdrawal")
        .values(state="refused", reason=reason)
    )


async def mark_left(connection: AsyncConnection, ids: Sequence[str], segment: int, now: int) -> None:
    """Note that records left in a segment of our own log."""
    await connection.execute(
        update(outgoing)
        .where(outgoing.c.id.in_(ids))
        .values(state="left", left_at=to_text(now), segment=segment)
    )


async def list_outgoing(
    connection: AsyncConnection,
    limit: int,
    cursor: str | None = None,
    *,
    state: str | None = None,
    clearance: str = LABELS[-1],
) -> tuple[tuple[Outgoing, ...], str | None]:
    """A page of what would leave, waits, left or was refused, newest first, and the cursor of the next one.

    Raises:
        RequestError: an unknown state, or a limit out of range.
    """
    if not 1 <= limit <= PAGE_ROWS:
        raise RequestError(f"limit: {limit}, must be 1 to {PAGE_ROWS}")
    if state is not None and state not in STATES:
        raise RequestError(f"state: {state[:32]!r} is none of {', '.join(STATES)}")
    statement = (
        select(outgoing)
        .where(outgoing.c.tlp.in_(visible(clearance)))
        .order_by(outgoing.c.at.desc(), outgoing.c.id)
        .limit(limit + 1)
    )
    if state is not None:
        statement = statement.where(outgoing.c.state == state)
    if cursor is not None:
        at, _, last = cursor.partition("~")
        statement = statement.where((outgoing.c.at < at) | ((outgoing.c.at == at) & (outgoing.c.id > last)))
    rows = (await connection.execute(statement)).all()
    page = tuple(_value(row) for row in rows[:limit])
    return page, f"{page[-1].at}~{page[-1].id}" if len(rows) > limit else None


def _value(row: Row[Any]) -> Outgoing:
    return Outgoing(
        id=row.id,
        kind=row.kind,
        subject=row.subject,
        body=bytes(row.body),
        explain=json.loads(row.explain),
        state=row.state,
        reason=row.reason,
        not_before=row.not_before,
        at=row.at,
        decided_by=row.decided_by,
        left_at=row.left_at,
        segment=row.segment,
        category=row.category,
        tlp=row.tlp,
    )
