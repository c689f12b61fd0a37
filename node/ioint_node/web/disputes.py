"""Disputes: who disputes which report and why, until when, and what came of it."""

from __future__ import annotations

from aiohttp import web
from ioint_protocol.fields import HEX_32, HEX_64

from ioint_node.errors import NotFoundError
from ioint_node.flows.disputes import Wanted, list_disputes
from ioint_node.reputation.disputes import STATES
from ioint_node.store import listings
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.described import PAGED, Parameter, choice, missing, page_of
from ioint_node.web.problems import bad_field
from ioint_node.web.requests import (
    cursor_of,
    cursor_text,
    integer,
    limit_of,
    one_of,
    parameters,
)
from ioint_node.web.shapes import DisputeRow
from ioint_node.web.site import Route, Site


async def show_disputes(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Disputes, the newest first; a page of one state may have fewer rows than asked for and yet go on."""
    given = parameters(request, "state", "pattern", "author", "limit", "cursor")
    state, author, pattern = one_of(given, "state", STATES), given.get("author"), given.get("pattern")
    if author is not None and not HEX_32.fullmatch(author):
        raise bad_field("author", "not 32 lower-case hex digits")
    if pattern is not None and not HEX_64.fullmatch(pattern):
        raise bad_field("pattern", "not 64 lower-case hex digits")
    cursor, exchange = cursor_of(given), site.parts.exchange
    async with site.parts.store.read() as connection:
        subject = None
        if pattern is not None:
            found = await listings.indicator(connection, pattern, caller.tlp)
            if found is None and pattern not in exchange.catalogue.entries:
                raise NotFoundError(f"no pattern {pattern}")
            subject = pattern if found is None else found.subject
        page = await list_disputes(
            connection,
            Wanted(state=state, subject=subject, author=author),
            roster=exchange.roster(),
            catalogue=exchange.catalogue,
            now=site.parts.now(),
            clearance=caller.tlp,
            limit=limit_of(given, site.parts.limits),
            before=None if cursor is None else integer(cursor[0], "cursor"),
        )
    following = None if page.before is None else cursor_text(page.before)
    return json_answer({"items": list(page.rows), "next": following})


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    return (
        Route(
            method="GET",
            path="/api/v1/disputes",
            may="review",
            summary="Disputes of reports, and what came of each",
            handler=show_disputes,
            query=(
                choice("state", tuple(STATES)),
                Parameter(name="pattern", schema={"type": "string", "pattern": "^[0-9a-f]{64}$"}),
                Parameter(name="author", schema={"type": "string", "pattern": "^[0-9a-f]{32}$"}),
                *PAGED,
            ),
            answers=page_of(DisputeRow) | missing("No such pattern."),
        ),
    )
