"""What would be said of a pattern now: the exact bytes, why each field is safe, and whether they may leave."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ioint_protocol import Dispute, Fingerprint, Pattern, Report, Sighting, encode_record, record_id
from ioint_protocol.pattern import Rate
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.flows.parts import ExchangeParts
from ioint_node.privacy.explain import explain
from ioint_node.privacy.gate import (
    Everyday,
    Hold,
    Outcome,
    Proposal,
    Refuse,
    Release,
    Said,
    Told,
    bucket,
    decide,
    is_update,
    last_said,
    speak_for,
)
from ioint_node.privacy.standing import Matter, covering
from ioint_node.reputation.dossier import PUBLIC
from ioint_node.reputation.gate import OwnRecord
from ioint_node.reputation.novel import too_broad
from ioint_node.store import matches, novel, outgoing, standing
from ioint_node.store.log import KINDS, StoredRecord
from ioint_node.store.matches import Seen
from ioint_node.store.outgoing import Outgoing
from ioint_node.store.times import day_of, from_text, to_text

REPORT_INTENTS: Final = 8
REFRESH: Final = "refresh"
SAID_STATES: Final = frozenset({"ready", "left"})
STATE_OF: Final[Mapping[type, str]] = {Release: "ready", Hold: "held", Refuse: "refused"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A record that could leave: its id, its bytes, what they say field by field, and what the gate decided.

    `kind` is report, sighting or dispute, `bad` the exponent of the count that it says, `category` what a standing
    approval calls it, and `by` the standing approval that lets it leave without being asked for, if one does.
    """

    id: str
    kind: str
    subject: str
    body: bytes = field(repr=False)
    rows: Sequence[Mapping[str, Any]] = field(repr=False)
    readers: Mapping[str, Any] = field(repr=False)
    outcome: Outcome
    bad: int
    category: str
    tlp: str
    by: str | None = None

    @property
    def accuses(self) -> bool:
        """Whether it speaks against its subject."""
        return self.kind != "dispute"

    def to_json(self) -> dict[str, Any]:
        """The draft as `preview` shows it."""
        return {
            "record_id": self.id,
            "pattern": self.subject,
            "bytes_b64": base64.b64encode(self.body).decode("ascii"),
            "bytes": len(self.body),
            "state": STATE_OF[type(self.outcome)],
            "reason": self.outcome.reason,
            "category": self.category,
            "tlp": self.tlp,
            "readers": dict(self.readers),
            "fields": list(self.rows),
        }

    def noted(
        self, now: int, *, state: str | None = None, reason: str | None = None, by: str | None = None
    ) -> Outgoing:
        """The row of what would leave, as the gate decided or as a person did."""
        outcome = self.outcome
        return Outgoing(
            id=self.id,
            kind=self.kind,
            subject=self.subject,
            body=self.body,
            explain=self.rows,
            state=state or STATE_OF[type(outcome)],
            reason=reason or outcome.reason,
            not_before=to_text(outcome.not_before if isinstance(outcome, Release) else now),
            at=to_text(now),
            decided_by=by or self.by,
            category=self.category,
            tlp=self.tlp,
        )


async def draft_report(
    connection: AsyncConnection,
    parts: ExchangeParts,
    pattern: str,
    session_id: str | None,
    *,
    confirmed: bool,
    basis: str,
    now: int,
    ordinary: Rate | None = None,
    label: str | None = None,
    fps: tuple[Fingerprint, ...] = (),
) -> Draft | None:
    """Draft the report of a pattern from what this node has seen of it; None for a pattern that nobody has named.

    Args:
        connection: where it is read.
        parts: the parts of the exchange.
        pattern: its id.
        session_id: the session at hand, which counts as bad.
        confirmed: a session was confirmed, or a person said so.
        basis: `threshold` or `analyst`, who asks for it by name.
        now: Unix milliseconds.
        ordinary: for a novel pattern, how many of own ordinary sessions complete it.
        label: its label of TLP 2.0, the default of the settings when not given.
        fps: keyed fingerprints of values that went with it.
    """
    name = await named(connection, parts, pattern)
    if name is None:
        return None
    today = day_of(now)
    seen = await matches.seen_of(connection, pattern, session_id, today)
    proposal = await _proposal(
        connection,
        parts,
        pattern,
        name,
        seen,
        confirmed=confirmed,
        asked=basis == "analyst",
        ordinary=ordinary,
        now=now,
    )
    report = _report(
        parts, pattern, name, seen, basis=basis, today=today, label=label or parts.label, fps=fps
    )
    return await settled(connection, parts, report, proposal, now, subject=pattern, label=report.tlp)


