"""How far an action, and what the agent says, lie from the purpose that was declared.

Declaration, action and words are projected into one space, the families of the taxonomy. A *purpose* is a
distribution over families. A step fits a purpose as far as families that allow it are likely: a soft form of the
envelope, in which an unlikely family excuses little. A text is compared with the purpose by the Hellinger distance
of the two distributions, which is 0 for equal ones and 1 where nothing is shared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ioint_taxonomy import Envelope, Step, Taxonomy

from ioint_node.scoring.families import UNSPECIFIED, FamilyModel

SHARE_FLOOR = 0.01  # families less likely than this are left out, for the time they cost
TOPIC_CHARS = 400
TOPIC_KEEP = 0.5  # how much of the earlier topic remains when the agent says something new
TOPIC_FLOOR = 0.55  # texts about one task differ this much
STEPS_CACHED = 256


class Purpose:
    """What a session is for, as a distribution over families; it remembers the steps that it has weighed."""

    __slots__ = ("_envelopes", "_fits", "_roots", "_taxonomy")

    def __init__(self, spread: Mapping[str, float], taxonomy: Taxonomy) -> None:
        self._taxonomy = taxonomy
        likely = [(share, slug) for slug, share in spread.items() if share >= SHARE_FLOOR]
        total = sum(share for share, _ in likely)
        self._envelopes: tuple[tuple[float, Envelope], ...] = tuple(
            (share / total, taxonomy.families[slug].envelope)
            for share, slug in likely
            if slug in taxonomy.families
        )
        self._roots = {slug: math.sqrt(share) for slug, share in spread.items()}
        self._fits: dict[tuple[str, str, str, str], float] = {}

    def astray(self, step: Step) -> float:
        """The probability 0..1 that the purpose does not cover this kind of step."""
        key = (step.verb, step.resource, step.sensitivity, step.boundary)
        found = self._fits.get(key)
        if found is None:
            covered = sum(
                share for share, envelope in self._envelopes if not envelope.departures(step, self._taxonomy)
            )
            found = min(1.0, max(0.0, 1.0 - covered))
            if len(self._fits) < STEPS_CACHED:
                self._fits[key] = found
        return found

    def distance(self, spread: Mapping[str, float]) -> float:
        """The Hellinger distance 0..1 of another distribution over families."""
        shared = sum(math.sqrt(share) * self._roots.get(slug, 0.0) for slug, share in spread.items())
        return math.sqrt(max(0.0, 1.0 - shared))


def purpose_of(
    families: Sequence[tuple[str, float]], text: str, model: FamilyModel, taxonomy: Taxonomy
) -> Purpose:
    """The purpose of a declaration: the family that was named, else all families as likely as the text makes them."""
    if len(families) == 1:
        return Purpose({families[0][0]: 1.0}, taxonomy)
    return Purpose(model.spread(text), taxonomy)


class Topic:
    """What the agent has been talking of lately: a moving mean of the topic of its replies and of its reasoning."""

    __slots__ = ("_spread", "strayed")

    def __init__(self) -> None:
        self._spread: dict[str, float] = {}
        self.strayed = 0.0

    def hear(self, text: str, purpose: Purpose, model: FamilyModel) -> None:
        """Take in what the agent said or thought; text without a word of any family says nothing."""
        heard = model.spread(text[:TOPIC_CHARS])
        if not heard or UNSPECIFIED in heard:
            return
        if self._spread:
            self._spread = {
                slug: TOPIC_KEEP * self._spread.get(slug, 0.0) + (1.0 - TOPIC_KEEP) * share
                for slug, share in heard.items()
            }
        else:
            self._spread = dict(heard)
        self.strayed = max(0.0, purpose.distance(self._spread) - TOPIC_FLOOR) / (1.0 - TOPIC_FLOOR)
