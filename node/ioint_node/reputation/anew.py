"""What is to be concluded anew soon, because something changed that is said elsewhere than about the subject."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

from ioint_protocol import Pattern

SUBJECTS: Final = 100_000
"""How many wait at most; what does not find room is concluded anew by the next recomputation of everything."""


COUNTED_EVERY_MS: Final = 3_600_000
"""A group is counted so often at most because it asks for it; a sighting before its report does."""


class Anew:
    """What waits to be done soon.

    That is subjects to be concluded, groups whose voice changed or whose breadth is to be counted, and novel patterns
    of which is to be learned what they are special cases of.
    """

    def __init__(self) -> None:
        self._novel: dict[str, Pattern] = {}
        self._subjects: dict[str, None] = {}
        self._changed: set[str] = set()
        self._uncounted: set[str] = set()
        self._counted: dict[str, int] = {}  # when a group was counted because it asked, within the last hour

    def subjects(self, names: Iterable[str]) -> None:
        """These wait, as far as there is room."""
        for name in names:
            if len(self._subjects) < SUBJECTS:
                self._subjects[name] = None

    def changed(self, groups: Iterable[str]) -> None:
        """The voice of these groups weighs otherwise now, whatever it is about."""
        self._changed.update(groups)

    def uncounted(self, groups: Iterable[str]) -> None:
        """How much these groups accuse is not known exactly any more."""
        self._uncounted.update(groups)

    def learn(self, patterns: Mapping[str, Pattern]) -> None:
        """These wait to be learned, as far as there is room."""
        for name, pattern in patterns.items():
            if len(self._novel) < SUBJECTS:
                self._novel[name] = pattern

    def take_novel(self, count: int) -> dict[str, Pattern]:
        """So many of the patterns that wait to be learned; they wait no longer."""
        taken = {name: self._novel[name] for name in islice(self._novel, count)}
        for name in taken:
            del self._novel[name]
        return taken

    def take_subjects(self) -> tuple[str, ...]:
        """The subjects that waited; they wait no longer."""
        taken, self._subjects = tuple(self._subjects), {}
        return taken

    def take_changed(self) -> frozenset[str]:
        """The groups whose voice changed; they are dealt with."""
        taken, self._changed = frozenset(self._changed), set()
        return taken

    def take_uncounted(self, now: int) -> frozenset[str]:
        """The groups that are to be counted now, and were not within an hour; the others go on waiting."""
        recent = {group: at for group, at in self._counted.items() if 0 <= now - at < COUNTED_EVERY_MS}
        taken = frozenset(self._uncounted - recent.keys())
        self._uncounted -= taken
        self._counted = recent | dict.fromkeys(taken, now)
        return taken
