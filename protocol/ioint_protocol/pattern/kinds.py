"""What a session's step is to a pattern: its kind, apart from where its data came from, and whether a step asks for it.

There are few kinds and many steps: what fits a kind is worked out once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from ioint_taxonomy import Step, Taxonomy

from ioint_protocol.pattern.language import PatternStep

ANY: Final = "*"  # the term of a pattern step that names no verb, or no resource class


class Kind(NamedTuple):
    """All that a pattern's step can ask of a session's step but its flow; `sensitivity` and `boundary` are ranks."""

    verb: str
    resource: str
    sensitivity: int
    boundary: int
    provenance: str
    outside: bool


def kind_of(step: Step, outside: bool, taxonomy: Taxonomy) -> Kind:
    """Give the kind of a session's step; `outside` says that it departs from what was declared."""
    return Kind(
        step.verb,
        step.resource,
        taxonomy.sensitivity_rank(step.sensitivity),
        taxonomy.boundary_rank(step.boundary),
        step.provenance,
        outside,
    )


def fits(asked: PatternStep, kind: Kind, taxonomy: Taxonomy) -> bool:
    """Say whether all that a pattern's step asks holds on a kind of step, its flow apart."""
    return (
        fits_besides_words(asked, kind)
        and any(term in (asked.verbs or (ANY,)) for term in terms_for(kind.verb, taxonomy.verbs))
        and any(term in (asked.resources or (ANY,)) for term in terms_for(kind.resource, taxonomy.resources))
    )


def fits_besides_words(asked: PatternStep, kind: Kind) -> bool:
    """Say whether it holds, verb and resource class apart."""
    return (
        kind.sensitivity >= (asked.sensitivity or 0)
        and kind.boundary >= (asked.boundary or 0)
        and (kind.outside or not asked.outside)
        and (not asked.provenances or kind.provenance in asked.provenances)
    )


def terms_for(word: str, classes: Mapping[str, str]) -> tuple[str, ...]:
    """Give the terms that take a word: itself, the class it is of (none for an unknown word), and any."""
    parent = classes.get(word)
    return (word, ANY) if parent is None else (word, f"@{parent}", ANY)
