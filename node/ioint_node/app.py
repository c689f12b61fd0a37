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
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from ioint_protocol import ProtocolError, bundle
from ioint_protocol.keys import peer_id
from ioint_taxonomy import load_catalogue, load_taxonomy
from nacl.signing import SigningKey

from ioint_node import __version__
from ioint_node.addresses import is_loopback
from ioint_node.admission import Limits
from ioint_node.applying import apply
from ioint_node.card import add_fingerprint_keys, fingerprint_keys, own_application
from ioint_node.config import (
    BoundaryFile,
    Config,
    Keys,
    RunInfo,
    clear_run,
    hold_home,
    load_feed_key,
    load_fingerprint_key,
    load_keys,
    load_public_names,
    read_private,
    replace_private,
    settle_keys,
    write_run,
)
from ioint_node.config.oidc import oidc_of
from ioint_node.config.tls import Tls
from ioint_node.errors import BusyError, ConfigError, NodeError
from ioint_node.flows import believe, effects, publish
from ioint_node.flows.assess import AssessParts
from ioint_node.flows.hunt import Hunter
from ioint_node.flows.joining import JoiningParts
from ioint_node.flows.novel import look_at_cases, watch_own
from ioint_node.flows.ownlog import FileAnchor
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.placing import Placing
from ioint_node.flows.prune import prune, weigh
from ioint_node.flows.public import PublicParts, Publishing
from ioint_node.flows.refusals import Refusals
from ioint_node.flows.rekeyed import take_back
from ioint_node.flows.roster import RosterBook, install, keep_fresh, open_book
from ioint_node.flows.seconding import second, speak_for_everyday
from ioint_node.formats.bundle import key_document
from ioint_node.jobs import Job, Jobs
from ioint_node.local import Local, jobs_of, open_local
from ioint_node.membership.invitations import read_invitation
from ioint_node.network import Network
from ioint_node.peers import Exchange
from ioint_node.privacy.gate import Mode
from ioint_node.reputation.beliefs import Beliefs
from ioint_node.reputation.gate import Params
from ioint_node.reputation.standpoint import Standpoint
from ioint_node.scoring.model import load_model
from ioint_node.store.engine import Store, open_store
from ioint_node.store.migrate import upgrade
from ioint_node.store.retention import Retention, forget
from ioint_node.voice import Voice
from ioint_node.web import Hub, WebLimits, WebParts, build_web, no_boundary, serve

