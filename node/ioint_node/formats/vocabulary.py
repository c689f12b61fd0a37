"""The taxonomy in the forms that MISP installs: a taxonomy of tags, a galaxy with its clusters, an object template.

Every identifier follows from a name, so that a newer release changes what it changes and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ioint_taxonomy import Taxonomy

from ioint_node.formats.names import stable_uuid

NAMESPACE: Final = "ioint"
GALAXY: Final = "ioint-intent"
OBJECT_NAME: Final = "ioint-indicator"
OBJECT_UUID: Final = stable_uuid("misp object template", OBJECT_NAME)
OBJECT_VERSION: Final = 1
META_CATEGORY: Final = "misc"
VOCABULARY_VERSION: Final = 1
"""Of the predicates and the galaxy's form; the release of the taxonomy is counted beside it."""
STATES: Final[Mapping[str, str]] = {
    "unknown": "Nobody says anything of it now: not safe, only unknown",
    "watched": "Somebody accuses it",
    "suspicious": "More than a group of liars could be accuses it",
    "malicious": "A consensus accuses it",
    "disputed": "Accused, and said to be harmless",
    "withdrawn": "Those who reported it took it back",
    "benign": "Said to be harmless",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """An attribute of the object template; `to_ids`: it may be looked for, `correlates`: equal ones belong."""

    type: str
    about: str
    category: str = "External analysis"
    to_ids: bool = False
    correlates: bool = False
    values: tuple[str, ...] = ()


def _number(about: str) -> Relation:
    return Relation(type="counter", about=about, category="Other")


def _instant(about: str) -> Relation:
    return Relation(type="datetime", about=about, category="Other")


RELATIONS: Final[Mapping[str, Relation]] = {
    "indicator-id": Relation(
        type="text", about="Content id of the pattern, or SHA-256 of the package URL", correlates=True
    ),
    "package": Relation(type="text", about="Package URL of a public package", to_ids=True, correlates=True),
    "repository": Relation(
        type="github-repository", about="The same as OWNER/NAME of a repository", to_ids=True, correlates=True
    ),
    "pattern": Relation(type="text", about="The abstract path, as JSON", to_ids=True, correlates=True),
    "title": Relation(type="text", about="What people read in the place of the id"),
    "state": Relation(type="text", about="What members make of it", values=tuple(STATES)),
    "score": _number("How strongly it is accused, 0 to 100"),
    "confidence": _number("How sure that is, 0 to 100"),
    "reporters": _number("Independent organisations that accuse it"),
    "disputed": Relation(type="boolean", about="Somebody says that it is harmless", category="Other"),
    "intents": Relation(type="text", about="Risky intents of the taxonomy, with commas between"),
    "layer": Relation(type="text", about="Id of the layer of the first intent"),
    "declared": Relation(type="text", about="Declared tasks that it is restricted to, with commas between"),
    "first-seen": _instant("Day from which it was seen"),
    "last-seen": _instant("Day on which it was last seen"),
    "valid-until": _instant("Day on which it ends to be valid"),
    "taxonomy": Relation(type="text", about="Release of the taxonomy that these words are from"),
}
"""Every attribute of the object template, in its order."""


def machinetag(taxonomy: Taxonomy) -> dict[str, Any]:
    """`ioint/machinetag.json`: the predicates `intent`, `layer`, `declared` and `state`."""
    intents, families = taxonomy.intents.values(), taxonomy.families.values()
    return {
        "namespace": NAMESPACE,
        "expanded": "Indicators of Intent",
        "description": "What AI agents and users want to do, do, and pretend to do, in a closed vocabulary.",
        "version": version_of(taxonomy),
        "predicates": [
            _predicate("intent", "Risky intent"),
            _predicate("layer", "Layer of the intent"),
            _predicate("declared", "Declared task"),
            _predicate("state", "State of an indicator") | {"exclusive": True},
        ],
        "values": [
            _values("intent", [(one.slug, one.name, one.definition, one.risk) for one in intents]),
            _values("layer", [(one.slug, one.name, one.definition, None) for one in taxonomy.layers]),
            _values("declared", [(one.slug, one.name, one.definition, one.risk) for one in families]),
            _values("state", [(slug, slug.capitalize(), about, None) for slug, about in STATES.items()]),
        ],
    }


def galaxy() -> dict[str, Any]:
    """`galaxies/ioint-intent.json`."""
    return {
        "uuid": stable_uuid("misp galaxy", GALAXY),
        "type": GALAXY,
        "name": "Intent of AI agents",
        "namespace": NAMESPACE,
        "description": "Risky intents of AI agents and of those who use them.",
        "icon": "robot",
        "version": VOCABULARY_VERSION,
    }


def clusters(taxonomy: Taxonomy) -> dict[str, Any]:
    """`clusters/ioint-intent.json`: one cluster for each risky intent."""
    layers = {layer.id: layer.name for layer in taxonomy.layers}
    return {
        "uuid": stable_uuid("misp galaxy clusters", GALAXY),
        "type": GALAXY,
        "name": "Intent of AI agents",
        "description": "Risky intents of AI agents and of those who use them.",
        "source": f"IOINT taxonomy {taxonomy.version}",
        "authors": ["IOINT"],
        "category": "intent",
        "version": version_of(taxonomy),
        "values": [
            {
                "uuid": stable_uuid("misp galaxy cluster", GALAXY, intent.id),
                "value": intent.name,
                "description": intent.definition,
                "meta": {
                    "external_id": intent.id,
                    "synonyms": [intent.slug],
                    "layer": [layers.get(intent.layer, intent.layer)],
                    "risk": [str(intent.risk)],
                    "actors": list(intent.actors),
                    **_mapped(intent.mappings),
                },
            }
            for intent in taxonomy.intents.values()
        ],
    }


def object_template() -> dict[str, Any]:
    """`objects/ioint-indicator/definition.json`."""
    return {
        "name": OBJECT_NAME,
        "uuid": OBJECT_UUID,
        "version": OBJECT_VERSION,
        "meta-category": META_CATEGORY,
        "description": "What members of a consortium say of an intent pattern or a public package.",
        "required": ["indicator-id", "state"],
        "attributes": {
            name: {
                "misp-attribute": relation.type,
                "description": relation.about,
                "ui-priority": 1 if relation.correlates else 0,
                "categories": [relation.category],
                "to_ids": relation.to_ids,
                "disable_correlation": not relation.correlates,
                **({"values_list": list(relation.values)} if relation.values else {}),
            }
            for name, relation in RELATIONS.items()
        },
    }


def version_of(taxonomy: Taxonomy) -> int:
    """A release as the whole number that MISP compares: 2026.11 of the first form is 202611001."""
    year, _, month = taxonomy.version.partition(".")
    return (int(year) * 100 + int(month or 0)) * 1000 + VOCABULARY_VERSION


def _mapped(mappings: Mapping[tuple[str, str], tuple[str, ...]]) -> dict[str, list[str]]:
    return {f"{framework}-{edition}": list(names) for (framework, edition), names in mappings.items()}


def _predicate(value: str, expanded: str) -> dict[str, Any]:
    return {"value": value, "expanded": expanded, "uuid": stable_uuid("misp predicate", value)}


def _values(predicate: str, entries: Iterable[tuple[str, str, str, int | None]]) -> dict[str, Any]:
    return {
        "predicate": predicate,
        "entry": [
            {
                "value": value,
                "expanded": expanded,
                "description": about,
                "uuid": stable_uuid("misp value", predicate, value),
                **({} if number is None else {"numerical_value": number}),
            }
            for value, expanded, about, number in entries
        ],
    }
