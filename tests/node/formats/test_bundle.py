"""The public bundle: who signed it, how old it is, what may be in it, and that others verify it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.errors import BundleError
from ioint_node.formats import bundle
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

KEY = SigningKey(b"k" * 32)
PUBLIC = bytes(KEY.verify_key)
NOW = 1_795_000_000_000
ISSUED, EXPIRES = "2026-11-18T04:26:40.000Z", "2026-11-25T04:26:40.000Z"
PATTERN = "a" * 64


def row(**changed: Any) -> dict[str, Any]:
    return {
        "id": PATTERN, "kind": "pattern", "label": "Payment by a third party", "intents": ["financial_harm"],
        "layer": "L11", "declared": [], "state": "watched", "score": 41, "confidence": 30, "tier": "precautionary",
        "effect": 0.05, "reporters": 3, "first_reporter": "canary-member", "first_seen": "2026-11-02",
        "last_seen": "2026-11-17", "valid_until": "2026-12-17", "trend": "rising", "seen_locally": True,
        "local_hits": 7_123, "blast_radius": 4_321, "disputed": False, "revoked": False, "tlp": "clear",
        "taxonomy_version": "2026.11", "reason": "canary-reason", "why": "canary-why", "seq": 991_337,
    } | changed  # fmt: skip


def rendered(now: str = ISSUED, **changed: Any) -> dict[str, Any]:
    shown = bundle.published(row(**changed), subject=PATTERN, novel=None, now=now)
    return bundle.indicator(shown, {"gaps": 1, "steps": []})


def body(*objects: dict[str, Any], seq: int = 7, issued: str = ISSUED, expires: str = EXPIRES) -> bytes:
    every = [*bundle.definitions(), *(objects or (rendered(),))]
    return bundle.payload(every, seq=seq, issued=issued, expires=expires, omitted=0)


def signed(content: bytes, key: SigningKey = KEY) -> bytes:
    return bundle.sign(content, bundle.BUNDLE_TYPE, key)


def test_what_was_signed_is_what_is_read() -> None:
    found = bundle.checked(bundle.opened(signed(body()), bundle.BUNDLE_TYPE, PUBLIC), now=NOW)
    assert (found.seq, found.indicators, found.expires) == (7, 1, EXPIRES)


def test_a_client_of_others_verifies_it() -> None:
    read = Envelope.from_dict(json.loads(signed(body())))
    key = SSlibKey(bundle.key_id(PUBLIC), "ed25519", "ed25519", {"public": PUBLIC.hex()})
    assert read.verify([key], 1)
    assert read.payload == body()
    other = SigningKey(b"o" * 32)
    wrong = SSlibKey(bundle.key_id(PUBLIC), "ed25519", "ed25519", {"public": bytes(other.verify_key).hex()})
    with pytest.raises(VerificationError):
        read.verify([wrong], 1)


@given(st.integers(min_value=0))
def test_a_changed_byte_is_refused(place: int) -> None:
    envelope = json.loads(signed(body()))
    content = bytearray(base64.b64decode(envelope["payload"]))
    content[place % len(content)] ^= 1
    envelope["payload"] = base64.b64encode(content).decode()
    with pytest.raises(BundleError, match="not signed"):
        bundle.opened(json.dumps(envelope).encode(), bundle.BUNDLE_TYPE, PUBLIC)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with pytest.raises(BundleError):
        bundle.opened(data, bundle.BUNDLE_TYPE, PUBLIC)
    with pytest.raises(BundleError):
        bundle.checked(data, now=NOW)
    with pytest.raises(BundleError):
        bundle.key_of(data)


def test_another_key_or_type_is_refused() -> None:
    with pytest.raises(BundleError, match="not signed by"):
        bundle.opened(signed(body(), SigningKey(b"o" * 32)), bundle.BUNDLE_TYPE, PUBLIC)
    with pytest.raises(BundleError, match="it holds"):
        bundle.opened(bundle.sign(body(), "application/json", KEY), bundle.BUNDLE_TYPE, PUBLIC)


@pytest.mark.parametrize(
    ("content", "least", "said"),
    [
        (body(expires="2026-11-18T04:00:00.000Z"), 0, "good until"),
        (body(issued="2026-11-19T00:00:00.000Z"), 0, "yet to come"),
        (body(seq=7), 8, "older than"),
        (body({**rendered(), "object_marking_refs": []}), 0, "not marked"),
        (body({"type": "identity", "id": "x"}, {"type": "sighting"}), 0, "of type"),
        (b'{"schema":"other"}', 0, "malformed"),
    ],
)
def test_a_bundle_that_must_not_be_believed_is_refused(content: bytes, least: int, said: str) -> None:
    with pytest.raises(BundleError, match=said):
        bundle.checked(content, now=NOW, least_seq=least)


@pytest.mark.parametrize("tlp", ["green", "amber", "amber_strict", "red"])
def test_nothing_above_clear_is_published(tlp: str) -> None:
    with pytest.raises(ValueError, match="TLP"):
        rendered(tlp=tlp)


def test_what_only_the_publisher_knows_is_not_in_it() -> None:
    told = json.dumps(rendered())
    hidden = ("canary", "7123", "4321", "991337", "tier", "effect", "0.05", "rising", "blast", "local")
    assert [word for word in hidden if word in told] == []


@pytest.mark.parametrize(("count", "told"), [(0, 0), (1, 1), (2, 2), (3, 2), (4, 4), (7, 4), (100, 64)])
def test_reporters_are_told_in_powers_of_two(count: int, told: int) -> None:
    (ours,) = rendered(reporters=count)["extensions"].values()
    assert ours["reporters_at_least"] == told
    assert "reporters" not in ours


def test_what_nobody_sees_changes_no_time() -> None:
    later = "2026-11-19T00:00:00.000Z"
    hidden = rendered(later, local_hits=8_000, effect=0.1, why="other", reporters=2)
    assert bundle.settled([hidden], [rendered()]) == [rendered()]
    (seen,) = bundle.settled([rendered(later, score=60)], [rendered()])
    assert (seen["created"], seen["modified"]) == (ISSUED, later)


def test_a_key_document_is_vouched_for_by_the_record_key() -> None:
    record = SigningKey(b"r" * 32)
    document = bundle.key_document(PUBLIC, member="m" * 32, consortium="c" * 64, record_key=record)
    assert bundle.key_of(document) == bundle.key_of(document, bytes(record.verify_key)) == PUBLIC
    with pytest.raises(BundleError, match="not signed"):
        bundle.key_of(document, PUBLIC)
    changed = document.replace(PUBLIC.hex().encode(), bytes(record.verify_key).hex().encode(), 1)
    with pytest.raises(BundleError, match="another key"):
        bundle.key_of(changed, bytes(record.verify_key))


def test_the_example_in_the_document_reads_a_bundle() -> None:
    text = (Path(__file__).parents[3] / "docs" / "public-feed.md").read_text()
    example: dict[str, Any] = {"__name__": "example"}
    exec(text.partition("```python\n")[2].partition("```")[0], example)  # noqa: S102 - our own document
    current = body(expires="2999-01-01T00:00:00.000Z")
    told = example["read_bundle"](signed(current), PUBLIC.hex(), 7)
    assert told == json.loads(current)
    for envelope, seq in ((signed(current), 8), (signed(body(expires="2026-01-01T00:00:00.000Z")), 0)):
        with pytest.raises(ValueError, match="o"):
            example["read_bundle"](envelope, PUBLIC.hex(), seq)
    with pytest.raises(BadSignatureError):
        example["read_bundle"](signed(current, SigningKey(b"o" * 32)), PUBLIC.hex())
