"""A receipt leaves a node and is computed again: on another node, on none, and never from a changed byte."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ioint_node.flows import receipt
from ioint_node.flows.receipt import Replayed
from ioint_node.flows.why import why
from ioint_node.store.clearance import LABELS
from ioint_protocol import Record, encode_record, record_id
from ioint_taxonomy import load_catalogue, load_taxonomy

from tests.node.exchange.conftest import NOW, TODAY, Node
from tests.node.exchange.founded import Founded, dispute, founded, report, sighting, withdrawal

Make = Callable[..., Awaitable[Any]]


@pytest.fixture
async def net(make: Make) -> Founded:
    return await founded(await make(5))


async def exported(
    node: Node, subject: str, *, clearance: str = LABELS[-1], with_local: bool = True
) -> list[bytes]:
    lines = receipt.export(node.parts, subject, NOW, clearance=clearance, with_local=with_local)
    return [line async for line in lines]


async def replayed(lines: Sequence[bytes], folder: Path, **asked: Any) -> Replayed:
    folder.mkdir(exist_ok=True)
    return await receipt.replay(
        iter(lines), folder, taxonomy=load_taxonomy(), catalogue=load_catalogue(), **asked
    )


def name(record: Record) -> str:
    return record_id(encode_record(record))


async def told(net: Founded) -> str:
    """A pattern of which everything that can be said was said."""
    pattern, other = net.patterns[0], net.patterns[1]
    first = report(pattern, bad=1)
    await net.say(net[0], report(other), first, report(pattern, bad=2, seen=3))
    await net.say(net[1], report(other, bad=1))
    await net.say(net[1], sighting(name(first), seen=1), report(net.patterns[2]))
    await net.say(net[2], dispute(name(first)))
    await net.say(net[2], withdrawal(name(dispute(name(first)))), report(pattern, day=TODAY - 10))
    await net.say(net[3], dispute(name(first), day=TODAY - 3))
    return pattern


async def test_two_nodes_and_none_compute_the_same_integers(net: Founded, tmp_path: Path) -> None:
    pattern = await told(net)
    lines = await exported(net[4], pattern)
    found = await replayed(lines, tmp_path / "none", consortium=net.held.roster.consortium, subject=pattern)
    assert (found.difference, found.local_difference, found.same) == (None, None, True)
    for node in net.nodes[:2]:
        network = (await why(node.parts, pattern, NOW))["network"]
        for field in ("tier", "score", "confidence", "accusing", "benign", "after_b", "after_q"):
            assert network[field] == found.network_here[field]
    assert found.network_here["accusing"] > 2_000_000
    assert found.network_here["withdrawn"] == 1
