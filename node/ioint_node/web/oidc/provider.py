"""What a node asks its identity provider: metadata, keys, and a token for a code.

All of it is bounded and kept: keys for `keys_ms`, a key that is not known leads to one question in `again_ms` however
many tokens name it, and while the provider is away the keys that are known hold for `stale_ms`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import quote_plus, urlsplit

import aiohttp
import msgspec

from ioint_node.access.claims import Mapped
from ioint_node.access.identity import IdentityError, Key, parse_keys

log = logging.getLogger(__name__)
DISCOVERY: Final = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLimits:
    """What the provider may cost the node, and how long its word is kept."""

    timeout_s: float = 5.0
    answer_bytes: int = 262_144
    metadata_ms: int = 3_600_000
    keys_ms: int = 900_000
    stale_ms: int = 86_400_000
    again_ms: int = 30_000  # between two questions because of a key that is not known
    failed_ms: int = 5_000  # before a provider that was away is asked again
    exchanges: int = 16  # codes that are exchanged at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """What the operator says of the provider; `audience` "" takes no access tokens, `client_id` "" no people.

    `here` is where the provider sends people back to, "" for the loopback address that they came to.
    """

    issuer: str
    mapped: Mapped
    audience: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    login_scope: str = "openid"
    here: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a provider says of itself (OpenID Connect Discovery, 3)."""

    keys_url: str
    authorization_url: str
    token_url: str
    logout_url: str
    in_body: bool  # the client's secret goes into the body, not into a header
    names_itself: bool  # in the answer to a login (RFC 9207)


class ProviderAwayError(Exception):
    """The provider does not answer, or not as the standard says; the message is for the log."""


