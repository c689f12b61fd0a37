"""What the operator publishes: the signed bundle, and the key that it is signed with. No token is asked for."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from ioint_node.store import public
from ioint_node.store.public import PublicBundle
from ioint_node.store.tokens import Caller
from ioint_node.web.described import fields, missing
from ioint_node.web.feeds.answers import KNOWN, fresh, tag_of, told, unchanged
from ioint_node.web.problems import Refusal
from ioint_node.web.requests import parameters
from ioint_node.web.site import Route, Site

FEED: Final = "/feeds/public.json"
KEY: Final = "/feeds/public-key.json"
JSON: Final = "application/json"
CACHING: Final = "public, max-age=60"


class PublicDoors:
    """The doors, with the newest bundle: however many ask, it is read from the store once. No key is needed here."""

    def __init__(self) -> None:
        self._newest: PublicBundle | None = None

    async def bundle(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET /feeds/public.json`."""
        newest = await self._served(site, request)
        tag = tag_of(str(newest.seq), newest.content)
        return unchanged(request, tag, CACHING) or fresh(newest.envelope, JSON, tag, CACHING)

    async def key(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET /feeds/public-key.json`."""
        document = (await self._served(site, request)).key_document
        tag = tag_of(document)
        return unchanged(request, tag, CACHING) or fresh(document, JSON, tag, CACHING)

    async def _served(self, site: Site, request: web.Request) -> PublicBundle:
        parameters(request)
        if not site.parts.publishes:
            raise Refusal(404, "not_found", "this node publishes nothing")
        async with site.parts.store.read() as connection:
            seq = await public.newest_seq(connection)
            if self._newest is None or self._newest.seq != seq:
                self._newest = await public.newest(connection)
        if self._newest is None:
            raise Refusal(503, "not_ready", "the first bundle is being made", headers={"Retry-After": "60"})
        return self._newest


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    doors = PublicDoors()
    return (
        Route(
            method="GET",
            path=FEED,
            may=None,
            summary="What the operator publishes as TLP:CLEAR, signed",
            handler=doors.bundle,
            query=(KNOWN,),
            answers=told(
                JSON,
                fields(payload=str, payloadType=str, signatures=list[dict[str, str]]),
                "A DSSE envelope.",
            )
            | missing("Nothing is published."),
        ),
        Route(
            method="GET",
            path=KEY,
            may=None,
            summary="The key that the public bundle is signed with",
            handler=doors.key,
            query=(KNOWN,),
            answers=told(
                JSON, fields(schema=str, key=str, keyid=str, member=str, consortium=str), "A key document."
            )
            | missing("Nothing is published."),
        ),
    )
