"""The web application: every route behind one guard, every error one kind of answer."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler as Enter
from aiohttp.typedefs import Middleware

from ioint_node.errors import ConfigError
from ioint_node.flows.gap import LoopParts
from ioint_node.flows.respond import RespondParts
from ioint_node.flows.telemetry import Telemetry
from ioint_node.store.tokens import Caller, TokenCache
from ioint_node.web import (
    agents,
    approvals,
    authzen,
    console,
    disputes,
    ext_authz,
    filters,
    grants,
    incidents,
    joining,
    observations,
    opa,
    operate,
    otlp,
    outgoing,
    policy,
    query,
    respond,
    sessions,
    ssf,
    status,
    stream,
    taxii,
    webhooks,
)
from ioint_node.web.answers import json_answer
from ioint_node.web.auth import caller_of
from ioint_node.web.connection import Connection, Listening
from ioint_node.web.feeds import misp as misp_feed
from ioint_node.web.feeds import navigator, ocsf, public
from ioint_node.web.feeds import rows as rows_feed
from ioint_node.web.limits import FailedAuth, Lookups, WebLimits
from ioint_node.web.oidc import Provider, login
from ioint_node.web.oidc.bearers import Bearers
from ioint_node.web.openapi import describe
from ioint_node.web.problems import SERVER, Refusal, refusal_of, render
from ioint_node.web.rates import Left, Rate, Rates
from ioint_node.web.site import Route, Site, WebParts

_NO_ROUTE = "(no route)"
_RATE_SETTINGS = {
    "requests": "requests_per_s",
    "costly": "costly_requests_per_s",
}  # by the names of the rates
_LEFT = web.RequestKey("left", Left)  # of the rate that a costly request counts against
_REQUEST_ID = re.compile(r"[!-~]{1,256}")
# Rights whose doors read from the disk what sessions wrote; those that only act have it in memory.
_READING = frozenset({"answer", "see_session", "query", "review", "opine", "decide"})


def build_web(parts: WebParts) -> web.Application:
    """The application over its parts; `serve` runs it."""
    site = site_of(parts)
    routes = all_routes(site)
    application = guard(site, routes)
    described = json_answer(describe(routes, parts.version)).body

    async def openapi(request: web.Request) -> web.Response:
        return web.Response(body=described, headers={"Content-Type": "application/json"})

    application.router.add_get("/openapi.json", openapi)
    application.cleanup_ctx.append(_feeding(parts))
    if parts.oidc is not None:
        application.cleanup_ctx.append(_asking(parts.oidc))
    application.on_shutdown.append(_stop_streams(parts))
    return application


def site_of(parts: WebParts) -> Site:
    """The parts with a fresh memory of callers."""
    return Site(
        parts=parts,
        tokens=TokenCache(parts.store),
        failed=FailedAuth(parts.limits),
        lookups=Lookups(parts.limits),
        rates=_rates(parts.limits),
        bearers=Bearers(parts.oidc) if parts.oidc is not None and parts.oidc.settings.audience else None,
        loop=parts.loop or _default_loop(parts),
        responding=parts.responding or _default_responding(parts),
        telemetry=parts.telemetry or Telemetry(parts.assess, parts.now),
    )


def guard(site: Site, routes: Sequence[Route]) -> web.Application:
    """An application of these routes: who may come in is asked, and what fails is answered and counted."""
    application = web.Application(
        client_max_size=site.parts.limits.body_bytes, middlewares=[_counting(site), _refusing(site)]
    )
    for route in routes:
        application.router.add_route(route.method, route.path, _guarded(site, route))
    application.on_response_prepare.append(_name_ourselves)
    application.on_response_prepare.append(_name_request)
    return application


def all_routes(site: Site) -> tuple[Route, ...]:
    """Every door of the node."""
    return (
        *console.routes(),
        *agents.routes(),
        *observations.routes(),
        *status.routes(),
        *operate.routes(),
        *outgoing.routes(),
        *policy.routes(),
        *approvals.routes(),
        *respond.routes(),
        *webhooks.routes(),
        *incidents.routes(),
        *query.routes(),
        *filters.routes(),
        *disputes.routes(),
        *sessions.routes(),
        *grants.routes(site),
        *authzen.routes(),
        *ext_authz.routes(),
        *opa.routes(),
        *joining.routes(site),
        *stream.routes(),
        *taxii.routes(site),
        *ssf.routes(site),
        *misp_feed.routes(site),
        *ocsf.routes(),
        *rows_feed.routes(),
        *navigator.routes(),
        *public.routes(),
        *otlp.routes(),
        *login.routes(site),
    )


@asynccontextmanager
async def serve(
    application: web.Application,
    host: str,
    port: int,
    parts: WebParts,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[str]:
    """Listen, and yield the URL; `port` 0 takes a free one. Leaving the block stops within `limits.stop_s`.

    With `tls` connections are encrypted, and a handshake has `limits.header_s`.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    runner = web.AppRunner(application, handle_signals=False, shutdown_timeout=parts.limits.stop_s)
    await runner.setup()
    loop = asyncio.get_running_loop()
    server = cast("web.Server", runner.server)  # `setup` has made it
    listening = Listening(limits=parts.limits, refusals=parts.refusals)
    try:
        try:
            sockets = await loop.create_server(
                partial(Connection, server, listening, loop=loop),
                host,
                port,
                ssl=tls,
                ssl_handshake_timeout=None if tls is None else parts.limits.header_s,
            )
        except OSError as error:
            raise ConfigError(
                f"web_port {port} on {host} cannot be listened on ({os.strerror(error.errno or 0)}): "
                "end the program or node that does, or set another web_port"
            ) from None
        try:
            bound = sockets.sockets[0].getsockname()[1]
            shown = f"[{host}]" if ":" in host else host
            yield f"{'http' if tls is None else 'https'}://{shown}:{bound}"
        finally:
            # Nobody new comes in; `cleanup` lets those go who are in.
            sockets.close()
    finally:
        await runner.cleanup()


