"""Fingerprint keys on their way to a new member: sealed to the node key that the roster names for it.

Whoever else brings the member's card, which is public, gets bytes that nobody but its node opens. The box is
libsodium's sealed box, to the X25519 form of the Ed25519 node key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final

from ioint_protocol import ProtocolError
from nacl.exceptions import CryptoError
from nacl.public import SealedBox
from nacl.signing import SigningKey, VerifyKey

KEYS: Final = 64
SEALED_BYTES: Final = 8_192
_EPOCH: Final = re.compile(r"[0-9]{1,6}")
_KEY: Final = re.compile(r"[0-9a-f]{64}")


def seal(keys: Mapping[str, str], node_key: str) -> bytes:
    """Give keys by epoch as bytes that only the bearer of a node key (Ed25519, hex) reads."""
    box = SealedBox(VerifyKey(bytes.fromhex(node_key)).to_curve25519_public_key())
    return bytes(box.encrypt(json.dumps(dict(keys)).encode()))


def unseal(sealed: bytes, node_keys: Iterable[SigningKey]) -> dict[str, str]:
    """Open such bytes with one of this node's keys: fingerprint keys by epoch.

    Raises:
        ProtocolError: `bad_signature` when no key opens it, `too_large`, `bad_shape`.
    """
    if len(sealed) > SEALED_BYTES:
        raise ProtocolError("too_large", f"{len(sealed)} bytes, more than {SEALED_BYTES}")
    for node_key in node_keys:
        try:
            opened = SealedBox(node_key.to_curve25519_private_key()).decrypt(sealed)
        except (CryptoError, ValueError, TypeError):
            continue
        return _keys(opened)
    raise ProtocolError("bad_signature", "sealed to another node key than this node's")


def _keys(opened: bytes) -> dict[str, str]:
    try:
        keys = dict(json.loads(opened))
        known = all(_EPOCH.fullmatch(epoch) and _KEY.fullmatch(key) for epoch, key in keys.items())
    except (ValueError, TypeError, RecursionError):
        known = False
    if not known or len(keys) > KEYS:
        raise ProtocolError("bad_shape", "not fingerprint keys by epoch")
    return keys
