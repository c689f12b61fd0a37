"""Filters of requests, and the filters that are saved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, Final

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import NotFoundError
from ioint_node.filtering import EVERYTHING, KEYS, Filter, Key, parse, parse_value
from ioint_node.filtering.language import CHARS_MOST
from ioint_node.store import saved
from ioint_node.store.saved import SavedFilter
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.described import PAGED, Parameter, answers, conflict, fields, page_of
from ioint_node.web.problems import bad_field
from ioint_node.web.requests import FilterBody, cursor_of, cursor_text, limit_of, parameters, read_json
from ioint_node.web.site import Route, Site

PARAMETERS: Final = ("filter", "saved", *KEYS)
"""The query parameters of whatever takes a filter: each key of the language is one too."""
FILTERED: Final = (
    Parameter(name="filter", about="A filter: /api/v1/filters/language has its keys."),
    Parameter(name="saved", about="The id of a saved filter, which must hold too."),
    *(Parameter(name=key.name, about=f"The filter's `{key.name}`: {key.about}.") for key in KEYS.values()),
)
"""The same, described."""
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


async def wanted_filter(connection: AsyncConnection, given: Mapping[str, str], now: int) -> Filter:
    """The filter of a request, its spans settled: `filter`, the saved one, and the parameters all hold.

    Raises:
        FilterError: what is asked for makes no sense.
        NotFoundError: no such saved filter.
    """
    wanted = parse(given.get("filter", ""))
    if "saved" in given:
        wanted &= parse((await saved_filter(connection, given["saved"])).text)
    for key in KEYS:
        if key in given:
            wanted &= parse_value(key, given[key])
    return wanted.at(now)


async def saved_filter(connection: AsyncConnection, key: str) -> SavedFilter:
    """The saved filter with an id from a request.

    Raises:
        NotFoundError: there is none.
    """
    found = await saved.get_saved(connection, key) if _UUID.fullmatch(key) else None
    if found is None:
        raise NotFoundError("saved: no such saved filter: see /api/v1/filters")
    return found


async def language(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Every key with its type and values, for those who complete what is typed; `filter=`: how a text is understood."""
    given = parameters(request, "filter")
    described: dict[str, Any] = {
        "keys": [_described(key) for key in KEYS.values()],
        "chars": CHARS_MOST,
    }
    if "filter" in given:
        described["filter"] = explained(parse(given["filter"]), site.parts.now())
    return json_answer(described)


def explained(wanted: Filter, now: int) -> dict[str, Any]:
    """A filter as it is understood: its one spelling, its terms, and where spans lead to now."""
    return {
        "text": wanted.text,
        "now": wanted.at(now).text,
        "terms": [
            {"key": term.key.name, "text": term.text, "negated": term.negated, "about": term.key.about}
            for term in wanted.terms
        ],
    }


def _described(key: Key) -> dict[str, Any]:
    operators = [":", ">=", "<=", ">", "<"] if key.type == "number" else [":"]
    found: dict[str, Any] = {
        "key": key.name,
        "type": key.type,
        "operators": operators,
        "about": key.about,
        "example": key.example,
    }
    if key.type == "word":
        found["values"] = [*key.values, *key.aliases]
    if key.type == "number":
        found |= {"least": 0, "most": key.most // key.scale, "whole": key.scale == 1}
    return found


async def list_filters(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """The saved filters, by name."""
    given = parameters(request, "limit", "cursor")
    limit, cursor = limit_of(given, site.parts.limits), cursor_of(given)
    async with site.parts.store.read() as connection:
        found = [one for one in await saved.list_saved(connection) if cursor is None or one.name > cursor[0]]
    shown = found[:limit]
    following = cursor_text(shown[-1].name) if len(found) > limit else None
    return json_answer({"items": [asdict(one) for one in shown], "next": following})


async def save_filter(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Save a filter under a name."""
    body = await read_json(request, FilterBody, site.parts.limits)
    if not body.name.isprintable():
        raise bad_field("name", "it is shown elsewhere: no control characters")
    wanted = parse(body.filter)
    if wanted == EVERYTHING:
        raise bad_field("filter", "it asks for everything", at=0)
    job = partial(saved.save, name=body.name, wanted=wanted, by=f"token:{caller.id}", now=site.parts.now())
    return json_answer(asdict(await site.parts.store.write(job)), 201)


async def delete_filter(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Delete a saved filter, and with it its collection and feeds."""
    parameters(request)
    key = request.match_info["filter"]
    async with site.parts.store.read() as connection:
        found = await saved_filter(connection, key)
    await site.parts.store.write(partial(saved.forget, key=found.id))
    return json_answer({"id": found.id, "removed": True})


_TERM: Final = fields(key=str, text=str, negated=bool, about=str)
_LANGUAGE: Final = {
    "type": "object",
    "properties": {
        "keys": {
            "type": "array",
            "items": fields(key=str, type=str, operators=list[str], about=str, example=str),
        },
        "chars": int,
        "filter": fields(text=str, now=str, terms={"type": "array", "items": _TERM}),
    },
    "required": ["keys", "chars"],
}


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    return (
        Route(
            method="GET",
            path="/api/v1/filters/language",
            may="query",
            summary="The keys of the filter language",
            handler=language,
            query=(Parameter(name="filter", about="A filter, to be told how it is understood."),),
            answers=answers(_LANGUAGE),
        ),
        Route(
            method="GET",
            path="/api/v1/filters",
            may="query",
            summary="Saved filters",
            handler=list_filters,
            query=PAGED,
            answers=page_of(SavedFilter),
        ),
        Route(
            method="POST",
            path="/api/v1/filters",
            may="opine",
            summary="Save a filter",
            handler=save_filter,
            body=FilterBody,
            answers=answers(SavedFilter, "It is saved.", status=201) | conflict("The name is taken."),
        ),
        Route(
            method="DELETE",
            path="/api/v1/filters/{filter}",
            may="opine",
            summary="Delete a saved filter",
            handler=delete_filter,
            answers=answers(fields(id=str, removed=bool), "It is deleted."),
        ),
    )
