"""Links between real exchange processes: over connections of the other's making, by the newest version both speak."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from ioint_node.peers import HEADS, OFFERS, PUSH, Exchange, Handlers, PeerAddress, PeerLimits, PeerUnavailable

pytestmark = [pytest.mark.network, pytest.mark.asyncio(loop_scope="module")]

DEADLINE_S = 30.0
LIMITS = PeerLimits(inbound_per_group=1, redial_first_s=0.1, redial_max_s=0.5)
LATER: Mapping[str, tuple[str, ...]] = {**OFFERS, PUSH: ("/ioint/push/1.7.0", PUSH)}


class Side:
    """One member's exchange, which answers with its name and what it was asked."""

    def __init__(self, name: str, offers: Mapping[str, tuple[str, ...]] = OFFERS) -> None:
        self.name = name
        handlers = Handlers(push=self.answer, heads=self.answer, pull=self.answer, roster=self.answer)
        self.exchange = Exchange(
            seed=hashlib.sha256(name.encode()).digest(),
            listen=("127.0.0.1", 0),
            handlers=handlers,
            limits=LIMITS,
            offers=offers,
        )

    async def answer(self, member: str, body: bytes) -> bytes:
        return f"{self.name} to {member}: ".encode() + body

    def as_peer(self, *, dial: bool = False, chosen: bool = True, group: str = "") -> PeerAddress:
        assert self.exchange.peer_id is not None
        addresses = self.exchange.listen_addresses() if dial else ()
        return PeerAddress(
            member=self.name,
            peer_id=self.exchange.peer_id,
            addresses=addresses,
            group=group or self.name,
            chosen=chosen,
        )

    def row(self, member: str) -> dict[str, Any]:
        (found,) = [row for row in self.exchange.status() if row["member"] == member]
        return found

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                await self.exchange.wait_change()

    async def connects(self, *names: str) -> None:
        await self.until(lambda: self.exchange.connected() >= set(names))


@asynccontextmanager
async def running(sides: Sequence[Side]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(side.exchange.run()) for side in sides]
    try:
        for side in sides:
            await side.until(side.exchange.listen_addresses)
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sides() -> AsyncIterator[dict[str, Side]]:
    """Four members; the last two speak a later version of one protocol as well."""
    made = {name: Side(name) for name in ("hub", "left")} | {
        name: Side(name, LATER) for name in ("right", "far")
    }
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(tuple(made.values())))
        yield made


async def test_who_cannot_be_dialled_is_asked_over_the_connection_that_it_opened(
    sides: dict[str, Side],
) -> None:
    hub, left = sides["hub"], sides["left"]
    hub.exchange.set_peers([left.as_peer()])
    left.exchange.set_peers([hub.as_peer(dial=True)])
    await hub.connects("left")
    assert await hub.exchange.request("left", HEADS, b"?") == b"left to hub: ?"
    await left.connects("hub")
    assert await left.exchange.request("hub", PUSH, b"!") == b"hub to left: !"


async def test_one_that_speaks_a_later_version_speaks_the_common_one(sides: dict[str, Side]) -> None:
    hub, right = sides["hub"], sides["right"]
    hub.exchange.set_peers([right.as_peer()])
    right.exchange.set_peers([hub.as_peer(dial=True)])
    await hub.connects("right")
    await right.connects("hub")
    assert await right.exchange.request("hub", PUSH, b"") == b"hub to right: "
    assert await hub.exchange.request("right", PUSH, b"") == b"right to hub: "
    await hub.until(lambda: hub.row("right")["version"] == "1.0.0")


async def test_two_that_speak_a_later_version_agree_on_it_and_only_then_is_it_known(
    sides: dict[str, Side],
) -> None:
    right, far = sides["right"], sides["far"]
    right.exchange.set_peers([far.as_peer()])
    far.exchange.set_peers([right.as_peer(dial=True)])
    await far.connects("right")
    assert far.row("right")["version"] is None
    assert await far.exchange.request("right", PUSH, b"") == b"right to far: "
    await far.until(lambda: far.row("right")["version"] == "1.7.0")
    await right.until(lambda: right.row("far")["version"] == "1.7.0")


async def test_one_group_has_no_more_than_its_places_of_those_that_others_opened(
    sides: dict[str, Side],
) -> None:
    hub, left, right, far = (sides[name] for name in ("hub", "left", "right", "far"))
    hub.exchange.set_peers([left.as_peer(group="one"), right.as_peer(group="one"), far.as_peer(group="two")])
    left.exchange.set_peers([hub.as_peer(dial=True)])
    await hub.connects("left")
    right.exchange.set_peers([hub.as_peer(dial=True)])
    await hub.until(lambda: hub.row("right")["refused"].get("inbound_group_full"))
    far.exchange.set_peers([hub.as_peer(dial=True)])
    await hub.connects("left", "far")
    assert "right" not in hub.exchange.connected()
    left.exchange.set_peers([])
    await hub.connects("right", "far")


async def test_a_link_that_is_chosen_no_more_is_closed_by_who_opened_it_and_its_other_end_may_dial(
    sides: dict[str, Side],
) -> None:
    hub, left = sides["hub"], sides["left"]
    hub.exchange.set_peers([left.as_peer()])
    left.exchange.set_peers([hub.as_peer(dial=True)])
    await hub.connects("left")
    left.exchange.set_peers([hub.as_peer(dial=True, chosen=False)])
    await hub.until(lambda: "left" not in hub.exchange.connected())
    hub.exchange.set_peers([left.as_peer(dial=True)])
    await left.connects("hub")


async def test_a_protocol_that_is_not_spoken_is_not_asked(sides: dict[str, Side]) -> None:
    hub, left = sides["hub"], sides["left"]
    hub.exchange.set_peers([left.as_peer(dial=True)])
    left.exchange.set_peers([hub.as_peer()])
    await hub.connects("left")
    with pytest.raises(ValueError, match="not spoken"):
        await hub.exchange.request("left", "/ioint/gossip/1.0.0", b"")


async def test_who_is_taken_off_the_list_is_disconnected_at_once(sides: dict[str, Side]) -> None:
    hub, left = sides["hub"], sides["left"]
    hub.exchange.set_peers([left.as_peer(dial=True)])
    left.exchange.set_peers([hub.as_peer()])
    await hub.connects("left")
    await left.connects("hub")
    hub.exchange.set_peers([])
    await left.until(lambda: "hub" not in left.exchange.connected())
    with pytest.raises(PeerUnavailable):
        await left.exchange.request("hub", PUSH, b"")
