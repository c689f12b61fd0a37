"""The abstract path of a session as it is kept: steps in words of the taxonomy, nothing of what stood in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from ioint_protocol import Pattern, PatternStep
from ioint_taxonomy import Step, Taxonomy
from msgspec import Struct

STEPS_KEPT: Final = 256  # of a session, the first: some 40 KB
_encoder = msgspec.json.Encoder()


class KeptPath(Struct, frozen=True, kw_only=True):
    """The declared families of a session (slugs), its steps, and of each whether it left the envelope."""

    families: tuple[str, ...]
    steps: tuple[Step, ...]
    outside: tuple[bool, ...]


def path_text(families: Sequence[tuple[str, float]], steps: Sequence[Step], outside: Sequence[bool]) -> str:
    """The JSON of a path."""
    return _encoder.encode(kept(families, steps, outside)).decode()


def kept(families: Sequence[tuple[str, float]], steps: Sequence[Step], outside: Sequence[bool]) -> KeptPath:
    """A path as far as it is kept: at most `STEPS_KEPT` of its steps."""
    return KeptPath(
        families=tuple(slug for slug, _ in families),
        steps=tuple(steps[:STEPS_KEPT]),
        outside=tuple(outside[:STEPS_KEPT]),
    )


def kept_whole(steps: Sequence[Step], outside: Sequence[bool]) -> bool:
    """Whether all of a path is kept: of one that was cut nobody can say later what it does not contain."""
    return len(steps) == len(outside) <= STEPS_KEPT


def traces(pattern: Pattern, taxonomy: Taxonomy) -> tuple[tuple[str, ...], ...]:
    """What stands in the JSON of every path that contains a pattern: of each of these, one.

    Whoever looks for it needs to read only those paths; most have not even the words.
    """
    found = {trace for step in pattern.steps for trace in _traces(step, taxonomy)}
    return tuple(sorted(trace for trace in found if trace))


def _traces(step: PatternStep, taxonomy: Taxonomy) -> tuple[tuple[str, ...], ...]:
    verbs = [f'"verb":"{word}"' for word in _words(step.verbs, taxonomy.verbs)]
    resources = [f'"resource":"{word}"' for word in _words(step.resources, taxonomy.resources)]
    # The two follow one another in a step.
    both = [f"{verb},{resource}" for verb in verbs for resource in resources]
    provenances = tuple(f'"provenance":"{word}"' for word in sorted(step.provenances))
    return (tuple(both or verbs or resources), provenances, ("true",) if step.outside else ())


def _words(terms: Sequence[str], classes: Mapping[str, str]) -> list[str]:
    """The words that these terms name; a group or class is every word in it."""
    named = {word for word, group in classes.items() if f"@{group}" in terms}
    return sorted(named.union(term for term in terms if not term.startswith("@")))


def path_of(text: str) -> KeptPath:
    """The path that `path_text` wrote."""
    return msgspec.json.decode(text, type=KeptPath)
