"""Signing and verifying bytes in a context (SPEC, "Signatures").

What is signed is the pre-authentication encoding of DSSE 1.0.2: lengths, the payload type, the bytes. The payload type
names the kind of thing and the consortium, so that nothing signed for one is ever valid for another.
"""

from __future__ import annotations

from nacl.exceptions import CryptoError
from nacl.signing import SigningKey, VerifyKey

from ioint_protocol.errors import ProtocolError


def payload_type(kind: str, consortium: str) -> str:
    """Name the context of a signature: what it is on, and in which consortium (64 hex digits)."""
    return f"application/vnd.ioint.{kind}+json;v=1;c={consortium}"


def pae(payload_type: str, body: bytes) -> bytes:
    """Give the bytes to sign: `DSSEv1 SP len(type) SP type SP len(body) SP body`."""
    kind = payload_type.encode("ascii")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)


def sign(key: SigningKey, payload_type: str, body: bytes) -> bytes:
    """Give the 64-byte Ed25519 signature of `body` in its context."""
    return key.sign(pae(payload_type, body)).signature


def verify(raw: bytes, payload_type: str, body: bytes, signature: bytes) -> None:
    """Check a signature under the public key `raw` (32 bytes).

    Raises:
        ProtocolError: `bad_signature`.
    """
    try:
        VerifyKey(raw).verify(pae(payload_type, body), signature)
    except (CryptoError, ValueError, TypeError):
        raise ProtocolError("bad_signature", "does not verify") from None
