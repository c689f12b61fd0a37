"""The one switch that turns all effects of the network off here, and what follows when a decision of a person ends."""

from __future__ import annotations

from functools import partial
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.flows.believe import believe_again
from ioint_node.flows.parts import ExchangeParts
from ioint_node.store import log, overrides
from ioint_node.store.overrides import EVERYTHING, OFF, Override

SWITCHED_OFF: Final = "switched_off"
UNWRITTEN: Final = Override(
    subject=EVERYTHING, kind=OFF, reason="off, not written down", by="", at="", expires_at=None
)


async def state(parts: ExchangeParts, now: int) -> Override | None:
    """Who switched the effects off, why and until when; None while they are on.

    Where that could not be written down, nobody is named and no time; they are off until this process ends.
    """
    async with parts.store.read() as connection:
        written = next(iter(await overrides.active(connection, now, kind=OFF)), None)
    return written or (UNWRITTEN if parts.beliefs.off else None)


async def switch_off(parts: ExchangeParts, *, reason: str, by: str, until: int | None, now: int) -> Override:
    """Let nothing that others say have an effect, from the next action on; decisions, records and beliefs go on.

    Raises:
        RequestError: `until` (milliseconds) is in the past.
    """
    overrides.check_end(until, now)
    # First: it holds also where the disk is full and nobody can write it down, until this process ends.
    parts.beliefs.off = True
    made = await parts.store.write(
        partial(overrides.put, subject=EVERYTHING, kind=OFF, reason=reason, by=by, expires=until, now=now)
    )
    # No action is affected any more; engines are told one indicator after the other.
    await believe_again(parts, [b.pattern for b in parts.beliefs.all().values() if b.effect > 0], now)
    return made


async def switch_on(parts: ExchangeParts, now: int) -> bool:
    """Let the effects be in force again; False when they were."""
    gone = await parts.store.write(partial(overrides.remove, subject=EVERYTHING, kind=OFF))
    await _back(parts, now)
    return gone


async def reconsider(parts: ExchangeParts, name: str, now: int) -> None:
    """Draw the conclusions anew about what a person decided on: a pattern, a subject, or all versions of one."""
    async with parts.store.read() as connection:
        versions = await log.subjects_among(connection, (name,))
    await believe_again(parts, sorted({name, *versions}), now)


async def expire(parts: ExchangeParts, now: int) -> None:
    """End the decisions of people whose time is over, and believe what they kept quiet."""

    async def write(connection: AsyncConnection) -> tuple[str, ...]:
        ended = await overrides.expire(connection, now)
        return tuple(sorted({*ended, *await log.subjects_among(connection, ended)}))

    subjects = await parts.store.write(write)
    if EVERYTHING in subjects:
        await _back(parts, now)
    await believe_again(parts, [name for name in subjects if name != EVERYTHING], now)


async def _back(parts: ExchangeParts, now: int) -> None:
    parts.beliefs.off = False
    held = [b.pattern for b in parts.beliefs.all().values() if b.reason == SWITCHED_OFF]
    await believe_again(parts, held, now)
