"""Rows of lists, as the contract names their fields."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ioint_protocol import Roster, record_id
from ioint_taxonomy import Catalogue, CatalogueEntry, Taxonomy
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.admission import PASSED_OVER
from ioint_node.flows.inclusion import Inclusion
from ioint_node.reputation.disputes import Standing, standings
from ioint_node.reputation.gate import OwnRecord
from ioint_node.reputation.rule import MICRO, ruled
from ioint_node.reputation.standpoint import Standpoint
from ioint_node.reputation.subjects import covers, folded
from ioint_node.reputation.view import touched
from ioint_node.store import listings, overrides
from ioint_node.store.indicators import COLUMNS
from ioint_node.store.listings import StoredIndicator
from ioint_node.store.matches import own_records
from ioint_node.store.peers import PeerRow
from ioint_node.store.times import day_of, day_text
from ioint_node.store.tokens import Caller
from ioint_node.web.site import Site

HIDDEN: Final = "A pattern above the clearance of this token"
"""In the place of the label of what the reader of a row may not see."""


async def indicator_rows(
    connection: AsyncConnection,
    found: Sequence[StoredIndicator],
    site: Site,
    caller: Caller,
) -> list[dict[str, Any]]:
    """The rows of indicators, with what this node has seen of each itself and what its effect is as of now."""
    now, beliefs = site.parts.now(), site.parts.exchange.beliefs
    subjects = [one.subject for one in found]
    own = await own_records(connection, subjects, day_of(now))
    said_by = await listings.reporters(connection, subjects, caller.tlp)
    decided = {(one.subject, one.kind) for one in await overrides.active(connection, now)}
    allowed = {folded(subject) for subject, kind in decided if kind == "allow"}
    left = beliefs.share_left(now)
    reviewed = _under_review(site.parts.exchange.roster(), day_of(now))
    return [
        {
            **one.row,
            "seq": one.seq,
            # Own hits are counted now, not when the indicator last changed.
            **_seen(own.get(one.subject, OwnRecord())),
            "reported_by": list(said_by.get(one.subject, ())),
            "muted": (one.subject, "mute") in decided,
            "allowed": covers(allowed, one.subject),
            "quarantined": one.row.get("reason") == "quarantined",
            "under_review": one.subject in reviewed,
            "effect_now": 0.0 if beliefs.off else round(one.row["effect"] * left, 6),
        }
        for one in found
    ]


async def contract_rows(
    connection: AsyncConnection, found: Sequence[StoredIndicator], site: Site
) -> list[dict[str, Any]]:
    """The rows of indicators as they were written, with what this node has seen of each itself."""
    own = await own_records(connection, [one.subject for one in found], day_of(site.parts.now()))
    return [{**one.row, "seq": one.seq, **_seen(own.get(one.subject, OwnRecord()))} for one in found]


def silent_row(
    entry: CatalogueEntry, taxonomy: Taxonomy, catalogue: Catalogue, own: OwnRecord
) -> dict[str, Any]:
    """The row of a catalogue pattern of which no member has said anything: unknown, which is not safe."""
    known = {
        "id": entry.id,
        "kind": "pattern",
        "label": entry.title,
        "intents": list(entry.intents),
        "layer": next(
            (taxonomy.intents[name].layer for name in entry.intents if name in taxonomy.intents), ""
        ),
        "declared": list(entry.pattern.get("declared", ())),
        "state": "unknown",
        "score": 0,
        "confidence": 0,
        "tier": "none",
        "effect": 0.0,
        "reporters": 0,
        "trend": "steady",
        **_seen(own),
        "disputed": False,
        "revoked": False,
        "tlp": "clear",
        "taxonomy_version": taxonomy.version,
        "reason": "no_accusation",
        "why": "no member has reported this pattern",
        "seq": 0,
    }
    return {
        **{name: known.get(name) for name in COLUMNS},
        **touched(entry.id, None, taxonomy=taxonomy, catalogue=catalogue),
        "reported_by": [],
        "muted": False,
        "allowed": False,
        "quarantined": False,
        "under_review": False,
        "effect_now": 0.0,
    }


def _under_review(roster: Roster | None, today: int) -> frozenset[str]:
    return frozenset() if roster is None else ruled(roster, today).reviewed


def _seen(own: OwnRecord) -> dict[str, Any]:
    return {"seen_locally": own.sessions > 0, "local_hits": own.sessions, "blast_radius": own.actors}


def described(row: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """A row with the pattern itself, where the catalogue has it."""
    entry = catalogue.entries.get(str(row["id"]))
    if entry is None:
        return dict(row)
    about = {"slug": entry.slug, "pattern": entry.pattern, "risk": entry.risk, "response": entry.response}
    return {**row, "catalogue": about}


def member_rows(
    roster: Roster | None, own: str | None, known: Sequence[PeerRow], here: Standpoint, today: int
) -> list[dict[str, Any]]:
    """The members of the roster in force, each with its group's standing and what is remembered of it as a peer."""
    if roster is None:
        return []
    lowered = standings(roster, today)
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
            **_standing(lowered.get(member.group, Standing())),
            "weight": here.weight(member.group) / MICRO,
            "canaries": here.caught.get(member.group, 0),
            "known_since": None if (day := here.since.get(member.group)) is None else day_text(day),
            **_memory(remembered.get(member.id, PeerRow(member=member.id))),
        }
        for member in roster.members
    ]


def _standing(standing: Standing) -> dict[str, Any]:
    return {
        "standing": standing.amount / MICRO,
        "standing_until": None if standing.until is None else day_text(standing.until),
    }


def _memory(row: PeerRow) -> dict[str, Any]:
    return {
        "last_success_at": row.last_success_at,
        "refused": dict(row.refused),
        "passed_over": {name: count for name, count in row.refused.items() if name in PASSED_OVER},
        "quarantined_at": row.quarantined_at,
        "quarantine_reason": row.quarantine_reason,
    }


def record_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """One signed record; `id` is that of its bytes, `statement` that of these bytes said by this author."""
    kept = ("author", "segment", "kind", "subject", "of", "tlp", "day", "received_at")
    body = bytes(row["body"])
    return {
        "id": record_id(body),
        "statement": row["id"],
        **{name: row[name] for name in kept},
        "bytes_b64": _b64(body),
    }


def inclusion_row(record: str, found: Inclusion) -> dict[str, Any]:
    """The proof that one member signed a record."""
    kept = ("author", "seq", "index", "head", "root")
    return {
        "record": record,
        **{name: getattr(found, name) for name in kept},
        "proof_b64": _b64(found.proof),
    }


def roster_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """One signed file of the roster."""
    return {"name": row["name"], "installed_at": row["installed_at"], "bytes_b64": _b64(row["body"])}


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
