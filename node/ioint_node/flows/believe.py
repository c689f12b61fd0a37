"""What is believed of a pattern or subject: concluded anew whenever something is said about it.

`enter` stores segments and takes what they say into the dossiers of their subjects; `evidence.examine` adds what only
this node knows; `believe` draws the conclusions and writes indicator and stream rows in the transaction that brought
the evidence. What it returns is put in force by the caller after the commit, and forgotten when there is none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from ioint_protocol import (
    Pattern,
    Roster,
    parse_pattern,
    pattern_value,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.filtering import TOLD
from ioint_node.flows import standpoint
from ioint_node.flows.evidence import (
    NOTHING_LOOKED_FOR,
    REMEMBERED_DAYS,
    Case,
    Decided,
    decisions,
    examine,
    learn,
    missing_general,
    open_dossiers,
    unlearned,
)
from ioint_node.flows.parts import ExchangeParts
from ioint_node.reputation.beliefs import Belief
from ioint_node.reputation.dossier import LABELS, NOTHING_GENERAL, Concluded, Dossier, FirstReport
from ioint_node.reputation.gate import Candidate, Local, allocate, judge, within_quota
from ioint_node.reputation.lineage import lineage
from ioint_node.reputation.novel import Claim, places
from ioint_node.reputation.subjects import touches
from ioint_node.reputation.view import Facts, Sightings, indicator_row, touched, trend, valid_until
from ioint_node.store import indicators, log, matches, stream
from ioint_node.store.clearance import visible
from ioint_node.store.indicators import ACTED_ON, HEARD
from ioint_node.store.log import Arrival
from ioint_node.store.matches import WINDOW_DAYS
from ioint_node.store.times import DAY_MS, day_of, from_text

CHUNK_SUBJECTS: Final = 50  # concluded in one transaction, before others have their turn
PAUSE_S: Final = 0.001  # between two of them
FORGOTTEN_AT_ONCE: Final = 1_000  # indicators of which nothing is known any more, in one transaction
LEARNED: Final = 256  # novel patterns of which is learned at a time what they are special cases of
DEFAULT_LABEL: Final = "amber"  # of what no report is known
journal = logging.getLogger(__name__)
NEVER: Final = Concluded(heard=(), effect=0.0, withdrawn=0, seq=0, digest=b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Believed:
    """What a transaction came to believe, to be put in force once it is committed.

    `accusers` names a group once for each subject that it accuses now and did not before, `uncounted` the groups of
    which that is not known; `special` are special cases of patterns that are accused otherwise now, `novel` patterns
    of which is to be learned what they are special cases of.
    """

    beliefs: tuple[Belief, ...] = ()
    dossiers: tuple[Dossier, ...] = ()
    accusers: tuple[str, ...] = ()
    uncounted: frozenset[str] = frozenset()
    special: tuple[str, ...] = ()
    novel: Mapping[str, Pattern] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """What is believed of one subject now: its indicator row, how that came about, and what engines must hear."""

    dossier: Dossier
    row: dict[str, Any]
    details: Mapping[str, Any]
    event: str | None
    news: Mapping[str, Any]
    novel: Pattern | None


async def enter(
    connection: AsyncConnection, parts: ExchangeParts, roster: Roster, arrivals: Sequence[Arrival], now: int
) -> Believed:
    """Store segments that are next in their authors' logs, and believe what they say."""
    stored = await log.add_segments(connection, arrivals, now)
    dossiers, read = await open_dossiers(
        connection, parts, stored.said.keys() | stored.stale, fresh=stored.stale
    )
    for subject, said in stored.said.items():
        if subject not in read:
            dossiers[subject].add(said)
    groups = [
        (member.group, subjects)
        for author, subjects in stored.reported
        if (member := roster.member(author)) is not None
    ]
    noted = await _first_reports(connection, parts, groups, dossiers, day_of(now))
    await matches.add_first_reports(connection, noted)
    believed = await _conclude_all(connection, parts, dossiers, now)
    # A statement that came before the report it names, or twice, does not say what was counted before.
    accusers = [
        group
        for subject in stored.said.keys() - stored.stale
        for group in parts.dossiers.newly_accusing(
            dossiers[subject], stored.said[subject], roster, day_of(now)
        )
    ]
    return replace(believed, accusers=tuple(accusers), uncounted=_speaking_of(roster, dossiers, stored.stale))


