"""What a poll asks for, as a checked value."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from ioint_node.store.times import from_text, micros, to_text
from ioint_node.web.problems import TAXII_PREFIX, TAXII_TYPE, Refusal, bad_field
from ioint_node.web.requests import cursor_of, cursor_text, parameters

ROOT: Final = f"{TAXII_PREFIX}ioint/"
PAGE_OBJECTS: Final = 100
PAGE_OBJECTS_MAX: Final = 1_000
LAST_US: Final = micros("9999-12-31T23:59:59.999Z")  # the newest that anything can be
VALUES_MOST: Final = 100  # of one filter, with commas between them
FILTERS: Final = (
    "added_after",
    "limit",
    "next",
    "match[id]",
    "match[type]",
    "match[version]",
    "match[spec_version]",
)
OF_ONE: Final = ("added_after", "limit", "next", "match[version]", "match[spec_version]")
OF_DELETION: Final = ("match[version]", "match[spec_version]")
_WORDS: Final = frozenset({"first", "last", "all"})  # of the one version that is kept, all the same
_ACCEPTED: Final = re.compile(
    r"(application/taxii\+json(;version=2(\.1)?)?|application/\*|\*/\*)(;q=(1(\.0*)?|0?\.[0-9]*[1-9][0-9]*))?\Z"
)
_SENT: Final = re.compile(r"application/taxii\+json(;version=2\.1)?(;charset=utf-8)?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A poll, decoded.

    `after_us` is the instant, in Unix microseconds, after which objects were added. `none` is set when the filters
    exclude everything that a collection can hold. `asked` names the filters, so that a `next` stays with its own.
    """

    after_us: int
    limit: int
    ids: frozenset[str] | None
    types: frozenset[str] | None
    versions: tuple[str, ...] | None
    none: bool
    asked: str

    @property
    def whole(self) -> bool:
        """Whether every object is asked for."""
        return self.ids is None and self.types is None

    def following(self, position_us: int) -> str:
        """The `next` of a page that ends at a position."""
        return cursor_text(position_us, self.asked)


def wanted(request: web.Request, filters: Sequence[str], only: str | None = None) -> Wanted:
    """The poll of a request to one collection; `only` is the one object that is asked for.

    Raises:
        Refusal: 400, a filter that is unknown or malformed, or a `next` of other filters.
    """
    check_accept(request)
    given = parameters(request, *filters)
    limit = given.get("limit", str(PAGE_OBJECTS))
    if not re.fullmatch(r"[0-9]{1,9}", limit) or int(limit) == 0:
        raise bad_field("limit", f"{limit[:16]!r} is no positive number")
    asked = _asked(request, given)
    after_us = _micros(given["added_after"], "added_after") if "added_after" in given else 0
    if (cursor := cursor_of({"cursor": given["next"]}, 2) if "next" in given else None) is not None:
        if cursor[1] != asked or not re.fullmatch(r"[0-9]{1,18}", cursor[0]) or int(cursor[0]) > LAST_US:
            raise bad_field("next", "not given with these filters")
        after_us = max(after_us, int(cursor[0]))
    versions = _several(given, "match[version]")
    exact = None if versions is None else tuple(one for one in versions if one not in _WORDS)
    spec = _several(given, "match[spec_version]")
    return Wanted(
        after_us=after_us,
        limit=min(int(limit), PAGE_OBJECTS_MAX),
        ids=frozenset((only,)) if only is not None else _set(_several(given, "match[id]")),
        types=_set(_several(given, "match[type]")),
        versions=None
        if versions is None or exact is None or len(exact) < len(versions)
        else tuple(to_text(_millis(one)) for one in exact),
        none=spec is not None and "2.1" not in spec,
        asked=asked,
    )


def check_accept(request: web.Request) -> None:
    """Refuse who takes no TAXII 2.1; a type without its version means the newest.

    Raises:
        Refusal: 406.
    """
    accept = request.headers.get("Accept", "*/*").replace(" ", "").lower()
    if not any(_ACCEPTED.fullmatch(kind) for kind in accept.split(",")):
        raise Refusal(406, "not_acceptable", f"Accept must allow {TAXII_TYPE}")


def check_sent(request: web.Request) -> None:
    """Refuse a body that does not say that it is TAXII 2.1.

    Raises:
        Refusal: 415.
    """
    sent = request.headers.get("Content-Type", "").replace(" ", "").lower()
    if not _SENT.fullmatch(sent):
        raise Refusal(415, "media_type", f"send Content-Type: {TAXII_TYPE}")


def _asked(request: web.Request, given: dict[str, str]) -> str:
    # The limit may change on the way, and who is asked for it is part of the path.
    filters = "&".join(f"{name}={given[name]}" for name in sorted(given) if name not in ("next", "limit"))
    return hashlib.blake2b(f"{request.path}?{filters}".encode(), digest_size=8).hexdigest()


def _several(given: dict[str, str], name: str) -> tuple[str, ...] | None:
    if name not in given:
        return None
    found = tuple(given[name].split(","))
    if len(found) > VALUES_MOST:
        raise bad_field(name, f"{len(found)} values, more than {VALUES_MOST}")
    return found


def _set(values: tuple[str, ...] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)


def _micros(text: str, field: str) -> int:
    try:
        return max(0, micros(text))
    except ValueError as error:
        raise bad_field(field, str(error)) from None


def _millis(text: str) -> int:
    try:
        return from_text(text)
    except ValueError as error:
        raise bad_field("match[version]", str(error)) from None
