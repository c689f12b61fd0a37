"""What a person says to the other members by name: this is real, this is a false positive, we take it back.

Asking for it is the decision: it is not shown first, its bytes are listed afterwards with who asked. What the gate
keeps back for the sake of others stays back all the same: a pattern that is not specific, a count that has not doubled,
a novel pattern of fewer than five people whose bytes no operator has seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from ioint_protocol import (
    Dispute,
    Fingerprint,
    Pattern,
    Record,
    Report,
    Withdrawal,
    encode_record,
    record_id,
    record_pattern,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import ConflictError, NotFoundError, RequestError
from ioint_node.flows.draft import Draft, draft_report, named, said_of, settled
from ioint_node.flows.evidence import REMEMBERED_DAYS
from ioint_node.flows.noting import note
from ioint_node.flows.novel import own_rates
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.publish import PUBLISH_OFF, flush
from ioint_node.privacy.explain import explain
from ioint_node.privacy.fingerprints import fingerprint
from ioint_node.privacy.gate import Proposal, Refuse, bucket
from ioint_node.privacy.names import generalised, why_not_public
from ioint_node.reputation.novel import too_broad
from ioint_node.reputation.rule import DISPUTE_DAYS, LIFE_DAYS
from ioint_node.store import labels, log, matches, outgoing
from ioint_node.store.log import StoredRecord
from ioint_node.store.matches import Seen
from ioint_node.store.outgoing import Outgoing
from ioint_node.store.times import day_of, day_text, to_text

NAMES_COMPARED = 50_000  # subjects of other members that a name is looked for in


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What came of an opinion: the record, and whether it leaves or waits for an operator (`ready`, `held`).

    `subject` is what it is about as the members read it.
    """

    subject: str

    record: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disputed:
    """A dispute that leaves: its record, the report that it disputes, who signed that, and the UTC day it lapses on."""

    record: str
    report: str
    reporter: str
    deadline: int


async def confirm_pattern(
    parts: ExchangeParts,
    pattern: str,
    *,
    by: str,
    now: int,
    label: str | None = None,
    fps: tuple[Fingerprint, ...] = (),
) -> Said:
    """Report a pattern on an analyst's word, from what this node has seen of it.

    Raises:
        NotFoundError: the pattern is not known.
        ConflictError: it was not met here, the gate refuses it, or publishing is off.
    """
    _check_on(parts)
    async with parts.store.read() as connection:
        own = await matches.own_records(connection, (pattern,), day_of(now))
        name = await named(connection, parts, pattern)
    # What ordinary work completes is measured before the question is put to the gate: it takes a while.
    rates = await own_rates(parts, {pattern: name} if isinstance(name, Pattern) else {}, now)
    async with parts.store.read() as connection:
        draft = await draft_report(
            connection,
            parts,
            pattern,
            None,
            confirmed=True,
            basis="analyst",
            now=now,
            ordinary=rates.get(pattern),
            label=label,
            fps=fps,
        )
    if draft is None:
        raise NotFoundError(f"no pattern {pattern[:64]!r}")
    if pattern not in own:
        raise ConflictError(
            "this pattern was not met here in the last 30 days: there is nothing of ours to report"
        )
    return await _say(parts, draft, by=by, now=now)


