"""Which family a declaration belongs to, and the envelope that follows from it.

A linear text model (TF-IDF of word stems, softmax) that is learned from `declarations` alone and shipped as plain
arrays. A session may have several likely families; its envelope is their union, widened by every verb and resource
that the request itself names: what a person asks for in so many words is never a departure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ioint_taxonomy import Envelope, Taxonomy

from ioint_node.scoring.provenance import Named
from ioint_node.scoring.text import stem, words
from ioint_node.scoring.words import STOP

UNSPECIFIED = "unspecified"
DECLARATION_CHARS = 4_000
FAMILIES_PER_SESSION = 4
LIKELY_RATIO = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyModel:
    """The weights: `idf` and `weights[stem]` by family index, `bias` by family index."""

    slugs: tuple[str, ...]
    bias: tuple[float, ...]
    idf: Mapping[str, float]
    weights: Mapping[str, tuple[float, ...]]

    def infer(self, text: str) -> tuple[tuple[str, float], ...]:
        """The families of a declaration with their probabilities, best first; unspecified where nothing is known."""
        counts: dict[str, int] = {}
        for one in stems(text):
            if one in self.idf:
                counts[one] = counts.get(one, 0) + 1
        if not counts:
            return ((UNSPECIFIED, 1.0),)
        values = {one: (1.0 + math.log(count)) * self.idf[one] for one, count in counts.items()}
        norm = math.sqrt(sum(value * value for value in values.values()))
        logits = list(self.bias)
        for one, value in values.items():
            for index, weight in enumerate(self.weights[one]):
                logits[index] += weight * value / norm
        top = max(logits)
        exponents = [math.exp(logit - top) for logit in logits]
        total = sum(exponents)
        ranked = sorted(zip(self.slugs, exponents, strict=True), key=lambda pair: (-pair[1], pair[0]))
        return tuple((slug, value / total) for slug, value in ranked[:FAMILIES_PER_SESSION])


def stems(text: str) -> list[str]:
    """The stems of a declaration that carry meaning."""
    return [stem(word) for word in words(text[:DECLARATION_CHARS]) if word not in STOP]


def likely(families: Sequence[tuple[str, float]]) -> tuple[str, ...]:
    """The families that are likely enough to widen the envelope."""
    if not families:
        return (UNSPECIFIED,)
    best = families[0][1]
    return tuple(slug for slug, confidence in families if confidence >= LIKELY_RATIO * best)


def envelope_of(families: Sequence[str], request: Named, taxonomy: Taxonomy) -> Envelope:
    """The union of the families' envelopes, and everything that the request names."""
    envelope: Envelope | None = None
    for slug in families:
        family = taxonomy.families.get(slug)
        if family is not None:
            envelope = family.envelope if envelope is None else envelope.union(family.envelope, taxonomy)
    if envelope is None:
        envelope = taxonomy.families[UNSPECIFIED].envelope
    return Envelope(
        verbs=envelope.verbs | frozenset(request.verbs & taxonomy.verbs.keys()),
        resources=envelope.resources | frozenset(request.resources & taxonomy.resources.keys()),
        max_sensitivity=envelope.max_sensitivity,
        max_boundary=envelope.max_boundary,
    )
