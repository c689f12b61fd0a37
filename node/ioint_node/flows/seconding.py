"""What a node says of what was said before: that it still meets it, that it meets it too, that it is everyday work.

A report that stands alone warns little. Three answers make the next one come sooner and the last one stay:

- *refreshing*: a confirmed session met what this node has told before; once a week a sighting keeps it fresh.
- *seconding*: a session left its scope and met what another group reports, and its own risk would not have been told.
  What was not sure enough to accuse by itself is sure enough to confirm, where the pattern is measurably rare here: it
  passes the gate of `reputation.gate`. A session that a person answered for is none. Only a group that is known here
  is answered, and only on as many patterns a week as its reports may act on.
- *speaking for*: other groups accuse what own agents of several people do every day without a bad session. Only where
  `benign_voices` is set, since it tells what this organisation works with.

All of it goes through the privacy gate, as a report does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ioint_protocol import Dispute, Report, Withdrawal
from ioint_protocol.pattern import Rate
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.flows.draft import SAID_STATES, Draft, draft_report, draft_sighting, drafted
from ioint_node.flows.noting import ALREADY_SAID, note
from ioint_node.flows.parts import ExchangeParts
from ioint_node.privacy.gate import PARAMS, Everyday, Refuse
from ioint_node.reputation.dossier import PUBLIC
from ioint_node.reputation.gate import cheap
from ioint_node.reputation.rule import AHEAD_DAYS, LIFE_DAYS, ruled
from ioint_node.reputation.subjects import covers
from ioint_node.store import log, matches, outgoing, overrides
from ioint_node.store.log import StoredRecord
from ioint_node.store.times import day_of, from_text

ANSWERED_AT_ONCE: Final = 256  # subjects that one run looks at
# Codes of `reputation.gate.judge`: why a warning has no effect here that is not worth seconding either.
NOT_SECONDED: Final = frozenset({"allowed_here", "quarantined", "too_broad", "often_wrong_here"})


async def told_of(
    connection: AsyncConnection,
    parts: ExchangeParts,
    pattern: str,
    session_id: str,
    *,
    confirmed: bool,
    departed: bool,
    now: int,
) -> Draft | None:
    """What a session gives to tell of a pattern that it completed: a report, a sighting, or nothing.

    `confirmed` says that its risk is over the publish threshold, `departed` that it left its scope in an action that no
    person answered for. What a person here allowed or disputed, or named as good, is accused by a person only.
    """
    if not confirmed:
        return await seconded(connection, parts, pattern, session_id, now) if departed else None
    if await _is_answered(connection, parts, pattern, now):
        return None
    draft = await draft_report(
        connection, parts, pattern, session_id, confirmed=True, basis="threshold", now=now
    )
    if draft is None or not draft.outcome.reason.startswith(ALREADY_SAID):
        return draft
    return await refreshed(connection, parts, pattern, session_id, now)


async def refreshed(
    connection: AsyncConnection, parts: ExchangeParts, pattern: str, session_id: str, now: int
) -> Draft | None:
    """The sighting that keeps fresh what this node has told of a pattern; None where nothing is to be said."""
    newest = await _newest_report(connection, parts, pattern, now)
    if newest is None or await _is_quiet(connection, parts, pattern, now):
        return None
    draft = await draft_sighting(
        connection, parts, pattern, newest, session_id=session_id, now=now, refresh=True
    )
    return None if draft is None or isinstance(draft.outcome, Refuse) else draft


async def seconded(
    connection: AsyncConnection, parts: ExchangeParts, pattern: str, session_id: str | None, now: int
) -> Draft | None:
    """The sighting of what another group reports and this node meets too; None where nothing is to be said.

    Without a `session_id` it is about the sessions of the last 30 days.
    """
    if not parts.second or pattern.startswith(PUBLIC) or not accusers(parts, pattern):
        return None
    if await _is_quiet(connection, parts, pattern, now) or not await _is_rare(
        connection, parts, pattern, now
    ):
        return None
    answered = await _answered(connection, parts, pattern, now)
    newest = await _newest_report(connection, parts, pattern, now, by=answered) if answered else None
    if newest is None:
        return None
    draft = await draft_sighting(connection, parts, pattern, newest, session_id=session_id, now=now)
    return None if draft is None or isinstance(draft.outcome, Refuse) else draft


async def second(parts: ExchangeParts, now: int) -> int:
    """Second what others report of what was met here in the last 30 days; returns how many sightings may leave."""
    if not parts.second or parts.publish_mode == "off":
        return 0
    async with parts.store.read() as connection:
        met = await matches.met_badly(connection, day_of(now), ANSWERED_AT_ONCE)
        found = [await seconded(connection, parts, pattern, None, now) for pattern in met]
    return await _note_all(parts, found, now)


async def speak_for_everyday(parts: ExchangeParts, now: int) -> int:
    """Dispute what others accuse and own agents do as everyday work; returns how many disputes may leave."""
    if not parts.benign_voices or parts.publish_mode == "off":
        return 0
    async with parts.store.read() as connection:
        everyday = await matches.everyday(
            connection, day_of(now), sessions=PARAMS.everyday_sessions, most=ANSWERED_AT_ONCE
        )
        found = [await _spoken_for(connection, parts, subject, met, now) for subject, met in everyday.items()]
    return await _note_all(parts, found, now)


async def _note_all(parts: ExchangeParts, found: Sequence[Draft | None], now: int) -> int:
    drafts = [draft for draft in found if draft is not None]
    if not drafts:
        return 0

    async def write(connection: AsyncConnection) -> int:
        return sum([await note(connection, draft, now) for draft in drafts])

    ready = await parts.store.write(write)
    if ready:
        parts.flush_soon()
    return ready


def accusers(parts: ExchangeParts, subject: str) -> frozenset[str]:
    """The groups other than our own that accuse a pattern or subject now."""
    belief, roster = parts.beliefs.get(subject), parts.roster()
    us = roster.member(parts.member) if roster and parts.member else None
    if belief is None or us is None:
        return frozenset()
    return frozenset(belief.accusers) - {us.group}


async def _answered(
    connection: AsyncConnection, parts: ExchangeParts, pattern: str, now: int
) -> frozenset[str]:
    """The accusing groups that this node knows, and whose first report of the pattern is within their weekly quota.

    A sighting tells what was met here: a report of everything there is must not be a question about all of it.
    """
    roster, today = parts.roster(), day_of(now)
    if roster is None:
        return frozenset()
    firsts = (await matches.first_reports_of(connection, (pattern,))).get(pattern, ())
    counted = {one.group for one in firsts if one.counts and one.day > today - matches.WINDOW_DAYS}
    here, days = parts.standpoint, parts.params.shadow_days
    return frozenset(
        group for group in accusers(parts, pattern) & counted if here.knows(group, roster, today, days)
    )


async def _spoken_for(
    connection: AsyncConnection, parts: ExchangeParts, subject: str, met: matches.Everyday, now: int
) -> Draft | None:
    """The dispute of the newest accusation of what is everyday work here; None where nothing is to be said."""
    against = accusers(parts, subject)
    if not against or not _may_be_named(parts, subject):
        return None
    spoken = await _disputes(connection, subject)
    newest = await _newest_report(connection, parts, subject, now, by=against)
    if newest is None:
        return None
    draft = drafted(
        parts,
        Dispute(of=newest.id, reason="expected_use", day=day_of(now)),
        Everyday(
            benign=met.benign,
            flagged=met.flagged,
            principals=met.principals,
            spoken_day=max(spoken, default=None),
        ),
        now,
        subject=subject,
        label=newest.tlp,
        category="",
    )
    return None if isinstance(draft.outcome, Refuse) else draft


async def _disputes(connection: AsyncConnection, subject: str, *, by_people: bool = False) -> list[int]:
    """The UTC days on which this node, or a person of it, spoke for a subject; or a person alone."""
    return [
        day_of(from_text(row.left_at or row.not_before))
        for row in await outgoing.about(connection, subject)
        if row.kind == "dispute" and row.state in SAID_STATES and (row.decided_by or not by_people)
    ]


def _may_be_named(parts: ExchangeParts, subject: str) -> bool:
    """Whether speaking for it tells no more than one entry of a public list: a novel pattern could be our own."""
    return subject.startswith(PUBLIC) or subject in parts.catalogue.entries


async def _is_quiet(connection: AsyncConnection, parts: ExchangeParts, pattern: str, now: int) -> bool:
    """Whether a person here, or a guard of this node, holds the pattern for no warning."""
    belief = parts.beliefs.get(pattern)
    if belief is not None and belief.reason in NOT_SECONDED:
        return True
    held = await overrides.active(connection, now, subject=pattern, kind="mute")
    if held or await _is_answered(connection, parts, pattern, now):
        return True
    return any(day_of(now) - day < LIFE_DAYS for day in await _disputes(connection, pattern))


async def _is_answered(connection: AsyncConnection, parts: ExchangeParts, pattern: str, now: int) -> bool:
    """Whether the people of this organisation say that a pattern is no harm: allowed, disputed, or a canary."""
    if covers(parts.standpoint.canaries, pattern):
        return True
    if await overrides.active(connection, now, subject=pattern, kind="allow"):
        return True
    spoken = await _disputes(connection, pattern, by_people=True)
    return any(day_of(now) - day < LIFE_DAYS for day in spoken)


async def _is_rare(connection: AsyncConnection, parts: ExchangeParts, pattern: str, now: int) -> bool:
    """Whether the pattern passes this node's own gate: who seconds what ordinary work completes echoes slander."""
    today = day_of(now)
    firsts = (await matches.first_reports_of(connection, (pattern,))).get(pattern, ())
    recent = [first.day for first in firsts if first.day > today - matches.WINDOW_DAYS]
    entry, belief = parts.catalogue.entries.get(pattern), parts.beliefs.get(pattern)
    base = None if entry is None else Rate(matches=entry.base_matches, sessions=entry.base_sessions)
    since = (belief.measured_from if belief else None) or today + 1
    own = await matches.rates(
        connection,
        {pattern: min(recent, default=today)},
        today,
        measured_from={} if entry else {pattern: since},
    )
    return cheap(own[pattern], base, parts.params).open


async def _newest_report(
    connection: AsyncConnection,
    parts: ExchangeParts,
    subject: str,
    now: int,
    *,
    by: frozenset[str] | None = None,
) -> StoredRecord | None:
    """The newest live report about a subject of an active member, of one of these groups where they are given.

    One that was judged false is none: a sighting of it would say nothing.
    """
    roster, today = parts.roster(), day_of(now)
    if roster is None:
        return None
    about = await log.records_about(connection, (subject,), since_day=today - LIFE_DAYS + 1)
    said = about.get(subject, ())
    gone = {(one.author, one.record.of) for one in said if isinstance(one.record, Withdrawal)}
    gone |= ruled(roster, today).void
    live = []
    for one in said:
        member = roster.member(one.author)
        if member is None or member.state != "active" or not isinstance(one.record, Report):
            continue
        heard = one.day <= today + AHEAD_DAYS and (one.author, one.id) not in gone
        if heard and (by is None or member.group in by):
            live.append(one)
    return max(live, key=lambda one: (one.day, one.id), default=None)
