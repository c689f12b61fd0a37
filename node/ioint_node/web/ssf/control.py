"""What a receiver does with a stream of its own: status, subjects, verification, polls."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from msgspec import UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.flows.signals import Ask, SignalParts, ask_verification, change_status, poll
from ioint_node.signals.subjects import check_subject
from ioint_node.store import signals
from ioint_node.store.signals import Stream
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.problems import Refusal
from ioint_node.web.requests import read_json
from ioint_node.web.site import Handler, Site
from ioint_node.web.ssf.bodies import ChangedStatus, PollBody, SubjectBody, Verification
from ioint_node.web.ssf.streams import named_stream, nothing


def show_status(parts: SignalParts) -> Handler:
    """The handler that shows how a stream stands."""

    async def show(site: Site, request: web.Request, caller: Caller) -> web.Response:
        """Whether a stream is enabled, paused or disabled, and why."""
        async with parts.store.read() as connection:
            found = await signals.stream_of(connection, caller, named_stream(request))
        return json_answer(_status(found.id, found.status, found.reason))

    return show


def set_status(parts: SignalParts) -> Handler:
    """The handler that enables, pauses or disables a stream."""

    async def change(site: Site, request: web.Request, caller: Caller) -> web.Response:
        """Enable a stream, pause it, which holds its events, or disable it, which drops them."""
        body = await read_json(request, ChangedStatus, site.parts.limits)
        found = await _own(parts, caller, body.stream_id)
        await change_status(parts, found, body.status, body.reason, site.parts.now(), told=False)
        return json_answer(_status(found.id, body.status, body.reason))

    return change


def put_subject(parts: SignalParts, *, wanted: bool) -> Handler:
    """The handler that adds a subject to a stream, or removes it."""

    async def put(site: Site, request: web.Request, caller: Caller) -> web.Response:
        """Hear of a subject, or no more; whether the node knows it is not told."""
        body = await read_json(request, SubjectBody, site.parts.limits)
        subject = check_subject(body.subject)

        async def write(connection: AsyncConnection) -> None:
            await signals.stream_of(connection, caller, body.stream_id)
            await signals.put_subject(
                connection,
                body.stream_id,
                subject,
                wanted=wanted,
                most=parts.limits.subjects,
                most_wide=parts.limits.wide_subjects,
            )

        await parts.store.write(write)
        return web.Response(headers={"Cache-Control": "no-store"}) if wanted else nothing()

    return put


def verify(parts: SignalParts) -> Handler:
    """The handler that lets a verification come."""

    async def ask(site: Site, request: web.Request, caller: Caller) -> web.Response:
        """Let a verification event come, with the state that is given."""
        body = await read_json(request, Verification, site.parts.limits)
        early_ms = await ask_verification(parts, caller, body.stream_id, body.state, site.parts.now())
        if early_ms:
            after = {"Retry-After": str(-(-early_ms // 1000))}
            detail = f"one verification in {parts.limits.verification_s} s: min_verification_interval"
            raise Refusal(429, "too_soon", detail, headers=after)
        return nothing()

    return ask


def take(parts: SignalParts) -> Handler:
    """The handler that answers polls (RFC 8936)."""

    async def answer(site: Site, request: web.Request, caller: Caller) -> web.Response:
        """What waits, after taking what is acknowledged; without `returnImmediately` it waits for something."""
        body = await read_json(request, PollBody, site.parts.limits)
        most = parts.limits.sets_at_once if isinstance(body.max_events, UnsetType) else body.max_events
        ask = Ask(
            most=most,
            wait=not body.return_immediately,
            acks=body.ack,
            errors={name: one.err for name, one in body.set_errs.items()},
        )
        sets, more = await poll(parts, caller, request.match_info["stream"], ask, site.parts.now)
        return json_answer({"sets": sets, **({"moreAvailable": True} if more else {})})

    return answer


async def _own(parts: SignalParts, caller: Caller, name: str) -> Stream:
    async with parts.store.read() as connection:
        return await signals.stream_of(connection, caller, name)


def _status(name: str, status: str, reason: str) -> dict[str, Any]:
    return {"stream_id": name, "status": status, **({"reason": reason} if reason else {})}
