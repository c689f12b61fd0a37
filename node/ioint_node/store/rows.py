"""Many rows at once: the statement is SQLAlchemy's, the rows go to the driver as they are.

SQLAlchemy makes a dictionary and a set of parameters of each row; for the rows of records that costs as much as SQLite.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from sqlalchemy import JSON, Dialect, Select, Table, TableValuedAlias, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection


async def insert_rows(
    connection: AsyncConnection,
    table: Table,
    columns: tuple[str, ...],
    rows: Sequence[tuple[object, ...]],
    *,
    unless: tuple[str, ...] = (),
    replacing: tuple[str, ...] = (),
) -> int | None:
    """Insert rows of these columns, in order.

    A row that exists, by the unique columns `unless`, is left as it is; one that exists by `replacing` is replaced.
    Returns how many were written, None where the driver does not say.
    """
    if not rows:
        return 0
    text, places = _compiled(connection.dialect, table, columns, unless, replacing)
    ordered = rows if places is None else [tuple(row[place] for place in places) for row in rows]
    done = await connection.exec_driver_sql(text, list(ordered))
    return done.rowcount if done.rowcount >= 0 else None


def listed(connection: AsyncConnection, values: Iterable[str]) -> TableValuedAlias:
    """Some values as a table with one column, `value`.

    However many they are, the statement is the same: as places in a list each number of them would be a statement of
    its own, to be built, parsed, and kept by the driver.
    """
    written = literal(sorted(values), JSON)
    if connection.dialect.name == "postgresql":
        return func.json_array_elements_text(written).table_valued("value")
    return func.json_each(written).table_valued("value")


def among(connection: AsyncConnection, values: Iterable[str]) -> Select[tuple[str]]:
    """Some values to look for a column's in."""
    return select(listed(connection, values).c.value)


@lru_cache(maxsize=64)
def _compiled(
    dialect: Dialect,
    table: Table,
    columns: tuple[str, ...],
    unless: tuple[str, ...],
    replacing: tuple[str, ...],
) -> tuple[str, tuple[int, ...] | None]:
    """The text of the statement, and the order in which it takes the columns when that is another."""
    made = postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)
    if unless:
        made = made.on_conflict_do_nothing(index_elements=list(unless))
    if replacing:
        fresh = {name: made.excluded[name] for name in columns if name not in replacing}
        made = made.on_conflict_do_update(index_elements=list(replacing), set_=fresh)
    compiled = made.compile(dialect=dialect, column_keys=list(columns))
    order = tuple(columns.index(name) for name in compiled.positiontup or columns)
    return str(compiled), None if order == tuple(range(len(columns))) else order
