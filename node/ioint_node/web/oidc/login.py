"""People: the authorization code flow with PKCE, state and nonce, and the cookie that it ends in.

What a login has to remember travels sealed in a cookie of the browser that began it, so a code that comes to another
browser opens nothing, and who begins many logins fills nothing here. A state is taken once.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode, urlsplit

import msgspec
from aiohttp import web
from msgspec import Struct
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from nacl.utils import random

from ioint_node.access.claims import UnmappedError
from ioint_node.access.identity import IdentityError
from ioint_node.access.rights import ANY_TOKEN, rights_of
from ioint_node.store.times import to_text
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.described import Answer, Parameter, answers
from ioint_node.web.oidc.bearers import caller_of_claims, verified
from ioint_node.web.oidc.provider import Metadata, Provider, ProviderAwayError
from ioint_node.web.problems import Refusal
from ioint_node.web.requests import parameters
from ioint_node.web.site import Route, Site

log = logging.getLogger(__name__)
LOGIN_MS: Final = 600_000  # from leaving for the provider to coming back
STATES: Final = 4_096
PARAMETER_CHARS: Final = 2_048
_BACK: Final = "/login/callback"
_SESSION: Final = "ioint-session"
_LOGIN: Final = "ioint-login"
REFUSED: Final = ("no_role", "provider_away", "provider_refused")
"""What the console is told in the fragment of its address when somebody could not be let in."""


class _Begun(Struct, frozen=True):
    """A login that is under way."""

    state: str
    nonce: str
    verifier: str
    ends: int


@dataclass(slots=True)
class Logins:
    """The key that seals logins of this process, and the states that came back."""

    box: SecretBox = field(default_factory=lambda: SecretBox(random(SecretBox.KEY_SIZE)))
    used: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def begin(self, now: int) -> tuple[_Begun, str]:
        """A new login, and what its cookie holds."""
        begun = _Begun(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            ends=now + LOGIN_MS,
        )
        sealed = self.box.encrypt(msgspec.json.encode(begun))
        return begun, base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def take(self, cookie: str | None, state: str | None, now: int) -> _Begun:
        """The login that this browser began, once.

        Raises:
            Refusal: 400, it began none with this state, or too long ago, or it has come back already.
        """
        begun = self._opened(cookie or "")
        same = begun is not None and secrets.compare_digest(begun.state.encode(), (state or "").encode())
        if begun is None or not same or begun.ends <= now or begun.state in self.used:
            raise Refusal(
                400, "bad_login", "this browser began no such login: begin at the sign-in page again"
            )
        self.used[begun.state] = None
        while len(self.used) > STATES:
            self.used.popitem(last=False)
        return begun

    def _opened(self, cookie: str) -> _Begun | None:
        try:
            sealed = base64.urlsafe_b64decode(cookie.encode() + b"=" * (-len(cookie) % 4))
            return msgspec.json.decode(self.box.decrypt(sealed), type=_Begun)
        except (ValueError, CryptoError, msgspec.DecodeError, TypeError):
            return None


class _Login:
    """The doors of a node that has a client at its provider."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._logins = Logins()

    async def begin(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """Send a person to the provider."""
        parameters(request)
        now = site.parts.now()
        here = here_of(site, request)
        try:
            metadata = await self._provider.metadata(now)
        except ProviderAwayError as error:
            raise _away(error) from None
        if not metadata.authorization_url or not metadata.token_url:
            raise Refusal(503, "provider_away", "the identity provider offers no login")
        begun, cookie = self._logins.begin(now)
        settings = self._provider.settings
        challenge = hashlib.sha256(begun.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": settings.client_id,
            "redirect_uri": here + _BACK,
            "scope": settings.login_scope,
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": base64.urlsafe_b64encode(challenge).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in metadata.authorization_url else "?"
        response = _to(f"{metadata.authorization_url}{joint}{urlencode(query)}")
        # The provider's redirect brings the person from another site, so this one cookie is not `Strict`.
        _put(response, site, request, _LOGIN, cookie, age_s=LOGIN_MS // 1_000, same_site="Lax")
        return response

    async def come_back(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """Let a person in whom the provider sends back with a code."""
        now, given = site.parts.now(), _answered(request)
        begun = self._logins.take(cookie_of(site, request, _LOGIN), given.get("state"), now)
        try:
            person = await self._who(site, request, given, begun, now)
        except ProviderAwayError as error:
            return self._refused(site, request, "provider_away", error)
        except IdentityError as error:
            return self._refused(site, request, "provider_refused", error)
        except UnmappedError as error:
            return self._refused(site, request, "no_role", error)
        log.info("signed in id=%s role=%s", person.id, person.role)
        response = _to("/")
        cookie = site.sessions.open(person, now)
        _put(response, site, request, _SESSION, cookie, age_s=None, same_site="Strict")
        _drop(response, site, request, _LOGIN)
        return response

    async def leave(self, site: Site, request: web.Request, caller: Caller) -> web.Response:
        """Sign a person out here, and say where the provider signs them out."""
        site.sessions.end(cookie_of(site, request, _SESSION) or "")
        at: str | None = None
        try:
            metadata = await self._provider.metadata(site.parts.now())
            asked = urlencode(
                {
                    "client_id": self._provider.settings.client_id,
                    "post_logout_redirect_uri": here_of(site, request) + "/",
                }
            )
            at = f"{metadata.logout_url}?{asked}" if metadata.logout_url else None
        except ProviderAwayError as error:
            log.warning("signed out here alone: %s", error)
        response = json_answer({"signed_out": True, "provider": at})
        _drop(response, site, request, _SESSION)
        return response

    async def _who(
        self, site: Site, request: web.Request, given: dict[str, str], begun: _Begun, now: int
    ) -> Caller:
        settings = self._provider.settings
        metadata = await self._provider.metadata(now)
        _check_maker(given, metadata, settings.issuer)
        if "error" in given or "code" not in given:
            raise IdentityError(
                "provider_refused", f"the provider says {given.get('error', 'nothing')[:64]!r}"
            )
        back = here_of(site, request) + _BACK
        token = await self._provider.exchange(given["code"], begun.verifier, back, now)
        claims = await verified(self._provider, token, settings.client_id, now, nonce=begun.nonce)
        return caller_of_claims(self._provider, claims)

    def _refused(self, site: Site, request: web.Request, name: str, error: Exception) -> web.Response:
        site.parts.refusals[name] += 1
        log.warning("a login was refused: %s: %s", name, error)
        response = _to(f"/#refused={name}")
        _drop(response, site, request, _LOGIN)
        return response


async def show_options(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """How one may sign in to the console: with a token always, and with a provider where one is set."""
    parameters(request)
    oidc = site.parts.oidc
    with_provider = oidc is not None and bool(oidc.settings.client_id)
    issuer = urlsplit(oidc.settings.issuer).hostname if oidc is not None and with_provider else None
    return json_answer({"login": "/login" if with_provider else None, "provider": issuer})


async def show_me(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Who the node takes the caller for, and what that opens."""
    parameters(request)
    return json_answer(
        {
            "id": caller.id,
            "role": caller.role,
            "actor": caller.actor,
            "tlp": caller.tlp,
            "rights": sorted(rights_of(caller.role, caller.scopes)),
            "expires": None if caller.expires is None else to_text(caller.expires),
        }
    )


class Me(Struct, frozen=True, kw_only=True):
    """Who the caller is, and what that opens."""

    id: str
    role: str
    actor: str | None
    tlp: str
    rights: list[str]
    expires: str | None


class Options(Struct, frozen=True, kw_only=True):
    """Where a login begins (null: with a token alone), and the host of the provider."""

    login: str | None
    provider: str | None


class SignedOut(Struct, frozen=True, kw_only=True):
    """That the session has ended here, and where the provider ends its own."""

    signed_out: bool
    provider: str | None


def routes(site: Site) -> tuple[Route, ...]:
    """The doors of this module; those of the login on a node that has a client at a provider."""
    always = (
        Route(
            method="GET",
            path="/login/options",
            may=None,
            summary="How one may sign in",
            handler=show_options,
            answers=answers(Options),
        ),
        Route(
            method="GET",
            path="/api/v1/me",
            may=ANY_TOKEN,
            summary="Who the caller is, and what that opens",
            handler=show_me,
            answers=answers(Me),
        ),
    )
    if site.parts.oidc is None or not site.parts.oidc.settings.client_id:
        return always
    login = _Login(site.parts.oidc)
    moved = {"Location": "Where to go on.", "Set-Cookie": "What the browser keeps."}
    return (
        *always,
        Route(
            method="GET",
            path="/login",
            may=None,
            summary="Sign in with the identity provider",
            handler=login.begin,
            answers={303: Answer(about="To the provider.", headers=moved)},
        ),
        Route(
            method="GET",
            path=_BACK,
            may=None,
            summary="Where the identity provider sends people back to",
            handler=login.come_back,
            query=tuple(
                Parameter(name=name, schema={"type": "string", "maxLength": PARAMETER_CHARS})
                for name in ("state", "code", "iss", "error")
            ),
            answers={
                303: Answer(about="To the console, signed in or with the reason why not.", headers=moved)
            },
        ),
        Route(
            method="POST",
            path="/logout",
            may=ANY_TOKEN,
            summary="Sign out of the console",
            handler=login.leave,
            answers=answers(SignedOut),
        ),
    )


def here_of(site: Site, request: web.Request) -> str:
    """The address of this node as people reach it.

    Raises:
        Refusal: 400, none is set and they came by another than this machine's own.
    """
    oidc = site.parts.oidc
    if oidc is not None and oidc.settings.here:
        return oidc.settings.here.rstrip("/")
    host = request.url.host or ""
    if host not in ("127.0.0.1", "::1", "localhost"):
        raise Refusal(400, "bad_host", "this node is not told its public address: set public_url")
    return f"{request.scheme}://{request.host}"


def is_own_page(site: Site, request: web.Request) -> bool:
    """Whether a request that changes something comes from a page of this node: the browser says where it is from."""
    try:
        return request.headers.get("Origin") == here_of(site, request)
    except Refusal:
        return False


def session_of(site: Site, request: web.Request, now: int) -> Caller | None:
    """Who signed in with the cookie of this request."""
    cookie = cookie_of(site, request, _SESSION)
    return None if cookie is None else site.sessions.find(cookie, now)


def cookie_of(site: Site, request: web.Request, name: str) -> str | None:
    """A cookie of ours."""
    return request.cookies.get(_named(site, request, name))


def _answered(request: web.Request) -> dict[str, str]:
    """The parameters of an answer to a login; those that we do not know are passed over (RFC 6749, 4.1.2)."""
    given = {}
    for name in ("state", "code", "iss", "error"):
        values = request.query.getall(name, [])
        if len(values) > 1 or any(len(value) > PARAMETER_CHARS for value in values):
            raise Refusal(400, "bad_field", f"{name}: given twice, or too long", field=name)
        if values:
            given[name] = values[0]
    return given


def _check_maker(given: dict[str, str], metadata: Metadata, issuer: str) -> None:
    """RFC 9207: whose answer this is, where several providers may send one."""
    if ("iss" in given or metadata.names_itself) and given.get("iss") != issuer:
        raise IdentityError("provider_refused", "the answer is of another provider")


def _secure(site: Site, request: web.Request) -> bool:
    oidc = site.parts.oidc
    return request.secure or (oidc is not None and oidc.settings.here.startswith("https:"))


def _named(site: Site, request: web.Request, name: str) -> str:
    # The prefix keeps other hosts of the domain and plain HTTP from setting it.
    return f"__Host-{name}" if _secure(site, request) else name


def _put(
    response: web.Response,
    site: Site,
    request: web.Request,
    name: str,
    value: str,
    *,
    age_s: int | None,
    same_site: str,
) -> None:
    response.set_cookie(
        _named(site, request, name),
        value,
        path="/",
        max_age=age_s,
        httponly=True,
        secure=_secure(site, request),
        samesite=same_site,
    )


def _drop(response: web.Response, site: Site, request: web.Request, name: str) -> None:
    response.del_cookie(
        _named(site, request, name), path="/", httponly=True, secure=_secure(site, request), samesite="Lax"
    )


def _to(url: str) -> web.Response:
    headers = {"Location": url, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return web.Response(status=303, headers=headers)


def _away(error: Exception) -> Refusal:
    log.warning("nobody can sign in with the identity provider: %s", error)
    detail = "the identity provider does not answer: sign in with a token"
    return Refusal(503, "provider_away", detail, headers={"Retry-After": "5"})
