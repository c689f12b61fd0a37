"""How many subjects each group accuses: whoever accuses very many is heard with less of its voice.

The count goes over all subjects, so no dossier knows it. It is made from the store, and moved by what is taken in until
it is made again; what it bears on, halvings, changes only where a count passes 120, 240, 480, and so on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ioint_node.reputation.rule import halvings

NOBODY: Final[Mapping[str, int]] = {}


class Breadth:
    """The subjects that each group accuses, counted, at most one number for each group of the roster.

    `halvings` says how often the accusing voice of a group is halved; it is the same object as long as it says the
    same.
    """

    def __init__(self) -> None:
        self._subjects: dict[str, int] = {}
        self.halvings: Mapping[str, int] = NOBODY

    def replace(self, subjects: Mapping[str, int]) -> frozenset[str]:
        """Take over counts of all groups; returns the groups whose voice changed by it."""
        self._subjects = dict(subjects)
        return self._settle()

    def correct(self, subjects: Mapping[str, int]) -> frozenset[str]:
        """Take over counts of some groups; returns the groups whose voice changed by it."""
        self._subjects |= subjects
        return self._settle()

    def add(self, groups: Iterable[str]) -> frozenset[str]:
        """Count one subject more for each time that a group is named; returns the groups whose voice changed by it."""
        named = list(groups)
        for group in named:
            self._subjects[group] = self._subjects.get(group, 0) + 1
        return self._settle() if named else frozenset()

    def subjects(self, group: str) -> int:
        """How many subjects a group accuses."""
        return self._subjects.get(group, 0)

    def _settle(self) -> frozenset[str]:
        now = {group: often for group, count in self._subjects.items() if (often := halvings(count))}
        before = self.halvings
        if now == before:
            return frozenset()
        self.halvings = now
        return frozenset(group for group in now.keys() | before.keys() if now.get(group) != before.get(group))
