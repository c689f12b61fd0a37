"""Posting to a URL that somebody outside named, without harm: where it may lead, what it may cost, when to come again.

A URL is looked at when it is given (`addresses.check_url`), before each post, and at every connection once more with
the addresses that the connection will use: what a name leads to may have changed since. No redirect is followed, no
proxy asked, no cookie kept, and of an answer no more is read than its beginning.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final, Self

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from ioint_node.addresses import check_address, check_url, is_loopback
from ioint_node.errors import RequestError

GONE: Final = 410  # whoever answers so wants to hear nothing more
SLOWER: Final = frozenset({429, 502, 503, 504})  # whoever answers so, or is behind it, has too much to do
_RETRY_CHARS: Final = 64
# A lookup goes on in its thread after whoever asked has given up. With threads of its own it keeps nobody else from
# work: who names the URLs may also run the name server that does not answer.
_LOOKUPS: Final = ThreadPoolExecutor(16, thread_name_prefix="ioint-lookup")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostLimits:
    """What posts may cost."""

    connections: int = 8
    request_s: float = 10.0
    connect_s: float = 5.0
    answer_s: float = 1.0  # for the body of an answer, of which only the beginning is read
    answer_bytes: int = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """How one post went.

    `status` is None where there was no answer; `said` is the status, or why there is none, and never the URL, which
    may hold a secret; `body` is the beginning of the answer's; `retry_after_s` is what the answer asked for.
    """

    status: int | None
    said: str
    body: bytes = b""
    retry_after_s: float = 0.0

    @property
    def taken(self) -> bool:
        """Whether the receiver has it: any 2xx."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """When to come again: the schedule of Standard Webhooks, with jitter; given up after the last, about three days."""

    after_s: tuple[float, ...] = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
    jitter: float = 0.1  # a pause is longer by up to this share, so that not all come again at once
    slower_s: float = 60.0  # at least, where the receiver has too much to do
    asked_max_s: float = 86_400.0  # the longest that a receiver may ask for

    @property
    def attempts(self) -> int:
        """How often a post is tried before it is given up."""
        return len(self.after_s) + 1

    def after(self, attempts: int, posted: Posted) -> float | None:
        """Seconds to wait after so many failed attempts, the newest of which went like this; None: give up."""
        if attempts >= self.attempts:
            return None
        pause = self.after_s[attempts - 1]
        if posted.status in SLOWER:
            pause = max(pause, self.slower_s, min(posted.retry_after_s, self.asked_max_s))
        return pause * random.uniform(1.0, 1.0 + self.jitter)  # noqa: S311 - jitter


class Poster:
    """Posts, within its limits; an async context manager that closes its connections."""

    def __init__(self, agent: str, limits: PostLimits | None = None, *, private: bool = False) -> None:
        self._agent, self._limits, self._private = agent, limits or PostLimits(), private
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        limits = self._limits
        self._session = ClientSession(
            connector=TCPConnector(
                resolver=GuardedResolver(private=self._private),
                use_dns_cache=False,
                limit=limits.connections,
            ),
            timeout=ClientTimeout(total=limits.request_s, connect=limits.connect_s),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            headers={"User-Agent": self._agent},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
        self._session = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, now: int) -> Posted:
        """Post once, and say how it went; `now` is Unix milliseconds, to read a `Retry-After` by.

        Raises:
            RuntimeError: not entered.
        """
        if self._session is None:
            raise RuntimeError("a poster posts inside its `async with`")
        try:
            check_url(url, private=self._private)
            async with self._session.post(
                URL(url, encoded=True), data=body, headers=headers, allow_redirects=False
            ) as answer:
                return Posted(
                    status=answer.status,
                    said=_said(answer.status),
                    body=await self._finish(answer),
                    retry_after_s=retry_after_s(answer.headers.get("Retry-After", ""), now),
                )
        except RequestError as error:
            return Posted(status=None, said=f"refused: {error}")
        except TimeoutError:
            return Posted(status=None, said=f"no answer within {self._limits.request_s:g} s")
        except (ClientError, OSError, ValueError) as error:
            # The text of these names the URL, which may hold a secret.
            return Posted(status=None, said=f"no answer: {type(error).__name__}")

    async def _finish(self, answer: ClientResponse) -> bytes:
        """Let the body of an answer end, so that the connection can be used again, or end the connection."""
        body = b""
        try:
            async with asyncio.timeout(self._limits.answer_s):
                body = await answer.content.read(self._limits.answer_bytes)
        except (TimeoutError, ClientError):
            answer.close()
        if not answer.content.at_eof():
            answer.close()
        return body


class GuardedResolver(AbstractResolver):
    """Resolves names to addresses that a post may reach; a name with any other address is refused whole."""

    def __init__(self, *, private: bool) -> None:
        self._private = private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name.

        Raises:
            RequestError: one of them is refused.
            OSError: there are none.
        """
        found = await asyncio.get_running_loop().run_in_executor(_LOOKUPS, look_up, host, port, family)
        for one in found:
            address = ipaddress.ip_address(one["host"])
            if is_loopback(host) and not address.is_loopback:
                raise RequestError("url: this machine by its name, which leads elsewhere")
            check_address(address, private=self._private, loopback=is_loopback(host))
        return found

    async def close(self) -> None:
        """Nothing is held."""


def look_up(host: str, port: int, family: int) -> list[ResolveResult]:
    """The addresses of a name, from the operating system, however long that takes.

    Raises:
        OSError: there are none.
    """
    found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return [
        # The zone of an address stays with it, as of link-local ones, which are refused.
        ResolveResult(
            hostname=host, host=str(address[0]), port=int(address[1]), family=kind, proto=proto, flags=numeric
        )
        for kind, _, proto, _, address in found
    ]


def retry_after_s(text: str, now: int) -> float:
    """Seconds that a `Retry-After` asks for (RFC 9110 §10.2.3: seconds, or a date), 0 where it asks for none."""
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return float(text)
    if 0 < len(text) <= _RETRY_CHARS:
        with suppress(ValueError, TypeError, OverflowError):
            return max(0.0, parsedate_to_datetime(text).timestamp() - now / 1000)
    return 0.0


def _said(status: int) -> str:
    return f"{status}: redirects are not followed" if 300 <= status < 400 else str(status)
