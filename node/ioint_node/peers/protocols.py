"""The protocols that members speak with one another over libp2p streams."""

from __future__ import annotations

VERSION = "1.0.0"
PUSH = f"/ioint/push/{VERSION}"
HEADS = f"/ioint/heads/{VERSION}"
PULL = f"/ioint/pull/{VERSION}"
ROSTER = f"/ioint/roster/{VERSION}"
PROTOCOLS = (PUSH, HEADS, PULL, ROSTER)
