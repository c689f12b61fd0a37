"""The receipt for a number: what everybody computes alike, what only this node adds, and the records behind it."""

from __future__ import annotations

import base64
import heapq
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, Final

from ioint_protocol import Roster
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import NotFoundError
from ioint_node.flows.evidence import (
    REMEMBERED_DAYS,
    Case,
    counted_halvings,
    examine,
    learn,
    missing_general,
    read_dossiers,
    unlearned,
)
from ioint_node.flows.parts import ExchangeParts
from ioint_node.reputation.derivation import explained, silenced
from ioint_node.reputation.dossier import PUBLIC, Dossier, Said
from ioint_node.reputation.gate import EFFECT, Grounds, Local, judge
from ioint_node.reputation.receipt import plain
from ioint_node.reputation.rule import MICRO, reports_named
from ioint_node.reputation.view import indicator_id, why_line
from ioint_node.store import indicators, log
from ioint_node.store.clearance import LABELS, visible
from ioint_node.store.times import day_of, day_text

SILENT_LISTED: Final = 256  # records that do not count: in one answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """What is known of a subject, weighed under a roster, and what follows from it here."""

    roster: Roster
    case: Case
    grounds: Grounds
    local: Local


async def weigh(
    connection: AsyncConnection, parts: ExchangeParts, subject: str, now: int, *, count: bool = True
) -> Weighed:
    """Weigh what the store has of a pattern or subject.

    From the store alone: a receipt must not depend on what happens to be held in memory. How many subjects a group
    accuses is in all of its records, a million in a large consortium: without `count` it is as last counted.

    Raises:
        NotFoundError: there is no roster to read it by.
    """
    roster = parts.roster()
    if roster is None:
        raise NotFoundError("no roster in force: nothing can be weighed; see `ioint consortium show`")
    dossiers = await read_dossiers(connection, (subject,))
    await learn(parts, unlearned(parts, dossiers))
    general = await read_dossiers(connection, missing_general(parts, dossiers))
    everything = [*dossiers.values(), *general.values()]
    halved = await counted_halvings(connection, parts, roster, everything, day_of(now)) if count else None
    case = (await examine(connection, parts, roster, dossiers, now, general=general, halved=halved))[subject]
    belief = parts.beliefs.get(subject)
    grounds = case.settled(fits=belief.fits if belief else False, placed=case.measured_from is not None)
    local = judge(grounds, parts.params)
    if belief is not None and (belief.tier, belief.effect) != (local.tier, local.effect):
        # What is shown here is what follows now: it is in force within seconds.
        parts.dossiers.anew.subjects((subject,))
    return Weighed(roster=roster, case=case, grounds=grounds, local=local)


def check_said(parts: ExchangeParts, weighed: Weighed, clearance: str) -> None:
    """See that there is something to explain to a reader with this clearance.

    Raises:
        NotFoundError: nobody ever said anything of it, or its label does not let this reader see it.
    """
    subject, words = weighed.case.subject, weighed.case.words
    unsaid = not weighed.case.dossier.said and subject not in parts.catalogue.entries
    # The indicator has this label as soon as it is concluded anew; what is explained is of now.
    if unsaid or (words and LABELS[words.label] not in visible(clearance)):
        raise NotFoundError(f"nobody has said anything of {subject[:64]!r}")


async def why(parts: ExchangeParts, pattern: str, now: int, *, clearance: str = LABELS[-1]) -> dict[str, Any]:
    """Explain what is believed of a pattern or subject, in one JSON document with one line for people.

    Of the records behind it that a reader with this clearance may see, those that count are listed, and the newest 256
    of the others; `records_left_out` is how many more there are.

    Raises:
        NotFoundError: nobody ever said anything of it, or there is no roster to read it by.
    """
    today = day_of(now)
    async with parts.store.read() as connection:
        weighed = await weigh(connection, parts, pattern, now, count=False)
        records, left_out = await _records(connection, parts, weighed, today, clearance=clearance)
        stored = await indicators.get(connection, indicator_id(pattern))
    check_said(parts, weighed, clearance)
    roster, case, grounds = weighed.roster, weighed.case, weighed.grounds
    names = {member.id: member.name for member in roster.members}
    return {
        "pattern": pattern,
        "line": why_line(case.network, weighed.local, grounds, parts.params),
        "indicator": stored,
        "today": day_text(today),
        "roster_version": roster.version,
        "network": explained(case.network, names, today, public_subject=pattern.startswith(PUBLIC)),
        "local": _local_json(parts, weighed, now),
        "records": records,
        "records_left_out": left_out,
    }


