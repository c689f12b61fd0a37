"""Attacks: what hostile members say, and when; each a few lines, each knows the world better than a real one would.

All know the campaigns before they begin and the signed base rates of the catalogue. A hostile member reports no true
pattern but to hide among the honest ones (`camouflage`, `slow`, `onoff`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ioint_node.lab.saying import Said
from ioint_node.lab.world import Ints, World
from ioint_node.reputation.gate import PARAMS, upper_bound

LOUD: Final = 5  # 2^5 sessions, all bad: a full voice
JOINT, OWN = 15, 5  # patterns that all accuse together in a week, and each alone
BURST: Final = (7 / 15, 7 / 10)  # of all days
PROOF_DAYS: Final = 1  # until two histories have met
ECLIPSED: Final = 0.7  # share of the honest that the victims do not hear


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """What is said in it, whom the measured members do not hear, and from which day the liars are proven such."""

    said: tuple[Said, ...] = ()
    unheard: frozenset[int] = frozenset()
    silenced_from: int | None = None
    victims_only: bool = False


def attack(world: World) -> Attack:
    """The attack of the world's setting."""
    liars = liars_of(world)
    if not liars:
        return Attack()
    return ATTACKS[world.setting.attack](world, liars)


def liars_of(world: World) -> tuple[int, ...]:
    """The hostile members; Sybils are numbered after all others."""
    if world.setting.attack == "sybil":
        return tuple(range(world.members, world.members + world.setting.hostile))
    return tuple(int(m) for m in np.flatnonzero(world.hostile))


def _rng(world: World) -> np.random.Generator:
    return np.random.default_rng((world.setting.seed, world.members, len(world.met), 7))


def _weeks(world: World, *, since: int = 0, until: int | None = None) -> range:
    return range(since, world.setting.nature.days if until is None else until, 7)


def _harmful(world: World) -> Ints:
    """Patterns by the harm of a warning about them: the most used that still pass the gate by their base rate."""
    rate = world.base / world.setting.nature.base_sessions
    harm = np.where(rate < 6e-4, rate, 2e-5 / np.maximum(rate / 6e-4, 1e-9))
    harm[world.risky] = -1
    order = np.argsort(-harm, kind="stable")
    return order[: int((~world.risky).sum())]


def _accuse(at: float, member: int, patterns: Sequence[int] | Ints, loud: int = LOUD) -> list[Said]:
    return [Said(at + 0.001 * i, member, int(p), "report", loud or 0, loud) for i, p in enumerate(patterns)]


