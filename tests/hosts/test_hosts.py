"""Real nodes on hosts of their own: delay, broken connections, cut cables, crashes, newcomers.

Between tests all nodes that run hold the same; what one test says is there in the next.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.hosts.consortium import Consortium
from tests.hosts.relay import FAIR, STORMY

pytestmark = [pytest.mark.network, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]


async def test_nothing_is_lost_or_doubled_over_slow_lines_that_break(consortium: Consortium) -> None:
    consortium.relay.weather = STORMY
    try:
        await asyncio.gather(*(host.dispute(6) for host in consortium.running))
        await consortium.agree()
    finally:
        consortium.relay.weather = FAIR
    assert consortium.relay.resets > 0
    await consortium.meet()
    await consortium.believe_the_same(*consortium.running)
