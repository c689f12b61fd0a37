"""Tokens that an identity provider signed: JSON Web Tokens of OpenID Connect and RFC 9068, verified by its keys. Pure.

What signs is decided here and not by the token: the algorithms are a closed list of asymmetric ones, each key takes
those of its own kind, and the header only says which key. Times are Unix seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt
from jwt.types import Options

TOKEN_CHARS: Final = 8_192
KEYS: Final = 64
LEEWAY_S: Final = 60
RSA_BITS: Final = 2_048
TYPES: Final = ("jwt", "at+jwt", "application/jwt", "application/at+jwt")
_KINDS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("RSA", ""): ("RS256", "PS256"),
    ("EC", "P-256"): ("ES256",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
ALGORITHMS: Final = tuple(name for names in _KINDS.values() for name in names)
_ID_TOKEN_ALONE: Final = ("nonce", "at_hash", "c_hash")
_SIGNATURE_ONLY: Final[Options] = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


class IdentityError(Exception):
    """A token that vouches for nobody; `name` is counted, and the message holds nothing of the token."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class UnknownKeyError(IdentityError):
    """The token names a key that is not in the set: the provider may have a new one."""

    def __init__(self) -> None:
        super().__init__("unknown_key", "the key that signed this token is not one of the provider's")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a provider, and the algorithms that it verifies."""

    kid: str | None
    algorithms: frozenset[str]
    key: Any  # of `cryptography`


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a token must say: who made it, for whom, and of a login also its nonce."""

    issuer: str
    audience: str
    nonce: str | None = None


def parse_keys(document: Mapping[str, Any]) -> tuple[Key, ...]:
    """The usable keys of a JWK set; what is of another kind, weak, or not for signatures is passed over.

    Raises:
        IdentityError: no JWK set, or more than `KEYS` keys.
    """
    listed = document.get("keys")
    if not isinstance(listed, list) or len(listed) > KEYS:
        raise IdentityError("bad_keys", f"the provider's keys are no JWK set of at most {KEYS}")
    return tuple(key for one in listed if isinstance(one, dict) and (key := _key(one)) is not None)


def verify_token(token: str, keys: Sequence[Key], expected: Expected, now: float) -> Mapping[str, Any]:
    """The claims of a token whose signature, issuer, audience and times hold; `now` in Unix seconds.

    Raises:
        UnknownKeyError: its key is not among these.
        IdentityError: anything else about it does not hold.
    """
    if len(token) > TOKEN_CHARS:
        raise IdentityError("bad_token", f"a token of more than {TOKEN_CHARS} characters")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError:
        raise IdentityError("bad_token", "no signed JSON Web Token") from None
    key = _key_of(header, keys)
    try:
        claims = jwt.decode(token, key.key, algorithms=[str(header["alg"])], options=_SIGNATURE_ONLY)
    except (jwt.PyJWTError, ValueError, TypeError):
        raise IdentityError("bad_signature", "the signature does not hold") from None
    _check(claims, expected, now)
    return claims


def bound_to(claims: Mapping[str, Any]) -> str | None:
    """The thumbprint of the client certificate that an access token is bound to (RFC 8705, 3.1), None for a bearer's.

    Raises:
        IdentityError: it is bound to something that is not asked for here.
    """
    confirmed = claims.get("cnf")
    if confirmed is None:
        return None
    print_ = confirmed.get("x5t#S256") if isinstance(confirmed, Mapping) else None
    if not isinstance(print_, str) or len(confirmed) != 1:
        raise IdentityError("bad_binding", "the token is bound to a proof that this node does not take")
    return print_


def check_access(claims: Mapping[str, Any]) -> None:
    """Refuse an ID token that is sent as an access token: it tells who signed in, and opens nothing.

    Raises:
        IdentityError: it is one.
    """
    if any(name in claims for name in _ID_TOKEN_ALONE):
        raise IdentityError("id_token", "this is an ID token: send the access token")


def _key(jwk: Mapping[str, Any]) -> Key | None:
    kind = (str(jwk.get("kty")), "" if jwk.get("kty") == "RSA" else str(jwk.get("crv")))
    algorithms = frozenset(_KINDS.get(kind, ()))
    if isinstance(jwk.get("alg"), str):
        algorithms &= {jwk["alg"]}
    if not algorithms or jwk.get("use", "sig") != "sig":
        return None
    try:
        made = jwt.PyJWK(dict(jwk), algorithm=min(algorithms)).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    if kind[0] == "RSA" and made.key_size < RSA_BITS:
        return None
    kid = jwk.get("kid")
    return Key(kid=kid if isinstance(kid, str) else None, algorithms=algorithms, key=made)


def _key_of(header: Mapping[str, Any], keys: Sequence[Key]) -> Key:
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise IdentityError("bad_algorithm", f"signed with none of {', '.join(ALGORITHMS)}")
    if str(header.get("typ", "JWT")).lower() not in TYPES:
        raise IdentityError("bad_type", "a token of another type")
    if "crit" in header:
        raise IdentityError("bad_type", "the token asks for an extension that is not known here")
    fitting = [key for key in keys if algorithm in key.algorithms and kid in (None, key.kid)]
    if len(fitting) != 1:
        raise UnknownKeyError
    return fitting[0]


def _check(claims: Mapping[str, Any], expected: Expected, now: float) -> None:
    if claims.get("iss") != expected.issuer:
        raise IdentityError("bad_issuer", "the token is of another issuer")
    audiences = claims.get("aud")
    named = [audiences] if isinstance(audiences, str) else audiences
    if not isinstance(named, list) or expected.audience not in named:
        raise IdentityError("bad_audience", "the token is for somebody else")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 1 <= len(subject) <= 256:
        raise IdentityError("bad_subject", "the token names nobody")
    ends, begins, made = (_time(claims, name) for name in ("exp", "nbf", "iat"))
    if ends is None or ends + LEEWAY_S <= now:
        raise IdentityError("expired", "the token has expired, or has no end")
    if (begins is not None and begins - LEEWAY_S > now) or (made is not None and made - LEEWAY_S > now):
        raise IdentityError("not_yet", "the token is not valid yet")
    if expected.nonce is not None:
        if claims.get("nonce") != expected.nonce:
            raise IdentityError("bad_nonce", "the token answers another login")
        if claims.get("azp", expected.audience) != expected.audience:
            raise IdentityError("bad_audience", "the token was given to another client")


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise IdentityError("bad_token", f"{name} is no time")
    return float(value)
