"""A node, put together: every part is made here, and one task group owns every task.

    async with open_node(config) as node:   # store → roster → beliefs → web, exchange, delivery, jobs
        ...                                 # leaving the block stops them

The edges do not know one another. What one needs of another is passed in here, as a value or a callable.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from ioint_protocol import ProtocolError, Roster, sync
from ioint_protocol.keys import peer_id
from ioint_taxonomy import load_catalogue, load_taxonomy
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node import __version__
from ioint_node.admission import Accepted, Ignored
from ioint_node.config import (
    Config,
    Keys,
    RunInfo,
    clear_run,
    hold_home,
    load_fingerprint_key,
    load_keys,
    load_public_names,
    write_run,
)
from ioint_node.delivery import Delivery
from ioint_node.errors import BusyError
from ioint_node.flows import believe, publish
from ioint_node.flows.assess import AssessParts
from ioint_node.flows.novel import look_at_cases
from ioint_node.flows.ownlog import FileAnchor
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.receive import receive_segment
from ioint_node.flows.refusals import Refusals
from ioint_node.flows.roster import RosterBook, install, look_again, open_book
from ioint_node.flows.sync import answer_heads, answer_pull, answer_roster, ask_rosters, catch_up
from ioint_node.jobs import Job, Jobs
from ioint_node.local import Local, jobs_of, open_local
from ioint_node.peers import Exchange, Handlers, PeerAddress, PeerUnavailable
from ioint_node.peers.antientropy import run_catch_up
from ioint_node.privacy.gate import Mode
from ioint_node.reputation.beliefs import Belief, Beliefs
from ioint_node.reputation.gate import Params
from ioint_node.scoring.model import load_model
from ioint_node.store import outbox, overrides, peers
from ioint_node.store.engine import Store, open_store
from ioint_node.store.migrate import upgrade
from ioint_node.store.retention import Retention, forget
from ioint_node.web import Hub, WebParts, build_web, serve

ROLES = ("web", "scorer", "exchange", "jobs")
# At a lower level these would write statements with their values, which hold what agents and people said.
QUIET = ("aiohttp", "aiosqlite", "alembic", "apscheduler", "asyncio", "sqlalchemy")
YOUNG_OBJECTS = 20_000  # that may be made before the collector looks at them
log = logging.getLogger("ioint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """How often what runs by the clock runs, in seconds."""

    emission_s: float = 5.0
    refusals_s: float = 1.0
    roster_s: float = 5.0
    novel_s: float = 30.0
    expiry_s: float = 60.0
    refresh_s: float = 3_600.0
    forget_s: float = 3_600.0


PERIODS = Periods()
PUBLISH_MODES: dict[str, Mode] = {"hold": "hold", "catalogue": "catalogue", "off": "off"}


class Bell:
    """Wakes whoever waits for a commit: engines' streams, deliveries, the emission of records."""

    def __init__(self) -> None:
        self._wakes: list[Callable[[], None]] = []

    def wakes(self, wake: Callable[[], None]) -> None:
        """Call this whenever the bell rings."""
        self._wakes.append(wake)

    def ring(self) -> None:
        """Something was committed."""
        for wake in self._wakes:
            wake()


@dataclass(slots=True, kw_only=True)
class Node:
    """A running node: its parts, for the web edge, the commands and the tests. `url` is set once it listens."""

    config: Config
    keys: Keys
    store: Store
    book: RosterBook
    local: Local
    parts: ExchangeParts
    exchange: Exchange
    delivery: Delivery
    hub: Hub
    refusals: Refusals
    ready_to_leave: asyncio.Event
    met: asyncio.Event  # a catch-up with a member has succeeded since the start
    url: str = ""

    @property
    def assess(self) -> AssessParts:
        """What assess works with."""
        return self.local.assess


