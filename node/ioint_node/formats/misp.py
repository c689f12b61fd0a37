"""Indicators as a MISP feed: events of objects, the manifest that names them, the hashes of their values.

An event holds objects of a template of ours (`vocabulary.object_template`), one for each indicator. Only what every
member can work out is in them: what this node makes of an indicator, and whether it met it itself, stays out.
Identifiers are UUIDv5 of the publishing member, the event and the indicator, so that the feeds of two members can be
taken in beside one another.

Times: MISP takes an event in again when its `timestamp` (seconds) has grown. A change in the very second in which
somebody looks must not go unnoticed, so an event is not dated later than the second before (`event_time`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ioint_node.formats.names import stable_uuid, unix_ms
from ioint_node.formats.vocabulary import META_CATEGORY, OBJECT_NAME, OBJECT_UUID, OBJECT_VERSION, RELATIONS

ORGC: Final[Mapping[str, str]] = {"name": "IOINT", "uuid": stable_uuid("misp organisation")}
LIVE: Final = frozenset({"watched", "suspicious", "malicious"})
"""The states of what may be looked for; everything else stays in its event and is not."""
_TLP_COLOURS: Final = {
    "clear": "#ffffff",
    "green": "#33ff00",
    "amber": "#ffc000",
    "amber_strict": "#ffc000",
    "red": "#ff2b2b",
}
_COLOUR: Final = "#4b5d67"
_GITHUB: Final = "pkg:github/"
# MISP's own words for how sure somebody is, from this confidence on.
_CONFIDENCE: Final = (
    (90, "completely-confident"),
    (65, "usually-confident"),
    (40, "fairly-confident"),
    (15, "rarely-confident"),
    (0, "unconfident"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An indicator in an event: its row of the contract, its label of TLP 2.0, the abstract path where there is one.

    `changed_at` is RFC 3339 text.
    """

    row: Mapping[str, Any]
    tlp: str
    changed_at: str
    pattern: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What the manifest says of an event; `name` is MONTH/LAYER/NUMBER, `time_s` Unix seconds, `tlp` the most closed.

    `layer` is what people call the layer, `slug` what tags do.
    """

    member: str
    name: str
    layer: str
    slug: str
    tlp: str
    time_s: int

    @property
    def uuid(self) -> str:
        """The event's id: the same for as long as there is the member."""
        return event_uuid(self.member, self.name)


def event_uuid(member: str, name: str) -> str:
    """The id of an event of a member's feed."""
    return stable_uuid("misp event", member, name)