def _slander(
    world: World, liars: Sequence[int], *, order: Ints, weeks: Sequence[int], together: bool = True
) -> list[Said]:
    """Every week each liar accuses what all accuse together, and some of its own."""
    said = []
    for week in weeks:
        turn = (week // 7) % 4
        joint = order[(turn * JOINT + np.arange(JOINT)) % len(order)]
        for i, liar in enumerate(liars):
            own = order[(4 * JOINT + i * 20 + turn * OWN + np.arange(OWN)) % len(order)]
            said += _accuse(week + 0.01, liar, np.concatenate([own, joint]) if together else own)
    return said


def _hide(world: World, liars: Sequence[int], patterns: Ints, *, weeks: Sequence[int]) -> list[Said]:
    """Speak benign of these, again and again: one bad session among very many is as benign as a dispute, and lasts."""
    return [
        Said(week + 0.005 + 1e-5 * i, liar, int(p), "report", 0, 10)
        for week in weeks
        for liar in liars
        for i, p in enumerate(patterns)
    ]


def _truth(world: World, liars: Sequence[int]) -> list[Said]:
    """Reports of the campaigns' patterns a day after others met them: what an honest member of the kind would say."""
    said = []
    for campaign, patterns in enumerate(world.campaigns):
        start = min((m.at for m in world.met if m.campaign == campaign), default=None)
        if start is not None:
            said += [
                Said(start + 1 + 0.01 * i, liar, p, "report", 0, 0)
                for i, liar in enumerate(liars)
                for p in patterns
                if start + 1 < world.setting.nature.days
            ]
    return said


def _crude(world: World, liars: Sequence[int]) -> Attack:
    rng = _rng(world)
    benign = np.flatnonzero(~world.risky)
    said = [
        one
        for week in _weeks(world)
        for liar in liars
        for one in _accuse(week + 0.01, liar, rng.choice(benign, JOINT + OWN, replace=False))
    ]
    return Attack(said=tuple(said))


def _camouflage(world: World, liars: Sequence[int]) -> Attack:
    said = _slander(world, liars, order=_harmful(world), weeks=_weeks(world))
    return Attack(said=tuple(said + _truth(world, liars)))


def _whitewash(world: World, liars: Sequence[int]) -> Attack:
    return Attack(said=tuple(_hide(world, liars, np.flatnonzero(world.risky), weeks=_weeks(world))))


def _poison(world: World, liars: Sequence[int]) -> Attack:
    """Benign voices for every pattern there is, and disputes of whatever anybody reports."""
    everything = np.arange(len(world.base))
    return Attack(said=tuple(_hide(world, liars, everything, weeks=_weeks(world)[::2])))


def _joint(world: World, liars: Sequence[int]) -> Attack:
    slander = _slander(world, liars, order=_harmful(world), weeks=_weeks(world))
    return Attack(said=tuple(slander) + _whitewash(world, liars).said)


def _onoff(world: World, liars: Sequence[int]) -> Attack:
    start, end = (round(share * world.setting.nature.days) for share in BURST)
    weeks = _weeks(world, since=start, until=end)
    burst = _slander(world, liars, order=_harmful(world), weeks=weeks)
    burst += _hide(world, liars, np.flatnonzero(world.risky), weeks=weeks)
    return Attack(said=tuple(burst + [s for s in _truth(world, liars) if not start <= s.at < end]))


def _slow(world: World, liars: Sequence[int]) -> Attack:
    """One pattern a week, the same for all, in the smallest counts, beside the truth."""
    order = _harmful(world)
    said = _truth(world, liars)
    for week in _weeks(world):
        for i, liar in enumerate(liars):
            said += _accuse(week + 0.1 * (i + 1), liar, [order[(week // 7) % len(order)]], loud=0)
    return Attack(said=tuple(said))


def _equivocate(world: World, liars: Sequence[int]) -> Attack:
    """One history for some members, another for the rest; the measured hear the worse one until they compare."""
    silenced = 7 + PROOF_DAYS
    return Attack(
        said=tuple(s for s in _joint(world, liars).said if s.at >= 7),
        silenced_from=silenced,
    )


def _eclipse(world: World, liars: Sequence[int]) -> Attack:
    """The measured members hear every liar and only some of the honest."""
    heard_not = np.flatnonzero((_rng(world).random(world.members) < ECLIPSED) & ~world.hostile)
    return Attack(said=_joint(world, liars).said, unheard=frozenset(int(m) for m in heard_not))


def _viewer(world: World, liars: Sequence[int]) -> Attack:
    """The liars know one member's history: they accuse what costs it most and still passes its gate."""
    victim = victim_of(world)
    day = 0
    worked = world.worked(victim, day)
    matched = np.array([world.matched(victim, p, day) for p in range(len(world.base))])
    passes = np.array([upper_bound(int(k), worked) <= PARAMS.cheap_rate for k in matched])
    harm = np.where(passes & ~world.risky, world.rate[victim], -1.0)
    order = np.argsort(-harm, kind="stable")[: int((~world.risky).sum())]
    said = _slander(world, liars, order=order, weeks=_weeks(world))
    return Attack(
        said=tuple(said + _hide(world, liars, np.flatnonzero(world.risky), weeks=_weeks(world))),
        victims_only=True,
    )


def victim_of(world: World) -> int:
    """The member whose history the liars know: the honest one with the most work."""
    return int(np.argmax(np.where(world.hostile, -1, world.sessions[:, -1])))


ATTACKS: Final[Mapping[str, Callable[[World, Sequence[int]], Attack]]] = {
    "joint": _joint,
    "slander": _crude,
    "camouflage": _camouflage,
    "whitewash": _whitewash,
    "poison": _poison,
    "sybil": _joint,
    "onoff": _onoff,
    "slow": _slow,
    "equivocate": _equivocate,
    "eclipse": _eclipse,
    "viewer": _viewer,
}
