"""A node with its web side, in a consortium of five whose other members can speak with real keys."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession
from ioint_node.access.boundary import Boundary
from ioint_node.admission import Accepted
from ioint_node.flows import publish
from ioint_node.flows.assess import AssessParts, LocalSighting
from ioint_node.flows.live import LiveSessions
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.receive import receive_segment
from ioint_node.reputation.beliefs import Beliefs
from ioint_node.scoring import load_model
from ioint_node.store import tokens
from ioint_node.store.engine import Store, WriterLimits, open_store
from ioint_node.store.migrate import upgrade
from ioint_node.store.times import day_of
from ioint_node.web import Hub, WebLimits, WebParts, build_web, no_boundary, serve
from ioint_protocol import (
    Member,
    Record,
    RecordKey,
    Release,
    Report,
    Roster,
    SigningKey,
    build_segment,
    encode_record,
    member_id,
    parse_segment,
    verify_segment,
)
from ioint_protocol.segment import GENESIS
from ioint_taxonomy import load_catalogue, load_taxonomy
from sqlalchemy.ext.asyncio import AsyncConnection
from yarl import URL

NOW = 1_795_000_000_000
WAIT_S = 10
NAMES = ("northwind", "contoso", "fabrikam", "initech", "umbrella")


def _key(name: str) -> SigningKey:
    return SigningKey(name.encode().ljust(32, b".")[:32])


@dataclass(kw_only=True)
class Consortium:
    """Five members with real keys; the first is the node under test."""

    roster: Roster
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)

    def member(self, name: str) -> str:
        return member_id(_key(name).verify_key.encode())

    def segment(self, name: str, *records: Record) -> bytes:
        """The next segment of a member's log."""
        author = self.member(name)
        seq, head = self.heads.get(author, (0, GENESIS))
        bodies = [encode_record(record) for record in records]
        wire = build_segment(_key(name), self.roster.consortium, author, seq + 1, head, 1, bodies)
        checked = verify_segment(parse_segment(wire), self.roster.consortium, self.roster)
        self.heads[author] = (seq + 1, checked.head)
        return wire


def make_consortium(now: int) -> Consortium:
    return Consortium(roster=make_roster(now))


@cache
def make_roster(now: int) -> Roster:
    taxonomy, catalogue = load_taxonomy(), load_catalogue()
    members = tuple(
        Member(
            id=member_id(_key(name).verify_key.encode()),
            name=name,
            node_key=_key(f"{name}-node").verify_key.encode().hex(),
            record_keys=(RecordKey(key=_key(name).verify_key.encode().hex()),),
            group=name,
            sponsor="",
            class_="member",
            since=1,
            since_day=day_of(now),
            addresses=(),
            state="active",
        )
        for name in NAMES
    )
    return Roster(
        version=1,
        consortium="c0" * 32,
        issued_day=day_of(now),
        expires=now // 1000 + 30 * 86_400,
        members=tuple(sorted(members, key=lambda m: m.id)),
        taxonomy=Release(version=taxonomy.version, digest=taxonomy.digest),
        catalogue=catalogue.digest,
    )


@dataclass(kw_only=True)
class Clock:
    """The time that a test gives."""

    now: int = NOW

    def __call__(self) -> int:
        return self.now


