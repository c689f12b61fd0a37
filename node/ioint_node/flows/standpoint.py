"""Learn what this node knows of those who speak: at the start, by the hour, and when the roster changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import Final

from ioint_protocol import Roster
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import BusyError
from ioint_node.flows.evidence import read_dossiers
from ioint_node.flows.parts import ExchangeParts
from ioint_node.reputation.calibration import Observation, sides, strong, weights
from ioint_node.reputation.dossier import PUBLIC, Dossier
from ioint_node.reputation.rule import raw_voice
from ioint_node.reputation.standpoint import DEMOTED_DAYS
from ioint_node.reputation.subjects import touches, versionless
from ioint_node.store import acquaintances, log, matches
from ioint_node.store.times import DAY_MS, day_of, to_text

OBSERVED: Final = 256  # subjects with a strong own record that are compared, those seen most
CHUNK: Final = 32  # dossiers that are read at a time


async def refresh(parts: ExchangeParts, now: int) -> None:
    """Weigh the groups of the roster in force by what was seen here, and note since when each is known."""
    roster = parts.roster()
    if roster is None:
        return
    async with parts.store.read() as connection:
        agreement = weights(await _observations(connection, parts, roster, now))
        caught = await accusers_of_canaries(connection, parts, roster, now)
        since = await acquaintances.known(connection)
        met = await _met(connection, roster, since, now)
    gone = since.keys() - {member.group for member in roster.members}
    if met or gone:
        with suppress(BusyError):  # where nothing can be written it is noted the next time
            await parts.store.write(partial(acquaintances.note, met=met, gone=gone))
    here = parts.standpoint
    here.agreement, here.caught, here.since = agreement, caught, since | met


async def accusers_of_canaries(
    connection: AsyncConnection, parts: ExchangeParts, roster: Roster, now: int
) -> dict[str, int]:
    """How many canaries each other group accused of late, also where it took that back since."""
    canaries = parts.standpoint.canaries
    named = await log.subjects_among(connection, canaries | set(map(versionless, canaries)))
    dossiers = await read_dossiers(connection, [name for name in named if touches(canaries, name)])
    return caught_by(dossiers, parts, roster, now)


def caught_by(
    dossiers: Mapping[str, Dossier], parts: ExchangeParts, roster: Roster, now: int
) -> dict[str, int]:
    """How many of these subjects each other group accused of late."""
    us = roster.member(parts.member) if parts.member else None
    since = to_text(now - DEMOTED_DAYS * DAY_MS)
    found: dict[str, int] = {}
    for subject, dossier in dossiers.items():
        accusing = {
            author
            for author, said in dossier.said.items()
            for one in said
            if one.received_at >= since
            and one.kind == "report"  # nodes second by themselves what somebody reported
            and raw_voice(one, public_subject=subject.startswith(PUBLIC)) > 0
        }
        groups = {m.group for author in accusing if (m := roster.member(author)) is not None}
        for group in groups - {us.group if us else ""}:
            found[group] = found.get(group, 0) + 1
    return found


async def _observations(
    connection: AsyncConnection, parts: ExchangeParts, roster: Roster, now: int
) -> list[Observation]:
    """What was seen strongly here, and what the groups say of it."""
    today = day_of(now)
    own = await matches.judged_most(connection, today, OBSERVED)
    clear = {subject: bad for subject, record in own.items() if (bad := strong(record)) is not None}
    scales = parts.dossiers.scales(roster, today, await log.equivocators(connection))
    us = roster.member(parts.member) if parts.member else None
    found = []
    for chunk in _chunks(tuple(clear)):
        for subject, dossier in (await read_dossiers(connection, chunk)).items():
            spoken = sides(dossier.network(scales).voices)
            spoken.pop(us.group if us else "", None)
            found.append(
                Observation(bad=clear[subject], public_subject=subject.startswith(PUBLIC), sides=spoken)
            )
    return found


async def _met(
    connection: AsyncConnection, roster: Roster, since: Mapping[str, int], now: int
) -> dict[str, int]:
    """The groups that are new here, each with the day on which it was first heard, or today."""
    new = {member.id: member.group for member in roster.members if member.group not in since}
    if not new:
        return {}
    today = day_of(now)
    heard = await acquaintances.first_heard(connection, new)
    met: dict[str, int] = {}
    for author, group in new.items():
        met[group] = min(met.get(group, today), heard.get(author, today))
    return met


def _chunks(subjects: tuple[str, ...]) -> list[Collection[str]]:
    return [subjects[start : start + CHUNK] for start in range(0, len(subjects), CHUNK)]
