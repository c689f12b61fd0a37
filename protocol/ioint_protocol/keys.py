"""Ed25519 keys, by PyNaCl alone: libraries disagree on which signatures are valid, and members must not.

Every public key is checked when it is admitted: with a key of small order one fixed signature would verify for any
message.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final

from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.signing import SigningKey, VerifyKey

from ioint_protocol.errors import ProtocolError

KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 16
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
# Identity multihash (code 0, 36 bytes) of the protobuf {Type: Ed25519, Data: 32 bytes}: libp2p peer ids of short keys.
_PEER_PREFIX: Final = bytes.fromhex("002408011220")

__all__ = ["KEY_ID_BYTES", "SigningKey", "VerifyKey", "check_public_key", "key_id", "member_id", "peer_id"]


def check_public_key(raw: bytes) -> None:
    """Refuse what is no canonical point of the prime-order group.

    Raises:
        ProtocolError: `bad_key`.
    """
    if len(raw) != KEY_BYTES:
        raise ProtocolError("bad_key", f"{len(raw)} bytes, not {KEY_BYTES}")
    if not crypto_core_ed25519_is_valid_point(raw):
        raise ProtocolError("bad_key", "not a point of the prime-order group")


def key_id(raw: bytes) -> bytes:
    """Give the 16 bytes that name a public key beside its signatures: the first half of its SHA-256."""
    return hashlib.sha256(raw).digest()[:KEY_ID_BYTES]


def member_id(record_key: bytes) -> str:
    """Give the id of the member with this record key: its key id, in hex."""
    return key_id(record_key).hex()


@lru_cache(maxsize=4_096)
def peer_id(raw: bytes) -> str:
    """Give the libp2p peer id of an Ed25519 public key, in base58."""
    data = _PEER_PREFIX + raw
    number = int.from_bytes(data, "big")
    digits = ""
    while number:
        number, rest = divmod(number, 58)
        digits = _BASE58[rest] + digits
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + digits
