"""The intent taxonomy: what agents declare, what they do, and what can go wrong, as immutable values."""

from __future__ import annotations

from ioint_taxonomy.errors import TaxonomyError
from ioint_taxonomy.mapping import MappedCall, map_call
from ioint_taxonomy.release import load_catalogue, load_framework, load_taxonomy
from ioint_taxonomy.values import (
    Catalogue,
    CatalogueEntry,
    Envelope,
    Family,
    Intent,
    Layer,
    ResourceClass,
    Step,
    Taxonomy,
)

__all__ = [
    "Catalogue",
    "CatalogueEntry",
    "Envelope",
    "Family",
    "Intent",
    "Layer",
    "MappedCall",
    "ResourceClass",
    "Step",
    "Taxonomy",
    "TaxonomyError",
    "load_catalogue",
    "load_framework",
    "load_taxonomy",
    "map_call",
]
