"""A store on a real file, and segments of a member, for the tests of what members exchange."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ioint_node.store.engine import Store, WriterLimits, open_store
from ioint_node.store.schema import metadata


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite+aiosqlite:///{tmp_path / 'own.db'}", WriterLimits(group_s=0.0)) as opened:
        async with opened.engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        yield opened


@pytest.fixture
async def other_store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(
        f"sqlite+aiosqlite:///{tmp_path / 'other.db'}", WriterLimits(group_s=0.0)
    ) as opened:
        async with opened.engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        yield opened
