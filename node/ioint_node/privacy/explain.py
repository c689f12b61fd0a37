"""What each field of an outgoing record says, why it is safe to say, and who will read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
# What the label lets those who read it pass on (FIRST, Traffic Light Protocol 2.0).
PASS_ON: Final[Mapping[str, str]] = {
    "clear": "to everybody",
    "green": "to their communities",
    "amber": "to their clients who need to know",
    "amber_strict": "to nobody outside their organisation",
    "red": "to nobody",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Who receives what leaves: the names of the other active members, and how many groups they are."""

    members: tuple[str, ...] = ()
    groups: int = 0

    def text(self, label: str) -> str:
        """One line: how many read it, and what its label lets them pass on."""
        return (
            f"{len(self.members)} other members of {self.groups} groups, who may pass it on {PASS_ON[label]}"
        )

    def to_json(self, label: str) -> dict[str, Any]:
        """The same with every name, for the API and the preview."""
        return {"members": list(self.members), "groups": self.groups, "tlp": label, "pass_on": PASS_ON[label]}


NOBODY: Final = Audience()


def explain(
    body: bytes, taxonomy: Taxonomy, catalogue: Catalogue, audience: Audience = NOBODY, *, label: str
) -> list[dict[str, Any]]:
    """One row for each leaf of a record's exact bytes: field, value, meaning, class, why it is safe, who reads it.

    Args:
        body: the exact bytes.
        taxonomy: the release whose words may leave.
        catalogue: the entries that may be named.
        audience: who receives it.
        label: its label of TLP 2.0: its own, or that of the report which it names.

    Raises:
        EgressError: something in the bytes may not leave.
    """
    leaves = check_record(body, taxonomy, catalogue)
    return [
        {
            "field": leaf.field,
            "value": leaf.value,
            "means": _meaning(leaf.field, leaf.value, leaf.source, catalogue),
            "source": leaf.source,
            "why": WHY[leaf.source],
            "readers": audience.text(label),
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
