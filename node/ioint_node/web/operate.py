"""What people decide: what leaves, what they think of a pattern, who holds a token; and the state of the node."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from aiohttp import web
from msgspec import UNSET

from ioint_node.flows import publish
from ioint_node.flows.believe import refresh_all
from ioint_node.store import listings, overrides, stream, tokens
from ioint_node.store.times import DAY_MS, to_text
from ioint_node.store.tokens import Caller
from ioint_node.web import rows
from ioint_node.web.answers import json_answer
from ioint_node.web.problems import bad_field
from ioint_node.web.requests import (
    DecideBody,
    OpinionBody,
    TokenBody,
    cursor_of,
    cursor_text,
    instant,
    limit_of,
    parameters,
    read_json,
)
from ioint_node.web.site import Route, Site

OUTGOING_STATES = ("held", "ready", "left", "refused")
DEFAULT_OVERRIDE_MS = 30 * DAY_MS  # an override that names no end is looked at again after a month


async def list_approvals(site: Site, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG001
    """Records that wait for a person: the exact bytes that would leave."""
    return await _outgoing(site, parameters(request, "limit", "cursor"), ("held",))


async def list_outgoing(site: Site, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG001
    """What left and what would, with its bytes, for ever."""
    given = parameters(request, "state", "limit", "cursor")
    state = given.get("state")
    if state is not None and state not in OUTGOING_STATES:
        raise bad_field("state", f"none of {', '.join(OUTGOING_STATES)}")
    return await _outgoing(site, given, OUTGOING_STATES if state is None else (state,))


async def decide_approval(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Let a held record leave, or refuse it for good."""
    body = await read_json(request, DecideBody, site.parts.limits)
    record = request.match_info["record"]
    await publish.decide(site.parts.exchange, record, body.approve, f"token:{caller.id}", site.parts.now())
    return json_answer({"id": record, "approved": body.approve})


