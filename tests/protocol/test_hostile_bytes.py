"""Whatever a peer sends, a decoder gives a value or a ProtocolError, and never anything else."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_protocol import (
    ProtocolError,
    bundle,
    canonical,
    check_public_key,
    decode_record,
    decode_roster,
    parse_segment,
    sync,
    verify_equivocation,
    verify_segment,
)
from ioint_protocol.envelope import verify

VECTORS = Path(__file__).parents[2] / "protocol" / "vectors"
SEGMENTS: dict[str, Any] = json.loads((VECTORS / "segments.json").read_text(encoding="ascii"))
BY = decode_roster(SEGMENTS["roster"].encode("ascii"))
DECODERS: dict[str, Callable[[bytes], object]] = {
    "canonical": canonical.decode,
    "public key": check_public_key,
    "signature": lambda data: verify(data[:32], "t", b"", data[32:]),
    "record": decode_record,
    "segment": lambda data: verify_segment(parse_segment(data), BY.consortium, BY),
    "proof": lambda data: verify_equivocation(data, BY.consortium, BY),
    "roster": decode_roster,
    "bundle": bundle.read_bundle,
    "push answer": sync.decode_push_answer,
    "heads request": sync.decode_heads_request,
    "heads answer": sync.decode_heads_answer,
    "pull request": sync.decode_pull_request,
    "pull answer": sync.decode_pull_answer,
    "roster request": sync.decode_roster_request,
    "roster answer": partial(sync.decode_roster_answer, asker=sync.RosterVersions()),
}
MAGIC = (b"", b"IOSG\x01", b"IOEQ\x01", b"IORB\x01", b"{")
KNOWN = [
    *(bytes.fromhex(case["wire"]) for case in SEGMENTS["cases"][:2]),
    *(bytes.fromhex(case["proof"]) for case in SEGMENTS["proofs"][:1]),
    SEGMENTS["roster"].encode("ascii"),
    *(case["body"].encode() for case in json.loads((VECTORS / "records.json").read_text())["cases"][:8]),
]


@pytest.mark.parametrize("name", DECODERS)
@given(st.sampled_from(MAGIC), st.binary(max_size=96))
def test_arbitrary_bytes(name: str, magic: bytes, rest: bytes) -> None:
    with suppress(ProtocolError):
        DECODERS[name](magic + rest)


@pytest.mark.parametrize("name", DECODERS)
@given(st.sampled_from(KNOWN), st.data())
def test_bytes_that_were_right_before_a_piece_was_replaced(
    name: str, wire: bytes, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(wire)))
    end = data.draw(st.integers(start, min(start + 8, len(wire))))
    with suppress(ProtocolError):
        DECODERS[name](wire[:start] + data.draw(st.binary(max_size=8)) + wire[end:])


keys = st.sampled_from(
    ["v", "of", "seen", "day", "tax", "kind", "pat", "r", "have", "heads", "author", "from", "to"]
)
objects = st.dictionaries(
    keys,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=6,
    ),
)


@pytest.mark.parametrize("name", DECODERS)
@given(objects)
def test_objects_of_the_wrong_kinds(name: str, value: dict[str, object]) -> None:
    with suppress(ProtocolError):
        DECODERS[name](json.dumps(value, sort_keys=True, separators=(",", ":")).encode())
