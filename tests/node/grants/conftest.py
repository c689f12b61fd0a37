from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from ioint_node.flows.assess import AssessParts
from ioint_node.flows.grants import GrantParts
from ioint_node.flows.live import LiveSessions
from ioint_node.reputation.beliefs import Beliefs
from ioint_node.scoring.model import load_model
from ioint_node.store.engine import Store, WriterLimits, open_store
from ioint_node.store.schema import metadata
from ioint_taxonomy import load_catalogue, load_taxonomy
from sqlalchemy import create_engine

from tests.node.grants.agent import ISSUER, KEY, Agent, FamilyTracker, Level


async def _nothing(*_: object) -> None:
    pass


def make_parts(
    store: Store, level: Level | None = None, notify: Callable[[], None] = lambda: None
) -> GrantParts:
    assess = AssessParts(
        store=store,
        live=LiveSessions(),
        model=load_model(),
        taxonomy=load_taxonomy(),
        catalogue=load_catalogue(),
        beliefs=Beliefs(),
        on_risky=_nothing,
        notify=notify,
        tracker=FamilyTracker,
    )
    return GrantParts(assess=assess, key=KEY, issuer=ISSUER, standing=level or Level())


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with every table and no row, made once and copied for each test."""
    path = tmp_path_factory.mktemp("grants") / "empty.db"
    engine = create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()
    return path


@pytest.fixture
async def store(empty_database: Path, tmp_path: Path) -> AsyncIterator[Store]:
    path = shutil.copy(empty_database, tmp_path / "ioint.db")
    async with open_store(f"sqlite+aiosqlite:///{path}", WriterLimits(group_s=0.001)) as opened:
        yield opened


@pytest.fixture
def level() -> Level:
    """The trust in the agent under test; full unless a test lowers it."""
    return Level()


@pytest.fixture
def told() -> list[Any]:
    """One entry for each time that engines were woken."""
    return []


@pytest.fixture
def parts(store: Store, level: Level, told: list[Any]) -> GrantParts:
    return make_parts(store, level, lambda: told.append(True))


@pytest.fixture
async def agent(parts: GrantParts) -> Agent:
    """An agent with a session."""
    agent = Agent(parts=parts)
    await agent.open()
    return agent
