from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ioint_node.flows.assess import AssessParts, LocalSighting
from ioint_node.flows.live import LiveSessions, Tracker
from ioint_node.reputation.beliefs import Beliefs
from ioint_node.scoring.model import load_model
from ioint_node.scoring.staging import Policy, Staging
from ioint_node.store.engine import Store
from ioint_taxonomy import load_catalogue, load_taxonomy
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.node.assess.scripted import NOW, MakeNode, Node, ScriptedTracker


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
