"""One session as the chain of delegation needs it, without its events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store.schema import sessions


async def find_head(connection: AsyncConnection, session_id: str) -> Mapping[str, Any] | None:
    """Actor, family, envelope, verdict, risk, state, parent and principal of a session, or None."""
    columns = sessions.c
    statement = select(
        columns.actor,
        columns.family,
        columns.envelope,
        columns.verdict,
        columns.risk,
        columns.state,
        columns.parent,
        columns.principal,
    ).where(columns.id == session_id)
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else dict(row)
