"""What each field of an outgoing record says, why it is safe to say, and who will read it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from ioint_taxonomy import Catalogue, Taxonomy

from ioint_node.privacy.egress import check_record

WHY: Final[Mapping[str, str]] = {
    "enum": "one word of a public list: this release of the taxonomy or the protocol has it",
    "bucket": "the exponent of a power of two: a range of counts, said again only when it doubles",
    "day": "a whole day (UTC): no hour, no time zone",
    "number": "a small number of the protocol or of the pattern language",
    "id": "a digest of public things: a catalogue entry, the shipped model, or a record that members have",
    "purl": "the name of a package in a public registry",
    "mac": "a keyed digest of a value with at least 80 bits of entropy",
}
READERS: Final[Mapping[str, str]] = {
    "clear": "members, and everybody",
    "green": "members and their communities",
    "amber": "members and their clients who need to know",
    "amber_strict": "members only",
    "red": "the people at members who receive it",
}


def explain(body: bytes, taxonomy: Taxonomy, catalogue: Catalogue) -> list[dict[str, Any]]:
    """One row for each leaf of a record's exact bytes: field, value, meaning, class, why it is safe, who reads it.

    Raises:
        EgressError: something in the bytes may not leave.
    """
    leaves = check_record(body, taxonomy, catalogue)
    label = next((str(leaf.value) for leaf in leaves if leaf.field == "tlp"), "amber")
    return [
        {
            "field": leaf.field,
            "value": leaf.value,
            "means": _meaning(leaf.field, leaf.value, leaf.source, catalogue),
            "source": leaf.source,
            "why": WHY[leaf.source],
            "readers": READERS[label],
        }
        for leaf in leaves
    ]


def _meaning(field: str, value: str | int, source: str, catalogue: Catalogue) -> str:
    if field == "pat" and isinstance(value, str):
        return catalogue.entries[value].title
    if source == "bucket" and isinstance(value, int):
        return "1" if value == 0 else f"{2**value} to {2 ** (value + 1) - 1}"
    if source == "day" and isinstance(value, int):
        return _date(value)
    return str(value)


def _date(day: int) -> str:
    return str(date(1970, 1, 1) + timedelta(days=day))
