"""Forgetting what no member needs any more (SPEC, "Forgetting").

Only the author may say that the beginning of its log is dead, in a header that it signed; and only the receiver's own
clock decides that the records in it are. So neither a lying author nor a lying peer makes anyone forget something live.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from functools import partial
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.flows.evidence import REMEMBERED_DAYS
from ioint_node.flows.parts import ExchangeParts
from ioint_node.store import pruning
from ioint_node.store.engine import Store
from ioint_node.store.times import day_of

KEPT_DAYS: Final = REMEMBERED_DAYS + 1
"""A record is dead after 30 days, and one for clocks that differ; evidence and trends look back a little further."""
AUTHORS_PER_RUN: Final = 64
"""The next run goes on: the writer is not held up by the first run after a long absence."""
_log = logging.getLogger(__name__)


async def prune(store: Store, now: int, *, standing: Collection[str] | None = None) -> int:
    """Drop what is dead at the beginning of logs; returns how many segments went.

    Of authors that are not among `standing` (None: all are) what is dead goes whatever they said.
    """
    return await store.write(partial(_prune, now=now, standing=standing))


async def weigh(parts: ExchangeParts) -> None:
    """Note how much is held of each author: one that lets nothing be forgotten has a bound (`Limits.held_bytes`)."""
    async with parts.store.read() as connection:
        parts.quotas.weighed(await pruning.weights(connection))


async def _prune(connection: AsyncConnection, *, now: int, standing: Collection[str] | None) -> int:
    gone = 0
    cuts = await pruning.cuts(connection, day_of(now) - KEPT_DAYS, standing)
    for author, keep in sorted(cuts.items())[:AUTHORS_PER_RUN]:
        gone += await pruning.drop_below(connection, author, keep)
    if gone:
        _log.info("forgotten segments=%d authors=%d", gone, len(cuts))
    return gone
