"""The protocols that members speak with one another over libp2p streams; the version is the last part of each id."""

from __future__ import annotations

from ioint_protocol.sync import HEADS, PROTOCOLS, PULL, PUSH, ROSTER

__all__ = ["HEADS", "PROTOCOLS", "PULL", "PUSH", "ROSTER", "VERSION"]

VERSION = PUSH.rsplit("/", maxsplit=1)[1]
