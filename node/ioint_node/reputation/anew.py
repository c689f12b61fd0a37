"""What is to be concluded anew soon, because something changed that is said elsewhere than about the subject."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

SUBJECTS: Final = 100_000
"""How many wait at most; what does not find room is concluded anew by the next recomputation of everything."""


class Anew:
    """Subjects that wait to be concluded anew, and groups whose voice changed or whose breadth is to be counted."""

    def __init__(self) -> None:
        self._subjects: dict[str, None] = {}
        self._changed: set[str] = set()
        self._uncounted: set[str] = set()

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

    def take_subjects(self) -> tuple[str, ...]:
        """The subjects that waited; they wait no longer."""
        taken, self._subjects = tuple(self._subjects), {}
        return taken

    def take_changed(self) -> frozenset[str]:
        """The groups whose voice changed; they are dealt with."""
        taken, self._changed = frozenset(self._changed), set()
        return taken

    def take_uncounted(self) -> frozenset[str]:
        """The groups that are to be counted; they are dealt with."""
        taken, self._uncounted = frozenset(self._uncounted), set()
        return taken
