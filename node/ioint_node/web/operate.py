"""What people decide: what leaves, what they think of a pattern, who holds a token; and the state of the node."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Annotated, Any

from aiohttp import web
from ioint_protocol.records import DISPUTE_REASONS, WITHDRAWAL_REASONS
from msgspec import UNSET, Meta, Struct

from ioint_node.access.rights import ANY_TOKEN
from ioint_node.errors import NotFoundError
from ioint_node.flows import effects, opinions, publish, respond
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.vouching import vouch
from ioint_node.reputation.subjects import is_subject
from ioint_node.reputation.view import indicator_id
from ioint_node.store import listings, outgoing, overrides, stream, tokens
from ioint_node.store.times import DAY_MS, day_text, to_text
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.auth import check_covers, check_right
from ioint_node.web.described import PAGED, Answers, Parameter, answers, conflict, fields, page_of
from ioint_node.web.outgoing import label_of
from ioint_node.web.problems import Refusal, bad_field
from ioint_node.web.requests import (
    Body,
    EffectsBody,
    OpinionBody,
    OverrideBody,
    TokenBody,
    cursor_of,
    cursor_text,
    instant,
    limit_of,
    parameters,
    pattern_key,
    read_json,
)
from ioint_node.web.shapes import (
    EffectsView,
    OverrideRow,
    StatusView,
    TokenListed,
    TokenMade,
)
from ioint_node.web.site import Handler, Route, Site

DEFAULT_OVERRIDE_MS = 30 * DAY_MS  # an override that names no end is looked at again after a month
HERE = ("allow", "mute", "release")  # what stays at this node
HOUR_MS = 3_600_000
log = logging.getLogger(__name__)


class RotateBody(Body, frozen=True):
    """`POST /api/v1/tokens/{id}/rotate`: for how many seconds the old secret still works."""

    grace_s: Annotated[int, Meta(ge=0, le=tokens.GRACE_S)] = 0


async def put_opinion(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """What a person thinks of a pattern: for this node alone, or told to the others."""
    body = await read_json(request, OpinionBody, site.parts.limits)
    if body.kind in HERE:
        return await _override(site, caller, await _named(site, request, caller), body)
    subject = await _subject(site, request, caller)
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
        made = await opinions.dispute_pattern(exchange, subject, reason=body.reason, by=by, now=now)
        records = [made.record]
        answer |= _disputed(exchange, made)
    else:
        _check_reason(body.reason, WITHDRAWAL_REASONS)
        records = await opinions.withdraw_pattern(exchange, subject, reason=body.reason, by=by, now=now)
    return json_answer(answer | {"records": records, "state": "ready"}, 201)


def _disputed(exchange: ExchangeParts, made: opinions.Disputed) -> dict[str, Any]:
    roster = exchange.roster()
    reporter = roster.member(made.reporter) if roster else None
    name = reporter.name if reporter else None
    return {
        "report": made.report,
        "reporter": {"id": made.reporter, "name": name},
        "deadline": day_text(made.deadline),
    }


async def drop_opinion(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Take an opinion of this node back: allow, mute or release."""
    return await _drop(site, await _named(site, request, caller), request.match_info["kind"])


