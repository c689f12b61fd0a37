from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.hosts.consortium import INCIDENTS, Consortium, consortium_of
from tests.hosts.netns import missing

FOUNDERS = (
    # name, side of the trunk, whether others can connect to it
    ("alpha", "west", True),
    ("bravo", "west", True),
    ("mallory", "west", True),
    ("charlie", "east", True),
    ("delta", "east", False),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def consortium(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Consortium]:
    """Four nodes that run, and the home and keys of mallory, who runs none and will turn hostile."""
    if why := missing():
        pytest.skip(why)
    root = tmp_path_factory.mktemp("hosts")
    async with consortium_of(root, FOUNDERS, absent="mallory") as made:
        # Something to speak of: reports of others can be disputed, unless one signed the same.
        for name, recorded in zip(("alpha", "charlie"), INCIDENTS, strict=True):
            await made[name].incident(recorded)
        await made.agree()
        yield made
