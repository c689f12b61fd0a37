"""A keyed fingerprint is made only of what nobody can guess."""

from __future__ import annotations

import base64
import hashlib
import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.privacy.fingerprints import (
    LEAST_BITS,
    FingerprintKey,
    entropy_bits,
    fingerprint,
    why_guessable,
)

KEY = FingerprintKey(epoch=2_950, key=bytes(range(32)))
# No value here is secret: they are drawn from a seed.
DRAW = random.Random(20_261_130)  # noqa: S311
WORDS = (
    "account", "billing", "customer", "database", "employee", "finance", "gateway", "invoice", "ledger", "manager",
    "northwind", "orchestrator", "payroll", "quarterly", "research", "salary", "treasury", "vendor", "warehouse",
)  # fmt: skip

GUESSABLE = (
    "alice",
    "alice.anderson@example.org",
    "db-primary-07.internal.example.org",
    "https://intranet.example.org/hr/salaries?id=4711",
    "/home/alice/Documents/salaries-2026.xlsx",
    "C:\\Users\\alice\\Desktop\\salaries.xlsx",
    "quarterly-salary-review-for-the-finance-department-2026",
    "correcthorsebatterystaplecorrecthorse",
    "the quick brown fox jumps over the lazy dog",
    "DE89370400440532013000",
    "GB29NWBK60161331926819",
    "4111 1111 1111 1111",
    "4111111111111111411111",
    "+49 30 901820 4711 0815",
    "2026-11-30T13:04:29.000+00:00",
    "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
    "0123456789abcdef0123456789abcdef",
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "a1b2a1b2a1b2a1b2a1b2a1b2a1b2a1b2a1b2a1b2",
    "INV-2026-000471-DE-0815",
    "passwordpasswordpasswordpassword1!",
    "mcp-server-filesystem-production-eu-west-1",
    hashlib.sha256(b"alice@acme.example").hexdigest(),
    hashlib.md5(b"db01.prod.acme.internal").hexdigest(),  # noqa: S324 - as an analyst would paste it
    hashlib.sha1(b"1234").hexdigest().upper(),  # noqa: S324 - the same
    str(uuid.uuid5(uuid.NAMESPACE_DNS, "db01.prod.acme.internal")),
    base64.b64encode(b"alice.anderson@example.org").decode(),
    base64.urlsafe_b64encode(b'{"sub":"alice","role":"admin"}').decode().rstrip("="),
    b"db01.prod.acme.internal".hex(),
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsInJvbGUiOiJhZG1pbiJ9.",
    "acme/B1ll1ng-Pr0d-2024-K8s-Eu-w1",
    "P4ssw0rd-W1nt3r-2024!-Acm3-C0rp",
    "",
)


def tokens() -> list[str]:
    """Values with 160 bits and more, of the forms in which keys, digests and addresses come."""
    made = []
    for _ in range(200):
        raw = DRAW.randbytes(32)
        made += [
            raw[:31].hex(),
            f"0x{raw[:20].hex()}",
            base64.b64encode(raw).decode(),
            base64.urlsafe_b64encode(raw).decode().rstrip("="),
        ]
    return made


@pytest.mark.parametrize("value", GUESSABLE)
def test_what_can_be_guessed_is_refused(value: str) -> None:
    assert why_guessable(value) is not None


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12), st.sampled_from(["", "-", "_", ".", "/"]))
def test_no_number_of_words_becomes_a_secret(words: list[str], between: str) -> None:
    assert why_guessable(between.join(words)) is not None


@given(st.integers(0, 10**60))
def test_no_number_is_a_secret(number: int) -> None:
    assert why_guessable(str(number)) is not None


def test_random_tokens_of_every_form_are_taken_but_for_a_few() -> None:
    refused = [value for value in tokens() if why_guessable(value) is not None]
    assert len(refused) <= 0.05 * 800


def test_most_random_uuids_are_taken_though_they_are_near_the_bound() -> None:
    made = [str(uuid.UUID(bytes=DRAW.randbytes(16), version=4)) for _ in range(200)]
    assert sum(why_guessable(value) is None for value in made) > 120


@given(st.binary(min_size=10, max_size=64))
def test_the_estimate_is_never_above_what_a_random_hexadecimal_number_has(raw: bytes) -> None:
    assert entropy_bits(raw.hex()) <= 8 * len(raw)


@given(st.text("0123456789abcdef", min_size=1, max_size=8), st.integers(4, 40))
def test_repeating_a_short_text_adds_nothing_that_counts(text: str, times: int) -> None:
    assert entropy_bits(text * times) < LEAST_BITS


def test_another_key_or_value_gives_another_fingerprint() -> None:
    first, second = tokens()[:2]
    other = FingerprintKey(epoch=2_950, key=bytes(32))
    assert (
        len({fingerprint(first, KEY).mac, fingerprint(second, KEY).mac, fingerprint(first, other).mac}) == 3
    )


def test_a_hexadecimal_number_is_the_same_in_both_cases() -> None:
    value = DRAW.randbytes(31).hex()
    assert fingerprint(value, KEY) == fingerprint(f"0x{value.upper()}", KEY)


def test_a_refusal_does_not_repeat_the_value() -> None:
    with pytest.raises(ValueError, match="it has") as refused:
        fingerprint("alice.anderson@example.org", KEY)
    assert "alice" not in str(refused.value)
