"""Whether a pattern is a special case of another: every session that completes it completes the other.

The proof looks at the barest sessions that complete the special pattern: its own steps, each with the least that it
asks, and where it leaves a choice of words, every choice. In each of them the general pattern must have a match. With
more steps, more flow or higher ranks it then has one too, so a yes is always right. A no is right as well, unless the
choices are more than `CASES`: then only a match that holds for all choices at once is looked for.

It speaks of the language, under one release of the taxonomy: a matcher that keeps a bounded number of partial matches
may find less in a very long session.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import product
from math import prod
from operator import and_
from typing import Final

from ioint_taxonomy import Taxonomy

from ioint_protocol.pattern.language import Pattern, PatternStep

CASES: Final = 1_024  # choices of words that are looked at one by one
_UNHEARD: Final = ""  # a word that no pattern names and no taxonomy knows

# The steps of the general pattern that a step of a session fits, as bits: 1 << index.
Fitting = int


def implies(special: Pattern, general: Pattern, taxonomy: Taxonomy) -> bool:
    """Say whether every session that completes `special` completes `general`, at that step or before."""
    if general.declared and not (special.declared and set(special.declared) <= set(general.declared)):
        return False
    if len(general.steps) > 1 and special.gaps > general.gaps:
        return False
    choices = [_choices(step, general, taxonomy) for step in special.steps]
    if _embeds(special, general, [reduce(and_, choice) for choice in choices]):
        return True
    if prod(map(len, choices)) > CASES:
        return False
    return all(_embeds(special, general, case) for case in product(*choices))


def generalisations(pattern: Pattern, of: Mapping[str, Pattern], taxonomy: Taxonomy) -> tuple[str, ...]:
    """Give the names of the patterns that this one is a special case of, the most special of them first.

    With the entries of a catalogue, it says which of them already tell what a pattern tells.
    """
    found = [name for name, general in of.items() if implies(pattern, general, taxonomy)]
    covered = {name: sum(implies(of[name], of[other], taxonomy) for other in found) for name in found}
    return tuple(sorted(found, key=lambda name: (-covered[name], name)))


def _choices(step: PatternStep, general: Pattern, taxonomy: Taxonomy) -> tuple[Fitting, ...]:
    """What the session's step for a special step fits, for each choice of words; of two, only the lesser counts."""
    ranks = _bits(
        (asked.sensitivity or 0) <= (step.sensitivity or 0)
        and (asked.boundary or 0) <= (step.boundary or 0)
        and (step.outside or not asked.outside)
        for asked in general.steps
    )
    verbs, resources = taxonomy.verbs, taxonomy.resources
    by_verb = _by_word(_words(step.verbs, taxonomy.effect_classes), [g.verbs for g in general.steps], verbs)
    by_resource = _by_word(
        _words(step.resources, taxonomy.groups), [g.resources for g in general.steps], resources
    )
    by_origin = _by_word(step.provenances or (_UNHEARD,), [g.provenances for g in general.steps], {})
    return _least(ranks & v & r & p for v, r, p in product(by_verb, by_resource, by_origin))


def _words(terms: Sequence[str], classes: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """The words that terms leave to choose from; of a class that is not known, the class itself."""
    for term in terms or (_UNHEARD,):
        yield from classes.get(term.removeprefix("@"), (term,)) if term.startswith("@") else (term,)


def _by_word(
    words: Iterable[str], asked: Sequence[Sequence[str]], classes: Mapping[str, str]
) -> tuple[Fitting, ...]:
    return _least(
        _bits(not terms or word in terms or f"@{classes.get(word)}" in terms for terms in asked)
        for word in words
    )


def _bits(flags: Iterable[bool]) -> Fitting:
    return sum(flag << index for index, flag in enumerate(flags))


def _least(fitting: Iterable[Fitting]) -> tuple[Fitting, ...]:
    """Those that contain no other of them: where the least suffices, the rest does too."""
    found = set(fitting)
    return tuple(sorted(one for one in found if not any(other & one == other for other in found - {one})))


def _embeds(special: Pattern, general: Pattern, fitting: Sequence[Fitting]) -> bool:
    """Say whether the general pattern has a match in the bare session of the special one."""

    def goes_on(places: tuple[int, ...]) -> bool:
        index = len(places)
        if index == len(general.steps):
            return True
        first = places[-1] + 1 if places else 0
        last = first + 1 if places and not general.gaps else len(special.steps)
        sources = [places[source] for source in general.steps[index].flow]
        return any(
            fitting[place] >> index & 1
            and set(sources) <= set(special.steps[place].flow)
            and goes_on((*places, place))
            for place in range(first, min(last, len(special.steps)))
        )

    return goes_on(())
