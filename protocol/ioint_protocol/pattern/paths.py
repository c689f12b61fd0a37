"""How often a pattern completes in sessions that are known: its base rate on abstract paths."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ioint_taxonomy import Step, Taxonomy

from ioint_protocol.pattern.kinds import Kind, fits, kind_of
from ioint_protocol.pattern.language import Pattern, PatternStep
from ioint_protocol.pattern.matcher import Matcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One step of a session, and whether it departed from what was declared."""

    step: Step
    outside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """All steps of a session, and the families that it declared (slugs)."""

    steps: tuple[Seen, ...]
    families: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many matching sessions among so many."""

    matches: int
    sessions: int


class Paths:
    """Sessions of which the base rates of many patterns are asked; only those that may match are searched."""

    def __init__(self, paths: Iterable[Path], taxonomy: Taxonomy) -> None:
        self._taxonomy = taxonomy
        self._paths = tuple(paths)
        self._having: dict[Kind, set[int]] = {}
        for index, path in enumerate(self._paths):
            for seen in path.steps:
                self._having.setdefault(kind_of(seen.step, seen.outside, taxonomy), set()).add(index)

    @property
    def sessions(self) -> int:
        """How many sessions there are."""
        return len(self._paths)

    def rate(self, pattern: Pattern) -> Rate:
        """Count the sessions that complete a pattern."""
        may = set(range(len(self._paths)))
        for asked in pattern.steps:
            may &= self._with(asked)
        matcher = Matcher({"": pattern}, self._taxonomy)
        matches = sum(completes(self._paths[index], matcher) for index in may)
        return Rate(matches=matches, sessions=len(self._paths))

    def _with(self, asked: PatternStep) -> set[int]:
        """The sessions that have a step that fits."""
        kinds = (having for kind, having in self._having.items() if fits(asked, kind, self._taxonomy))
        return set().union(*kinds)


def base_rate(pattern: Pattern, paths: Iterable[Path], taxonomy: Taxonomy) -> Rate:
    """Count the sessions, and those of them that complete a pattern; for many patterns, make `Paths` once."""
    return Paths(paths, taxonomy).rate(pattern)


def completes(path: Path, matcher: Matcher) -> bool:
    """Say whether a session completes any of the patterns of a matcher."""
    state = matcher.start(path.families)
    for seen in path.steps:
        state, completed = matcher.advance(state, seen.step, seen.outside)
        if completed:
            return True
    return False