ROLES = ("web", "scorer", "exchange", "jobs")
# At a lower level these would write statements with their values, which hold what agents and people said.
QUIET = ("aiohttp", "aiosqlite", "alembic", "apscheduler", "asyncio", "sqlalchemy", "tuf")
YOUNG_OBJECTS = 20_000  # that may be made before the collector looks at them
log = logging.getLogger("ioint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """How often what runs by the clock runs, in seconds."""

    emission_s: float = 5.0
    refusals_s: float = 1.0
    roster_s: float = 5.0
    novel_s: float = 30.0
    placing_s: float = 5.0
    public_s: float = 60.0
    second_s: float = 30.0
    everyday_s: float = 3_600.0
    stamp_s: float = 60.0
    application_s: float = 30.0
    hear_first_s: float = 600.0  # before a steward's node that meets nobody says what the newest roster is
    expiry_s: float = 60.0
    refresh_s: float = 3_600.0
    anew_s: float = 5.0
    forget_s: float = 3_600.0
    links_s: float = 60.0
    node_key_s: float = 2.0
    prune_s: float = 3_600.0


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


@dataclass(slots=True)
class KeyRing:
    """The keys of a running node: a rotation changes them."""

    keys: Keys

    def record_key_at(self, seq: int) -> SigningKey:
        """The key that signs this segment now."""
        return self.keys.record_key_at(seq)


@dataclass(slots=True, kw_only=True)
class Node:
    """A running node: its parts, for the web edge, the commands and the tests. `url` is set once it listens.

    The bell rings after every commit that others may wait for, once what it brought is believed.
    """

    config: Config
    ring: KeyRing
    store: Store
    book: RosterBook
    local: Local
    parts: ExchangeParts
    network: Network
    voice: Voice
    hub: Hub
    bell: Bell
    hunter: Hunter
    refusals: Refusals
    tls: Tls | None
    ready_to_leave: asyncio.Event
    met: asyncio.Event  # enough members were compared with since the start
    started_at: int  # in ms
    public: PublicParts | None = None
    url: str = ""

    @property
    def keys(self) -> Keys:
        """The keys that are in use now."""
        return self.ring.keys

    @property
    def exchange(self) -> Exchange:
        """What speaks with the other members."""
        return self.network.exchange

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
async def open_node(
    config: Config, roles: Sequence[str] = ROLES, limits: Limits | None = None
) -> AsyncIterator[Node]:
    """Open a node's parts and run them; leaving the block stops every one of them.

    `limits` are what a member may cost it; None: those that every node has.
    """
    with hold_home(config):
        async with _running(config, roles, limits or Limits()) as node:
            yield node


@asynccontextmanager
async def _running(config: Config, roles: Sequence[str], limits: Limits) -> AsyncIterator[Node]:
    await upgrade(config.store_url)
    async with open_store(config.store_url) as store:
        book = await open_book(store)
        _settle_home(config, book)  # what a node that was killed in the middle of it left undone
        node = await _assemble(config, book, store, roles, limits)
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


def params_of(config: Config) -> Params:
    """What a node's settings say of acting on what others report."""
    return Params(
        tolerance=config.tolerance,
        guard_share=config.guard_share,
        guard_actors=config.guard_agents,
        shadow_days=config.shadow_days,
    )


async def _assemble(
    config: Config, book: RosterBook, store: Store, roles: Sequence[str], limits: Limits
) -> Node:
    keys = load_keys(config.home)
    taxonomy, catalogue, model = load_taxonomy(), load_catalogue(), load_model()
    hub, beliefs, bell, refusals = Hub(store), Beliefs(), Bell(), Refusals()
    ready_to_leave, met, ring = asyncio.Event(), asyncio.Event(), KeyRing(keys)
    if "exchange" not in roles:
        met.set()  # nobody is ever met, and nothing leaves: the own log is all there is
    bell.wakes(hub.wake)
    parts = ExchangeParts(
        store=store,
        member=keys.member,
        record_key=keys.record_key,
        later_key=ring.record_key_at,
        roster=lambda: book.in_force(_now()),
        consortium=lambda: book.consortium,
        taxonomy=taxonomy,
        catalogue=catalogue,
        beliefs=beliefs,
        publish_mode=PUBLISH_MODES[config.publish],
        detector=model.digest,
        second=config.second,
        benign_voices=config.benign_voices,
        label=config.tlp,
        public_names=load_public_names(config.home / config.public_names)
        if config.public_names
        else frozenset(),
        private_names=config.private_names,
        fingerprint_key=load_fingerprint_key(config.home) if config.fingerprints else None,
        notify=bell.ring,
        flush_soon=ready_to_leave.set,
        anchor=FileAnchor(config.home / "ownlog.anchor"),
        limits=limits,
        # Who has nobody else on the roster has nobody to hear first; the anchor still guards the own log.
        params=params_of(config),
        standpoint=Standpoint(canaries=frozenset(config.canaries)),
        in_contact=lambda: met.is_set() or network.alone(),
        connected=lambda: network.exchange.connected(),  # noqa: PLW0108 - the network is made after its parts
        announce=lambda news: network.tell(news),  # noqa: PLW0108 - as above
        hunt=lambda beliefs: hunter.take(beliefs),  # noqa: PLW0108 - as above
    )
    hunter = Hunter(parts)
    await believe.reload(parts, _now())
    with suppress(BusyError):  # where nothing can be written the node decides all the same
        await take_back(parts, _now())  # a crash may have come between a newer roster and this
    await watch_own(parts)
    local = await open_local(
        config,
        keys,
        store,
        beliefs,
        on_risky=lambda connection, sighting: publish.propose(connection, parts, sighting, _now()),
        notify=bell.ring,
        issuer=lambda: issuer_of(config, node.url),
        now=_now(),
        clock=_now,
    )
    for wake in (local.hooks.wake, local.transmitter.wake, local.signals.polls.wake):
        bell.wakes(wake)
    network = Network(
        parts,
        book,
        refusals,
        met,
        seed=keys.node_seed,
        connect=lambda handlers: Exchange(
            seed=keys.node_seed, listen=(config.exchange_host, config.exchange_port), handlers=handlers
        ),
        settle=partial(_settle, config, book, ring),
    )
    bell.wakes(network.delivery.wake)
    node = Node(
        config=config,
        ring=ring,
        store=store,
        book=book,
        local=local,
        parts=parts,
        network=network,
        voice=Voice(network.exchange, _now()),
        hub=hub,
        bell=bell,
        hunter=hunter,
        refusals=refusals,
        tls=Tls.of(config),
        ready_to_leave=ready_to_leave,
        met=met,
        started_at=_now(),
        public=_public_parts(config, book, ring, parts) if config.publish_public else None,
    )
    return node


def issuer_of(config: Config, url: str) -> str:
    """The URL that this node's security events are issued by, "" where there is none that others may use.

    `url` is where it listens, which is no name to others unless all of them are on this machine.
    """
    return config.public_url or (url if is_loopback(config.web_host) else "")


def _public_parts(config: Config, book: RosterBook, ring: KeyRing, parts: ExchangeParts) -> PublicParts:
    key = load_feed_key(config.home)

    def introduction() -> bytes:
        return key_document(
            bytes(key.verify_key),
            member=ring.keys.member,
            consortium=book.consortium or "",
            record_key=ring.keys.record_key,
        )

    return PublicParts(store=parts.store, catalogue=parts.catalogue, key=key, introduction=introduction)


def _loops(node: Node, roles: Sequence[str]) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
    """What runs for as long as the node does, by name."""
    loops: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
        "emission": partial(_emit, node),
        "hunter": partial(node.hunter.run, node.assess),
    }
    if "exchange" in roles:
        loops |= node.network.loops()
    if node.tls is not None:
        loops["certificate"] = node.tls.watch
    if "web" in roles:
        loops["hooks"] = node.local.hooks.run
        loops["transmitter"] = node.local.transmitter.run
        loops["telemetry"] = node.local.telemetry.run
    if "jobs" in roles:
        loops["jobs"] = Jobs(_jobs(node)).run
    return loops


