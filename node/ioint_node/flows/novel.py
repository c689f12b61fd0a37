"""Novel patterns: from a confirmed session without a name to the next catalogue.

A confirmed session that completes no pattern with a name is a case. Outside the transaction that noted it, the shortest
generalised sub-path is sought that ordinary work does not take, by this node's own ordinary sessions of 30 days. What a
known pattern says already is counted there; what is new goes to the gate, which waits for five people or an operator.
What several groups report then is proposed to the stewards for the next catalogue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ioint_protocol.pattern import (
    Path,
    Paths,
    Pattern,
    Rate,
    Seen,
    generalisations,
    parse_pattern,
    pattern_id,
    pattern_value,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.flows.draft import draft_report
from ioint_node.flows.noting import note
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.paths import path_of
from ioint_node.privacy.minimal import minimal_path
from ioint_node.reputation.gate import upper_bound
from ioint_node.reputation.novel import too_broad
from ioint_node.store import listings, novel
from ioint_node.store.novel import NovelCase
from ioint_node.store.times import day_of

CASES_AT_ONCE: Final = 16
INDEPENDENT_GROUPS: Final = 2  # that report a pattern before stewards are shown it
CANDIDATES_MOST: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The pattern of a case, whether it is new here, and how many ordinary sessions complete it."""

    pattern: Pattern
    new: bool
    rate: Rate


async def look_at_cases(parts: ExchangeParts, now: int) -> int:
    """Look at the cases that wait, a bounded number, and return how many reports may leave because of it."""
    async with parts.store.read() as connection:
        cases = await novel.new_cases(connection, CASES_AT_ONCE)
        if not cases:
            return 0
        known = _heard(parts) | await novel.own_patterns(connection)
        texts = await novel.ordinary_paths(connection, day_of(now) - novel.KEPT_DAYS)
    ordinary = await asyncio.to_thread(_paths, texts, parts)
    ready = 0
    for case in cases:
        found = await asyncio.to_thread(_name, parts, case, ordinary, known)
        if found is not None and found.new:
            known[pattern_id(found.pattern)] = found.pattern
        ready += await parts.store.write(
            partial(_settle, parts=parts, case=case, found=found, sessions=ordinary.sessions, now=now)
        )
    await watch_own(parts)
    if ready:
        parts.flush_soon()
    return ready


async def watch_own(parts: ExchangeParts) -> None:
    """Match what this node named itself, so that those whom it is about are counted."""
    async with parts.store.read() as connection:
        parts.beliefs.watch(await novel.own_patterns(connection))


async def own_rates(parts: ExchangeParts, patterns: Mapping[str, Pattern], now: int) -> dict[str, Rate]:
    """How many of this node's own ordinary sessions of 30 days complete each pattern."""
    if not patterns:
        return {}
    async with parts.store.read() as connection:
        texts = await novel.ordinary_paths(connection, day_of(now) - novel.KEPT_DAYS)

    def count() -> dict[str, Rate]:
        ordinary = _paths(texts, parts)
        return {name: _rate(ordinary, pattern) for name, pattern in patterns.items()}

    return await asyncio.to_thread(count)


async def candidates(parts: ExchangeParts, clearance: str, now: int) -> list[dict[str, Any]]:
    """The novel patterns that enough independent groups report, with what speaks for and against each.

    Those that most groups report come first. `refused` says why the gate would not let one leave here, `covered_by`
    names the catalogue entries that say it already.
    """
    reported = [
        belief
        for belief in parts.beliefs.all().values()
        if belief.novel is not None and belief.groups >= INDEPENDENT_GROUPS
    ]
    reported.sort(key=lambda belief: (-belief.groups, belief.pattern))
    named = {one.pattern: one.novel for one in reported[:CANDIDATES_MOST] if one.novel is not None}
    async with parts.store.read() as connection:
        shown = await _visible(connection, named, clearance)
    rates = await own_rates(parts, {name: named[name] for name in shown}, now)
    catalogue = _catalogue(parts)
    return [
        {
            "id": name,
            "pattern": pattern_value(named[name]),
            "groups": shown[name],
            "base": {
                "matches": rates[name].matches,
                "sessions": rates[name].sessions,
                "at_most": upper_bound(rates[name].matches, rates[name].sessions),
            },
            "covered_by": list(generalisations(named[name], catalogue, parts.taxonomy)),
            "refused": too_broad(named[name], parts.taxonomy, parts.novel),
        }
        for name in shown
    ]