def _local_json(parts: ExchangeParts, weighed: Weighed, now: int) -> dict[str, Any]:
    case, grounds, local = weighed.case, weighed.grounds, weighed.local
    effect = parts.beliefs.effect_of((case.subject,), now)
    return {
        "tier": local.tier,
        "effect": local.effect,
        "reason": local.reason,
        "effect_now": effect.effect,
        "silence_s": effect.age_s,
        "share_left": round(parts.beliefs.share_left(now), 4),
        "switched_off": parts.beliefs.off,
        "largest_effects": dict(EFFECT),
        "gate": asdict(grounds.gate(parts.params))
        | {"limit": parts.params.cheap_rate, "attention_limit": parts.params.attention_rate},
        "budget": {
            "limit": parts.params.budget,
            "tolerance": parts.params.tolerance,
            "spent": sum(b.estimate for b in parts.beliefs.all().values() if b.candidate and b.fits),
        },
        "own_record": asdict(grounds.own) | {"clean": grounds.clean(parts.params)},
        "another_group_accuses": grounds.others,
        "within_quota": grounds.first,
        "weights": {
            voice.group: parts.standpoint.weight(voice.group) / MICRO
            for voice in case.network.voices
            if voice.accusing > 0 and parts.standpoint.weight(voice.group) < MICRO
        },
        "novel": None
        if case.novel is None
        else {
            "too_broad": grounds.broad,
            "measured_from": None if case.measured_from is None else day_text(case.measured_from),
        },
        "allowed_here": grounds.allowed,
        "grounds": plain(grounds),
    }


async def _records(
    connection: AsyncConnection, parts: ExchangeParts, weighed: Weighed, today: int, *, clearance: str
) -> tuple[list[dict[str, Any]], int]:
    """The records that the answer lists, by author and in the order of its log; and how many more there are."""
    case, roster = weighed.case, weighed.roster
    heard = {(one.author, one.id) for voice in case.network.voices for one in voice.statements}
    listed, left_out = _listed(case.dossier, heard, visible(clearance), since_day=today - REMEMBERED_DAYS)
    named = {log.statement_id(one.author, one.id): one for one in listed}
    places = await log.places_of(connection, named)
    scales = parts.dossiers.scales(roster, today, await log.equivocators(connection))
    taken_back = {
        author: {one.of for one in case.dossier.said[author] if one.kind == "withdrawal"}
        for author in {one.author for one in listed}
    }
    reports = reports_named(case.dossier.said, scales)
    records = []
    for name, one in named.items():
        if name in places:  # it may have been forgotten since it was weighed
            counts = (one.author, one.id) in heard
            silent = "" if counts else silenced(one, scales, taken_back[one.author], reports) or "older"
            records.append(_record_json(one, *places[name], silent, roster))
    return records, left_out


def _listed(
    dossier: Dossier, heard: Collection[tuple[str, str]], labels: Collection[str], *, since_day: int
) -> tuple[list[Said], int]:
    """What is `heard`, by author and record, and the newest of the rest, in the order of authors and their logs.

    Only what was said since a day and has one of these labels; also returns how much of that is left out.
    """
    said = [
        one
        for author in sorted(dossier.said)
        for one in dossier.said[author]
        if one.day >= since_day and one.tlp in labels
    ]
    rest = [
        (one.day, one.received_at, place)
        for place, one in enumerate(said)
        if (one.author, one.id) not in heard
    ]
    left_out = {place for *_, place in rest} - {place for *_, place in heapq.nlargest(SILENT_LISTED, rest)}
    return [one for place, one in enumerate(said) if place not in left_out], len(left_out)


def _record_json(one: Said, segment: int, body: bytes, silent: str, roster: Roster) -> dict[str, Any]:
    member = roster.member(one.author)
    return {
        "id": one.id,
        "kind": one.kind,
        "member": member.name if member else one.author,
        "group": member.group if member else "",
        "segment": segment,
        "day": day_text(one.day),
        "received_at": one.received_at,
        "counts": not silent,
        "silent": silent,
        "bytes_b64": base64.b64encode(body).decode("ascii"),
    }
