"""The applicant's side of an invitation: post the own application to the inviter's door, and take what it answers.

The door is somebody else's: what it sends is bounded, and believed only as far as the roster in it verifies and is of
the consortium that the invitation names.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar
from ioint_protocol import LIMITS, Files, ProtocolError, bundle

from ioint_node.errors import NodeError
from ioint_node.membership.invitations import Invitation

DOOR: Final = "/api/v1/consortium/applications"
REQUEST_S: Final = 30.0
ANSWER_BYTES: Final = LIMITS.bundle_bytes * 4 // 3 + 65_536
_SAID_CHARS: Final = 300


class TurnedAwayError(NodeError):
    """The door said no; the message is what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How the application stands, the roster's files, unverified, and for a member fingerprint keys, sealed to it."""

    application: str
    state: Literal["waiting", "admitted", "refused"]
    files: Files = field(repr=False)
    sealed_keys: bytes = field(repr=False)


async def apply(invitation: Invitation, application: Mapping[str, Any]) -> Answer:
    """Apply with what `card.own_application` gives, or ask how the application stands.

    Raises:
        TurnedAwayError: the code or the card was refused.
        NodeError: no answer, or one that makes no sense.
    """
    try:
        async with (
            ClientSession(
                timeout=ClientTimeout(total=REQUEST_S),
                cookie_jar=DummyCookieJar(),
                trust_env=invitation.url.startswith("https:"),
            ) as client,
            client.post(invitation.url + DOOR, json=dict(application), allow_redirects=False) as answer,
        ):
            data = await _bounded(answer)
    except (ClientError, OSError, TimeoutError) as error:
        raise NodeError(
            f"no answer from {invitation.url} ({_reason(error)}): ask the inviter if its node runs"
        ) from None
    if answer.status != 201:
        raise TurnedAwayError(f"{invitation.url} refused ({answer.status}): {_said(data)}")
    return _read(data, invitation.url)


def _reason(error: Exception) -> str:
    """Why nobody answered, without the library's words for the connection."""
    if isinstance(error, TimeoutError):
        return f"nothing within {REQUEST_S:.0f} s"
    code = error.errno if isinstance(error, OSError) else None
    return os.strerror(code) if code else str(error)


async def _bounded(answer: ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in answer.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > ANSWER_BYTES:
            break
    return b"".join(parts)


def _said(data: bytes) -> str:
    try:
        text = str(json.loads(data)["detail"])
    except (ValueError, LookupError, TypeError):
        text = "no reason given"
    return "".join(letter for letter in text[:_SAID_CHARS] if letter.isprintable())


def _read(data: bytes, url: str) -> Answer:
    try:
        if len(data) > ANSWER_BYTES:
            raise ProtocolError("too_large", f"more than {ANSWER_BYTES} bytes")
        value = json.loads(data)
        state = value["state"]
        if state not in {"waiting", "admitted", "refused"}:
            raise ValueError(state)
        return Answer(
            application=str(value["application"])[:32],
            state=state,
            files=bundle.read_bundle(base64.b64decode(value["roster_b64"], validate=True)),
            sealed_keys=base64.b64decode(value.get("fingerprint_keys_b64", ""), validate=True),
        )
    except (ValueError, LookupError, TypeError, AttributeError, binascii.Error, ProtocolError) as error:
        raise NodeError(
            f"{url} answered what is no answer ({type(error).__name__}): tell the inviter"
        ) from None
