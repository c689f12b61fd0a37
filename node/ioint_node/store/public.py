"""The newest public bundle, and the indicators that everybody may read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store.schema import indicators, public_bundles

CLEAR: Final = "clear"
NOTHING_SAID: Final = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicBundle:
    """A bundle as it is served: its number, what is in it (SHA-256 of the objects), until when it is good.

    `key_document` tells the public key that signed it.
    """

    seq: int
    content: str
    expires_at: str
    envelope: bytes = field(repr=False)
    key_document: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearIndicator:
    """An indicator with the label clear: its row, what records call it, the pattern itself where it is a novel one."""

    row: Mapping[str, Any]
    subject: str
    novel: Mapping[str, Any] | None


async def clear_mark(connection: AsyncConnection) -> tuple[str, int]:
    """The last change of what is clear, and how much there is: while both stay, nothing changed."""
    found = await connection.execute(
        select(func.max(indicators.c.added_at), func.count()).where(indicators.c.tlp == CLEAR)
    )
    newest, count = found.one()
    return newest or "", int(count)


async def clear_indicators(connection: AsyncConnection, limit: int) -> tuple[Sequence[ClearIndicator], int]:
    """What everybody may read, the highest scores first, and how many more there are than were asked for."""
    wanted = (indicators.c.tlp == CLEAR, indicators.c.state != NOTHING_SAID)
    statement = (
        select(indicators.c.body)
        .where(*wanted)
        .order_by(indicators.c.score.desc(), indicators.c.id)
        .limit(limit)
    )
    found = [_clear(body) for body in (await connection.execute(statement)).scalars()]
    count = (await connection.execute(select(func.count()).where(*wanted))).scalar_one()
    return found, int(count) - len(found)


async def newest(connection: AsyncConnection) -> PublicBundle | None:
    """The bundle that is served, None before the first."""
    statement = select(public_bundles).order_by(public_bundles.c.seq.desc()).limit(1)
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        return None
    return PublicBundle(
        seq=row.seq,
        content=row.content,
        expires_at=row.expires_at,
        envelope=bytes(row.envelope),
        key_document=bytes(row.key_document),
    )


async def newest_seq(connection: AsyncConnection) -> int | None:
    """The number of the bundle that is served, None before the first."""
    seq: int | None = (await connection.execute(select(func.max(public_bundles.c.seq)))).scalar_one()
    return seq


async def put(connection: AsyncConnection, made: PublicBundle) -> None:
    """Serve this one from now on."""
    await connection.execute(delete(public_bundles).where(public_bundles.c.seq < made.seq))
    await connection.execute(insert(public_bundles).values(asdict(made)))


def _clear(text: str) -> ClearIndicator:
    body = json.loads(text)
    details = body["details"]
    return ClearIndicator(row=body["row"], subject=details["subject"], novel=details["novel"])