async def draft_sighting(
    connection: AsyncConnection,
    parts: ExchangeParts,
    pattern: str,
    report: StoredRecord,
    *,
    session_id: str | None,
    now: int,
    refresh: bool = False,
) -> Draft | None:
    """Draft that this node has seen what a report names too; None for a pattern that nobody has named.

    The session at hand counts as bad; `refresh` says again, within its days, what this node has said.
    """
    name = await named(connection, parts, pattern)
    if name is None:
        return None
    today = day_of(now)
    seen = await matches.seen_of(connection, pattern, session_id, today)
    proposal = await _proposal(
        connection, parts, pattern, name, seen, confirmed=True, refresh=refresh, now=now
    )
    sighting = Sighting(of=report.id, seen=bucket(seen.bad), day=today)
    return await settled(connection, parts, sighting, proposal, now, subject=pattern, label=report.tlp)


async def _proposal(
    connection: AsyncConnection,
    parts: ExchangeParts,
    pattern: str,
    name: str | Pattern,
    seen: Seen,
    *,
    confirmed: bool,
    now: int,
    asked: bool = False,
    refresh: bool = False,
    ordinary: Rate | None = None,
) -> Proposal:
    """What the gate is asked about a pattern that this node has seen so often."""
    return Proposal(
        novel=pattern not in parts.catalogue.entries,
        confirmed=confirmed,
        principals=seen.principals,
        bad=bucket(seen.bad),
        benign_rate=await _benign_rate(connection, parts, pattern, ordinary, day_of(now)),
        said=await said_of(connection, pattern, now),
        asked=asked,
        refresh=refresh,
        broad=too_broad(name, parts.taxonomy, parts.novel) if isinstance(name, Pattern) else None,
    )


async def settled(
    connection: AsyncConnection,
    parts: ExchangeParts,
    record: Report | Sighting,
    proposal: Proposal,
    now: int,
    *,
    subject: str,
    label: str,
) -> Draft:
    """What the gate decides of a record, with the standing approvals that hold."""
    matter = _matter(parts, subject, proposal, now)
    lets = None
    if parts.publish_mode == "hold" and not proposal.asked:
        lets = covering(await standing.in_force(connection, now), matter, now)
    return drafted(
        parts,
        record,
        proposal,
        now,
        subject=subject,
        label=label,
        category=matter.category,
        by=None if lets is None else lets.id,
    )


def drafted(
    parts: ExchangeParts,
    record: Report | Sighting | Dispute,
    proposal: Proposal | Everyday,
    now: int,
    *,
    subject: str,
    label: str,
    category: str,
    by: str | None = None,
) -> Draft:
    """What the gate decides of a record; `by` is the standing approval that covers it."""
    body = encode_record(record)
    if isinstance(proposal, Everyday):
        outcome, bad = speak_for(proposal, mode=parts.publish_mode, now=now), 0
    else:
        bad = proposal.bad
        outcome = decide(proposal, mode=parts.publish_mode, now=now, draw=parts.draw, standing=by is not None)
    return Draft(
        id=record_id(body),
        kind=KINDS[type(record)],
        subject=subject,
        body=body,
        rows=explain(body, parts.taxonomy, parts.catalogue, parts.audience(), label=label),
        readers=parts.audience().to_json(label),
        outcome=outcome,
        bad=bad,
        category=category,
        tlp=label,
        by=f"standing:{by}" if by and isinstance(outcome, Release) else None,
    )