def _speaking_of(
    roster: Roster, dossiers: Mapping[str, Dossier], subjects: Collection[str]
) -> frozenset[str]:
    authors = {author for subject in subjects for author in dossiers[subject].said}
    members = [member for author in authors if (member := roster.member(author)) is not None]
    return frozenset(member.group for member in members)


async def believe(
    connection: AsyncConnection,
    parts: ExchangeParts,
    subjects: Collection[str],
    now: int,
    *,
    looked_from: Mapping[str, int] = NOTHING_LOOKED_FOR,
) -> Believed:
    """Draw the conclusions about some subjects anew, and write what changed.

    Without a roster in force nothing is concluded: what was believed fades with the silence of the network.
    `looked_from` are the days since which novel patterns were now looked for.
    """
    if parts.roster() is None or not subjects:
        return Believed()
    dossiers, _ = await open_dossiers(connection, parts, frozenset(subjects))
    return await _conclude_all(connection, parts, dossiers, now, looked_from)


async def _conclude_all(
    connection: AsyncConnection,
    parts: ExchangeParts,
    dossiers: Mapping[str, Dossier],
    now: int,
    looked_from: Mapping[str, int] = NOTHING_LOOKED_FOR,
) -> Believed:
    roster = parts.roster()
    if roster is None or not dossiers:
        return Believed()
    _demote(parts, roster, dossiers, now)
    cases, general = await _examine(connection, parts, roster, dossiers, now, looked_from=looked_from)
    # Entries that are special cases of others are few: what they are given or lose is true in the same transaction.
    close = frozenset(_special_cases(parts, cases)) & parts.catalogue.entries.keys()
    if close:
        nearby, _ = await open_dossiers(connection, parts, close - general.keys())
        nearby |= {name: general[name] for name in general.keys() & close}
        more, above = await _examine(connection, parts, roster, nearby, now, known={**general, **dossiers})
        cases, general = cases | more, general | above
    placed, displaced = _share_places(parts, cases)
    fits, moved = _share_budget(parts, cases)
    if moved or displaced:
        # What now comes first, or no longer does, changes what else fits. One round is enough: it changes no evidence.
        others, _ = await open_dossiers(connection, parts, {*moved, *displaced} - general.keys())
        others |= {name: general[name] for name in general.keys() & {*moved, *displaced}}
        known = {**general, **{name: case.dossier for name, case in cases.items()}}
        more, above = await _examine(connection, parts, roster, others, now, known=known)
        cases, general = cases | more, general | above
    conclusions = [
        _conclude(
            parts,
            case,
            roster,
            fits=case.subject in fits,
            measured_from=(case.measured_from or day_of(now) + 1) if case.subject in placed else None,
            today=day_of(now),
        )
        for case in cases.values()
    ]
    drawn = [c for c in conclusions if c is not None]
    return Believed(
        beliefs=await _write(connection, drawn, now),
        dossiers=(
            *(case.dossier for case in cases.values()),
            *(d for s, d in general.items() if s not in cases),
        ),
        special=_special_cases(parts, cases),
        novel=unlearned(parts, dossiers),
    )


async def _examine(
    connection: AsyncConnection,
    parts: ExchangeParts,
    roster: Roster,
    dossiers: Mapping[str, Dossier],
    now: int,
    *,
    known: Mapping[str, Dossier] = NOTHING_GENERAL,
    looked_from: Mapping[str, int] = NOTHING_LOOKED_FOR,
) -> tuple[dict[str, Case], dict[str, Dossier]]:
    """The cases, and the dossiers of more general patterns that were opened for them beside those that are `known`."""
    wanted = missing_general(parts, dossiers)
    opened, _ = await open_dossiers(connection, parts, wanted - known.keys())
    above = {**known, **opened}
    cases = await examine(connection, parts, roster, dossiers, now, general=above, looked_from=looked_from)
    return cases, opened


def _special_cases(parts: ExchangeParts, cases: Mapping[str, Case]) -> tuple[str, ...]:
    """The special cases, as far as they are accused themselves, of the entries whose voices or label changed."""
    among = lineage(parts.catalogue, parts.taxonomy)
    moved = [
        subject
        for subject, case in cases.items()
        if subject in parts.catalogue.entries
        and (
            (before := parts.beliefs.get(subject)) is None
            or (before.accusing, before.benign) != (case.network.accusing, case.network.benign)
            or before.tlp != _label(case)
        )
    ]
    special = {
        name for subject in moved for name in (*among.special(subject), *parts.beliefs.special(subject))
    }
    return tuple(
        name
        for name in sorted(special - cases.keys())
        if (known := parts.beliefs.get(name)) is not None and known.accusers
    )


