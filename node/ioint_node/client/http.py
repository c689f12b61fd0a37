"""How requests leave this process: with a token that is never shown, to a node that was named, and nowhere else."""

from __future__ import annotations

import os
import ssl
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from ioint_node.client.errors import ClientError, NodeAwayError
from ioint_node.client.limits import ClientLimits

OTHERS: Final = 0o077
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
TOKEN_BYTES: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A node and the right to speak to it."""

    url: str
    token: str = field(repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @classmethod
    def checked(cls, url: str, token: str, tls: ssl.SSLContext | None, *, plain_http: bool) -> Address:
        """The address of a node.

        Raises:
            ValueError: no address of HTTP, or plain HTTP to another machine, where a token could be read on the way.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
            raise ValueError("the address of a node is https://HOST[:PORT], without user, token or query")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK and not plain_http:
            raise ValueError(f"{parts.hostname} is another machine: use https, or say plain_http=True")
        if not token or not token.isascii() or any(letter.isspace() for letter in token):
            raise ValueError("the token is no line of ASCII: it may be empty, or the file another one")
        return cls(url=url.rstrip("/"), token=token, tls=tls)

    def options(self, limits: ClientLimits) -> dict[str, Any]:
        """What httpx is given. A proxy of the environment never sees the token, and no redirect takes it elsewhere."""
        return {
            "base_url": self.url,
            "headers": {"Authorization": f"Bearer {self.token}", "Accept": "application/json"},
            "timeout": httpx.Timeout(limits.answer_s, connect=limits.connect_s),
            "verify": self.tls if self.tls is not None else self.url.startswith("https"),
            "trust_env": False,
            "follow_redirects": False,
        }


def read_token(path: Path) -> str:
    """The token in a file that only its owner can read.

    Raises:
        ClientError: there is no such file, or others can read it.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(TOKEN_BYTES)
    except OSError as error:
        raise ClientError(
            f"{path}: {error.strerror}: write the token of `ioint token create` to it"
        ) from None
    if mode & OTHERS:
        raise ClientError(f"{path} can be read by others (mode {mode:04o}): run `chmod 600 {path}`")
    return data.decode("ascii", "replace").strip()


def away(error: Exception, limits: ClientLimits) -> NodeAwayError:
    """What a failure of the transport means for the request."""
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
        return NodeAwayError(f"no connection to the node ({type(error).__name__})", sure=True)
    if isinstance(error, (httpx.TimeoutException, TimeoutError)):
        return NodeAwayError(f"no answer of the node within {limits.answer_s:g} s", sure=False)
    return NodeAwayError(
        f"the connection to the node broke ({type(error).__name__})", sure=False, broken=True
    )