def event_time(changed_at: str, now: int) -> int:
    """When an event changed, in Unix seconds: never later than the second before `now` (milliseconds)."""
    return min(unix_ms(changed_at) // 1000, now // 1000 - 1)


def manifest(headings: Iterable[Heading]) -> dict[str, Any]:
    """`manifest.json`."""
    return {one.uuid: _heading(one) | {"timestamp": one.time_s} for one in headings}


def event(heading: Heading, shown: Iterable[Shown], gone: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """`{event-uuid}.json`; `gone` are the id of each indicator that may be seen no more, and the instant of that."""
    objects = [_object(heading, one) for one in shown]
    objects += [_gone(heading, name, changed_at) for name, changed_at in gone]
    return {
        "Event": {
            "uuid": heading.uuid,
            **_heading(heading),
            "published": True,
            "timestamp": str(heading.time_s),
            "publish_timestamp": str(heading.time_s),
            "Object": objects,
        }
    }


def hashes(event: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The lines of `hashes.csv` of an event: MD5 of each value, and the event's id.

    What is deleted is left out, and what correlates with nothing: a server that looks values up in this file would
    find every `2` and every date in it.
    """
    told = event["Event"]
    for one in told["Object"]:
        for attribute in one["Attribute"]:
            if not attribute["deleted"] and not attribute["disable_correlation"]:
                # MISP's format, no means of security.
                digest = hashlib.md5(attribute["value"].encode(), usedforsecurity=False)
                yield digest.hexdigest(), told["uuid"]


def _heading(heading: Heading) -> dict[str, Any]:
    month, _, number = heading.name.split("/")
    about = f"IOINT indicators of intent: {heading.layer}, first heard of in {month}"
    return {
        "info": about if number == "1" else f"{about} ({number})",
        "date": f"{month}-01",
        "analysis": "1",
        "threat_level_id": "4",
        "Orgc": dict(ORGC),
        "Tag": [_tlp(heading.tlp), _tag("layer", heading.slug)],
    }


def _object(heading: Heading, shown: Shown) -> dict[str, Any]:
    row, state = shown.row, str(shown.row["state"])
    time_s, ended = unix_ms(shown.changed_at) // 1000, bool(row["revoked"])
    values = _values(shown)
    chief = next(name for name in ("package", "pattern", "indicator-id") if name in values)
    attributes = []
    for relation, value in values.items():
        made = _attribute(heading, str(row["id"]), relation, value, time_s, deleted=ended)
        if RELATIONS[relation].to_ids:
            made["to_ids"] = state in LIVE
        if relation == chief:
            made["Tag"] = _tags(shown)
        attributes.append(made)
    return _frame(heading, str(row["id"]), time_s, attributes, comment=_comment(row), deleted=ended)


def _gone(heading: Heading, name: str, changed_at: str) -> dict[str, Any]:
    time_s = unix_ms(changed_at) // 1000
    only = _attribute(heading, name, "indicator-id", name, time_s, deleted=True)
    return _frame(heading, name, time_s, [only], comment="no longer in this feed", deleted=True)


def _frame(
    heading: Heading,
    name: str,
    time_s: int,
    attributes: Sequence[Mapping[str, Any]],
    *,
    comment: str,
    deleted: bool,
) -> dict[str, Any]:
    return {
        "uuid": stable_uuid("misp object", heading.member, heading.name, name),
        "name": OBJECT_NAME,
        "meta-category": META_CATEGORY,
        "description": "What members of a consortium say of an intent pattern or a public package",
        "template_uuid": OBJECT_UUID,
        "template_version": str(OBJECT_VERSION),
        "timestamp": str(time_s),
        "comment": comment,
        "deleted": deleted,
        "Attribute": attributes,
    }


def _attribute(
    heading: Heading, name: str, relation: str, value: str, time_s: int, *, deleted: bool
) -> dict[str, Any]:
    about = RELATIONS[relation]
    return {
        "uuid": stable_uuid("misp attribute", heading.member, heading.name, name, relation),
        "object_relation": relation,
        "type": about.type,
        "category": about.category,
        "value": value,
        "to_ids": False,
        "disable_correlation": not about.correlates,
        "timestamp": str(time_s),
        "comment": "",
        "deleted": deleted,
    }


def _values(shown: Shown) -> dict[str, str]:
    """The values of an indicator by relation, in the order of the template; what it does not have is left out."""
    row = shown.row
    label = str(row["label"])
    package = label if row["kind"] == "subject" else ""
    found = {
        "indicator-id": row["id"],
        "package": package,
        "repository": package.removeprefix(_GITHUB).partition("@")[0] if package.startswith(_GITHUB) else "",
        "pattern": _compact(shown.pattern) if shown.pattern else "",
        "title": label,
        "state": row["state"],
        "score": row["score"],
        "confidence": row["confidence"],
        "reporters": row["reporters"],
        "disputed": "1" if row["disputed"] else "0",
        "intents": ", ".join(row["intents"]),
        "layer": row["layer"],
        "declared": ", ".join(row["declared"]),
        "first-seen": row["first_seen"],
        "last-seen": row["last_seen"],
        "valid-until": row["valid_until"],
        "taxonomy": row["taxonomy_version"],
    }
    texts = {name: "" if value is None else str(value) for name, value in found.items()}
    return {
        name: f"{text}T00:00:00+00:00" if RELATIONS[name].type == "datetime" and len(text) == 10 else text
        for name, text in texts.items()
        if text
    }


def _comment(row: Mapping[str, Any]) -> str:
    return (
        f"{row['state']}: score {row['score']}, confidence {row['confidence']}, "
        f"reported by {row['reporters']} independent organisation{'' if row['reporters'] == 1 else 's'}"
    )


def _tags(shown: Shown) -> list[dict[str, str]]:
    row = shown.row
    sure = next(word for least, word in _CONFIDENCE if int(row["confidence"] or 0) >= least)
    return [
        _tlp(shown.tlp),
        _tag("state", str(row["state"])),
        *(_tag("intent", str(slug)) for slug in row["intents"]),
        {"name": f'misp:confidence-level="{sure}"', "colour": _COLOUR},
    ]


def _tlp(label: str) -> dict[str, str]:
    return {"name": f"tlp:{label.replace('_', '+')}", "colour": _TLP_COLOURS[label]}


def _tag(predicate: str, value: str) -> dict[str, str]:
    return {"name": f'ioint:{predicate}="{value}"', "colour": _COLOUR}


def _compact(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
