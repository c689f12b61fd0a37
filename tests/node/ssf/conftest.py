"""A node that transmits security events, and receivers of them that verify with a library the node does not use."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession, web
from ioint_node.flows.signals import SignalLimits, SignalParts, Signer
from ioint_node.posting import Pauses, PostLimits
from ioint_node.signals.sets import KeySet, SigningKey, make_pem
from ioint_node.store import signals, stream, tokens
from ioint_node.store.engine import WriterLimits, open_store
from ioint_node.store.migrate import upgrade
from ioint_node.store.signals import Stream
from ioint_node.transmitter import Transmitter, TransmitterLimits
from ioint_node.web import WebLimits, build_web, serve
from joserfc import jwt
from joserfc.jwk import KeySet as ReceiversKeySet

from tests.node.web.conftest import NOW, Clock, Node, make_consortium, make_parts, make_tokens

PUSH = "urn:ietf:rfc:8935"
POLL = "urn:ietf:rfc:8936"
WAIT_S = 10.0
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
LIMITS = TransmitterLimits(
    round_s=0.001,
    post=PostLimits(request_s=0.5, answer_s=0.05),
    pauses=Pauses(after_s=(5.0, 60.0, 60.0), jitter=0.0),
)


@cache
def signing_keys() -> KeySet:
    """One key for all tests: to make one takes a while."""
    return KeySet(keys=(SigningKey.of_pem(make_pem(), 0),))


@dataclass(kw_only=True)
class Receiver:
    """Somebody to push to: verifies what comes as a receiver should, and answers as it is told, then 202."""

    url: str = ""
    jwks: dict[str, Any] = field(default_factory=dict)
    answers: list[int | tuple[int, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    elsewhere: int = 0
    before_answer: Callable[[int], object] = lambda _: None
    more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        answer = self.answers.pop(0) if self.answers else 202
        async with self.more:
            self.headers.append({name.lower(): value for name, value in request.headers.items()})
            self.bodies.append(body)
            self.more.notify_all()
        self.before_answer(len(self.bodies))
        if isinstance(answer, int):
            return web.Response(status=answer, headers={"Location": "/elsewhere"})
        return web.json_response(answer[1], status=answer[0])

    async def refuse(self, _request: web.Request) -> web.Response:
        self.elsewhere += 1
        return web.Response(status=202)

    async def wait_for(self, count: int) -> list[dict[str, Any]]:
        """The verified claims of what came, once so many have come."""
        async with asyncio.timeout(WAIT_S), self.more:
            await self.more.wait_for(lambda: len(self.bodies) >= count)
        return [verified(one, self.jwks) for one in self.bodies]


def verified(token: str, jwks: dict[str, Any]) -> dict[str, Any]:
    """The claims of a token whose signature and header are as they should be."""
    found = jwt.decode(token, ReceiversKeySet.import_key_set(jwks), algorithms=["RS256"])  # type: ignore[arg-type]
    assert found.header["typ"] == "secevent+jwt"
    return found.claims


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver(jwks=signing_keys().jwks(NOW // 1000))
    application = web.Application()
    application.router.add_post("/events", receiver.take)
    application.router.add_route("*", "/elsewhere", receiver.refuse)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    place = web.TCPSite(runner, "127.0.0.1", 0)
    await place.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@dataclass(kw_only=True)
class Transmitting:
    """The node under test, with what a receiver does at its doors."""

    node: Node
    signals: SignalParts
    transmitter: Transmitter

    @property
    def clock(self) -> Clock:
        return self.node.clock

    @property
    def jwks(self) -> dict[str, Any]:
        return signing_keys().jwks(NOW // 1000)

    async def call(
        self, method: str, path: str, body: object = None, role: str = "engine", **rest: Any
    ) -> ClientResponse:
        headers = self.node.headers(role) | rest.pop("headers", {})
        more: dict[str, Any] = {} if body is None else {"json": body}
        return await self.node.client.request(method, path, headers=headers, **more, **rest)

    async def ask(
        self, method: str, path: str, body: object = None, role: str = "engine", status: int = 200
    ) -> Any:
        """The body of an answer that has to have this status."""
        answer = await self.call(method, path, body, role)
        assert answer.status == status, (answer.status, await answer.text())
        return await answer.json() if answer.content_type == "application/json" else None

    async def make(self, role: str = "engine", **settings: Any) -> dict[str, Any]:
        made: dict[str, Any] = await self.ask("POST", "/ssf/streams", settings, role, 201)
        return made

    async def make_push(self, url: str, role: str = "engine", **more: Any) -> dict[str, Any]:
        delivery = {"method": PUSH, "endpoint_url": url, **more.pop("delivery", {})}
        return await self.make(role, delivery=delivery, **more)

    async def poll(self, name: str, role: str = "engine", **said: Any) -> dict[str, Any]:
        """The verified claims of what waits, by `jti`; at once."""
        found = await self.ask("POST", f"/ssf/poll/{name}", {"returnImmediately": True, **said}, role)
        return {jti: verified(token, self.jwks) for jti, token in found["sets"].items()}

    async def tell(self, event: str, body: dict[str, Any], tlp: str = "amber") -> int:
        seq = await self.node.parts.store.write(
            lambda connection: stream.append(connection, event, body, tlp, self.clock.now)
        )
        self.signals.notify()
        return seq

    async def halt(self, actor: str = "a-1", tlp: str = "amber") -> int:
        """An order that stops an actor."""
        body = {
            "actor": actor,
            "session_id": "s-1",
            "response_id": "r-1",
            "after": "suspend",
            "do": ["suspend"],
        }
        return await self.tell("response", body | {"reason": "left its scope", "by": "node"}, tlp)

    async def accuse(self, before: float = 0.0, after: float = 0.1, **named: str) -> int:
        """What members report of a pattern or package changes."""
        said = named or {"pattern": "ab" * 32}
        numbers = {
            "state": "suspicious",
            "tier": "corroborated",
            "score": 60,
            "confidence": 50,
            "effect": after,
        }
        return await self.tell(
            "reputation", {"before": before, "after": after, "reason": "x", **numbers, **said}
        )

    async def stream(self, name: str) -> Stream:
        async with self.node.parts.store.read() as connection:
            return {one.id: one for one in await signals.all_streams(connection)}[name]

    async def until(self, name: str, done: Callable[[Stream], bool]) -> Stream:
        """A stream once something is so of it."""
        async with asyncio.timeout(WAIT_S):
            while True:
                found = await self.stream(name)  # what is waited for is another task's write
                if done(found):
                    return found

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the transmitter pushes."""
        task = asyncio.create_task(self.transmitter.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the schema and nothing in it; tests work on copies."""
    path = tmp_path_factory.mktemp("schema") / "node.db"
    asyncio.run(upgrade(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture
def signal_limits() -> SignalLimits:
    """A test that needs other limits overrides this fixture."""
    return SignalLimits(round_s=0.001)


@pytest.fixture
def all_subjects() -> bool:
    """A test whose streams are about nobody by default overrides this fixture."""
    return True


@pytest.fixture
async def site(
    tmp_path: Path, empty_database: Path, signal_limits: SignalLimits, all_subjects: bool
) -> AsyncIterator[Transmitting]:
    shutil.copy(empty_database, tmp_path / "node.db")
    clock, consortium, place = Clock(), make_consortium(NOW), list[str]()
    async with open_store(
        f"sqlite+aiosqlite:///{tmp_path / 'node.db'}", WriterLimits(group_s=0.001)
    ) as store:
        parts = make_parts(store, consortium, clock, WebLimits(), [])

        def notify() -> None:
            transmitter.wake()
            told.polls.wake()

        told = SignalParts(
            store=store,
            issuer=lambda: "".join(place),
            signer=Signer(signing_keys, signal_limits.signed),
            notify=notify,
            all_subjects=all_subjects,
            limits=signal_limits,
        )
        transmitter = Transmitter(told, LIMITS, now=clock)
        parts = replace(parts, signals=told)
        made = await store.write(make_tokens)
        keys = {role: one.token for role, one in made.items()}
        other = await store.write(
            lambda connection: tokens.create(connection, "engine", None, "green", None, now=NOW)
        )
        async with (
            serve(build_web(parts), "127.0.0.1", 0, parts) as url,
            ClientSession(base_url=url) as client,
        ):
            place.append(url)
            node = Node(
                parts=parts,
                client=client,
                url=url,
                consortium=consortium,
                clock=clock,
                keys=keys | {"other": other.token},
                peers=[],
            )
            yield Transmitting(node=node, signals=told, transmitter=transmitter)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made
