"""How sessions were judged in the end: benign where they never left their scope, or a person said that it was right."""

from __future__ import annotations

from typing import Final

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store.schema import decisions, matches, paths, session_days, sessions

_BENIGN: Final = and_(
    sessions.c.state == "closed",
    sessions.c.actions > 0,
    or_(sessions.c.verdict != "out_of_scope", sessions.c.cleared == 1),
)


async def benign_sessions(connection: AsyncConnection) -> int:
    """How many sessions that did something were judged benign."""
    counted = select(func.count()).select_from(sessions).where(_BENIGN)
    return int((await connection.execute(counted)).scalar_one())


async def riskiest_benign(connection: AsyncConnection, limit: int) -> tuple[float, ...]:
    """The highest risks of sessions that were judged benign, the highest first."""
    statement = select(sessions.c.risk).where(_BENIGN).order_by(sessions.c.risk.desc()).limit(limit)
    return tuple((await connection.execute(statement)).scalars())


async def departed_actions(connection: AsyncConnection, session_id: str) -> frozenset[str]:
    """The actions of a session that were out of scope, by their ids."""
    statement = select(decisions.c.action_id).where(
        decisions.c.session_id == session_id, decisions.c.verdict == "out_of_scope"
    )
    return frozenset((await connection.execute(statement)).scalars())


async def clear_session(connection: AsyncConnection, session_id: str, day: int) -> None:
    """Judge a closed session benign that was judged flagged on a day; once done, it changes nothing."""
    settled = await connection.execute(
        update(sessions)
        .where(sessions.c.id == session_id, sessions.c.state == "closed", sessions.c.cleared == 0)
        .values(cleared=1)
    )
    if settled.rowcount:
        await connection.execute(
            update(matches)
            .where(matches.c.session_id == session_id, matches.c.judged == "flagged")
            .values(judged="benign")
        )
        await connection.execute(update(paths).where(paths.c.session_id == session_id).values(flagged=0))
        await connection.execute(
            update(session_days)
            .where(session_days.c.day == day, session_days.c.flagged > 0)
            .values(flagged=session_days.c.flagged - 1)
        )
