"""Indicators as STIX 2.1, for tools that know nothing of us.

What is said of a pattern or subject is a small group of objects: the `indicator`, a `relationship` to the
`attack-pattern` of each of its intents, a `sighting` that counts the independent groups that saw it, and, where it is
disputed or taken back, an `opinion` with a `note`. Everything that is ours sits in one property-extension of the
indicator. Identifiers are UUIDv5 in a namespace of our own, so that every node gives an object the same one; the
objects of a group share one UUID under different types. `modified` is the instant of the last change at this node.

What only this organisation knows (own hits, own match rates, who was first) is in none of the objects.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Protocol

import msgspec
from ioint_taxonomy import Intent, Taxonomy

NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:ioint:stix:1")
EPOCH: Final = "2026-11-01T00:00:00.000Z"
"""When the definitions were made, which do not change."""
RENDERING: Final = 1
"""Counts the changes of what is made of one and the same row: stored bytes of another rendering are made anew."""
IDENTITY: Final = f"identity--{uuid.uuid5(NAMESPACE, 'identity')}"
"""Who makes the objects: a node."""
CONSORTIUM: Final = f"identity--{uuid.uuid5(NAMESPACE, 'consortium')}"
"""Who saw what a sighting counts: members, by no name of their own."""
EXTENSION: Final = f"extension-definition--{uuid.uuid5(NAMESPACE, 'extension')}"
GROUP_TYPES: Final = ("indicator", "sighting", "relationship", "opinion", "note")
"""The types of the objects of a group."""
DOUBTED: Final = frozenset({"disputed", "benign", "withdrawn"})
"""The states of which an opinion and a note tell."""
_TLP_EXTENSION = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
_TLP_CREATED = "2022-10-01T00:00:00.000Z"
_TLP_IDS: Final = {
    "clear": "94868c89-83c2-464b-929b-a1a8aa3c8487",
    "green": "bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    "amber": "55d920b0-5e8b-4f79-9ee9-91f868d9b421",
    "amber_strict": "939a9414-2ddd-4d32-a0cd-375ea402b003",
    "red": "e828b379-4e03-4974-9ac4-e53a884c97c1",
}
_TYPES: Final = {"benign": "benign", "malicious": "malicious-activity", "suspicious": "anomalous-activity"}
_SHARED: Final = (
    "kind", "intents", "layer", "declared", "score", "tier", "effect", "reporters",
    "first_seen", "last_seen", "trend", "disputed", "taxonomy_version",
)  # fmt: skip
_COUNT_MOST: Final = 999_999_999  # of a sighting
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_PURL: Final = re.compile(r"pkg:(?P<type>[a-z]+)/(?P<name>[^@]+)(?:@(?P<version>.+))?\Z")
_PAGES: Final = {"github": "https://github.com/", "huggingface": "https://huggingface.co/"}
_FRAMEWORKS: Final = {
    "atlas": ("mitre-atlas", "https://atlas.mitre.org/techniques/"),
    "attack": ("mitre-attack", "https://attack.mitre.org/techniques/"),
}
# The bits of a UUID that are the same in all of version 5: its version and its variant.
_FREE_BITS: Final = (1 << 128) - 1 - (0xF << 76) - (0x3 << 62)


class Shown(Protocol):
    """What is rendered: an indicator as it is kept. `row` is that of the contract, `novel` the pattern if it is one."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def subject(self) -> str: ...  # noqa: D102
    @property
    def state(self) -> str: ...  # noqa: D102
    @property
    def tlp(self) -> str: ...  # noqa: D102
    @property
    def added_at(self) -> str: ...  # noqa: D102
    @property
    def row(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def novel(self) -> Mapping[str, Any] | None: ...  # noqa: D102


def subject_uuid(pattern: str) -> str:
    """The UUID that the objects about an indicator share, from the indicator's id."""
    return str(uuid.uuid5(NAMESPACE, pattern))


def indicator_id(pattern: str) -> str:
    """The STIX id of a pattern or subject, the same at every node."""
    return f"indicator--{subject_uuid(pattern)}"


@lru_cache(maxsize=1_024)  # a taxonomy has a hundred; every page names some
def attack_pattern_id(intent: str) -> str:
    """The STIX id of an intent, from its slug."""
    return f"attack-pattern--{uuid.uuid5(NAMESPACE, f'intent {intent}')}"


def relationship_uuid(about: str, intent: str) -> str:
    """The UUID of the relationship between the indicator of a UUID and an intent.

    The two UUIDs are folded into one, which undoes itself: `relationship_uuid(relationship_uuid(u, i), i) == u`. So a
    relationship is found by its id without a table of them.
    """
    mask = uuid.uuid5(NAMESPACE, f"indicates {intent}").int & _FREE_BITS
    return str(uuid.UUID(int=uuid.UUID(about).int ^ mask))


def marking_id(label: str) -> str:
    """The id of the TLP 2.0 marking of a label."""
    return f"marking-definition--{_TLP_IDS[label]}"


def label_of_marking(marking: str) -> str | None:
    """The label of a TLP 2.0 marking by its id, None of any other id."""
    return next((label for label in _TLP_IDS if marking_id(label) == marking), None)


def marking(label: str) -> dict[str, Any]:
    """The TLP 2.0 marking of a label, as OASIS publishes it."""
    tlp = label.replace("_", "+")
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": marking_id(label),
        "created": _TLP_CREATED,
        "name": f"TLP:{tlp.upper()}",
        "extensions": {_TLP_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": tlp}},
    }


def definitions() -> tuple[dict[str, Any], ...]:
    """The objects that every indicator refers to: who made and who saw them, what our extension means, the markings."""
    extension = {
        "type": "extension-definition",
        "spec_version": "2.1",
        "id": EXTENSION,
        "created_by_ref": IDENTITY,
        "created": EPOCH,
        "modified": EPOCH,
        "name": "Indicators of intent",
        "description": "The row of an intent pattern or public subject: state, score and confidence, tier, effect.",
        "schema": "urn:ioint:stix-extension:1",
        "version": "1.0.0",
        "extension_types": ["property-extension"],
    }
    node = "A node that exchanges indicators of intent with the other members of its consortium."
    members = "The members of the consortium together; which of them is not said."
    return (
        _identity(IDENTITY, "IOINT consortium node", node, "system"),
        _identity(CONSORTIUM, "IOINT consortium", members, "group"),
        extension,
        *(marking(label) for label in _TLP_IDS),
    )


def attack_patterns(taxonomy: Taxonomy) -> dict[str, dict[str, Any]]:
    """The attack patterns by the slug of the intent that each is, with where other frameworks have it."""
    return {slug: _attack_pattern(intent, taxonomy) for slug, intent in sorted(taxonomy.intents.items())}


def group(found: Shown, pattern: Mapping[str, Any] | None, taxonomy: Taxonomy) -> tuple[dict[str, Any], ...]:
    """All objects about one row, the indicator first; `pattern` is the abstract path itself where it is known."""
    about = subject_uuid(found.id)
    made = indicator(found, pattern)
    common = {
        "spec_version": "2.1",
        "created": made["created"],
        "modified": found.added_at,
        "object_marking_refs": made["object_marking_refs"],
    }
    gone = {"revoked": True} if found.row["revoked"] else {}
    return (
        made,
        *_sightings(found, about, common | gone),
        *_relationships(found, about, common | gone, taxonomy),
        *_doubts(found, about, common),
    )


def needed(found: Shown, taxonomy: Taxonomy) -> tuple[str, ...]:
    """The slugs of the attack patterns that the group of a row refers to."""
    return tuple(slug for slug in found.row.get("intents") or () if slug in taxonomy.intents)


def indicator(found: Shown, pattern: Mapping[str, Any] | None) -> dict[str, Any]:
    """The STIX indicator of one row; `pattern` is the abstract path itself where it is known."""
    row = found.row
    valid_from = _instant(row.get("first_seen")) or found.added_at
    valid_until = _instant(row.get("valid_until"))
    made: dict[str, Any] = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": indicator_id(found.id),
        "created_by_ref": IDENTITY,
        "created": min(valid_from, found.added_at),
        "modified": found.added_at,
        "name": str(row.get("label") or found.id),
        "description": in_words(found),
        "indicator_types": [_TYPES.get(found.state, "unknown")],
        **_matching(found, pattern),
        "valid_from": valid_from,
        "confidence": int(row.get("confidence") or 0),
        "labels": [f"ioint:{found.state}", f"ioint:tier:{row.get('tier', 'none')}"],
        "object_marking_refs": [marking_id(found.tlp)],
        "extensions": {EXTENSION: {"extension_type": "property-extension", **_ours(found)}},
    }
    if (named := _PURL.match(found.subject)) is not None:
        made["external_references"] = [{"source_name": "purl", "external_id": named[0]}]
    if valid_until is not None:
        made["valid_until"] = max(valid_until, _just_after(valid_from))
    if row["revoked"]:
        made["revoked"] = True
    return made


