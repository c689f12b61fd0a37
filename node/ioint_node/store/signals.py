"""Streams of security events: their settings, how far each has come, whom it is about, and what it says of itself.

A stream belongs to whoever made it, hears no more than its maker may, and ends with the maker's token. Its events are
rows of the table `stream`, and are kept nowhere else: `cursor` says up to which all are done with, and `signal_acks`
which of those behind it are too, since a receiver that polls acknowledges in whatever order it likes.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Row, case, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import ConflictError, NotFoundError
from ioint_node.signals.subjects import Format, Subject, is_wide, key_of
from ioint_node.store import stream
from ioint_node.store.schema import signal_acks, signal_notices, signal_streams, signal_subjects, tokens
from ioint_node.store.times import from_text, to_text
from ioint_node.store.tokens import Caller
from ioint_node.store.upsert import upserting

PUSH: Final = "urn:ietf:rfc:8935"
POLL: Final = "urn:ietf:rfc:8936"
ENABLED: Final = "enabled"
PAUSED: Final = "paused"
DISABLED: Final = "disabled"
NOTHING_YET: Final = "nothing delivered yet"
_TOKEN: Final = "token:"  # noqa: S105 - a prefix, not a secret
_TABLES: Final = (signal_subjects, signal_notices, signal_acks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a receiver may choose; `events` None: all that there are."""

    method: str = POLL
    endpoint_url: str = field(default="", repr=False)  # a URL may hold a secret of its own
    authorization_header: str = field(default="", repr=False)
    events: tuple[str, ...] | None = None
    description: str | None = None
    format: Format = "iss_sub"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One stream; instants are RFC 3339 text.

    `tlp` is what its maker may see now, `until` when the maker's token ends (Unix milliseconds; None: never).
    """

    id: str
    by: str
    tlp: str
    settings: Settings
    status: str
    reason: str
    cursor: int
    attempts: int
    not_before: str
    last_status: str
    verified_at: str
    heard_at: str
    created_at: str
    until: int | None = None

    @property
    def receiver(self) -> str:
        """Who made it, without the kind."""
        return self.by.removeprefix(_TOKEN)

    def over(self, now: int) -> bool:
        """Whether the token that made it is revoked, gone or has expired."""
        return self.until is not None and self.until <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a stream says of itself; `at` is RFC 3339 text."""

    number: int
    kind: str
    claims: Mapping[str, Any]
    at: str

    @property
    def stops(self) -> bool:
        """Whether it says that the stream was paused or disabled."""
        return self.claims.get("status") in (PAUSED, DISABLED)


async def add(
    connection: AsyncConnection,
    caller: Caller,
    settings: Settings,
    *,
    now: int,
    most: int,
    most_of_one: int,
) -> Stream:
    """Make a stream that hears what is written from now on.

    Raises:
        ConflictError: there are too many streams.
    """
    everything = (await connection.execute(select(func.count()).select_from(signal_streams))).scalar_one()
    own = select(func.count()).where(signal_streams.c.by == owner(caller))
    if everything >= most or (await connection.execute(own)).scalar_one() >= most_of_one:
        raise ConflictError(f"{most} streams and {most_of_one} of one receiver are the most: delete some")
    at = to_text(now)
    made = Stream(
        id=secrets.token_hex(16),
        by=owner(caller),
        tlp=caller.tlp,
        settings=settings,
        status=ENABLED,
        reason="",
        cursor=await stream.high_water(connection),
        attempts=0,
        not_before=at,
        last_status=NOTHING_YET,
        verified_at="",
        heard_at=at,
        created_at=at,
    )
    kept = {name: getattr(made, name) for name in made.__slots__ if name not in ("settings", "until")}
    await connection.execute(insert(signal_streams).values(**kept, **_columns(settings), notices=0))
    return made


async def streams_of(connection: AsyncConnection, caller: Caller) -> tuple[Stream, ...]:
    """A caller's streams, in the order in which they were made."""
    statement = _all().where(signal_streams.c.by == owner(caller))
    return tuple(_value(row) for row in await connection.execute(statement))


async def stream_of(connection: AsyncConnection, caller: Caller, name: str) -> Stream:
    """A caller's stream.

    Raises:
        NotFoundError: it has none of this id, whoever else may have.
    """
    statement = _all().where(signal_streams.c.id == name, signal_streams.c.by == owner(caller))
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise NotFoundError(f"stream_id: no stream {name[:32]!r}")
    return _value(row)


async def all_streams(connection: AsyncConnection) -> tuple[Stream, ...]:
    """Every stream, in the order in which they were made."""
    return tuple(_value(row) for row in await connection.execute(_all()))


