"""How indicators are called in the formats of others: identifiers that stay, and instants."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Final

NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:ioint:formats:1")


def stable_uuid(*parts: str) -> str:
    """The UUID (version 5) of a thing by its name: the same on every call and at every node."""
    return str(uuid.uuid5(NAMESPACE, "\n".join(parts)))


def unix_ms(text: str) -> int:
    """Unix milliseconds of an RFC 3339 instant, or of the beginning of a day `YYYY-MM-DD` in UTC."""
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
