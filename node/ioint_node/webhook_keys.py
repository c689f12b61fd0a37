"""Keys and signatures of Standard Webhooks: HMAC with a shared secret (`v1`), Ed25519 with a pair of keys (`v1a`).

A secret is `whsec_` and base64 of the shared bytes, or `whsk_` and base64 of seed and public key; the half that a
receiver of `v1a` needs is `whpk_` and base64 of the public key. What is signed is `{id}.{timestamp}.{body}`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final, Literal, get_args

from nacl.signing import SigningKey

Scheme = Literal["v1", "v1a"]
SCHEMES: Final[tuple[Scheme, ...]] = get_args(Scheme)
SHARED_BYTES: Final = 32
_SHARED, _PRIVATE, _PUBLIC = "whsec_", "whsk_", "whpk_"
_SEED_BYTES: Final = 32


def make_secret(scheme: Scheme) -> str:
    """A new secret to sign with: `whsec_…` for `v1`, `whsk_…` for `v1a`."""
    if scheme == "v1":
        return _SHARED + _b64(secrets.token_bytes(SHARED_BYTES))
    key = SigningKey.generate()
    return _PRIVATE + _b64(key.encode() + key.verify_key.encode())


def scheme_of(secret: str) -> Scheme:
    """The scheme that a secret is for."""
    return "v1a" if secret.startswith(_PRIVATE) else "v1"


def public_key(secret: str) -> str | None:
    """`whpk_…`, by which a `v1a` signature is checked; None for a shared secret."""
    if scheme_of(secret) == "v1":
        return None
    return _PUBLIC + _b64(_signing_key(secret).verify_key.encode())


def handed_over(secret: str) -> dict[str, str]:
    """What a receiver is given, once: the shared secret, or of a pair the public key alone."""
    public = public_key(secret)
    return {"secret": secret} if public is None else {"public_key": public}


def signed(keys: Sequence[str], message: str, at_s: int, body: bytes) -> dict[str, str]:
    """The three headers of a post, with one signature by each key; `at_s` is the Unix second of this attempt."""
    content = f"{message}.{at_s}.".encode() + body
    return {
        "webhook-id": message,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(_signature(key, content) for key in keys),
    }


def _signature(secret: str, content: bytes) -> str:
    if scheme_of(secret) == "v1a":
        return f"v1a,{_b64(_signing_key(secret).sign(content).signature)}"
    key = base64.b64decode(secret.removeprefix(_SHARED))
    return f"v1,{_b64(hmac.new(key, content, hashlib.sha256).digest())}"


def _signing_key(secret: str) -> SigningKey:
    return SigningKey(base64.b64decode(secret.removeprefix(_PRIVATE))[:_SEED_BYTES])


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
