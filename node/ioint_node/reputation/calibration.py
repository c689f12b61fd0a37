"""How much the word of each group weighs for this viewer, by what this viewer saw itself.

Where the own record of a pattern or subject is strong, by the log-odds of the rule, a group that spoke of it said the
same or the opposite. Agreement gives a group nothing that it had not: a weight is at most 1. Disagreement takes, down
to a fifth. The numbers that are removed from the largest voices stay those of the electorate: were they counted from
what weights leave, calibration would shrink the very removal that holds liars.

The tier that counts is the lower of that of the network part and of the same rule over the weighed voices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from ioint_node.reputation.gate import OwnRecord, own_log_odds
from ioint_node.reputation.rule import (
    MICRO,
    SMALLEST_CONSORTIUM,
    TIERS,
    Network,
    Scales,
    Voice,
    outcome,
    sums_of,
    without_largest,
)

FLOOR: Final = 200_000  # the least that a word weighs, in micro-units
STEP: Final = 50_000  # weights are rounded down to this, so that few things are judged anew when one moves
STRONG: Final = 2_000_000  # micro log-odds beyond which an own record is strong
# In fifths of an agreement about something bad. The same pattern may be ordinary work here and an attack elsewhere, so
# that calling it bad wrongly counts a quarter of what it does for a package, which is the same everywhere.
PRIOR: Final = 10
BOTH_BAD, BOTH_CLEAN, MISSED = 5, 1, 5
WRONGLY_BAD_PATTERN, WRONGLY_BAD_SUBJECT = 3, 10


class Observation(Struct, frozen=True, kw_only=True):
    """What this node saw strongly of one subject, and which groups accuse it (True) or speak for it (False)."""

    bad: bool
    public_subject: bool
    sides: Mapping[str, bool]


def strong(own: OwnRecord) -> bool | None:
    """Whether the own record says bad (True) or clean (False); None where it is not strong."""
    log_odds = own_log_odds(own, own.benign + own.flagged)
    return None if abs(log_odds) <= STRONG else log_odds > 0


def sides(voices: Iterable[Voice]) -> dict[str, bool]:
    """Which groups accuse (True) and which speak for it (False)."""
    return {v.group: v.accusing > v.benign for v in voices if v.accusing != v.benign}


def weights(observations: Iterable[Observation]) -> dict[str, int]:
    """The weight of each group that said something else than what was seen, in micro-units; of all others it is 1.

    (2 + a) / (2 + a + d): a and d count what was said alike and otherwise.
    """
    agreed: dict[str, int] = {}
    differed: dict[str, int] = {}
    for seen in observations:
        wrongly = WRONGLY_BAD_SUBJECT if seen.public_subject else WRONGLY_BAD_PATTERN
        for group, accuses in seen.sides.items():
            if accuses == seen.bad:
                agreed[group] = agreed.get(group, 0) + (BOTH_BAD if accuses else BOTH_CLEAN)
            else:
                differed[group] = differed.get(group, 0) + (wrongly if accuses else MISSED)
    return {group: _weight(agreed.get(group, 0), against) for group, against in differed.items()}


def left_of_others(
    network: Network, weights: Mapping[str, int], us: str, *, smallest: int = SMALLEST_CONSORTIUM
) -> int | None:
    """What other groups than ours accuse it with, weighed, without the b largest, in micro-units.

    None where nothing may be made of it: in a consortium of fewer groups than `smallest`, and under review.
    """
    if network.groups < smallest or network.review:
        return None
    said = [v.accusing * weights.get(v.group, MICRO) // MICRO for v in network.voices if v.group != us]
    return without_largest(said, network.b)


def weighed_tier(network: Network, weights: Mapping[str, int], scales: Scales) -> str:
    """The lower of the tier of the network part and of that of its voices as they weigh here."""
    if not weights or not any(weights.get(v.group, MICRO) < MICRO for v in network.voices):
        return network.tier
    voices = [_weighed(v, weights.get(v.group, MICRO)) for v in network.voices]
    here = outcome(
        sums_of(voices, accusers=network.independent),
        scales,
        withdrawn=network.withdrawn,
        review=network.review,
    )
    return min(network.tier, here.tier, key=TIERS.index)


def _weight(agreed: int, differed: int) -> int:
    exact = (PRIOR + agreed) * MICRO // (PRIOR + agreed + differed)
    return max(FLOOR, exact - exact % STEP)


def _weighed(voice: Voice, weight: int) -> Voice:
    return replace(voice, accusing=voice.accusing * weight // MICRO, benign=voice.benign * weight // MICRO)
