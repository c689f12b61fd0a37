"""An administrator looks at everybody's streams, and stops or starts one: its receiver is told."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ioint_node.errors import NotFoundError
from ioint_node.flows.signals import SignalParts, change_status, delivered
from ioint_node.store import signals
from ioint_node.store.signals import Stream
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.requests import parameters, read_json
from ioint_node.web.site import Handler, Site
from ioint_node.web.ssf.bodies import OperatedStream


def show_streams(parts: SignalParts) -> Handler:
    """The handler that lists streams."""

    async def show(site: Site, request: web.Request, caller: Caller) -> web.Response:
        """Every stream with how the newest delivery went; there are few."""
        parameters(request)
        async with parts.store.read() as connection:
            found = await signals.all_streams(connection)
        return json_answer({"items": [_row(one) for one in found], "next": None})

    return show


def operate(parts: SignalParts) -> Handler:
    """The handler that stops or starts a stream."""

    async def change(site: Site, request: web.Request, caller: Caller) -> web.Response:
        """Enable, pause or disable a stream; its receiver is told by an event."""
        body = await read_json(request, OperatedStream, site.parts.limits)
        async with parts.store.read() as connection:
            found = {one.id: one for one in await signals.all_streams(connection)}
        name = request.match_info["stream"]
        if name not in found:
            raise NotFoundError(f"no stream {name[:32]!r}")
        await change_status(parts, found[name], body.status, body.reason, site.parts.now(), told=True)
        return json_answer({"stream_id": name, "status": body.status, "reason": body.reason})

    return change


def _row(of: Stream) -> dict[str, Any]:
    return {
        "id": of.id,
        "by": of.by,
        "tlp": of.tlp,
        "method": "poll" if of.settings.method == signals.POLL else "push",
        "endpoint_url": of.settings.endpoint_url,
        "events": list(delivered(of.settings)),
        "description": of.settings.description,
        "status": of.status,
        "reason": of.reason,
        "cursor": of.cursor,
        "attempts": of.attempts,
        "not_before": of.not_before,
        "last_status": of.last_status,
        "heard_at": of.heard_at,
        "created_at": of.created_at,
    }
