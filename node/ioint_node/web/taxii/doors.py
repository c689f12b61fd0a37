"""The doors of TAXII 2.1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from aiohttp import web

from ioint_node.filtering import EVERYTHING, parse
from ioint_node.formats import stix
from ioint_node.store.rendered import Part
from ioint_node.store.saved import SavedFilter, get_saved, list_saved
from ioint_node.store.tokens import Caller
from ioint_node.web.auth import check_right, may
from ioint_node.web.described import Answer as Described
from ioint_node.web.described import Parameter
from ioint_node.web.origin import origin_of
from ioint_node.web.problems import TAXII_PREFIX, TAXII_TYPE, Refusal
from ioint_node.web.site import Route, Site
from ioint_node.web.taxii import pages, taking
from ioint_node.web.taxii.asking import FILTERS, OF_DELETION, OF_ONE, ROOT, Wanted, check_accept, wanted
from ioint_node.web.taxii.pages import HEADERS, Definitions, Page
from ioint_node.web.taxii.shelf import CONTRIBUTIONS, DEFINITIONS, INDICATORS, Answer, Ready, Shelf

_ID_CHARS: Final = 36
_RESOURCE: Final = {"type": "object"}
_ABOUT: Final = {
    INDICATORS: (
        "Indicators of intent",
        "indicators",
        "Patterns and subjects with their reputation, who saw them and what speaks against them.",
    ),
    DEFINITIONS: (
        "Definitions",
        "definitions",
        "Identities, extension, markings and attack patterns that the other objects refer to.",
    ),
    CONTRIBUTIONS: (
        "Contributions",
        "contributions",
        "Send opinions about and sightings of indicators, and indicators of public packages.",
    ),
}
_REFUSED: Final = {
    404: Described(about="No such collection, object or status."),
    406: Described(about="Accept does not allow TAXII 2.1."),
}
_ANSWERED: Final = {
    200: Described(about="A resource of TAXII 2.1.", content={TAXII_TYPE: _RESOURCE})
} | _REFUSED
_TAKEN: Final = {
    202: Described(about="The status resource.", content={TAXII_TYPE: _RESOURCE}),
    413: Described(about="More than max_content_length."),
    415: Described(about="The body does not say that it is TAXII 2.1."),
    422: Described(about="The body is no envelope."),
} | _REFUSED
_PARAMETERS: Final = {
    name: Parameter(name=name, about=about)
    for name, about in (
        ("added_after", "Only what was added after this instant."),
        ("limit", "How many objects at most, from 1; 100 where it is left out, never more than 1,000."),
        ("next", "`next` of the page before, with the same filters."),
        ("match[id]", "STIX ids, by commas."),
        ("match[type]", "Types of objects, by commas."),
        ("match[version]", "`first`, `last`, `all`, or versions, by commas."),
        ("match[spec_version]", "Versions of STIX, by commas: objects are of 2.1."),
    )
}
_BY_ALIAS: Final = {alias: key for key, (_, alias, _) in _ABOUT.items()}
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
        root = f"{origin_of(site, request)}{ROOT}"
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
        async with site.parts.store.read() as connection:
            saved = await list_saved(connection)
        listed = [_about(key, caller) for key in (INDICATORS, DEFINITIONS, CONTRIBUTIONS)]
        return _json({"collections": [*listed, *map(_of_filter, saved)]})

    async def collection(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET {root}/collections/{id}/`."""
        check_accept(request)
        key = _collection_asked(request)
        if key in _ABOUT:
            return _json(_about(key, caller))
        return _json(_of_filter(await _saved(site, key)))

    async def objects(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET …/objects/`."""
        return await self._several(site, request, caller, "body", pages.envelope)

    async def manifest(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET …/manifest/`."""
        return await self._several(site, request, caller, "names", pages.manifest)

    async def one(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET …/objects/{object}/`."""
        return await self._one(site, request, caller, pages.envelope)

    async def versions(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET …/objects/{object}/versions/`."""
        return await self._one(site, request, caller, pages.versions)

    async def add(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`POST …/objects/`."""
        await _check_writable(site, request, caller)
        return _raw(Answer(await taking.take(site, request, caller), {}), status=202)

    async def remove(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`DELETE …/objects/{object}/`."""
        await _check_writable(site, request, caller)
        asked = wanted(request, OF_DELETION, request.match_info["object"])
        if not asked.none:
            await taking.drop(site, asked, caller)
        return _raw(Answer(b"{}", {}))

    async def status(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET {root}/status/{id}/`."""
        check_accept(request)
        return _raw(Answer(await taking.status(site, request.match_info["status"], caller), {}))

    async def _several(
        self, site: Site, request: web.Request, caller: Caller, part: Part, show: Show
    ) -> web.Response:
        accept = request.headers.get("Accept", "")
        if (
            _collection_asked(request) == CONTRIBUTIONS
        ):  # who may read it, and when it changed, is another matter
            return await self._fresh(site, request, caller, part, show)
        key = (caller.tlp, request.path_qs, accept)
        commits, now = site.parts.hub.commits, site.parts.now()
        if (ready := self._ready.get(key, commits, now)) is None:
            asked = wanted(request, FILTERS)
            ready = Answer(*show(await self._page(site, request, caller, asked, part), asked))
            self._ready.put(key, commits, now, ready)
        return _raw(ready)

    async def _fresh(
        self, site: Site, request: web.Request, caller: Caller, part: Part, show: Show
    ) -> web.Response:
        asked = wanted(request, FILTERS)
        return _raw(Answer(*show(await self._page(site, request, caller, asked, part), asked)))

    async def _one(self, site: Site, request: web.Request, caller: Caller, show: Show) -> web.Response:
        asked = wanted(request, OF_ONE, request.match_info["object"])
        page = await self._page(site, request, caller, asked, "both")
        if not page.pieces and asked.versions is None and not asked.after_us and not asked.none:
            raise Refusal(404, "not_found", "no such object in this collection")
        return _raw(Answer(*show(page, asked)))

    async def _page(
        self, site: Site, request: web.Request, caller: Caller, asked: Wanted, part: Part
    ) -> Page:
        collection = _collection_asked(request)
        if collection == CONTRIBUTIONS:
            check_right(caller, "opine", "read what analysts contributed")
        only = EVERYTHING
        if collection not in _ABOUT:
            only = parse((await _saved(site, collection)).text).at(site.parts.now())
        if asked.none:
            return pages.NOTHING
        if collection == CONTRIBUTIONS:
            return await taking.page(site, asked, caller)
        if collection == DEFINITIONS:
            return pages.page_of(self._definitions.chosen(asked), (), asked, self._definitions, more=False)
        return await self._shelf.page(asked, caller.tlp, part=part, only=only)


def routes(site: Site) -> tuple[Route, ...]:
    """The doors of this package."""
    taxii = Taxii(site)
    inside = f"{ROOT}collections/{{collection}}/"
    one = f"{inside}objects/{{object}}/"
    doors = (
        ("GET", TAXII_PREFIX, "query", "TAXII discovery", taxii.discovery),
        ("GET", ROOT, "query", "TAXII API root", taxii.root),
        ("GET", f"{ROOT}status/{{status}}/", "query", "What became of a contribution", taxii.status),
        ("GET", f"{ROOT}collections/", "query", "TAXII collections", taxii.collections),
        ("GET", inside, "query", "One TAXII collection", taxii.collection),
        ("GET", f"{inside}objects/", "query", "STIX objects", taxii.objects),
        ("POST", f"{inside}objects/", "query", "Contribute STIX objects", taxii.add),
        ("GET", f"{inside}manifest/", "query", "What the collection holds", taxii.manifest),
        ("GET", one, "query", "One STIX object", taxii.one),
        ("DELETE", one, "query", "Take a contributed object out", taxii.remove),
        ("GET", f"{one}versions/", "query", "Its versions", taxii.versions),
    )
    reads = {
        taxii.objects: FILTERS,
        taxii.manifest: FILTERS,
        taxii.one: OF_ONE,
        taxii.versions: OF_ONE,
        taxii.remove: OF_DELETION,
    }
    # What sessions are about to write is in none of it.
    return tuple(
        Route(
            method=method,
            path=path,
            may=may,
            summary=summary,
            handler=handler,
            at_once=True,
            query=tuple([_PARAMETERS[name] for name in reads.get(handler, ())]),
            answers=_TAKEN if method == "POST" else _ANSWERED,
        )
        for method, path, may, summary, handler in doors
    )


async def _check_writable(site: Site, request: web.Request, caller: Caller) -> None:
    collection = _collection_asked(request)
    if collection == CONTRIBUTIONS:
        check_right(caller, "opine", "contribute")
        return
    if collection not in _ABOUT:
        await _saved(site, collection)
    raise Refusal(403, "not_writable", f"this collection is read only: send to {CONTRIBUTIONS}")


async def _saved(site: Site, collection: str) -> SavedFilter:
    async with site.parts.store.read() as connection:
        found = await get_saved(connection, collection[:_ID_CHARS])
    if found is None:
        raise Refusal(404, "not_found", "no such collection")
    return found


def _collection_asked(request: web.Request) -> str:
    """The id of a collection, of which an alias may stand in the path."""
    named = request.match_info["collection"]
    return _BY_ALIAS.get(named, named)


def _about(key: str, caller: Caller) -> dict[str, Any]:
    title, alias, description = _ABOUT[key]
    writes = key == CONTRIBUTIONS and may(caller, "opine")
    reads = key != CONTRIBUTIONS or writes
    return _collection(key, title, description, reads=reads, writes=writes) | {"alias": alias}


def _of_filter(saved: SavedFilter) -> dict[str, Any]:
    return _collection(
        saved.id, saved.name, f"Indicators of the saved filter: {saved.text}", reads=True, writes=False
    )


def _collection(key: str, title: str, description: str, *, reads: bool, writes: bool) -> dict[str, Any]:
    return {
        "id": key,
        "title": title,
        "description": description,
        "can_read": reads,
        "can_write": writes,
        "media_types": [pages.STIX_TYPE],
    }


def _json(value: object) -> web.Response:
    return _raw(Answer(msgspec.json.encode(value), {}))


def _raw(answer: Answer, status: int = 200) -> web.Response:
    return web.Response(body=answer.body, status=status, headers={**HEADERS, **answer.headers})