def in_words(found: Shown) -> str:
    """One sentence of what the members say of it; nothing that only this node knows."""
    row = found.row
    match found.state:
        case "withdrawn":
            return "Those who reported it have taken it back, or stewards ruled it false."
        case "benign":
            return "The members speak for it only."
        case "unknown":
            return "Nobody says anything of it now."
    count = int(row.get("reporters") or 0)
    groups = "1 independent group reports it" if count == 1 else f"{count} independent groups report it"
    others = "; others dispute it" if row.get("disputed") else ""
    score, confidence = int(row.get("score") or 0), int(row.get("confidence") or 0)
    return f"{found.state}: {groups}{others}; score {score}, confidence {confidence} of 100."


def encoded(value: object) -> bytes:
    """The JSON of an object as it is served."""
    return _encode(value)


_encode = msgspec.json.Encoder().encode


def _identity(name: str, called: str, about: str, kind: str) -> dict[str, Any]:
    return {
        "type": "identity",
        "spec_version": "2.1",
        "id": name,
        "created": EPOCH,
        "modified": EPOCH,
        "name": called,
        "description": about,
        "identity_class": kind,
    }


def _attack_pattern(intent: Intent, taxonomy: Taxonomy) -> dict[str, Any]:
    # A release of the taxonomy is a month: what it changes is a new version of the objects.
    released = f"{taxonomy.version[:4]}-{taxonomy.version[5:7]}-01T00:00:00.000Z"
    return {
        "type": "attack-pattern",
        "spec_version": "2.1",
        "id": attack_pattern_id(intent.slug),
        "created_by_ref": IDENTITY,
        "created": EPOCH,
        "modified": max(EPOCH, released),
        "name": intent.name,
        "description": intent.definition,
        "external_references": [
            {"source_name": "ioint", "external_id": intent.id},
            *(
                reference
                for (framework, version), codes in sorted(intent.mappings.items())
                for reference in _references(framework, version, codes)
            ),
        ],
        "object_marking_refs": [marking_id("clear")],
    }


