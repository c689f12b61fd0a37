"""The node's side of the exchange: requests out, requests in, and a child process that is kept alive.

Nothing here waits for a peer on behalf of a decision. When the child dies, what was asked of it fails with
`PeerUnavailable`, the node goes on, and a new child is started after a pause.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ioint_protocol import ProtocolError

from ioint_node.peers.frames import Call, Ready, Start
from ioint_node.peers.ledger import Ledger, Marks, PeerAddress
from ioint_node.peers.life import ChildGone, Events, Life, PeerUnavailable
from ioint_node.peers.limits import PeerLimits
from ioint_node.peers.protocols import ANNOUNCE, HEADS, OFFERS, PROOF, PULL, PUSH, ROSTER

log = logging.getLogger("ioint.peers")
Answerer = Callable[[str, bytes], Awaitable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """Who answers the requests of members: each takes a member id and a body and gives the answer's bytes.

    What has no handler is not answered.
    """

    push: Answerer
    heads: Answerer
    pull: Answerer
    roster: Answerer
    announce: Answerer | None = None
    proof: Answerer | None = None

    def of(self, protocol: str) -> Answerer | None:
        """The handler of a protocol, whichever of its versions is spoken."""
        return {
            PUSH: self.push,
            HEADS: self.heads,
            PULL: self.pull,
            ANNOUNCE: self.announce,
            PROOF: self.proof,
            ROSTER: self.roster,
        }.get(protocol)


class Exchange:
    """libp2p in a process of its own, seen from asyncio. `run` is one task of the node's task group."""

    def __init__(
        self,
        *,
        seed: bytes,
        listen: tuple[str, int],
        handlers: Handlers,
        limits: PeerLimits | None = None,
        offers: Mapping[str, tuple[str, ...]] = OFFERS,
    ) -> None:
        self._seed, self._listen, self._handlers, self._offers = seed, listen, handlers, dict(offers)
        self._limits = limits or PeerLimits()
        self._ledger = Ledger()
        self._life: Life | None = None
        self._addresses: tuple[str, ...] = ()
        self.peer_id: str | None = None
        """Our own, once the child has listened for the first time."""
        self.restarts = 0
        """How often a child had to be replaced."""

    async def run(self) -> None:
        """Start the child, and another whenever it ends; returns only by cancellation, with no child left."""
        deaths = 0
        while True:
            started = time.monotonic()
            try:
                await self._live()
            except ChildGone as reason:
                log.warning("the exchange process ended: %s", reason)
            finally:
                self._life, self._addresses = None, ()
                self._ledger.forget_links()
            self.restarts += 1
            deaths = 1 if time.monotonic() - started > self._limits.restart_max_s else deaths + 1
            longest = min(
                self._limits.restart_max_s, self._limits.restart_first_s * 2.0 ** min(deaths - 1, 16)
            )
            await asyncio.sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    def set_peers(self, peers: Sequence[PeerAddress]) -> None:
        """Let in exactly these members from now on, dial the chosen ones, and drop all that are no members."""
        self._ledger.set_peers(peers)
        if self._life is not None:
            self._life.set_peers(self._ledger.allow_list())

    @property
    def seed(self) -> bytes:
        """Of the node key by which others know us."""
        return self._seed

    def speak_as(self, seed: bytes) -> None:
        """Be the peer of another node key from now on: the child is replaced, and with it every connection."""
        self._seed = seed
        if self._life is not None:
            self._life.end()

    async def request(self, member: str, protocol: str, body: bytes, timeout_s: float | None = None) -> bytes:
        """Send a request to a member and return its answer.

        Raises:
            PeerUnavailable: not connected, no answer in time, or too many requests are waiting.
        """
        peer, life = self._ledger.peer(member), self._life
        if peer is None:
            raise PeerUnavailable("not a member")
        if life is None or not self._ledger.is_connected(member):
            raise PeerUnavailable("not connected")
        if protocol not in self._offers:
            raise ValueError(f"{protocol} is not spoken")
        if len(body) > self._limits.frame_bytes:
            raise ValueError(f"{len(body)} bytes, more than {self._limits.frame_bytes}")
        answer = await life.ask(peer.peer_id, protocol, body, timeout_s or self._limits.default_request_s)
        self._ledger.note_success(member)
        return answer

    def on_connect(self, callback: Callable[[str], None]) -> None:
        """Call with the member id whenever a member becomes reachable."""
        self._ledger.on_connect(callback)

    def connected(self) -> frozenset[str]:
        """The members that are reachable now."""
        return self._ledger.connected()

    async def wait_change(self) -> None:
        """Wait until connections, refusals or the child change."""
        await self._ledger.wait_change()

    def note_lag(self, member: str, *, behind: int, ahead: int) -> None:
        """So many segments a member has that we lack, and we have that it lacks, by its last answer."""
        self._ledger.note_lag(member, behind=behind, ahead=ahead)

    def status(self) -> list[dict[str, Any]]:
        """For each member: connected since, last success (Unix ms), bytes, refusals by name, version, lag, restarts.

        The version is that which was agreed on with it, None before; `chosen` says whether we dial it.
        """
        return self._ledger.status(self.restarts)

    def refused_strangers(self) -> dict[str, int]:
        """Refusals, by name, of whoever did not prove to be a member."""
        return self._ledger.refused_strangers()

    def listen_addresses(self) -> tuple[str, ...]:
        """Where the child listens, with our peer id; empty while there is none."""
        return self._addresses

    @property
    def process_id(self) -> int | None:
        """Of the child, once it listens and while it lives."""
        return self._life.process_id if self._life is not None else None

    async def _live(self) -> None:
        marks, (host, port) = Marks(), self._listen
        start = Start(self._seed, host, port, self._limits, self._ledger.allow_list(), self._offers)

        def begin(ready: Ready) -> None:
            self._life, self.peer_id, self._addresses = life, ready.peer_id, ready.addresses
            # A port that the system chose stays the same after a restart: others may have been told of it.
            self._listen = (host, int(ready.addresses[0].split("/tcp/")[1].split("/")[0]))
            # The list may have changed while the child was starting.
            life.set_peers(self._ledger.allow_list())
            if start.seed != self._seed:
                life.end()
            self._ledger.note_change()

        events = Events(
            ready=begin, state=lambda state: self._ledger.note_state(state, marks), call=self._answer
        )
        life = Life(start=start, events=events)
        await life.live()

    async def _answer(self, call: Call) -> bytes | None:
        member, handler = self._ledger.member(call.peer_id), self._handlers.of(call.protocol)
        if member is None or handler is None:
            return None
        try:
            answer = await handler(member, call.body)
        except ProtocolError as error:
            # What a peer may provoke at will is counted under its name, and fills no log.
            log.debug("member %s: %s refused: %s", member, call.protocol, error.name)
            return None
        except Exception:
            # This loop must survive whatever a request leads to; the peer sees a reset stream.
            log.exception("answering %s of member %s", call.protocol, member)
            return None
        if len(answer) > self._limits.frame_bytes:
            log.error("an answer of %d bytes to %s, more than a frame", len(answer), call.protocol)
            return None
        return answer
