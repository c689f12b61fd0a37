"""Disputes as states of the network: what became of each, by the records that this node holds and its roster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ioint_protocol import Dispute, Roster, Ruling
from ioint_taxonomy import Catalogue
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.reputation.disputes import Outcome, deadline, outcome
from ioint_node.reputation.view import indicator_id
from ioint_node.store.disputes import as_disputes, newest_disputes, statement_of
from ioint_node.store.log import StoredRecord
from ioint_node.store.times import day_of, day_text

LOOKED_AT: Final = 2_048
"""Disputes that one page with a state in its filter looks at; a page may then have fewer rows, and goes on there."""
AT_A_TIME: Final = 256
SHOWN: Final = 32
"""Newest disputes of a pattern that are shown with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which disputes are asked for: an empty field asks for all."""

    state: str | None = None
    subject: str | None = None
    author: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Rows, and the number before which a next page goes on, None where nothing more follows."""

    rows: tuple[dict[str, Any], ...]
    before: int | None


async def list_disputes(
    connection: AsyncConnection,
    wanted: Wanted,
    *,
    roster: Roster | None,
    catalogue: Catalogue,
    now: int,
    clearance: str,
    limit: int,
    before: int | None = None,
) -> Found:
    """Disputes, newest first, as far as the reader may see the reports that they are about."""
    rows: list[dict[str, Any]] = []
    looked, batch = 0, limit if wanted.state is None else max(limit, AT_A_TIME)
    while True:
        page = await newest_disputes(
            connection,
            clearance=clearance,
            limit=batch,
            before=before,
            subject=wanted.subject,
            author=wanted.author,
        )
        made = await dispute_rows(
            connection, [record for _, record in page.items], roster=roster, catalogue=catalogue, now=now
        )
        for (seq, _), row in zip(page.items, made, strict=True):
            if len(rows) == limit:
                return Found(rows=tuple(rows), before=before)
            before = seq
            if wanted.state is None or row["state"] == wanted.state:
                rows.append(row)
        looked += len(page.items)
        if not page.more:
            return Found(rows=tuple(rows), before=None)
        if len(rows) == limit or looked >= LOOKED_AT:
            return Found(rows=tuple(rows), before=before)


async def dispute_rows(
    connection: AsyncConnection,
    found: Sequence[StoredRecord],
    *,
    roster: Roster | None,
    catalogue: Catalogue,
    now: int,
) -> list[dict[str, Any]]:
    """The rows of stored disputes, in their order."""
    known = await as_disputes(connection, found)
    names = {} if roster is None else {member.id: member.name for member in roster.members}
    today = day_of(now)
    rows = []
    for record in found:
        dispute = known[statement_of(record)]
        said, ended = dispute.said, outcome(dispute, roster, today)
        rows.append(
            {
                "id": said.id,
                "pattern": indicator_id(record.subject) if record.subject else None,
                "label": _label(record.subject, catalogue),
                "report": said.of,
                "reporters": [_named(member, names) for member in dispute.reporters],
                "disputer": _named(said.author, names),
                "reason": record.record.reason if isinstance(record.record, Dispute) else "",
                "opened": day_text(said.day),
                "deadline": day_text(deadline(dispute, roster)),
                **_ending(ended),
                "tlp": record.tlp,
            }
        )
    return rows


async def disputes_of(
    connection: AsyncConnection,
    subject: str,
    *,
    roster: Roster | None,
    catalogue: Catalogue,
    now: int,
    clearance: str,
) -> list[dict[str, Any]]:
    """The newest disputes of one pattern or subject."""
    page = await newest_disputes(connection, clearance=clearance, limit=SHOWN, subject=subject)
    return await dispute_rows(
        connection, [record for _, record in page.items], roster=roster, catalogue=catalogue, now=now
    )


def _ending(ended: Outcome) -> dict[str, Any]:
    ruling: Ruling | None = ended.ruling
    return {
        "state": ended.state,
        "ruling": None if ruling is None else ruling.kind,
        "ruled": None if ruling is None else day_text(ruling.day),
    }


def _named(member: str, names: Mapping[str, str]) -> dict[str, str | None]:
    """A member by id and name; who is on the roster no more has no name."""
    return {"id": member, "name": names.get(member)}


def _label(subject: str, catalogue: Catalogue) -> str:
    entry = catalogue.entries.get(subject)
    return entry.title if entry else subject
