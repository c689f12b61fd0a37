"""Standing approvals: what an operator lets leave without being asked each time, and until when.

They lift the setting `publish = hold` and nothing else. That a novel pattern waits for five people, that a count has to
double and that a pattern must be specific holds for them as well: none of these is a question of trust in the class.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

CATEGORIES: Final = ("catalogue", "novel", "subject", "update", "refresh")
SCOPES: Final = ("pattern", "intent", "layer", "category")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One approval: of a pattern (64 hex), an intent or layer (slug) or a category; it ends at `expires` (ms)."""

    id: str
    scope: str
    value: str
    expires: int
    revoked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """What would be said: its category, the pattern, and the intents and layers that the catalogue gives it.

    A new count of what was said before is an `update`, whatever it is a count of, and that it is still met a `refresh`.
    """

    category: str
    pattern: str
    intents: frozenset[str] = frozenset()
    layers: frozenset[str] = frozenset()


def covering(standing: Iterable[Standing], matter: Matter, now: int) -> Standing | None:
    """The approval in force at `now` (ms) that lets this leave, or None; of several the first."""
    return next((one for one in standing if _covers(one, matter, now)), None)


def _covers(one: Standing, matter: Matter, now: int) -> bool:
    if one.revoked or now >= one.expires:
        return False
    match one.scope:
        case "pattern":
            return one.value == matter.pattern
        case "intent":
            return one.value in matter.intents
        case "layer":
            return one.value in matter.layers
        case _:
            return one.value == matter.category
