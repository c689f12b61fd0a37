"""Binary frames: lengths before contents, no padding, nothing after the end (SPEC, "Frames").

Bytes that were signed are carried as they are inside such a frame, so that nobody has to re-encode them to check them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from nacl.signing import SigningKey

from ioint_protocol import envelope
from ioint_protocol.errors import ProtocolError
from ioint_protocol.keys import KEY_ID_BYTES, key_id
from ioint_protocol.limits import LIMITS

VERSION: Final = 1
ED25519: Final = 1
_SIGNATURE_BYTES: Final = {ED25519: 64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature: the code of its algorithm, the id of its key, its bytes."""

    alg: int
    kid: bytes
    sig: bytes


class Reader:
    """A cursor over the bytes of one frame; every reading is checked against the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def magic(self, name: bytes) -> None:
        """Pass the four letters and the version with which a frame begins."""
        if self.take(len(name)) != name:
            raise ProtocolError("bad_frame", f"does not begin with {name.decode('ascii')}")
        version = self.number(1)
        if version != VERSION:
            raise ProtocolError("bad_frame", f"version {version}, not {VERSION}")

    def number(self, width: int) -> int:
        """Take an unsigned big-endian integer of `width` bytes."""
        return int.from_bytes(self.take(width), "big")

    def take(self, count: int) -> bytes:
        """Take the next `count` bytes."""
        start, self._at = self._at, self._at + count
        if self._at > len(self._data):
            raise ProtocolError("bad_frame", f"{len(self._data)} bytes end inside a field")
        return self._data[start : self._at]

    def block(self, width: int, limit_bytes: int) -> bytes:
        """Take a length of `width` bytes, 1 to `limit_bytes`, and as many bytes."""
        count = self.number(width)
        if count > limit_bytes:
            raise ProtocolError("too_large", f"a field of {count} bytes, more than {limit_bytes}")
        if count == 0:
            raise ProtocolError("bad_frame", "an empty field")
        return self.take(count)

    @property
    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._data)

    def end(self) -> None:
        """Refuse anything that is left."""
        if not self.at_end:
            raise ProtocolError("bad_frame", f"{len(self._data) - self._at} bytes after the end")


def opening(magic: bytes) -> bytes:
    """Give the four letters and the version with which a frame begins."""
    return magic + bytes([VERSION])


def block(width: int, data: bytes) -> bytes:
    """Give `data` with its length in `width` bytes before it."""
    return len(data).to_bytes(width, "big") + data


def check_size(data: bytes, limit_bytes: int) -> None:
    """Refuse more than `limit_bytes`."""
    if len(data) > limit_bytes:
        raise ProtocolError("too_large", f"{len(data)} bytes, more than {limit_bytes}")


def make_signature(key: SigningKey, payload_type: str, body: bytes) -> Signature:
    """Sign `body` in its context with Ed25519."""
    raw = bytes(key.verify_key)
    return Signature(alg=ED25519, kid=key_id(raw), sig=envelope.sign(key, payload_type, body))


def write_signatures(signatures: Iterable[Signature]) -> bytes:
    """Give the signature list of a frame, in ascending order of key id and algorithm."""
    ordered = sorted(signatures, key=_order)
    parts = [bytes([len(ordered)])]
    parts.extend(bytes([item.alg]) + item.kid + block(2, item.sig) for item in ordered)
    return b"".join(parts)


def read_signatures(reader: Reader) -> tuple[Signature, ...]:
    """Take a signature list: 1 to `signatures`, in ascending order, of algorithms that are known."""
    count = reader.number(1)
    if not 1 <= count <= LIMITS.signatures:
        raise ProtocolError("bad_frame", f"{count} signatures, outside 1..{LIMITS.signatures}")
    signatures: list[Signature] = []
    for _ in range(count):
        signature = _read_signature(reader)
        if signatures and _order(signature) <= _order(signatures[-1]):
            raise ProtocolError("duplicate_signer", "one key twice, or not in ascending order")
        signatures.append(signature)
    return tuple(signatures)


def _read_signature(reader: Reader) -> Signature:
    alg = reader.number(1)
    length = _SIGNATURE_BYTES.get(alg)
    if length is None:
        raise ProtocolError("unknown_algorithm", f"code {alg}")
    kid = reader.take(KEY_ID_BYTES)
    sig = reader.block(2, length)
    if len(sig) != length:
        raise ProtocolError("bad_frame", f"a signature of {len(sig)} bytes, not {length}")
    return Signature(alg=alg, kid=kid, sig=sig)


def _order(signature: Signature) -> tuple[bytes, int]:
    return signature.kid, signature.alg


def verify_all(
    signatures: Sequence[Signature], keys: Sequence[bytes], payload_type: str, body: bytes
) -> frozenset[bytes]:
    """Check that every listed signature is by one of `keys` and verifies; give the keys that signed.

    Raises:
        ProtocolError: `unknown_signer`, `bad_signature`.
    """
    by_id = {key_id(raw): raw for raw in keys}
    signers = set()
    for signature in signatures:
        raw = by_id.get(signature.kid)
        if raw is None:
            raise ProtocolError("unknown_signer", f"key {signature.kid.hex()} may not sign this")
        envelope.verify(raw, payload_type, body, signature.sig)
        signers.add(raw)
    return frozenset(signers)