async def run_node(config: Config, roles: Sequence[str] = ROLES) -> None:
    """Run a node until SIGTERM or SIGINT."""
    start_logging()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_node(config, roles) as node:
        log.info("ready url=%s member=%s roster=%d", node.url, node.keys.member, node.book.version)
        await stop.wait()
    log.info("stopped")


def start_logging() -> None:
    """One line for each event on standard error; never a secret or the text of an agent."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


@asynccontextmanager
async def open_node(config: Config, roles: Sequence[str] = ROLES) -> AsyncIterator[Node]:
    """Open a node's parts and run them; leaving the block stops every one of them."""
    with hold_home(config):
        async with _running(config, roles) as node:
            yield node


@asynccontextmanager
async def _running(config: Config, roles: Sequence[str]) -> AsyncIterator[Node]:
    keys = load_keys(config.home)
    await upgrade(config.store_url)
    async with open_store(config.store_url) as store:
        node = await _assemble(config, keys, store, roles)
        # What was made until now lives as long as the node: the collector need not look at it again.
        gc.freeze()
        # What an action makes goes by itself when it ends: looking for cycles more often finds none.
        gc.set_threshold(YOUNG_OBJECTS)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run(), name=name) for name, run in _loops(node, roles).items()]
            try:
                async with _listening(node, roles):
                    yield node
            finally:
                for task in tasks:
                    task.cancel()
        with suppress(BusyError):  # counts of the last second, where nothing can be written
            await node.refusals.write(store)


async def _assemble(config: Config, keys: Keys, store: Store, roles: Sequence[str]) -> Node:
    taxonomy, catalogue, model = load_taxonomy(), load_catalogue(), load_model()
    book, hub, beliefs, bell, refusals = await open_book(store), Hub(store), Beliefs(), Bell(), Refusals()
    ready_to_leave, met = asyncio.Event(), asyncio.Event()
    if "exchange" not in roles:
        met.set()  # nobody is ever met, and nothing leaves: the own log is all there is
    bell.wakes(hub.wake)
    parts = ExchangeParts(
        store=store,
        member=keys.member,
        record_key=keys.record_key,
        roster=lambda: book.in_force(_now()),
        consortium=lambda: book.consortium,
        taxonomy=taxonomy,
        catalogue=catalogue,
        beliefs=beliefs,
        publish_mode=PUBLISH_MODES[config.publish],
        detector=model.digest,
        label=config.tlp,
        public_names=load_public_names(config.home / config.public_names)
        if config.public_names
        else frozenset(),
        private_names=config.private_names,
        fingerprint_key=load_fingerprint_key(config.home) if config.fingerprints else None,
        notify=bell.ring,
        flush_soon=ready_to_leave.set,
        anchor=FileAnchor(config.home / "ownlog.anchor"),
        # Who has nobody else on the roster has nobody to hear first; the anchor still guards the own log.
        params=Params(tolerance=config.tolerance),
        in_contact=lambda: met.is_set() or not _peer_addresses(book.in_force(_now()), keys.member),
    )
    await believe.reload(parts, _now())
    local = await open_local(
        config,
        keys,
        store,
        beliefs,
        on_risky=lambda connection, sighting: publish.propose(connection, parts, sighting, _now()),
        notify=bell.ring,
        now=_now(),
    )
    bell.wakes(local.hooks.wake)
    exchange = Exchange(
        seed=keys.node_seed,
        listen=(config.exchange_host, config.exchange_port),
        handlers=_handlers(parts, refusals),
    )
    exchange.set_peers(_peer_addresses(book.in_force(_now()), keys.member))
    delivery = Delivery(store, exchange, unavailable=PeerUnavailable)
    bell.wakes(delivery.wake)
    return Node(
        config=config,
        keys=keys,
        store=store,
        book=book,
        local=local,
        parts=parts,
        exchange=exchange,
        delivery=delivery,
        hub=hub,
        refusals=refusals,
        ready_to_leave=ready_to_leave,
        met=met,
    )