async def settle(connection: AsyncConnection, name: str, settings: Settings, caller: Caller) -> None:
    """Give a stream other settings; what waits for it stays, and goes the new way."""
    await _update(connection, name, **_columns(settings), tlp=caller.tlp, attempts=0)


async def set_status(
    connection: AsyncConnection, name: str, status: str, reason: str, *, now: int, was: str
) -> None:
    """Enable, pause or disable a stream: a paused one holds its events, a disabled one drops them."""
    values: dict[str, Any] = {"status": status, "reason": reason, "attempts": 0, "not_before": to_text(now)}
    if DISABLED in (status, was):
        values["cursor"] = await stream.high_water(connection)
        for table in (signal_notices, signal_acks):
            await connection.execute(delete(table).where(table.c.stream_id == name))
    if status == ENABLED:
        # That it was paused is no news any more; that events are gone still is.
        stopped = [one.number for one in await notices_of(connection, name) if one.stops]
        await drop_notices(connection, name, stopped)
    await _update(connection, name, **values)


async def remove(connection: AsyncConnection, name: str) -> None:
    """Remove a stream, with all that waits for it."""
    for table in _TABLES:
        await connection.execute(delete(table).where(table.c.stream_id == name))
    await connection.execute(delete(signal_streams).where(signal_streams.c.id == name))


async def put_subject(
    connection: AsyncConnection, name: str, subject: Subject, *, wanted: bool, most: int, most_wide: int
) -> None:
    """Remember that a subject was added to a stream, or removed from it: the last word counts.

    Raises:
        ConflictError: too many are remembered, or too many that are more than one name (`wide`).
    """
    digest, wide = _digest(subject), int(is_wide(subject))
    others = select(func.count(), func.coalesce(func.sum(signal_subjects.c.wide), 0)).where(
        signal_subjects.c.stream_id == name, signal_subjects.c.digest != digest
    )
    count, wide_ones = (await connection.execute(others)).one()
    if count >= most or (wide and wide_ones >= most_wide):
        raise ConflictError(
            f"subject: {most} subjects of one stream are remembered, {most_wide} of them complex or aliases"
        )
    row = {"stream_id": name, "digest": digest, "subject": key_of(subject), "wide": wide}
    await connection.execute(
        upserting(connection, signal_subjects)
        .values(**row, wanted=int(wanted))
        .on_conflict_do_update(index_elements=["stream_id", "digest"], set_={"wanted": int(wanted)})
    )


async def subjects_among(
    connection: AsyncConnection, name: str, subjects: Iterable[Subject]
) -> dict[str, bool]:
    """Which of these subjects were added to a stream (True) and removed from it (False), by `key_of`."""
    digests = {_digest(one) for one in subjects}
    statement = select(signal_subjects.c.subject, signal_subjects.c.wanted).where(
        signal_subjects.c.stream_id == name, signal_subjects.c.digest.in_(digests)
    )
    return {text: bool(wanted) for text, wanted in await connection.execute(statement)} if digests else {}


async def wide_subjects(connection: AsyncConnection, name: str) -> tuple[tuple[dict[str, Any], bool], ...]:
    """The complex subjects and aliases that were added to a stream (True) and removed from it (False)."""
    statement = select(signal_subjects.c.subject, signal_subjects.c.wanted).where(
        signal_subjects.c.stream_id == name, signal_subjects.c.wide == 1
    )
    return tuple((json.loads(text), bool(wanted)) for text, wanted in await connection.execute(statement))


async def add_notice(
    connection: AsyncConnection, name: str, kind: str, claims: Mapping[str, Any], now: int
) -> None:
    """Let a stream say something of itself."""
    number = (
        await connection.execute(
            update(signal_streams)
            .where(signal_streams.c.id == name)
            .values(notices=signal_streams.c.notices + 1)
            .returning(signal_streams.c.notices)
        )
    ).scalar_one_or_none()
    if number is not None:
        row = {"stream_id": name, "number": number, "kind": kind, "claims": json.dumps(claims)}
        await connection.execute(insert(signal_notices).values(**row, at=to_text(now)))


async def notices_of(connection: AsyncConnection, name: str) -> tuple[Notice, ...]:
    """What a stream has to say of itself, the oldest first; there are few (`SignalLimits.notices`)."""
    statement = (
        select(signal_notices).where(signal_notices.c.stream_id == name).order_by(signal_notices.c.number)
    )
    return tuple(
        Notice(number=row.number, kind=row.kind, claims=json.loads(row.claims), at=row.at)
        for row in await connection.execute(statement)
    )


async def speaking(connection: AsyncConnection) -> frozenset[str]:
    """The streams that have something to say of themselves."""
    return frozenset((await connection.execute(select(signal_notices.c.stream_id).distinct())).scalars())


