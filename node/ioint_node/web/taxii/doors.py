"""The doors of TAXII 2.1."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
from aiohttp import web

from ioint_node.formats import stix
from ioint_node.store.rendered import Part
from ioint_node.store.tokens import Caller
from ioint_node.web.problems import TAXII_PREFIX, TAXII_TYPE, Refusal
from ioint_node.web.site import Route, Site
from ioint_node.web.taxii import pages
from ioint_node.web.taxii.asking import FILTERS, OF_ONE, ROOT, Wanted, check_accept, wanted
from ioint_node.web.taxii.pages import HEADERS, Definitions, Page
from ioint_node.web.taxii.shelf import DEFINITIONS, INDICATORS, Answer, Ready, Shelf

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?")
Show = Callable[[Page, Wanted], tuple[bytes, dict[str, str]]]


class Taxii:
    """What is behind the doors: the definitions, the indicators, and answers that were given before."""

    def __init__(self, site: Site) -> None:
        patterns = stix.attack_patterns(site.parts.exchange.taxonomy)
        self._definitions = Definitions([*stix.definitions(), *patterns.values()])
        self._shelf = Shelf(site, self._definitions)
        self._ready = Ready()

    async def discovery(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET /taxii2/`."""
        check_accept(request)
        root = f"{_origin(request)}{ROOT}"
        return _json({"title": f"IOINT node of {site.parts.org}", "default": root, "api_roots": [root]})

    async def root(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET {root}/`."""
        check_accept(request)
        about = {
            "title": "Indicators of intent",
            "versions": [TAXII_TYPE],
            "max_content_length": site.parts.limits.body_bytes,
        }
        return _json(about)

    async def collections(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET {root}/collections/`."""
        check_accept(request)
        return _json({"collections": [_collection(INDICATORS), _collection(DEFINITIONS)]})

    async def collection(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET {root}/collections/{id}/`."""
        check_accept(request)
        return _json(_collection(_known(request)))

    async def objects(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET …/objects/`."""
        return await self._several(site, request, caller, "body", pages.envelope)

    async def manifest(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET …/manifest/`."""
        return await self._several(site, request, caller, "names", pages.manifest)

    async def one(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET …/objects/{object}/`."""
        return await self._one(request, caller, pages.envelope)

    async def versions(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET …/objects/{object}/versions/`."""
        return await self._one(request, caller, pages.versions)

    async def _several(
        self, site: Site, request: web.Request, caller: Caller, part: Part, show: Show
    ) -> web.Response:
        accept = request.headers.get("Accept", "")
        key = (caller.tlp, request.path_qs, accept)
        commits, now = site.parts.hub.commits, site.parts.now()
        if (ready := self._ready.get(key, commits, now)) is None:
            asked = wanted(request, FILTERS)
            ready = Answer(*show(await self._page(request, caller, asked, part), asked))
            self._ready.put(key, commits, now, ready)
        return _raw(ready)

    async def _one(self, request: web.Request, caller: Caller, show: Show) -> web.Response:
        asked = wanted(request, OF_ONE, request.match_info["object"])
        page = await self._page(request, caller, asked, "both")
        if not page.pieces and asked.versions is None and not asked.after_us and not asked.none:
            raise Refusal(404, "not_found", "no such object in this collection")
        return _raw(Answer(*show(page, asked)))

    async def _page(self, request: web.Request, caller: Caller, asked: Wanted, part: Part) -> Page:
        collection = _known(request)
        if asked.none:
            return pages.NOTHING
        if collection == DEFINITIONS:
            return pages.page_of(self._definitions.chosen(asked), (), asked, self._definitions, more=False)
        return await self._shelf.page(asked, caller.tlp, part=part)


def routes(site: Site) -> tuple[Route, ...]:
    """The doors of this package."""
    taxii = Taxii(site)
    inside = f"{ROOT}collections/{{collection}}/"
    doors = (
        (TAXII_PREFIX, "TAXII discovery", taxii.discovery),
        (ROOT, "TAXII API root", taxii.root),
        (f"{ROOT}collections/", "TAXII collections", taxii.collections),
        (inside, "One TAXII collection", taxii.collection),
        (f"{inside}objects/", "STIX objects", taxii.objects),
        (f"{inside}manifest/", "What the collection holds", taxii.manifest),
        (f"{inside}objects/{{object}}/", "One STIX object", taxii.one),
        (f"{inside}objects/{{object}}/versions/", "Its versions", taxii.versions),
    )
    # What sessions are about to write is in none of it.
    return tuple(
        Route(method="GET", path=path, may="query", summary=summary, handler=handler, at_once=True)
        for path, summary, handler in doors
    )


def _known(request: web.Request) -> str:
    collection = request.match_info["collection"]
    if collection not in (INDICATORS, DEFINITIONS):
        raise Refusal(404, "not_found", "no such collection")
    return collection


def _origin(request: web.Request) -> str:
    """Scheme, host and port as the client named them: that is where it will look for the API root."""
    if not _HOST.fullmatch(request.host):
        raise Refusal(400, "bad_host", "the Host header names no host")
    return f"{request.scheme}://{request.host}"


def _collection(key: str) -> dict[str, Any]:
    about = {
        INDICATORS: ("Indicators of intent", "indicators", "Patterns and subjects with their reputation."),
        DEFINITIONS: (
            "Definitions",
            "definitions",
            "Identities, extension, markings and attack patterns that the other objects refer to.",
        ),
    }
    title, alias, description = about[key]
    return {
        "id": key,
        "title": title,
        "alias": alias,
        "description": description,
        "can_read": True,
        "can_write": False,
        "media_types": [pages.STIX_TYPE],
    }


def _json(value: object) -> web.Response:
    return _raw(Answer(msgspec.json.encode(value), {}))


def _raw(answer: Answer) -> web.Response:
    return web.Response(body=answer.body, headers={**HEADERS, **answer.headers})
