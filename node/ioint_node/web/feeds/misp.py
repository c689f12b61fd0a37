"""The MISP feed: `manifest.json`, `hashes.csv` and one file for each event, as a MISP server fetches them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from ioint_node.formats import misp
from ioint_node.store import placements
from ioint_node.store.times import from_text
from ioint_node.store.tokens import Caller
from ioint_node.web.described import fields
from ioint_node.web.feeds.answers import KNOWN, fresh, tag_of, told, unchanged
from ioint_node.web.problems import Refusal
from ioint_node.web.requests import parameters
from ioint_node.web.site import Route, Site

FEED: Final = "/feeds/misp/"
JSON: Final = "application/json"
CSV: Final = "text/csv; charset=utf-8"
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class _Listing:
    """The events that readers of one clearance may see, and the manifest of them."""

    def __init__(self, mark: tuple[str, str], headings: Sequence[misp.Heading]) -> None:
        self.mark = mark
        self.headings = headings
        self.manifest = msgspec.json.encode(misp.manifest(headings))
        self.tag = tag_of(self.manifest)


class MispFeed:
    """The doors, with the newest listing for each clearance: it holds until something changes that may be seen."""

    def __init__(self, site: Site) -> None:
        self._entries = site.parts.exchange.catalogue.entries
        self._layers = {layer.id: layer for layer in site.parts.exchange.taxonomy.layers}
        self._listings: dict[str, _Listing] = {}
        self._names: dict[
            str, str
        ] = {}  # of events, by their ids: what a UUIDv5 was made of cannot be read from it

    async def manifest(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET …/manifest.json`."""
        parameters(request)
        listing = await self._listing(site, caller.tlp)
        return unchanged(request, listing.tag) or fresh(listing.manifest, JSON, listing.tag)

    async def hashes(self, site: Site, request: web.Request, caller: Caller) -> web.StreamResponse:
        """`GET …/hashes.csv`, an event at a time."""
        parameters(request)
        listing = await self._listing(site, caller.tlp)
        tag = tag_of(listing.tag, "hashes")
        if (known := unchanged(request, tag)) is not None:
            return known
        headers = {"Content-Type": CSV, "ETag": f'"{tag}"', "Cache-Control": "private, no-cache"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        for heading in listing.headings:
            lines = misp.hashes(await self._event(site, heading, caller.tlp))
            await response.write("".join(f"{digest},{event}\n" for digest, event in lines).encode())
        await response.write_eof()
        return response

    async def event(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET …/{event}.json`."""
        parameters(request)
        heading = await self._asked_for(site, request.match_info["event"], caller.tlp)
        body = msgspec.json.encode(await self._event(site, heading, caller.tlp))
        tag = tag_of(body)
        return unchanged(request, tag) or fresh(body, JSON, tag)

    async def _asked_for(self, site: Site, key: str, clearance: str) -> misp.Heading:
        """The heading of one event; the others are not looked at, since a server fetches many one after the other."""
        if key not in self._names and _UUID.fullmatch(key):
            await self._listing(site, clearance)
        if (name := self._names.get(key)) is not None:
            async with site.parts.store.read() as connection:
                found = await placements.events(connection, clearance, name)
            if found:
                return self._heading(site, found[0], site.parts.now())
        raise Refusal(404, "not_found", "no such event in this feed")

    async def _listing(self, site: Site, clearance: str) -> _Listing:
        now = site.parts.now()
        async with site.parts.store.read() as connection:
            mark = await placements.mark(connection, clearance)
            known = self._listings.get(clearance)
            if known is not None and known.mark == mark:
                return known
            found = await placements.events(connection, clearance)
        headings = [self._heading(site, one, now) for one in found]
        self._names.update((one.uuid, one.name) for one in headings)
        listing = _Listing(mark, headings)
        if all(from_text(at) // 1000 < now // 1000 for at in mark if at):
            # What changes in this very second will be dated later than it is now.
            self._listings[clearance] = listing
        return listing

    def _heading(self, site: Site, found: placements.EventRow, now: int) -> misp.Heading:
        layer = self._layers.get(found.event.split("/")[1])
        return misp.Heading(
            member=site.parts.exchange.member or "",
            name=found.event,
            layer=layer.name if layer else "Unclassified",
            slug=layer.slug if layer else placements.UNKNOWN_LAYER,
            tlp=found.tlp,
            time_s=misp.event_time(found.changed_at, now),
        )

    async def _event(self, site: Site, heading: misp.Heading, clearance: str) -> dict[str, Any]:
        async with site.parts.store.read() as connection:
            shown, gone = await placements.shown_in(connection, heading.name, clearance)
        # Some thousand attributes: the others need not wait for them.
        return await asyncio.to_thread(
            misp.event,
            heading,
            [
                misp.Shown(row=one.row, tlp=one.tlp, changed_at=one.changed_at, pattern=self._pattern(one))
                for one in shown
            ],
            [(one.id, one.changed_at) for one in gone],
        )

    def _pattern(self, found: placements.Placed) -> Mapping[str, Any] | None:
        entry = self._entries.get(found.id)
        return found.novel if entry is None else entry.pattern


def routes(site: Site) -> tuple[Route, ...]:
    """The doors of this module."""
    feed = MispFeed(site)
    heading = fields(
        info=str, date=str, analysis=str, threat_level_id=str, Orgc=dict[str, str], Tag=list[dict[str, str]]
    )
    whole = fields(Event={"type": "object", "required": ["uuid", "info", "Orgc", "timestamp", "Object"]})
    doors = (
        (
            f"{FEED}manifest.json",
            "The events of the MISP feed",
            feed.manifest,
            told(JSON, {"type": "object", "additionalProperties": heading}, "Events by their ids."),
        ),
        (
            f"{FEED}hashes.csv",
            "The hashes of the values in it",
            feed.hashes,
            told("text/csv", str, "MD5 of a value and the id of its event, a line each."),
        ),
        (
            f"{FEED}{{event}}.json",
            "One event of the MISP feed",
            feed.event,
            told(JSON, whole, "An event as MISP takes it in."),
        ),
    )
    return tuple(
        Route(
            method="GET",
            path=path,
            may="query",
            summary=summary,
            handler=handler,
            query=(KNOWN,),
            answers=answers,
        )
        for path, summary, handler, answers in doors
    )