async def confirm_subject(
    parts: ExchangeParts,
    subject: str,
    *,
    intents: Sequence[str],
    exact: bool,
    by: str,
    now: int,
    label: str | None = None,
) -> Said:
    """Report a public package, image, repository or model on an analyst's word.

    Args:
        parts: the parts of the exchange.
        subject: a package URL of a type whose default registry is public.
        intents: what it was seen to be for, as slugs of risky intents.
        exact: its whole version is the point; otherwise only what comes before the patch version leaves.
        by: who asks.
        now: Unix milliseconds.
        label: its label of TLP 2.0.

    Raises:
        RequestError: no such intent, or no package URL that the protocol has.
        ConflictError: its name is not known to be public, it was said before, or publishing is off.
    """
    _check_on(parts)
    unknown = [name for name in intents if name not in parts.taxonomy.intents]
    if unknown:
        near = get_close_matches(unknown[0][:64], parts.taxonomy.intents, 1)
        meant = (
            f"did you mean {near[0]}?" if near else f"they are {', '.join(sorted(parts.taxonomy.intents))}"
        )
        raise RequestError(f"intents: {unknown[0][:64]!r} is no risky intent of the taxonomy: {meant}")
    told = subject if exact else generalised(subject)
    async with parts.store.read() as connection:
        said_by_others = await labels.public_subjects(connection, parts.member, NAMES_COMPARED)
        refusal = why_not_public(
            told, snapshot=parts.public_names, said=said_by_others, private=parts.private_names
        )
        if refusal is not None:
            raise ConflictError(refusal)
        said = await said_of(connection, told, now)
        seen = await matches.seen_of(connection, told, None, day_of(now))
        proposal = Proposal(
            novel=False,
            confirmed=True,
            principals=1,
            bad=bucket(seen.bad),
            benign_rate=None,
            said=said,
            asked=True,
        )
        report = _subject_report(parts, told, intents, seen, label=label, now=now)
        draft = await settled(connection, parts, report, proposal, now, subject=told, label=report.tlp)
    return await _say(parts, draft, by=by, now=now)


def fingerprints(parts: ExchangeParts, values: Sequence[str]) -> tuple[Fingerprint, ...]:
    """Keyed fingerprints of values that an analyst names, in the order that the protocol asks for.

    Raises:
        ConflictError: fingerprints are off, or there is no key.
        RequestError: a value could be guessed; the message says which, and does not repeat it.
    """
    if not values:
        return ()
    if parts.fingerprint_key is None:
        raise ConflictError(
            "no fingerprint leaves here: set fingerprints = true in config.toml, and put the consortium's key of this "
            "epoch into keys/fingerprints.json"
        )
    made = set()
    for index, value in enumerate(values):
        try:
            made.add(fingerprint(value, parts.fingerprint_key))
        except ValueError as error:
            raise RequestError(f"values[{index}]: {error}") from None
    return tuple(sorted(made, key=lambda one: (one.scheme, one.epoch, one.mac)))


async def dispute_pattern(parts: ExchangeParts, pattern: str, *, reason: str, by: str, now: int) -> Disputed:
    """Speak for a pattern or subject: dispute the newest report about it that stands.

    Raises:
        NotFoundError: nobody else has reported it, or all of it was taken back.
        ConflictError: this node signed or disputes that report itself, or publishing is off.
    """
    async with parts.store.read() as connection:
        said = await _said_of(connection, pattern, now)
    gone = {(s.author, s.of) for s in said if s.kind == "withdrawal"}
    standing = [s for s in said if (s.author, s.id) not in gone]
    reports = [s for s in standing if s.kind == "report" and day_of(now) - s.day < LIFE_DAYS]
    others = [s for s in reports if s.author != parts.member]
    if not others:
        ours = "; take back what this node said with a withdrawal" if reports else ""
        raise NotFoundError(f"no report of another member stands: there is nothing to dispute{ours}")
    newest = max(others, key=lambda s: (s.day, s.id))
    for own in (s for s in standing if s.author == parts.member):
        if own.id == newest.id:
            raise ConflictError("this node signed the same report: take that back before disputing it")
        if own.kind == "dispute" and own.of == newest.id:
            raise ConflictError(
                f"this node disputes the newest report already, since {day_text(own.day)}: that lapses on "
                f"{day_text(own.day + DISPUTE_DAYS)} if no ruling takes it up, and is not said twice"
            )
    dispute = Dispute(of=newest.id, reason=reason, day=day_of(now))
    return Disputed(
        record=await publish_record(parts, dispute, by=by, now=now),
        report=newest.id,
        reporter=newest.author,
        deadline=dispute.day + DISPUTE_DAYS,
    )


async def withdraw_pattern(
    parts: ExchangeParts, pattern: str, *, reason: str, by: str, now: int
) -> list[str]:
    """Take back all that this node said of a pattern or subject; returns the ids of the withdrawals.

    Raises:
        NotFoundError: this node said nothing of it, or took it all back before.
        ConflictError: publishing is off.
    """
    async with parts.store.read() as connection:
        said = await _said_of(connection, pattern, now)
    ours = [s for s in said if s.author == parts.member]
    gone = {s.record.of for s in ours if isinstance(s.record, Withdrawal)}
    # All of them: else an older report would speak again where the newest was taken back.
    standing = [s.id for s in ours if s.kind != "withdrawal" and s.id not in gone]
    if not standing:
        raise NotFoundError("this node has said nothing of it that stands")
    return [
        await publish_record(parts, Withdrawal(of=each, reason=reason), by=by, now=now) for each in standing
    ]