def _default_loop(parts: WebParts) -> LoopParts:
    assess = parts.assess
    return LoopParts(
        store=parts.store,
        model=assess.model,
        shipped=assess.model,
        taxonomy=assess.taxonomy,
        policy=assess.policy,
        accepted=assess.accepted,
    )


def _default_responding(parts: WebParts) -> RespondParts:
    assess = parts.assess
    return RespondParts(
        store=parts.store,
        notify=assess.notify,
        mode="enforce" if assess.policy.staging.enforce else "observe",
        halted=assess.halted,
        holds=assess.holds,
    )


def _guarded(site: Site, route: Route) -> Enter:
    async def enter(request: web.Request) -> web.StreamResponse:
        caller = await caller_of(site, request, route.may)
        if route.may is not None:
            _take(site, request, caller, costly=route.costly)
        if route.may in _READING and not route.at_once:
            # Whoever was answered finds what it was answered of.
            await site.parts.assess.journal.settled()
        return await route.handler(site, request, caller)

    return enter


def _rates(limits: WebLimits) -> Rates:
    return Rates(
        cheap=Rate(name="requests", per_s=limits.requests_per_s, burst=limits.requests_burst),
        costly=Rate(name="costly", per_s=limits.costly_per_s, burst=limits.costly_burst),
        callers=limits.rated_callers,
    )


def _take(site: Site, request: web.Request, caller: Caller, *, costly: bool) -> None:
    """Count a request against its caller's rate.

    Raises:
        Refusal: 429, with when to come again.
    """
    left = site.rates.take(caller.id, site.parts.now(), costly=costly)
    if left.wait_ms:
        detail = (
            f"more than {left.rate.per_s} requests a second by this caller: wait as Retry-After says, or raise "
            f"the setting {_RATE_SETTINGS[left.rate.name]}"
        )
        raise Refusal(429, "too_many_requests", detail, headers=left.headers())
    if costly:
        request[_LEFT] = left


def _counting(site: Site) -> Middleware:
    @web.middleware
    async def count(request: web.Request, handler: Enter) -> web.StreamResponse:
        response = await handler(request)
        resource = request.match_info.route.resource
        name = _NO_ROUTE if resource is None else resource.canonical
        site.answered[name, _method(request), response.status] += 1
        return response

    return count


def _refusing(site: Site) -> Middleware:
    @web.middleware
    async def refuse(request: web.Request, handler: Enter) -> web.StreamResponse:
        try:
            return await handler(request)
        except Exception as error:  # the one place where a bug becomes an answer; `refusal_of` logs it
            refusal = _left(request, error) or refusal_of(error)
            site.parts.refusals[refusal.name] += 1
            return render(refusal, request.path, request.content_type)

    return refuse


def _left(request: web.Request, error: Exception) -> Refusal | None:
    """The refusal, which nobody reads any more, where an answer ended since its reader has left: that is no bug."""
    there = request.transport is not None and not request.transport.is_closing()
    if there or not isinstance(error, ConnectionError):
        return None
    return Refusal(400, "client_left", "the connection ended before the answer did")


def _method(request: web.Request) -> str:
    # A method is any token that a caller invents: the counter knows those that exist.
    return request.method if request.method in ("GET", "HEAD", "POST", "DELETE", "PUT", "PATCH") else "other"


async def _name_ourselves(request: web.Request, response: web.StreamResponse) -> None:
    # Whoever asks need not learn the versions that we are built on.
    response.headers["Server"] = SERVER
    if (left := request.get(_LEFT)) is not None:
        response.headers.update(left.headers())


async def _name_request(request: web.Request, response: web.StreamResponse) -> None:
    # Whoever numbers its requests finds the number in its answers.
    named = request.headers.get("X-Request-ID")
    if named is not None and _REQUEST_ID.fullmatch(named):
        response.headers["X-Request-ID"] = named


def _feeding(parts: WebParts) -> Callable[[web.Application], AsyncIterator[None]]:
    async def feed(application: web.Application) -> AsyncIterator[None]:
        await parts.hub.start()
        task = asyncio.create_task(parts.hub.run(), name="stream-hub")
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    return feed


def _asking(provider: Provider) -> Callable[[web.Application], AsyncIterator[None]]:
    async def ask(application: web.Application) -> AsyncIterator[None]:
        async with provider.running():
            yield

    return ask


def _stop_streams(parts: WebParts) -> Callable[[web.Application], Awaitable[None]]:
    async def stop(application: web.Application) -> None:
        parts.hub.close()
        if parts.signals is not None:
            parts.signals.polls.close()

    return stop
