"""The fewest colluders that flip one subject, and the lemma put to the test with liars that say the most they can."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ioint_node.lab.rules import RIVAL_EFFECT, Claims, Rival
from ioint_node.lab.tallies import DAY_ZERO, answering, group_name, member_name
from ioint_node.reputation.gate import EFFECT
from ioint_node.reputation.rule import MICRO, Electorate, Scales, Statement, removals
from ioint_node.reputation.tally import tallied

BACKGROUND: Final = 200  # subjects on which colluders agree with the rest, so that agreement tells nothing
SESSIONS: Final = 40  # of one user: all that a voice counts
RISKY_RATE, BENIGN_RATE = 0.15, 0.004
LOUD: Final = 10  # 2^10 sessions: more buys nothing
DRAWS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """The fewest colluders for an effect of at least .05, .10, .30 on a clean subject, and to hide a risky one.

    None where no number of them does it.
    """

    slander: tuple[int | None, int | None, int | None]
    hide: int | None


def flip_tier(orgs: int, users: int, seed: int = 0) -> Flip:
    """Of the rule as it is shipped, with so many honest users; clean users lend their benign voice."""
    scales = _full(orgs)
    rng = np.random.default_rng((orgs, users, seed))
    clean, risky = _users(rng, users, BENIGN_RATE), _users(rng, users, RISKY_RATE)

    def slander(colluders: int) -> float:
        return _effect(scales, [*clean, *_colluders(orgs, colluders, "report")])

    def hide(colluders: int) -> float:
        return _effect(scales, [*risky, *_colluders(orgs, colluders, "dispute")])

    return _fewest(orgs - users, slander, hide)


def flip_rival(orgs: int, users: int, rival: Rival, least: float, seed: int = 0) -> Flip:
    """Of a rival rule with its threshold."""

    def judged(colluders: int, rate: float, bad: int, seen: int) -> float:
        rng = np.random.default_rng((orgs, users, seed))
        risky = rng.random(BACKGROUND) < 0.2
        told = np.where(rng.random((orgs, BACKGROUND)) < 0.17, float(SESSIONS), 0.0)
        wrong = rng.binomial(SESSIONS, np.where(risky, RISKY_RATE, BENIGN_RATE), told.shape) * (told > 0)
        told[:, 0] = wrong[:, 0] = 0
        told[:users, 0], wrong[:users, 0] = SESSIONS, rng.binomial(SESSIONS, rate, users)
        if colluders:
            told[orgs - colluders :, 0], wrong[orgs - colluders :, 0] = seen, bad
        score = rival(Claims(bad=wrong.astype(np.float64), seen=told))[0]
        return RIVAL_EFFECT if score > least else 0.0

    return _fewest(
        orgs - users,
        lambda m: judged(m, BENIGN_RATE, SESSIONS, SESSIONS),
        lambda m: judged(m, RISKY_RATE, 0, 5 * SESSIONS),
    )


def _fewest(most: int, slander: Callable[[int], float], hide: Callable[[int], float]) -> Flip:
    found = [slander(m) for m in range(most + 1)]
    hidden = [hide(m) for m in range(most + 1)]
    visible = hidden[0] > 0
    return Flip(
        slander=(_first(found, 0.05), _first(found, 0.10), _first(found, 0.30)),
        hide=next((m for m, effect in enumerate(hidden) if effect == 0), None) if visible else 0,
    )


def _first(effects: Sequence[float], level: float) -> int | None:
    return next((m for m, effect in enumerate(effects) if effect > level - 0.001), None)


def _full(orgs: int) -> Scales:
    """Every member a group of its own, with full tenure."""
    groups = {member_name(m): group_name(m) for m in range(orgs)}
    voters = Electorate(groups=orgs, group_of=groups, tenure=dict.fromkeys(groups.values(), MICRO))
    return Scales(voters=voters, today=DAY_ZERO)


def _users(rng: np.random.Generator, count: int, rate: float) -> list[Statement]:
    return [
        _said(member, "report", bad.bit_length() - 1, 5) if bad else _said(member, "dispute")
        for member, bad in enumerate(int(b) for b in rng.binomial(SESSIONS, rate, count))
    ]


def _colluders(orgs: int, count: int, kind: str) -> list[Statement]:
    return [_said(member, kind, LOUD, LOUD) for member in range(orgs - count, orgs)]


def _said(member: int, kind: str, bad: int = 0, seen: int = 0) -> Statement:
    author = member_name(member)
    return Statement(id=author, author=author, kind=kind, bad=bad, seen=seen, day=DAY_ZERO)


def _effect(scales: Scales, said: Sequence[Statement]) -> float:
    """The effect of the network part; a single report's precaution is the viewer's own and not counted."""
    return EFFECT.get(tallied("", answering(said), scales, public_subject=True).outcome().tier, 0.0)


def lemma(orgs: int, *, draws: int = DRAWS, seed: int = 0) -> tuple[float, float]:
    """The largest effect that b and ⌈n/3⌉ liars reached on what no honest group accuses, over random liars.

    They draw what they say, from which loudness, on which day, and the honest may lend benign voices.
    """
    b, q = removals(orgs)
    return _worst(orgs, b, draws, seed), _worst(orgs, q, draws, seed)


def _worst(orgs: int, liars: int, draws: int, seed: int) -> float:
    scales = _full(orgs)
    rng = np.random.default_rng((orgs, liars, seed))
    worst = 0.0
    for draw in range(draws):
        loudest = draw % 2 == 0
        said = [
            Statement(
                id=member_name(member),
                author=member_name(member),
                kind=str(rng.choice(["report", "sighting"])),
                bad=LOUD if loudest else int(rng.integers(0, LOUD)),
                seen=LOUD,
                day=DAY_ZERO - (0 if loudest else int(rng.integers(-1, 30))),
            )
            for member in range(liars)
        ]
        said += [_said(m, "dispute") for m in range(liars, orgs) if not loudest and rng.random() < 0.02]
        worst = max(worst, _effect(scales, said))
    return worst
