"""The bundle that Open Policy Agent polls: whom this node trusts how far, and what is warned of, as `data.ioint`."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from ioint_node.flows.bundle import BundleLimits, gather, packed
from ioint_node.store.tokens import Caller
from ioint_node.web.feeds.answers import KNOWN, fresh, told, unchanged
from ioint_node.web.requests import parameters
from ioint_node.web.site import Route, Site

PATH: Final = "/bundles/ioint.tar.gz"
_KIND: Final = "application/gzip"
_KEPT: Final = 8  # bundles in memory: one a clearance


@dataclass(slots=True)
class _Made:
    """The newest bundle of each clearance; one at a time is made."""

    limits: BundleLimits = field(default_factory=BundleLimits)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    bundles: OrderedDict[str, tuple[str, bytes]] = field(default_factory=OrderedDict)

    async def of(self, site: Site, caller: Caller) -> tuple[str, bytes]:
        """Revision and bytes of the bundle for a caller, not older than half of what it may be used for."""
        now = site.parts.now()
        period = self.limits.valid_ms // 2
        revision = f"{site.parts.hub.commits}-{now // period}"
        async with self.turn:
            known = self.bundles.get(caller.tlp)
            if known is not None and known[0] == revision:
                return known
            async with site.parts.store.read() as connection:
                data = await gather(
                    connection,
                    site.parts.assess,
                    clearance=caller.tlp,
                    mode=site.responding.mode,
                    limits=self.limits,
                    now=now,
                )
            made = revision, await asyncio.to_thread(packed, data, revision)
            self.bundles[caller.tlp] = made
            while len(self.bundles) > _KEPT:
                self.bundles.popitem(last=False)
            return made


def routes() -> tuple[Route, ...]:
    """The door of this module."""
    made = _Made()

    async def bundle(site: Site, request: web.Request, caller: Caller) -> web.Response:
        """The newest bundle, or that it is the one that the caller has."""
        parameters(request)
        revision, body = await made.of(site, caller)
        return unchanged(request, revision) or fresh(body, _KIND, revision)

    return (
        Route(
            method="GET",
            path=PATH,
            may="query",
            summary="Data for Open Policy Agent",
            handler=bundle,
            query=(KNOWN,),
            answers=told(_KIND, {"type": "string"}, "The bundle."),
            costly=True,
        ),
    )
