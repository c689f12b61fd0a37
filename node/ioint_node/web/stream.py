"""State and then changes: the snapshot, and server-sent events from where it ends.

Every event has a number that only grows. A subscriber that comes back with `Last-Event-ID` is first given what it
missed from the store, then joins the hub. A number from before retention, or from the future of a restored
database, is answered with one `reset`: take the snapshot again.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiohttp import web

from ioint_node.store import listings, stream
from ioint_node.store.subscriptions import EVENTS, Wanted, chosen, events_of, filter_of
from ioint_node.store.times import to_text
from ioint_node.store.tokens import Caller
from ioint_node.web import rows
from ioint_node.web.answers import json_answer
from ioint_node.web.auth import caller_of
from ioint_node.web.described import PAGED, Answer, Parameter, answers, fields, missing
from ioint_node.web.filters import FILTERED, PARAMETERS, wanted_filter
from ioint_node.web.hub import Group, Subscriber, frame
from ioint_node.web.problems import Refusal, bad_field
from ioint_node.web.requests import cursor_of, cursor_text, integer, limit_of, parameters
from ioint_node.web.shapes import HereRow, PolicyInForce
from ioint_node.web.site import Route, Site

SNAPSHOT = "/api/v1/snapshot"
GREETING = b"retry: 2000\n: welcome\n\n"
ACTOR_CHARS = 256


async def snapshot(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """All indicators page by page, with the number after which the stream goes on."""
    given = parameters(request, "limit", "cursor", *PARAMETERS)
    limit = limit_of(given, site.parts.limits)
    cursor = cursor_of(given, 2)
    async with site.parts.store.read() as connection:
        # The number is read before the first page: what changes meanwhile is heard twice, never missed.
        seq = integer(cursor[0], "cursor") if cursor else await stream.high_water(connection)
        wanted = await wanted_filter(connection, given, site.parts.now())
        after = integer(cursor[1], "cursor") if cursor else None
        page = await listings.all_indicators(connection, wanted, caller.tlp, limit, after)
        items = await rows.indicator_rows(connection, page.items, site, caller)
    return json_answer(
        {
            "seq": seq,
            "at": to_text(site.parts.now()),
            # What an engine must know before the node is away.
            "policy": site.loop.policy.to_json(),
            "items": items,
            "next": cursor_text(seq, page.last) if page.more else None,
        }
    )


async def follow(site: Site, request: web.Request, caller: Caller) -> web.StreamResponse:
    """The stream, until the caller leaves, its token ends, or it does not keep up."""
    limits = site.parts.limits
    wanted = await _wanted(site, parameters(request, "filter", "saved", "events", "actor"))
    if not site.parts.hub.has_room(wanted):
        raise Refusal(
            503,
            "too_many_filters",
            f"streams with {limits.stream_filters} different filters are open",
            headers={"Retry-After": "30"},
        )
    if site.streams.total() >= limits.streams:
        raise Refusal(
            503, "too_many_streams", f"{limits.streams} streams are open", headers={"Retry-After": "30"}
        )
    if site.streams[caller.id] >= limits.streams_per_token:
        raise Refusal(429, "too_many_streams", f"this token has {limits.streams_per_token} streams open")
    last = request.headers.get("Last-Event-ID", "")
    begin = integer(last, "Last-Event-ID") if last else None  # who has none yet may say so
    site.streams[caller.id] += 1
    try:
        return await _follow(site, request, caller, begin, wanted)
    finally:
        site.streams[caller.id] -= 1
        if not site.streams[caller.id]:
            del site.streams[caller.id]


async def _wanted(site: Site, given: dict[str, str]) -> Wanted:
    """What the parameters of a request ask for.

    Raises:
        Refusal: an unknown event, an actor's name that is none, or a filter and a saved one.
        FilterError: the filter cannot be read.
        NotFoundError: there is no such saved filter.
    """
    events = given.get("events")
    filtered = "filter" in given or "saved" in given
    kinds = frozenset(events.split(",")) if events else events_of(filtered=filtered, actor="actor" in given)
    if not kinds <= frozenset(EVENTS):
        raise bad_field("events", f"some of {', '.join(EVENTS)}, with commas between them")
    actor = given.get("actor")
    if actor is not None and not 1 <= len(actor) <= ACTOR_CHARS:
        raise bad_field("actor", f"{len(actor)} characters, 1 to {ACTOR_CHARS} are a name")
    async with site.parts.store.read() as connection:
        wanted = await filter_of(connection, given.get("filter"), given.get("saved"))
    return Wanted(events=kinds, filter=wanted, actor=actor)


async def _follow(
    site: Site, request: web.Request, caller: Caller, begin: int | None, wanted: Wanted
) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    chunked = request.version >= (1, 1)
    if chunked:
        response.enable_chunked_encoding()
    with suppress(ConnectionError):  # the caller left while it was being written to
        await response.prepare(request)
        await response.write(GREETING)
        if (transport := request.transport) is not None:
            group = Group(clearance=caller.tlp, wanted=wanted, chunked=chunked)
            await _feed(site, request, response, Subscriber(transport, group), begin)
    return response


async def _feed(
    site: Site, request: web.Request, response: web.StreamResponse, subscriber: Subscriber, begin: int | None
) -> None:
    hub = site.parts.hub
    try:
        async with asyncio.timeout(site.parts.limits.replay_s):
            subscriber.seq, opening = await _begin(site, begin)
            if opening:
                await response.write(opening)
            while not hub.join(subscriber):
                await _replay(site, response, subscriber)
        await _until_over(site, request, subscriber)
    except TimeoutError:
        hub.cut(subscriber, "slow_replay")
    finally:
        hub.leave(subscriber)


async def _begin(site: Site, begin: int | None) -> tuple[int, bytes]:
    """Where to go on from, and the bytes to say before: a `reset` when what is asked for is gone."""
    async with site.parts.store.read() as connection:
        newest = await stream.high_water(connection)
        oldest = await stream.oldest(connection)
    if begin is None:
        return newest, b""
    if oldest - 1 <= begin <= newest:
        return begin, b""
    at = to_text(site.parts.now())
    body = f'{{"at":"{at}","event":"reset","reason":"retention","snapshot":"{SNAPSHOT}"}}'
    return newest, frame(stream.StreamRow(seq=newest, at=at, event="reset", tlp="clear", body=body))


async def _replay(site: Site, response: web.StreamResponse, subscriber: Subscriber) -> None:
    """Write up to a page of what the subscriber has missed."""
    rows = site.parts.limits.replay_rows
    async with site.parts.store.read() as connection:
        newest = await stream.high_water(connection)
        missed = await stream.since(connection, subscriber.seq, rows, subscriber.group.clearance)
        wanted = await chosen(connection, missed, subscriber.group.wanted, site.parts.now())
    if wanted:
        await response.write(b"".join(map(frame, wanted)))
    if missed:
        subscriber.seq = missed[-1].seq
    if len(missed) < rows:
        # The rows up to here that were not written are above the clearance.
        subscriber.seq = max(newest, subscriber.seq)


async def _until_over(site: Site, request: web.Request, subscriber: Subscriber) -> None:
    """Wait until the hub lets go; a token that was revoked or has expired ends its streams within a heartbeat."""
    while not subscriber.closed.is_set():
        try:
            async with asyncio.timeout(site.parts.limits.heartbeat_s):
                await subscriber.closed.wait()
        except TimeoutError:
            try:
                await caller_of(site, request, "query")
            except Refusal:
                return


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    return (
        Route(
            method="GET",
            path=SNAPSHOT,
            may="query",
            summary="All indicators and where the stream goes on",
            handler=snapshot,
            query=(*FILTERED, *PAGED),
            answers=answers(
                fields(
                    seq=int,
                    at=str,
                    policy=PolicyInForce,
                    items={"type": "array", "items": HereRow},
                    next={"type": ["string", "null"]},
                ),
                "A page of the state, and the number after which the stream goes on.",
            )
            | missing("No such saved filter."),
        ),
        Route(
            method="GET",
            path="/api/v1/stream",
            may="query",
            summary="Changes as server-sent events",
            handler=follow,
            query=(
                Parameter(name="filter", about="Of events about indicators, those that fit, or did before."),
                Parameter(name="saved", about="The same by the id of a saved filter."),
                Parameter(name="events", about=f"Some of {', '.join(EVENTS)}, with commas between them."),
                Parameter(name="actor", about="Of events about actors, those of this one."),
                Parameter(name="Last-Event-ID", where="header", about="The newest event that was heard."),
            ),
            answers={
                200: Answer(
                    about="Events, until one side leaves.", content={"text/event-stream": {"type": "string"}}
                )
            },
        ),
    )
