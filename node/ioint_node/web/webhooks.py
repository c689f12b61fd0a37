"""Webhooks: an engine makes and removes its own, an administrator sees all."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from aiohttp import web
from msgspec import Meta, Struct, field

from ioint_node.addresses import URL_CHARS, check_url
from ioint_node.errors import NotFoundError
from ioint_node.store import webhooks
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.requests import Body, cursor_of, cursor_text, limit_of, parameters, read_json
from ioint_node.web.site import Handler, Route, Site

_HOOKS = "/api/v1/webhooks"
_Event = Literal["reputation", "trust", "response", "withdrawal"]


def _response() -> list[_Event]:
    return ["response"]


class WebhookBody(Body, frozen=True):
    """`POST /api/v1/webhooks`; without `tlp` all that the token may see."""

    url: Annotated[str, Meta(min_length=1, max_length=URL_CHARS)]
    events: Annotated[list[_Event], Meta(min_length=1, max_length=4)] = field(default_factory=_response)
    tlp: Literal["clear", "green", "amber", "amber_strict", "red"] | None = None


async def make_webhook(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Make a webhook; its secret is in this answer and never again."""
    body = await read_json(request, WebhookBody, site.parts.limits)
    check_url(body.url, private=site.responding.webhook_private)
    made = await site.parts.store.write(
        lambda connection: webhooks.add(
            connection, caller, url=body.url, events=body.events, tlp=body.tlp, now=site.parts.now()
        )
    )
    site.responding.notify()
    return json_answer({**made.to_json(), "secret": made.secret}, 201)


async def list_webhooks(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Webhooks without their secrets, with how the newest attempt went."""
    given = parameters(request, "limit", "cursor")
    limit, cursor = limit_of(given, site.parts.limits), cursor_of(given)
    async with site.parts.store.read() as connection:
        found = await webhooks.list_hooks(connection, limit + 1, cursor[0] if cursor else None, caller=caller)
    shown = found[:limit]
    following = cursor_text(shown[-1].id) if len(found) > limit else None
    return json_answer({"items": [one.to_json() for one in shown], "next": following})


async def drop_webhook(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Remove a webhook, at once."""
    name = request.match_info["hook"]
    if not re.fullmatch(r"[0-9a-f]{32}", name):
        raise NotFoundError(f"no webhook {name[:32]!r}")
    await site.parts.store.write(lambda connection: webhooks.remove(connection, name, caller))
    return json_answer({"id": name, "removed": True})


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    doors = (
        ("POST", _HOOKS, "Have rows of the stream posted", make_webhook),
        ("GET", _HOOKS, "Webhooks, without their secrets", list_webhooks),
        ("DELETE", f"{_HOOKS}/{{hook}}", "Remove a webhook", drop_webhook),
    )
    bodies: dict[Handler, type[Struct]] = {make_webhook: WebhookBody}
    return tuple(
        Route(
            method=method,
            path=path,
            may="subscribe",
            summary=summary,
            handler=handler,
            body=bodies.get(handler),
        )
        for method, path, summary, handler in doors
    )
