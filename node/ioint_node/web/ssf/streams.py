"""A receiver's streams: made, read, changed, removed. Nobody sees or finds another's."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.flows.signals import SignalParts
from ioint_node.store import signals
from ioint_node.store.signals import Settings, Stream
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.problems import Refusal, bad_field
from ioint_node.web.requests import read_json
from ioint_node.web.site import Handler, Site
from ioint_node.web.ssf.bodies import ChangedStream, NewStream, settings_of
from ioint_node.web.ssf.documents import described, poll_url

_SUPPLIED = (
    "iss",
    "aud",
    "events_supported",
    "events_delivered",
    "min_verification_interval",
    "inactivity_timeout",
)


def nothing() -> web.Response:
    """204, kept by nobody."""
    return web.Response(status=204, headers={"Cache-Control": "no-store"})


def check_keeper(caller: Caller, settings: Settings) -> None:
    """Let only tokens of this node have events pushed: nobody tells this node when a provider's subject ends.

    Raises:
        Refusal: 403, who signed in with a provider polls.
    """
    if settings.method != signals.POLL and caller.id.startswith("oidc:"):
        detail = "events are pushed for tokens of this node alone: poll, or make the stream with one"
        raise Refusal(403, "forbidden", detail)


def wanted_stream(request: web.Request) -> str | None:
    """The stream that a query names; other parameters are ignored, as SSF has it.

    Raises:
        Refusal: it is named twice.
    """
    given = request.query.getall("stream_id", [])
    if len(given) > 1:
        raise bad_field("stream_id", "given twice")
    return given[0] if given else None


def named_stream(request: web.Request) -> str:
    """The same where one has to be named.

    Raises:
        Refusal: none is.
    """
    name = wanted_stream(request)
    if not name:
        raise bad_field("stream_id", "needed in the query")
    return name


def create(parts: SignalParts) -> Handler:
    """The handler that makes a stream."""

    async def make(site: Site, request: web.Request, caller: Caller) -> web.Response:
        """Make a stream; it hears what happens from now on."""
        parts.known_as()
        body = await read_json(request, NewStream, site.parts.limits)
        settings = settings_of(body, Settings(), "", private=parts.private)
        check_keeper(caller, settings)
        made = await parts.store.write(
            lambda connection: signals.add(
                connection,
                caller,
                settings,
                now=site.parts.now(),
                most=parts.limits.streams,
                most_of_one=parts.limits.streams_per_receiver,
            )
        )
        return json_answer(described(parts, made), 201)

    return make


def read(parts: SignalParts) -> Handler:
    """The handler that shows streams."""

    async def show(site: Site, request: web.Request, caller: Caller) -> web.Response:
        """One stream, or without `stream_id` the list of the receiver's own."""
        name = wanted_stream(request)
        async with parts.store.read() as connection:
            if name is not None:
                return json_answer(described(parts, await signals.stream_of(connection, caller, name)))
            found = await signals.streams_of(connection, caller)
        return json_answer([described(parts, one) for one in found])

    return show


def update(parts: SignalParts) -> Handler:
    """The handler that changes what a body names."""

    async def change(site: Site, request: web.Request, caller: Caller) -> web.Response:
        """Change the settings that are given, and no others."""
        return await _change(parts, site, request, caller, whole=False)

    return change


def replace_all(parts: SignalParts) -> Handler:
    """The handler that sets everything anew."""

    async def change(site: Site, request: web.Request, caller: Caller) -> web.Response:
        """Set all settings anew; those that are not given become what they are by default."""
        return await _change(parts, site, request, caller, whole=True)

    return change


async def _change(
    parts: SignalParts, site: Site, request: web.Request, caller: Caller, *, whole: bool
) -> web.Response:
    body = await read_json(request, ChangedStream, site.parts.limits)

    async def write(connection: AsyncConnection) -> Stream:
        before = await signals.stream_of(connection, caller, body.stream_id)
        _check_supplied(body, described(parts, before))
        start = before.settings
        if whole:
            start = Settings(
                # Kept where the new settings lead to the same place.
                endpoint_url=start.endpoint_url,
                authorization_header=start.authorization_header,
            )
        settings = settings_of(body, start, poll_url(parts, before.id), private=parts.private)
        check_keeper(caller, settings)
        if settings.method == signals.POLL:
            settings = Settings(
                events=settings.events, description=settings.description, format=settings.format
            )
        await signals.settle(connection, before.id, settings, caller)
        await signals.note_heard(connection, before.id, site.parts.now())
        return await signals.stream_of(connection, caller, body.stream_id)

    changed = await parts.store.write(write)
    parts.notify()
    return json_answer(described(parts, changed))


def _check_supplied(body: ChangedStream, now: dict[str, Any]) -> None:
    """Refuse a change of what is not the receiver's to say."""
    for name in _SUPPLIED:
        said = getattr(body, name)
        known = now.get(name, UNSET)
        if isinstance(said, UnsetType) or said == known or (name == "aud" and said == [known]):
            continue
        raise bad_field(name, "given by the transmitter, and another than it is")


def delete(parts: SignalParts) -> Handler:
    """The handler that removes a stream."""

    async def drop(site: Site, request: web.Request, caller: Caller) -> web.Response:
        """Remove a stream, with what waits for it."""
        name = named_stream(request)

        async def write(connection: AsyncConnection) -> None:
            await signals.stream_of(connection, caller, name)
            await signals.remove(connection, name)

        await parts.store.write(write)
        parts.notify()
        return nothing()

    return drop
