"""Who is a member: the roster in force, and how a newer one takes its place.

The first roster is installed by the operator, who compared its consortium id with the founders. From then on a
roster is believed only when it follows from the one in force: one version more, signed by a threshold of the
stewards before and after. Every version is kept, so that a member that was away can be given the chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ioint_protocol import ProtocolError, Roster, VerifiedRoster, verify_roster
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store.engine import Store
from ioint_node.store.schema import rosters
from ioint_node.store.times import to_text


@dataclass(slots=True)
class RosterBook:
    """Holds the roster in force; one for a running node."""

    verified: VerifiedRoster | None = None

    def in_force(self, now: int) -> Roster | None:
        """The roster, or None when there is none or it has expired: then the node runs alone."""
        if self.verified is None or now >= self.verified.roster.expires * 1000:
            return None
        return self.verified.roster

    @property
    def last(self) -> Roster | None:
        """The newest roster, in force or expired: its members may be asked for a newer one."""
        return None if self.verified is None else self.verified.roster

    @property
    def version(self) -> int:
        """The version of the newest roster, 0 when there is none."""
        return 0 if self.verified is None else self.verified.roster.version

    @property
    def consortium(self) -> str | None:
        """The consortium's id, which every signature names."""
        return None if self.verified is None else self.verified.consortium


async def open_book(store: Store) -> RosterBook:
    """The book as the store holds it; every link of the chain is verified again."""
    async with store.read() as connection:
        rows = await connection.execute(select(rosters.c.wire).order_by(rosters.c.version))
        wires = [bytes(row.wire) for row in rows]
    book = RosterBook()
    for wire in wires:
        book.verified = verify_roster(wire, _trusted(book))
    return book


async def install(store: Store, book: RosterBook, wires: Sequence[bytes], now: int) -> bool:
    """Take over every roster of `wires` that follows from the one in force, oldest first; True when any did.

    Raises:
        ProtocolError: one of them is newer and does not follow.
    """
    changed = False
    for wire in wires:
        verified = verify_roster(wire, _trusted(book))
        if book.verified is not None and verified.roster.version <= book.verified.roster.version:
            continue
        if book.verified is not None and verified.consortium != book.verified.consortium:
            raise ProtocolError("wrong_consortium", f"{verified.consortium[:12]}…, not {book.consortium}")
        await store.write(partial(_keep, verified=verified, now=now))
        book.verified = verified
        changed = True
    return changed


async def _keep(connection: AsyncConnection, *, verified: VerifiedRoster, now: int) -> None:
    await connection.execute(
        insert(rosters).values(version=verified.roster.version, wire=verified.wire, installed_at=to_text(now))
    )


async def look_again(store: Store, book: RosterBook) -> bool:
    """Take over what a command of the operator installed meanwhile; True when there is a newer version."""
    fresh = await open_book(store)
    if fresh.verified is None or (book.verified is not None and fresh.version <= book.version):
        return False
    book.verified = fresh.verified
    return True


def _trusted(book: RosterBook) -> Roster | None:
    return None if book.verified is None else book.verified.roster