def _demote(parts: ExchangeParts, roster: Roster, dossiers: Mapping[str, Dossier], now: int) -> None:
    """Weigh groups that accuse a canary less from now on; what they said elsewhere is concluded anew soon after."""
    here = parts.standpoint
    canaries = {subject: d for subject, d in dossiers.items() if touches(here.canaries, subject)}
    caught = standpoint.caught_by(canaries, parts, roster, now)
    fresh = {group: count for group, count in caught.items() if group not in here.caught}
    if fresh:
        journal.warning("accused what is known to be good here: %s", ", ".join(sorted(fresh)))
        here.caught = {**here.caught, **fresh}
        parts.dossiers.anew.changed(fresh)


async def _first_reports(
    connection: AsyncConnection,
    parts: ExchangeParts,
    reported: Sequence[tuple[str, frozenset[str]]],
    dossiers: Mapping[str, Dossier],
    today: int,
) -> list[tuple[str, FirstReport]]:
    """Which subjects each group now reports for the first time in 30 days, and which of them are within its quota."""
    new = {
        (group, subject): None
        for group, subjects in reported
        for subject in sorted(subjects)
        if (first := dossiers[subject].firsts.get(group)) is None or first.day <= today - WINDOW_DAYS
    }
    if not new:
        return []
    days = await matches.first_report_days(connection, {group for group, _ in new}, today)
    noted = []
    for group, subject in new:
        first = FirstReport(group=group, day=today, counts=within_quota(days[group], today, parts.params))
        if first.counts:
            days[group].append(today)
        dossiers[subject].firsts[group] = first
        noted.append((subject, first))
    return noted


async def reload(parts: ExchangeParts, now: int) -> None:
    """Put in force what the store holds, after a restart."""
    async with parts.store.read() as connection:
        stored = await indicators.everything(connection)
        heard = await log.last_received(connection)
        decided = await decisions(connection, parts, now)
    parts.beliefs.off = decided.off
    parts.dossiers.clear()
    among = lineage(parts.catalogue, parts.taxonomy)  # made now, and not while an action waits
    for _, details in stored:
        if details.get("general") is not None and details.get("learned_by") == among.name:
            among.recall(details["subject"], details["general"])
    await _count_anew(parts, now)
    parts.recent.clear()
    parts.beliefs.replace(_remembered(row, details) for row, details in stored)
    if heard is not None:
        parts.beliefs.heard(min(now, from_text(heard)))
    await standpoint.refresh(parts, now)
    await _wait_for_all(parts, decided, now)


async def _wait_for_all(parts: ExchangeParts, decided: Decided, now: int) -> None:
    """Let everything be concluded anew soon: a crash may have come between what was written and what follows from it.

    What a decision of a person kept quiet that holds no more comes first.
    """
    beliefs = parts.beliefs.all().values()
    freed = [
        b.pattern
        for b in beliefs
        if (b.reason == "switched_off" and not decided.off)
        or (b.reason == "allowed_here" and not decided.allows(b.pattern))
    ]
    async with parts.store.read() as connection:
        said = await log.subjects_of(connection, since_day=day_of(now) - REMEMBERED_DAYS)
    # What is believed and was said longer ago than that is over by now, and nothing else would say so.
    late = [b.pattern for b in beliefs if b.state != "unknown"]
    parts.dossiers.anew.subjects([*freed, *said, *late])


async def refresh_all(parts: ExchangeParts, now: int) -> None:
    """Recompute everything that was said within a record's life: every hour, and after a change of the roster."""
    await standpoint.refresh(parts, now)
    await _count_anew(parts, now)
    async with parts.store.read() as connection:
        subjects = await log.subjects_of(connection, since_day=day_of(now) - REMEMBERED_DAYS)
    await believe_again(parts, subjects, now)


async def forget_silent(parts: ExchangeParts, now: int, days: int) -> int:
    """Forget of what nothing has been believed for so many days, for which the stream is kept; returns how many.

    Whoever was warned of it was told by then that it is unknown.
    """
    count = 0
    while True:
        forgetting = partial(indicators.forget_silent, before=now - days * DAY_MS, most=FORGOTTEN_AT_ONCE)
        gone = await parts.store.write(forgetting)
        parts.beliefs.forget(gone)
        parts.dossiers.take(gone)  # for good: they say what the row was
        count += len(gone)
        if len(gone) < FORGOTTEN_AT_ONCE:
            return count
        await asyncio.sleep(PAUSE_S)


