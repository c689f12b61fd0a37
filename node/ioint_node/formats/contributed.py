"""STIX objects that an analyst's tool sends, and what they mean here: a confirmation, a dispute, a report.

An `opinion` or `sighting` names one indicator of ours; an `indicator` names a public subject. Whatever else STIX can
say means nothing here, and is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from ioint_protocol.records import DISPUTE_REASONS, PUBLIC_SUBJECT

from ioint_node.formats import stix

ID_CHARS: Final = 128
OBJECT_BYTES: Final = 32_768  # of one object, which is kept as it is and given to whoever asks
TAKEN: Final = ("indicator", "opinion", "sighting")
DEFAULT_LABEL: Final = "amber"  # of an object without a marking
REASON: Final = "ioint:reason:"  # begins the label of an opinion that says why it disputes
INTENT: Final = "ioint:intent:"  # begins the label of an indicator that says what its subject is for
INTENTS_MOST: Final = 8
_LABELS: Final = ("clear", "green", "amber", "amber_strict", "red")  # from open to closed
_UUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_ID: Final = re.compile(rf"([a-z][a-z0-9-]{{1,64}})--({_UUID})")
_VERSION: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?Z")
_AGREES: Final = {"strongly-disagree": False, "disagree": False, "agree": True, "strongly-agree": True}
_PLACE: Final = re.compile(
    r"\[url:value = 'https://(?:(github)\.com|(huggingface)\.co)/([^/'?#]+/[^/'?#]+)/?'\]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """An object with what TAXII knows it by; `tlp` is the most closed label of its markings, None without any."""

    id: str
    type: str
    version: str
    tlp: str | None
    value: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Confirms:
    """The indicator with this UUID is real."""

    about: str


@dataclass(frozen=True, slots=True)
class Disputes:
    """The indicator with this UUID is none, for one of `DISPUTE_REASONS`."""

    about: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reports:
    """A public subject is risky; `exact` when its version is the point."""

    subject: str
    intents: tuple[str, ...]
    exact: bool


Meaning: TypeAlias = Confirms | Disputes | Reports


def read(value: Mapping[str, Any]) -> Contribution:
    """An object as TAXII knows it.

    Raises:
        ValueError: its id or version is missing or malformed; the message says which.
    """
    name, kind = value.get("id"), value.get("type")
    if not isinstance(name, str) or (found := _ID.fullmatch(name)) is None:
        raise ValueError("id: no STIX identifier")
    if kind != found[1]:
        raise ValueError("type: not that of the id")
    version = value.get("modified", value.get("created"))
    if not isinstance(version, str) or not _is_instant(version):
        raise ValueError("modified: no timestamp of STIX 2.1")
    return Contribution(id=name, type=found[1], version=version, tlp=_label(value), value=value)


def meaning(said: Contribution) -> Meaning:
    """What an object means here.

    Raises:
        ValueError: nothing, and why.
    """
    match said.type:
        case "opinion":
            return _of_opinion(said.value)
        case "sighting":
            return Confirms(_one_indicator([said.value.get("sighting_of_ref")], "sighting_of_ref"))
        case "indicator":
            return _of_indicator(said.value)
    raise ValueError(f"type: {said.type[:32]} says nothing that this node can tell: send {', '.join(TAKEN)}")


def _of_opinion(value: Mapping[str, Any]) -> Meaning:
    about = _one_indicator(value.get("object_refs"), "object_refs")
    held = value.get("opinion")
    if held not in _AGREES:
        raise ValueError(f"opinion: send one of {', '.join(_AGREES)}")
    if _AGREES[held]:
        return Confirms(about)
    reasons = [
        label.removeprefix(REASON) for label in _texts(value.get("labels")) if label.startswith(REASON)
    ]
    reason = reasons[0] if reasons else "false_positive"
    if reason not in DISPUTE_REASONS:
        raise ValueError(f"labels: {REASON} is followed by one of {', '.join(sorted(DISPUTE_REASONS))}")
    return Disputes(about, reason)


def _of_indicator(value: Mapping[str, Any]) -> Reports:
    subject = _subject(value)
    if subject is None:
        raise ValueError(
            "pattern: no public subject; name one by an external reference with source_name purl, or by the "
            "[url:value = …] of a public repository or model"
        )
    ours = _ours(value)
    labelled = [one.removeprefix(INTENT) for one in _texts(value.get("labels")) if one.startswith(INTENT)]
    intents = tuple(dict.fromkeys([*_texts(ours.get("intents")), *labelled]))
    if len(intents) > INTENTS_MOST:
        raise ValueError(f"labels: {len(intents)} intents, more than {INTENTS_MOST}")
    return Reports(subject, intents, exact="@" in subject)


def _subject(value: Mapping[str, Any]) -> str | None:
    """The package URL that an indicator names, where it names one."""
    named = _ours(value).get("subject")
    given = [named.get("id")] if isinstance(named, Mapping) else []
    references = value.get("external_references")
    given += [
        one.get("external_id")
        for one in (references if isinstance(references, list) else [])
        if isinstance(one, Mapping) and one.get("source_name") == "purl"
    ]
    if (place := _PLACE.fullmatch(str(value.get("pattern", "")))) is not None:
        given.append(f"pkg:{place[1] or place[2]}/{place[3].lower()}")
    return next((one for one in given if isinstance(one, str) and PUBLIC_SUBJECT.fullmatch(one)), None)


def _ours(value: Mapping[str, Any]) -> Mapping[str, Any]:
    extensions = value.get("extensions")
    found = extensions.get(stix.EXTENSION) if isinstance(extensions, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _one_indicator(references: object, field: str) -> str:
    if not isinstance(references, list) or len(references) != 1:
        raise ValueError(f"{field}: name one indicator")
    found = _ID.fullmatch(references[0]) if isinstance(references[0], str) else None
    if found is None or found[1] != "indicator":
        raise ValueError(f"{field}: name an indicator of this node")
    return found[2]


def _is_instant(text: str) -> bool:
    if not _VERSION.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _label(value: Mapping[str, Any]) -> str | None:
    known = {stix.label_of_marking(one) for one in _texts(value.get("object_marking_refs"))}
    return max((one for one in known if one is not None), key=_LABELS.index, default=None)


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
