"""What tests of the node on a real store share."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ioint_node.store.engine import Store, WriterLimits, open_store
from ioint_node.store.schema import metadata
from sqlalchemy import create_engine


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with every table and no row, made once and copied for each test."""
    path = tmp_path_factory.mktemp("schema") / "empty.db"
    engine = create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()
    return path


@pytest.fixture
async def store(empty_database: Path, tmp_path: Path) -> AsyncIterator[Store]:
    """A store of the test's own; what is written in turn is soon on disk."""
    path = shutil.copy(empty_database, tmp_path / "ioint.db")
    async with open_store(f"sqlite+aiosqlite:///{path}", WriterLimits(group_s=0.001)) as opened:
        yield opened
