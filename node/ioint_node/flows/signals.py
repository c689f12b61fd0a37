"""Streams of security events: what waits for a receiver, and what a receiver may ask of its stream.

Events are made from rows of the stream when they are delivered, never before: a row that was written in the transaction
that made it true is the outbox. The name of a token (`jti`) is the stream's and the row's, so that what is delivered
again is the same event. Rows are gone through in their order; a stream is done with one when its receiver has
taken it (push), acknowledged it or said that it cannot use it (poll), or when it is no event that it wants.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import ConfigError, ConflictError, NotFoundError, TooLargeError
from ioint_node.signals.events import ROWS, SUPPORTED, UPDATED, VERIFICATION, Event, Row, event_of
from ioint_node.signals.sets import Envelope, KeySet, sign
from ioint_node.signals.subjects import Subject, key_of, matches
from ioint_node.store import signals, stream, webhooks
from ioint_node.store.actors import people_among
from ioint_node.store.engine import Store
from ioint_node.store.signals import DISABLED, ENABLED, PAUSED, POLL, Settings, Stream
from ioint_node.store.times import from_text
from ioint_node.store.tokens import Caller

log = logging.getLogger("ioint.signals")
GAP: Final = "events older than what is kept are gone: read the state again"
HOUR_MS: Final = 3_600_000
_ROW: Final = re.compile(r"(?P<stream>[0-9a-f]{32})\.(?P<notice>n?)(?P<number>[0-9]{1,18})")
_CODE: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalLimits:
    """What streams and their receivers may cost."""

    streams: int = 64
    streams_per_receiver: int = 8
    subjects: int = 10_000  # added to a stream, or removed from it
    wide_subjects: int = 100  # of those, complex ones and aliases, each of which is held against every event
    notices: int = 100  # that wait in a stream
    sets_at_once: int = 100  # in the answer to a poll
    acks_at_once: int = 10_000
    acks_held: int = 10_000  # that may be ahead of what is not acknowledged yet
    page_rows: int = 500
    look_rows: int = 5_000  # in one look
    passed_rows: int = 1_000  # that may be passed over before the cursor is written
    signed: int = 4_096  # tokens that are remembered, to sign none of them twice
    poll_wait_s: float = 30.0
    round_s: float = 0.1  # between looks of a poll that waits
    verification_s: int = 60  # between verifications that are asked for
    inactivity_s: int = 30 * 86_400  # without a poll, after which a stream is paused


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One token before it is signed; `place` is the number of its row, or of the notice."""

    name: str
    claims: Mapping[str, Any] = field(repr=False)
    place: int
    notice: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits for a receiver, in order, notices first; `looked_to` is the row up to which nothing else does."""

    sets: tuple[Outgoing, ...]
    more: bool
    looked_to: int

    def passed(self, taken: int) -> int:
        """The row up to which all are done with once so many of the sets are taken."""
        return next((one.place - 1 for one in self.sets[taken:] if not one.notice), self.looked_to)


class Signer:
    """Signs tokens beside the loop, and remembers the newest."""

    def __init__(self, keys: Callable[[], KeySet], most: int) -> None:
        self.keys = keys
        self._most = most
        self._signed: OrderedDict[tuple[str, str, str], str] = OrderedDict()

    async def sign(self, sets: Sequence[Outgoing], now: int) -> dict[str, str]:
        """The tokens by their names."""
        return await asyncio.to_thread(self._sign, tuple(sets), now // 1000) if sets else {}

    def _sign(self, sets: tuple[Outgoing, ...], now_s: int) -> dict[str, str]:
        key = self.keys().signing(now_s)
        made = {}
        for one in sets:
            known = (key.kid, one.name, json.dumps(one.claims["sub_id"]) + one.claims["iss"])
            token = self._signed.get(known) or sign(one.claims, key)
            self._signed[known] = made[one.name] = token
        while len(self._signed) > self._most:
            with suppress(KeyError):  # another thread was faster
                self._signed.popitem(last=False)
        return made


class Polls:
    """The polls that wait, one of each stream: a newer one takes the place of an older one, which ends."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Event] = {}
        self._closed = False

    def wake(self) -> None:
        """There may be something to hear."""
        for event in self._waiting.values():
            event.set()

    def close(self) -> None:
        """Let all go: the server is stopping."""
        self._closed = True
        self.wake()

    def join(self, name: str) -> asyncio.Event:
        """Wait for a stream's events from now on."""
        older, mine = self._waiting.get(name), asyncio.Event()
        self._waiting[name] = mine
        if older is not None:
            older.set()
        return mine

    def waiting(self, name: str) -> asyncio.Event | None:
        """What the poll of a stream waits for, None where none does."""
        return self._waiting.get(name)

    def holds(self, name: str, mine: asyncio.Event) -> bool:
        """Whether this is still the poll that waits."""
        return self._waiting.get(name) is mine and not self._closed

    def leave(self, name: str, mine: asyncio.Event) -> None:
        """Wait no more."""
        if self._waiting.get(name) is mine:
            del self._waiting[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalParts:
    """What the flows about streams of security events work with.

    Attributes:
        store: the node's database.
        issuer: the URL that the node is known by, "" where it has none that others may use.
        signer: signs.
        notify: called after a commit that the transmitter or a poll should look at.
        all_subjects: a new stream is about every subject (`default_subjects` ALL), else about those that are added.
        private: streams may be pushed into private networks.
        polls: the polls that wait.
        looked: how far each stream's rows have been looked through, in this process.
        counts: tokens and streams by what became of them.
    """

    store: Store
    issuer: Callable[[], str]
    signer: Signer
    notify: Callable[[], None]
    all_subjects: bool = True
    private: bool = False
    limits: SignalLimits = field(default_factory=SignalLimits)
    polls: Polls = field(default_factory=Polls)
    looked: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def known_as(self) -> str:
        """The issuer.

        Raises:
            ConfigError: the node has no URL that receivers may use.
        """
        issuer = self.issuer()
        if not issuer:
            raise ConfigError("public_url is not set: write the https URL by which receivers reach this node")
        return issuer

    def audience(self, of: Stream) -> str:
        """Who the receiver of a stream is, in `aud`."""
        return f"{self.known_as()}/ssf/receivers/{of.receiver}"


def delivered(settings: Settings) -> tuple[str, ...]:
    """The events of a stream: those of what its receiver asked for that there are."""
    return tuple(one for one in SUPPORTED if settings.events is None or one in settings.events)


async def waiting(parts: SignalParts, connection: AsyncConnection, of: Stream, limit: int) -> Waiting:
    """What waits for a receiver, `limit` tokens at most.

    What a stream says of itself comes first, and a change of its status also while it is not enabled.
    """
    envelope = Envelope(issuer=parts.known_as(), audience=parts.audience(of))
    at = max(of.cursor, parts.looked.get(of.id, 0))
    notices = await signals.notices_of(connection, of.id)
    said = [
        Outgoing(
            name=f"{of.id}.n{one.number}",
            claims=envelope.claims(
                f"{of.id}.n{one.number}",
                from_text(one.at),
                {"format": "opaque", "id": of.id},
                one.kind,
                one.claims,
            ),
            place=one.number,
            notice=True,
        )
        for one in notices
        if of.status == ENABLED or one.kind == UPDATED
    ]
    if len(said) > limit or of.status != ENABLED:
        return Waiting(sets=tuple(said[:limit]), more=len(said) > limit, looked_to=at)
    rows, more, looked_to = await _events(parts, connection, of, at, limit - len(said))
    sets = [
        Outgoing(
            name=f"{of.id}.{seq}",
            claims=envelope.of_event(event, f"{of.id}.{seq}", of.settings.format),
            place=seq,
            notice=False,
        )
        for seq, event in rows
    ]
    found = Waiting(sets=(*said, *sets), more=more, looked_to=looked_to)
    parts.looked[of.id] = max(at, found.passed(0))
    return found


async def _events(
    parts: SignalParts, connection: AsyncConnection, of: Stream, at: int, limit: int
) -> tuple[list[tuple[int, Event]], bool, int]:
    """The events behind a row that a stream waits for; whether there are more; the row up to which none else is."""
    limits, kinds = parts.limits, [kind for one in delivered(of.settings) for kind in ROWS[one]]
    done = await signals.acknowledged(connection, of.id)
    ends, found = at + limits.look_rows, list[tuple[int, Event]]()
    while True:
        rows, looked = await webhooks.pending(connection, at, kinds, of.tlp, limits.page_rows)
        read = [
            Row(seq=row.seq, at=from_text(row.at), event=row.event, body=json.loads(row.body))
            for row in rows
            if row.seq not in done
        ]
        for seq, event in await _wanted(parts, connection, of, read):
            if len(found) >= limit:
                return found, True, seq - 1
            found.append((seq, event))
        at = looked
        if len(rows) < limits.page_rows:
            return found, False, at
        if at >= ends:
            return found, True, at


async def _wanted(
    parts: SignalParts, connection: AsyncConnection, of: Stream, rows: Sequence[Row]
) -> list[tuple[int, Event]]:
    """The events among some rows that a stream is to hear, each with the number of its row."""
    people = await people_among(connection, {row.body["actor"] for row in rows if "actor" in row.body})
    issuer, types = parts.known_as(), delivered(of.settings)
    made = [(row.seq, event_of(row, issuer, person=row.body.get("actor") in people)) for row in rows]
    events = [(seq, event) for seq, event in made if event is not None and event.type in types]
    names = [name for _, event in events for name in event.principal.names]
    if not names:
        return []
    exact = await signals.subjects_among(connection, of.id, names)
    wide = await signals.wide_subjects(connection, of.id)
    return [(seq, event) for seq, event in events if _is_about(event, exact, wide, parts.all_subjects)]


def _is_about(
    event: Event, exact: Mapping[str, bool], wide: Sequence[tuple[Subject, bool]], default: bool
) -> bool:
    """Whether a stream is about an event's subject, by any of its names; an addition weighs more than a removal."""
    names = event.principal.names
    said = [exact[key] for name in names if (key := key_of(name)) in exact]
    said += [wanted for subject, wanted in wide if any(matches(subject, name) for name in names)]
    return any(said) if said else default


async def close_gap(parts: SignalParts, of: Stream, oldest: int, now: int) -> Stream:
    """Tell an enabled stream that rows which it has not heard are kept no longer, and go on at the oldest that is."""
    if of.status != ENABLED or max(of.cursor, parts.looked.get(of.id, 0)) + 1 >= oldest:
        return of

    async def write(connection: AsyncConnection) -> None:
        await signals.add_notice(connection, of.id, UPDATED, {"status": of.status, "reason": GAP}, now)
        await signals.advance(connection, of.id, oldest - 1)

    await parts.store.write(write)
    parts.counts["gaps"] += 1
    log.warning("signals_gap stream=%s rows=%d", of.id, oldest - 1 - of.cursor)
    return replace(of, cursor=oldest - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a poll asks (RFC 8936): how many at most, whether to wait, what was taken, and what could not be used."""

    most: int
    wait: bool
    acks: Sequence[str] = ()
    errors: Mapping[str, str] = field(default_factory=dict)  # name → code


async def poll(
    parts: SignalParts, caller: Caller, name: str, ask: Ask, now: Callable[[], int]
) -> tuple[dict[str, str], bool]:
    """Take what was acknowledged, then answer what waits, by name, and whether there is more.

    Raises:
        NotFoundError: the caller has no such stream that is polled.
    """
    of = await _polled(parts, caller, name, now())
    await _heard(parts, of, ask, now())
    ends_s = asyncio.get_running_loop().time() + (parts.limits.poll_wait_s if ask.wait and ask.most else 0.0)
    mine = parts.polls.join(name)
    try:
        while True:
            mine.clear()
            found = await _look(parts, caller, name, max(1, min(ask.most, parts.limits.sets_at_once)), now())
            left_s = ends_s - asyncio.get_running_loop().time()
            if not ask.most:
                return {}, bool(found.sets)
            if found.sets or left_s <= 0 or not parts.polls.holds(name, mine):
                parts.counts["polled"] += len(found.sets)
                return await parts.signer.sign(found.sets, now()), found.more
            # Not `wait_for`, which in Python 3.11 may lose a cancellation that comes together with a wake.
            with suppress(TimeoutError):
                async with asyncio.timeout(0.0 if found.more else left_s):
                    await mine.wait()
            await asyncio.sleep(parts.limits.round_s)
    finally:
        parts.polls.leave(name, mine)


async def _polled(parts: SignalParts, caller: Caller, name: str, now: int) -> Stream:
    async with parts.store.read() as connection:
        of = await signals.stream_of(connection, caller, name)
    # A token may end while its poll waits.
    if of.over(now) or of.settings.method != POLL:
        raise NotFoundError(f"stream_id: no stream {name[:32]!r} that is polled")
    return of


async def _look(parts: SignalParts, caller: Caller, name: str, limit: int, now: int) -> Waiting:
    of = await _polled(parts, caller, name, now)
    async with parts.store.read() as connection:
        oldest = await stream.oldest(connection)
    of = await close_gap(parts, of, oldest, now)
    async with parts.store.read() as connection:
        found = await waiting(parts, connection, of, limit)
        ahead = len(await signals.acknowledged(connection, name))
    clear = found.passed(0)
    if clear > of.cursor and (ahead or clear - of.cursor >= parts.limits.passed_rows):
        await parts.store.write(lambda connection: signals.advance(connection, name, clear))
    return found


async def _heard(parts: SignalParts, of: Stream, ask: Ask, now: int) -> None:
    """Write what a poll says of earlier ones: both what was taken and what cannot be used are done with."""
    named = [*ask.acks, *ask.errors]
    if len(named) > parts.limits.acks_at_once:
        raise TooLargeError(f"ack: {len(named)} names, more than {parts.limits.acks_at_once} at once")
    rows, notices = _places(of.id, named)
    fresh = now - from_text(of.heard_at) < HOUR_MS
    if fresh and not rows and not notices:
        return

    async def write(connection: AsyncConnection) -> int:
        newest = await stream.high_water(connection)
        done = await signals.acknowledged(connection, of.id)
        new = sorted(seq for seq in rows if of.cursor < seq <= newest and seq not in done)
        room = parts.limits.acks_held - len(done)
        # Where nothing more is held, the first that waits still is taken: what is held behind it goes with it.
        taken = new[:room] if room > 0 else await _first(parts, connection, of, new)
        await signals.acknowledge(connection, of.id, taken)
        gone = await signals.drop_notices(connection, of.id, notices)
        await signals.note_heard(connection, of.id, now)
        return len(taken) + gone

    parts.counts["acknowledged"] += await parts.store.write(write)
    for jti, code in ask.errors.items():
        if _ROW.fullmatch(jti) and jti.startswith(of.id):
            parts.counts["refused"] += 1
            log.warning("signals_refused token=%s error=%s", jti, known_code(code))


async def _first(
    parts: SignalParts, connection: AsyncConnection, of: Stream, rows: Sequence[int]
) -> list[int]:
    found = await waiting(parts, connection, of, parts.limits.notices + 1)
    return [one.place for one in found.sets if not one.notice and one.place in rows][:1]


def _places(name: str, jtis: Iterable[str]) -> tuple[set[int], set[int]]:
    """The rows and notices of a stream that these tokens are; what is none of its own is passed over."""
    rows, notices = set[int](), set[int]()
    for jti in jtis:
        found = _ROW.fullmatch(jti)
        if found is not None and found["stream"] == name:
            (notices if found["notice"] else rows).add(int(found["number"]))
    return rows, notices


def known_code(code: str) -> str:
    """A receiver's error code as it may be written down."""
    return code if _CODE.fullmatch(code) else "other"


async def change_status(
    parts: SignalParts, of: Stream, status: str, reason: str, now: int, *, told: bool
) -> None:
    """Enable, pause or disable a stream; `told`: the receiver, who has not asked for it, is told."""

    async def write(connection: AsyncConnection) -> None:
        await signals.set_status(connection, of.id, status, reason, now=now, was=of.status)
        if told:
            said = {"status": status, "reason": reason} if reason else {"status": status}
            await signals.add_notice(connection, of.id, UPDATED, said, now)

    await parts.store.write(write)
    log.info("signals_status stream=%s before=%s after=%s", of.id, of.status, status)
    parts.notify()


async def ask_verification(parts: SignalParts, caller: Caller, name: str, state: str | None, now: int) -> int:
    """Let a verification come; returns 0, or the milliseconds after which it may be asked for again.

    Raises:
        NotFoundError: the caller has no such stream.
        ConflictError: the stream is disabled, so that nothing would come.
    """

    async def write(connection: AsyncConnection) -> int:
        of = await signals.stream_of(connection, caller, name)
        if of.status == DISABLED:
            raise ConflictError("stream_id: the stream is disabled, and drops what is sent")
        last = from_text(of.verified_at) if of.verified_at else None
        early = 0 if last is None else last + parts.limits.verification_s * 1000 - now
        full = len(await signals.notices_of(connection, name)) >= parts.limits.notices
        if early > 0 or full:
            return max(early, parts.limits.verification_s * 1000 if full else 0)
        claims = {} if state is None else {"state": state}
        await signals.add_notice(connection, name, VERIFICATION, claims, now)
        await signals.note_verified(connection, name, now)
        return 0

    early = await parts.store.write(write)
    parts.notify()
    return early


async def tidy(parts: SignalParts, found: Sequence[Stream], oldest: int, now: int) -> tuple[Stream, ...]:
    """End the streams whose makers are gone, pause those that nobody polls any more; returns the others.

    `oldest` is the oldest row that is kept: a cursor that it has overtaken is written, where nothing waits behind it.
    """
    for name in [one.id for one in found if one.over(now)]:
        await parts.store.write(partial(signals.remove, name=name))
        parts.counts["ended"] += 1
        log.info("signals_ended stream=%s: the token that made it is revoked or has expired", name)
    kept = [one for one in found if not one.over(now)]
    for name in parts.looked.keys() - {one.id for one in kept}:
        del parts.looked[name]
    for of in kept:
        looked = parts.looked.get(of.id, 0)
        if of.cursor + 1 < oldest <= looked + 1:
            await parts.store.write(partial(signals.advance, name=of.id, cursor=looked))
    silent_ms = parts.limits.inactivity_s * 1000
    silent = [
        one
        for one in kept
        if one.settings.method == POLL
        and one.status == ENABLED
        and now - from_text(one.heard_at) >= silent_ms
    ]
    for of in silent:
        reason = f"not polled for {parts.limits.inactivity_s // 86_400} days"
        await change_status(parts, of, PAUSED, reason, now, told=True)
    return tuple(one for one in kept if one not in silent)
