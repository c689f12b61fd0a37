"""libp2p's Ed25519 keys are the ones that PyNaCl and the protocol compute (docs/adr/0002)."""

from __future__ import annotations

import importlib.metadata
from types import SimpleNamespace

import pytest
from ioint_protocol.keys import SigningKey, peer_id

SEEDS = (bytes(range(32)), b"\x01" * 32, bytes(range(255, 223, -1)))


@pytest.fixture(scope="module")
def libp2p() -> SimpleNamespace:
    """The parts of libp2p that the exchange uses for keys; its imports warn about its own dependencies."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from libp2p import generate_peer_id_from
        from libp2p.crypto.ed25519 import create_new_key_pair
        from libp2p.crypto.serialization import deserialize_public_key
    return SimpleNamespace(
        pair=create_new_key_pair, peer_id=generate_peer_id_from, read_public=deserialize_public_key
    )


def test_the_fastecdsa_that_has_wheels_is_installed() -> None:
    assert int(importlib.metadata.version("fastecdsa").split(".")[0]) >= 4


@pytest.mark.parametrize("seed", SEEDS)
def test_one_seed_is_one_key_and_one_peer_id_everywhere(libp2p: SimpleNamespace, seed: bytes) -> None:
    pair = libp2p.pair(seed)
    own = SigningKey(seed)
    assert pair.public_key.to_bytes() == bytes(own.verify_key)
    assert str(libp2p.peer_id(pair)) == peer_id(bytes(own.verify_key))


@pytest.mark.parametrize("seed", SEEDS)
def test_both_sign_the_same_bytes_with_the_same_signature(libp2p: SimpleNamespace, seed: bytes) -> None:
    pair = libp2p.pair(seed)
    signature = pair.private_key.sign(b"message")
    assert signature == SigningKey(seed).sign(b"message").signature
    assert pair.public_key.verify(b"message", signature)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_public_key_survives_the_wire(libp2p: SimpleNamespace, seed: bytes) -> None:
    key = libp2p.pair(seed).public_key
    assert libp2p.read_public(key.serialize()).to_bytes() == key.to_bytes()
