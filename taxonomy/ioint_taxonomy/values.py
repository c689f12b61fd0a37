"""The vocabulary as values: what an action can be, what a task may touch, and what can go wrong.

Two scales are ordinal and carry ranks, sensitivity (0 public … 3 restricted) and boundary (0 in the model's context
… 5 open audience or physical world). What is not determined counts as confidential and as external: unknown is not
safe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from msgspec import Struct

UNKNOWN_SENSITIVITY_RANK = 2
UNKNOWN_BOUNDARY_RANK = 4


class Step(Struct, frozen=True, kw_only=True):
    """One action in the abstract vocabulary.

    `provenance` is of the values that direct it (recipient, amount, identifier, command), the least trusted of them;
    `flow` are the indices of earlier steps whose data it carries.
    """

    verb: str
    resource: str
    sensitivity: str
    boundary: str
    provenance: str = "unknown"
    flow: tuple[int, ...] = ()
    confidence: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What a declared intent may do: verbs, resource classes, and how sensitive and how far at most."""

    verbs: frozenset[str]
    resources: frozenset[str]
    max_sensitivity: str
    max_boundary: str

    def departures(self, step: Step, taxonomy: Taxonomy) -> tuple[str, ...]:
        """In which of verb, resource, sensitivity and boundary a step leaves this envelope."""
        found = []
        if step.verb not in self.verbs:
            found.append("verb")
        if step.resource not in self.resources:
            found.append("resource")
        if taxonomy.sensitivity_rank(step.sensitivity) > taxonomy.sensitivity_rank(self.max_sensitivity):
            found.append("sensitivity")
        if taxonomy.boundary_rank(step.boundary) > taxonomy.boundary_rank(self.max_boundary):
            found.append("boundary")
        return tuple(found)

    def union(self, other: Envelope, taxonomy: Taxonomy) -> Envelope:
        """The smallest envelope that contains both."""
        return Envelope(
            verbs=self.verbs | other.verbs,
            resources=self.resources | other.resources,
            max_sensitivity=max(self.max_sensitivity, other.max_sensitivity, key=taxonomy.sensitivity_rank),
            max_boundary=max(self.max_boundary, other.max_boundary, key=taxonomy.boundary_rank),
        )

    def to_json(self) -> dict[str, Any]:
        """The envelope as JSON, lists sorted."""
        return {
            "verbs": sorted(self.verbs),
            "resources": sorted(self.resources),
            "max_sensitivity": self.max_sensitivity,
            "max_boundary": self.max_boundary,
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Envelope:
        """The envelope that `to_json` wrote; raises KeyError or TypeError on another shape."""
        return Envelope(
            verbs=frozenset(value["verbs"]),
            resources=frozenset(value["resources"]),
            max_sensitivity=str(value["max_sensitivity"]),
            max_boundary=str(value["max_boundary"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One of the eleven homes of an intent, from what the agent wants to what happens in the world."""

    id: str
    slug: str
    name: str
    definition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A risky intent; `risk` is the consequence if it is realised, 0 to 100, and says nothing of likelihood.

    `mappings` holds the ids of other frameworks by (framework, edition).
    """

    id: str
    slug: str
    name: str
    layer: str
    risk: int
    definition: str
    actors: tuple[str, ...]
    mappings: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A kind of task that is declared, with the envelope in which it normally stays."""

    id: str
    slug: str
    name: str
    risk: int
    definition: str
    envelope: Envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceClass:
    """What an action touches, and what is assumed of it as long as nothing better is known.

    `boundary` is where a change to it takes effect; `provenance` is who may have written what is read from it.
    """

    id: str
    group: str
    definition: str
    sensitivity: str
    boundary: str
    provenance: str
    data_kinds: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Taxonomy:
    """One immutable release of the vocabulary, named by its version and its digest."""

    version: str
    digest: str
    layers: tuple[Layer, ...]
    intents: Mapping[str, Intent]
    families: Mapping[str, Family]
    verbs: Mapping[str, str]
    resources: Mapping[str, str]
    resource_classes: Mapping[str, ResourceClass]
    sensitivities: Mapping[str, int]
    boundaries: Mapping[str, int]
    provenances: tuple[str, ...]
    data_kinds: tuple[str, ...]

    def sensitivity_rank(self, name: str) -> int:
        """Rank 0 to 3; a name that is not known counts as confidential."""
        return self.sensitivities.get(name, UNKNOWN_SENSITIVITY_RANK)

    def boundary_rank(self, name: str) -> int:
        """Rank 0 to 5; a name that is not known counts as external."""
        return self.boundaries.get(name, UNKNOWN_BOUNDARY_RANK)

    @cached_property
    def effect_classes(self) -> Mapping[str, frozenset[str]]:
        """The verbs of each effect class, which a pattern names as `@class`."""
        return _grouped(self.verbs)

    @cached_property
    def groups(self) -> Mapping[str, frozenset[str]]:
        """The resource classes of each group, which a pattern names as `@group`."""
        return _grouped(self.resources)

    def intent_by_id(self, intent_id: str) -> Intent | None:
        """The risky intent of an id like "IOI.I0035", or None."""
        return self._intents_by_id.get(intent_id)

    @cached_property
    def _intents_by_id(self) -> Mapping[str, Intent]:
        return {intent.id: intent for intent in self.intents.values()}


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """A generalised path that members may warn one another of by its id, with nothing local in it.

    `base_matches` of `base_sessions` benign sessions completed it when it was measured; 0 of 0 means not measured.
    """

    id: str
    slug: str
    title: str
    pattern: Mapping[str, Any]
    intents: tuple[str, ...]
    risk: int
    response: str
    base_matches: int
    base_sessions: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Catalogue:
    """The finite list of patterns of one release; the digest covers the entries and their measured base rates."""

    version: str
    digest: str
    entries: Mapping[str, CatalogueEntry]


def _grouped(members: Mapping[str, str]) -> Mapping[str, frozenset[str]]:
    groups: dict[str, set[str]] = {}
    for member, group in members.items():
        groups.setdefault(group, set()).add(member)
    return {group: frozenset(names) for group, names in groups.items()}
