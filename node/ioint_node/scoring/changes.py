"""A change of what a declared intent may do: what past work asked for beyond its envelope, or what is taken off it.

A change is one envelope and a direction. **Wider**: a step that lies inside it counts as asked for, beside the family's
own envelope and not united with it, so that a new verb on one resource is no new verb on all of them. **Narrower**: the
family's envelope is cut to it. Where the values of an action come from weighs as before: a change says what may be
done, never who may order it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ioint_taxonomy import Envelope, Step, Taxonomy

NAMES_TOLD: Final = 4  # in a line of words; more are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of an envelope: what is added beside it (`wider`), or what it is cut to."""

    wider: bool
    envelope: Envelope

    def to_json(self) -> dict[str, Any]:
        """The change as JSON."""
        return {"wider": self.wider, "envelope": self.envelope.to_json()}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Change:
        """What `to_json` wrote; raises KeyError or TypeError on another shape."""
        return Change(wider=bool(value["wider"]), envelope=Envelope.from_json(value["envelope"]))

    @property
    def text(self) -> str:
        """The change in one line of words."""
        at = self.envelope
        named = f"{_names(at.verbs, 'verbs')} of {_names(at.resources, 'resource classes')}"
        bound = f"up to {at.max_sensitivity} data, {at.max_boundary}"
        return f"also {named}, {bound}" if self.wider else f"only {named}, {bound}"


def _names(names: frozenset[str], what: str) -> str:
    return ", ".join(sorted(names)) if len(names) <= NAMES_TOLD else f"{len(names)} {what}"


def needed_by(step: Step) -> Change:
    """The smallest change under which a step would have been asked for."""
    return Change(
        wider=True,
        envelope=Envelope(
            verbs=frozenset({step.verb}),
            resources=frozenset({step.resource}),
            max_sensitivity=step.sensitivity,
            max_boundary=step.boundary,
        ),
    )


def holds(outer: Envelope, inner: Envelope, taxonomy: Taxonomy) -> bool:
    """Whether all that lies inside one envelope lies inside another."""
    return (
        inner.verbs <= outer.verbs
        and inner.resources <= outer.resources
        and taxonomy.sensitivity_rank(inner.max_sensitivity)
        <= taxonomy.sensitivity_rank(outer.max_sensitivity)
        and taxonomy.boundary_rank(inner.max_boundary) <= taxonomy.boundary_rank(outer.max_boundary)
    )


def cut(envelope: Envelope, limit: Envelope, taxonomy: Taxonomy) -> Envelope:
    """What lies inside both."""
    return Envelope(
        verbs=envelope.verbs & limit.verbs,
        resources=envelope.resources & limit.resources,
        max_sensitivity=min(envelope.max_sensitivity, limit.max_sensitivity, key=taxonomy.sensitivity_rank),
        max_boundary=min(envelope.max_boundary, limit.max_boundary, key=taxonomy.boundary_rank),
    )
