"""Which patterns are special cases of which entries of the catalogue: what is said of these counts for those too.

Only entries of the catalogue pass anything on: every node with one roster has the same catalogue, while of the novel
patterns that members reported each may have met others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from ioint_protocol import Pattern, parse_pattern
from ioint_protocol.pattern import implies
from ioint_taxonomy import Catalogue, Taxonomy

NOVEL: Final = 100_000
"""Of how many novel patterns it is remembered what they are special cases of; the one learned first goes first."""


class Lineage:
    """The special cases among the entries of a catalogue, by id, under one taxonomy.

    Of a novel pattern they are not known before it is learned, which takes some milliseconds of whoever does it, and
    members may name many patterns. `name` is another one where the same pattern could be a special case of others.
    """

    def __init__(self, patterns: Mapping[str, Pattern], taxonomy: Taxonomy, name: str = "") -> None:
        self.name = name
        self._patterns = patterns
        self._taxonomy = taxonomy
        self._general = {name: self._implied(name, pattern) for name, pattern in patterns.items()}
        self._special: dict[str, tuple[str, ...]] = {}
        for special, general in self._general.items():
            for other in general:
                self._special[other] = (*self._special.get(other, ()), special)
        self._novel: dict[str, tuple[str, ...]] = {}

    def general(self, subject: str) -> tuple[str, ...] | None:
        """The entries that a pattern is a special case of, in order; None while it is no entry and not learned."""
        found = self._general.get(subject)
        return self._novel.get(subject) if found is None else found

    def learn(self, subject: str, novel: Pattern) -> tuple[str, ...]:
        """Find out which entries a novel pattern is a special case of."""
        found = self._implied(subject, novel)
        self.recall(subject, found)
        return found

    def recall(self, subject: str, general: Iterable[str]) -> None:
        """Take over what was learned of a novel pattern before, by a lineage of the same name."""
        while len(self._novel) >= NOVEL:
            self._novel.pop(next(iter(self._novel)))
        self._novel[subject] = tuple(general)

    def special(self, entry: str) -> tuple[str, ...]:
        """The entries that are special cases of this one."""
        return self._special.get(entry, ())

    def _implied(self, name: str, pattern: Pattern) -> tuple[str, ...]:
        return tuple(
            sorted(
                other
                for other, general in self._patterns.items()
                if other != name and implies(pattern, general, self._taxonomy)
            )
        )


@lru_cache(maxsize=2)
def lineage(catalogue: Catalogue, taxonomy: Taxonomy) -> Lineage:
    """The lineage of a catalogue's entries; a quarter of a second the first time."""
    patterns = {name: parse_pattern(entry.pattern) for name, entry in catalogue.entries.items()}
    return Lineage(patterns, taxonomy, name=f"{taxonomy.digest[:16]}-{catalogue.digest[:16]}")
