"""Tokens of callers: 256 random bits, of which only the SHA-256 hash is kept.

A hash of 256 random bits needs no salt and no slow function: there is nothing to guess. The time of a lookup by
hash tells an attacker nothing, because the attacker does not choose the hash.

A rotated token keeps its id and gets a new secret. Where a grace is given, the old secret stays a row of its own, of
the same id with `.old` behind it, that expires with the grace: it signs in as the same caller, marked as `old`.

A token may be cut down to scopes (`access.rights`), and bound to a client certificate (RFC 8705, 3): then it opens
nothing on a connection without that certificate.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.access.certificates import THUMBPRINT
from ioint_node.access.rights import ROLES, check_scopes
from ioint_node.errors import BusyError, ConflictError, NotFoundError, RequestError
from ioint_node.store.clearance import LABELS
from ioint_node.store.engine import Store
from ioint_node.store.schema import tokens
from ioint_node.store.times import DAY_MS, from_text, to_text

PREFIX = "ioint_"
GRACE_S = 86_400  # for which a rotated secret may stay valid at most
_OLD = ".old"
CREDENTIALS = 16  # of one actor that are looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who holds a token, and what it opens: a role, the one actor of an agent, a TLP clearance, perhaps less by scopes.

    `old` says that it came with a secret that was rotated and is still in its grace. `certificate` is the thumbprint
    (base64url of the SHA-256) of the client certificate that the token is bound to.
    """

    id: str
    role: str
    actor: str | None
    tlp: str
    expires: int | None
    old: bool = False
    scopes: frozenset[str] | None = None  # None: all that the role opens
    certificate: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token as it is shown once, when it is made or rotated; `expires` in Unix milliseconds."""

    id: str
    token: str = field(repr=False)
    role: str
    actor: str | None
    tlp: str
    expires: int | None
    scopes: tuple[str, ...] | None
    certificate: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """What is known of a token later; all instants are RFC 3339 text.

    `age_days` is that of the secret, in whole days; `old_until` is when a rotated secret stops, where one still works.
    """

    id: str
    role: str
    actor: str | None
    tlp: str
    age_days: int
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    rotated_at: str | None
    revoked_at: str | None
    old_until: str | None
    scopes: tuple[str, ...] | None
    certificate: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """How fresh an actor's credential is, in days.

    Since it was issued, since its secret became another one (None: never), until it ends (None: it has no end).
    """

    age_days: float
    rotated_days: float | None
    expires_in_days: float | None


async def create(
    connection: AsyncConnection,
    role: str,
    actor: str | None,
    tlp: str,
    expires: int | None,
    *,
    scopes: Sequence[str] | None = None,
    certificate: str | None = None,
    now: int | None = None,
) -> NewToken:
    """Make a token; `expires` and `now` in Unix milliseconds, `certificate` the thumbprint of the one that it needs.

    Raises:
        RequestError: an unknown role, label or scope, an agent without its actor, or an expiry in the past.
    """
    now = _clock() if now is None else now
    _check_terms(role, actor, tlp, expires, now)
    if certificate is not None and not THUMBPRINT.fullmatch(certificate):
        raise RequestError(
            "certificate: write the base64url of the SHA-256 of the certificate, 43 characters"
        )
    cut = None if scopes is None else tuple(sorted(check_scopes(role, scopes)))
    made = NewToken(
        id=secrets.token_hex(8),
        token=PREFIX + secrets.token_urlsafe(32),
        role=role,
        actor=actor,
        tlp=tlp,
        expires=expires,
        scopes=cut,
        certificate=certificate,
    )
    await connection.execute(
        insert(tokens).values(
            id=made.id,
            hash=_digest(made.token),
            role=role,
            actor=actor,
            tlp=tlp,
            created_at=to_text(now),
            expires_at=None if expires is None else to_text(expires),
            scopes=None if cut is None else " ".join(cut),
            certificate=certificate,
        )
    )
    return made


async def rotate(
    connection: AsyncConnection, token_id: str, *, grace_s: int = 0, now: int | None = None
) -> NewToken:
    """Give a token a new secret; the old one works for `grace_s` seconds more, or no longer. The rest stays as it was.

    Raises:
        NotFoundError: no token has this id.
        ConflictError: it is revoked or has expired.
        RequestError: the grace is out of range.
    """
    now = _clock() if now is None else now
    if not 0 <= grace_s <= GRACE_S:
        raise RequestError(f"grace_s: {grace_s}, must be 0 to {GRACE_S}")
    row = await _found(connection, token_id)
    expires = None if row.expires_at is None else from_text(row.expires_at)
    if row.revoked_at is not None or (expires is not None and expires <= now):
        raise ConflictError(f"token {token_id!r} is revoked or has expired: make another")
    made = NewToken(
        id=token_id,
        token=PREFIX + secrets.token_urlsafe(32),
        role=row.role,
        actor=row.actor,
        tlp=row.tlp,
        expires=expires,
        scopes=_scopes(row),
        certificate=row.certificate,
    )
    await connection.execute(delete(tokens).where(tokens.c.id == token_id + _OLD))
    await connection.execute(
        update(tokens)
        .where(tokens.c.id == token_id)
        .values(hash=_digest(made.token), rotated_at=to_text(now))
    )
    if grace_s:
        ends = now + grace_s * 1_000
        same = ("hash", "role", "actor", "tlp", "created_at", "scopes", "certificate")
        kept = {name: getattr(row, name) for name in same}
        ends = ends if expires is None else min(ends, expires)
        await connection.execute(insert(tokens).values(id=token_id + _OLD, expires_at=to_text(ends), **kept))
    return made


async def check(connection: AsyncConnection, token: str, now: int) -> Caller | None:
    """The caller that holds this token, or None when it is unknown, expired or revoked."""
    digest = _digest(token)
    row = (await connection.execute(select(tokens).where(tokens.c.hash == digest))).one_or_none()
    if row is None or not hmac.compare_digest(row.hash, digest) or row.revoked_at is not None:
        return None
    expires = None if row.expires_at is None else from_text(row.expires_at)
    if expires is not None and expires <= now:
        return None
    return Caller(
        id=row.id.removesuffix(_OLD),
        role=row.role,
        actor=row.actor,
        tlp=row.tlp,
        expires=expires,
        old=row.id.endswith(_OLD),
        scopes=None if (cut := _scopes(row)) is None else frozenset(cut),
        certificate=row.certificate,
    )


async def list_tokens(
    connection: AsyncConnection, limit: int = 100, after: str | None = None, *, now: int | None = None
) -> tuple[TokenRow, ...]:
    """Tokens in the order of their ids, those after `after`; never a token itself."""
    now = _clock() if now is None else now
    statement = select(tokens).where(tokens.c.id.not_like(f"%{_OLD}")).order_by(tokens.c.id).limit(limit)
    if after is not None:
        statement = statement.where(tokens.c.id > after)
    rows = (await connection.execute(statement)).all()
    aging = select(tokens.c.id, tokens.c.expires_at).where(
        tokens.c.id.in_([row.id + _OLD for row in rows]), tokens.c.expires_at > to_text(now)
    )
    ends = {key.removesuffix(_OLD): end for key, end in await connection.execute(aging)}
    return tuple(_row(row, ends.get(row.id), now) for row in rows)


async def get(connection: AsyncConnection, token_id: str, *, now: int | None = None) -> TokenRow:
    """What is known of one token.

    Raises:
        NotFoundError: no token has this id.
    """
    return _row(await _found(connection, token_id), None, _clock() if now is None else now)


async def credential_of(connection: AsyncConnection, actor: str, now: int) -> Credential | None:
    """The credential that an actor used last, None when it has no valid one of its own; `now` in Unix milliseconds."""
    statement = (
        select(tokens)
        .where(tokens.c.actor == actor, tokens.c.revoked_at.is_(None), tokens.c.id.not_like(f"%{_OLD}"))
        .order_by(tokens.c.last_used_at.desc(), tokens.c.created_at.desc())
        .limit(CREDENTIALS)
    )
    rows = (await connection.execute(statement)).all()
    valid = [row for row in rows if row.expires_at is None or from_text(row.expires_at) > now]
    # Both databases put null where they like in an order: never used comes last here.
    row = max(valid, key=lambda one: (one.last_used_at or "", one.created_at), default=None)
    if row is None:
        return None
    return Credential(
        age_days=_days(now - from_text(row.created_at)),
        rotated_days=None if row.rotated_at is None else _days(now - from_text(row.rotated_at)),
        expires_in_days=None if row.expires_at is None else _days(from_text(row.expires_at) - now),
    )


async def revoke(connection: AsyncConnection, token_id: str, *, now: int | None = None) -> None:
    """Make a token worthless, with an old secret that is still in its grace; a second time changes nothing.

    Raises:
        NotFoundError: no token has this id.
    """
    row = await _found(connection, token_id)
    await connection.execute(delete(tokens).where(tokens.c.id == token_id + _OLD))
    if row.revoked_at is None:
        at = to_text(_clock() if now is None else now)
        await connection.execute(update(tokens).where(tokens.c.id == token_id).values(revoked_at=at))


async def note_use(connection: AsyncConnection, used: dict[str, int]) -> None:
    """Write when tokens were last used: id to Unix milliseconds."""
    for token_id, at in used.items():
        await connection.execute(
            update(tokens).where(tokens.c.id == token_id).values(last_used_at=to_text(at))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLimits:
    """How many callers are remembered, and for how long without asking the database again."""

    callers: int = 4096
    fresh_ms: int = 5_000  # a revoke by another process is noticed within this
    note_use_ms: int = 60_000


class TokenCache:
    """Checks tokens, mostly from memory; belongs to one event loop."""

    def __init__(self, store: Store, limits: CacheLimits | None = None) -> None:
        self._store = store
        self._limits = limits or CacheLimits()
        self._callers: OrderedDict[str, tuple[Caller, int]] = OrderedDict()
        self._used: dict[str, int] = {}
        self._noted_at = 0

    async def check(self, token: str, now: int) -> Caller | None:
        """The caller that holds this token, or None; at most `fresh_ms` old."""
        caller = self.remembered(token, now)
        if caller is None:
            async with self._store.read() as connection:
                caller = await check(connection, token, now)
            if caller is None:
                return None
            self._remember(_digest(token), caller, now)
            self._note_use(caller, now)
        return caller

    def remembered(self, token: str, now: int) -> Caller | None:
        """The same when it is known without asking the database, else None."""
        caller = self._remembered(_digest(token), now)
        if caller is not None:
            self._note_use(caller, now)
        return caller

    def forget(self, token_id: str) -> None:
        """Drop a token from memory, at once: it was revoked or rotated."""
        for digest in [d for d, (caller, _) in self._callers.items() if caller.id == token_id]:
            del self._callers[digest]

    def _remembered(self, digest: str, now: int) -> Caller | None:
        caller, asked_at = self._callers.get(digest, (None, 0))
        # What was asked in a future that a clock was put back from is not fresh either.
        if caller is None or not 0 <= now - asked_at <= self._limits.fresh_ms:
            return None
        return None if caller.expires is not None and caller.expires <= now else caller

    def _remember(self, digest: str, caller: Caller, now: int) -> None:
        self._callers[digest] = (caller, now)
        self._callers.move_to_end(digest)
        while len(self._callers) > self._limits.callers:
            self._callers.popitem(last=False)

    def _note_use(self, caller: Caller, now: int) -> None:
        self._used[caller.id] = now
        if 0 <= now - self._noted_at < self._limits.note_use_ms:
            return
        used, self._used, self._noted_at = self._used, {}, now
        with suppress(BusyError):
            self._store.submit(lambda connection: note_use(connection, used)).add_done_callback(_heard)


def _heard(future: object) -> None:
    # When a token was last used is a convenience: losing one note is no fault, an unread exception is noise.
    getattr(future, "exception", lambda: None)()


def _check_terms(role: str, actor: str | None, tlp: str, expires: int | None, now: int) -> None:
    if role not in ROLES:
        raise RequestError(f"role: {role[:32]!r} is none of {', '.join(ROLES)}")
    if (role == "agent") != bool(actor):
        raise RequestError("actor: an agent's token is bound to one actor, the others to none")
    if tlp not in LABELS:
        raise RequestError(f"tlp: {tlp[:32]!r} is none of {', '.join(LABELS)}")
    if expires is not None and expires <= now:
        raise RequestError(f"expires: {to_text(expires)} is in the past")


async def _found(connection: AsyncConnection, token_id: str) -> Row[Any]:
    row = (await connection.execute(select(tokens).where(tokens.c.id == token_id))).one_or_none()
    if row is None or token_id.endswith(_OLD):
        raise NotFoundError(f"no token {token_id[:32]!r}")
    return row


def _row(row: Row[Any], old_until: str | None, now: int) -> TokenRow:
    return TokenRow(
        id=row.id,
        role=row.role,
        actor=row.actor,
        tlp=row.tlp,
        age_days=int(_days(now - from_text(row.rotated_at or row.created_at))),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        rotated_at=row.rotated_at,
        revoked_at=row.revoked_at,
        old_until=old_until,
        scopes=_scopes(row),
        certificate=row.certificate,
    )


def _scopes(row: Row[Any]) -> tuple[str, ...] | None:
    return None if row.scopes is None else tuple(row.scopes.split())


def _days(ms: int) -> float:
    return max(0, ms) / DAY_MS


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _clock() -> int:
    return time.time_ns() // 1_000_000
