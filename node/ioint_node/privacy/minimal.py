"""The shortest generalised pattern that says what a session did when a step of it was judged out of scope.

A path of many steps or of rare ones can be recognised by who knows the session; a common one warns of everyday work.
Between the two lies the *minimal sub-path*: as few steps as make it rare, in words as wide as keep it rare. What can be
in it is closed by construction: words of the taxonomy, ranks and places in the path, nothing else of the session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Final

from ioint_protocol import LIMITS, Pattern, PatternStep
from ioint_protocol.pattern import Paths, Rate, Seen, canonical_form
from ioint_taxonomy import Taxonomy

# From whom no order is taken: who wrote such content is not who declared the task.
UNTRUSTED: Final = ("agent_message", "memory", "public_web", "third_party_content", "tool_output")
RARE: Final = 1 / 1000  # of ordinary sessions
# Below these ranks a step is everyday: internal data, inside the organisation or with a known partner.
CONFIDENTIAL: Final = 2
EXTERNAL: Final = 4

Widening = Callable[[PatternStep, Taxonomy], PatternStep]


def minimal_path(
    path: Sequence[Seen],
    at: int,
    *,
    taxonomy: Taxonomy,
    ordinary: Paths,
    broad: Callable[[Pattern], str | None],
    rate: float = RARE,
) -> Pattern | None:
    """Give the shortest pattern, then the widest, that is rare in ordinary sessions and ends at a step of this one.

    Where there are too few ordinary sessions to show that anything is rare, nothing is left out and nothing widened.

    Args:
        path: the session, at least as far as the step that was judged.
        at: the index of that step.
        taxonomy: whose words it is said in; a word that is not of it is not said.
        ordinary: sessions of everyday work.
        broad: why a pattern is not specific enough to be published, None when it is.
        rate: the largest share of ordinary sessions in which it may complete.

    Returns:
        The pattern in canonical form, without `declared`; None when every one is too broad or too common.
    """
    if not _says_something(path[at], taxonomy):
        return None
    causes = tuple(index for index in _causes(path, at, taxonomy) if _says_something(path[index], taxonomy))
    if ordinary.sessions * rate < 1:
        whole = _said(path, (*causes, at), taxonomy)
        return None if broad(whole) else canonical_form(whole, taxonomy)

    def specific(pattern: Pattern) -> bool:
        return broad(pattern) is None and _is_rare(ordinary.rate(pattern), rate)

    for chosen in _shortest_first(causes):
        pattern = _said(path, (*chosen, at), taxonomy)
        if specific(pattern):
            return canonical_form(_widest(pattern, specific, taxonomy), taxonomy)
    return None


def _is_rare(found: Rate, rate: float) -> bool:
    return found.matches <= rate * found.sessions


def _shortest_first(causes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    for count in range(len(causes) + 1):
        yield from combinations(causes, count)


def _causes(path: Sequence[Seen], at: int, taxonomy: Taxonomy) -> tuple[int, ...]:
    """The earlier steps without which a step may say too little, no more of them than a pattern has room for.

    They are those that its data came from, the nearest first, and the one whose content gave the order.
    """
    room = LIMITS.pattern_steps - 1
    order = _order(path, at, taxonomy)
    found: dict[int, None] = {}
    edge = [at]
    while edge and len(found) < room:
        sources = {source for index in edge for source in path[index].step.flow if source < index}
        edge = sorted(sources - found.keys(), reverse=True)
        found.update(dict.fromkeys(edge))
    if order is None or order in found:
        return tuple(found)[:room]
    return (*list(found)[: room - 1], order)


def _order(path: Sequence[Seen], at: int, taxonomy: Taxonomy) -> int | None:
    """The last step before that read what others may have written, if such content directed this step."""
    provenance = path[at].step.provenance
    if provenance not in UNTRUSTED:
        return None
    for index in reversed(range(at)):
        step = path[index].step
        known = taxonomy.resource_classes.get(step.resource)
        if (
            known is not None
            and known.provenance == provenance
            and taxonomy.verbs.get(step.verb) == "observe"
        ):
            return index
    return None


def _said(path: Sequence[Seen], chosen: Sequence[int], taxonomy: Taxonomy) -> Pattern:
    """Some steps of a session in the plainest words, with the data that flows between them."""
    places = {index: place for place, index in enumerate(sorted(chosen))}
    return Pattern(steps=tuple(_step(path[index], places, taxonomy) for index in places))


def _says_something(seen: Seen, taxonomy: Taxonomy) -> bool:
    return _step(seen, {}, taxonomy) != PatternStep()


def _step(seen: Seen, places: Mapping[int, int], taxonomy: Taxonomy) -> PatternStep:
    step = seen.step
    return PatternStep(
        verbs=(step.verb,) if step.verb in taxonomy.verbs else (),
        resources=(step.resource,) if step.resource in taxonomy.resources else (),
        sensitivity=taxonomy.sensitivity_rank(step.sensitivity) or None,
        boundary=taxonomy.boundary_rank(step.boundary) or None,
        provenances=(step.provenance,) if step.provenance in taxonomy.provenances else (),
        flow=tuple(sorted({places[source] for source in step.flow if source in places})),
        outside=seen.outside,
    )


def _widest(pattern: Pattern, specific: Callable[[Pattern], bool], taxonomy: Taxonomy) -> Pattern:
    """Widen what each step asks as far as the pattern stays specific, one thing after another."""
    for index in range(len(pattern.steps)):
        for widen in WIDENINGS:
            step = widen(pattern.steps[index], taxonomy)
            wider = replace(pattern, steps=(*pattern.steps[:index], step, *pattern.steps[index + 1 :]))
            if step not in (pattern.steps[index], PatternStep()) and specific(wider):
                pattern = wider
    return pattern


def _any_sensitivity(step: PatternStep, _: Taxonomy) -> PatternStep:
    return replace(step, sensitivity=None) if (step.sensitivity or 0) < CONFIDENTIAL else step


def _any_boundary(step: PatternStep, _: Taxonomy) -> PatternStep:
    return replace(step, boundary=None) if (step.boundary or 0) < EXTERNAL else step


def _any_word(step: PatternStep, _: Taxonomy) -> PatternStep:
    """Whose word directed it matters as far as it was nobody's to give."""
    if not step.provenances:
        return step
    return replace(step, provenances=UNTRUSTED if set(step.provenances) <= set(UNTRUSTED) else ())


def _group(step: PatternStep, taxonomy: Taxonomy) -> PatternStep:
    groups = tuple(f"@{taxonomy.resources[name]}" for name in step.resources if name in taxonomy.resources)
    return replace(step, resources=groups)


def _effect(step: PatternStep, taxonomy: Taxonomy) -> PatternStep:
    return replace(
        step, verbs=tuple(f"@{taxonomy.verbs[name]}" for name in step.verbs if name in taxonomy.verbs)
    )


WIDENINGS: Final[tuple[Widening, ...]] = (_any_sensitivity, _any_boundary, _any_word, _group, _effect)
