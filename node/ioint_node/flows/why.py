"""The receipt for a number: what everybody computes alike, what only this node adds, and the records behind it."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Any

from ioint_protocol import Roster

from ioint_node.errors import NotFoundError
from ioint_node.flows.evidence import REMEMBERED_DAYS, Case, examine, read_dossiers
from ioint_node.flows.parts import ExchangeParts
from ioint_node.reputation.gate import EFFECT, Grounds, judge
from ioint_node.reputation.view import indicator_id, network_json, why_line
from ioint_node.store import indicators, log
from ioint_node.store.clearance import LABELS, visible
from ioint_node.store.log import StoredRecord
from ioint_node.store.times import day_of, day_text


async def why(parts: ExchangeParts, pattern: str, now: int, *, clearance: str = LABELS[-1]) -> dict[str, Any]:
    """Explain what is believed of a pattern or subject, in one JSON document with one line for people.

    The records behind it are those that a reader with this clearance may see.

    Raises:
        NotFoundError: nobody ever said anything of it, or there is no roster to read it by.
    """
    roster = parts.roster()
    if roster is None:
        raise NotFoundError("no roster in force: nothing can be weighed; see `ioint consortium show`")
    async with parts.store.read() as connection:
        # From the store alone: a receipt must not depend on what happens to be held in memory.
        dossiers = await read_dossiers(connection, (pattern,))
        case = (await examine(connection, parts, roster, dossiers, now))[pattern]
        said = await log.records_about(connection, (pattern,), since_day=day_of(now) - REMEMBERED_DAYS)
        records = said.get(pattern, ())
        stored = await indicators.get(connection, indicator_id(pattern))
    if not records and pattern not in parts.catalogue.entries:
        raise NotFoundError(f"nobody has said anything of {pattern[:64]!r}")
    belief = parts.beliefs.get(pattern)
    grounds = case.settled(fits=belief.fits if belief else False, placed=case.measured_from is not None)
    names = {member.id: member.name for member in roster.members}
    return {
        "pattern": pattern,
        "line": why_line(case.network, judge(grounds, parts.params), grounds.gate(parts.params)),
        "indicator": stored,
        "today": day_text(day_of(now)),
        "roster_version": roster.version,
        "network": network_json(case.network, names),
        "local": _local_json(parts, case, grounds, now),
        "records": [
            _record_json(record, case, roster) for record in records if record.tlp in visible(clearance)
        ],
    }


def _local_json(parts: ExchangeParts, case: Case, grounds: Grounds, now: int) -> dict[str, Any]:
    local = judge(grounds, parts.params)
    effect = parts.beliefs.effect_of((case.subject,), now)
    return {
        "tier": local.tier,
        "effect": local.effect,
        "reason": local.reason,
        "effect_now": effect.effect,
        "silence_s": effect.age_s,
        "largest_effects": dict(EFFECT),
        "gate": asdict(grounds.gate(parts.params)) | {"limit": parts.params.cheap_rate},
        "budget": {
            "limit": parts.params.budget,
            "spent": sum(b.estimate for b in parts.beliefs.all().values() if b.candidate and b.fits),
        },
        "own_record": asdict(grounds.own) | {"clean": grounds.clean(parts.params)},
        "another_group_accuses": grounds.others,
        "within_quota": grounds.first,
        "novel": None
        if case.novel is None
        else {
            "too_broad": grounds.broad,
            "measured_from": None if case.measured_from is None else day_text(case.measured_from),
        },
        "allowed_here": grounds.allowed,
    }


def _record_json(stored: StoredRecord, case: Case, roster: Roster) -> dict[str, Any]:
    member = roster.member(stored.author)
    heard = {(s.author, s.id) for voice in case.network.voices for s in voice.statements}
    return {
        "id": stored.id,
        "kind": stored.kind,
        "member": member.name if member else stored.author,
        "group": member.group if member else "",
        "segment": stored.segment,
        "day": day_text(stored.day),
        "received_at": stored.received_at,
        "counts": (stored.author, stored.id) in heard,
        "bytes_b64": base64.b64encode(stored.body).decode("ascii"),
    }