def _references(framework: str, version: str, codes: Sequence[str]) -> list[dict[str, str]]:
    if framework in _FRAMEWORKS:
        source, address = _FRAMEWORKS[framework]
        return [{"source_name": source, "external_id": code, "url": f"{address}{code}"} for code in codes]
    source = f"{framework.replace('_', '-')}-{version}"
    return [{"source_name": source, "external_id": code} for code in codes]


def _matching(found: Shown, pattern: Mapping[str, Any] | None) -> dict[str, str]:
    """What the indicator matches: a public subject in the standard's own language, a pattern in ours."""
    if (named := _PURL.match(found.subject)) is not None:
        return {"pattern": _observed(named), "pattern_type": "stix", "pattern_version": "2.1"}
    text = json.dumps(found.novel or pattern or {"id": found.subject}, sort_keys=True, separators=(",", ":"))
    return {"pattern": text, "pattern_type": "ioint", "pattern_version": "1"}


def _observed(named: re.Match[str]) -> str:
    """The pattern over standard objects: the page of a repository or model, the name of any other package."""
    name = named["name"].replace("%40", "@")
    if (place := _PAGES.get(named["type"])) is not None:
        return f"[url:value = '{_quoted(place + name)}']"
    version = f" AND software:version = '{_quoted(named['version'])}'" if named["version"] else ""
    return f"[software:name = '{_quoted(name)}'{version}]"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _sightings(found: Shown, about: str, common: Mapping[str, Any]) -> list[dict[str, Any]]:
    count = int(found.row.get("reporters") or 0)
    first, last = _instant(found.row.get("first_seen")), _instant(found.row.get("last_seen"))
    if not count:
        return []
    seen = {} if first is None or last is None else {"first_seen": first, "last_seen": max(first, last)}
    return [
        {
            "type": "sighting",
            "id": f"sighting--{about}",
            "created_by_ref": IDENTITY,
            **common,
            "count": min(count, _COUNT_MOST),
            **seen,
            "sighting_of_ref": f"indicator--{about}",
            "where_sighted_refs": [CONSORTIUM],
            "summary": True,
        }
    ]


def _relationships(
    found: Shown, about: str, common: Mapping[str, Any], taxonomy: Taxonomy
) -> list[dict[str, Any]]:
    return [
        {
            "type": "relationship",
            "id": f"relationship--{relationship_uuid(about, slug)}",
            "created_by_ref": IDENTITY,
            **common,
            "relationship_type": "indicates",
            "source_ref": f"indicator--{about}",
            "target_ref": attack_pattern_id(slug),
        }
        for slug in needed(found, taxonomy)
    ]


def _doubts(found: Shown, about: str, common: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What speaks against it, once it is disputed, spoken for, or taken back."""
    if found.state not in DOUBTED:
        return []
    said = in_words(found)
    return [
        {
            "type": "opinion",
            "id": f"opinion--{about}",
            "created_by_ref": CONSORTIUM,
            **common,
            "opinion": "disagree" if found.state == "disputed" else "strongly-disagree",
            "explanation": said,
            "object_refs": [f"indicator--{about}"],
        },
        {
            "type": "note",
            "id": f"note--{about}",
            "created_by_ref": CONSORTIUM,
            **common,
            "abstract": f"Why this indicator is {found.state}",
            "content": said,
            "object_refs": [f"indicator--{about}"],
        },
    ]


def _just_after(instant: str) -> str:
    """The next millisecond: a span may not be empty, and one without an end would never be over."""
    later = datetime.fromisoformat(instant) + timedelta(milliseconds=1)
    return f"{later.isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"


def _ours(found: Shown) -> dict[str, Any]:
    # What only this organisation knows (own hits, what would break) is no property of the indicator and stays here.
    values = {name: found.row[name] for name in _SHARED if found.row.get(name) not in (None, [], "")}
    public = {"subject": {"type": "purl", "id": found.subject}} if _PURL.match(found.subject) else {}
    return {"pattern_id": found.id, "state": found.state, **public, **values}


def _instant(day: object) -> str | None:
    """The first instant of a day; an instant stays what it is."""
    if not isinstance(day, str):
        return None
    return f"{day}T00:00:00.000Z" if _DAY.match(day) else day
