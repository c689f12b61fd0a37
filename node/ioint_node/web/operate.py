"""What people decide: what leaves, what they think of a pattern, who holds a token; and the state of the node."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aiohttp import web
from ioint_protocol.records import DISPUTE_REASONS, WITHDRAWAL_REASONS
from msgspec import UNSET

from ioint_node.errors import NotFoundError
from ioint_node.flows import publish
from ioint_node.flows.believe import believe, put_in_force
from ioint_node.store import listings, outgoing, overrides, stream, tokens
from ioint_node.store.times import DAY_MS, to_text
from ioint_node.store.tokens import Caller
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
    pattern_key,
    read_json,
)
from ioint_node.web.site import Route, Site

DEFAULT_OVERRIDE_MS = 30 * DAY_MS  # an override that names no end is looked at again after a month


async def list_approvals(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Records that wait for a person: the exact bytes that would leave."""
    return await _outgoing(site, parameters(request, "limit", "cursor"), "held")


async def list_outgoing(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """What left and what would, with its bytes, for ever."""
    given = parameters(request, "state", "limit", "cursor")
    return await _outgoing(site, given, given.get("state"))


async def decide_approval(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Let a held record leave, or refuse it for good."""
    body = await read_json(request, DecideBody, site.parts.limits)
    made = await publish.decide(
        site.parts.exchange,
        request.match_info["record"],
        approve=body.approve,
        by=_by(caller),
        now=site.parts.now(),
    )
    return json_answer(made)


async def put_opinion(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """What a person thinks of a pattern: for this node alone, or told to the others."""
    body = await read_json(request, OpinionBody, site.parts.limits)
    subject = await _subject(site, request, caller)
    if body.kind in ("allow", "mute"):
        return await _override(site, caller, subject, body)
    if body.expires is not UNSET:
        raise bad_field("expires", f"{body.kind} is told to the others and has no end of its own")
    exchange, now, by = site.parts.exchange, site.parts.now(), _by(caller)
    if body.kind == "confirm":
        records = [await publish.confirm_pattern(exchange, subject, by=by, now=now)]
    elif body.kind == "dispute":
        _check_reason(body.reason, DISPUTE_REASONS)
        records = [await publish.dispute_pattern(exchange, subject, reason=body.reason, by=by, now=now)]
    else:
        _check_reason(body.reason, WITHDRAWAL_REASONS)
        records = await publish.withdraw_pattern(exchange, subject, reason=body.reason, by=by, now=now)
    return json_answer({"kind": body.kind, "subject": subject, "records": records}, 201)


async def drop_opinion(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Take an opinion of this node back: allow or mute."""
    kind = request.match_info["kind"]
    subject = await _subject(site, request, caller)
    gone = await site.parts.store.write(lambda connection: overrides.remove(connection, subject, kind))
    if gone:
        await _believe_again(site, subject)
    return json_answer({"removed": gone})


async def list_overrides(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """The opinions of this organisation that still hold."""
    parameters(request)
    async with site.parts.store.read() as connection:
        found = await overrides.active(connection, site.parts.now())
    return json_answer({"items": [asdict(one) for one in found], "next": None})


async def make_token(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Make a token; it is shown in this answer and never again."""
    body = await read_json(request, TokenBody, site.parts.limits)
    now = site.parts.now()
    expires = instant(body.expires, "expires")
    made = await site.parts.store.write(
        lambda connection: tokens.create(connection, body.role, body.actor, body.tlp, expires, now=now)
    )
    answer = {**asdict(made), "expires": None if expires is None else to_text(expires)}
    return json_answer(answer, 201)


async def list_tokens(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Tokens without the tokens themselves."""
    given = parameters(request, "limit", "cursor")
    limit, cursor = limit_of(given, site.parts.limits), cursor_of(given)
    async with site.parts.store.read() as connection:
        found = await tokens.list_tokens(connection, limit + 1, cursor[0] if cursor else None)
    shown = found[:limit]
    following = cursor_text(shown[-1].id) if len(found) > limit else None
    return json_answer({"items": [asdict(row) for row in shown], "next": following})


async def revoke_token(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Make a token worthless, at once."""
    key = request.match_info["token"]
    now = site.parts.now()
    await site.parts.store.write(lambda connection: tokens.revoke(connection, key, now=now))
    site.tokens.forget(key)
    return json_answer({"id": key, "revoked": True})


async def show_status(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """The node in one answer: who it is, what it belongs to, what it hears, what it waits for."""
    parameters(request)
    parts, exchange = site.parts, site.parts.exchange
    roster = exchange.roster()
    async with parts.store.read() as connection:
        counted = await listings.count_indicators(connection)
        newest = await stream.high_water(connection)
        halted = await publish.halted(connection, exchange)
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
            "halted": halted,
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
        (
            "POST",
            "/api/v1/patterns/{pattern}/opinion",
            "opine",
            "Allow, mute, confirm or dispute",
            put_opinion,
        ),
        (
            "DELETE",
            "/api/v1/patterns/{pattern}/opinion/{kind}",
            "opine",
            "Take an opinion back",
            drop_opinion,
        ),
        ("GET", "/api/v1/tokens", "manage", "Tokens", list_tokens),
        ("POST", "/api/v1/tokens", "manage", "Make a token", make_token),
        ("DELETE", "/api/v1/tokens/{token}", "manage", "Revoke a token", revoke_token),
    )
    return tuple(
        Route(method=method, path=path, may=may, summary=summary, handler=handler)
        for method, path, may, summary, handler in doors
    )


async def _outgoing(site: Site, given: dict[str, str], state: str | None) -> web.Response:
    limit = limit_of(given, site.parts.limits)
    async with site.parts.store.read() as connection:
        return json_answer(await outgoing.list_outgoing(connection, limit, given.get("cursor"), state=state))


async def _override(site: Site, caller: Caller, subject: str, body: OpinionBody) -> web.Response:
    now = site.parts.now()
    expires = now + DEFAULT_OVERRIDE_MS if body.expires is UNSET else instant(body.expires, "expires")
    made = await site.parts.store.write(
        lambda connection: overrides.put(
            connection,
            subject=subject,
            kind=body.kind,
            reason=body.reason,
            by=_by(caller),
            expires=expires,
            now=now,
        )
    )
    await _believe_again(site, subject)
    return json_answer(asdict(made), 201)


async def _believe_again(site: Site, subject: str) -> None:
    exchange, now = site.parts.exchange, site.parts.now()
    beliefs = await site.parts.store.write(lambda connection: believe(connection, exchange, (subject,), now))
    put_in_force(exchange, beliefs)


async def _subject(site: Site, request: web.Request, caller: Caller) -> str:
    """What records call the indicator of the path."""
    key = pattern_key(request)
    async with site.parts.store.read() as connection:
        found = await listings.indicator(connection, key, caller.tlp)
    if found is None and key not in site.parts.exchange.catalogue.entries:
        raise NotFoundError(f"no pattern {key}")
    return key if found is None else found.subject


def _check_reason(reason: str, known: frozenset[str]) -> None:
    if reason not in known:
        raise bad_field("reason", f"{reason[:32]!r} is none of {', '.join(sorted(known))}")


def _by(caller: Caller) -> str:
    return f"token:{caller.id}"


def _peer_counts(peers: list[dict[str, Any]]) -> dict[str, int]:
    connected = sum(1 for peer in peers if peer.get("connected_since") is not None)
    return {"known": len(peers), "connected": connected}
