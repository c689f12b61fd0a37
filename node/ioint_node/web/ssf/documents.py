"""What everybody may read: how to speak to this transmitter, and the keys that its tokens are verified by."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from ioint_node.errors import NotFoundError
from ioint_node.flows.signals import SignalParts, delivered
from ioint_node.signals.events import SUPPORTED
from ioint_node.store.signals import POLL, PUSH, Stream
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.site import Handler, Site

WELL_KNOWN = "/.well-known/ssf-configuration"
JWKS = "/ssf/jwks.json"
STREAMS = "/ssf/streams"
STATUS = "/ssf/status"
ADD = "/ssf/subjects/add"
REMOVE = "/ssf/subjects/remove"
VERIFY = "/ssf/verify"
POLLING = "/ssf/poll"
_KEPT = {"Cache-Control": "public, max-age=3600"}


def configuration(parts: SignalParts) -> Handler:
    """The handler of the transmitter's metadata."""

    async def show(site: Site, request: web.Request, caller: Caller) -> web.Response:
        """How to speak to this transmitter; where its issuer has a path, that follows the well-known one."""
        issuer = parts.known_as()
        if request.match_info.get("path", "") not in ("", urlsplit(issuer).path):
            raise NotFoundError("no transmitter of this path")
        answer = json_answer(
            {
                "spec_version": "1_0",
                "issuer": issuer,
                "jwks_uri": issuer + JWKS,
                "delivery_methods_supported": [PUSH, POLL],
                "configuration_endpoint": issuer + STREAMS,
                "status_endpoint": issuer + STATUS,
                "add_subject_endpoint": issuer + ADD,
                "remove_subject_endpoint": issuer + REMOVE,
                "verification_endpoint": issuer + VERIFY,
                "authorization_schemes": [{"spec_urn": "urn:ietf:rfc:6749"}],
                "default_subjects": "ALL" if parts.all_subjects else "NONE",
            }
        )
        answer.headers.update(_KEPT)
        return answer

    return show


def keys(parts: SignalParts) -> Handler:
    """The handler of the public keys."""

    async def show(site: Site, request: web.Request, caller: Caller) -> web.Response:
        """The keys that tokens are verified by, the next one and the last one among them."""
        found = await asyncio.to_thread(parts.signer.keys)
        answer = json_answer(found.jwks(site.parts.now() // 1000))
        answer.headers.update(_KEPT)
        return answer

    return show


def poll_url(parts: SignalParts, name: str) -> str:
    """Where a stream is polled."""
    return f"{parts.known_as()}{POLLING}/{name}"


def described(parts: SignalParts, of: Stream) -> dict[str, Any]:
    """A stream's configuration; the secret that its receiver wants to see is not shown."""
    settings, limits = of.settings, parts.limits
    polled = settings.method == POLL
    return {
        "stream_id": of.id,
        "iss": parts.known_as(),
        "aud": parts.audience(of),
        "events_supported": list(SUPPORTED),
        **({} if settings.events is None else {"events_requested": list(settings.events)}),
        "events_delivered": list(delivered(settings)),
        "delivery": {
            "method": settings.method,
            "endpoint_url": poll_url(parts, of.id) if polled else settings.endpoint_url,
        },
        "min_verification_interval": limits.verification_s,
        **({"inactivity_timeout": limits.inactivity_s} if polled else {}),
        **({} if settings.description is None else {"description": settings.description}),
        "format": settings.format,
    }
