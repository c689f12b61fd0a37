"""TAXII 2.1 (OASIS, June 2021): the indicators as a collection that unmodified clients poll.

One API root, two collections, both for reading: `indicators`, and `definitions` with the objects that never change.
`date_added` is the instant of the last change, strictly increasing in milliseconds, so that `added_after` with the
header of the last page gives exactly what is new. Only the newest version of an object is kept.
"""

from __future__ import annotations

import re
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
from aiohttp import web

from ioint_node.store import listings
from ioint_node.store.listings import FeedQuery, Page, StoredIndicator
from ioint_node.store.times import from_text, to_text
from ioint_node.store.tokens import Caller
from ioint_node.web import stix
from ioint_node.web.problems import TAXII_PREFIX, TAXII_TYPE, Refusal, bad_field
from ioint_node.web.requests import cursor_of, cursor_text, parameters
from ioint_node.web.site import Route, Site

ROOT = f"{TAXII_PREFIX}ioint/"
STIX_TYPE = "application/stix+json;version=2.1"
INDICATORS = str(uuid.uuid5(stix.NAMESPACE, "collection indicators"))
DEFINITIONS = str(uuid.uuid5(stix.NAMESPACE, "collection definitions"))
PAGE_OBJECTS = 100
PAGE_OBJECTS_MAX = 1_000
IDS_MAX = 100
_ANSWERS_KEPT = 64
_FRESH_MS = 1_000
_MARKED_FROM = 10  # a page smaller than this has no room for markings
_ACCEPTED = re.compile(r"(application/taxii\+json(;version=2(\.1)?)?|application/\*|\*/\*)(;q=[0-9.]+)?\Z")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?")
_FILTERS = (
    "added_after",
    "limit",
    "next",
    "match[id]",
    "match[type]",
    "match[version]",
    "match[spec_version]",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """A poll, decoded. `none` is set when the filters exclude everything this collection can hold."""

    after: str | None
    key: str | None
    limit: int
    ids: tuple[str, ...] | None
    types: tuple[str, ...] | None
    versions: tuple[str, ...] | None
    none: bool
    asked: str


@dataclass(frozen=True, slots=True)
class _Object:
    """One object of an answer: its id, date_added, version and bytes."""

    id: str
    type: str
    added: str
    version: str
    data: bytes


class _Ready:
    """Whole answers, good until the next commit: most polls ask what the one before them asked.

    A commit by another process is noticed after `_FRESH_MS`.
    """

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[str, str], tuple[int, int, bytes, dict[str, str]]] = OrderedDict()

    def get(self, key: tuple[str, str], commits: int, now: int) -> web.Response | None:
        at, made, body, headers = self._answers.get(key, (-1, 0, b"", {}))
        return _raw(body, headers) if at == commits and 0 <= now - made < _FRESH_MS else None

    def put(self, key: tuple[str, str], commits: int, now: int, body: bytes, headers: dict[str, str]) -> None:
        self._answers[key] = (commits, now, body, headers)
        self._answers.move_to_end(key)
        if len(self._answers) > _ANSWERS_KEPT:
            self._answers.popitem(last=False)


