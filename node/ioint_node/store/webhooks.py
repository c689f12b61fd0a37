"""Webhooks: where rows of the stream are posted, and how far each has come.

A hook belongs to the token that made it: it hears no more than that token may, and ends with it.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import ConflictError, NotFoundError, RequestError
from ioint_node.store import stream
from ioint_node.store.clearance import visible
from ioint_node.store.schema import stream as stream_rows
from ioint_node.store.schema import tokens, webhooks
from ioint_node.store.stream import StreamRow
from ioint_node.store.times import from_text, to_text
from ioint_node.store.tokens import Caller

EVENTS: Final = ("reputation", "trust", "response", "withdrawal")  # `reset` is told to every hook
SECRET_BYTES: Final = 32
PER_TOKEN: Final = 8
MOST: Final = 64
ACTIVE: Final = "active"
DISABLED: Final = "disabled"
MAKER_GONE: Final = "disabled: the token that made it is revoked or has expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One hook; instants are RFC 3339 text. `cursor` is the newest row that was delivered or passed over."""

    id: str
    url: str = field(repr=False)  # a URL may hold a secret of its own
    secret: str = field(repr=False)
    events: tuple[str, ...]
    tlp: str
    cursor: int
    state: str
    attempts: int
    not_before: str
    last_status: str
    by: str
    created_at: str

    def to_json(self) -> dict[str, Any]:
        """The hook as the API lists it: without its secret."""
        return {
            "id": self.id,
            "url": self.url,
            "events": list(self.events),
            "tlp": self.tlp,
            "cursor": self.cursor,
            "state": self.state,
            "attempts": self.attempts,
            "not_before": self.not_before,
            "last_status": self.last_status,
            "by": self.by,
            "created_at": self.created_at,
        }


async def add(
    connection: AsyncConnection, caller: Caller, *, url: str, events: Sequence[str], tlp: str | None, now: int
) -> Webhook:
    """Make a hook that hears what is written from now on; its secret is to be shown once.

    Raises:
        RequestError: an unknown event, or a label above the caller's own.
        ConflictError: there are too many hooks.
    """
    wanted = tuple(dict.fromkeys(events))
    if not wanted or not set(wanted) <= set(EVENTS):
        raise RequestError(f"events: some of {', '.join(EVENTS)}")
    label = caller.tlp if tlp is None else tlp
    if label not in visible(caller.tlp):
        raise RequestError(f"tlp: {label[:32]!r} is above {caller.tlp}, which the token may see")
    await _check_room(connection, _by(caller))
    made = Webhook(
        id=secrets.token_hex(16),
        url=url,
        secret="whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode(),
        events=wanted,
        tlp=label,
        cursor=await stream.high_water(connection),
        state=ACTIVE,
        attempts=0,
        not_before=to_text(now),
        last_status="nothing delivered yet",
        by=_by(caller),
        created_at=to_text(now),
    )
    values = {name: getattr(made, name) for name in made.__slots__}
    await connection.execute(insert(webhooks).values(**{**values, "events": json.dumps(wanted)}))
    return made


async def list_hooks(
    connection: AsyncConnection, limit: int, after: str | None = None, *, caller: Caller | None = None
) -> tuple[Webhook, ...]:
    """Hooks in the order of their ids, those after `after`; with a caller only those it may see: its own, or all."""
    statement = select(webhooks).order_by(webhooks.c.id).limit(limit)
    if after is not None:
        statement = statement.where(webhooks.c.id > after)
    if caller is not None and caller.role != "admin":
        statement = statement.where(webhooks.c.by == _by(caller))
    return tuple(_value(row) for row in await connection.execute(statement))


async def remove(connection: AsyncConnection, hook: str, caller: Caller) -> None:
    """Remove a hook, with what it has not heard.

    Raises:
        NotFoundError: no such hook that this caller may see.
    """
    statement = delete(webhooks).where(webhooks.c.id == hook)
    if caller.role != "admin":
        statement = statement.where(webhooks.c.by == _by(caller))
    if not (await connection.execute(statement)).rowcount:
        raise NotFoundError(f"no webhook {hook[:32]!r}")


async def active(connection: AsyncConnection) -> tuple[tuple[Webhook, str | None, int | None], ...]:
    """Every active hook with the clearance of the token that made it, None when it is gone, and its expiry (ms)."""
    statement = (
        select(webhooks, tokens.c.tlp.label("clearance"), tokens.c.revoked_at, tokens.c.expires_at)
        .select_from(webhooks.outerjoin(tokens, webhooks.c.by == "token:" + tokens.c.id))
        .where(webhooks.c.state == ACTIVE)
        .order_by(webhooks.c.id)
    )
    return tuple(
        (
            _value(row),
            None if row.revoked_at is not None else row.clearance,
            None if row.expires_at is None else from_text(row.expires_at),
        )
        for row in await connection.execute(statement)
    )


async def pending(
    connection: AsyncConnection, cursor: int, events: Sequence[str], clearance: str, limit: int
) -> tuple[tuple[StreamRow, ...], int]:
    """Rows after a cursor that a hook wants and may see, and how far the stream has been looked through."""
    newest = await stream.high_water(connection)
    statement = (
        select(stream_rows)
        .where(
            stream_rows.c.seq > cursor,
            stream_rows.c.seq <= newest,
            stream_rows.c.event.in_(events),
            stream_rows.c.tlp.in_(visible(clearance)),
        )
        .order_by(stream_rows.c.seq)
        .limit(limit)
    )
    found = tuple(
        StreamRow(seq=row.seq, at=row.at, event=row.event, tlp=row.tlp, body=row.body)
        for row in await connection.execute(statement)
    )
    return found, found[-1].seq if len(found) == limit else max(newest, cursor)


async def note(
    connection: AsyncConnection,
    hook: str,
    *,
    cursor: int,
    state: str,
    attempts: int,
    not_before: int,
    status: str,
) -> None:
    """Write how far a hook has come and how the newest attempt went; `not_before` in Unix milliseconds."""
    await connection.execute(
        update(webhooks)
        .where(webhooks.c.id == hook)
        .values(
            cursor=cursor,
            state=state,
            attempts=attempts,
            not_before=to_text(not_before),
            last_status=status,
        )
    )


async def count(connection: AsyncConnection) -> dict[str, int]:
    """How many hooks there are in each state."""
    statement = select(webhooks.c.state, func.count()).group_by(webhooks.c.state)
    found = {state: int(number) for state, number in await connection.execute(statement)}
    return {ACTIVE: 0, DISABLED: 0} | found


async def _check_room(connection: AsyncConnection, by: str) -> None:
    everything = (await connection.execute(select(func.count()).select_from(webhooks))).scalar_one()
    own = (await connection.execute(select(func.count()).where(webhooks.c.by == by))).scalar_one()
    if everything >= MOST or own >= PER_TOKEN:
        raise ConflictError(f"url: {MOST} webhooks and {PER_TOKEN} of one token are the most: delete some")


def _by(caller: Caller) -> str:
    return f"token:{caller.id}"


def _value(row: Row[Any]) -> Webhook:
    return Webhook(
        id=row.id,
        url=row.url,
        secret=row.secret,
        events=tuple(json.loads(row.events)),
        tlp=row.tlp,
        cursor=row.cursor,
        state=row.state,
        attempts=row.attempts,
        not_before=row.not_before,
        last_status=row.last_status,
        by=row.by,
        created_at=row.created_at,
    )