def sample_report(parts: ExchangeParts, pattern: str, now: int) -> Draft:
    """What the first report of a catalogue pattern would look like, had it been seen once today."""
    today = day_of(now)
    seen = Seen(bad=1, seen=1, agents=1, principals=1, day_from=today, day_until=today)
    report = _report(parts, pattern, pattern, seen, basis="threshold", today=today, label=parts.label)
    proposal = Proposal(novel=False, confirmed=True, principals=1, bad=0, benign_rate=None, said=None)
    return drafted(parts, report, proposal, now, subject=pattern, label=report.tlp, category="catalogue")


async def named(connection: AsyncConnection, parts: ExchangeParts, pattern: str) -> str | Pattern | None:
    """How a record names a pattern: a catalogue entry by its id, any other by itself; None when nobody named it."""
    if pattern in parts.catalogue.entries:
        return pattern
    belief = parts.beliefs.get(pattern)
    if belief is not None and belief.novel is not None:
        return belief.novel
    return await novel.find_pattern(connection, pattern)


async def said_of(connection: AsyncConnection, subject: str, now: int) -> Said | None:
    """What was said, or is on its way out, within the days in which a pattern is reported once."""
    told = [
        # When it left, or will: not when it was written down, which may be long before.
        Told(
            leaves=from_text(row.left_at or row.not_before),
            bad=None if row.kind == "withdrawal" else bad_of(row),
            refresh=row.category == REFRESH,
        )
        for row in await outgoing.about(connection, subject)
        if row.kind in ("report", "sighting", "withdrawal") and row.state in SAID_STATES
    ]
    return last_said(told, now)


def bad_of(row: Outgoing) -> int:
    """The exponent of the count of bad sessions that a report or a sighting says."""
    field = "bad" if row.kind == "report" else "seen"
    return next((int(leaf["value"]) for leaf in row.explain if leaf["field"] == field), 0)


def _matter(parts: ExchangeParts, subject: str, proposal: Proposal, now: int) -> Matter:
    entry = parts.catalogue.entries.get(subject)
    intents = frozenset(entry.intents) if entry else frozenset[str]()
    if proposal.refresh:
        category = REFRESH
    elif is_update(proposal, now):
        category = "update"
    else:
        category = "subject" if subject.startswith(PUBLIC) else "novel" if proposal.novel else "catalogue"
    return Matter(
        category=category,
        pattern=subject,
        intents=intents,
        layers=frozenset(
            parts.taxonomy.intents[name].layer for name in intents if name in parts.taxonomy.intents
        ),
    )


def _report(
    parts: ExchangeParts,
    pattern: str,
    name: str | Pattern,
    seen: Seen,
    *,
    basis: str,
    today: int,
    label: str,
    fps: tuple[Fingerprint, ...] = (),
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
        tlp=label,
        fps=fps,
    )


async def _benign_rate(
    connection: AsyncConnection, parts: ExchangeParts, pattern: str, ordinary: Rate | None, today: int
) -> float | None:
    """The share of ordinary sessions that complete it: own history, pooled with the signed base rate where known."""
    worth = parts.params.base_worth_sessions
    entry = parts.catalogue.entries.get(pattern)
    if entry is None and ordinary is not None:
        return ordinary.matches / ordinary.sessions if ordinary.sessions else None
    own = (await matches.own_records(connection, (pattern,), today)).get(pattern, OwnRecord())
    sessions = (await matches.rates(connection, {pattern: today}, today))[pattern].sessions
    if entry is not None and entry.base_sessions > 0:
        return (own.benign + worth * entry.base_matches / entry.base_sessions) / (sessions + worth)
    return None if sessions < worth else own.benign / sessions
