"""Rows of lists, as the contract names their fields."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ioint_protocol import Roster
from ioint_taxonomy import Catalogue, CatalogueEntry
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store import listings
from ioint_node.store.listings import StoredIndicator
from ioint_node.store.peers import PeerRow

INDICATOR_FIELDS = (
    "id", "kind", "label", "intents", "layer", "declared", "state", "score", "confidence", "tier", "effect",
    "reporters", "first_reporter", "first_seen", "last_seen", "valid_until", "trend", "seen_locally", "local_hits",
    "blast_radius", "disputed", "revoked", "tlp", "taxonomy_version", "why", "seq",
)  # fmt: skip


async def indicator_rows(
    connection: AsyncConnection, found: Sequence[StoredIndicator]
) -> list[dict[str, Any]]:
    """The rows of indicators, with what this node has seen of each itself as of now."""
    keys = [one.id for one in found]
    hits = await listings.local_hits(connection, keys)
    said_by = await listings.reporters(connection, keys)
    return [indicator_row(one, hits.get(one.id, 0), said_by.get(one.id, ())) for one in found]


def indicator_row(found: StoredIndicator, hits: int, said_by: Sequence[str]) -> dict[str, Any]:
    """One row in the order of the contract; own hits are counted now, not when the indicator last changed."""
    own = {
        "id": found.id,
        "seq": found.seq,
        "tlp": found.tlp,
        "local_hits": hits,
        "seen_locally": hits > 0,
    }
    row = {name: own.get(name, found.body.get(name)) for name in INDICATOR_FIELDS}
    return {**row, "reported_by": list(said_by)}


def silent_row(entry: CatalogueEntry, version: str, hits: int) -> dict[str, Any]:
    """The row of a catalogue pattern of which no member has said anything: unknown, which is not safe."""
    known = {
        "id": entry.id,
        "kind": "pattern",
        "label": entry.title,
        "intents": list(entry.intents),
        "declared": list(entry.pattern.get("declared", ())),
        "state": "unknown",
        "score": 0,
        "confidence": 0,
        "tier": "none",
        "effect": 0.0,
        "reporters": 0,
        "trend": "steady",
        "seen_locally": hits > 0,
        "local_hits": hits,
        "blast_radius": hits,
        "disputed": False,
        "revoked": False,
        "tlp": "clear",
        "taxonomy_version": version,
        "why": "no member has reported this pattern",
        "seq": 0,
    }
    return {**{name: known.get(name) for name in INDICATOR_FIELDS}, "reported_by": []}


def described(row: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """A row with the pattern itself, where the catalogue has it."""
    entry = catalogue.entries.get(str(row["id"]))
    if entry is None:
        return dict(row)
    about = {"slug": entry.slug, "pattern": entry.pattern, "risk": entry.risk, "response": entry.response}
    return {**row, "catalogue": about}


def member_rows(
    roster: Roster | None, own: str | None, known: Sequence[PeerRow]
) -> list[dict[str, Any]]:
    """The members of the roster in force, each with what this node remembers of it as a peer."""
    if roster is None:
        return []
    remembered = {row.member: row for row in known}
    return [
        {
            "id": member.id,
            "name": member.name,
            "group": member.group,
            "class": member.class_,
            "state": member.state,
            "since": member.since,
            "sponsor": member.sponsor,
            "own": member.id == own,
            **_memory(remembered.get(member.id, PeerRow(member=member.id))),
        }
        for member in roster.members
    ]


def _memory(row: PeerRow) -> dict[str, Any]:
    return {
        "last_success_at": row.last_success_at,
        "refused": dict(row.refused),
        "quarantined_at": row.quarantined_at,
        "quarantine_reason": row.quarantine_reason,
    }


def record_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """One signed record as it is kept."""
    kept = ("id", "author", "segment", "kind", "subject", "of", "tlp", "day", "received_at")
    return {**{name: row[name] for name in kept}, "bytes_b64": _b64(row["body"])}


def outgoing_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """One record of this node that left or would leave: its exact bytes, and why each field is safe."""
    kept = ("id", "kind", "subject", "state", "reason", "not_before", "at", "decided_by", "left_at", "segment")
    return {
        **{name: row[name] for name in kept},
        "explain": json.loads(row["explain"]),
        "bytes_b64": _b64(row["body"]),
    }


def roster_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """One installed roster with its signed bytes."""
    return {"version": row["version"], "installed_at": row["installed_at"], "bytes_b64": _b64(row["wire"])}


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
