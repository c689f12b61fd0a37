"""Which family a declaration belongs to, and the envelope that follows from it.

A linear text model (TF-IDF of word stems and of what they stand for in the taxonomy, softmax) that is learned from
`declarations` alone and shipped as plain arrays. A session may have several likely families; its envelope is their
union, widened by every verb and resource that the request itself names: what a person asks for in so many words is
never a departure. A family that is merely less unlikely than the others widens nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ioint_taxonomy import Envelope, Taxonomy

from ioint_node.scoring.provenance import Named
from ioint_node.scoring.text import stem, words
from ioint_node.scoring.words import RESOURCE_OF, STOP, VERB_OF

UNSPECIFIED = "unspecified"
DECLARATION_CHARS = 4_000
FAMILIES_PER_SESSION = 4
LIKELY_RATIO = 0.35
LIKELY_FLOOR = 0.15
LIKELY_MASS = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyModel:
    """The weights: `idf` and `weights[stem]` by family index, `bias` by family index."""

    slugs: tuple[str, ...]
    bias: tuple[float, ...]
    idf: Mapping[str, float]
    weights: Mapping[str, tuple[float, ...]]

    def spread(self, text: str) -> Mapping[str, float]:
        """The probability of every family, 1 in all; empty where the text has no telling word that is known."""
        counts: dict[str, int] = {}
        for one in stems(text):
            if one in self.idf:
                counts[one] = counts.get(one, 0) + 1
        if counts.keys() <= _PLAIN:
            return {}
        values = {one: (1.0 + math.log(count)) * self.idf[one] for one, count in counts.items()}
        norm = math.sqrt(sum(value * value for value in values.values()))
        logits = list(self.bias)
        for one, value in values.items():
            scale = value / norm
            logits = [logit + weight * scale for logit, weight in zip(logits, self.weights[one], strict=True)]
        top = max(logits)
        exponents = [math.exp(logit - top) for logit in logits]
        total = sum(exponents)
        return {slug: value / total for slug, value in zip(self.slugs, exponents, strict=True)}

    def infer(self, text: str) -> tuple[tuple[str, float], ...]:
        """The likeliest families of a declaration, best first; unspecified where nothing is known."""
        ranked = sorted(self.spread(text).items(), key=lambda pair: (-pair[1], pair[0]))
        return tuple(ranked[:FAMILIES_PER_SESSION]) or ((UNSPECIFIED, 1.0),)


_PLAIN: Final = frozenset(stem(word) for word in STOP)


def stems(text: str) -> list[str]:
    """The stems of a declaration, and the verbs and resource classes of the taxonomy that they stand for."""
    found = [stem(word) for word in words(text[:DECLARATION_CHARS])]
    marks = [f"verb:{verb}" for one in found for verb in sorted(VERB_OF.get(one, ()))]
    return found + marks + [f"resource:{name}" for one in found for name in sorted(RESOURCE_OF.get(one, ()))]


def likely(families: Sequence[tuple[str, float]]) -> tuple[str, ...]:
    """The families that widen the envelope: the likely ones, best first, until most of the probability is covered."""
    if len(families) == 1:
        return (families[0][0],)
    best = families[0][1] if families else 0.0
    found: list[str] = []
    covered = 0.0
    for slug, confidence in families:
        if covered >= LIKELY_MASS or confidence < max(LIKELY_FLOOR, LIKELY_RATIO * best):
            break
        found.append(slug)
        covered += confidence
    return tuple(found) or (UNSPECIFIED,)


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