class Provider:
    """The one provider of a node; belongs to one event loop."""

    def __init__(self, settings: OidcSettings, limits: ProviderLimits | None = None) -> None:
        self.settings = settings
        self._limits = limits or ProviderLimits()
        self._session: aiohttp.ClientSession | None = None
        self._asking = asyncio.Lock()
        self._exchanging = asyncio.Semaphore(self._limits.exchanges)
        self._metadata: tuple[Metadata, int] | None = None
        self._keys: tuple[tuple[Key, ...], int] | None = None
        self._asked_at = 0
        self._failed_at = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hold connections to the provider for as long as the block runs."""
        # No proxy of the environment sees a code or a secret, and no redirect leads elsewhere.
        timeout = aiohttp.ClientTimeout(total=self._limits.timeout_s)
        async with aiohttp.ClientSession(
            timeout=timeout, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            self._session = session
            yield
        self._session = None

    async def keys(self, now: int, *, unknown: bool = False) -> Sequence[Key]:
        """The provider's keys; `unknown` says that a token named one that is not among those known.

        Raises:
            ProviderAwayError: none are known, and none can be had.
        """
        if (known := self._known(now, unknown=unknown)) is not None:
            return known
        async with self._asking:
            if (known := self._known(now, unknown=unknown)) is not None:  # somebody else has asked meanwhile
                return known
            self._asked_at = now
            try:
                metadata = await self._described(now)
                found = parse_keys(await self._get(metadata.keys_url))
            except (ProviderAwayError, IdentityError) as error:
                self._failed_at = now
                log.warning("the identity provider's keys cannot be had: %s", error)
                if self._keys is None or now - self._keys[1] > self._limits.stale_ms:
                    raise ProviderAwayError(str(error)) from None
                return self._keys[0]
            self._keys = (found, now)
            return found

    async def metadata(self, now: int) -> Metadata:
        """What the provider says of itself.

        Raises:
            ProviderAwayError: it says nothing, or not what the settings say.
        """
        async with self._asking:
            return await self._described(now)

    async def exchange(self, code: str, verifier: str, back: str, now: int) -> str:
        """The ID token for a code of the authorization code flow.

        Raises:
            ProviderAwayError: the provider does not answer.
            IdentityError: it refuses the code, or gives no ID token.
        """
        metadata = await self.metadata(now)
        settings = self.settings
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": back,
            "code_verifier": verifier,
            "client_id": settings.client_id,
        }
        headers = {}
        if settings.client_secret and metadata.in_body:
            form["client_secret"] = settings.client_secret
        elif settings.client_secret:
            # RFC 6749, 2.3.1: both halves are encoded as in a form.
            both = quote_plus(settings.client_id), quote_plus(settings.client_secret)
            headers["Authorization"] = aiohttp.encode_basic_auth(*both)
        async with self._exchanging:
            status, answer = await self._ask("POST", metadata.token_url, data=form, headers=headers)
        token = answer.get("id_token")
        if status != 200 or not isinstance(token, str):
            raise IdentityError("bad_code", "the provider gives no ID token for this code")
        return token

    def _known(self, now: int, *, unknown: bool) -> tuple[Key, ...] | None:
        """The keys that are known, where it is not time to ask.

        Raises:
            ProviderAwayError: none are known, and the provider was asked in vain a moment ago.
        """
        limits = self._limits
        failed = 0 <= now - self._failed_at < limits.failed_ms
        if self._keys is None:
            if failed:
                raise ProviderAwayError("it did not answer a moment ago")
            return None
        keys, at = self._keys
        waits = failed or 0 <= now - self._asked_at < limits.again_ms
        fresh = 0 <= now - at < limits.keys_ms and not unknown
        usable = now - at <= limits.stale_ms
        return keys if usable and (fresh or waits) else None

    async def _described(self, now: int) -> Metadata:
        if self._metadata is not None and 0 <= now - self._metadata[1] < self._limits.metadata_ms:
            return self._metadata[0]
        issuer = self.settings.issuer
        said = await self._get(issuer.rstrip("/") + DISCOVERY)
        if said.get("issuer") != issuer:
            raise ProviderAwayError(f"it calls itself otherwise than oidc_issuer = {issuer!r}")
        found = _metadata(said, issuer)
        self._metadata = (found, now)
        return found

    async def _get(self, url: str) -> Mapping[str, Any]:
        status, answer = await self._ask("GET", url)
        if status != 200:
            raise ProviderAwayError(f"{url} answers {status}")
        return answer

    async def _ask(
        self,
        method: str,
        url: str,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Mapping[str, Any]]:
        if self._session is None:
            raise ProviderAwayError("the node is stopping")
        headers = {"Accept": "application/json", **(headers or {})}
        try:
            async with self._session.request(
                method, url, data=data, headers=headers, allow_redirects=False
            ) as answer:
                body = await _bounded(answer, self._limits.answer_bytes)
                value = msgspec.json.decode(body) if body else {}
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ProviderAwayError(f"{url} does not answer ({type(error).__name__})") from None
        except msgspec.DecodeError:
            raise ProviderAwayError(f"{url} answers no JSON") from None
        if not isinstance(value, dict):
            raise ProviderAwayError(f"{url} answers no object")
        return answer.status, value


async def _bounded(answer: aiohttp.ClientResponse, most: int) -> bytes:
    body = b""
    async for chunk in answer.content.iter_chunked(65_536):
        body += chunk
        if len(body) > most:
            raise ProviderAwayError(f"it answers more than {most} bytes")
    return body


def _metadata(said: Mapping[str, Any], issuer: str) -> Metadata:
    methods = said.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return Metadata(
        keys_url=_url(said, "jwks_uri", issuer),
        authorization_url=_url(said, "authorization_endpoint", issuer, needed=False),
        token_url=_url(said, "token_endpoint", issuer, needed=False),
        logout_url=_url(said, "end_session_endpoint", issuer, needed=False),
        in_body="client_secret_basic" not in methods and "client_secret_post" in methods,
        names_itself=said.get("authorization_response_iss_parameter_supported") is True,
    )


def _url(said: Mapping[str, Any], name: str, issuer: str, *, needed: bool = True) -> str:
    """An address that the provider names: of https, or on this machine where the issuer is."""
    url = said.get(name)
    if url is None and not needed:
        return ""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    here = _is_here(host) and _is_here(urlsplit(issuer).hostname or "")
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and here)):
        raise ProviderAwayError(f"its {name} is no address of https")
    return str(url)


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