async def conclude_anew(parts: ExchangeParts, now: int) -> None:
    """Conclude what is to be concluded anew because something changed that was said elsewhere."""
    roster, anew = parts.roster(), parts.dossiers.anew
    if roster is None:
        return
    anew.subjects(await learn(parts, anew.take_novel(LEARNED)))
    await begin_day(parts, now)
    uncounted = anew.take_uncounted(now)
    if uncounted:
        anew.changed(await _count(parts, roster, uncounted, now))
    changed = anew.take_changed()
    if changed:
        group_of = parts.dossiers.voters(roster, day_of(now))
        authors = [author for author, group in group_of.items() if group in changed]
        async with parts.store.read() as connection:
            for author in authors:
                anew.subjects(
                    await log.subjects_of(connection, author, since_day=day_of(now) - REMEMBERED_DAYS)
                )
    await believe_again(parts, anew.take_subjects(), now)


async def believe_again(parts: ExchangeParts, subjects: Sequence[str], now: int) -> None:
    """Draw the conclusions about many subjects anew, so many in a transaction, and put them in force."""
    await begin_day(parts, now)
    for start in range(0, len(subjects), CHUNK_SUBJECTS):
        chunk = subjects[start : start + CHUNK_SUBJECTS]
        believed = await parts.store.write(partial(_believe_chunk, parts=parts, subjects=chunk, now=now))
        put_in_force(parts, believed)
        await asyncio.sleep(PAUSE_S)


async def begin_day(parts: ExchangeParts, now: int) -> None:
    """Count what every group accuses as soon as the day is another, before anything is weighed by its scales.

    Whose voice changed by it is concluded soon.
    """
    if parts.dossiers.breadth.day != day_of(now):
        parts.dossiers.anew.changed(await _count_anew(parts, now))


async def _count_anew(parts: ExchangeParts, now: int) -> frozenset[str]:
    """Count what every group accuses; returns those whose voice changed by it."""
    roster = parts.roster()
    if roster is None:
        return frozenset()
    parts.dossiers.breadth.day = day_of(now)
    groups = frozenset(parts.dossiers.voters(roster, day_of(now)).values())
    parts.dossiers.breadth.keep(groups)
    return await _count(parts, roster, groups, now)


async def _count(parts: ExchangeParts, roster: Roster, groups: Collection[str], now: int) -> frozenset[str]:
    """Count from the store how many subjects each of these groups accuses; returns those whose voice changed."""
    authors: dict[str, list[str]] = {group: [] for group in groups}
    for author, group in parts.dossiers.voters(roster, day_of(now)).items():
        if group in authors:
            authors[group].append(author)
    async with parts.store.read() as connection:
        proven = await log.equivocators(connection)
    changed: frozenset[str] = frozenset()
    for group, names in authors.items():
        # Each from the store as it is then, and noted at once: what is taken in later is counted on top.
        async with parts.store.read() as connection:
            count = await log.accused_by(connection, sorted(set(names) - proven), day_of(now))
        changed |= parts.dossiers.breadth.correct(group, count)
    return changed


async def _believe_chunk(
    connection: AsyncConnection, *, parts: ExchangeParts, subjects: Collection[str], now: int
) -> Believed:
    return await believe(connection, parts, subjects, now)


def put_in_force(parts: ExchangeParts, believed: Believed) -> None:
    """After the commit: assess uses these beliefs from its next action on, and engines are woken."""
    parts.dossiers.give_back(believed.dossiers)
    anew = parts.dossiers.anew
    anew.changed(parts.dossiers.breadth.add(believed.accusers))
    anew.uncounted(believed.uncounted)
    anew.subjects(believed.special)
    anew.learn(believed.novel)
    if believed.beliefs:
        parts.beliefs.apply(believed.beliefs)
        parts.hunt(believed.beliefs)
        parts.notify()


