"""How much there is of everything, in words of the program alone: no name, id or text of what is stored."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store.schema import (
    actors,
    decisions,
    indicators,
    metadata,
    novel_cases,
    outgoing,
    records,
    sessions,
)

# Columns with a closed list of values, which are the program's own words.
CLOSED: Final[tuple[Column[str], ...]] = (
    actors.c.kind,
    decisions.c.verdict,
    decisions.c.response,
    indicators.c.state,
    indicators.c.tier,
    novel_cases.c.state,
    outgoing.c.state,
    outgoing.c.category,
    records.c.kind,
    records.c.tlp,
    sessions.c.state,
    sessions.c.verdict,
)


async def row_counts(connection: AsyncConnection) -> dict[str, int]:
    """The number of rows of each table."""
    return {
        table.name: int((await connection.execute(select(func.count()).select_from(table))).scalar_one())
        for table in metadata.sorted_tables
    }


async def value_counts(connection: AsyncConnection) -> dict[str, dict[str, int]]:
    """How often each value of a closed list occurs, by `table.column`."""
    found = {}
    for column in CLOSED:
        rows = await connection.execute(select(column, func.count()).group_by(column).order_by(column))
        found[f"{column.table.name}.{column.name}"] = {str(value): int(count) for value, count in rows}
    return found
