"""What would be said of a pattern now: the exact bytes, why each field is safe, and whether they may leave."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ioint_protocol import Pattern, Report, encode_record, record_id
from ioint_protocol.pattern import Rate
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.flows.parts import ExchangeParts
from ioint_node.privacy.egress import LARGEST_BUCKET
from ioint_node.privacy.explain import explain
from ioint_node.privacy.gate import (
    DAY_MS,
    PARAMS,
    Hold,
    Outcome,
    Proposal,
    Refuse,
    Release,
    Said,
    bucket,
    decide,
)
from ioint_node.reputation.novel import too_broad
from ioint_node.store import matches, outgoing
from ioint_node.store.matches import OwnRecord, Seen
from ioint_node.store.times import day_of, from_text

REPORT_TLP: Final = "green"  # a warning is for the community that the consortium is
REPORT_INTENTS: Final = 8
SAID_STATES: Final = frozenset({"ready", "left"})
HOLDING_STATES: Final = SAID_STATES | {"held"}
STATE_OF: Final[Mapping[type, str]] = {Release: "ready", Hold: "held", Refuse: "refused"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A report that could leave: its id, its bytes, what they say field by field, and what the gate decided."""

    id: str
    pattern: str
    body: bytes = field(repr=False)
    rows: Sequence[Mapping[str, Any]] = field(repr=False)
    outcome: Outcome

    def to_json(self) -> dict[str, Any]:
        """The draft as `preview` shows it."""
        return {
            "record_id": self.id,
            "pattern": self.pattern,
            "bytes_b64": base64.b64encode(self.body).decode("ascii"),
            "bytes": len(self.body),
            "state": STATE_OF[type(self.outcome)],
            "reason": self.outcome.reason,
            "fields": list(self.rows),
        }


async def draft_report(
    connection: AsyncConnection,
    parts: ExchangeParts,
    pattern: str,
    session_id: str | None,
    *,
    confirmed: bool,
    basis: str,
    now: int,
) -> Draft | None:
    """Draft the report of a pattern from what this node has seen of it; None for a pattern that nobody has named."""
    name = _name(parts, pattern)
    if name is None:
        return None
    today = day_of(now)
    seen = await matches.seen_of(connection, pattern, session_id, today)
    own = (await matches.own_records(connection, (pattern,), today)).get(pattern, OwnRecord())
    sessions = (await matches.rates(connection, {pattern: today}, today))[pattern].sessions
    proposal = Proposal(
        novel=pattern not in parts.catalogue.entries,
        confirmed=confirmed,
        principals=seen.agents,
        bad=bucket(seen.bad),
        benign_rate=_benign_rate(parts, pattern, Rate(matches=own.benign, sessions=sessions)),
        # What is held has not been said, but under `hold` an operator is asked once.
        said=await _said(
            connection, pattern, now, HOLDING_STATES if parts.publish_mode == "hold" else SAID_STATES
        ),
        approved=basis == "analyst",
        broad=too_broad(name, parts.taxonomy, parts.novel) if isinstance(name, Pattern) else None,
    )
    body = encode_record(_report(parts, pattern, name, seen, basis=basis, today=today))
    return Draft(
        id=record_id(body),
        pattern=pattern,
        body=body,
        rows=explain(body, parts.taxonomy, parts.catalogue),
        outcome=decide(proposal, mode=parts.publish_mode, now=now, draw=parts.draw),
    )


def sample_report(parts: ExchangeParts, pattern: str, now: int) -> Draft:
    """What the first report of a catalogue pattern would look like, had it been seen once today."""
    today = day_of(now)
    seen = Seen(bad=1, seen=1, agents=1, day_from=today, day_until=today)
    body = encode_record(_report(parts, pattern, pattern, seen, basis="threshold", today=today))
    proposal = Proposal(novel=False, confirmed=True, principals=1, bad=0, benign_rate=None, said=None)
    return Draft(
        id=record_id(body),
        pattern=pattern,
        body=body,
        rows=explain(body, parts.taxonomy, parts.catalogue),
        outcome=decide(proposal, mode=parts.publish_mode, now=now, draw=parts.draw),
    )


def _name(parts: ExchangeParts, pattern: str) -> str | Pattern | None:
    """How a record names a pattern: a catalogue entry by its id, any other by itself."""
    if pattern in parts.catalogue.entries:
        return pattern
    belief = parts.beliefs.get(pattern)
    return belief.novel if belief else None


def _report(
    parts: ExchangeParts, pattern: str, name: str | Pattern, seen: Seen, *, basis: str, today: int
) -> Report:
    entry = parts.catalogue.entries.get(pattern)
    bad, agents = bucket(seen.bad), bucket(seen.agents)
    return Report(
        tax=parts.taxonomy.version,
        kind="pattern",
        pat=name,
        intents=tuple(sorted(entry.intents)[:REPORT_INTENTS]) if entry else (),
        basis=basis,
        bad=bad,
        seen=max(bucket(seen.seen), bad, agents),
        agents=agents,
        day_from=max(min(seen.day_from, today), today - matches.WINDOW_DAYS),
        day_until=today,
        det=parts.detector,
        tlp=REPORT_TLP,
    )


def _benign_rate(parts: ExchangeParts, pattern: str, own: Rate) -> float | None:
    """The share of ordinary sessions that complete it: own history, pooled with the signed base rate where known."""
    entry = parts.catalogue.entries.get(pattern)
    worth = parts.params.base_worth_sessions
    if entry is not None and entry.base_sessions > 0:
        return (own.matches + worth * entry.base_matches / entry.base_sessions) / (own.sessions + worth)
    if own.sessions < worth:
        return None
    return own.matches / own.sessions


async def _said(connection: AsyncConnection, pattern: str, now: int, states: Collection[str]) -> Said | None:
    """What was said, or waits to be said, within the days in which a pattern is reported once."""
    since = now - PARAMS.once_days * DAY_MS
    rows = [
        row
        for row in await outgoing.about(connection, pattern)
        if row.kind in ("report", "withdrawal") and row.state in states and from_text(row.at) > since
    ]
    if not rows:
        return None
    taken_back = any(row.kind == "withdrawal" for row in rows)
    buckets = [_bad_of(row.explain) for row in rows if row.kind == "report"]
    return Said(
        # After a withdrawal nothing about it leaves by itself for the rest of these days.
        bad=LARGEST_BUCKET if taken_back else max(buckets, default=0),
        day=min(day_of(from_text(row.at)) for row in rows),
    )


def _bad_of(rows: Sequence[Mapping[str, Any]]) -> int:
    return next((int(row["value"]) for row in rows if row["field"] == "bad"), 0)
