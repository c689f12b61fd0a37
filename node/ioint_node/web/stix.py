"""Indicators as STIX 2.1, for tools that know nothing of us.

An indicator is the standard object with a pattern type of our own; everything that is ours sits in one
property-extension. Identifiers are UUIDv5 in a namespace of our own, so that every node gives an indicator the same
one; `modified` is the instant of the last change at this node. Markings are those of TLP 2.0, which STIX 2.1 does
not predefine: they travel with the indicators that use them.
"""

from __future__ import annotations

import json
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store import listings
from ioint_node.store.listings import StoredIndicator
from ioint_node.store.times import from_text, to_text

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:ioint:stix:1")
EPOCH = "2026-11-01T00:00:00.000Z"  # of the definitions, which do not change
IDENTITY = f"identity--{uuid.uuid5(NAMESPACE, 'identity')}"
EXTENSION = f"extension-definition--{uuid.uuid5(NAMESPACE, 'extension')}"
_TLP_EXTENSION = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
_TLP_CREATED = "2022-10-01T00:00:00.000Z"
_TLP_IDS = {
    "clear": "94868c89-83c2-464b-929b-a1a8aa3c8487",
    "green": "bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    "amber": "55d920b0-5e8b-4f79-9ee9-91f868d9b421",
    "amber_strict": "939a9414-2ddd-4d32-a0cd-375ea402b003",
    "red": "e828b379-4e03-4974-9ac4-e53a884c97c1",
}
_IDS_PER_READ = 10_000
_TYPES = {"benign": "benign", "malicious": "malicious-activity", "suspicious": "anomalous-activity"}


def indicator_id(pattern: str) -> str:
    """The STIX id of a pattern or subject, the same at every node."""
    return f"indicator--{uuid.uuid5(NAMESPACE, pattern)}"


def marking_id(label: str) -> str:
    """The id of the TLP 2.0 marking of a label."""
    return f"marking-definition--{_TLP_IDS[label]}"


def marking(label: str) -> dict[str, Any]:
    """The TLP 2.0 marking of a label, as OASIS publishes it."""
    tlp = label.replace("_", "+")
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": marking_id(label),
        "created": _TLP_CREATED,
        "name": f"TLP:{tlp.upper()}",
        "extensions": {_TLP_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": tlp}},
    }


def definitions() -> tuple[dict[str, Any], ...]:
    """The objects that indicators refer to: who made them, what our extension means, the markings."""
    identity = {
        "type": "identity",
        "spec_version": "2.1",
        "id": IDENTITY,
        "created": EPOCH,
        "modified": EPOCH,
        "name": "IOINT consortium node",
        "description": "A node that exchanges indicators of intent with the other members of its consortium.",
        "identity_class": "system",
    }
    extension = {
        "type": "extension-definition",
        "spec_version": "2.1",
        "id": EXTENSION,
        "created_by_ref": IDENTITY,
        "created": EPOCH,
        "modified": EPOCH,
        "name": "Indicators of intent",
        "description": "The row of an intent pattern or public subject: state, score and confidence, tier, effect.",
        "schema": "urn:ioint:stix-extension:1",
        "version": "1.0.0",
        "extension_types": ["property-extension"],
    }
    return (identity, extension, *(marking(label) for label in _TLP_IDS))


def indicator(found: StoredIndicator, pattern: Mapping[str, Any] | None) -> dict[str, Any]:
    """The STIX indicator of one row; `pattern` is the abstract path itself where it is known."""
    row = found.row
    valid_from = _day(row.get("first_seen")) or found.added_at
    valid_until = _day(row.get("valid_until"))
    made: dict[str, Any] = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": indicator_id(found.id),
        "created_by_ref": IDENTITY,
        "created": min(valid_from, found.added_at),
        "modified": found.added_at,
        "name": str(row.get("label") or found.id),
        "description": str(
            row.get("why") or "An intent pattern that members of this consortium have reported."
        ),
        "indicator_types": [_TYPES.get(found.state, "unknown")],
        "pattern": json.dumps(
            found.novel or pattern or {"id": found.subject}, sort_keys=True, separators=(",", ":")
        ),
        "pattern_type": "ioint",
        "pattern_version": "1",
        "valid_from": valid_from,
        "confidence": int(row.get("confidence") or 0),
        "labels": [f"ioint:{found.state}", f"ioint:tier:{row.get('tier', 'none')}"],
        "object_marking_refs": [marking_id(found.tlp)],
        "extensions": {EXTENSION: {"extension_type": "property-extension", **_ours(found)}},
    }
    if valid_until is not None:
        made["valid_until"] = max(valid_until, _just_after(valid_from))
    if row["revoked"]:
        made["revoked"] = True
    return made


def _just_after(instant: str) -> str:
    """The next millisecond: a span may not be empty, and one without an end would never be over."""
    return to_text(from_text(instant) + 1)


def _ours(found: StoredIndicator) -> dict[str, Any]:
    # What only this organisation knows (own hits, what would break) is no property of the indicator and stays here.
    shared = (
        "kind", "intents", "layer", "declared", "score", "tier", "effect", "reporters",
        "first_seen", "last_seen", "trend", "disputed", "taxonomy_version",
    )  # fmt: skip
    values = {name: found.row[name] for name in shared if found.row.get(name) not in (None, [], "")}
    return {"pattern_id": found.id, "state": found.state, **values}


def _day(day: object) -> str | None:
    return (
        f"{day}T00:00:00.000Z"
        if isinstance(day, str) and len(day) == 10
        else day
        if isinstance(day, str)
        else None
    )


class Names:
    """From STIX ids back to patterns: a UUIDv5 cannot be undone, so the ids that exist are remembered, once each."""

    def __init__(self, catalogue: Iterable[str]) -> None:
        self._patterns = {indicator_id(pattern): pattern for pattern in catalogue}
        self._seen = ""  # the newest change that was taken in

    async def patterns_of(self, connection: AsyncConnection, wanted: Iterable[str]) -> tuple[str, ...]:
        """The patterns behind these STIX ids; unknown ones are left out."""
        asked = tuple(wanted)
        while any(name not in self._patterns for name in asked):
            fresh = await listings.changed_ids(connection, self._seen, _IDS_PER_READ)
            if not fresh:
                break
            self._patterns.update((indicator_id(pattern), pattern) for pattern, _ in fresh)
            self._seen = fresh[-1][1]
        return tuple(self._patterns[name] for name in asked if name in self._patterns)


class Rendered:
    """Ready bytes of indicators: an indicator is rendered once per change, not once per poll."""

    def __init__(self, pattern_of: Callable[[str], Mapping[str, Any] | None], limit: int) -> None:
        self._pattern_of = pattern_of
        self._limit = limit
        self._bytes: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    def bytes_of(self, found: StoredIndicator) -> bytes:
        """The JSON of the STIX indicator of a row."""
        key = (found.id, found.added_at)
        if (known := self._bytes.get(key)) is not None:
            self._bytes.move_to_end(key)
            return known
        data = msgspec.json.encode(indicator(found, self._pattern_of(found.id)))
        self._bytes[key] = data
        if len(self._bytes) > self._limit:
            self._bytes.popitem(last=False)
        return data
