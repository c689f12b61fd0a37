"""What a filter can ask for: each key with its type, its values and what it means.

Closed vocabularies are those of the taxonomy of this release and those of the protocol. A key is `lasting` when its
answer never changes for an indicator: a subscriber that asks by such keys alone need never be told that something
left its filter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Final, Literal

from ioint_taxonomy import load_taxonomy

STATES: Final = ("unknown", "watched", "suspicious", "malicious", "disputed", "withdrawn", "benign")
TIERS: Final = ("none", "advisory", "precautionary", "disputed", "corroborated", "consensus")
KINDS: Final = ("pattern", "subject")
TRENDS: Final = ("rising", "falling", "steady")
LABELS: Final = ("clear", "green", "amber", "amber_strict", "red")
YES_NO: Final = ("yes", "no")
ANY: Final = "any"
"""The value of `family` for patterns that are about every declared intent."""
MILLIONTHS: Final = 1_000_000
REPORTERS_MOST: Final = 1_000_000

Type = Literal["word", "number", "since", "until", "subject", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One thing to ask for.

    `values` are the closed list of a `word`, `aliases` other names of these. A `number` is counted in units of
    1/`scale`, from 0 to `most` units. `single`: every row has just one value. `lasting`: the values of a row never
    change.
    """

    name: str
    type: Type
    about: str
    example: str
    values: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict, compare=False)
    most: int = 0
    scale: int = 1
    single: bool = False
    lasting: bool = False


@cache
def _keys() -> Mapping[str, Key]:
    taxonomy = load_taxonomy()
    listed = (
        Key(
            name="state",
            type="word",
            single=True,
            values=STATES,
            about="the reputation",
            example="state:watched,malicious",
        ),
        Key(
            name="tier",
            type="word",
            single=True,
            values=TIERS,
            about="the tier in force here",
            example="-tier:none",
        ),
        Key(
            name="kind",
            type="word",
            single=True,
            values=KINDS,
            about="a pattern or a public subject",
            example="kind:subject",
            lasting=True,
        ),
        Key(
            name="trend",
            type="word",
            single=True,
            values=TRENDS,
            about="where the score went within a week",
            example="trend:rising",
        ),
        Key(
            name="tlp",
            type="word",
            single=True,
            values=LABELS,
            about="its label of TLP 2.0, within the clearance of the token",
            example="tlp:clear,green",
        ),
        Key(
            name="seen",
            type="word",
            single=True,
            values=YES_NO,
            about="whether this node met it within 30 days before it last changed",
            example="seen:yes",
        ),
        Key(
            name="disputed",
            type="word",
            single=True,
            values=YES_NO,
            about="whether anybody speaks for it",
            example="disputed:no",
        ),
        Key(
            name="revoked",
            type="word",
            single=True,
            values=YES_NO,
            about="whether it was taken back",
            example="revoked:no",
        ),
        Key(
            name="intent",
            type="word",
            values=tuple(sorted(taxonomy.intents)),
            about="a risky intent that it is evidence of",
            example="intent:indirect_injection",
        ),
        Key(
            name="layer",
            type="word",
            values=tuple(layer.id for layer in taxonomy.layers),
            aliases=MappingProxyType({layer.slug: layer.id for layer in taxonomy.layers}),
            about="the layer of its intents, by id or by name",
            example="layer:data_access",
        ),
        Key(
            name="family",
            type="word",
            values=(*sorted(taxonomy.families), ANY),
            about="a declared intent that it is about; `any`: it is about every one",
            example="family:support_customer,any",
            lasting=True,
        ),
        Key(
            name="verb",
            type="word",
            values=tuple(sorted(taxonomy.verbs)),
            about="a verb that a step of the pattern names, by itself or by its class",
            example="verb:send",
            lasting=True,
        ),
        Key(
            name="resource",
            type="word",
            values=tuple(sorted(taxonomy.resources)),
            about="a resource class that a step of the pattern names, by itself or by its group",
            example="resource:secret,email",
            lasting=True,
        ),
        Key(name="score", type="number", single=True, most=100, about="the score", example="score>=50"),
        Key(
            name="confidence",
            type="number",
            single=True,
            most=100,
            about="the confidence",
            example="confidence<30",
        ),
        Key(
            name="effect",
            type="number",
            single=True,
            most=MILLIONTHS,
            scale=MILLIONTHS,
            about="the effect in force here",
            example="effect>0",
        ),
        Key(
            name="reporters",
            type="number",
            single=True,
            most=REPORTERS_MOST,
            about="how many independent groups accuse it",
            example="reporters>=2",
        ),
        Key(
            name="since",
            type="since",
            about="seen last on this day or later; or within a span before now",
            example="since:7d",
        ),
        Key(
            name="until",
            type="until",
            about="seen last on this day or earlier; or longer ago than a span",
            example="until:2026-11-01",
        ),
        Key(
            name="subject",
            type="subject",
            about="an id, a package URL, or how either begins, with a star",
            example="subject:pkg:npm/*",
            lasting=True,
        ),
        Key(
            name="q",
            type="text",
            about="words of the label, each by how it begins",
            example='q:"third party"',
        ),
    )
    return MappingProxyType({key.name: key for key in listed})


KEYS: Final[Mapping[str, Key]] = _keys()
"""Every key by its name, in the order of the canonical text."""


def key_named(name: str) -> Key:
    """The key of this name; raises KeyError."""
    return KEYS[name]
