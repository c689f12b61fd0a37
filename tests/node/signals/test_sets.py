from __future__ import annotations

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from ioint_node.signals.sets import OVERLAP_S, Envelope, KeySet, SigningKey, make_pem, sign
from joserfc import jws
from joserfc.jwk import KeySet as OtherKeySet

NOW_S = 1_795_000_000
PEMS = [make_pem(), make_pem()]


def keys(*since: int) -> KeySet:
    return KeySet(keys=[SigningKey.of_pem(pem, at) for pem, at in zip(PEMS, since, strict=False)])


def token(key: SigningKey) -> str:
    envelope = Envelope(issuer="https://node.example.org", audience="r")
    return sign(envelope.claims("s.1", NOW_S * 1000, {"format": "opaque", "id": "s"}, "urn:x", {}), key)


def test_two_libraries_verify_what_a_third_signed() -> None:
    ours = keys(0)
    written, jwks = token(ours.keys[0]), ours.jwks(NOW_S)

    public = jwt.PyJWKSet.from_dict(jwks)[ours.keys[0].kid]
    by_pyjwt = jwt.decode(written, public, algorithms=["RS256"], audience="r")
    by_joserfc = jws.deserialize_compact(written, OtherKeySet.import_key_set(jwks), algorithms=["RS256"])  # type: ignore[arg-type]

    assert by_pyjwt["jti"] == "s.1"
    assert by_joserfc.headers() == {"alg": "RS256", "typ": "secevent+jwt", "kid": ours.keys[0].kid}


def test_the_key_is_named_by_its_thumbprint() -> None:
    [published] = keys(0).jwks(NOW_S)["keys"]

    assert OtherKeySet.import_key_set({"keys": [published]}).keys[0].thumbprint() == published["kid"]
    assert {"kty", "n", "e", "kid", "use", "alg"} == set(published)


def test_the_same_event_is_the_same_token() -> None:
    key = keys(0).keys[0]

    assert token(key) == token(key)


def test_a_new_key_is_published_before_it_signs_and_the_old_one_after_it_has_stopped() -> None:
    both = keys(0, NOW_S)
    old, new = both.keys

    assert both.signing(NOW_S - 1) is old
    assert both.signing(NOW_S) is new
    assert both.published(NOW_S - OVERLAP_S) == (old, new)
    assert both.published(NOW_S + OVERLAP_S - 1) == (old, new)
    assert both.published(NOW_S + OVERLAP_S) == (new,)


def test_a_key_that_the_standard_does_not_allow_is_refused() -> None:
    short = generate_private_key(public_exponent=65_537, key_size=1_024)  # noqa: S505 - what is refused
    for key in (short, Ed25519PrivateKey.generate()):
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with pytest.raises(ValueError, match="no RSA key of at least 2048 bits"):
            SigningKey.of_pem(pem, 0)