def _share_places(parts: ExchangeParts, cases: Mapping[str, Case]) -> tuple[frozenset[str], tuple[str, ...]]:
    """The novel patterns that are matched here, and those outside `cases` for which that has changed."""
    standing = [b for b in parts.beliefs.claiming() if b.pattern not in cases]
    placed = places(
        [
            *(Claim(pattern=b.pattern, group=b.claimant or "", since=b.since) for b in standing),
            *(claim for case in cases.values() if (claim := case.claim) is not None),
        ],
        max(case.network.groups for case in cases.values()),
        parts.novel,
    )
    return placed, tuple(
        b.pattern for b in standing if (b.pattern in placed) != (b.measured_from is not None)
    )


def _share_budget(parts: ExchangeParts, cases: Mapping[str, Case]) -> tuple[frozenset[str], tuple[str, ...]]:
    """The patterns that fit the budget, and those outside `cases` for which that has changed."""
    # Beliefs of jobs in the same commit group are not in force yet; the next recomputation counts them.
    standing = [b for b in parts.beliefs.spending() if b.pattern not in cases]
    fits = allocate(
        [
            *(Candidate(pattern=b.pattern, accusers=b.accusers, estimate=b.estimate) for b in standing),
            *(
                Candidate(
                    pattern=c.subject, accusers=c.accusers, estimate=c.grounds.gate(parts.params).estimate
                )
                for c in cases.values()
                if c.grounds.candidate(parts.params)
            ),
        ],
        parts.params,
    )
    return fits, tuple(b.pattern for b in standing if (b.pattern in fits) != b.fits)


def _conclude(
    parts: ExchangeParts, case: Case, roster: Roster, *, fits: bool, measured_from: int | None, today: int
) -> Conclusion | None:
    """What follows from the evidence about one subject; None when nothing that was ever said of it is live.

    Of what nothing is left that was believed, the last word is that it is unknown.
    """
    before = case.dossier.concluded
    silent = not case.dossier.heard_since(today - REMEMBERED_DAYS)
    if before is None and (silent or case.grounds.allowed or case.network.state == "unknown"):
        return None  # of what was allowed before it came nothing is made but the log
    old = before or NEVER
    if silent and old.heard[:1] == ("unknown",):
        return None
    grounds = case.settled(fits=fits, placed=measured_from is not None)
    gate, local = grounds.gate(parts.params), judge(grounds, parts.params)
    facts = _facts(parts, roster, case, today)
    if before is not None and (case.network.state == "withdrawn" or silent):
        # Whoever was warned hears that the warning is taken back, and no more than that warning told.
        facts = replace(facts, tlp=before.tlp, first_reporter=before.first_reporter)
    row = indicator_row(
        case.subject,
        network=case.network,
        local=local,
        grounds=grounds,
        params=parts.params,
        facts=facts,
        seen=Sightings(sessions=grounds.own.sessions, actors=grounds.own.actors),
        trend=trend(case.network.score, case.a_week_ago),
        taxonomy=parts.taxonomy,
        catalogue=parts.catalogue,
    )
    row["seq"] = old.seq
    row |= touched(case.subject, case.novel, taxonomy=parts.taxonomy, catalogue=parts.catalogue)
    claim, among = case.claim, lineage(parts.catalogue, parts.taxonomy)
    details = {
        "subject": case.subject,
        "accusers": case.accusers,
        "estimate": gate.estimate,
        "candidate": grounds.candidate(parts.params),
        "fits": fits,
        "warned": grounds.warned,
        "reason": local.reason,
        "withdrawn": case.network.withdrawn,
        "novel": pattern_value(case.novel) if case.novel else None,
        "claimant": case.claimant if claim else None,
        "since": claim.since if claim else "",
        "measured_from": measured_from,
        "accusing": case.network.accusing,
        "benign": case.network.benign,
        "general": among.general(case.subject) if case.novel else (),  # None: not learned yet
        "learned_by": among.name if case.novel else "",
    }
    taken_back = case.network.withdrawn > old.withdrawn
    moved = _moved(row, old, travelled=any(v.via or v.benign_via for v in case.network.voices))
    return Conclusion(
        dossier=case.dossier,
        row=row,
        details=details,
        event="withdrawal" if taken_back else "reputation" if moved else None,
        news=_news(row, old, local, facts),
        novel=case.novel,
    )


def _moved(row: Mapping[str, Any], old: Concluded, *, travelled: bool) -> bool:
    """Whether engines hear of a row.

    Where something counts that was said of a more general pattern, one record moves the numbers of as many special
    cases as anybody named: then only of what engines act on.
    """
    said = dict(zip(HEARD, old.heard, strict=False))
    return any(said.get(name) != row[name] for name in (ACTED_ON if travelled else HEARD))


