"""From a session that was found bad to bytes that leave: propose, decide, flush.

What would leave is written down as exact bytes before anything else happens to it, with a reason for every field. Only
those bytes are signed, after one more check of what is in them, and they stay listed for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from ioint_protocol import (
    Dispute,
    Report,
    Roster,
    Sighting,
    VerifiedSegment,
    build_segment,
    decode_record,
    parse_segment,
    verify_segment,
)
from msgspec import structs
from nacl.signing import SigningKey
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import ConflictError, NotFoundError
from ioint_node.flows import ownlog
from ioint_node.flows.believe import Believed, enter, put_in_force
from ioint_node.flows.draft import REFRESH, drafted, said_of
from ioint_node.flows.journal import LocalSighting
from ioint_node.flows.noting import note
from ioint_node.flows.ownlog import Halted, Lost, Next
from ioint_node.flows.parts import ExchangeParts, News
from ioint_node.flows.seconding import told_of
from ioint_node.flows.spread import pass_on
from ioint_node.privacy.egress import check_segment
from ioint_node.privacy.gate import Everyday, Proposal, Release
from ioint_node.reputation.dossier import PUBLIC
from ioint_node.reputation.rule import LIFE_DAYS
from ioint_node.store import log, novel, outgoing
from ioint_node.store.log import Arrival
from ioint_node.store.novel import NovelCase
from ioint_node.store.outgoing import Outgoing
from ioint_node.store.times import day_of

FLUSH_SEGMENTS: Final = 16  # in one call of `flush`
PUBLISH_OFF: Final = 'publish is off: set publish = "hold" in config.toml to send single records'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sender:
    """All that signing needs, once it is certain that others will accept the signature."""

    member: str
    key: SigningKey = field(repr=False)
    roster: Roster
    consortium: str


LEAVING: Final = "this node is leaving the consortium"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flushed:
    records: int = 0
    believed: Believed = field(default_factory=Believed)
    news: tuple[News, ...] = ()


async def propose(
    connection: AsyncConnection, parts: ExchangeParts, sighting: LocalSighting, now: int
) -> None:
    """Note what this session gives to tell, in the transaction that notes the session itself.

    A pattern that was told already, and whose count has not doubled, leaves no trace but a sighting a week, which keeps
    fresh what was told; so does one that waits for a person, or was refused by one. A session that left its scope, and
    is not confirmed, seconds what another group reports. A session that is confirmed and completed no pattern that has
    a name becomes a case, which `flows.novel` looks at outside this transaction.
    """
    ready = False
    for pattern in sorted(set(sighting.patterns)):
        draft = await told_of(
            connection,
            parts,
            pattern,
            sighting.session_id,
            confirmed=sighting.confirmed,
            departed=sighting.departed,
            now=now,
        )
        if draft is not None:
            ready = await note(connection, draft, now) or ready
    if sighting.confirmed and not sighting.patterns and sighting.path:
        case = NovelCase(
            session_id=sighting.session_id,
            actor=sighting.actor,
            principal=sighting.principal,
            step=sighting.step,
            path=sighting.path,
        )
        await novel.add_case(connection, case, now)
    if ready:
        parts.flush_soon()
    # How many met it, and how, bears on what is believed here: within seconds, and not by the hour.
    parts.dossiers.anew.subjects([p for p in sighting.patterns if _acts(parts, p)])


def _acts(parts: ExchangeParts, pattern: str) -> bool:
    belief = parts.beliefs.get(pattern)
    return belief is not None and belief.effect > 0


async def decide(
    parts: ExchangeParts, record: str, approve: bool, by: str, now: int, *, label: str | None = None
) -> dict[str, Any]:
    """Let a held record leave, or never; returns it as the API shows it.

    An operator who lets it leave may give it another label: it is another record then, in place of the one that waited.
    It leaves when the gate says so, which is in an emission slot for a novel pattern and a count above 4.

    Raises:
        NotFoundError: no such record.
        ConflictError: it is not held, publishing is off, or the same was said meanwhile.
    """
    if approve and parts.publish_mode == "off":
        raise ConflictError(PUBLISH_OFF)

    async def write(connection: AsyncConnection) -> Outgoing:
        held = await outgoing.get(connection, record)
        if held is None:
            raise NotFoundError(f"no record {record[:64]!r} waits here")
        if held.state != "held":
            raise ConflictError(f"record {record[:12]} is {held.state}, not held")
        if not approve:
            await outgoing.decide(
                connection, record, state="refused", reason="refused by an operator", not_before=now, by=by
            )
        else:
            record_id_ = await _approve(connection, parts, held, by=by, now=now, label=label)
            return await _existing(connection, record_id_)
        return await _existing(connection, record)

    decided = await parts.store.write(write)
    if approve:
        await flush(parts, now)
    return decided.to_json()


async def _approve(
    connection: AsyncConnection,
    parts: ExchangeParts,
    held: Outgoing,
    *,
    by: str,
    now: int,
    label: str | None,
) -> str:
    """Let a held report leave as the gate says, and return its id, which another label changes."""
    record, proposal = await _held(connection, parts, held, now)
    if label is not None and label != held.tlp:
        if not isinstance(record, Report):
            raise ConflictError(f"a {held.kind} has the label of the report that it names: {held.tlp}")
        record = structs.replace(record, tlp=label)
    draft = drafted(
        parts, record, proposal, now, subject=held.subject, label=label or held.tlp, category=held.category
    )
    if not isinstance(draft.outcome, Release):
        raise ConflictError(f"record {held.id[:12]} cannot leave: {draft.outcome.reason}")
    reason = f"approved by an operator: {draft.outcome.reason}"
    if draft.id != held.id:
        reason += f"; labelled {label}, in place of record {held.id[:12]}"
    if draft.id == held.id:
        await outgoing.decide(
            connection, held.id, state="ready", reason=reason, not_before=draft.outcome.not_before, by=by
        )
        return held.id
    await outgoing.decide(
        connection, held.id, state="refused", reason=f"leaves labelled {label}", not_before=now, by=by
    )
    if not await outgoing.add(connection, draft.noted(now, reason=reason, by=by)):
        raise ConflictError(f"these bytes were decided before as record {draft.id[:12]}")
    return draft.id


async def _held(
    connection: AsyncConnection, parts: ExchangeParts, held: Outgoing, now: int
) -> tuple[Report | Sighting | Dispute, Proposal | Everyday]:
    """What a held record says, and as what the gate is asked for it now: whoever has seen the bytes decides."""
    record = decode_record(held.body)
    if isinstance(record, Dispute):
        return record, Everyday(approved=True)
    if not isinstance(record, Report | Sighting):
        raise AssertionError("only reports, sightings and disputes are held")
    proposal = Proposal(
        novel=not held.subject.startswith(PUBLIC) and held.subject not in parts.catalogue.entries,
        confirmed=True,
        principals=0,
        bad=record.bad if isinstance(record, Report) else record.seen,
        benign_rate=None,
        said=await said_of(connection, held.subject, now),
        approved=True,
        refresh=held.category == REFRESH,
    )
    return record, proposal


async def _existing(connection: AsyncConnection, record: str) -> Outgoing:
    decided = await outgoing.get(connection, record)
    if decided is None:
        raise AssertionError("a row vanished within its transaction")
    return decided


async def halted(connection: AsyncConnection, parts: ExchangeParts) -> str | None:
    """Why this node signs nothing and what to do about it, for `status` and `doctor`; None when it may sign."""
    if parts.member is None:
        return None
    found = await ownlog.outlook(connection, parts, parts.member)
    return found.reason if isinstance(found, Halted) else None


async def flush(parts: ExchangeParts, now: int) -> int:
    """Sign what is ready into our own log and pass it on (`flows.spread`); returns how many records left.

    Before the first contact since the start nothing is signed: members may hold more of our log than we do. Under
    `publish = off` nothing is, whatever was decided before.
    """
    total = 0
    if parts.publish_mode == "off" or not parts.in_contact():
        return total
    for _ in range(FLUSH_SEGMENTS):
        sender = _sender(parts)
        if sender is None:
            break
        flushed = await parts.store.write(partial(_flush, parts=parts, sender=sender, now=now))
        if flushed.records == 0:
            break
        total += flushed.records
        put_in_force(parts, flushed.believed)
        parts.notify()
        for news in flushed.news:
            parts.announce(news)
    return total


def _sender(parts: ExchangeParts) -> _Sender | None:
    """Who signs; None while this node is no active member."""
    roster, consortium = parts.roster(), parts.consortium()
    if roster is None or consortium is None or parts.member is None or parts.record_key is None:
        return None
    us = roster.member(parts.member)
    if us is None or us.state != "active":
        return None
    return _Sender(member=parts.member, key=parts.record_key, roster=roster, consortium=consortium)


async def _flush(connection: AsyncConnection, *, parts: ExchangeParts, sender: _Sender, now: int) -> _Flushed:
    """One segment. All reading happens here, within the write: nothing can become ready in between and be lost."""
    match await ownlog.outlook(connection, parts, sender.member):
        case Halted():
            return _Flushed()
        case Lost(segment=segment):
            await ownlog.note_left(connection, parts, segment, now)
        case Next(seq=seq, prev=prev):
            if parts.farewell.begun:
                await outgoing.refuse_unsaid(connection, LEAVING)
            ready = await outgoing.ready(connection, now, parts.limits.flush_records)
            key = parts.later_key(seq + 1) or sender.key
            if not ready or not _may_sign(sender, seq + 1, key):
                return _Flushed()
            bodies = [record.body for record in ready]
            segment = await _sign(
                connection, parts, replace(sender, key=key), bodies, seq=seq, prev=prev, now=now
            )
            ownlog.fasten(parts.anchor, segment.wire)
            await outgoing.mark_left(connection, [record.id for record in ready], segment.seq, now)
    arrivals = [Arrival(segment=segment)]
    return _Flushed(
        records=len(segment.records),
        news=await pass_on(connection, parts, arrivals, sender.roster, now),
        believed=await enter(connection, parts, sender.roster, arrivals, now),
    )


def _may_sign(sender: _Sender, seq: int, key: SigningKey) -> bool:
    """Whether the roster names this key for this segment: until it does, records wait."""
    us = sender.roster.member(sender.member)
    return us is not None and us.record_key_at(seq) == bytes(key.verify_key).hex()


async def _sign(
    connection: AsyncConnection,
    parts: ExchangeParts,
    sender: _Sender,
    bodies: Sequence[bytes],
    *,
    seq: int,
    prev: str,
    now: int,
) -> VerifiedSegment:
    """Sign the segment that follows number `seq`, whose hash is `prev`."""
    # Never lower than what was signed before: a withdrawal that members brought back counts from the day of its return.
    signed = await log.known(connection, sender.member, seq)
    low = max(
        signed.low, await log.lowest_live(connection, sender.member, day_of(now) - LIFE_DAYS) or seq + 1
    )
    wire = build_segment(sender.key, sender.consortium, sender.member, seq + 1, prev, low, bodies)
    check_segment(wire, parts.taxonomy, parts.catalogue)
    # Others will verify these bytes: if they would not, better to find out before they are our history.
    return verify_segment(parse_segment(wire), sender.consortium, sender.roster)
