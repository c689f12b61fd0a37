"""Tokens of an identity provider: what holds is taken, and nothing else is, whatever it says of itself."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.access.claims import Mapped, Rule, UnmappedError, terms_of
from ioint_node.access.identity import (
    Expected,
    IdentityError,
    UnknownKeyError,
    bound_to,
    check_access,
    parse_keys,
    verify_token,
)

NOW = 1_795_000_000.0
ISSUER = "https://idp.example"
EXPECTED = Expected(issuer=ISSUER, audience="node")
RSA = rsa.generate_private_key(65_537, 2_048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
KEYS: dict[str, tuple[Any, str]] = {
    "RS256": (RSA, "r"),
    "PS256": (RSA, "r"),
    "ES256": (EC, "e"),
    "EdDSA": (ED, "d"),
}


def jwk(key: Any, kid: str, **rest: Any) -> dict[str, Any]:
    kind = {"r": "RS256", "e": "ES256", "d": "EdDSA"}[kid[0]]
    return {**jwt.get_algorithm_by_name(kind).to_jwk(key.public_key(), as_dict=True), "kid": kid, **rest}


JWKS = {"keys": [jwk(RSA, "r"), jwk(EC, "e"), jwk(ED, "d")]}


def claims(**rest: Any) -> dict[str, Any]:
    return {"iss": ISSUER, "aud": "node", "sub": "s-1", "exp": NOW + 60, "iat": NOW, **rest}


def signed(algorithm: str = "RS256", *, head: dict[str, Any] | None = None, **rest: Any) -> str:
    key, kid = KEYS[algorithm]
    said = {name: value for name, value in claims(**rest).items() if value is not None}
    return jwt.encode(said, key, algorithm=algorithm, headers={"kid": kid, **(head or {})})


def verified(token: str, expected: Expected = EXPECTED) -> Any:
    return verify_token(token, parse_keys(JWKS), expected, NOW)


@pytest.mark.parametrize("algorithm", list(KEYS))
def test_a_token_that_holds_is_taken(algorithm: str) -> None:
    assert verified(signed(algorithm))["sub"] == "s-1"
    assert verified(signed(algorithm, head={"typ": "at+jwt"}, aud=["other", "node"]))["sub"] == "s-1"


@pytest.mark.parametrize(
    ("rest", "name"),
    [
        ({"iss": "https://idp.example/"}, "bad_issuer"),
        ({"aud": "other"}, "bad_audience"),
        ({"aud": None}, "bad_audience"),
        ({"aud": {"node": 1}}, "bad_audience"),
        ({"sub": None}, "bad_subject"),
        ({"exp": None}, "expired"),
        ({"exp": NOW - 61}, "expired"),
        ({"exp": True}, "bad_token"),
        ({"nbf": NOW + 120}, "not_yet"),
        ({"iat": NOW + 120}, "not_yet"),
        ({"head": {"typ": "secevent+jwt"}}, "bad_type"),
        ({"head": {"crit": ["x"], "x": 1}}, "bad_token"),
        ({"head": {"kid": "nobody"}}, "unknown_key"),
        ({"head": {"kid": "e"}}, "unknown_key"),
    ],
)
def test_a_token_that_does_not_hold_says_why(rest: dict[str, Any], name: str) -> None:
    with pytest.raises(IdentityError) as raised:
        verified(signed(**rest))
    assert raised.value.name == name


@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS512", "RS1", "", None, 7])
def test_the_token_does_not_choose_what_signs(algorithm: object) -> None:
    head = jwt.utils.base64url_encode(json.dumps({"alg": algorithm, "kid": "r"}).encode()).decode()
    body, signature = signed().split(".")[1:]
    with pytest.raises(IdentityError):
        verified(f"{head}.{body}.{signature}")
    with pytest.raises(IdentityError):
        verified(f"{head}.{body}.")


def test_one_changed_byte_of_the_claims_is_refused() -> None:
    head, _, signature = signed().split(".")
    other = jwt.utils.base64url_encode(json.dumps(claims(sub="s-2")).encode()).decode()
    with pytest.raises(IdentityError, match="signature"):
        verified(f"{head}.{other}.{signature}")


def test_keys_that_are_weak_or_for_something_else_verify_nothing() -> None:
    weak = rsa.generate_private_key(65_537, 1_024)  # noqa: S505 - that is the point
    document = {
        "keys": [
            jwk(weak, "r-weak"),
            jwk(RSA, "r", use="enc"),
            {"kty": "oct", "k": "c2VjcmV0", "kid": "s", "alg": "HS256"},
            {"kty": "RSA"},
            "nonsense",
        ]
    }
    assert parse_keys(document) == ()
    with pytest.raises(UnknownKeyError):
        verify_token(signed(), parse_keys(document), EXPECTED, NOW)
    with pytest.raises(IdentityError):
        parse_keys({"keys": [{}] * 65})


def test_a_login_is_answered_by_its_own_token_alone() -> None:
    expected = Expected(issuer=ISSUER, audience="node", nonce="n-1")
    assert verified(signed(nonce="n-1"), expected)["sub"] == "s-1"
    others: tuple[dict[str, Any], ...] = ({}, {"nonce": "n-2"}, {"nonce": "n-1", "azp": "other"})
    for rest in others:
        with pytest.raises(IdentityError):
            verified(signed(**rest), expected)
    with pytest.raises(IdentityError, match="ID token"):
        check_access(claims(nonce="n-1"))


def test_a_token_is_bound_to_a_certificate_or_to_nothing() -> None:
    assert bound_to(claims()) is None
    assert bound_to(claims(cnf={"x5t#S256": "print"})) == "print"
    for confirmed in ({"jkt": "x"}, {"x5t#S256": "a", "jkt": "b"}, "x", {}):
        with pytest.raises(IdentityError):
            bound_to(claims(cnf=confirmed))


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin1")))
def test_no_text_makes_it_raise_anything_else(text: str) -> None:
    for token in (text, f"{text}.{text}.{text}"):
        with pytest.raises(IdentityError):
            verified(token)


MAPPED = Mapped(
    rules=tuple(
        map(
            Rule.parse,
            (
                "realm_access.roles=ioint-admin:admin",
                "https://claims.example/groups=a:b:soc",
                "azp=gateway:engine",
                "agent=true:agent",
            ),
        )
    ),
    tlp_claim="tlp",
    scope_prefix="api/",
)


@pytest.mark.parametrize(
    ("rest", "role"),
    [
        ({"realm_access": {"roles": ["x", "ioint-admin"]}, "azp": "gateway"}, "admin"),
        ({"https://claims.example/groups": ["a:b"]}, "soc"),
        ({"azp": "gateway"}, "engine"),
        ({"agent": True}, "agent"),
    ],
)
def test_the_first_rule_that_holds_gives_the_role(rest: dict[str, Any], role: str) -> None:
    terms = terms_of(claims(**rest), MAPPED)
    assert terms.role == role
    assert terms.actor == ("s-1" if role == "agent" else None)


@pytest.mark.parametrize("rest", [{}, {"azp": "gateway2"}, {"azp": ["x"]}, {"realm_access": "ioint-admin"}])
def test_without_a_rule_that_holds_there_is_no_role(rest: dict[str, Any]) -> None:
    with pytest.raises(UnmappedError):
        terms_of(claims(**rest), MAPPED)


def test_a_clearance_that_is_not_said_is_the_least() -> None:
    assert terms_of(claims(azp="gateway", tlp="red"), MAPPED).tlp == "red"
    for said in ("", "everything", 7, ["red", "clear"]):
        assert terms_of(claims(azp="gateway", tlp=said), MAPPED).tlp == "clear"


def test_scopes_of_ours_cut_and_others_do_nothing() -> None:
    assert terms_of(claims(azp="gateway", scope="openid api/query"), MAPPED).scopes == frozenset({"query"})
    assert terms_of(claims(azp="gateway", scp=["api/act"]), MAPPED).scopes == frozenset({"act"})
    assert terms_of(claims(azp="gateway", scope="openid query"), MAPPED).scopes is None


def test_the_id_names_nobody_and_stays_the_same() -> None:
    one = terms_of(claims(azp="gateway"), MAPPED).id
    assert one == terms_of(claims(azp="gateway", exp=NOW + 9), MAPPED).id
    assert "s-1" not in one
    assert one != terms_of(claims(azp="gateway", sub="s-2"), MAPPED).id


@pytest.mark.parametrize("text", ["", "groups", "groups=a", "groups=a:boss", "=a:soc", "a b=c:soc"])
def test_a_rule_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write CLAIM|none of"):
        Rule.parse(text)
