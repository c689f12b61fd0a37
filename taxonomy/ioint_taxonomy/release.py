"""Reading one release from the files beside this module, and checking it against the digests that name it.

A digest is SHA-256 over canonical JSON: sorted keys, no spaces, ASCII. `release.json` pins the digests of the
vocabulary and of the catalogue's entries; the base rates are measured afterwards, and the catalogue's own digest
covers them too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import msgspec

from ioint_taxonomy.errors import TaxonomyError
from ioint_taxonomy.values import (
    Catalogue,
    CatalogueEntry,
    Envelope,
    Family,
    Intent,
    Layer,
    ResourceClass,
    Taxonomy,
)

DATA = resources.files("ioint_taxonomy").joinpath("data")
PATTERN_DOMAIN = b"ioint/pattern/v1\0"


def canonical_json(value: object) -> bytes:
    """The one byte form of a JSON value: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def digest_of(*values: object) -> str:
    """SHA-256, as hex, over the canonical JSON of the list of values."""
    return hashlib.sha256(canonical_json(list(values))).hexdigest()


def pattern_id(pattern: Mapping[str, Any]) -> str:
    """The content id of a pattern value, the same that the protocol computes."""
    return hashlib.sha256(PATTERN_DOMAIN + canonical_json(pattern)).hexdigest()


