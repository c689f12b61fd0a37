"""The layer for the ATLAS Navigator."""

from __future__ import annotations

import msgspec
from aiohttp import web

from ioint_node.formats.misp import LIVE
from ioint_node.formats.navigator import Heat, layer
from ioint_node.store import findings, placements
from ioint_node.store.times import to_text
from ioint_node.store.tokens import Caller
from ioint_node.web.described import fields
from ioint_node.web.feeds.answers import KNOWN, fresh, tag_of, told, unchanged
from ioint_node.web.requests import parameters
from ioint_node.web.site import Route, Site

_DAY = 10  # characters of a date: a layer is named by its day, so that it is the same until then where nothing changed


async def show_layer(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Which techniques of ATLAS are being seen."""
    parameters(request)
    today = to_text(site.parts.now())[:_DAY]
    async with site.parts.store.read() as connection:
        tag = tag_of(caller.tlp, today, *await placements.mark(connection, caller.tlp))
        if (known := unchanged(request, tag)) is not None:
            return known
        found = await findings.intents_seen(connection, LIVE, caller.tlp)
    heats = [Heat(intents=intents, indicators=count, score=score) for intents, count, score in found]
    body = msgspec.json.encode(layer(heats, site.parts.exchange.taxonomy, today))
    return fresh(body, "application/json", tag)


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    return (
        Route(
            method="GET",
            path="/feeds/navigator.json",
            may="query",
            summary="A layer for the ATLAS Navigator: which techniques are being seen",
            handler=show_layer,
            query=(KNOWN,),
            answers=told(
                "application/json",
                fields(
                    name=str,
                    versions=dict[str, str],
                    domain=str,
                    techniques={"type": "array", "items": fields(techniqueID=str, score=int, color=str)},
                ),
                "A layer in the format 4.5.",
            ),
        ),
    )
