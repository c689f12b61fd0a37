"""Webhooks: whoever may subscribe makes, tries, mends and removes its own; an administrator does so with all."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from ioint_node.addresses import URL_CHARS, check_url
from ioint_node.errors import ConflictError, NotFoundError
from ioint_node.filtering import parse
from ioint_node.filtering.language import CHARS_MOST
from ioint_node.posting import Poster
from ioint_node.store import dead_letters, webhooks
from ioint_node.store.subscriptions import events_of, filter_of
from ioint_node.store.times import to_text
from ioint_node.store.tokens import Caller
from ioint_node.store.webhooks import AGENT, GRACE_S, Terms, Webhook
from ioint_node.web.answers import json_answer
from ioint_node.web.described import PAGED, Parameter, answers, conflict, fields, missing, page_of
from ioint_node.web.problems import Refusal
from ioint_node.web.requests import (
    ActorId,
    Body,
    cursor_of,
    cursor_text,
    integer,
    limit_of,
    parameters,
    read_json,
)
from ioint_node.web.site import Route, Site
from ioint_node.webhook_keys import Scheme, handed_over, signed

_HOOKS = "/api/v1/webhooks"
KEYS: Final = "/.well-known/ioint-webhook-keys"
_Event = Literal["reputation", "trust", "response", "withdrawal"]
_Seq = Annotated[int, Meta(ge=1, lt=10**18)]


class WebhookBody(Body, frozen=True):
    """`POST /api/v1/webhooks`; without `tlp` all that the token may see.

    `filter` and the id of a `saved` one narrow events about indicators, `actor` those about actors. `scheme` is how
    posts are signed: `v1` by a shared secret, `v1a` by a key of which the receiver has the public half.
    """

    url: Annotated[str, Meta(min_length=1, max_length=URL_CHARS)]
    events: Annotated[list[_Event], Meta(min_length=1, max_length=4)] | None = None
    filter: Annotated[str, Meta(max_length=CHARS_MOST)] | None = None
    saved: Annotated[str, Meta(max_length=36)] | None = None
    actor: ActorId | None = None
    tlp: Literal["clear", "green", "amber", "amber_strict", "red"] | None = None
    scheme: Scheme = "v1"


class ReplayBody(Body, frozen=True, rename={"begin": "from"}):
    """`POST …/replay`: the `seq` of the first row that is to come again."""

    begin: _Seq


class RotateBody(Body, frozen=True):
    """`POST …/rotate`: how the new key signs, as before if it is not said, and for how long the old one does too."""

    scheme: Scheme | UnsetType = UNSET
    grace_s: Annotated[int, Meta(ge=0, le=GRACE_S)] = 86_400


class LetterBody(Body, frozen=True):
    """`POST …/dead/replay`: one letter by its `seq`, or all of them."""

    seq: _Seq | UnsetType = UNSET


async def make_webhook(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Make a webhook; its secret, or public key, is in this answer, the secret never again."""
    if caller.id.startswith("oidc:"):
        # A hook ends with the token that made it, and nobody tells this node when a provider's subject ends.
        raise Refusal(403, "forbidden", "a webhook belongs to a token of this node: make it with one")
    body = await read_json(request, WebhookBody, site.parts.limits)
    check_url(body.url, private=site.responding.webhook_private)
    async with site.parts.store.read() as connection:
        await filter_of(connection, body.filter, body.saved)  # what cannot be read is said now
    terms = Terms(
        url=body.url,
        events=tuple(body.events or _events(body)),
        tlp=body.tlp,
        filter=None if body.filter is None else parse(body.filter).text,
        saved=body.saved,
        actor=body.actor,
        scheme=body.scheme,
    )
    made = await site.parts.store.write(
        lambda connection: webhooks.add(connection, caller, terms, now=site.parts.now())
    )
    site.responding.notify()
    return json_answer({**made.to_json(), **handed_over(made.secret)}, 201)


