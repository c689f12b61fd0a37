"""The proof that a member signed a record, which anyone checks who has the roster (SPEC, "Inclusion")."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from ioint_protocol import inclusion_proof, parse_segment
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store import listings, log


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """A record of an author's log, its place there, and the proof of it; `root` and `head` are hex."""

    author: str
    seq: int
    index: int
    head: str
    root: str
    proof: bytes = field(repr=False)


async def prove(
    connection: AsyncConnection, record: str, authors: Collection[str], *, clearance: str
) -> tuple[Inclusion, ...]:
    """Prove a record by its id: once for each of `authors` who signed it, as far as `clearance` sees it.

    A proof holds digests of the records beside it, and a record can be found from its digest by trying: only what
    stands among records that this clearance sees as well is proven.
    """
    statements = {log.statement_id(author, record) for author in authors}
    found = []
    for row in await listings.statements(connection, statements, clearance=clearance):
        wire = await log.wire_of(connection, row["author"], row["segment"])
        hidden = await listings.hidden_in(connection, row["author"], row["segment"], clearance=clearance)
        if wire is not None and not hidden:
            found.append(_inclusion(wire, bytes(row["body"])))
    return tuple(found)


def _inclusion(wire: bytes, body: bytes) -> Inclusion:
    segment = parse_segment(wire)
    index = segment.bodies.index(body)
    return Inclusion(
        author=segment.header.author,
        seq=segment.header.seq,
        index=index,
        head=segment.head,
        root=segment.header.root,
        proof=inclusion_proof(wire, index),
    )
