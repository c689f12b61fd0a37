from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from ioint_node.flows.assess import AssessParts, LocalSighting
from ioint_node.flows.assessing import Mode
from ioint_node.flows.live import LiveSessions, Tracker
from ioint_node.reputation.beliefs import Beliefs
from ioint_node.scoring.model import load_model
from ioint_node.store.engine import Store, WriterLimits, open_store
from ioint_node.store.schema import metadata
from ioint_taxonomy import load_catalogue, load_taxonomy
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from tests.node.assess.scripted import NOW, MakeNode, Node, ScriptedTracker


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'ioint.db'}"
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await engine.dispose()
    async with open_store(url, WriterLimits(group_s=0.002)) as opened:
        yield opened


@pytest.fixture
def make_node(store: Store) -> MakeNode:
    def make(
        *,
        mode: Mode = "observe",
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
            mode=mode,
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