async def drop_notices(connection: AsyncConnection, name: str, numbers: Collection[int]) -> int:
    """Forget what was heard; returns how many there were."""
    statement = delete(signal_notices).where(
        signal_notices.c.stream_id == name, signal_notices.c.number.in_(numbers)
    )
    return (await connection.execute(statement)).rowcount if numbers else 0


async def acknowledged(connection: AsyncConnection, name: str) -> frozenset[int]:
    """The rows behind a stream's cursor that are done with."""
    statement = select(signal_acks.c.seq).where(signal_acks.c.stream_id == name)
    return frozenset((await connection.execute(statement)).scalars())


async def acknowledge(connection: AsyncConnection, name: str, rows: Sequence[int]) -> None:
    """Note that rows are done with."""
    if rows:
        values = [{"stream_id": name, "seq": seq} for seq in rows]
        await connection.execute(upserting(connection, signal_acks).values(values).on_conflict_do_nothing())


async def advance(connection: AsyncConnection, name: str, cursor: int) -> None:
    """Note that all rows up to here are done with."""
    later = case((signal_streams.c.cursor > cursor, signal_streams.c.cursor), else_=cursor)
    await connection.execute(update(signal_streams).where(signal_streams.c.id == name).values(cursor=later))
    await connection.execute(
        delete(signal_acks).where(signal_acks.c.stream_id == name, signal_acks.c.seq <= cursor)
    )


async def note(
    connection: AsyncConnection, name: str, *, attempts: int, not_before: int, status: str
) -> None:
    """Write how the newest attempt to deliver went; `not_before` in Unix milliseconds."""
    await _update(connection, name, attempts=attempts, not_before=to_text(not_before), last_status=status)


async def note_heard(connection: AsyncConnection, name: str, now: int) -> None:
    """Write that a stream's receiver was heard of."""
    await _update(connection, name, heard_at=to_text(now))


async def note_verified(connection: AsyncConnection, name: str, now: int) -> None:
    """Write that a verification was asked for."""
    await _update(connection, name, verified_at=to_text(now))


async def count(connection: AsyncConnection) -> dict[str, int]:
    """How many streams there are of each status."""
    statement = select(signal_streams.c.status, func.count()).group_by(signal_streams.c.status)
    found = {status: int(number) for status, number in await connection.execute(statement)}
    return {ENABLED: 0, PAUSED: 0, DISABLED: 0} | found


def owner(caller: Caller) -> str:
    """What a stream of this caller is marked with."""
    return caller.id if ":" in caller.id else f"{_TOKEN}{caller.id}"


async def _update(connection: AsyncConnection, name: str, **values: object) -> None:
    await connection.execute(update(signal_streams).where(signal_streams.c.id == name).values(**values))


def _digest(subject: Subject) -> str:
    return hashlib.sha256(key_of(subject).encode()).hexdigest()


def _all() -> Any:  # noqa: ANN401 - a Select whose columns have no common type
    return (
        select(signal_streams, tokens.c.tlp.label("clearance"), tokens.c.revoked_at, tokens.c.expires_at)
        .select_from(signal_streams.outerjoin(tokens, signal_streams.c.by == _TOKEN + tokens.c.id))
        .order_by(signal_streams.c.created_at, signal_streams.c.id)
    )


def _columns(settings: Settings) -> dict[str, Any]:
    return {
        "method": settings.method,
        "endpoint_url": settings.endpoint_url,
        "authorization_header": settings.authorization_header,
        "events_requested": None if settings.events is None else json.dumps(settings.events),
        "description": settings.description,
        "format": settings.format,
    }


def _until(row: Row[Any]) -> int | None:
    if not row.by.startswith(_TOKEN):
        return None  # who signs in elsewhere has no token here that ends
    if row.clearance is None or row.revoked_at is not None:
        return 0
    return None if row.expires_at is None else from_text(row.expires_at)


def _value(row: Row[Any]) -> Stream:
    return Stream(
        id=row.id,
        by=row.by,
        tlp=row.clearance or row.tlp,
        settings=Settings(
            method=row.method,
            endpoint_url=row.endpoint_url,
            authorization_header=row.authorization_header,
            events=None if row.events_requested is None else tuple(json.loads(row.events_requested)),
            description=row.description,
            format=row.format,
        ),
        status=row.status,
        reason=row.reason,
        cursor=row.cursor,
        attempts=row.attempts,
        not_before=row.not_before,
        last_status=row.last_status,
        verified_at=row.verified_at,
        heard_at=row.heard_at,
        created_at=row.created_at,
        until=_until(row),
    )
