"""Finding many patterns in what a session does, one step at a time (SPEC, "Patterns").

A pattern is complete at the session step that ends *some* assignment of its steps to session steps. Without data flow
the earliest match of each step decides that; with `f` several partial assignments must be carried along, because a
later one can carry the data. Assignments that the rest of the pattern cannot tell apart are kept once, and of those of
one length at most `partials`, the newest.

What is kept is kept of hops (`index`), so patterns that begin alike share it: a session costs and holds as much as it
has gone along different beginnings. Matchers and states are values; both are built on persistent maps, so that a step
costs what fits it, whatever else is live or on its way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from weakref import WeakKeyDictionary

from immutables import Map
from ioint_taxonomy import Step, Taxonomy
from msgspec import Struct

from ioint_protocol.limits import LIMITS
from ioint_protocol.pattern.index import EMPTY, Hop, Index, Place
from ioint_protocol.pattern.kinds import Kind, kind_of, terms_for
from ioint_protocol.pattern.language import Pattern

KINDS_REMEMBERED: Final = 8_192  # kinds of step whose hops are kept ready, per matcher

Assignment = tuple[int, ...]  # session step of each pattern step matched so far
_BEGINNING: Final[tuple[Assignment, ...]] = ((),)
_NO_PARTIALS: Final[Map[Place, tuple[Assignment, ...]]] = Map()
_NO_PATTERNS: Final[Map[str, int]] = Map()


# Made for every step of a session: a frozen dataclass takes ten times as long to make.
class MatchState(Struct, frozen=True, kw_only=True):
    """How far a session has come along each pattern, and which it completed at which of its steps.

    It names places along patterns and no patterns, so that it outlives the matcher that made it. Nothing is kept of a
    pattern whose first step no session step matched.
    """

    families: frozenset[str]
    steps: int = 0
    partials: Map[Place, tuple[Assignment, ...]] = _NO_PARTIALS
    completed: Map[str, int] = _NO_PATTERNS


class _Change(Struct, frozen=True, kw_only=True):
    """What sets a matcher apart from one before: patterns to look for anew, and what a state keeps in vain."""

    fresh: Matcher
    names: tuple[str, ...]
    places: tuple[Place, ...]


class Matcher:
    """Many patterns at once; a step is compared only with pattern steps that share its verb and its resource class."""

    def __init__(self, patterns: Mapping[str, Pattern], taxonomy: Taxonomy, beside: Index = EMPTY) -> None:
        """Find these patterns, told by their names, beside those of an index."""
        self._index = beside.changed(patterns, ())
        self._taxonomy = taxonomy
        self._ready: dict[Kind, tuple[tuple[Hop, ...], ...]] = {}
        self._changes: WeakKeyDictionary[Matcher, _Change] = WeakKeyDictionary()

    @property
    def patterns(self) -> Mapping[str, Pattern]:
        """The patterns that it finds, by name."""
        return self._index.patterns

    def changed(self, add: Mapping[str, Pattern], remove: Iterable[str] = ()) -> Matcher:
        """Give a matcher without the patterns `remove`, where they are there, and then with `add`.

        The two share all that stays, and the one advances what the other began.
        """
        return Matcher(add, self._taxonomy, self._index.changed({}, remove))

    def start(self, families: tuple[str, ...]) -> MatchState:
        """Begin a session that declared these families (slugs)."""
        return MatchState(families=frozenset(families))

    def advance(self, state: MatchState, step: Step, outside: bool) -> tuple[MatchState, tuple[str, ...]]:
        """Take the session's next step; give the state after it and the patterns that it completes, in order of id.

        `outside` says that the step departs from the declared envelope. A pattern completes once per session.
        """
        now, partials, completed = state.steps, state.partials, state.completed
        grown: dict[Place, tuple[Assignment, ...]] = {}
        ended: dict[str, int] = {}
        for hops in self._fitting(kind_of(step, outside, self._taxonomy)):
            for hop in hops:
                before = _BEGINNING if hop.before is None else partials.get(hop.before)
                if before is None or (hop.declared and hop.declared.isdisjoint(state.families)):
                    continue
                if hop.ends is not None:
                    if hop.ends not in completed and _made(hop, before, step.flow, now):
                        ended[hop.ends] = now
                    continue
                kept = partials.get(hop.after, ())
                if (kept and hop.settles) or not (made := _made(hop, before, step.flow, now)):
                    continue
                after = _kept(hop, kept, made)
                if after is not kept:
                    grown[hop.after] = after
        after_step = MatchState(
            families=state.families,
            steps=now + 1,
            partials=partials.update(grown) if grown else partials,
            completed=completed.update(ended) if ended else completed,
        )
        return after_step, tuple(sorted(ended))

    def resume(self, state: MatchState, before: Matcher, path: Iterable[tuple[Step, bool]]) -> MatchState:
        """Give the state that this matcher would have after a path, from the one that `before` has after it.

        `path` is the steps, each with its `outside`. Only patterns that `before` lacks are looked for in it.
        """
        change = self._change_from(before)
        found = change.fresh.start(tuple(state.families))
        if change.fresh.patterns:
            for step, outside in path:
                found, _ = change.fresh.advance(found, step, outside)
        partials, completed = state.partials.mutate(), state.completed.mutate()
        for place in change.places:
            partials.pop(place, None)
        for name in change.names:
            completed.pop(name, None)
        partials.update(found.partials)
        completed.update(found.completed)
        return MatchState(
            families=state.families,
            steps=state.steps,
            partials=partials.finish(),
            completed=completed.finish(),
        )

    def _change_from(self, before: Matcher) -> _Change:
        """What changed since another matcher, found once for all the sessions that it followed."""
        change = self._changes.get(before)
        if change is None:
            there, here = before.patterns, self.patterns
            gone = _lacking(there, here)
            fresh = {name: here[name] for name in _lacking(here, there)}
            left = frozenset().union(*map(before._index.places, gone))
            change = self._changes[before] = _Change(
                fresh=Matcher(fresh, self._taxonomy),
                names=tuple(gone),
                places=tuple(place for place in left if place not in self._index.uses),
            )
        return change

    def _fitting(self, kind: Kind) -> tuple[tuple[Hop, ...], ...]:
        """The hops whose step asks for this kind, whatever the session did before."""
        ready = self._ready.get(kind)
        if ready is None:
            resources = terms_for(kind.resource, self._taxonomy.resources)
            verbs = terms_for(kind.verb, self._taxonomy.verbs)
            ready = self._index.fitting(kind, ((verb, resource) for verb in verbs for resource in resources))
            if len(self._ready) >= KINDS_REMEMBERED:
                self._ready.clear()
            self._ready[kind] = ready
        return ready


def _lacking(some: Mapping[str, Pattern], others: Mapping[str, Pattern]) -> list[str]:
    """The names of those that are not, under that name, among the others."""
    # Patterns that both have are mostly one object, which is soon seen.
    return [name for name, one in some.items() if one is not (other := others.get(name)) and one != other]


def _made(hop: Hop, before: tuple[Assignment, ...], flow: tuple[int, ...], now: int) -> list[Assignment]:
    """The partial assignments that session step `now` makes longer."""
    if not (hop.gaps or before is _BEGINNING or before[0][-1] == now - 1):
        return []
    if not hop.flow:
        return [(*partial, now) for partial in before]
    if len(hop.flow) == 1:
        place = hop.flow[0]
        return [(*partial, now) for partial in before if partial[place] in flow]
    return [(*partial, now) for partial in before if all(partial[place] in flow for place in hop.flow)]


def _kept(hop: Hop, kept: tuple[Assignment, ...], made: list[Assignment]) -> tuple[Assignment, ...]:
    """What is kept of one length: what was, and the first of those made that the rest of the pattern can tell apart."""
    if not hop.gaps:
        # The next step must follow at once: all that ends here is the same, and what ended before never goes on.
        return (made[0],)
    fresh: dict[Assignment, Assignment] = {}
    # Where the step just taken is itself looked at, all that it made is unlike what was before.
    known = () if hop.looked_at[-1:] == (len(made[0]) - 1,) else {_seen(hop, partial) for partial in kept}
    for partial in made:
        seen = _seen(hop, partial)
        if seen not in known:
            fresh.setdefault(seen, partial)
    return (*kept, *fresh.values())[-LIMITS.partials :] if fresh else kept


def _seen(hop: Hop, partial: Assignment) -> Assignment:
    """What the rest of the pattern sees of a partial assignment."""
    return tuple([partial[place] for place in hop.looked_at])