def _handlers(parts: ExchangeParts, refusals: Refusals) -> Handlers:
    """What members may ask of this node."""

    async def push(member: str, body: bytes) -> bytes:
        decision = await receive_segment(parts, body, member, _now())
        if isinstance(decision, Accepted):
            return sync.encode_push_answer(sync.PushAnswer(result="accepted"))
        refusals.note(member, decision.reason)
        result = "ignored" if isinstance(decision, Ignored) else "rejected"
        return sync.encode_push_answer(sync.PushAnswer(result=result, why=decision.reason))

    def answered(
        answer: Callable[[Store, bytes], Awaitable[bytes]],
    ) -> Callable[[str, bytes], Awaitable[bytes]]:
        async def respond(member: str, body: bytes) -> bytes:
            try:
                return await answer(parts.store, body)
            except ProtocolError as error:
                refusals.note(member, error.name)
                raise

        return respond

    return Handlers(
        push=push,
        heads=answered(answer_heads),
        pull=answered(answer_pull),
        roster=answered(answer_roster),
    )


def _loops(node: Node, roles: Sequence[str]) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
    """What runs for as long as the node does, by name."""
    loops: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {"emission": partial(_emit, node)}
    if "exchange" in roles:
        loops["exchange"] = node.exchange.run
        loops["delivery"] = node.delivery.run
        loops["catch-up"] = partial(run_catch_up, node.exchange, partial(_catch_up, node))
        loops["hasten"] = partial(_hasten, node)
    if "web" in roles:
        loops["hooks"] = node.local.hooks.run
    if "jobs" in roles:
        loops["jobs"] = Jobs(_jobs(node)).run
    return loops


def _jobs(node: Node) -> tuple[Job, ...]:
    retention = Retention(events_days=node.config.retention_days, stream_days=node.config.retention_days)
    return (
        Job(name="refusals", every_s=PERIODS.refusals_s, run=lambda _: node.refusals.write(node.store)),
        Job(name="roster", every_s=PERIODS.roster_s, run=lambda _: _look_for_roster(node)),
        Job(name="expiry", every_s=PERIODS.expiry_s, run=partial(_expire_opinions, node)),
        Job(name="decay", every_s=PERIODS.refresh_s, run=partial(believe.refresh_all, node.parts)),
        Job(
            name="retention",
            every_s=PERIODS.forget_s,
            run=lambda now: node.store.write(lambda connection: forget(connection, now, retention)),
        ),
        Job(name="novel", every_s=PERIODS.novel_s, run=partial(look_at_cases, node.parts)),
        *jobs_of(node.local),
    )


async def _expire_opinions(node: Node, now: int) -> None:
    """End the opinions of analysts whose time is over, and believe what they kept quiet."""

    async def write(connection: AsyncConnection) -> tuple[Belief, ...]:
        return await believe.believe(connection, node.parts, await overrides.expire(connection, now), now)

    believe.put_in_force(node.parts, await node.store.write(write))


async def _emit(node: Node) -> None:
    """Let what is ready leave: at once when a flow says so, else when its emission slot comes."""
    while True:
        # Not `wait_for`, which in Python 3.11 may lose a cancellation that comes together with a wake.
        with suppress(TimeoutError):
            async with asyncio.timeout(PERIODS.emission_s):
                await node.ready_to_leave.wait()
        node.ready_to_leave.clear()
        try:
            await publish.flush(node.parts, _now())
        except BusyError as error:
            log.warning("records wait: %s", error)
        except Exception:  # the loop must outlive a full queue or a failing disk; what is ready stays ready
            log.exception("records could not leave")