async def list_webhooks(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Webhooks without their secrets, with how the newest attempt went."""
    given = parameters(request, "limit", "cursor")
    limit, cursor = limit_of(given, site.parts.limits), cursor_of(given)
    async with site.parts.store.read() as connection:
        found = await webhooks.list_hooks(connection, limit + 1, cursor[0] if cursor else None, caller=caller)
    shown = found[:limit]
    following = cursor_text(shown[-1].id) if len(found) > limit else None
    return json_answer({"items": [one.to_json() for one in shown], "next": following})


async def show_webhook(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """How one webhook stands: where it is in the stream, what the newest attempt came to, what was given up."""
    async with site.parts.store.read() as connection:
        found = await webhooks.get(connection, _hook(request), caller)
        letters = await dead_letters.count(connection, found.id)
        behind = await webhooks.behind(connection, found)
    return json_answer({**found.to_json(), "behind": behind, "dead_letters": letters})


async def drop_webhook(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Remove a webhook, at once."""
    name = _hook(request)
    await site.parts.store.write(lambda connection: webhooks.remove(connection, name, caller))
    return json_answer({"id": name, "removed": True})


async def ping_webhook(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Post a `ping` now and say what came of it; where it is taken, what waits goes on at once."""
    store, now = site.parts.store, site.parts.now()
    async with store.read() as connection:
        found = await webhooks.get(connection, _hook(request), caller)
    if found.id in site.pinged:
        raise ConflictError("it is being tested already: wait for that answer")
    site.pinged.add(found.id)
    try:
        async with Poster(AGENT, private=site.responding.webhook_private) as poster:
            body = _ping(found, now)
            message = f"msg_{found.id}_ping_{now}"
            headers = {
                "Content-Type": "application/json",
                **signed(found.keys(now), message, now // 1000, body),
            }
            posted = await poster.post(found.url, body, headers, now=now)
    finally:
        site.pinged.discard(found.id)
    if posted.taken and found.state == webhooks.ACTIVE:
        await store.write(lambda connection: webhooks.enable(connection, found.id, caller, now))
        site.responding.notify()
    return json_answer({"id": found.id, "taken": posted.taken, "status": posted.said})


async def enable_webhook(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Let a webhook that was disabled, or that waits, go on at once where it is."""
    name, now = _hook(request), site.parts.now()
    found = await site.parts.store.write(lambda connection: webhooks.enable(connection, name, caller, now))
    site.responding.notify()
    return json_answer(found.to_json())


async def replay_webhook(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Have rows that are still kept posted once more, from one on."""
    name = _hook(request)
    body = await read_json(request, ReplayBody, site.parts.limits)
    found = await site.parts.store.write(
        lambda connection: webhooks.replay(connection, name, caller, body.begin)
    )
    site.responding.notify()
    return json_answer(found.to_json())


async def rotate_webhook(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Give a webhook a new key, shown in this answer; for a while both sign."""
    name, now = _hook(request), site.parts.now()
    body = await read_json(request, RotateBody, site.parts.limits)
    scheme = None if body.scheme is UNSET else body.scheme
    found = await site.parts.store.write(
        lambda connection: webhooks.rotate(
            connection, name, caller, scheme=scheme, grace_s=body.grace_s, now=now
        )
    )
    return json_answer({**found.to_json(), **handed_over(found.secret)})


async def list_letters(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """What was given up of one webhook, and why."""
    given = parameters(request, "limit", "cursor")
    limit, cursor = limit_of(given, site.parts.limits), cursor_of(given, 2)
    after = (integer(cursor[0], "cursor"), cursor[1]) if cursor else (-1, "")
    async with site.parts.store.read() as connection:
        hook = await webhooks.get(connection, _hook(request), caller)
        found = await dead_letters.page(connection, hook.id, caller.tlp, limit + 1, after)
    shown = found[:limit]
    following = cursor_text(shown[-1].row.seq, shown[-1].row.event) if len(found) > limit else None
    return json_answer({"items": [one.to_json() for one in shown], "next": following})


async def replay_letters(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Have dead letters posted once more; those that are taken are gone."""
    body = await read_json(request, LetterBody, site.parts.limits)
    seq = None if body.seq is UNSET else body.seq
    name = await _seen(site, request, caller)
    wanted = await site.parts.store.write(lambda connection: dead_letters.want(connection, name, seq))
    site.responding.notify()
    return json_answer({"id": name, "due": wanted}, 202)


async def drop_letters(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Drop one dead letter, by `seq`, or all of a webhook."""
    given = parameters(request, "seq")
    seq = integer(given["seq"], "seq") if "seq" in given else None
    name = await _seen(site, request, caller)
    dropped = await site.parts.store.write(lambda connection: dead_letters.forget(connection, name, seq))
    return json_answer({"id": name, "dropped": dropped})


async def show_keys(site: Site, request: web.Request, _caller: Caller) -> web.Response:
    """The public keys that posts of one webhook are signed with: its id, which nobody can guess, is in each post."""
    async with site.parts.store.read() as connection:
        found = await webhooks.public_keys(connection, _hook(request), site.parts.now())
    if not found:
        raise NotFoundError("no webhook of this id that signs with a public key")
    return json_answer({"keys": list(found)})


_SHOWN: Final = {
    "id": str,
    "url": str,
    "events": list[_Event],
    "filter": str | None,
    "saved": str | None,
    "actor": str | None,
    "tlp": str,
    "scheme": Scheme,
    "public_key": str | None,
    "previous_until": str | None,
    "cursor": int,
    "state": Literal["active", "disabled"],
    "attempts": int,
    "not_before": str,
    "last_status": str,
    "delivered": int,
    "delivered_at": str | None,
    "by": str,
    "created_at": str,
}
_LETTER: Final = {
    "seq": int,
    "event": str,
    "at": str,
    "attempts": int,
    "reason": str,
    "given_up_at": str,
    "due": bool,
    "data": {"type": "object"},
}
_SEQ: Final = Parameter(name="seq", schema={"type": "integer", "minimum": 0}, about="Only this one.")


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    one = f"{_HOOKS}/{{hook}}"
    hook, absent = answers(fields(**_SHOWN)), missing("There is no such webhook, or saved filter.")
    return (
        Route(
            method="POST",
            path=_HOOKS,
            may="subscribe",
            summary="Have rows of the stream posted",
            handler=make_webhook,
            body=WebhookBody,
            answers=answers(
                fields(**_SHOWN), "The webhook, with its `secret`, or public key, this once.", status=201
            )
            | conflict("There are as many as there may be.")
            | absent,
        ),
        Route(
            method="GET",
            path=_HOOKS,
            may="subscribe",
            summary="Webhooks, without their secrets",
            handler=list_webhooks,
            query=PAGED,
            answers=page_of(fields(**_SHOWN)),
        ),
        Route(
            method="GET",
            path=one,
            may="subscribe",
            summary="How one webhook stands",
            handler=show_webhook,
            answers=answers(fields(**_SHOWN, behind=int, dead_letters=int)),
        ),
        Route(
            method="DELETE",
            path=one,
            may="subscribe",
            summary="Remove a webhook",
            handler=drop_webhook,
            answers=answers(fields(id=str, removed=bool)),
        ),
        Route(
            method="POST",
            path=f"{one}/test",
            may="subscribe",
            summary="Post a ping and say what came of it",
            handler=ping_webhook,
            answers=answers(fields(id=str, taken=bool, status=str)) | conflict("It is being tested already."),
        ),
        Route(
            method="POST",
            path=f"{one}/enable",
            may="subscribe",
            summary="Let a webhook go on",
            handler=enable_webhook,
            answers=hook,
        ),
        Route(
            method="POST",
            path=f"{one}/replay",
            may="subscribe",
            summary="Have rows posted once more",
            handler=replay_webhook,
            body=ReplayBody,
            answers=hook,
        ),
        Route(
            method="POST",
            path=f"{one}/rotate",
            may="subscribe",
            summary="Give a webhook a new key",
            handler=rotate_webhook,
            body=RotateBody,
            answers=answers(
                fields(**_SHOWN), "The webhook, with its new `secret`, or public key, this once."
            ),
        ),
        Route(
            method="GET",
            path=f"{one}/dead",
            may="subscribe",
            summary="What was given up, and why",
            handler=list_letters,
            query=PAGED,
            answers=page_of(fields(**_LETTER)),
        ),
        Route(
            method="POST",
            path=f"{one}/dead/replay",
            may="subscribe",
            summary="Have dead letters posted once more",
            handler=replay_letters,
            body=LetterBody,
            answers=answers(fields(id=str, due=int), "So many come once more.", status=202),
        ),
        Route(
            method="DELETE",
            path=f"{one}/dead",
            may="subscribe",
            summary="Drop dead letters",
            handler=drop_letters,
            query=(_SEQ,),
            answers=answers(fields(id=str, dropped=int)),
        ),
        Route(
            method="GET",
            path=f"{KEYS}/{{hook}}",
            may=None,
            summary="Public keys of a webhook's posts",
            handler=show_keys,
            answers=answers(fields(keys=list[str])),
        ),
    )


def _hook(request: web.Request) -> str:
    name = request.match_info["hook"]
    if not re.fullmatch(r"[0-9a-f]{32}", name):
        raise NotFoundError(f"no webhook {name[:32]!r}")
    return name


async def _seen(site: Site, request: web.Request, caller: Caller) -> str:
    async with site.parts.store.read() as connection:
        return (await webhooks.get(connection, _hook(request), caller)).id


def _events(body: WebhookBody) -> frozenset[str]:
    """What is posted where it is not said: orders, or what the filter or the actor is about."""
    filtered, actor = body.filter is not None or body.saved is not None, body.actor is not None
    return events_of(filtered=filtered, actor=actor) if filtered or actor else frozenset({"response"})


def _ping(hook: Webhook, now: int) -> bytes:
    return f'{{"type":"ping","timestamp":"{to_text(now)}","data":{{"webhook":"{hook.id}"}}}}'.encode()
