"""The protocols that members speak with one another over libp2p streams; the version is the last part of each id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ioint_protocol.sync import ANNOUNCE, HEADS, PROOF, PROTOCOLS, PULL, PUSH, ROSTER

__all__ = [
    "ANNOUNCE",
    "COMPARING",
    "HEADS",
    "OFFERS",
    "PROOF",
    "PROTOCOLS",
    "PULL",
    "PUSH",
    "ROSTER",
    "version_of",
]

OFFERS: Final[Mapping[str, tuple[str, ...]]] = {protocol: (protocol,) for protocol in PROTOCOLS}
"""For each protocol of this version the ids that we speak, the newest first: SPEC, "Versions"."""

COMPARING: Final = frozenset({HEADS, ROSTER})
"""A small request that makes us look at all that we hold."""


def version_of(protocol: str) -> str:
    """The version in a protocol id."""
    return protocol.rsplit("/", maxsplit=1)[1]
