"""Somebody whom a hook leads to: keeps what comes, and answers as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from ioint_node.hooks import Hooks
from ioint_node.store import stream, webhooks
from ioint_node.store.engine import Store
from ioint_node.store.tokens import Caller
from ioint_node.store.webhooks import Terms, Webhook

WAIT_S = 10.0
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(kw_only=True)
class Receiver:
    """What came, in its order; `answers` are given one after the other, then 204."""

    url: str = ""
    answers: list[int | Answer] = field(default_factory=list)
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    elsewhere: int = 0
    more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        answer = self.answers.pop(0) if self.answers else 204
        async with self.more:
            self.came.append(({name.lower(): value for name, value in request.headers.items()}, body))
            self.more.notify_all()
        return web.Response(status=answer) if isinstance(answer, int) else await answer(request)

    async def refuse(self, _request: web.Request) -> web.Response:
        self.elsewhere += 1
        return web.Response()

    async def wait_for(self, count: int) -> list[dict[str, Any]]:
        """The bodies, once so many have come."""
        async with asyncio.timeout(WAIT_S), self.more:
            await self.more.wait_for(lambda: len(self.came) >= count)
        return self.bodies

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.came]

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.came]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/hook", receiver.take)
    application.router.add_route("*", "/elsewhere", receiver.refuse)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    place = web.TCPSite(runner, "127.0.0.1", 0)
    await place.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@asynccontextmanager
async def running(hooks: Hooks) -> AsyncIterator[Hooks]:
    task = asyncio.create_task(hooks.run())
    try:
        yield hooks
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def tell(store: Store, number: int, *, event: str = "response", tlp: str = "amber", now: int) -> int:
    body = {"actor": "a-1", "number": number}
    return await store.write(lambda connection: stream.append(connection, event, body, tlp, now))


async def make_hook(store: Store, who: Caller, url: str, *events: str, now: int, **terms: Any) -> Webhook:
    wanted = events or ("response",)
    return await store.write(
        lambda connection: webhooks.add(connection, who, Terms(url=url, events=wanted, **terms), now=now)
    )


async def hook_now(store: Store, hook: Webhook) -> Webhook:
    async with store.read() as connection:
        found = {one.id: one for one in await webhooks.list_hooks(connection, 100)}
    return found[hook.id]


async def until(store: Store, hook: Webhook, done: Callable[[Webhook], bool]) -> Webhook:
    """The hook once something is so of it."""
    async with asyncio.timeout(WAIT_S):
        while True:
            found = await hook_now(store, hook)  # what is waited for is another task's write
            if done(found):
                return found
