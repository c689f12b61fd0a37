"""The receipt for a number: what everybody computes alike, what only this node adds, and the records behind it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

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
from ioint_node.reputation.dossier import PUBLIC
from ioint_node.reputation.gate import EFFECT, Grounds, Local, judge
from ioint_node.reputation.receipt import plain
from ioint_node.reputation.rule import MICRO, Scales, reports_named
from ioint_node.reputation.view import indicator_id, why_line
from ioint_node.store import indicators, log
from ioint_node.store.clearance import LABELS, visible
from ioint_node.store.log import UNREAD, StoredRecord
from ioint_node.store.times import day_of, day_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """What is known of a subject, weighed under a roster, and what follows from it here."""

    roster: Roster
    case: Case
    grounds: Grounds
    local: Local


async def weigh(connection: AsyncConnection, parts: ExchangeParts, subject: str, now: int) -> Weighed:
    """Weigh what the store has of a pattern or subject.

    From the store alone: a receipt must not depend on what happens to be held in memory.

    Raises:
        NotFoundError: there is no roster to read it by.
    """
    roster = parts.roster()
    if roster is None:
        raise NotFoundError("no roster in force: nothing can be weighed; see `ioint consortium show`")
    dossiers = await read_dossiers(connection, (subject,))
    await learn(parts, unlearned(parts, dossiers))
    general = await read_dossiers(connection, missing_general(parts, dossiers))
    halved = await counted_halvings(
        connection, parts, roster, [*dossiers.values(), *general.values()], day_of(now)
    )
    case = (await examine(connection, parts, roster, dossiers, now, general=general, halved=halved))[subject]
    belief = parts.beliefs.get(subject)
    grounds = case.settled(fits=belief.fits if belief else False, placed=case.measured_from is not None)
    return Weighed(roster=roster, case=case, grounds=grounds, local=judge(grounds, parts.params))


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

    The records behind it are those that a reader with this clearance may see.

    Raises:
        NotFoundError: nobody ever said anything of it, or there is no roster to read it by.
    """
    today = day_of(now)
    async with parts.store.read() as connection:
        weighed = await weigh(connection, parts, pattern, now)
        said = await log.records_about(connection, (pattern,), since_day=today - REMEMBERED_DAYS)
        stored = await indicators.get(connection, indicator_id(pattern))
        equivocators = await log.equivocators(connection)
    check_said(parts, weighed, clearance)
    roster, case, grounds = weighed.roster, weighed.case, weighed.grounds
    names = {member.id: member.name for member in roster.members}
    silent = _silent(case, parts.dossiers.scales(roster, today, equivocators))
    return {
        "pattern": pattern,
        "line": why_line(case.network, weighed.local, grounds, parts.params),
        "indicator": stored,
        "today": day_text(today),
        "roster_version": roster.version,
        "network": explained(case.network, names, today, public_subject=pattern.startswith(PUBLIC)),
        "local": _local_json(parts, weighed, now),
        "records": [
            _record_json(record, silent, roster)
            for record in said.get(pattern, ())
            if record.tlp in visible(clearance)
        ],
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


def _silent(case: Case, scales: Scales) -> dict[tuple[str, str], str]:
    """Why each statement about a subject is not heard, by author and record; those that are heard are not there."""
    heard = {(one.author, one.id) for voice in case.network.voices for one in voice.statements}
    named = reports_named(case.dossier.said, scales)
    return {
        (one.author, one.id): silenced(one, scales, taken_back, named) or "older"
        for said in case.dossier.said.values()
        for taken_back in [{one.of for one in said if one.kind == "withdrawal"}]
        for one in said
        if (one.author, one.id) not in heard
    }


def _record_json(
    stored: StoredRecord, silent: Mapping[tuple[str, str], str], roster: Roster
) -> dict[str, Any]:
    member = roster.member(stored.author)
    # A record of a later version is in nobody's dossier.
    reason = UNREAD if stored.kind == UNREAD else silent.get((stored.author, stored.id), "")
    return {
        "id": stored.id,
        "kind": stored.kind,
        "member": member.name if member else stored.author,
        "group": member.group if member else "",
        "segment": stored.segment,
        "day": day_text(stored.day),
        "received_at": stored.received_at,
        "counts": not reason,
        "silent": reason,
        "bytes_b64": base64.b64encode(stored.body).decode("ascii"),
    }
