"""The baseline of each actor, in its row of `actors`."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.scoring.baseline import Baseline
from ioint_node.store.schema import actors

_log = logging.getLogger(__name__)


async def find_baseline(connection: AsyncConnection, actor: str) -> Baseline | None:
    """The baseline of an actor, None when nothing is kept, or what is kept cannot be read."""
    text = (
        await connection.execute(select(actors.c.baseline).where(actors.c.id == actor))
    ).scalar_one_or_none()
    return read_baseline(text)


def read_baseline(text: str | None) -> Baseline | None:
    """The baseline of a column's text; one that cannot be read is logged and learned anew."""
    if not text:
        return None
    try:
        return Baseline.from_json(msgspec.json.decode(text))
    except ValueError as error:  # msgspec's own is one of them
        _log.error("baseline_unreadable error=%s: it is learned anew", error)
        return None


async def save_baselines(connection: AsyncConnection, baselines: Sequence[tuple[str, Baseline]]) -> None:
    """Write the baselines of several actors that have a row already, each named once."""
    rows = [
        {"actor": actor, "text": msgspec.json.encode(baseline.to_json()).decode()}
        for actor, baseline in baselines
    ]
    statement = update(actors).where(actors.c.id == bindparam("actor")).values(baseline=bindparam("text"))
    await connection.execute(statement, rows)
