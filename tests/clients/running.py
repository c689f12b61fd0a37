"""A node that runs in a thread of its own, for clients that know nothing of asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, web
from ioint_node.access.claims import Mapped, Rule
from ioint_node.access.passes import PassKey
from ioint_node.flows.grant_parts import GrantParts
from ioint_node.flows.joining import JoiningParts
from ioint_node.flows.roster import open_book
from ioint_node.store.engine import WriterLimits, open_store
from ioint_node.store.migrate import upgrade
from ioint_node.web import WebLimits, WebParts, build_web, serve
from ioint_node.web.oidc import OidcSettings, Provider

from tests.node.web.conftest import NOW, Clock, Node, make_consortium, make_parts, make_tokens

START_S = 30


@dataclass(frozen=True, kw_only=True)
class Running:
    """Where it listens, a token of every role, and the pattern that a member reported."""

    url: str
    keys: dict[str, str]
    pattern: str


@contextmanager
def running_node(folder: Path, limits: WebLimits | None = None) -> Iterator[Running]:
    """A node with a session, a decision, and an indicator that a member reported."""
    thread = _Thread(
        folder, limits or WebLimits(requests_per_s=100_000, requests_burst=100_000, failed_auth=1_000_000)
    )
    thread.start()
    if not thread.ready.wait(START_S):
        raise AssertionError("the node did not start")
    try:
        if thread.running is None:
            raise AssertionError("the node ended") from thread.failed
        yield thread.running
    finally:
        thread.stop()
        thread.join(START_S)


class _Thread(threading.Thread):
    def __init__(self, folder: Path, limits: WebLimits) -> None:
        super().__init__(daemon=True)
        self.ready = threading.Event()
        self.running: Running | None = None
        self.failed: BaseException | None = None
        self._folder = folder
        self._limits = limits
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Event | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self.failed = error
            raise
        finally:
            self.ready.set()

    def stop(self) -> None:
        if self._loop is not None and self._over is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._over.set)

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        url = f"sqlite+aiosqlite:///{self._folder / 'node.db'}"
        await upgrade(url)
        clock, consortium = Clock(), make_consortium(NOW)
        peers: list[dict[str, Any]] = []
        async with open_store(url, WriterLimits(group_s=0.001)) as store:
            parts = make_parts(store, consortium, clock, self._limits, peers)
            grants = GrantParts(assess=parts.assess, key=PassKey.of_seed(b"k" * 32), issuer="ioint:test")
            joining = JoiningParts(store=store, book=await open_book(store))
            parts = replace(parts, grants=grants, joining=joining)
            keys = {role: one.token for role, one in (await store.write(make_tokens)).items()}
            async with (
                _provider() as issuer,
                _serving(parts, issuer) as where,
                ClientSession(base_url=where) as client,
            ):
                node = Node(
                    parts=parts,
                    client=client,
                    url=where,
                    consortium=consortium,
                    clock=clock,
                    keys=keys,
                    peers=peers,
                )
                (pattern,) = node.patterns(1)
                await node.hear("contoso", node.report(pattern))
                await node.open_session()
                act = {"action_id": "x-1", "tool": "read_file", "arguments": {"path": "notes.txt"}}
                await node.post("/api/v1/sessions/s-1/actions", act)
                self.running = Running(url=where, keys=keys, pattern=pattern)
                self.ready.set()
                await self._over.wait()


def _serving(parts: WebParts, issuer: str) -> AbstractAsyncContextManager[str]:
    mapped = Mapped(rules=(Rule.parse("groups=analysts:soc"),))
    settings = OidcSettings(issuer=issuer, mapped=mapped, audience="node", client_id="console")
    whole = replace(parts, oidc=Provider(settings))
    return serve(build_web(whole), "127.0.0.1", 0, whole)


@asynccontextmanager
async def _provider() -> AsyncIterator[str]:
    """An identity provider that says where everything is, and knows nobody."""
    issuer = ""

    async def describe(request: web.Request) -> web.Response:
        ends = {"jwks_uri": "jwks", "authorization_endpoint": "auth", "token_endpoint": "token"}
        return web.json_response(
            {"issuer": issuer, **{name: f"{issuer}/{end}" for name, end in ends.items()}}
        )

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"keys": []} if request.path == "/jwks" else {"error": "invalid_grant"})

    application = web.Application()
    application.router.add_get("/.well-known/openid-configuration", describe)
    application.router.add_route("*", "/{any}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield issuer
    finally:
        await runner.cleanup()
