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

from aiohttp import web

from ioint_node.store.tokens import PREFIX, Caller
from ioint_node.web.problems import TAXII_PREFIX, Refusal
from ioint_node.web.site import Site

# What a role opens. `act`: sessions (an agent's own only). `see_session`: one session by its id, likewise. `query`:
# what is known. `review`: what would leave, and who did what. `opine`: confirm, dispute, mute, allow. `decide`: what
# leaves. `manage`: tokens. `answer`: whether what was done was right. `telemetry`: spans and logs of agents (an agent's
# own only). `subscribe`: webhooks and streams of security events.
MAY = {
    "agent": frozenset({"act", "answer", "see_session", "telemetry"}),
    "engine": frozenset({"act", "answer", "see_session", "query", "telemetry", "subscribe"}),
    "soc": frozenset({"answer", "see_session", "query", "review", "opine"}),
    "admin": frozenset(
        {
            "act", "answer", "see_session", "query", "review", "opine", "decide", "manage", "telemetry",
            "subscribe",
        }
    ),
}  # fmt: skip
ANYONE = Caller(id="-", role="anyone", actor=None, tlp="clear", expires=None)
_TOKEN = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}")  # 256 bits


async def caller_of(site: Site, request: web.Request, may: str | None) -> Caller:
    """The caller behind a request, when the route lets it in.

    Raises:
        Refusal: 401 without a valid token, 403 without the right, 429 without a valid token after
            too many failures.
    """
    if may is None:
        return ANYONE
    caller = await _signed_in(site, request)
    if may not in MAY[caller.role]:
        raise Refusal(403, "forbidden", f"a token of role {caller.role} does not open this route")
    return caller


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


def _unauthorised(request: web.Request, name: str, detail: str) -> Refusal:
    # A browser answers a Basic challenge with a window of its own; only tools that know nothing else get one.
    taxii = request.path.startswith(TAXII_PREFIX)
    challenge = 'Basic realm="ioint", charset="UTF-8"' if taxii else 'Bearer realm="ioint"'
    return Refusal(401, name, detail, headers={"WWW-Authenticate": challenge})
