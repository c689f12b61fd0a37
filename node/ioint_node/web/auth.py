"""Who is calling, and may they.

A token comes as `Authorization: Bearer`, or as the password of HTTP Basic for tools that know nothing else; never in
a URL, where logs and referrers would keep it. A text that no node gives out as a token is refused without a look
into the database; every other is looked up, in memory and then by its hash, whoever else has failed from the same
address: nobody locks others out. What guessing costs is bounded by `Lookups`, and an address that keeps failing is
told to stop (429 instead of 401).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

from aiohttp import web

from ioint_node.access.rights import ANY_TOKEN, MAY, rights_of
from ioint_node.store.tokens import PREFIX, Caller
from ioint_node.web.problems import BEARER, Refusal, form_of
from ioint_node.web.site import Site

ANYONE = Caller(id="-", role="anyone", actor=None, tlp="clear", expires=None)
_TOKEN = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}")  # 256 bits


async def caller_of(site: Site, request: web.Request, right: str | None) -> Caller:
    """The caller behind a request, when the route lets it in.

    Raises:
        Refusal: 401 without a valid token, 403 without the right, 429 without a valid token after
            too many failures.
    """
    if right is None:
        return ANYONE
    caller = await _signed_in(site, request)
    if right != ANY_TOKEN:
        check_right(caller, right)
    return caller


def may(caller: Caller, right: str) -> bool:
    """Whether a caller's role and scopes open what asks for this right."""
    return right in rights_of(caller.role, caller.scopes)


def check_right(caller: Caller, right: str, to: str = "open this route") -> None:
    """Let a caller on that has a right.

    Raises:
        Refusal: 403, with the scope that is missing (RFC 6750, 3.1); `to` says what for.
    """
    if may(caller, right):
        return
    if right in MAY.get(caller.role, ()):
        detail = f"the scopes of this token do not {to}: it needs {right}"
        raise Refusal(403, "insufficient_scope", detail, headers=_insufficient(right))
    detail = f"a token of role {caller.role} does not {to}: it needs {right}"
    raise Refusal(403, "forbidden", detail, headers=_insufficient(right))


def check_covers(caller: Caller, role: str, scopes: Iterable[str] | None) -> None:
    """Let a caller give out or take over a token only when it opens no more than the caller's own.

    Raises:
        Refusal: 403, with the scopes that the caller lacks.
    """
    wanted = rights_of(role, None if scopes is None else frozenset(scopes))
    if missing := sorted(wanted - rights_of(caller.role, caller.scopes)):
        detail = f"this token does not give what it has not itself: {', '.join(missing)}"
        raise Refusal(403, "insufficient_scope", detail, headers=_insufficient(*missing))


def check_actor(caller: Caller, actor: str) -> None:
    """Let an agent touch its own sessions only.

    Raises:
        Refusal: 403, the token is bound to another actor.
    """
    if caller.role == "agent" and caller.actor != actor:
        raise Refusal(403, "other_actor", "this token is bound to another actor")


async def _signed_in(site: Site, request: web.Request) -> Caller:
    now = site.parts.now()
    token = _token(request)
    if token is None:
        raise _unauthorised(request, "no_token", "send the token as `Authorization: Bearer TOKEN`")
    if _TOKEN.fullmatch(token) and (caller := await _looked_up(site, token, now)) is not None:
        return caller
    address = site.address(request)
    if blocked_ms := site.failed.blocked_ms(address, now):
        after = {"Retry-After": str(-(-blocked_ms // 1000))}
        raise Refusal(429, "too_many_failures", "too many failed sign-ins from this address", headers=after)
    site.failed.note(address, now)
    raise _unauthorised(request, "bad_token", "the token is unknown, expired or revoked")


async def _looked_up(site: Site, token: str, now: int) -> Caller | None:
    if (known := site.tokens.remembered(token, now)) is not None:
        return known
    async with site.lookups.turn(token):
        caller = await site.tokens.check(token, now)
    site.lookups.note(token, passed=caller is not None)
    return caller


def _token(request: web.Request) -> str | None:
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    rest = rest.strip()
    match scheme.lower():
        case "bearer":
            token = rest
        case "basic":
            try:
                token = base64.b64decode(rest, validate=True).decode().partition(":")[2]
            except ValueError:  # no base64, or not of text
                return None
        case _:
            return None
    return token or None


def _insufficient(*rights: str) -> dict[str, str]:
    """RFC 6750, 3.1."""
    return {"WWW-Authenticate": f'{BEARER}, error="insufficient_scope", scope="{" ".join(rights)}"'}


def _unauthorised(request: web.Request, name: str, detail: str) -> Refusal:
    return Refusal(401, name, detail, headers={"WWW-Authenticate": form_of(request.path).challenge})
