"""What is forgotten: raw events hold what agents and people said, and are kept no longer than they are needed."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store import held, incidents, novel, responses, stream
from ioint_node.store.schema import events, sessions
from ioint_node.store.times import DAY_MS, to_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """For how long rows are kept, in days."""

    events_days: int = 30
    stream_days: int = 30


async def forget(connection: AsyncConnection, now: int, retention: Retention) -> tuple[int, int]:
    """Remove raw events of closed sessions and stream rows that are too old; return how many of each went.

    What was held for a person and asked of orchestrators goes with the events, but not what nobody reported on.
    Abstract paths go after 30 days at the latest, incidents a year after they were closed. What was decided and why
    stays: decisions hold no raw text.
    """
    before = now - retention.events_days * DAY_MS
    await held.trim(connection, before)
    await responses.trim(connection, before)
    await incidents.trim(connection, now)
    await novel.trim(connection, now // DAY_MS - min(novel.KEPT_DAYS, retention.events_days))
    closed = select(sessions.c.id).where(sessions.c.state == "closed")
    done = await connection.execute(
        delete(events).where(events.c.at < to_text(before), events.c.session_id.in_(closed))
    )
    return done.rowcount, await stream.trim(connection, now - retention.stream_days * DAY_MS)
