"""What comes back to memory with an actor besides its trust: its baseline, what others see of it, a person's bound."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.scoring.baseline import Baseline
from ioint_node.scoring.bounds import Bound
from ioint_node.scoring.observations import Observation, drift_of
from ioint_node.store.baselines import find_baseline
from ioint_node.store.bounds import find_bound
from ioint_node.store.observations import live_observations

HELD_IN_MEMORY: Final = 32  # live observations of one actor that bear on drift, those that say most


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """The three of one actor; the baseline is empty where nothing is kept."""

    baseline: Baseline
    observed: tuple[Observation, ...] = ()
    bound: Bound | None = None


async def habits_of(connection: AsyncConnection, actor: str, now: int) -> Habits:
    """What is kept of an actor."""
    live = await live_observations(connection, actor, now)
    return Habits(
        baseline=await find_baseline(connection, actor) or new_baseline(),
        observed=held((one.observation for one in live), now),
        bound=await find_bound(connection, actor, now),
    )


def new_baseline() -> Baseline:
    """An empty baseline with a salt of its own."""
    return Baseline(secrets.randbits(64))


def held(observations: Iterable[Observation], now: int) -> tuple[Observation, ...]:
    """What of this bears on drift, for memory: a bounded number, those that say most."""
    bearing = [one for one in observations if drift_of(one, now) > 0.0]
    return tuple(sorted(bearing, key=lambda one: -drift_of(one, now))[:HELD_IN_MEMORY])
