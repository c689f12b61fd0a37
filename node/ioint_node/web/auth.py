"""Who is calling, and may they.

A token comes as `Authorization: Bearer`, or as the password of HTTP Basic for tools that know nothing else; never in
a URL, where logs and referrers would keep it. A text that no node gives out as a token is refused without a look
into the database; every other is looked up, in memory and then by its hash, whoever else has failed from the same
address: nobody locks others out. What guessing costs is bounded by `Lookups`, and an address that keeps failing is
told to stop (429 instead of 401).

The node's own tokens are looked at first and need nobody else. Where the operator names an identity provider, its
access tokens open the node too, and its people sign in to the console with a cookie. Where a connection has a client
certificate, a token that is bound to one is good on it alone.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Iterable
from ipaddress import ip_address

from aiohttp import web

from ioint_node.access.certificates import thumbprint
from ioint_node.access.claims import UnmappedError
from ioint_node.access.identity import IdentityError
from ioint_node.access.rights import ANY_TOKEN, MAY, rights_of
from ioint_node.store.clearance import visible
from ioint_node.store.tokens import PREFIX, Caller
from ioint_node.web.oidc import ProviderAwayError
from ioint_node.web.oidc.login import is_own_page, session_of
from ioint_node.web.problems import BEARER, Refusal, form_of
from ioint_node.web.site import Site

log = logging.getLogger(__name__)
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


def check_covers(caller: Caller, role: str, scopes: Iterable[str] | None, tlp: str) -> None:
    """Let a caller give out or take over a token only when it opens and sees no more than the caller's own.

    Raises:
        Refusal: 403, with the scopes that the caller lacks, or because its clearance is lower.
    """
    if tlp not in visible(caller.tlp):
        detail = f"this token sees {caller.tlp} at most and gives no clearance of {tlp}"
        raise Refusal(403, "forbidden", detail, headers=_insufficient())
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
    if site.parts.demands_certificate and thumbprint_of(request) is None and not _is_here(request):
        raise _unauthorised(request, "no_certificate", "connect with a client certificate")
    caller = await _named(site, request)
    if caller.certificate is not None and caller.certificate != thumbprint_of(request):
        raise _unauthorised(request, "bad_token", "this token is bound to another client certificate")
    return caller


async def _named(site: Site, request: web.Request) -> Caller:
    now = site.parts.now()
    token = _token(request)
    if token is None:
        return _by_cookie(site, request, now)
    if _TOKEN.fullmatch(token) and (caller := await _looked_up(site, token, now)) is not None:
        return caller
    detail = "the token is unknown, expired or revoked"
    if site.bearers is not None and token.count(".") == 2:
        try:
            return await site.bearers.caller(token, now)
        except ProviderAwayError as error:
            log.warning("an access token cannot be verified: %s", error)
            later = {"Retry-After": "5"}
            raise Refusal(
                503, "provider_away", "the identity provider does not answer", headers=later
            ) from None
        except UnmappedError as error:
            raise Refusal(403, "no_role", str(error), headers=_insufficient()) from None
        except IdentityError as error:
            detail = str(error)
            site.parts.refusals[f"jwt_{error.name}"] += 1
    address = site.address(request)
    if blocked_ms := site.failed.blocked_ms(address, now):
        after = {"Retry-After": str(-(-blocked_ms // 1000))}
        raise Refusal(429, "too_many_failures", "too many failed sign-ins from this address", headers=after)
    site.failed.note(address, now)
    raise _unauthorised(request, "bad_token", detail)


def _by_cookie(site: Site, request: web.Request, now: int) -> Caller:
    """Who signed in to the console; what changes something has to come from its own page."""
    caller = session_of(site, request, now)
    if caller is None:
        raise _unauthorised(request, "no_token", "send the token as `Authorization: Bearer TOKEN`")
    # Browsers that say where a request comes from are believed; only pages of this node read with a cookie.
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise Refusal(403, "cross_site", "a session of the console is good for the console only")
    if request.method not in ("GET", "HEAD") and not is_own_page(site, request):
        raise Refusal(403, "cross_site", "a session of the console changes things from the console only")
    return caller


def thumbprint_of(request: web.Request) -> str | None:
    """The thumbprint of the client certificate of a connection, None without one."""
    connection = request.get_extra_info("ssl_object")
    der = None if connection is None else connection.getpeercert(binary_form=True)
    return None if der is None else thumbprint(der)


def _is_here(request: web.Request) -> bool:
    try:
        return ip_address(request.remote or "").is_loopback
    except ValueError:
        return False


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
    missing = f', scope="{" ".join(rights)}"' if rights else ""
    return {"WWW-Authenticate": f'{BEARER}, error="insufficient_scope"{missing}'}


def _unauthorised(request: web.Request, name: str, detail: str) -> Refusal:
    return Refusal(401, name, detail, headers={"WWW-Authenticate": form_of(request.path).challenge})
