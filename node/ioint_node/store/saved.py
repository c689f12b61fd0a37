"""Filters with a name: what the SOC asks for again and again, and what collections and feeds are made of."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import ConflictError, NotFoundError, TooLargeError
from ioint_node.filtering import Filter
from ioint_node.store.schema import saved_filters
from ioint_node.store.times import to_text

SAVED_MOST: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedFilter:
    """A filter with a name; `id` is a UUID, and that of its TAXII collection too. `text` is canonical."""

    id: str
    name: str
    text: str
    created_at: str
    by: str


async def list_saved(connection: AsyncConnection) -> tuple[SavedFilter, ...]:
    """All saved filters, by name."""
    rows = await connection.execute(select(saved_filters))
    # Every database has an order of its own for names.
    return tuple(sorted((SavedFilter(**row) for row in rows.mappings()), key=lambda one: one.name))


async def get_saved(connection: AsyncConnection, key: str) -> SavedFilter | None:
    """The saved filter with this id, or None."""
    row = (
        (await connection.execute(select(saved_filters).where(saved_filters.c.id == key)))
        .mappings()
        .one_or_none()
    )
    return None if row is None else SavedFilter(**row)


async def save(connection: AsyncConnection, name: str, wanted: Filter, by: str, now: int) -> SavedFilter:
    """Save a filter under a name that no other has.

    Raises:
        ConflictError: the name is taken.
        TooLargeError: as many are saved as may be.
    """
    taken = select(saved_filters.c.id).where(saved_filters.c.name == name)
    if (await connection.execute(taken)).scalar_one_or_none() is not None:
        raise ConflictError(
            f"a filter with the name {name!r} is saved already: delete it, or choose another name"
        )
    count = (await connection.execute(select(func.count()).select_from(saved_filters))).scalar_one()
    if count >= SAVED_MOST:
        raise TooLargeError(f"{count} filters are saved, as many as may be: delete one")
    made = SavedFilter(id=str(uuid.uuid4()), name=name, text=wanted.text, created_at=to_text(now), by=by)
    await connection.execute(
        insert(saved_filters).values(id=made.id, name=name, text=made.text, created_at=made.created_at, by=by)
    )
    return made


async def forget(connection: AsyncConnection, key: str) -> None:
    """Delete a saved filter.

    Raises:
        NotFoundError: there is none with this id.
    """
    gone = await connection.execute(delete(saved_filters).where(saved_filters.c.id == key))
    if not gone.rowcount:
        raise NotFoundError("no such saved filter: see /api/v1/filters")