async def _say(parts: ExchangeParts, draft: Draft, *, by: str, now: int) -> Said:
    """Let a report that a person asked for leave, or wait for an operator.

    Raises:
        ConflictError: the gate refuses it.
    """
    if isinstance(draft.outcome, Refuse):
        raise ConflictError(draft.outcome.reason)

    async def write(connection: AsyncConnection) -> None:
        await note(connection, draft, now, by=by)

    await parts.store.write(write)
    await flush(parts, now)
    async with parts.store.read() as connection:
        row = await outgoing.get(connection, draft.id)
    if row is None:  # the same waits already, in the bytes of another day
        return Said(subject=draft.subject, record=draft.id, state="held", reason=draft.outcome.reason)
    return Said(
        subject=draft.subject,
        record=row.id,
        state="held" if row.state == "held" else "ready",
        reason=row.reason,
    )


async def publish_record(parts: ExchangeParts, record: Record, *, by: str, now: int) -> str:
    """Send a record that a person asked for as it is, such as a dispute or a withdrawal. Returns its id.

    Raises:
        ConflictError: publishing is off, or it is about a novel pattern that is not specific.
        EgressError: it holds something that may not leave.
    """
    _check_on(parts)
    _check_specific(parts, record.pat if isinstance(record, Report) else None)
    body = encode_record(record)
    name = record_id(body)

    async def write(connection: AsyncConnection) -> None:
        subject, label = await _about(connection, parts, record)
        made = Outgoing(
            id=name,
            kind=log.KINDS[type(record)],
            subject=subject,
            body=body,
            explain=explain(body, parts.taxonomy, parts.catalogue, parts.audience(), label=label),
            state="ready",
            reason="asked for by an operator",
            not_before=to_text(now),
            at=to_text(now),
            decided_by=by,
            tlp=label,
        )
        await outgoing.add(connection, made)

    await parts.store.write(write)
    await flush(parts, now)
    return name


async def _about(connection: AsyncConnection, parts: ExchangeParts, record: Record) -> tuple[str, str]:
    """The subject of a record and its label: its own, or that of what it names."""
    if isinstance(record, Report):
        return record_pattern(record) or record.subj or "", record.tlp
    return await log.subject_of(connection, record.of), await labels.label_of(
        connection, record.of, parts.member
    )


def _check_specific(parts: ExchangeParts, pattern: object) -> None:
    """Let no person send what would warn others of everyday work.

    Raises:
        ConflictError: a novel pattern is too broad.
    """
    broad = too_broad(pattern, parts.taxonomy, parts.novel) if isinstance(pattern, Pattern) else None
    if broad is not None:
        raise ConflictError(f"this pattern is not specific: {broad}")


def _subject_report(
    parts: ExchangeParts, subject: str, intents: Sequence[str], seen: Seen, *, label: str | None, now: int
) -> Report:
    """The report of a subject: where local names are mapped to it, with the sessions that went through it."""
    today = day_of(now)
    bad, agents = bucket(seen.bad), bucket(seen.agents)
    return Report(
        tax=parts.taxonomy.version,
        kind="subject",
        subj=subject,
        intents=tuple(sorted(set(intents))),
        basis="analyst",
        bad=bad,
        seen=max(bucket(seen.seen), bad, agents),
        agents=agents,
        day_from=max(min(seen.day_from, today), today - matches.WINDOW_DAYS),
        day_until=today,
        det=parts.detector,
        tlp=label or parts.label,
    )


def _check_on(parts: ExchangeParts) -> None:
    if parts.publish_mode == "off":
        raise ConflictError(PUBLISH_OFF)


async def _said_of(connection: AsyncConnection, subject: str, now: int) -> tuple[StoredRecord, ...]:
    since = day_of(now) - REMEMBERED_DAYS
    return (await log.records_about(connection, (subject,), since_day=since)).get(subject, ())
