"""The view of a pattern or subject that the SOC and engines see: one row each, rewritten when belief changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Row, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.filtering import subject_of, words_of
from ioint_node.formats.stix import subject_uuid
from ioint_node.reputation.dossier import Concluded
from ioint_node.store import postings, rendered
from ioint_node.store.postings import Held
from ioint_node.store.rows import among, insert_rows
from ioint_node.store.schema import indicators
from ioint_node.store.times import from_text, to_text

COLUMNS: Final = (
    "id", "kind", "label", "intents", "layer", "declared", "state", "score", "confidence", "tier", "effect",
    "reporters", "first_reporter", "first_seen", "last_seen", "valid_until", "trend", "seen_locally", "local_hits",
    "blast_radius", "disputed", "revoked", "tlp", "taxonomy_version", "reason", "why", "seq",
)  # fmt: skip
"""The keys of an indicator row, in the order of the contract."""
COPIED: Final = (
    "id",
    "seq",
    "kind",
    "state",
    "score",
    "confidence",
    "tier",
    "effect",
    "reporters",
    "tlp",
    "last_seen",
)
"""The keys that are columns too, to filter by."""
HEARD: Final = ("state", "tier", "score", "confidence", "effect", "revoked", "disputed")
"""The keys whose change engines hear of."""
ACTED_ON: Final = ("state", "tier", "effect")
"""Those of them that engines act on."""


async def upsert(
    connection: AsyncConnection, changed: Sequence[tuple[Mapping[str, Any], str]], now: int
) -> None:
    """Write indicator rows of the contract, each with its body (`body_of`).

    `added_at` is made greater than that of any row before: a poller that asks for what came after its newest row misses
    nothing, even when many rows are written in one millisecond.
    """
    if not changed:
        return
    newest = (await connection.execute(select(func.max(indicators.c.added_at)))).scalar_one()
    first = now if newest is None else max(now, from_text(newest) + 1)
    before = await postings.held(connection, [row["id"] for row, _ in changed])
    listed = {row["id"]: postings.terms_of(row) for row, _ in changed}
    named = await postings.named(connection, frozenset().union(*listed.values()))
    terms = {key: frozenset(named[term] for term in found) for key, found in listed.items()}
    rows = [
        (
            *[row[name] for name in COPIED],
            to_text(first + place),
            subject_of(row),
            words_text(str(row["label"])),
            postings.encoded(terms[row["id"]]),
            body,
            subject_uuid(row["id"]),
        )
        for place, (row, body) in enumerate(changed)
    ]
    columns = (*COPIED, "added_at", "subject", "words", "terms", "body", "uuid")
    await insert_rows(connection, indicators, columns, rows, replacing=("id",))
    await postings.write(connection, terms, before)


def words_text(label: str) -> str:
    """The words of a label as they are looked for: folded in case, a blank before each."""
    return "".join(f" {word}" for word in words_of(label))


async def forget_silent(connection: AsyncConnection, before: int, most: int) -> tuple[str, ...]:
    """Remove rows that have said since an instant (milliseconds) that nothing is known; returns their subjects.

    The oldest first, so many at most.
    """
    silent = (indicators.c.state == "unknown") & (indicators.c.added_at < to_text(before))
    ids = select(indicators.c.n).where(silent).order_by(indicators.c.added_at).limit(most)
    gone = (
        await connection.execute(
            delete(indicators)
            .where(indicators.c.n.in_(ids))
            .returning(indicators.c.n, indicators.c.terms, indicators.c.subject)
        )
    ).all()
    await rendered.remove(connection, [n for n, _, _ in gone])
    await postings.remove(connection, [Held(n, frozenset(json.loads(terms))) for n, terms, _ in gone])
    return tuple(subject for _, _, subject in gone)


def body_of(row: Mapping[str, Any], details: Mapping[str, Any]) -> str:
    """The stored form of an indicator row and of the details of how it came about."""
    return msgspec.json.encode({"row": row, "details": details}).decode()


def digest(body: str) -> bytes:
    """16 bytes by which a stored form is known again."""
    return hashlib.blake2b(body.encode(), digest_size=16).digest()


async def concluded(connection: AsyncConnection, ids: Collection[str]) -> dict[str, Concluded]:
    """What each indicator that exists says now, by id."""
    rows = await connection.execute(
        select(indicators.c.id, indicators.c.body).where(indicators.c.id.in_(among(connection, ids)))
    )
    found = {}
    for key, body in rows:
        stored = msgspec.json.decode(body)
        found[key] = concluded_of(stored["row"], stored["details"], body)
    return found


def concluded_of(row: Mapping[str, Any], details: Mapping[str, Any], body: str) -> Concluded:
    """What an indicator row says, as far as the next one is held against it."""
    return Concluded(
        heard=tuple(row[name] for name in HEARD),
        effect=row["effect"],
        withdrawn=details.get("withdrawn", 0),  # a row of an older release has none
        seq=row["seq"],
        digest=digest(body),
        tlp=row["tlp"],
        first_reporter=row["first_reporter"],
        reporters=row["reporters"],
    )


async def get(connection: AsyncConnection, indicator: str) -> dict[str, Any] | None:
    """The indicator row of a pattern or subject, or None."""
    body = select(indicators.c.body).where(indicators.c.id == indicator)
    row = (await connection.execute(body)).one_or_none()
    return None if row is None else _row(row)


async def everything(connection: AsyncConnection) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Row and details of every indicator, to start from after a restart."""
    rows = await connection.execute(select(indicators.c.body).order_by(indicators.c.n))
    return [(_row(row), json.loads(row.body)["details"]) for row in rows]


def _row(row: Row[Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row.body)["row"]
    return found
