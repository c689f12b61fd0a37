"""A member takes a report back, and every consumer at another member that had the indicator is told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.house.test_measurements_files import script

pytestmark = [pytest.mark.network, pytest.mark.timeout(120)]


async def test_a_withdrawal_reaches_every_kind_of_consumer_of_another_member(consortium: Any) -> None:
    withdrawal = script("withdrawal")
    async with consortium.running(0, 1) as (author, reader):
        (told,) = await withdrawal.measure(author, reader, 1)
    assert set(told) == {"sse", "webhook", "taxii", "export"}
