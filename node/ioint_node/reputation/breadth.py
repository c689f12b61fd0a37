"""How many subjects each group accuses: whoever accuses very many is heard with less of its voice.

The count goes over all subjects, so no dossier knows it. It is made from the store, and moved by what is taken in until
it is made again; what it bears on, halvings, changes only where a count passes 120, 240, 480, and so on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from ioint_node.reputation.rule import halvings

NOBODY: Final[Mapping[str, int]] = {}


class Breadth:
    """The subjects that each group accuses, counted, at most one number for each group of the roster.

    `halvings` says how often the accusing voice of a group is halved; it is the same object as long as it says the
    same. `day` is the UTC day of the count, None before the first: what is said counts for so many days, so that with
    every day fewer subjects may be left.
    """

    def __init__(self) -> None:
        self.day: int | None = None
        self._subjects: dict[str, int] = {}
        self.halvings: Mapping[str, int] = NOBODY

    def correct(self, group: str, subjects: int) -> frozenset[str]:
        """Take over the count of a group; returns the groups whose voice changed by it, none or this."""
        self._subjects[group] = subjects
        return self._settle((group,))

    def keep(self, groups: Collection[str]) -> None:
        """Forget all others."""
        gone = self._subjects.keys() - set(groups)
        for group in gone:
            del self._subjects[group]
        self._settle(gone)

    def add(self, groups: Iterable[str]) -> frozenset[str]:
        """Count one subject more for each time that a group is named; returns the groups whose voice changed by it."""
        named = list(groups)
        for group in named:
            self._subjects[group] = self._subjects.get(group, 0) + 1
        return self._settle(named)

    def subjects(self, group: str) -> int:
        """How many subjects a group accuses."""
        return self._subjects.get(group, 0)

    def _settle(self, groups: Iterable[str]) -> frozenset[str]:
        now = {group: halvings(self._subjects.get(group, 0)) for group in groups}
        moved = frozenset([group for group, often in now.items() if often != self.halvings.get(group, 0)])
        if moved:
            settled = {**self.halvings, **now}
            self.halvings = {group: often for group, often in settled.items() if often}
        return moved