async def _settle(
    connection: AsyncConnection,
    *,
    parts: ExchangeParts,
    case: NovelCase,
    found: Named | None,
    sessions: int,
    now: int,
) -> int:
    """Write down what became of a case; 1 when a report may leave because of it."""
    if found is None:
        reason = (
            "every sub-path of it is too broad, or more than "
            f"{1000 * parts.params.cheap_rate:.2f} in 1,000 of {sessions} ordinary sessions complete it"
        )
        await novel.refuse_case(connection, case, reason)
        return 0
    if found.new:
        await novel.add_pattern(connection, found.pattern, now)
    name = pattern_id(found.pattern)
    await novel.name_case(connection, case, name, now)
    draft = await draft_report(
        connection,
        parts,
        name,
        case.session_id,
        confirmed=True,
        basis="threshold",
        now=now,
        ordinary=found.rate,
    )
    return 0 if draft is None else int(await note(connection, draft, now))


def _name(
    parts: ExchangeParts, case: NovelCase, ordinary: Paths, known: Mapping[str, Pattern]
) -> Named | None:
    """The pattern of a case: a known one that says it already, else a new one; None where nothing rare says it."""
    kept = path_of(case.path)
    if case.step >= len(kept.steps) or len(kept.outside) < len(kept.steps):
        return None
    path = [Seen(step=step, outside=out) for step, out in zip(kept.steps, kept.outside, strict=True)]
    made = minimal_path(
        path,
        case.step,
        taxonomy=parts.taxonomy,
        ordinary=ordinary,
        broad=lambda pattern: too_broad(pattern, parts.taxonomy, parts.novel),
        rate=parts.params.cheap_rate,
    )
    if made is None:
        return None
    saying = generalisations(made, known, parts.taxonomy)
    pattern = known[saying[0]] if saying else made
    return Named(pattern=pattern, new=not saying, rate=_rate(ordinary, pattern))


def _rate(ordinary: Paths, pattern: Pattern) -> Rate:
    found = ordinary.rate(pattern)
    return Rate(matches=found.matches, sessions=found.sessions)


def _paths(texts: Collection[str], parts: ExchangeParts) -> Paths:
    """Ordinary sessions as what patterns are counted in."""
    return Paths((_path(text) for text in texts), parts.taxonomy)


def _path(text: str) -> Path:
    kept = path_of(text)
    steps = (Seen(step=step, outside=out) for step, out in zip(kept.steps, kept.outside, strict=False))
    return Path(steps=tuple(steps), families=kept.families)


def _heard(parts: ExchangeParts) -> dict[str, Pattern]:
    """The novel patterns of which a member has said something, by id."""
    return {b.pattern: b.novel for b in parts.beliefs.all().values() if b.novel is not None}


def _catalogue(parts: ExchangeParts) -> dict[str, Pattern]:
    return {entry.slug: parse_pattern(entry.pattern) for entry in parts.catalogue.entries.values()}


async def _visible(connection: AsyncConnection, patterns: Collection[str], clearance: str) -> dict[str, int]:
    """Of these patterns those that may be seen, in this order, with the groups that report each."""
    wanted = listings.FeedQuery(clearance=clearance, ids=tuple(patterns), limit=CANDIDATES_MOST)
    page = await listings.feed(connection, wanted)
    groups = {one.id: int(one.row["reporters"]) for one in page.items}
    return {name: groups[name] for name in patterns if name in groups}
