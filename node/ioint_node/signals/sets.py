"""Security event tokens (RFC 8417) as SSF 1.0 profiles them: one event, explicitly typed, no `sub` and no `exp`.

The standard demands RS256, so the key is RSA. A new key is published for a while before it signs, and an old one for as
long after it has stopped: receivers keep a copy of the set.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ioint_node.signals.events import Event
from ioint_node.signals.subjects import Format

ALGORITHM: Final = "RS256"
TYPE: Final = "secevent+jwt"
MEDIA_TYPE: Final = "application/secevent+jwt"
BITS: Final = 2_048
OVERLAP_S: Final = 86_400  # for which a key is published before it signs, and after it has stopped
_sorted = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key that signs from an instant on (Unix seconds); `kid` is its RFC 7638 thumbprint."""

    private: RSAPrivateKey = field(repr=False)
    kid: str
    since_s: int

    @staticmethod
    def of_pem(pem: bytes, since_s: int) -> SigningKey:
        """The key in a PKCS #8 text; raises ValueError where it is no RSA key of at least `BITS`."""
        private = load_pem_private_key(pem, None)
        if not isinstance(private, RSAPrivateKey) or private.key_size < BITS:
            raise ValueError(f"no RSA key of at least {BITS} bits")
        digest = hashlib.sha256(_sorted.encode(_members(private))).digest()
        return SigningKey(private=private, kid=_encoded(digest), since_s=since_s)

    def jwk(self) -> dict[str, str]:
        """The public half as a JSON Web Key (RFC 7517)."""
        return {**_members(self.private), "kid": self.kid, "use": "sig", "alg": ALGORITHM}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """The keys of a node, in the order in which they begin to sign; there is at least one."""

    keys: Sequence[SigningKey]

    def signing(self, now_s: int) -> SigningKey:
        """The key that signs now."""
        begun = [key for key in self.keys if key.since_s <= now_s]
        return begun[-1] if begun else self.keys[0]

    def published(self, now_s: int) -> tuple[SigningKey, ...]:
        """The keys that receivers should know now."""
        ends = [key.since_s + OVERLAP_S for key in self.keys[1:]]
        return tuple(
            key for key, end in zip(self.keys, [*ends, None], strict=True) if end is None or now_s < end
        )

    def jwks(self, now_s: int) -> dict[str, Any]:
        """What is at `jwks_uri`."""
        return {"keys": [key.jwk() for key in self.published(now_s)]}


def make_pem() -> bytes:
    """A new private key as PKCS #8 text."""
    private = generate_private_key(public_exponent=65_537, key_size=BITS)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What every token to one receiver says beside its event."""

    issuer: str
    audience: str

    def claims(
        self, name: str, at: int, subject: Mapping[str, Any], kind: str, said: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The claims of one event; `name` is the `jti`, `at` Unix milliseconds."""
        return {
            "iss": self.issuer,
            "jti": name,
            "iat": at // 1000,
            "aud": self.audience,
            "sub_id": subject,
            "events": {kind: said},
        }

    def of_event(self, event: Event, name: str, form: Format) -> dict[str, Any]:
        """The claims of an event, its subject in the form that the receiver wants."""
        told = self.claims(name, event.at, event.principal.named(form), event.type, event.claims)
        return {**told, "txn": event.txn}


def sign(claims: Mapping[str, Any], key: SigningKey) -> str:
    """The token in its compact form: the same bytes for the same claims and key."""
    return jwt.encode(dict(claims), key.private, algorithm=ALGORITHM, headers={"typ": TYPE, "kid": key.kid})


def _members(private: RSAPrivateKey) -> dict[str, str]:
    """The members that the thumbprint is over."""
    numbers = private.public_key().public_numbers()
    return {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}


def _number(value: int) -> str:
    return _encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