def _jobs(node: Node) -> tuple[Job, ...]:
    retention = Retention(events_days=node.config.retention_days, stream_days=node.config.retention_days)
    placing = Placing(node.store)
    return (
        Job(name="refusals", every_s=PERIODS.refusals_s, run=lambda _: node.refusals.write(node.store)),
        Job(name="roster", every_s=PERIODS.roster_s, run=lambda _: node.network.look_for_roster()),
        Job(name="application", every_s=PERIODS.application_s, run=lambda _: _ask_admission(node)),
        Job(name="stamp", every_s=PERIODS.stamp_s, run=partial(_keep_fresh, node)),
        Job(name="links", every_s=PERIODS.links_s, run=partial(_choose_links, node)),
        Job(name="node key", every_s=PERIODS.node_key_s, run=partial(_choose_node_key, node)),
        Job(name="pruning", every_s=PERIODS.prune_s, run=partial(_forget_logs, node)),
        Job(name="expiry", every_s=PERIODS.expiry_s, run=partial(effects.expire, node.parts)),
        Job(name="decay", every_s=PERIODS.refresh_s, run=partial(believe.refresh_all, node.parts)),
        Job(
            name="anew",
            every_s=PERIODS.anew_s,
            run=partial(believe.conclude_anew, node.parts),
            at_start=True,
        ),
        Job(
            name="retention",
            every_s=PERIODS.forget_s,
            run=partial(_forget_old, node, retention),
        ),
        Job(name="novel", every_s=PERIODS.novel_s, run=partial(look_at_cases, node.parts)),
        Job(name="placing", every_s=PERIODS.placing_s, run=placing.run, at_start=True),
        Job(name="places", every_s=PERIODS.forget_s, run=placing.forget),
        Job(name="second", every_s=PERIODS.second_s, run=partial(second, node.parts)),
        Job(name="everyday", every_s=PERIODS.everyday_s, run=partial(speak_for_everyday, node.parts)),
        *_publishing(node),
        *jobs_of(node.local),
    )


def _publishing(node: Node) -> tuple[Job, ...]:
    if node.public is None:
        return ()
    publishing = Publishing(node.public)
    return (Job(name="public", every_s=PERIODS.public_s, run=publishing.run, at_start=True),)


async def _forget_logs(node: Node, now: int) -> None:
    """Drop what is dead of the members' logs, all that is dead of who is no member, and weigh the rest."""
    members = node.book.last.members if node.book.last else None
    standing = None if members is None else {m.id for m in members if m.state != "removed"}
    await prune(node.store, now, standing=None if standing is None else {*standing, node.keys.member})
    await weigh(node.parts)


async def _forget_old(node: Node, retention: Retention, now: int) -> None:
    """Remove what is kept no longer, and of what nothing is believed any more."""
    await node.store.write(lambda connection: forget(connection, now, retention))
    await believe.forget_silent(node.parts, now, retention.stream_days)


async def _choose_links(node: Node, now: int) -> None:
    node.network.choose_links(now)


async def _choose_node_key(node: Node, now: int) -> None:
    """Speak with the node key by which others know this node, as far as there are others and a child to speak with."""
    if node.network.alone() or node.exchange.process_id is None:
        return
    if node.voice.look(load_keys(node.config.home), now):
        _tell_where(node)


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