class Taxii:
    """The doors of TAXII, with the rendered objects that they serve."""

    def __init__(self, site: Site) -> None:
        entries = site.parts.exchange.catalogue.entries
        self._rendered = stix.Rendered(
            lambda key: entries[key].pattern if key in entries else None, site.parts.limits.rendered_objects
        )
        self._names = stix.Names(entries)
        self._ready = _Ready()
        first = from_text(stix.EPOCH)
        self._fixed = tuple(
            _Object(made["id"], made["type"], to_text(first + n), made["created"], msgspec.json.encode(made))
            for n, made in enumerate(stix.definitions())
        )

    async def discovery(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET /taxii2/`."""
        _check_accept(request)
        root = f"{_origin(request)}{ROOT}"
        return _answer(
            {"title": f"IOINT node of {site.parts.org}", "default": root, "api_roots": [root]},
        )

    async def root(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET {root}/`."""
        _check_accept(request)
        return _answer(
            {
                "title": "Indicators of intent",
                "versions": [TAXII_TYPE],
                "max_content_length": site.parts.limits.body_bytes,
            }
        )

    async def collections(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET {root}/collections/`."""
        _check_accept(request)
        return _answer({"collections": [_collection(INDICATORS), _collection(DEFINITIONS)]})

    async def collection(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET {root}/collections/{id}/`."""
        _check_accept(request)
        return _answer(_collection(_known(request)))

    async def objects(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET …/objects/`."""
        _check_accept(request)
        key = (caller.tlp, request.path_qs)
        commits, now = site.parts.hub.commits, site.parts.now()
        if (ready := self._ready.get(key, commits, now)) is not None:
            return ready
        page, following = await self._poll(site, request, caller, _FILTERS)
        body, dates = _envelope(page, following)
        self._ready.put(key, commits, now, body, dates)
        return _raw(body, dates)

    async def one(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET …/objects/{object}/`."""
        page, following = await self._one(site, request, caller)
        return _raw(*_envelope(page, following))

    async def manifest(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET …/manifest/`."""
        page, following = await self._poll(site, request, caller, _FILTERS)
        entries = [
            {"id": one.id, "date_added": one.added, "version": one.version, "media_type": STIX_TYPE}
            for one in page
        ]
        return _listed("objects", entries, page, following)

    async def versions(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """`GET …/objects/{object}/versions/`."""
        page, following = await self._one(site, request, caller)
        return _listed("versions", [one.version for one in page], page, following)

    async def _one(
        self, site: Site, request: web.Request, caller: Caller
    ) -> tuple[Sequence[_Object], str | None]:
        filters = ("added_after", "limit", "next", "match[version]", "match[spec_version]")
        page, following = await self._poll(site, request, caller, filters, request.match_info["object"])
        if not page and "match[version]" not in request.query and "added_after" not in request.query:
            raise Refusal(404, "not_found", "no such object in this collection")
        return page, following

    async def _poll(
        self,
        site: Site,
        request: web.Request,
        caller: Caller,
        filters: Sequence[str],
        only: str | None = None,
    ) -> tuple[Sequence[_Object], str | None]:
        _check_accept(request)
        collection = _known(request)
        wanted = _wanted(request, filters, only)
        if wanted.none:
            return (), None
        if collection == DEFINITIONS:
            return _select(self._fixed, wanted)
        if only is not None and not only.startswith("indicator--"):
            return _select([one for one in self._fixed if one.id.startswith("marking-definition--")], wanted)
        return await self._indicators(site, caller, wanted)

    async def _indicators(
        self, site: Site, caller: Caller, wanted: _Wanted
    ) -> tuple[Sequence[_Object], str | None]:
        if wanted.types is not None and "indicator" not in wanted.types:
            return (), None
        async with site.parts.store.read() as connection:
            ids = None if wanted.ids is None else await self._names.patterns_of(connection, wanted.ids)
            page = await listings.feed(
                connection,
                FeedQuery(
                    clearance=caller.tlp,
                    after=wanted.after,
                    key=wanted.key,
                    ids=ids,
                    versions=wanted.versions,
                    limit=wanted.limit,
                ),
            )
        shown, labels = _with_room(page, wanted)
        more = page.more or len(shown) < len(page.items)
        following = cursor_text(f"{shown[-1].added_at}|{wanted.asked}") if more else None
        found = [
            _Object(
                stix.indicator_id(one.id),
                "indicator",
                one.added_at,
                one.added_at,
                self._rendered.bytes_of(one),
            )
            for one in shown
        ]
        needed = {stix.marking_id(label) for label in labels}
        # Markings come with the page that needs them, so they count as added with its first indicator.
        markings = [replace(one, added=found[0].added) for one in self._fixed if one.id in needed]
        return [*markings, *found], following


def routes(site: Site) -> tuple[Route, ...]:
    """The doors of this module."""
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
    return tuple(
        Route(method="GET", path=path, may="query", summary=summary, handler=handler)
        for path, summary, handler in doors
    )


def _wanted(request: web.Request, filters: Sequence[str], only: str | None) -> _Wanted:
    given = parameters(request, *filters)
    limit = given.get("limit", str(PAGE_OBJECTS))
    if not re.fullmatch(r"[0-9]{1,9}", limit) or int(limit) == 0:
        raise bad_field("limit", f"{limit[:16]!r} is no positive number")
    # A `next` belongs to the filters it was given with; the limit may change on the way.
    asked = "&".join(f"{name}={given[name]}" for name in sorted(given) if name not in ("next", "limit"))
    cursor = cursor_of({"cursor": given["next"]}) if "next" in given else None
    key = None
    if cursor is not None:
        key, _, earlier = cursor[0].partition("|")
        if earlier != asked:
            raise bad_field("next", "not given with these filters")
        _instant(key, "next")
    versions = _several(given.get("match[version]"))
    exact = None if versions is None else tuple(v for v in versions if v not in ("first", "last", "all"))
    spec = _several(given.get("match[spec_version]"))
    ids = (only,) if only is not None else _several(given.get("match[id]"))
    if ids is not None and len(ids) > IDS_MAX:
        raise bad_field("match[id]", f"{len(ids)} ids, more than {IDS_MAX}")
    return _Wanted(
        after=_instant(given["added_after"], "added_after") if "added_after" in given else None,
        key=key,
        limit=min(int(limit), PAGE_OBJECTS_MAX),
        ids=ids,
        types=_several(given.get("match[type]")),
        versions=None
        if versions is None or exact != versions
        else tuple(_instant(v, "match[version]") for v in exact),
        none=spec is not None and "2.1" not in spec,
        asked=asked,
    )


def _select(objects: Sequence[_Object], wanted: _Wanted) -> tuple[Sequence[_Object], str | None]:
    """The part of a fixed list that a poll asks for."""
    after = max(wanted.after or "", wanted.key or "")
    found = [
        one
        for one in objects
        if one.added > after
        and (wanted.ids is None or one.id in wanted.ids)
        and (wanted.types is None or one.type in wanted.types)
        and (wanted.versions is None or one.version in wanted.versions)
    ]
    shown = found[: wanted.limit]
    return shown, cursor_text(f"{shown[-1].added}|{wanted.asked}") if len(found) > len(shown) else None


def _with_room(
    page: Page[StoredIndicator], wanted: _Wanted
) -> tuple[Sequence[StoredIndicator], Sequence[str]]:
    """The indicators of a page that leave room for their markings, and the labels of these."""
    unasked = wanted.types is not None and "marking-definition" not in wanted.types
    if not page.items or unasked or wanted.ids is not None or wanted.limit < _MARKED_FROM:
        return page.items, ()
    labels = sorted({one.tlp for one in page.items})
    return page.items[: wanted.limit - len(labels)], labels


def _several(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(text.split(","))


def _instant(text: str, field: str) -> str:
    try:
        return to_text(from_text(text))
    except ValueError as error:
        raise bad_field(field, str(error)) from None


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


def _check_accept(request: web.Request) -> None:
    accept = request.headers.get("Accept", "*/*").replace(" ", "").lower()
    if not any(_ACCEPTED.fullmatch(kind) for kind in accept.split(",")):
        raise Refusal(406, "not_acceptable", f"Accept must allow {TAXII_TYPE}")


def _collection(key: str) -> dict[str, object]:
    about = {
        INDICATORS: ("Indicators of intent", "indicators", "Patterns and subjects with their reputation."),
        DEFINITIONS: (
            "Definitions",
            "definitions",
            "Identity, extension and markings that indicators refer to.",
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
        "media_types": [STIX_TYPE],
    }


def _answer(value: object, headers: dict[str, str] | None = None) -> web.Response:
    return _raw(msgspec.json.encode(value), headers or {})


def _raw(body: bytes, headers: dict[str, str]) -> web.Response:
    return web.Response(
        body=body, headers={"Content-Type": TAXII_TYPE, "Cache-Control": "no-store", **headers}
    )


def _envelope(page: Sequence[_Object], following: str | None) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an envelope; the objects are joined as ready bytes, nothing is encoded again."""
    if not page:
        return b"{}", {}
    head = b'{"more":false' if following is None else b'{"more":true,"next":"%b"' % following.encode()
    return head + b',"objects":[' + b",".join(one.data for one in page) + b"]}", _dates(page)


def _listed(
    name: str, entries: Sequence[object], page: Sequence[_Object], following: str | None
) -> web.Response:
    if not page:
        return _answer({})
    more = {"more": following is not None} | ({"next": following} if following else {})
    return _answer({**more, name: entries}, _dates(page))


def _dates(page: Sequence[_Object]) -> dict[str, str]:
    """When the first and the last object of a page were added, in the microseconds that the standard writes."""
    return {
        "X-TAXII-Date-Added-First": f"{page[0].added[:-1]}000Z",
        "X-TAXII-Date-Added-Last": f"{page[-1].added[:-1]}000Z",
    }
