"""Passes and proofs: what a grant looks like outside the node, and how its holder shows that it is the holder.

A pass is a JWT (RFC 7519) that the node signs with a key used for nothing else; `cnf.jkt` (RFC 7800) names the key of
its holder. A proof has the form of DPoP (RFC 9449): signed by the holder's key over method, address, time and the hash
of the pass, and for a spend over the request as well (`req`), so that nobody can change on the way what is paid for.

One algorithm is accepted, whatever a header says: EdDSA with Ed25519. The holder's key comes with the proof, and is
worth nothing unless its thumbprint (RFC 7638) is the one in the pass.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from ioint_protocol.errors import ProtocolError
from ioint_protocol.keys import check_public_key
from jwt.types import Options

from ioint_node.errors import NodeError, RequestError

ALGORITHM: Final = "EdDSA"
PASS_TYPE: Final = "ioint-pass+jwt"  # noqa: S105 - a name, not a secret
PROOF_TYPE: Final = "dpop+jwt"
TOKEN_CHARS: Final = 32_768  # of a pass or a proof
NAME_CHARS: Final = 128  # of a `jti`
SKEW_MS: Final = (
    60_000  # by which a proof's clock may be off, and for which a lost answer can be asked for again
)
PROOFS: Final = 16_384  # remembered; each for two skews
# Signatures and nothing else: times are checked against the `now` that is given.
_OPTIONS: Final[Options] = {
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}
_sorted = msgspec.json.Encoder(order="sorted")


class Fault(StrEnum):
    """What is wrong with a pass, a proof, or what is asked with them."""

    BAD_PASS = "bad_pass"  # noqa: S105
    PASS_EXPIRED = "pass_expired"  # noqa: S105
    PASS_REPLAYED = "pass_replayed"  # noqa: S105
    SUPERSEDED = "superseded"
    BAD_PROOF = "bad_proof"
    PROOF_KEY = "proof_key"
    PROOF_PASS = "proof_pass"  # noqa: S105
    PROOF_TARGET = "proof_target"
    PROOF_TIME = "proof_time"
    PROOF_REQUEST = "proof_request"
    PROOF_REUSED = "proof_reused"
    GRANT_ENDED = "grant_ended"
    GRANT_REVOKED = "grant_revoked"
    SESSION_CLOSED = "session_closed"
    SUSPENDED = "suspended"
    OTHER_TASK = "other_task"
    REVALIDATE = "revalidate"
    UNITS_SPENT = "units_spent"
    OUT_OF_SCOPE = "out_of_scope"
    NEEDS_PERSON = "needs_person"
    OTHER_AUDIENCE = "other_audience"


class PassError(NodeError):
    """A pass that does not open what is asked; `field` is the request's, where one is at fault."""

    def __init__(self, fault: Fault, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.fault = fault
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class PassKey:
    """The key that signs passes; `kid` is the thumbprint of its public half."""

    private: Ed25519PrivateKey = field(repr=False)
    public: Ed25519PublicKey = field(repr=False)
    kid: str

    @staticmethod
    def of_seed(seed: bytes) -> PassKey:
        """The key of a seed of 32 bytes; raises ValueError for another length."""
        private = Ed25519PrivateKey.from_private_bytes(seed)
        public = private.public_key()
        return PassKey(private=private, public=public, kid=_thumbprint(_encoded(public.public_bytes_raw())))

    def jwks(self) -> dict[str, Any]:
        """The public half as a JSON Web Key Set (RFC 7517)."""
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": _encoded(self.public.public_bytes_raw())}
        return {"keys": [{**jwk, "kid": self.kid, "use": "sig", "alg": ALGORITHM}]}


class Confirmation(msgspec.Struct, frozen=True):
    """`cnf` of a pass: the thumbprint of its holder's key."""

    jkt: str


class Granted(msgspec.Struct, frozen=True, omit_defaults=True):
    """`ioint` of a pass; `paid` is the access that the holder has just paid for, none in the first pass of a grant."""

    grant: str
    gen: int
    session: str
    intent: str
    scope: dict[str, Any]
    units_left: float
    paid: dict[str, str] | None = None


class Claims(msgspec.Struct, frozen=True, omit_defaults=True):
    """The claims of a pass; times in Unix seconds."""

    iss: str
    sub: str
    jti: str
    iat: int
    exp: int
    cnf: Confirmation
    ioint: Granted
    aud: str | None = None

    def expired(self, now: int) -> bool:
        """Whether the pass has run out at an instant in Unix milliseconds."""
        return now >= self.exp * 1_000


class _ProofClaims(msgspec.Struct, frozen=True):
    jti: str
    htm: str
    htu: str
    iat: int | float
    ath: str
    req: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A proof whose signature is right; `key` is the thumbprint of who signed it."""

    key: str
    claims: _ProofClaims


class Proofs:
    """The proofs that were used of late, a bounded number; belongs to one process.

    A spend needs it little: its proof names one pass, and a pass works once. It is for what never spends.
    """

    def __init__(self, most: int = PROOFS) -> None:
        self._most = most
        self._used: OrderedDict[tuple[str, str], int] = OrderedDict()

    def known(self, proof: Proof) -> bool:
        """Whether a proof of this key and `jti` was noted."""
        return (proof.key, proof.claims.jti) in self._used

    def note(self, proof: Proof, now: int) -> None:
        """Remember a proof for as long as its clock could still be right."""
        while self._used:
            name, at = next(iter(self._used.items()))
            if now - at <= 2 * SKEW_MS and len(self._used) < self._most:
                break
            del self._used[name]
        self._used[proof.key, proof.claims.jti] = now


def holder_of(jwk: Mapping[str, Any]) -> str:
    """The thumbprint of a holder's public key, given as a JWK.

    Raises:
        RequestError: it is no Ed25519 key, or a private one.
    """
    if "d" in jwk:
        raise RequestError("key.d: a private key was sent; it is no longer private: make another")
    if jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519":
        raise RequestError("key: must be an Ed25519 key: kty OKP, crv Ed25519")
    raw = _decoded(jwk.get("x"))
    if raw is None:
        raise RequestError("key.x: must be 32 bytes as unpadded base64url")
    try:
        check_public_key(raw)
    except ProtocolError:
        raise RequestError("key.x: is no public key of Ed25519 in its canonical form") from None
    return _thumbprint(_encoded(raw))


def sign_pass(claims: Claims, key: PassKey) -> str:
    """The pass with these claims."""
    return jwt.encode(
        msgspec.to_builtins(claims),
        key.private,
        algorithm=ALGORITHM,
        headers={"typ": PASS_TYPE, "kid": key.kid},
    )


def read_pass(text: str, key: PassKey, issuer: str) -> Claims:
    """The claims of a pass that this node signed, also when it has run out.

    Raises:
        PassError: BAD_PASS.
    """
    header, payload = _verified(text, key.public, Fault.BAD_PASS)
    if header.get("typ") != PASS_TYPE or header.get("kid") != key.kid:
        raise PassError(Fault.BAD_PASS, "pass: is no pass of this node's present key")
    try:
        claims = msgspec.convert(payload, Claims)
    except msgspec.ValidationError:
        raise PassError(Fault.BAD_PASS, "pass: has not the claims of a pass") from None
    if claims.iss != issuer:
        raise PassError(Fault.BAD_PASS, "pass: was issued under another name than this node's")
    return claims


def read_proof(text: str) -> Proof:
    """The proof that is signed by the key it brings; whose key that is, `check_proof` says.

    Raises:
        PassError: BAD_PROOF.
    """
    jwk = _header_of(text).get("jwk")
    if not isinstance(jwk, dict) or jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519" or "d" in jwk:
        raise PassError(Fault.BAD_PROOF, "proof: its header needs `jwk`, a public Ed25519 key")
    raw = _decoded(jwk.get("x"))
    if raw is None:
        raise PassError(Fault.BAD_PROOF, "proof: jwk.x must be 32 bytes as unpadded base64url")
    header, payload = _verified(text, Ed25519PublicKey.from_public_bytes(raw), Fault.BAD_PROOF)
    if header.get("typ") != PROOF_TYPE:
        raise PassError(Fault.BAD_PROOF, f"proof: typ must be {PROOF_TYPE}")
    try:
        claims = msgspec.convert(payload, _ProofClaims)
    except msgspec.ValidationError as error:
        raise PassError(Fault.BAD_PROOF, f"proof: {str(error)[:128]}") from None
    if not 1 <= len(claims.jti) <= NAME_CHARS:
        raise PassError(Fault.BAD_PROOF, f"proof: jti must have 1 to {NAME_CHARS} characters")
    return Proof(key=_thumbprint(_encoded(raw)), claims=claims)


def check_proof(
    proof: Proof,
    held: str,
    claims: Claims,
    *,
    method: str | None,
    url: str | None,
    now: int,
    request: str | None = None,
) -> None:
    """Check that a proof is of the pass's holder, for this pass and request, and of now.

    Args:
        proof: the proof.
        held: the pass, as it was sent.
        claims: its claims.
        method: of the request that the proof is for; None where who asks did not say.
        url: the same; scheme, query and fragment are not compared, since a proxy may end TLS.
        now: Unix milliseconds.
        request: what `req` has to be, None where no request has to be named.

    Raises:
        PassError: PROOF_KEY, PROOF_PASS, PROOF_TARGET, PROOF_TIME or PROOF_REQUEST.
    """
    said = proof.claims
    if not hmac.compare_digest(proof.key, claims.cnf.jkt):
        raise PassError(
            Fault.PROOF_KEY, "proof: was signed by another key than the one this pass is bound to"
        )
    if not _same(said.ath, _encoded(hashlib.sha256(held.encode()).digest())):
        raise PassError(Fault.PROOF_PASS, "proof: ath is not the hash of this pass")
    if (method is not None and said.htm != method) or (url is not None and not _same_target(said.htu, url)):
        raise PassError(Fault.PROOF_TARGET, "proof: htm and htu must name this request")
    # So written that NaN, which a JSON decoder may let through, is too far as well.
    if not abs(now - said.iat * 1_000) <= SKEW_MS:
        raise PassError(
            Fault.PROOF_TIME, f"proof: iat is more than {SKEW_MS // 1_000} s from the node's clock"
        )
    if request is not None and not _same(said.req or "", request):
        raise PassError(Fault.PROOF_REQUEST, "proof: req is not the hash of what is asked for")


def request_hash(request: Mapping[str, Any]) -> str:
    """`req` of a proof: base64url of the SHA-256 of the request's JSON, names sorted, no blanks (RFC 8785)."""
    return _encoded(hashlib.sha256(_sorted.encode(request)).digest())


def _verified(text: str, key: Ed25519PublicKey, fault: Fault) -> tuple[dict[str, Any], Any]:
    name = "pass" if fault is Fault.BAD_PASS else "proof"
    if len(text) > TOKEN_CHARS:
        raise PassError(fault, f"{name}: {len(text)} characters, more than {TOKEN_CHARS}")
    if "=" in text:  # what the library lets through and RFC 7515 does not: a token has one spelling
        raise PassError(fault, f"{name}: is padded")
    try:
        decoded = jwt.decode_complete(text, key, algorithms=[ALGORITHM], options=_OPTIONS)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise PassError(fault, f"{name}: is no JWT that its key signed with {ALGORITHM}") from None
    return decoded["header"], decoded["payload"]


def _header_of(text: str) -> dict[str, Any]:
    """The header of a token that is not verified yet."""
    head = text[:TOKEN_CHARS].partition(".")[0]
    try:
        header = msgspec.json.decode(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, binascii.Error, msgspec.DecodeError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise PassError(Fault.BAD_PROOF, "proof: is no JWT")
    return header


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode())


def _same_target(named: str, url: str) -> bool:
    try:
        return _target(named) == _target(url)
    except ValueError:  # no URL
        return False


def _target(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(url)
    port = "" if parts.port in (None, 80, 443) else f":{parts.port}"
    return f"{parts.hostname}{port}", parts.path or "/"


def _thumbprint(x: str) -> str:
    """RFC 7638 of an Ed25519 key."""
    text = f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'
    return _encoded(hashlib.sha256(text.encode()).digest())


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: object) -> bytes | None:
    """32 bytes of canonical base64url, or None."""
    if not isinstance(text, str) or len(text) != 43:
        return None
    try:
        raw = base64.b64decode(f"{text}=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if _encoded(raw) == text else None
