"""Webhooks: where rows of the stream are posted, and how far each has come.

A hook belongs to the token that made it: it hears no more than that token may, and ends with it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.access.rights import rights_of
from ioint_node.errors import ConflictError, NotFoundError, RequestError
from ioint_node.store import stream
from ioint_node.store.clearance import visible
from ioint_node.store.schema import dead_letters, tokens, webhooks
from ioint_node.store.schema import stream as stream_rows
from ioint_node.store.stream import StreamRow
from ioint_node.store.times import from_text, to_text
from ioint_node.store.tokens import Caller
from ioint_node.webhook_keys import Scheme, make_secret, public_key, scheme_of

EVENTS: Final = ("reputation", "trust", "response", "withdrawal")  # `reset` is told to every hook
PER_TOKEN: Final = 8
MOST: Final = 64
GRACE_S: Final = 604_800  # for which a key that was changed may go on signing at most
ACTIVE: Final = "active"
DISABLED: Final = "disabled"
MAKER_GONE: Final = "disabled: the token that made it is revoked or has expired"
AGENT: Final = "ioint-webhooks"  # as which the node posts


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One hook; instants are RFC 3339 text. `cursor` is the newest row that was delivered or passed over.

    `filter` (canonical text) or `saved` (the id of a saved filter) narrow events about indicators, `actor` those about
    actors. `previous_secret` signs too, beside `secret`, until `previous_until`.
    """

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
    filter: str | None = None
    saved: str | None = None
    actor: str | None = None
    previous_secret: str | None = field(default=None, repr=False)
    previous_until: str | None = None
    delivered: int = 0
    delivered_at: str | None = None

    def keys(self, now: int) -> tuple[str, ...]:
        """The secrets that sign at an instant, the newest first."""
        if self.previous_secret is None or self.previous_until is None:
            return (self.secret,)
        return (self.secret, self.previous_secret) if now < from_text(self.previous_until) else (self.secret,)

    def to_json(self) -> dict[str, Any]:
        """The hook as the API lists it: without its secrets."""
        return {
            "id": self.id,
            "url": self.url,
            "events": list(self.events),
            "filter": self.filter,
            "saved": self.saved,
            "actor": self.actor,
            "tlp": self.tlp,
            "scheme": scheme_of(self.secret),
            "public_key": public_key(self.secret),
            "previous_until": self.previous_until,
            "cursor": self.cursor,
            "state": self.state,
            "attempts": self.attempts,
            "not_before": self.not_before,
            "last_status": self.last_status,
            "delivered": self.delivered,
            "delivered_at": self.delivered_at,
            "by": self.by,
            "created_at": self.created_at,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a hook is made with: where to, of what, signed how; `tlp` None is all that the token may see."""

    url: str = field(repr=False)
    events: tuple[str, ...]
    tlp: str | None = None
    filter: str | None = None
    saved: str | None = None
    actor: str | None = None
    scheme: Scheme = "v1"


async def add(connection: AsyncConnection, caller: Caller, terms: Terms, *, now: int) -> Webhook:
    """Make a hook that hears what is written from now on; its secret is to be shown once.

    Raises:
        RequestError: an unknown event, or a label above the caller's own.
        ConflictError: there are too many hooks.
    """
    wanted = tuple(name for name in EVENTS if name in terms.events)
    if not wanted or not set(terms.events) <= set(EVENTS):
        raise RequestError(f"events: some of {', '.join(EVENTS)}")
    label = caller.tlp if terms.tlp is None else terms.tlp
    if label not in visible(caller.tlp):
        raise RequestError(f"tlp: {label[:32]!r} is above {caller.tlp}, which the token may see")
    await _check_room(connection, _by(caller))
    made = Webhook(
        id=secrets.token_hex(16),
        url=terms.url,
        secret=make_secret(terms.scheme),
        events=wanted,
        tlp=label,
        cursor=await stream.high_water(connection),
        state=ACTIVE,
        attempts=0,
        not_before=to_text(now),
        last_status="nothing delivered yet",
        by=_by(caller),
        created_at=to_text(now),
        filter=terms.filter,
        saved=terms.saved,
        actor=terms.actor,
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
    if caller is not None:
        statement = statement.where(_seen_by(caller))
    return tuple(_value(row) for row in await connection.execute(statement))


async def get(connection: AsyncConnection, hook: str, caller: Caller) -> Webhook:
    """One hook.

    Raises:
        NotFoundError: no such hook that this caller may see.
    """
    statement = select(webhooks).where(webhooks.c.id == hook, _seen_by(caller))
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise NotFoundError(f"no webhook {hook[:32]!r}")
    return _value(row)


async def remove(connection: AsyncConnection, hook: str, caller: Caller) -> None:
    """Remove a hook, with what it has not heard and what was given up.

    Raises:
        NotFoundError: no such hook that this caller may see.
    """
    await get(connection, hook, caller)
    await connection.execute(delete(dead_letters).where(dead_letters.c.hook == hook))
    await connection.execute(delete(webhooks).where(webhooks.c.id == hook))


async def enable(connection: AsyncConnection, hook: str, caller: Caller, now: int) -> Webhook:
    """Let a hook go on where it is, at once; of one that waits for a next attempt, the pause ends.

    Raises:
        NotFoundError: no such hook that this caller may see.
    """
    found = await get(connection, hook, caller)
    said = found.last_status if found.state == ACTIVE else f"enabled again; before: {found.last_status}"
    await _set(connection, hook, state=ACTIVE, attempts=0, not_before=to_text(now), last_status=said)
    return await get(connection, hook, caller)


async def replay(connection: AsyncConnection, hook: str, caller: Caller, seq: int) -> Webhook:
    """Go on from a row again, which and all behind it come once more, each under the id that it had.

    Raises:
        NotFoundError: no such hook that this caller may see.
        RequestError: the row is no longer kept, or not yet written.
    """
    await get(connection, hook, caller)
    oldest, newest = await stream.oldest(connection), await stream.high_water(connection)
    if not oldest <= seq <= newest:
        raise RequestError(
            f"from: {seq} is not kept, {oldest} to {newest} are: start over from /api/v1/snapshot"
        )
    await _set(connection, hook, cursor=seq - 1)
    return await get(connection, hook, caller)


async def rotate(
    connection: AsyncConnection, hook: str, caller: Caller, *, scheme: Scheme | None, grace_s: int, now: int
) -> Webhook:
    """Give a hook a new key, to be shown once; the one before signs beside it for so many seconds.

    Raises:
        NotFoundError: no such hook that this caller may see.
    """
    found = await get(connection, hook, caller)
    await _set(
        connection,
        hook,
        secret=make_secret(scheme or scheme_of(found.secret)),
        previous_secret=found.secret if grace_s else None,
        previous_until=to_text(now + grace_s * 1000) if grace_s else None,
    )
    return await get(connection, hook, caller)


async def forget_previous(connection: AsyncConnection, now: int) -> None:
    """Remove the keys whose time to sign beside a new one is over."""
    over = webhooks.c.previous_until <= to_text(now)
    await connection.execute(update(webhooks).where(over).values(previous_secret=None, previous_until=None))


async def public_keys(connection: AsyncConnection, hook: str, now: int) -> tuple[str, ...]:
    """The public keys that a hook's posts are signed with now, none where it has a shared secret or is none."""
    row = (await connection.execute(select(webhooks).where(webhooks.c.id == hook))).one_or_none()
    keys = () if row is None else _value(row).keys(now)
    return tuple(public for key in keys if (public := public_key(key)) is not None)


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


async def active_one(connection: AsyncConnection, hook: str) -> Webhook | None:
    """A hook as it is now, None when it is gone or disabled."""
    statement = select(webhooks).where(webhooks.c.id == hook, webhooks.c.state == ACTIVE)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _value(row)


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


async def behind(connection: AsyncConnection, hook: Webhook) -> int:
    """How many rows of the stream, of the kinds that it wants, a hook has not come to; its filter is not asked."""
    statement = select(func.count()).where(
        stream_rows.c.seq > hook.cursor,
        stream_rows.c.event.in_(hook.events),
        stream_rows.c.tlp.in_(visible(hook.tlp)),
    )
    return int((await connection.execute(statement)).scalar_one())


async def note(
    connection: AsyncConnection,
    hook: Webhook,
    *,
    since: int,
) -> bool:
    """Write how far a hook has come and how the newest attempt went, unless somebody moved it since it was at `since`.

    False when its cursor is another than `since`, for a replay, or when it is gone: then nothing is written.
    """
    done = await connection.execute(
        update(webhooks)
        .where(webhooks.c.id == hook.id, webhooks.c.cursor == since)
        .values(
            cursor=hook.cursor,
            state=hook.state,
            attempts=hook.attempts,
            not_before=hook.not_before,
            last_status=hook.last_status,
            delivered=hook.delivered,
            delivered_at=hook.delivered_at,
        )
    )
    return bool(done.rowcount)


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


def _seen_by(caller: Caller) -> ColumnElement[bool]:
    # The role is not enough: a token of an administrator may be cut down to its own webhooks.
    everything = "manage" in rights_of(caller.role, caller.scopes)
    return true() if everything else webhooks.c.by == _by(caller)


async def _set(connection: AsyncConnection, hook: str, **values: object) -> None:
    await connection.execute(update(webhooks).where(webhooks.c.id == hook).values(**values))


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
        filter=row.filter,
        saved=row.saved,
        actor=row.actor,
        previous_secret=row.previous_secret,
        previous_until=row.previous_until,
        delivered=row.delivered,
        delivered_at=row.delivered_at,
    )
