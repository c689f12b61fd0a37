"""Patterns made ready for matching: a pattern is a chain of hops, each from the steps matched so far to one more.

Patterns that begin alike, and whose rest looks at the same places, share their first hops. A hop is found by what its
step asks, and that by its verb and resource class. An index is a value built on persistent maps: changing it costs what
the change touches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from immutables import Map
from msgspec.json import encode

from ioint_protocol.pattern.kinds import ANY, Kind, fits_besides_words
from ioint_protocol.pattern.language import Pattern, PatternStep

Place = bytes  # how far along a pattern: SHA-256 over its steps up to there and what the rest of it looks at
Ask = PatternStep  # without flow
Terms = tuple[str, str]  # of a verb and of a resource class
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One step of a pattern: from `before` (None: the start) to `after`, which is its end if it `ends` one.

    `looked_at` are those of the steps matched so far whose place the rest of the pattern refers to. After a hop that
    `settles`, nothing that is matched later changes what the rest of the pattern sees.
    """

    before: Place | None
    after: Place
    ends: str | None
    declared: frozenset[str]
    gaps: int
    flow: tuple[int, ...]
    looked_at: tuple[int, ...]
    settles: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Patterns by name, their hops by what they ask, what is asked by its words; `uses` counts who shares a hop."""

    patterns: Map[str, Pattern]
    uses: Map[Place, int]
    hops: Map[Ask, tuple[Hop, ...]]
    asks: Map[Terms, tuple[Ask, ...]]

    def fitting(self, kind: Kind, terms: Iterable[Terms]) -> tuple[tuple[Hop, ...], ...]:
        """Give the hops whose step asks for a kind, which these terms take."""
        sharing = (ask for term in terms for ask in self.asks.get(term, ()))
        return tuple(self.hops[ask] for ask in dict.fromkeys(sharing) if fits_besides_words(ask, kind))

    def places(self, identity: str) -> frozenset[Place]:
        """Give the places along one of the patterns."""
        return frozenset(hop.after for _, hop in _chain(identity, self.patterns[identity]))

    def changed(self, add: Mapping[str, Pattern], remove: Iterable[str]) -> Index:
        """Give an index without the patterns `remove`, where they are there, and then with `add`."""
        fresh: dict[Ask, set[Hop]] = {}
        gone: dict[Ask, set[Hop]] = {}
        patterns, uses = self.patterns.mutate(), self.uses.mutate()
        for identity in [name for name in {*remove, *add} if name in self.patterns]:
            for ask, hop in _chain(identity, patterns.pop(identity)):
                left = uses.pop(hop.after) - 1
                if left:
                    uses[hop.after] = left
                else:
                    gone.setdefault(ask, set()).add(hop)
        for identity, pattern in add.items():
            patterns[identity] = pattern
            for ask, hop in _chain(identity, pattern):
                shared = uses.get(hop.after, 0)
                uses[hop.after] = shared + 1
                if not shared:
                    fresh.setdefault(ask, set()).add(hop)
        hops = _exchanged(self.hops, fresh, gone)
        asked = _by_terms(ask for ask in fresh if ask not in self.hops)
        unasked = _by_terms(ask for ask in gone if ask not in hops)
        asks = _exchanged(self.asks, asked, unasked)
        return Index(patterns=patterns.finish(), uses=uses.finish(), hops=hops, asks=asks)


EMPTY: Final = Index(patterns=Map(), uses=Map(), hops=Map(), asks=Map())


def _exchanged(
    before: Map[K, tuple[V, ...]], fresh: Mapping[K, Set[V]], gone: Mapping[K, Set[V]]
) -> Map[K, tuple[V, ...]]:
    """Take what is gone out of each entry, put in what is fresh, and leave no entry empty."""
    after = before.mutate()
    for key in {**fresh, **gone}:
        leaving, held = gone.get(key), before.get(key, ())
        if leaving:
            held = tuple(one for one in held if one not in leaving)
        held = (*held, *fresh.get(key, ()))
        if held:
            after[key] = held
        else:
            after.pop(key, None)
    return after.finish()


def _by_terms(asks: Iterable[Ask]) -> Mapping[Terms, Set[Ask]]:
    found: dict[Terms, set[Ask]] = {}
    for ask in asks:
        for verb in ask.verbs or (ANY,):
            for resource in ask.resources or (ANY,):
                found.setdefault((verb, resource), set()).add(ask)
    return found


def _chain(identity: str, pattern: Pattern) -> Iterator[tuple[Ask, Hop]]:
    """The hops of a pattern, each with what its step asks."""
    declared, last = frozenset(pattern.declared), len(pattern.steps) - 1
    so_far = hashlib.sha256(encode((pattern.declared, pattern.gaps)))
    before: Place | None = None
    for index, step in enumerate(pattern.steps):
        later = pattern.steps[index + 1 :]
        looked_at = tuple(sorted({place for one in later for place in one.flow if place <= index}))
        so_far.update(encode(step))
        place = so_far.copy()
        place.update(b"end " + identity.encode() if index == last else b"looked at" + bytes(looked_at))
        hop = Hop(
            before=before,
            after=place.digest(),
            ends=identity if index == last else None,
            declared=declared,
            gaps=pattern.gaps,
            flow=step.flow,
            looked_at=looked_at,
            settles=bool(pattern.gaps) and not looked_at and index != last,
        )
        yield replace(step, flow=()), hop
        before = hop.after