def read_data(name: str) -> dict[str, Any]:
    """The JSON object in one data file; raises TaxonomyError when it is missing or not one."""
    try:
        return msgspec.json.decode(DATA.joinpath(name).read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise TaxonomyError(f"data/{name}: {error}") from error


@cache
def load_taxonomy() -> Taxonomy:
    """The vocabulary of this release, read once; raises TaxonomyError when it is not what `release.json` names."""
    content, vocabulary = read_data("taxonomy.json"), read_data("vocabulary.json")
    digest = digest_of(content, vocabulary)
    _check_pin("taxonomy", digest)
    try:
        return _taxonomy(content, vocabulary, digest)
    except (KeyError, TypeError) as error:
        raise TaxonomyError(f"taxonomy {digest[:12]}: {error!r}") from error


@cache
def load_catalogue() -> Catalogue:
    """The patterns of this release, read once; raises TaxonomyError when an entry's id is not its content's."""
    content, rates = read_data("catalogue.json"), _base_rates()
    _check_pin("catalogue", digest_of(content))
    taxonomy = load_taxonomy()
    try:
        entries = [_entry(row, rates, taxonomy) for row in content["entries"]]
        version = content["version"]
    except (KeyError, TypeError, ValueError) as error:
        raise TaxonomyError(f"catalogue: {error!r}") from error
    by_id = {entry.id: entry for entry in entries}
    if len(by_id) != len(entries):
        raise TaxonomyError("catalogue: two entries have the same pattern")
    return Catalogue(version=version, digest=digest_of(content, rates), entries=MappingProxyType(by_id))


@cache
def load_framework(framework: str) -> Mapping[str, str]:
    """The names of another framework's entries by their ids, such as those of `atlas`, read once."""
    content = read_data(f"frameworks/{framework}.json")
    try:
        return MappingProxyType({row["id"]: row["name"] for row in content["entries"]})
    except (KeyError, TypeError) as error:
        raise TaxonomyError(f"frameworks/{framework}.json: {error!r}") from error


def _check_pin(part: str, digest: str) -> None:
    pinned = read_data("release.json")["digests"].get(part)
    if pinned != digest:
        raise TaxonomyError(f"{part}: digest {digest}, release.json names {pinned}")


def _base_rates() -> Mapping[str, list[int]]:
    if not DATA.joinpath("base_rates.json").is_file():
        return {}
    rates: Mapping[str, list[int]] = read_data("base_rates.json")
    return rates


def _taxonomy(content: Mapping[str, Any], vocabulary: Mapping[str, Any], digest: str) -> Taxonomy:
    classes = {row["id"]: _resource_class(row) for row in vocabulary["resources"]}
    verbs = {row["id"]: row["effect_class"] for row in vocabulary["verbs"]}
    groups = {name: resource.group for name, resource in classes.items()}
    mappings = _mappings(read_data("crosswalk.json"))
    common = content["envelope_common"]
    return Taxonomy(
        version=content["version"],
        digest=digest,
        layers=tuple(
            Layer(id=row["id"], slug=row["slug"], name=row["name"], definition=row["definition"])
            for row in content["layers"]
        ),
        intents=MappingProxyType({row["slug"]: _intent(row, mappings) for row in content["intents"]}),
        families=MappingProxyType({row["slug"]: _family(row, common, groups) for row in content["families"]}),
        verbs=MappingProxyType(verbs),
        resources=MappingProxyType(groups),
        resource_classes=MappingProxyType(classes),
        sensitivities=MappingProxyType({row["id"]: row["rank"] for row in vocabulary["sensitivity"]}),
        boundaries=MappingProxyType({row["id"]: row["rank"] for row in vocabulary["boundary"]}),
        provenances=tuple(row["id"] for row in vocabulary["provenance"]),
        data_kinds=tuple(vocabulary["data_kinds"]),
    )


def _resource_class(row: Mapping[str, Any]) -> ResourceClass:
    return ResourceClass(
        id=row["id"],
        group=row["group"],
        definition=row["definition"],
        sensitivity=row["sensitivity"],
        boundary=row["boundary"],
        provenance=row["provenance"],
        data_kinds=tuple(row["data_kinds"]),
    )


def _mappings(crosswalk: Mapping[str, Any]) -> Mapping[str, Mapping[tuple[str, str], tuple[str, ...]]]:
    found: dict[str, dict[tuple[str, str], tuple[str, ...]]] = {}
    for row in crosswalk["rows"]:
        by_framework = found.setdefault(row["intent"], {})
        key = (row["framework"], row["edition"])
        by_framework[key] = (*by_framework.get(key, ()), row["id"])
    return found


def _intent(
    row: Mapping[str, Any], mappings: Mapping[str, Mapping[tuple[str, str], tuple[str, ...]]]
) -> Intent:
    return Intent(
        id=row["id"],
        slug=row["slug"],
        name=row["name"],
        layer=row["layer"],
        risk=row["risk"],
        definition=row["definition"],
        actors=tuple(row["actors"]),
        mappings=MappingProxyType(dict(mappings.get(row["id"], {}))),
    )


def _family(row: Mapping[str, Any], common: Mapping[str, Any], groups: Mapping[str, str]) -> Family:
    envelope = row["envelope"]
    return Family(
        id=row["id"],
        slug=row["slug"],
        name=row["name"],
        risk=row["risk"],
        definition=row["definition"],
        envelope=Envelope(
            verbs=frozenset([*envelope["verbs"], *common["verbs"]]),
            resources=_expanded([*envelope["resources"], *common["resources"]], groups),
            max_sensitivity=envelope["max_sensitivity"],
            max_boundary=envelope["max_boundary"],
        ),
    )


def _expanded(names: list[str], groups: Mapping[str, str]) -> frozenset[str]:
    """Resource classes, with each `@group` replaced by its members."""
    return frozenset(
        resource for resource, group in groups.items() if resource in names or f"@{group}" in names
    )


def _entry(row: Mapping[str, Any], rates: Mapping[str, list[int]], taxonomy: Taxonomy) -> CatalogueEntry:
    if pattern_id(row["pattern"]) != row["id"]:
        raise ValueError(f"{row['slug']}: id is not that of its pattern")
    unknown = [slug for slug in row["intents"] if slug not in taxonomy.intents]
    if unknown:
        raise ValueError(f"{row['slug']}: unknown intents {unknown}")
    matches, sessions = rates.get(row["id"], (0, 0))
    return CatalogueEntry(
        id=row["id"],
        slug=row["slug"],
        title=row["title"],
        pattern=row["pattern"],
        intents=tuple(row["intents"]),
        risk=row["risk"],
        response=row["response"],
        base_matches=matches,
        base_sessions=sessions,
    )
