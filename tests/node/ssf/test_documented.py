"""What `docs/ssf.md` says, held against the code; its receiver receives."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from ioint_node.flows.signals import SignalLimits
from ioint_node.posting import Pauses
from ioint_node.signals.sets import BITS, OVERLAP_S
from ioint_node.transmitter import TransmitterLimits

from tests.node.ssf.conftest import WAIT_S, Transmitting

PAGE = (Path(__file__).parents[3] / "docs" / "ssf.md").read_text()


class Enough(Exception):  # noqa: N818 - no error: the example runs for ever
    """The example has received what it should."""


def test_the_numbers_are_those_of_the_code() -> None:
    limits, pushing = SignalLimits(), TransmitterLimits()

    assert f"{limits.sets_at_once} come at once" in PAGE
    assert f"up to {limits.poll_wait_s:g} seconds" in PAGE
    assert f"once in {limits.verification_s} seconds" in PAGE
    assert f"{limits.inactivity_s // 86_400} days (`inactivity_timeout`)" in PAGE
    assert f"A token has {limits.streams_per_receiver} streams, a node {limits.streams}" in PAGE
    assert f"{limits.subjects:,} subjects" in PAGE
    assert pushing.unreadable == 3
    assert "three times a token is given up" in PAGE
    assert pushing.pauses.after_s[:3] == (5, 300, 1_800)
    assert 3 * 86_400 < sum(Pauses().after_s) < 4 * 86_400
    assert f"RSA of {BITS:,} bits" in PAGE
    assert OVERLAP_S == 86_400


def test_every_count_is_documented() -> None:
    folder = Path(__file__).parents[3] / "node" / "ioint_node"
    code = "".join((folder / name).read_text() for name in ("transmitter.py", "flows/signals.py"))
    for name in re.findall(r'counts\["(\w+)"\]', code):
        assert f"_{name}`" in PAGE, name


@pytest.mark.network
async def test_the_receiver_of_the_page_receives_acknowledges_and_takes_up_where_it_was(
    site: Transmitting,
) -> None:
    first = await _received(site, lambda: site.halt("a-1"), 1)
    second = await _received(site, lambda: site.halt("a-2"), 1)  # was not acknowledged: its receiver died
    third = await _received(site, lambda: site.halt("a-3"), 3)

    names = [[subject["sub"] for subject, _, _ in each] for each in (first, second, third)]
    assert names == [["a-1"], ["a-1"], ["a-1", "a-2", "a-3"]]
    assert all(event["reason_admin"]["en"] for _, _, event in third)


async def _received(site: Transmitting, happen: Any, count: int) -> list[tuple[Any, str, Any]]:
    found = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    code: dict[str, Any] = {}
    exec(compile(found[1], "docs/ssf.md", "exec"), code)  # noqa: S102 - the example of our own page
    code |= {"NODE": site.node.url, "TOKEN": site.node.keys["engine"]}
    came: list[tuple[Any, str, Any]] = []

    def act(subject: Any, kind: str, event: Any) -> None:
        came.append((subject, kind, event))
        if len(came) == count:
            raise Enough

    task = asyncio.create_task(asyncio.to_thread(code["receive"], act))
    async with asyncio.timeout(WAIT_S):
        while not (made := await site.ask("GET", "/ssf/streams")):
            assert not task.done(), task.result()
        assert len(made) == 1
        await happen()
        with pytest.raises(Enough):
            await task
    return came
