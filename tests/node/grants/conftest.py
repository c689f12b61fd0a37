from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ioint_node.flows.assess import AssessParts
from ioint_node.flows.grant_parts import GrantParts
from ioint_node.flows.live import LiveSessions
from ioint_node.reputation.beliefs import Beliefs
from ioint_node.scoring.model import load_model
from ioint_node.store.engine import Store
from ioint_taxonomy import load_catalogue, load_taxonomy

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