async def _catch_up(node: Node, member: str) -> bool:
    """Bring over what a member has and we have not; True when nothing is left to fetch from it."""

    async def ask(protocol: str, body: bytes) -> bytes:
        return await node.exchange.request(member, protocol, body)

    if await install(node.store, node.book, await ask_rosters(ask, node.book.version), _now()):
        await _roster_changed(node)
    brought = await catch_up(node.parts, ask, member, _now())
    if brought.rejected is not None:
        node.refusals.note(member, brought.rejected)
    node.parts.beliefs.heard(_now())
    await node.store.write(lambda connection: peers.note_success(connection, member, _now()))
    if brought.complete and brought.rejected is None and not node.met.is_set():
        node.met.set()
        node.ready_to_leave.set()
    return brought.complete


async def _hasten(node: Node) -> None:
    """A member is connected: what waits for it need not wait out its pause."""
    reached: asyncio.Queue[str] = asyncio.Queue()
    node.exchange.on_connect(reached.put_nowait)
    while True:
        member = await reached.get()
        with suppress(BusyError):  # then its mail waits out its pause
            await node.delivery.reachable(member)


async def _look_for_roster(node: Node) -> None:
    if await look_again(node.store, node.book):
        await _roster_changed(node)


async def _roster_changed(node: Node) -> None:
    roster = node.book.in_force(_now())
    node.exchange.set_peers(_peer_addresses(roster, node.keys.member))
    gone = [member.id for member in roster.members if member.state == "removed"] if roster else []
    await node.store.write(partial(_drop_mail, members=gone))
    log.info("roster version=%d members=%d", node.book.version, len(roster.members) if roster else 0)
    await believe.refresh_all(node.parts, _now())


async def _drop_mail(connection: AsyncConnection, *, members: Sequence[str]) -> None:
    for member in members:
        await outbox.drop(connection, member)


def _peer_addresses(roster: Roster | None, own: str) -> tuple[PeerAddress, ...]:
    """Whom to let in and to dial: every active member but ourselves."""
    if roster is None:
        return ()
    return tuple(
        PeerAddress(member=member.id, peer_id=member.peer_id, addresses=member.addresses)
        for member in roster.members
        if member.state == "active" and member.id != own
    )


@asynccontextmanager
async def _listening(node: Node, roles: Sequence[str]) -> AsyncIterator[None]:
    """Serve HTTP, and tell the commands on this machine where."""
    config = node.config
    parts = WebParts(
        store=node.store,
        assess=node.assess,
        exchange=node.parts,
        hub=node.hub,
        peers_status=node.exchange.status,
        version=__version__,
        org=config.org,
        not_ready=partial(_not_ready, node, roles),
        counts=partial(_counts, node),
        grants=node.local.grants,
        loop=node.local.loop,
        responding=node.local.responding,
    )
    async with serve(build_web(parts), config.web_host, config.web_port, parts) as url:
        node.url = url
        write_run(config, RunInfo(url=url, pid=os.getpid(), peer_id=peer_id(node.keys.node_public)))
        try:
            yield
        finally:
            clear_run(config)


def _not_ready(node: Node, roles: Sequence[str]) -> tuple[str, ...]:
    """What the node waits for before it takes part; decisions are made all the same."""
    waits = {
        "exchange": "exchange" in roles and not node.exchange.listen_addresses(),
        "database": node.store.failing is not None,
    }
    return tuple(name for name, missing in waits.items() if missing)


def _counts(node: Node) -> dict[str, float]:
    """Numbers of the parts that the web edge does not know."""
    return {
        "ioint_exchange_restarts": node.exchange.restarts,
        "ioint_writes_lost": node.store.failed,
        "ioint_decisions_lost": node.assess.journal.failed,
        **{f"ioint_grants_{what}": count for what, count in node.local.grants.counts.items()},
        **{f"ioint_webhooks_{what}": count for what, count in node.local.hooks.counts.items()},
        **{f"ioint_delivered_{how}": count for how, count in node.delivery.counts.items()},
        **{f"ioint_strangers_{why}": count for why, count in node.exchange.refused_strangers().items()},
    }


def _now() -> int:
    return time.time_ns() // 1_000_000