@dataclass(kw_only=True)
class Node:
    """The node under test and a token of every role."""

    parts: WebParts
    client: ClientSession
    url: str
    consortium: Consortium
    clock: Clock
    keys: dict[str, str]
    peers: list[dict[str, Any]]

    def headers(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[role]}"}

    async def get(self, path: str, role: str = "soc", **rest: Any) -> ClientResponse:
        headers = self.headers(role) | rest.pop("headers", {})
        return await self.client.get(path, headers=headers, **rest)

    async def post(self, path: str, body: object, role: str = "engine") -> ClientResponse:
        return await self.client.post(path, json=body, headers=self.headers(role))

    async def json(self, path: str, role: str = "soc", **rest: Any) -> Any:
        answer = await self.get(path, role, **rest)
        assert answer.status == 200, await answer.text()
        return await answer.json(content_type=None)

    async def unharmed(self) -> bool:
        answers = [await self.client.get("/readyz"), await self.get("/api/v1/status")]
        return [one.status for one in answers] == [200, 200]

    def report(self, pattern: str, *, bad: int = 0, tlp: str = "amber") -> Report:
        entry = self.parts.exchange.catalogue.entries[pattern]
        today = day_of(self.clock.now)
        return Report(
            tax=self.parts.exchange.taxonomy.version,
            kind="pattern",
            pat=pattern,
            intents=tuple(sorted(entry.intents))[:1],
            basis="threshold",
            bad=bad,
            seen=bad,
            agents=0,
            day_from=today,
            day_until=today,
            det=self.parts.exchange.detector,
            tlp=tlp,
        )

    async def say(self, *pieces: bytes, role: str = "") -> bytes:
        """Send bytes as they are over a connection of its own, and return all that comes until it is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for piece in pieces:
                writer.write(piece.replace(b"TOKEN", self.keys.get(role, "").encode()))
                await writer.drain()
            async with asyncio.timeout(WAIT_S):
                return await reader.read()
        finally:
            writer.close()

    @property
    def port(self) -> int:
        return URL(self.url).port or 0

    async def hear(self, name: str, *records: Record) -> None:
        """Let a member's next segment arrive."""
        wire = self.consortium.segment(name, *records)
        decision = await receive_segment(
            self.parts.exchange, wire, self.consortium.member(name), self.clock.now
        )
        assert isinstance(decision, Accepted), decision

    def patterns(self, count: int) -> Sequence[str]:
        return sorted(self.parts.exchange.catalogue.entries)[:count]

    async def open_session(self, session: str = "s-1", actor: str = "a-1", role: str = "engine") -> Any:
        body = {
            "session_id": session,
            "actor": {"id": actor, "kind": "agent"},
            "declared": {"text": "answer support questions about orders"},
        }
        answer = await self.post("/api/v1/sessions", body, role)
        assert answer.status == 201, await answer.text()
        return await answer.json()


def make_parts(
    store: Store, consortium: Consortium, clock: Clock, limits: WebLimits, peers: list[dict[str, Any]]
) -> WebParts:
    model, hub = load_model(), Hub(store, limits)
    exchange = ExchangeParts(
        store=store,
        member=consortium.member(NAMES[0]),
        record_key=_key(NAMES[0]),
        roster=lambda: consortium.roster,
        consortium=lambda: consortium.roster.consortium,
        taxonomy=load_taxonomy(),
        catalogue=load_catalogue(),
        beliefs=Beliefs(),
        publish_mode="catalogue",
        detector=model.digest,
        notify=hub.wake,
    )

    async def propose(connection: AsyncConnection, sighting: LocalSighting) -> None:
        await publish.propose(connection, exchange, sighting, clock.now)

    assess = AssessParts(
        store=store,
        live=LiveSessions(),
        model=model,
        taxonomy=exchange.taxonomy,
        catalogue=exchange.catalogue,
        beliefs=exchange.beliefs,
        on_risky=propose,
        notify=hub.wake,
    )
    return WebParts(
        store=store,
        assess=assess,
        exchange=exchange,
        hub=hub,
        peers_status=lambda: peers,
        version="0.0.0",
        org=NAMES[0],
        limits=limits,
        refusals=Counter(),
        now=clock,
    )


async def make_tokens(connection: AsyncConnection) -> dict[str, tokens.NewToken]:
    """A token of every role."""
    terms = (
        ("agent", "a-1", "clear"),
        ("engine", None, "amber"),
        ("soc", None, "amber"),
        ("admin", None, "red"),
    )
    return {
        role: await tokens.create(connection, role, actor, tlp, None, now=NOW) for role, actor, tlp in terms
    }


@pytest.fixture
def limits() -> WebLimits:
    """A test that needs other limits overrides this fixture."""
    return WebLimits()


@pytest.fixture
def boundary() -> Callable[[], Boundary | None]:
    """A test that needs a loaded policy overrides this fixture."""
    return no_boundary


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the schema and nothing in it; tests work on copies."""
    path = tmp_path_factory.mktemp("schema") / "node.db"
    asyncio.run(upgrade(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture
async def node(
    tmp_path: Path, empty_database: Path, limits: WebLimits, boundary: Callable[[], Boundary | None]
) -> AsyncIterator[Node]:
    shutil.copy(empty_database, tmp_path / "node.db")
    url = f"sqlite+aiosqlite:///{tmp_path / 'node.db'}"
    clock = Clock()
    consortium = make_consortium(NOW)
    peers: list[dict[str, Any]] = []
    async with open_store(url, WriterLimits(group_s=0.001)) as store:
        parts = replace(make_parts(store, consortium, clock, limits, peers), boundary=boundary)
        made = await store.write(make_tokens)
        keys = {role: one.token for role, one in made.items()}
        async with (
            serve(build_web(parts), "127.0.0.1", 0, parts) as url,
            ClientSession(base_url=url) as client,
        ):
            yield Node(
                parts=parts,
                client=client,
                url=url,
                consortium=consortium,
                clock=clock,
                keys=keys,
                peers=peers,
            )
