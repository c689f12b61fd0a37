"""Ed25519 for TUF metadata by PyNaCl alone, in place of the library's own.

The library's key accepts points of small order, under which one fixed signature verifies for any message. This one
refuses such a key where a root names it, and its id must be the hash of the key: under two ids one key would count
twice towards a threshold.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from ioint_protocol import ProtocolError, canonical, check_public_key
from nacl.exceptions import CryptoError
from nacl.signing import SigningKey, VerifyKey
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import KEY_FOR_TYPE_AND_SCHEME, Key, Signature, Signer

ED25519: Final = "ed25519"  # of the key type and of the scheme
_FIELDS: Final = {"keytype", "scheme", "keyval"}


class SodiumKey(Key):
    """An Ed25519 public key that was checked."""

    def __init__(self, public: bytes) -> None:
        check_public_key(public)
        value = {"public": public.hex()}
        body = canonical.encode({"keytype": ED25519, "scheme": ED25519, "keyval": {**value}})
        super().__init__(hashlib.sha256(body).hexdigest(), ED25519, ED25519, value)

    @classmethod
    def from_dict(cls, keyid: str, key_dict: dict[str, Any]) -> SodiumKey:
        """Read the key that a root names.

        Raises:
            ProtocolError: `bad_key` for what is no key or has another id, `bad_shape` for other fields.
        """
        public = key_dict.get("keyval")
        if key_dict.keys() != _FIELDS or not isinstance(public, dict) or public.keys() != {"public"}:
            raise ProtocolError("bad_shape", "a key with other fields than keytype, scheme and keyval.public")
        try:
            key = cls(bytes.fromhex(public["public"]))
        except (TypeError, ValueError):
            raise ProtocolError("bad_key", "not hex digits") from None
        if key.keyid != keyid or key.keyval != public:
            raise ProtocolError("bad_key", "the id of a key is not its hash")
        return key

    def to_dict(self) -> dict[str, Any]:
        """Give the key as a root names it."""
        return {"keytype": self.keytype, "scheme": self.scheme, "keyval": dict(self.keyval)}

    @property
    def public(self) -> str:
        """The public key, in hex."""
        return str(self.keyval["public"])

    def verify_signature(self, signature: Signature, data: bytes) -> None:
        """Check a signature by libsodium.

        Raises:
            UnverifiedSignatureError: it does not verify; such a signature counts for nothing.
        """
        try:
            VerifyKey(bytes.fromhex(self.public)).verify(data, bytes.fromhex(signature.signature))
        except (CryptoError, ValueError, TypeError):
            raise UnverifiedSignatureError("does not verify") from None


class SodiumSigner(Signer):
    """Signs with a key in memory."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self._public = SodiumKey(bytes(key.verify_key))

    @property
    def public_key(self) -> SodiumKey:
        """The public half."""
        return self._public

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: object = None
    ) -> SodiumSigner:
        """Refuse: keys come from the node's own files."""
        raise NotImplementedError("keys are given, not found by an address")

    def sign(self, payload: bytes) -> Signature:
        """Give the signature of bytes."""
        return Signature(self._public.keyid, self._key.sign(payload).signature.hex())


# What the library reads as a key of this type is from here on always ours.
KEY_FOR_TYPE_AND_SCHEME[ED25519, ED25519] = SodiumKey
