"""Passes and proofs: what is signed, what is checked, and every way in which one can be wrong."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.access.passes import (
    PROOFS,
    SKEW_MS,
    Claims,
    Confirmation,
    Fault,
    Granted,
    PassError,
    PassKey,
    Proofs,
    check_proof,
    holder_of,
    read_pass,
    read_proof,
    request_hash,
    sign_pass,
)
from ioint_node.errors import RequestError

from tests.node.grants.agent import ISSUER, KEY, NOW, READ, URL, Agent, b64, req_of

OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
# RFC 8037, A.2 and A.3.
RFC_JWK = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
RFC_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.fixture
def agent() -> Agent:
    return Agent(parts=None)  # type: ignore[arg-type]  # it only signs here


@pytest.fixture
def claims(agent: Agent) -> Claims:
    return Claims(
        iss=ISSUER,
        sub="a1",
        jti="g1.1",
        iat=NOW // 1_000,
        exp=NOW // 1_000 + 60,
        cnf=Confirmation(jkt=holder_of(agent.jwk)),
        ioint=Granted(grant="g1", gen=1, session="s1", intent="research", scope={}, units_left=5.0),
    )


@pytest.fixture
def held(claims: Claims) -> str:
    return sign_pass(claims, KEY)


def fault_of(work: Callable[[], object]) -> Fault:
    with pytest.raises(PassError) as caught:
        work()
    return caught.value.fault


def signed(claims: Any, key: Any, algorithm: str = "EdDSA", **headers: Any) -> str:
    head = {"typ": "ioint-pass+jwt", "kid": KEY.kid} | headers
    return jwt.encode(msgspec.to_builtins(claims), key, algorithm=algorithm, headers=head)


def test_a_pass_comes_back_with_its_claims(held: str, claims: Claims) -> None:
    assert read_pass(held, KEY, ISSUER) == claims


def test_any_jwt_library_checks_a_pass_with_the_published_key(held: str) -> None:
    key = jwt.PyJWKSet.from_dict(KEY.jwks())[KEY.kid]
    payload = jwt.decode(held, key, algorithms=["EdDSA"], issuer=ISSUER, options={"verify_exp": False})
    assert payload["ioint"]["intent"] == "research"


def test_the_published_key_is_the_public_half_only() -> None:
    assert set(KEY.jwks()["keys"][0]) == {"kty", "crv", "x", "kid", "use", "alg"}
    assert "6b6b6b" not in repr(KEY)


def test_thumbprints_are_those_of_the_standard() -> None:
    assert holder_of(RFC_JWK) == RFC_THUMBPRINT


def test_no_changed_byte_of_a_pass_is_accepted(held: str) -> None:
    for index in range(0, len(held), 7):
        changed = held[:index] + ("A" if held[index] != "A" else "B") + held[index + 1 :]
        assert fault_of(partial(read_pass, changed, KEY, ISSUER)) is Fault.BAD_PASS


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_only_one_algorithm_one_type_and_one_key_are_accepted(claims: Claims) -> None:
    payload = b64(json.dumps(msgspec.to_builtins(claims)).encode())
    unsigned = (
        f"{b64(json.dumps({'alg': 'none', 'typ': 'ioint-pass+jwt', 'kid': KEY.kid}).encode())}.{payload}."
    )
    public = KEY.public.public_bytes_raw()
    forged = [
        unsigned,
        signed(claims, public, "HS256"),
        signed(claims, OTHER),
        signed(claims, KEY.private, typ="JWT"),
        signed(claims, KEY.private, typ="dpop+jwt"),
        signed(claims, KEY.private, kid="another"),
        signed({"sub": "a1"}, KEY.private),
        signed(msgspec.structs.replace(claims, iss="urn:ioint:contoso"), KEY.private),
    ]
    for text in forged:
        assert fault_of(partial(read_pass, text, KEY, ISSUER)) is Fault.BAD_PASS


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "é.é.é", "x" * 40_000, "\ud800", "e30.e30.e30"])
def test_what_is_no_token_is_told_so(text: str) -> None:
    assert fault_of(lambda: read_pass(text, KEY, ISSUER)) is Fault.BAD_PASS
    assert fault_of(lambda: read_proof(text)) is Fault.BAD_PROOF


@given(st.text(max_size=60), st.binary(max_size=60), st.binary(max_size=60))
def test_no_text_raises_anything_but_its_fault(text: str, head: bytes, body: bytes) -> None:
    for one in (text, f"{b64(head)}.{b64(body)}.{b64(bytes(64))}"):
        with pytest.raises(PassError):
            read_pass(one, KEY, ISSUER)
        with pytest.raises(PassError):
            read_proof(one)


def test_a_proof_of_the_holder_is_accepted(agent: Agent, held: str, claims: Claims) -> None:
    proof = read_proof(agent.proof(held, READ))
    assert proof.key == claims.cnf.jkt
    request = request_hash(READ.to_json())
    check_proof(proof, held, claims, method="POST", url=URL, now=NOW, request=request)


def test_the_hash_of_a_request_is_that_of_its_sorted_json() -> None:
    assert request_hash(READ.to_json()) == req_of(READ.to_json())
    assert request_hash({"units": 3}) == b64(hashlib.sha256(b'{"units":3}').digest())
    assert request_hash({"path": "/é/\n"}) == req_of({"path": "/é/\n"})


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"ath": b64(hashlib.sha256(b"another").digest())}, Fault.PROOF_PASS),
        ({"htm": "GET"}, Fault.PROOF_TARGET),
        ({"htu": "http://127.0.0.1:8470/api/v1/grants/check"}, Fault.PROOF_TARGET),
        ({"htu": "http://127.0.0.1:8471/api/v1/grants/spend"}, Fault.PROOF_TARGET),
        ({"htu": "https://elsewhere.example/api/v1/grants/spend"}, Fault.PROOF_TARGET),
        ({"htu": "not a url"}, Fault.PROOF_TARGET),
        ({"htu": "http://[::1/api"}, Fault.PROOF_TARGET),
        ({"iat": NOW // 1_000 - SKEW_MS // 1_000 - 1}, Fault.PROOF_TIME),
        ({"iat": NOW // 1_000 + SKEW_MS // 1_000 + 1}, Fault.PROOF_TIME),
        ({"iat": float("nan")}, Fault.PROOF_TIME),
        ({"iat": float("inf")}, Fault.PROOF_TIME),
        ({"req": req_of({"units": 1})}, Fault.PROOF_REQUEST),
        ({"req": None}, Fault.PROOF_REQUEST),
        ({"req": "\ud800"}, Fault.PROOF_REQUEST),
        ({"jti": None}, Fault.BAD_PROOF),
        ({"jti": ""}, Fault.BAD_PROOF),
        ({"jti": "x" * 200}, Fault.BAD_PROOF),
        ({"ath": None}, Fault.BAD_PROOF),
        ({"iat": "now"}, Fault.BAD_PROOF),
    ],
)
def test_a_proof_of_something_else_is_refused_by_name(
    agent: Agent, held: str, claims: Claims, changed: dict[str, Any], fault: Fault
) -> None:
    def check() -> None:
        proof = read_proof(agent.proof(held, READ, **changed))
        check_proof(
            proof, held, claims, method="POST", url=URL, now=NOW, request=request_hash(READ.to_json())
        )

    assert fault_of(check) is fault


def test_a_clock_may_be_off_by_a_minute(agent: Agent, held: str, claims: Claims) -> None:
    for off_s in (-SKEW_MS // 1_000, SKEW_MS // 1_000):
        proof = read_proof(agent.proof(held, READ, iat=NOW // 1_000 + off_s))
        check_proof(proof, held, claims, method="POST", url=URL, now=NOW)


def test_the_scheme_and_the_query_of_the_address_say_nothing(agent: Agent, held: str, claims: Claims) -> None:
    proof = read_proof(agent.proof(held, READ, htu="https://Node.example/api/v1/grants/spend?x=1#y"))
    check_proof(proof, held, claims, method="POST", url="http://node.example:80/api/v1/grants/spend", now=NOW)


def test_a_proof_of_another_key_is_refused(agent: Agent, held: str, claims: Claims) -> None:
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(OTHER.public_key().public_bytes_raw())}
    proof = read_proof(agent.proof(held, READ, key=OTHER, headers={"jwk": jwk}))
    check = lambda: check_proof(proof, held, claims, method="POST", url=URL, now=NOW)  # noqa: E731
    assert fault_of(check) is Fault.PROOF_KEY
    # The holder's key in the header, signed by another.
    assert fault_of(lambda: read_proof(agent.proof(held, READ, key=OTHER))) is Fault.BAD_PROOF


@pytest.mark.parametrize(
    "headers",
    [
        {"typ": "JWT"},
        {"jwk": None},
        {"jwk": "text"},
        {"jwk": {"kty": "RSA", "n": "x", "e": "AQAB"}},
        {"jwk": {"kty": "OKP", "crv": "Ed448", "x": "x"}},
        {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "short"}},
        {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": 7}},
    ],
)
def test_a_proof_whose_header_is_none_is_refused(agent: Agent, held: str, headers: dict[str, Any]) -> None:
    assert fault_of(lambda: read_proof(agent.proof(held, READ, headers=headers))) is Fault.BAD_PROOF


def test_a_private_key_in_a_proof_is_refused(agent: Agent, held: str) -> None:
    leaked = {**agent.jwk, "d": b64(b"a" * 32)}
    assert fault_of(lambda: read_proof(agent.proof(held, READ, headers={"jwk": leaked}))) is Fault.BAD_PROOF


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"kty": "RSA"}, "key"),
        ({"crv": "X25519"}, "key"),
        ({"x": ""}, "key.x"),
        ({"x": "!" * 43}, "key.x"),
        ({"x": "A" * 43}, "key.x"),  # a point of small order: one signature would verify for any text
        ({"x": b64(bytes([1]) + bytes(31))}, "key.x"),  # the identity
        ({"x": RFC_JWK["x"][:-1] + "p"}, "key.x"),  # the same bytes, not in canonical form
        ({"d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}, "key.d"),
    ],
)
def test_what_is_no_public_key_of_a_holder_is_refused(changed: dict[str, str], names: str) -> None:
    with pytest.raises(RequestError, match=rf"^{names}:"):
        holder_of({**RFC_JWK, **changed})


def test_used_proofs_are_remembered_for_as_long_as_they_could_be_used(agent: Agent, held: str) -> None:
    proofs = Proofs()
    proof = read_proof(agent.proof(held, READ))
    assert not proofs.known(proof)
    proofs.note(proof, NOW)
    assert proofs.known(proof)
    proofs.note(read_proof(agent.proof(held, READ)), NOW + 2 * SKEW_MS + 1)
    assert not proofs.known(proof)


def test_the_memory_of_proofs_is_bounded(agent: Agent, held: str) -> None:
    proofs = Proofs(2)
    first, second, third = (read_proof(agent.proof(held, READ)) for _ in range(3))
    for proof in (first, second, third):
        proofs.note(proof, NOW)
    assert [proofs.known(one) for one in (first, second, third)] == [False, True, True]
    assert PROOFS >= 10_000


def test_a_key_is_made_of_exactly_32_bytes() -> None:
    with pytest.raises(ValueError, match="32"):
        PassKey.of_seed(b"short")


def test_two_ways_to_write_a_pass_are_not_one(held: str) -> None:
    head, payload, signature = held.split(".")
    spaced = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)) + b" "
    assert fault_of(lambda: read_pass(f"{head}.{b64(spaced)}.{signature}", KEY, ISSUER)) is Fault.BAD_PASS
    for padded in (f"{held}=", f"{held}=="):
        assert fault_of(partial(read_pass, padded, KEY, ISSUER)) is Fault.BAD_PASS
