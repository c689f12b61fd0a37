"""What people decide: what leaves, what they think of a pattern, who holds a token; and the state of the node."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Annotated, Any

from aiohttp import web
from ioint_protocol.records import DISPUTE_REASONS, WITHDRAWAL_REASONS
from msgspec import UNSET, Meta, Struct

from ioint_node.errors import NotFoundError
from ioint_node.flows import opinions, publish, respond
from ioint_node.flows.believe import believe, put_in_force
from ioint_node.store import listings, overrides, stream, tokens
from ioint_node.store.times import DAY_MS, to_text
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.outgoing import label_of
from ioint_node.web.problems import Refusal, bad_field
from ioint_node.web.requests import (
    Body,
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
from ioint_node.web.site import Handler, Route, Site

DEFAULT_OVERRIDE_MS = 30 * DAY_MS  # an override that names no end is looked at again after a month
log = logging.getLogger(__name__)


class RotateBody(Body, frozen=True):
    """`POST /api/v1/tokens/{id}/rotate`: for how many seconds the old secret still works."""

    grace_s: Annotated[int, Meta(ge=0, le=tokens.GRACE_S)] = 0


async def put_opinion(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """What a person thinks of a pattern: for this node alone, or told to the others."""
    body = await read_json(request, OpinionBody, site.parts.limits)
    subject = await _subject(site, request, caller)
    if body.kind in ("allow", "mute"):
        return await _override(site, caller, subject, body)
    if body.expires is not UNSET:
        raise bad_field("expires", f"{body.kind} is told to the others and has no end of its own")
    exchange, now, by = site.parts.exchange, site.parts.now(), _by(caller)
    answer: dict[str, Any] = {"kind": body.kind, "subject": subject}
    if body.kind == "confirm":
        return json_answer(answer | await _confirm(site, subject, body, by=by, now=now), 201)
    if body.tlp is not None or body.values:
        raise bad_field("tlp" if body.tlp else "values", f"a {body.kind} has none of its own")
    if body.kind == "dispute":
        _check_reason(body.reason, DISPUTE_REASONS)
        records = [await opinions.dispute_pattern(exchange, subject, reason=body.reason, by=by, now=now)]
    else:
        _check_reason(body.reason, WITHDRAWAL_REASONS)
        records = await opinions.withdraw_pattern(exchange, subject, reason=body.reason, by=by, now=now)
    return json_answer(answer | {"records": records, "state": "ready"}, 201)


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
    _refuse_old(caller)
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
        after = cursor[0] if cursor else None
        found = await tokens.list_tokens(connection, limit + 1, after, now=site.parts.now())
    shown = found[:limit]
    following = cursor_text(shown[-1].id) if len(found) > limit else None
    return json_answer({"items": [asdict(row) for row in shown], "next": following})


async def revoke_token(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Make a token worthless, at once."""
    _refuse_old(caller)
    key = request.match_info["token"]
    now = site.parts.now()
    await site.parts.store.write(lambda connection: tokens.revoke(connection, key, now=now))
    site.tokens.forget(key)
    return json_answer({"id": key, "revoked": True})


async def rotate_token(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Give a token a new secret, shown in this answer and never again; every caller may rotate its own."""
    key = request.match_info["token"]
    _refuse_old(caller)
    if caller.role != "admin" and caller.id != key:
        raise Refusal(403, "forbidden", f"a token of role {caller.role} rotates itself and no other")
    body = await read_json(request, RotateBody, site.parts.limits)
    now = site.parts.now()
    made = await site.parts.store.write(
        lambda connection: tokens.rotate(connection, key, grace_s=body.grace_s, now=now)
    )
    site.tokens.forget(key)
    log.info("token rotated id=%s by=%s grace_s=%d", key, caller.id, body.grace_s)
    answer = {**asdict(made), "expires": None if made.expires is None else to_text(made.expires)}
    return json_answer(answer | {"grace_s": body.grace_s})


async def show_status(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """The node in one answer: who it is, what it belongs to, what it hears, what it waits for."""
    parameters(request)
    parts, exchange = site.parts, site.parts.exchange
    roster = exchange.roster()
    async with parts.store.read() as connection:
        counted = await listings.count_indicators(connection, caller.tlp)
        newest = await stream.high_water(connection)
        halted = await publish.halted(connection, exchange)
        responses = await respond.counts(connection, parts.now())
    return json_answer(
        {
            "org": parts.org,
            "member": exchange.member,
            "version": parts.version,
            "mode": site.loop.policy.staging.mode,
            "policy": site.loop.policy.to_json(),
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
            "responses": responses,
            "waiting_for": list(parts.not_ready()),
            "halted": halted,
            "refused": dict(parts.refusals),
        }
    )


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    doors = (
        ("GET", "/api/v1/status", "query", "The node in one answer", show_status),
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
        # `see_session` is what every role has: who may rotate which token is decided behind the door.
        ("POST", "/api/v1/tokens/{token}/rotate", "see_session", "Give a token a new secret", rotate_token),
    )
    bodies: dict[Handler, type[Struct]] = {
        put_opinion: OpinionBody,
        make_token: TokenBody,
        rotate_token: RotateBody,
    }
    return tuple(
        Route(method=method, path=path, may=may, summary=summary, handler=handler, body=bodies.get(handler))
        for method, path, may, summary, handler in doors
    )


async def _confirm(site: Site, subject: str, body: OpinionBody, *, by: str, now: int) -> dict[str, Any]:
    exchange = site.parts.exchange
    said = await opinions.confirm_pattern(
        exchange,
        subject,
        by=by,
        now=now,
        label=label_of(body.tlp),
        fps=opinions.fingerprints(exchange, body.values),
    )
    return {"records": [said.record], "state": said.state, "reason": said.reason}


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


def _refuse_old(caller: Caller) -> None:
    """Keep a secret that was rotated away from tokens: who found it could outlive its grace."""
    if caller.old:
        raise Refusal(403, "forbidden", "this secret was rotated: use the new one")


def _check_reason(reason: str, known: frozenset[str]) -> None:
    if reason not in known:
        raise bad_field("reason", f"{reason[:32]!r} is none of {', '.join(sorted(known))}")


def _by(caller: Caller) -> str:
    return f"token:{caller.id}"


def _peer_counts(peers: list[dict[str, Any]]) -> dict[str, int]:
    connected = sum(1 for peer in peers if peer.get("connected_since") is not None)
    return {"known": len(peers), "connected": connected}