async def put_override(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Decide about a pattern or package before anybody says anything of it, or since."""
    body = await read_json(request, OverrideBody, site.parts.limits)
    if not is_subject(body.subject):
        raise bad_field("subject", "write a whole pattern id, or a package like pkg:npm/left-pad")
    return await _override(site, caller, body.subject, body)


async def drop_override(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Take such a decision back."""
    given = parameters(request, "subject")
    if "subject" not in given:
        raise bad_field("subject", "name the pattern or package")
    return await _drop(site, given["subject"], request.match_info["kind"])


async def show_effects(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Whether what others say has an effect here, and what is left of it by the silence of the network."""
    parameters(request)
    return json_answer(await _effects(site))


async def put_effects(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Turn all effects of the network off, or on again; in force before the answer, from the next action on."""
    body = await read_json(request, EffectsBody, site.parts.limits)
    exchange, now = site.parts.exchange, site.parts.now()
    if body.off:
        if not body.reason:
            raise bad_field("reason", "say why the effects go off")
        until = None if body.hours is None else now + body.hours * HOUR_MS
        await effects.switch_off(exchange, reason=body.reason, by=_by(caller), until=until, now=now)
    else:
        await effects.switch_on(exchange, now)
    log.warning("effects of the network off=%s by=%s", body.off, _by(caller))
    return json_answer(await _effects(site))


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
    check_covers(caller, body.role, body.scopes, body.tlp)
    now = site.parts.now()
    expires = instant(body.expires, "expires")
    made = await site.parts.store.write(
        lambda connection: tokens.create(
            connection,
            body.role,
            body.actor,
            body.tlp,
            expires,
            scopes=body.scopes,
            certificate=body.certificate,
            now=now,
        )
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
    if caller.id != key:
        check_right(caller, "manage", "rotate another than itself")
    body = await read_json(request, RotateBody, site.parts.limits)
    now = site.parts.now()
    if caller.id != key:
        async with site.parts.store.read() as connection:
            row = await tokens.get(connection, key)
        check_covers(caller, row.role, row.scopes, row.tlp)
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
    effects_now = await _effects(site)
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
            "effects": effects_now,
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
        ("POST", "/api/v1/overrides", "opine", "Decide about what need not have come yet", put_override),
        ("DELETE", "/api/v1/overrides/{kind}", "opine", "Take a decision back", drop_override),
        ("GET", "/api/v1/effects", "query", "Whether the network has effects here", show_effects),
        ("PUT", "/api/v1/effects", "opine", "Turn all effects of the network off or on", put_effects),
        ("GET", "/api/v1/tokens", "manage", "Tokens", list_tokens),
        ("POST", "/api/v1/tokens", "manage", "Make a token", make_token),
        ("DELETE", "/api/v1/tokens/{token}", "manage", "Revoke a token", revoke_token),
        # Who may rotate which token is decided behind the door.
        ("POST", "/api/v1/tokens/{token}/rotate", ANY_TOKEN, "Give a token a new secret", rotate_token),
    )
    bodies: dict[Handler, type[Struct]] = {
        put_opinion: OpinionBody,
        put_override: OverrideBody,
        put_effects: EffectsBody,
        make_token: TokenBody,
        rotate_token: RotateBody,
    }
    full = conflict("It contradicts what is so already, or there are too many.")
    query: dict[Handler, tuple[Parameter, ...]] = {
        list_tokens: PAGED,
        drop_override: (Parameter(name="subject", required=True, about="A pattern id, or a package."),),
    }
    said: dict[Handler, Answers] = {
        show_status: answers(StatusView),
        list_overrides: page_of(OverrideRow),
        put_opinion: answers(fields(kind=str, subject=str), status=201) | full,
        drop_opinion: answers(fields(removed=bool)),
        put_override: answers(OverrideRow, status=201) | full,
        drop_override: answers(fields(removed=bool)),
        show_effects: answers(EffectsView),
        put_effects: answers(EffectsView),
        list_tokens: page_of(TokenListed),
        make_token: answers(TokenMade, "The token, shown this once.", status=201),
        revoke_token: answers(fields(id=str, revoked=bool)),
        rotate_token: answers(TokenMade, "The token, shown this once.")
        | conflict("It is revoked, or has expired."),
    }
    return tuple(
        Route(
            method=method,
            path=path,
            may=may,
            summary=summary,
            handler=handler,
            body=bodies.get(handler),
            query=query.get(handler, ()),
            answers=said[handler],
        )
        for method, path, may, summary, handler in doors
    )


async def _confirm(site: Site, subject: str, body: OpinionBody, *, by: str, now: int) -> dict[str, Any]:
    exchange = site.parts.exchange
    fps = opinions.fingerprints(exchange, body.values)
    vouched = await vouch(exchange, subject, by=by, now=now, label=label_of(body.tlp), fps=fps)
    return {"records": list(vouched.records), "state": vouched.state, "reason": vouched.reason}


async def _effects(site: Site) -> dict[str, Any]:
    exchange, now = site.parts.exchange, site.parts.now()
    off = await effects.state(exchange, now)
    return {
        "off": exchange.beliefs.off,
        "reason": off.reason if off else None,
        "by": (off.by or None) if off else None,
        "at": (off.at or None) if off else None,
        "expires_at": off.expires_at if off else None,
        "age_s": exchange.beliefs.age_s(now),
        "share_left": round(exchange.beliefs.share_left(now), 4),
    }


async def _drop(site: Site, subject: str, kind: str) -> web.Response:
    if kind not in HERE:
        raise bad_field("kind", f"{kind[:32]!r} is none of {', '.join(HERE)}")
    gone = await site.parts.store.write(lambda connection: overrides.remove(connection, subject, kind))
    if gone:
        await effects.reconsider(site.parts.exchange, subject, site.parts.now())
    return json_answer({"removed": gone})


async def _override(
    site: Site, caller: Caller, subject: str, body: OpinionBody | OverrideBody
) -> web.Response:
    now = site.parts.now()
    belief = site.parts.exchange.beliefs.get(subject)
    waits = {"quarantined": belief is not None and belief.reason == "quarantined"}
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
    await effects.reconsider(site.parts.exchange, subject, now)
    return json_answer(asdict(made) | (waits if body.kind == "release" else {}), 201)


async def _named(site: Site, request: web.Request, caller: Caller) -> str:
    """What records call the indicator of the path, or will once they come: a pattern may be decided on before."""
    key = pattern_key(request)
    async with site.parts.store.read() as connection:
        found = await listings.indicator(connection, key, caller.tlp)
    return key if found is None else found.subject


async def _subject(site: Site, request: web.Request, caller: Caller) -> str:
    """What records call the indicator of the path."""
    key = pattern_key(request)
    async with site.parts.store.read() as connection:
        found = await listings.indicator(connection, key, caller.tlp)
        if found is None and key not in site.parts.exchange.catalogue.entries:
            # What we said of a package need not be heard, here or anywhere, and can be taken back.
            told = await outgoing.public_subjects(connection)
            said = next((subject for subject in told if indicator_id(subject) == key), None)
            if said is None:
                raise NotFoundError(f"no pattern {key}")
            return said
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
