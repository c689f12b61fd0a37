"""A layer for the ATLAS Navigator (layer format 4.5): the techniques of ATLAS that are being seen.

A technique gets the highest score of the live indicators whose intents are mapped to it. The crosswalk relates intents
and techniques, mostly loosely: a coloured technique says that something of its kind goes round, not that it was proved.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from ioint_taxonomy import Taxonomy

from ioint_node.formats.ocsf import techniques

LAYER_FORMAT: Final = "4.5"
DOMAIN: Final = "atlas-atlas"
COLOURS: Final = ("#fff7bc", "#fe9929", "#cc4c02")
_FROM: Final = ((0, "1 to 33: little, or few accuse"), (34, "34 to 66"), (67, "67 to 100: many accuse"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """How many live indicators have these intents (slugs, as one list), and the highest score (0 to 100) among them."""

    intents: tuple[str, ...]
    indicators: int
    score: int


@dataclass(slots=True)
class _Seen:
    score: int
    indicators: int
    intents: set[str]


def layer(heats: Iterable[Heat], taxonomy: Taxonomy, made_at: str) -> dict[str, Any]:
    """The layer, its techniques in the order of their ids; `made_at` is RFC 3339 text."""
    seen: dict[str, _Seen] = {}
    editions: set[str] = set()
    for heat in heats:
        touched = set()
        for slug in heat.intents:
            for name, edition in techniques((slug,), taxonomy):
                editions.add(edition)
                touched.add(name)
                found = seen.setdefault(name, _Seen(0, 0, set()))
                found.score = max(found.score, heat.score)
                found.intents.add(slug)
        for name in touched:
            seen[name].indicators += heat.indicators
    edition = f" ({', '.join(sorted(editions))})" if editions else ""
    return {
        "name": "Indicators of intent",
        "versions": {"navigator": "5.1.0", "layer": LAYER_FORMAT},
        "domain": DOMAIN,
        "description": f"Techniques of ATLAS{edition} that live indicators are mapped to, as of {made_at}",
        "techniques": [_technique(name, seen[name], taxonomy) for name in sorted(seen)],
        "gradient": {"colors": list(COLOURS), "minValue": 0, "maxValue": 100},
        "legendItems": [
            {"label": label, "color": colour} for (_, label), colour in zip(_FROM, COLOURS, strict=True)
        ],
        "metadata": [
            {"name": "taxonomy", "value": taxonomy.version},
            {"name": "made at", "value": made_at},
        ],
        "sorting": 3,
        "hideDisabled": False,
        "selectTechniquesAcrossTactics": True,
        "selectSubtechniquesWithParent": False,
    }


def _technique(name: str, seen: _Seen, taxonomy: Taxonomy) -> dict[str, Any]:
    intents = sorted(seen.intents)
    colour = next(
        colour
        for (least, _), colour in zip(reversed(_FROM), reversed(COLOURS), strict=True)
        if seen.score >= least
    )
    return {
        "techniqueID": name,
        "score": seen.score,
        "color": colour,
        "comment": ", ".join(taxonomy.intents[slug].name for slug in intents),
        "enabled": True,
        "metadata": [
            {"name": "indicators", "value": str(seen.indicators)},
            *({"name": "intent", "value": slug} for slug in intents),
        ],
        "showSubtechniques": "." in name.removeprefix("AML."),
    }
