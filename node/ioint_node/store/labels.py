"""What is known of a record from the logs: how closed it is, and which public names others have published."""

from __future__ import annotations

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.reputation.dossier import PUBLIC
from ioint_node.store.log import UNLABELLED, statement_id
from ioint_node.store.schema import records


async def public_subjects(connection: AsyncConnection, ours: str | None, limit: int) -> frozenset[str]:
    """Public subjects that members other than `ours` reported, at most `limit`."""
    statement = (
        select(records.c.subject)
        .where(
            records.c.kind == "report",
            records.c.subject.startswith(PUBLIC),
            records.c.author != (ours or ""),
        )
        .distinct()
        .limit(limit)
    )
    return frozenset((await connection.execute(statement)).scalars())


async def label_of(connection: AsyncConnection, record: str, author: str | None) -> str:
    """The label of a report, or of another statement of this author; the most closed when it is not known."""
    own = statement_id(author or "", record)
    statement = (
        select(records.c.tlp)
        .where(or_(records.c.id == own, and_(records.c.of == record, records.c.kind == "report")))
        .limit(1)
    )
    return (await connection.execute(statement)).scalar_one_or_none() or UNLABELLED
