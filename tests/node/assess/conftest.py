from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from ioint_node.flows.assess import AssessParts, LocalSighting
from ioint_node.flows.live import LiveSessions, Tracker
from ioint_node.reputation.beliefs import Beliefs
from ioint_node.scoring.model import load_model
from ioint_node.scoring.staging import Policy, Staging
from ioint_node.store.engine import Store, WriterLimits, open_store
from ioint_node.store.schema import metadata
from ioint_taxonomy import load_catalogue, load_taxonomy
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.node.assess.scripted import NOW, MakeNode, Node, ScriptedTracker


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with every table and no row, made once and copied for each test."""
    path = tmp_path_factory.mktemp("assess") / "empty.db"
    engine = create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()
    return path


@pytest.fixture
async def store(empty_database: Path, tmp_path: Path) -> AsyncIterator[Store]:
    path = shutil.copy(empty_database, tmp_path / "ioint.db")
    async with open_store(f"sqlite+aiosqlite:///{path}", WriterLimits(group_s=0.002)) as opened:
        yield opened


@pytest.fixture
def make_node(store: Store) -> MakeNode:
    def make(
        *,
        mode: str = "observe",
        live: LiveSessions | None = None,
        tracker: Callable[..., Tracker] = ScriptedTracker,
        **more: Any,
    ) -> Node:
        sightings: list[LocalSighting] = []
        told: list[bool] = []

        async def on_risky(_connection: AsyncConnection, sighting: LocalSighting) -> None:
            sightings.append(sighting)

        parts = AssessParts(
            store=store,
            live=live or LiveSessions(),
            model=load_model(),
            taxonomy=load_taxonomy(),
            catalogue=load_catalogue(),
            beliefs=Beliefs(),
            policy=Policy(staging=Staging(enforce=mode == "enforce")),
            on_risky=more.pop("on_risky", on_risky),
            notify=lambda: told.append(True),
            tracker=tracker,
            **more,
        )
        parts.beliefs.heard(NOW)
        return Node(parts=parts, sightings=sightings, told=told)

    return make


@pytest.fixture
def node(make_node: MakeNode) -> Node:
    return make_node()
