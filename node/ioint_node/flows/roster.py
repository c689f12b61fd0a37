"""Who is a member: the roster in force, and how a newer one takes its place.

The first roster is installed by the operator, who compared its consortium id with the founders. From then on files are
believed only as they follow from those in force (`membership.follow`); whoever gave them. A member that was away asks
any other for what it lacks, and a steward's node says every day that the newest roster still is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias

from ioint_protocol import Files, ProtocolError, Roster, bundle, sync
from ioint_protocol.sync import RosterVersions
from nacl.signing import SigningKey
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node import membership
from ioint_node.membership import LIFETIMES, Lifetimes, Membership, Terms
from ioint_node.store.engine import Store
from ioint_node.store.schema import roster_files
from ioint_node.store.times import to_text

Ask: TypeAlias = Callable[[str, bytes], Awaitable[bytes]]

ANSWERS_IN_A_ROW: Final = 64
"""Requests for one roster: roots that fill a frame each, then the rest."""
FIRST_PAUSE_S: Final = 10
MOST_PAUSE_S: Final = 600
"""Pauses after which a member whose roster was refused is asked again; the honest ones are up to date by then."""
_STAMP: Final = "timestamp.json"


@dataclass(slots=True)
class RosterBook:
    """Holds the roster in force; one for a running node."""

    held: Membership | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)  # one takes over files at a time

    def in_force(self, now: int) -> Roster | None:
        """The roster, or None when there is none or it has expired: then the node runs alone."""
        last = self.last
        return None if last is None or now >= last.expires * 1000 else last

    @property
    def last(self) -> Roster | None:
        """The newest roster, even if it has expired: its members may still be asked for a newer one."""
        return None if self.held is None else self.held.roster

    @property
    def files(self) -> Files:
        """The files that prove it, none when there is no roster."""
        return {} if self.held is None else self.held.files

    @property
    def versions(self) -> RosterVersions:
        """How far this node has the roster."""
        return RosterVersions() if self.held is None else self.held.versions

    @property
    def version(self) -> int:
        """The version of the newest roster, 0 when there is none."""
        return 0 if self.held is None else self.held.roster.version

    @property
    def consortium(self) -> str | None:
        """The consortium's id, which every signature names."""
        return None if self.held is None else self.held.roster.consortium


async def open_book(store: Store) -> RosterBook:
    """The book as the store holds it; every signature is checked again."""
    async with store.read() as connection:
        rows = await connection.execute(select(roster_files.c.name, roster_files.c.body))
        files = {str(row.name): bytes(row.body) for row in rows}
    return RosterBook(await asyncio.to_thread(membership.recall, files) if files else None)


async def install(
    store: Store, book: RosterBook, files: Files, now: int, *, consortium: str | None = None
) -> bool:
    """Take over files that follow from those in force, all of them or none; True when the roster is newer now.

    With nothing in force, `consortium` is the id that the first root must have, None to take any.

    Raises:
        ProtocolError: they do not follow.
    """
    async with book.turn:
        new = await asyncio.to_thread(membership.follow, book.held, files, consortium=consortium)
        if new.versions == book.versions:
            return False
        if not await store.write(partial(_keep, before=book.files, files=new.files, now=now)):
            return False
        book.held = new
        return True


async def replace_fork(store: Store, book: RosterBook, files: Files, now: int) -> None:
    """Put a roster of the same consortium in the place of that in force, from which it does not follow.

    For an operator who was told by several stewards which of two rosters goes on: nothing else joins the halves again.

    Raises:
        ProtocolError: the files prove no roster by themselves, or `rollback`: it is an older one.
    """
    async with book.turn:
        new = await asyncio.to_thread(membership.follow, None, files, consortium=book.consortium)
        if new.roster.version < book.version:
            raise ProtocolError("rollback", f"version {new.roster.version}, older than {book.version}")
        if await store.write(partial(_keep, before=book.files, files=new.files, now=now)):
            book.held = new