async def _keep_fresh(node: Node, now: int) -> None:
    """At a steward's node: once it has heard from others, or waited for it long enough, sign what is due."""
    heard = node.network.alone() or node.met.is_set()
    if not heard and now - node.started_at < PERIODS.hear_first_s * 1000:
        return
    if await keep_fresh(node.store, node.book, now, clock=node.keys.clock_key, steward=node.keys.steward_key):
        await node.network.roster_changed()


async def _ask_admission(node: Node) -> None:
    """While this node applies for membership: ask the inviter's door, and take over the roster that it gives."""
    config, last = node.config, node.book.last
    if not config.invitation_file.exists():
        return
    listed = None if last is None else last.member(node.keys.member)
    if listed is None or listed.state != "active":
        invitation = read_invitation(read_private(config.invitation_file).decode())
        try:
            answer = await apply(invitation, own_application(config, node.keys, last, invitation))
            changed = await install(
                node.store, node.book, answer.files, _now(), consortium=invitation.consortium
            )
        except (NodeError, ProtocolError) as error:
            log.warning("the application waits: %s", error)
            return
        try:
            add_fingerprint_keys(config, node.keys, node.book.last, answer.sealed_keys)
        except ConfigError as error:
            log.warning("%s", error)
        if changed:
            await node.network.roster_changed()
        if answer.state == "waiting":
            return
        log.info("the application is %s", answer.state)
    config.invitation_file.unlink(missing_ok=True)


def _settle(config: Config, book: RosterBook, ring: KeyRing) -> None:
    """Take in a newer roster at a running node."""
    if book.last is None:
        return
    _settle_home(config, book)
    before, ring.keys = ring.keys, load_keys(config.home)
    if before.member != ring.keys.member:
        log.warning("the roster lists this node under another member id: restart it")


def _settle_home(config: Config, book: RosterBook) -> None:
    """Write what follows from the roster: the file that a newcomer gets, and the keys that it names for this node."""
    if book.last is not None:
        replace_private(config.roster_file, bundle.write_bundle(book.files))
        settle_keys(config.home, book.last)


async def _left(node: Node) -> None:
    """Nobody is let in or dialled any more."""
    node.config.roster_file.unlink(missing_ok=True)
    node.config.invitation_file.unlink(missing_ok=True)
    node.network.choose_links(_now())
    log.info("left the consortium")


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
        telemetry=node.local.telemetry,
        joining=JoiningParts(
            store=node.store,
            book=node.book,
            keys=partial(fingerprint_keys, config),
            left=partial(_left, node),
        ),
        signals=node.local.signals,
        publishes=config.publish_public,
        behind_proxy=config.web_tls_proxy,
        limits=WebLimits(
            requests_per_s=config.requests_per_s,
            requests_burst=config.requests_burst,
            costly_per_s=config.costly_requests_per_s,
            costly_burst=config.costly_requests_burst,
        ),
        demands_certificate=config.web_client_cert == "required",
        oidc=oidc_of(config),
        boundary=BoundaryFile(config.home / config.boundary) if config.boundary else no_boundary,
    )
    context = None if node.tls is None else node.tls.context
    async with serve(build_web(parts), config.web_host, config.web_port, parts, context) as url:
        node.url = url
        node.bell.ring()  # what goes by the node's own URL can begin
        _tell_where(node)
        try:
            yield
        finally:
            clear_run(config)


def _tell_where(node: Node) -> None:
    spoken = bytes(SigningKey(node.exchange.seed).verify_key)
    write_run(node.config, RunInfo(url=node.url, pid=os.getpid(), peer_id=peer_id(spoken)))


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
        "ioint_groups_caught": len(node.parts.standpoint.caught),
        "ioint_effects_off": int(node.parts.beliefs.off),
        "ioint_writes_lost": node.store.failed,
        "ioint_decisions_lost": node.assess.journal.failed,
        "ioint_hunt_waiting": node.hunter.waiting,
        **{f"ioint_hunt_{what}": count for what, count in node.hunter.counts.items()},
        **{f"ioint_grants_{what}": count for what, count in node.local.grants.counts.items()},
        **{f"ioint_telemetry_{what}": count for what, count in node.local.telemetry.counted().items()},
        **{f"ioint_webhooks_{what}": count for what, count in node.local.hooks.counts.items()},
        **{f"ioint_signals_{what}": count for what, count in node.local.signals.counts.items()},
        **{f"ioint_received_{what}": count for what, count in node.network.intake.counts.items()},
        **{f"ioint_delivered_{how}": count for how, count in node.network.delivery.counts.items()},
        **{f"ioint_announced_{how}": count for how, count in node.network.announcer.counts.items()},
        **{f"ioint_strangers_{why}": count for why, count in node.exchange.refused_strangers().items()},
    }


def _now() -> int:
    return time.time_ns() // 1_000_000
