"""The last look at what leaves: every leaf of the exact bytes is of a class that holds nothing of ours.

The protocol already refuses unknown fields and malformed values. This check is narrower and knows the vocabulary: a
word leaves only when this release of the taxonomy, or the protocol, lists it. It runs on the bytes that are about to be
signed, not on the value they were made from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ioint_protocol import ProtocolError, Value, decode_record, parse_segment
from ioint_protocol.canonical import decode
from ioint_protocol.records import (
    BASES,
    DISPUTE_REASONS,
    PUBLIC_SUBJECT,
    TAXONOMY_VERSION,
    WITHDRAWAL_REASONS,
)
from ioint_taxonomy import Catalogue, Taxonomy

CLASSES: Final = frozenset({"enum", "bucket", "day", "number", "id", "purl", "mac"})
# Every member holds every record, so nothing that is for single people alone (`red`) can be one.
SHAREABLE: Final = ("clear", "green", "amber", "amber_strict")
FINGERPRINT_SCHEMES: Final = frozenset({"blake2b"})
LARGEST_BUCKET: Final = 30
LARGEST_DAY: Final = 100_000
_HEX_64: Final = re.compile(r"[0-9a-f]{64}")
_HEX_32: Final = re.compile(r"[0-9a-f]{32}")
_RANKS: Final = {"s": 3, "b": 5, "x": 1, "f": 7, "gaps": 1, "v": 1}


class EgressError(Exception):
    """Something was about to leave that is of no class that may; the message names the field, never its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One value in outgoing bytes: where it stands, what it is, and its class."""

    field: str
    value: str | int
    source: str


def check_record(body: bytes, taxonomy: Taxonomy, catalogue: Catalogue) -> tuple[Leaf, ...]:
    """The leaves of a record's exact bytes, each with its class.

    Raises:
        EgressError: a leaf of no class, or bytes that are no record.
    """
    try:
        decode_record(body)
        value = decode(body)
    except ProtocolError as error:
        raise EgressError("the bytes are no record of the protocol") from error
    return tuple(
        Leaf(field=field, value=leaf, source=_source(field, leaf, taxonomy, catalogue))
        for field, leaf in _leaves("", value)
    )


def check_segment(wire: bytes, taxonomy: Taxonomy, catalogue: Catalogue) -> None:
    """Check the exact bytes of a signed segment: its records, and a header that is only ids and numbers.

    Raises:
        EgressError: as `check_record`.
    """
    segment = parse_segment(wire)
    for body in segment.bodies:
        check_record(body, taxonomy, catalogue)
    for field, leaf in _leaves("", decode(segment.header_bytes)):
        if not (isinstance(leaf, int) or _HEX_64.fullmatch(leaf) or _HEX_32.fullmatch(leaf)):
            raise EgressError(f"header field {field} is neither an id nor a number")


def _leaves(path: str, value: Value) -> Iterator[tuple[str, str | int]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(f"{path}.{name}" if path else name, item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(f"{path}[]", item)
    else:
        yield path, value


def _source(field: str, leaf: str | int, taxonomy: Taxonomy, catalogue: Catalogue) -> str:
    found = _of_number(field, leaf) if isinstance(leaf, int) else _of_text(field, leaf, taxonomy, catalogue)
    if found is None:
        raise EgressError(f"{field} holds something of no class that may leave")
    return found


def _of_number(field: str, leaf: int) -> str | None:
    name = field.rsplit(".", 1)[-1].removesuffix("[]")
    if field in ("bad", "seen", "agents"):
        return "bucket" if 0 <= leaf <= LARGEST_BUCKET else None
    if field in ("day", "day_from", "day_until"):
        return "day" if 0 <= leaf <= LARGEST_DAY else None
    if field == "fps[].epoch":
        return "number" if 0 <= leaf <= LARGEST_DAY else None
    return "number" if 0 <= leaf <= _RANKS.get(name, -1) else None


def _of_text(field: str, leaf: str, taxonomy: Taxonomy, catalogue: Catalogue) -> str | None:
    if field in ("of", "det"):
        return "id" if _HEX_64.fullmatch(leaf) else None
    if field == "pat":
        return "id" if leaf in catalogue.entries else None
    if field == "subj":
        return "purl" if PUBLIC_SUBJECT.fullmatch(leaf) else None
    if field == "fps[].mac":
        return "mac" if _HEX_32.fullmatch(leaf) else None
    if field == "tax":
        return "enum" if TAXONOMY_VERSION.fullmatch(leaf) and leaf == taxonomy.version else None
    return "enum" if leaf in _vocabulary(taxonomy).get(field, frozenset()) else None


def _vocabulary(taxonomy: Taxonomy) -> Mapping[str, frozenset[str]]:
    """The closed list of each text field."""
    effects = frozenset(f"@{name}" for name in taxonomy.verbs.values())
    groups = frozenset(f"@{name}" for name in taxonomy.resources.values())
    return {
        "kind": frozenset({"pattern", "subject"}),
        "basis": BASES,
        "tlp": frozenset(SHAREABLE),
        "reason": DISPUTE_REASONS | WITHDRAWAL_REASONS,
        "intents[]": frozenset(taxonomy.intents),
        "fps[].scheme": FINGERPRINT_SCHEMES,
        "pat.declared[]": frozenset(taxonomy.families),
        "pat.steps[].v[]": frozenset(taxonomy.verbs) | effects,
        "pat.steps[].r[]": frozenset(taxonomy.resources) | groups,
        "pat.steps[].p[]": frozenset(taxonomy.provenances),
    }
