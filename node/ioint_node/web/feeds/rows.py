"""Indicators as files: `/feeds/indicators.csv`, `.jsonl` and `.txt`, whole or as far as a filter takes them.

Rows come in the order in which indicators came first, page by page as the reader takes them, so that a feed of any
length costs the memory of one page. `X-IOINT-Seq` is where the stream goes on from. A feed is tagged by what was
written last, so that one that has not changed costs an answer without a body.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Any, Final

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.filtering import Filter
from ioint_node.formats.table import FORMS, Form
from ioint_node.store import listings, matches, stream
from ioint_node.store.times import day_of
from ioint_node.store.tokens import Caller
from ioint_node.web import rows
from ioint_node.web.described import Answer, Parameter, missing
from ioint_node.web.feeds.answers import PRIVATE, tag_of, unchanged
from ioint_node.web.filters import FILTERED, PARAMETERS, wanted_filter
from ioint_node.web.problems import bad_field
from ioint_node.web.requests import integer, parameters
from ioint_node.web.site import Route, Site

FEED: Final = "/feeds/indicators"
PAGE_ROWS: Final = 1_000
SEQ: Final = "X-IOINT-Seq"


async def give(site: Site, request: web.Request, caller: Caller, form: Form) -> web.StreamResponse:
    """The feed in one form."""
    given = parameters(request, "limit", *PARAMETERS)
    limit = integer(given["limit"], "limit") if "limit" in given else None
    if limit == 0:
        raise bad_field("limit", "'0' is no positive number")
    async with site.parts.store.read() as connection:
        wanted = await wanted_filter(connection, given, site.parts.now())
        # The number is read before the first row: what changes meanwhile is heard twice, never missed.
        seq = await stream.high_water(connection)
        tag = tag_of(form.name, wanted.text, caller.tlp, str(limit), await _written(connection, site))
    if (same := unchanged(request, tag)) is not None:
        same.headers[SEQ] = str(seq)
        return same
    response = web.StreamResponse(
        headers={
            "Content-Type": form.media_type,
            "Content-Disposition": f'inline; filename="indicators.{form.name}"',
            "Cache-Control": PRIVATE,
            "Vary": "Authorization",
            "ETag": f'"{tag}"',
            "X-Content-Type-Options": "nosniff",
            SEQ: str(seq),
        }
    )
    with suppress(ConnectionError):  # the reader left while it was being written to
        await response.prepare(request)
        await response.write(form.head)
        async for page in _pages(site, wanted, caller, limit):
            await response.write(b"".join(map(form.line, page)))
        await response.write_eof()
    return response


async def _written(connection: AsyncConnection, site: Site) -> str:
    """What changes with every row of a feed: the newest change, how many rows there are, what was met here, the day."""
    newest, count = await listings.state(connection)
    met = await matches.newest(connection)
    return f"{newest} {count} {met} {day_of(site.parts.now())}"


async def _pages(
    site: Site, wanted: Filter, caller: Caller, limit: int | None
) -> AsyncIterator[list[dict[str, Any]]]:
    after: int | None = None
    left = limit
    while left is None or left > 0:
        most = PAGE_ROWS if left is None else min(left, PAGE_ROWS)
        # A connection for each page: a slow reader keeps none.
        async with site.parts.store.read() as connection:
            page = await listings.all_indicators(connection, wanted, caller.tlp, most, after)
            found = await rows.contract_rows(connection, page.items, site)
        if found:
            yield found
        if not page.more or not isinstance(page.last, int):
            return
        after = page.last
        left = None if left is None else left - len(found)


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    limit = Parameter(
        name="limit",
        schema={"type": "integer", "minimum": 1, "maximum": 10**18 - 1},
        about="How many rows at most; all where it is left out.",
    )
    return tuple(
        Route(
            method="GET",
            path=f"{FEED}.{form.name}",
            may="query",
            summary=f"Indicators as a file: {form.name}",
            handler=partial(give, form=form),
            costly=True,
            query=(limit, *FILTERED),
            answers={
                200: Answer(
                    about="The rows, as they came first.",
                    content={form.media_type.partition(";")[0]: {"type": "string"}},
                    headers={
                        SEQ: "Where the stream goes on from.",
                        "ETag": "Of what was written last.",
                    },
                ),
                304: Answer(about="Nothing was written since the feed with this `If-None-Match`."),
                **missing("No such saved filter."),
            },
        )
        for form in FORMS.values()
    )