async def _write(
    connection: AsyncConnection, conclusions: Sequence[Conclusion], now: int
) -> tuple[Belief, ...]:
    """Write the stream rows of what engines must hear, and the indicator rows of what changed."""
    told = [c for c in conclusions if c.event is not None]
    numbers = await stream.append_all(
        connection, [stream.row_of(str(c.event), c.news, c.row["tlp"], now) for c in told]
    )
    for c, number in zip(told, numbers, strict=True):
        c.row["seq"] = number
    changed = []
    for c in conclusions:
        body = indicators.body_of(c.row, c.details)
        concluded = indicators.concluded_of(c.row, c.details, body)
        if c.dossier.concluded is None or concluded.digest != c.dossier.concluded.digest:
            c.dossier.concluded = concluded
            changed.append((c.row, body))
    await indicators.upsert(connection, changed, now)
    return tuple([_belief(c.row, c.details, c.novel) for c in conclusions])


def _news(row: Mapping[str, Any], old: Concluded, local: Local, facts: Facts) -> dict[str, Any]:
    """The body of a stream row; `before` and `after` are the effect, which is what an engine acts on."""
    return {
        row["kind"]: row["id"],
        "before": old.effect,
        "after": row["effect"],
        "state": row["state"],
        "tier": row["tier"],
        "score": row["score"],
        "confidence": row["confidence"],
        "effect": row["effect"],
        "revoked": row["revoked"],
        "disputed": row["disputed"],
        "reporters": row["reporters"],
        "reason": local.reason,
        "label": row["label"],
        "first_reporter": facts.first_reporter,
        **_former(row, old),
    }


def _former(row: Mapping[str, Any], old: Concluded) -> dict[str, Any]:
    """What changed of the row as a filter may ask for it, null where there was none.

    Not told is what readers of the row could not see.
    """
    if not old.heard:
        return {"was": None}
    if old.tlp not in visible(row["tlp"]):
        return {}
    was = {**dict(zip(HEARD, old.heard, strict=False)), "reporters": old.reporters}
    return {"was": {name: was[name] for name in TOLD if name in was and was[name] != row[name]}}


def _facts(parts: ExchangeParts, roster: Roster, case: Case, today: int) -> Facts:
    """Who was first, when, and what the reports that are heard say of intents."""
    words = case.words
    entry = parts.catalogue.entries.get(case.subject)
    member = roster.member(words.arrival[1]) if words else None
    last_day = _last_day(case)
    return Facts(
        intents=entry.intents if entry else tuple(sorted(words.intents)) if words else (),
        first_reporter=member.name if member else "",
        first_day=words.day_from if words else 0,
        last_day=last_day,
        until_day=valid_until(case.network.state, last_day, today),
        tlp=_label(case),
        pattern=case.novel,
    )


def _label(case: Case) -> str:
    return LABELS[case.words.label] if case.words else DEFAULT_LABEL


def _last_day(case: Case) -> int:
    """The newest day of what is heard; who disputes it has not seen it, and prolongs nothing."""
    heard = [s for voice in case.network.voices for s in voice.statements]
    seen = [s.day for s in heard if s.kind != "dispute"]
    return max(seen or [s.day for s in heard], default=case.dossier.last_day)


def _remembered(row: Mapping[str, Any], details: Mapping[str, Any]) -> Belief:
    novel = None if details["novel"] is None else parse_pattern(details["novel"])
    return _belief(row, details, novel)


def _belief(row: Mapping[str, Any], details: Mapping[str, Any], novel: Pattern | None) -> Belief:
    return Belief(
        pattern=details["subject"],
        state=row["state"],
        tier=row["tier"],
        effect=row["effect"],
        score=row["score"],
        confidence=row["confidence"],
        groups=row["reporters"],
        accusers=tuple(details.get("accusers", ())),  # a row of an older release has none of these
        estimate=details["estimate"],
        candidate=details["candidate"],
        fits=details["fits"],
        warned=details.get("warned", False),
        novel=novel,
        claimant=details.get("claimant"),
        since=details.get("since", ""),
        measured_from=details.get("measured_from"),
        reason=details["reason"],
        accusing=details.get("accusing", 0),
        benign=details.get("benign", 0),
        general=tuple(details.get("general") or ()),
        seq=row["seq"],
        tlp=row["tlp"],
    )