async def put_opinion(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Allow, mute, confirm or dispute a pattern here; a month long when no end is named, for ever with null."""
    body = await read_json(request, OpinionBody, site.parts.limits)
    now = site.parts.now()
    expires = now + DEFAULT_OVERRIDE_MS if body.expires is UNSET else instant(body.expires or None, "expires")
    made = await site.parts.store.write(
        lambda connection: overrides.put(
            connection,
            subject=_pattern(request),
            kind=body.kind,
            reason=body.reason,
            by=f"token:{caller.id}",
            expires=expires,
            now=now,
        )
    )
    await refresh_all(site.parts.exchange, now)
    return json_answer(asdict(made), 201)


async def drop_opinion(site: Site, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG001
    """Take an opinion back."""
    kind = request.match_info["kind"]
    pattern = _pattern(request)
    gone = await site.parts.store.write(lambda connection: overrides.remove(connection, pattern, kind))
    if gone:
        await refresh_all(site.parts.exchange, site.parts.now())
    return json_answer({"removed": gone})


async def list_overrides(site: Site, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG001
    """The opinions of this organisation that still hold."""
    parameters(request)
    async with site.parts.store.read() as connection:
        found = await overrides.active(connection, site.parts.now())
    return json_answer({"items": [asdict(one) for one in found], "next": None})


async def make_token(site: Site, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG001
    """Make a token; it is shown in this answer and never again."""
    body = await read_json(request, TokenBody, site.parts.limits)
    now = site.parts.now()
    expires = instant(body.expires, "expires")
    made = await site.parts.store.write(
        lambda connection: tokens.create(connection, body.role, body.actor, body.tlp, expires, now=now)
    )
    answer = {**asdict(made), "expires": None if expires is None else to_text(expires)}
    return json_answer(answer, 201)


async def list_tokens(site: Site, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG001
    """Tokens without the tokens themselves."""
    given = parameters(request, "limit", "cursor")
    limit, cursor = limit_of(given, site.parts.limits), cursor_of(given)
    async with site.parts.store.read() as connection:
        found = await tokens.list_tokens(connection, limit + 1, cursor[0] if cursor else None)
    shown = found[:limit]
    following = cursor_text(shown[-1].id) if len(found) > limit else None
    return json_answer({"items": [asdict(row) for row in shown], "next": following})


async def revoke_token(site: Site, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG001
    """Make a token worthless, at once."""
    key = request.match_info["token"]
    now = site.parts.now()
    await site.parts.store.write(lambda connection: tokens.revoke(connection, key, now=now))
    site.tokens.forget(key)
    return json_answer({"id": key, "revoked": True})


async def show_status(site: Site, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG001
    """The node in one answer: who it is, what it belongs to, what it hears, what it waits for."""
    parameters(request)
    parts, exchange = site.parts, site.parts.exchange
    roster = exchange.roster()
    async with parts.store.read() as connection:
        counted = await listings.count_indicators(connection)
        newest = await stream.high_water(connection)
    return json_answer(
        {
            "org": parts.org,
            "member": exchange.member,
            "version": parts.version,
            "mode": parts.assess.mode,
            "publish": exchange.publish_mode,
            "taxonomy": {"version": exchange.taxonomy.version, "digest": exchange.taxonomy.digest},
            "catalogue": {
                "version": exchange.catalogue.version,
                "digest": exchange.catalogue.digest,
                "patterns": len(exchange.catalogue.entries),
            },
            "detector": exchange.detector,
            "consortium": exchange.consortium(),
            "roster": None if roster is None else {"version": roster.version, "members": len(roster.members)},
            "network_age_s": exchange.beliefs.age_s(parts.now()),
            "peers": _peer_counts(parts.peers_status()),
            "indicators": counted,
            "stream_seq": newest,
            "waiting_for": list(parts.not_ready()),
            "refused": dict(parts.refusals),
        }
    )


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    doors = (
        ("GET", "/api/v1/status", "query", "The node in one answer", show_status),
        ("GET", "/api/v1/approvals", "review", "Records that wait for a person", list_approvals),
        ("POST", "/api/v1/approvals/{record}", "decide", "Let a record leave, or refuse it", decide_approval),
        ("GET", "/api/v1/outgoing", "review", "What left and would leave, with its bytes", list_outgoing),
        ("GET", "/api/v1/overrides", "query", "Opinions of this organisation", list_overrides),
        ("POST", "/api/v1/patterns/{pattern}/opinion", "opine", "Allow, mute, confirm or dispute", put_opinion),
        ("DELETE", "/api/v1/patterns/{pattern}/opinion/{kind}", "opine", "Take an opinion back", drop_opinion),
        ("GET", "/api/v1/tokens", "manage", "Tokens", list_tokens),
        ("POST", "/api/v1/tokens", "manage", "Make a token", make_token),
        ("DELETE", "/api/v1/tokens/{token}", "manage", "Revoke a token", revoke_token),
    )
    return tuple(
        Route(method=method, path=path, may=may, summary=summary, handler=handler)
        for method, path, may, summary, handler in doors
    )


async def _outgoing(site: Site, given: dict[str, str], states: tuple[str, ...]) -> web.Response:
    cursor = cursor_of(given, 2)
    before = None if cursor is None else (cursor[0], cursor[1])
    async with site.parts.store.read() as connection:
        page = await listings.newest_outgoing(
            connection, states=states, limit=limit_of(given, site.parts.limits), before=before
        )
    last = page.items[-1] if page.more else None
    following = None if last is None else cursor_text(last["at"], last["id"])
    return json_answer({"items": [rows.outgoing_row(row) for row in page.items], "next": following})


def _pattern(request: web.Request) -> str:
    key = request.match_info["pattern"]
    if not re.fullmatch(r"[0-9a-f]{64}", key):
        raise bad_field("pattern", "not 64 lower-case hex digits")
    return key


def _peer_counts(peers: list[dict[str, Any]]) -> dict[str, int]:
    connected = sum(1 for peer in peers if peer.get("connected_since") is not None)
    return {"known": len(peers), "connected": connected}
