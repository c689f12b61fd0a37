"""Proofs that an author signed two segments of one height: one for each author is kept, and it is enough."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store.schema import equivocations


async def of(connection: AsyncConnection, authors: Collection[str]) -> list[bytes]:
    """The proof against each of these authors of whom there is one, by author; of several that of the lowest height."""
    lowest = (
        select(equivocations.c.author, func.min(equivocations.c.seq).label("seq"))
        .where(equivocations.c.author.in_(list(authors)))
        .group_by(equivocations.c.author)
        .subquery()
    )
    rows = await connection.execute(
        select(equivocations.c.proof)
        .join(lowest, (equivocations.c.author == lowest.c.author) & (equivocations.c.seq == lowest.c.seq))
        .order_by(equivocations.c.author)
    )
    return [bytes(proof) for proof in rows.scalars()]


async def forget(connection: AsyncConnection, author: str) -> None:
    """Keep no proof against an author any more."""
    await connection.execute(delete(equivocations).where(equivocations.c.author == author))