async def look_again(store: Store, book: RosterBook) -> bool:
    """Take over what a command of the operator installed meanwhile; True when there is something newer."""
    async with store.read() as connection:
        newest = await _stamp_in(connection)
    if newest is None or newest == book.files.get(_STAMP):
        return False
    async with book.turn:
        book.held = (await open_book(store)).held
    return True


async def answer_roster(book: RosterBook, body: bytes) -> bytes:
    """Answer `/ioint/roster`: the files that are newer than the asker's.

    Raises:
        ProtocolError: the request is none.
    """
    return sync.encode_roster_answer(book.files, book.versions, sync.decode_roster_request(body))


async def ask_roster(ask: Ask, have: RosterVersions) -> dict[str, bytes]:
    """The files of the roster that a peer has and we have not, unverified; none when there is nothing newer.

    Raises:
        ProtocolError: the peer's answer is none, or is endless.
    """
    files: dict[str, bytes] = {}
    for _ in range(ANSWERS_IN_A_ROW):
        asked = RosterVersions(root=max(have.root, bundle.newest_root(files)), timestamp=have.timestamp)
        answer = sync.decode_roster_answer(await ask(sync.ROSTER, sync.encode_roster_request(asked)), asked)
        files |= answer
        if not answer or _STAMP in answer:
            return files
    raise ProtocolError("too_large", f"a roster of more than {ANSWERS_IN_A_ROW} answers")


@dataclass(slots=True)
class Patience:
    """Whom not to ask for a roster now: a member whose last ones were refused, for a pause that doubles."""

    _refused: dict[str, tuple[int, int]] = field(
        default_factory=dict
    )  # member → refusals in a row, until when (ms)

    def may_ask(self, member: str, now: int) -> bool:
        """Whether this member's pause is over, if it has one; `now` in ms."""
        return now >= self._refused.get(member, (0, 0))[1]

    def note(self, member: str, now: int, *, refused: bool) -> None:
        """Remember how asking ended."""
        times = self._refused.pop(member, (0, 0))[0]
        if refused:
            pause_s = min(FIRST_PAUSE_S << min(times, 16), MOST_PAUSE_S)
            self._refused[member] = (times + 1, now + pause_s * 1000)


async def keep_fresh(
    store: Store,
    book: RosterBook,
    now: int,
    *,
    clock: SigningKey | None,
    steward: SigningKey | None,
    lifetimes: Lifetimes = LIFETIMES,
) -> bool:
    """At a steward's node: sign the timestamp anew when it is due, and the roster itself where one steward is enough.

    True when something newer is in force. Elsewhere, and while it is not due, nothing happens.
    """
    held = book.held
    if held is None or clock is None:
        return False
    if bytes(clock.verify_key).hex() not in {steward.clock_key for steward in held.roster.council}:
        return False
    if steward is not None and held.roster.threshold == 1 and membership.renewal_due(held, now, lifetimes):
        renewed = await asyncio.to_thread(_renewed, held, steward, clock, now, lifetimes)
        return await install(store, book, renewed, now)
    if not membership.stamp_due(held, now, lifetimes):
        return False
    stamped = await asyncio.to_thread(partial(membership.stamp, held, clock, now, lifetimes=lifetimes))
    return await install(store, book, stamped, now)


def _renewed(
    held: Membership, steward: SigningKey, clock: SigningKey, now: int, lifetimes: Lifetimes
) -> Files:
    terms = Terms.of(held.roster)
    return membership.next_version(held, terms, [steward], clock, now, lifetimes=lifetimes).files


async def _keep(connection: AsyncConnection, *, before: Files, files: Files, now: int) -> bool:
    """Replace the files, unless another process did so since we read them."""
    if await _stamp_in(connection) != before.get(_STAMP):
        return False
    await connection.execute(delete(roster_files))
    rows = [{"name": name, "body": data, "installed_at": to_text(now)} for name, data in files.items()]
    await connection.execute(insert(roster_files), rows)
    return True


async def _stamp_in(connection: AsyncConnection) -> bytes | None:
    found = await connection.execute(select(roster_files.c.body).where(roster_files.c.name == _STAMP))
    body = found.scalar_one_or_none()
    return None if body is None else bytes(body)
