"""Invitations: one string that says where to apply, to which consortium, and with which one-time code.

The code is what lets its holder apply; it is drawn at random, kept by the inviter as a hash alone, and good for one
member. The consortium's id in the same string is what the applicant pins: an inviter's door cannot lead elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import secrets
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from ioint_protocol import ProtocolError, canonical
from ioint_protocol.fields import HEX_64, check_keys, take_int, take_text

PREFIX: Final = "ioint-invitation-"
SECRET_BYTES: Final = 24  # 192 bits
INVITATION_CHARS: Final = 2_048
CODE: Final = re.compile(r"(?P<id>[0-9a-f]{16})\.(?P<secret>[A-Za-z0-9_-]{32})")
_URL: Final = re.compile(r"https?://[!-~]{1,512}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """Where to apply, to which consortium (64 hex), with which code."""

    url: str
    consortium: str
    code: str = field(repr=False)


def new_code() -> tuple[str, str]:
    """Draw a code: its id, which may be shown, and the whole, which is shown once."""
    identity = secrets.token_hex(8)
    return identity, f"{identity}.{secrets.token_urlsafe(SECRET_BYTES)}"


def check_door(url: str) -> str:
    """The address of a node's door without a slash at its end, if a code may be sent there.

    Raises:
        ProtocolError: `bad_field`: no HTTP address, or plain HTTP to another machine.
    """
    parts = urlsplit(url) if _URL.fullmatch(url) else None
    if parts is None or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ProtocolError("bad_field", "not the address of a node, such as https://node.example")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ProtocolError("bad_field", "plain http leads to this machine alone: use https")
    return url.rstrip("/")


def write_invitation(invitation: Invitation) -> str:
    """Give the invitation as one string.

    Raises:
        ProtocolError: `bad_field`.
    """
    body = canonical.encode(
        {
            "v": 1,
            "url": check_door(invitation.url),
            "consortium": invitation.consortium,
            "code": invitation.code,
        }
    )
    return PREFIX + base64.urlsafe_b64encode(body).decode("ascii").rstrip("=")


def read_invitation(text: str) -> Invitation:
    """Read such a string.

    Raises:
        ProtocolError: it is none.
    """
    text = text.strip()
    if len(text) > INVITATION_CHARS or not text.startswith(PREFIX):
        raise ProtocolError("bad_shape", f"no string that begins with {PREFIX}")
    packed = text.removeprefix(PREFIX)
    try:
        body = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ProtocolError("bad_shape", "cut short, or changed on its way") from None
    value = canonical.decode_object(body)
    check_keys(value, {"v", "url", "consortium", "code"})
    take_int(value, "v", 1, 1)
    return Invitation(
        url=check_door(take_text(value, "url", _URL)),
        consortium=take_text(value, "consortium", HEX_64),
        code=take_text(value, "code", CODE),
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
