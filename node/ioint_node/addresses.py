"""What a URL may lead to that this node posts to because somebody asked for it.

Whoever may name such a URL should reach nothing through the node that only the node reaches: not the machine itself,
not the services in which clouds keep credentials, and private networks only where the operator has said so.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

from ioint_node.errors import RequestError

URL_CHARS: Final = 2_048
_ADDRESS = ipaddress.IPv4Address | ipaddress.IPv6Address
# Services of clouds that give their machine's credentials to whoever asks from it, outside the link-local range.
METADATA: Final = frozenset(
    map(ipaddress.ip_address, ("100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254"))
)
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_SHARED: Final = ipaddress.ip_network("100.64.0.0/10")
_HOST: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*\.?")
# What the resolvers of operating systems read as a number in the last label of an address.
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")


def check_url(url: str, *, private: bool) -> None:
    """Refuse a URL that rows may not be posted to.

    Raises:
        RequestError: it is no http(s) URL of the plain form, holds a name or password, is not encrypted although it
            leaves this machine, or names an address that `check_address` refuses.
    """
    # The URL is not repeated: it may hold a secret.
    if len(url) > URL_CHARS:
        raise RequestError(f"url: {len(url)} characters, more than {URL_CHARS}")
    if not re.fullmatch(r"[!-~]+", url) or "\\" in url or "#" in url:
        raise RequestError("url: printable ASCII without spaces, backslashes or a fragment")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise RequestError("url: its host or port cannot be read") from None
    if parts.scheme not in ("http", "https"):
        raise RequestError("url: it begins with https://")
    if "@" in parts.netloc:
        raise RequestError("url: no user name or password in it")
    if port == 0:
        raise RequestError("url: port 0")
    address = literal(host)
    if address is not None:
        check_address(address, private=private, loopback=True)
    elif not _HOST.fullmatch(host) or _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        raise RequestError("url: its host is neither a name nor an address in its usual form")
    if parts.scheme == "http" and not is_loopback(host):
        raise RequestError("url: https is needed to leave this machine")


def literal(host: str) -> _ADDRESS | None:
    """The address that a host is written as, None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its very spelling."""
    address = literal(host)
    return host.rstrip(".") == "localhost" if address is None else address.is_loopback


def check_address(address: _ADDRESS, *, private: bool, loopback: bool) -> None:
    """Refuse an address that a hook may not reach.

    Args:
        address: where a connection would go.
        private: private networks are allowed.
        loopback: this machine is allowed, because the URL says so in so many words.

    Raises:
        RequestError: the address is refused.
    """
    inner = _inner(address)
    if inner.is_loopback:
        if not loopback:
            raise RequestError("url: a name that leads to this machine itself")
        return
    if inner.is_link_local or inner in METADATA:
        raise RequestError("url: link-local addresses and services of the cloud's own are refused")
    if inner.is_multicast or inner.is_unspecified or inner.is_reserved:
        raise RequestError("url: no address of a machine")
    if isinstance(inner, ipaddress.IPv6Address) and (inner.sixtofour or inner.teredo or inner.is_site_local):
        raise RequestError("url: no address of a machine")
    if not private and (not inner.is_global or inner in _SHARED):
        raise RequestError("url: an address of a private network; set webhook_private = true to allow them")


def _inner(address: _ADDRESS) -> _ADDRESS:
    """The address that an IPv6 form of an IPv4 address stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF) if address in _NAT64 else address
