"""What this node learned of its own traffic: one JSON value by name."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store.schema import learned
from ioint_node.store.times import to_text
from ioint_node.store.upsert import upserting


async def find_learned(connection: AsyncConnection, name: str) -> Any | None:  # noqa: ANN401 - any JSON
    """The value of a name, None when there is none or it cannot be read."""
    text = (
        await connection.execute(select(learned.c.body).where(learned.c.name == name))
    ).scalar_one_or_none()
    try:
        return None if text is None else msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None


async def save_learned(connection: AsyncConnection, name: str, value: object, now: int) -> None:
    """Keep a value in place of the one before it."""
    row = {"name": name, "body": msgspec.json.encode(value).decode(), "at": to_text(now)}
    statement = upserting(connection, learned).values(row)
    changed = {column: statement.excluded[column] for column in ("body", "at")}
    await connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=changed))
