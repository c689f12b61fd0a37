"""Example declarations for each family of the taxonomy, written by hand; families are learned from these."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Final

from ioint_taxonomy import load_taxonomy

from ioint_node.scoring.families import DECLARATION_CHARS, UNSPECIFIED


def parse_declarations(data: bytes, slugs: frozenset[str]) -> Mapping[str, tuple[str, ...]]:
    """The example texts by family, from the bytes of a JSON file.

    Raises ValueError for a family that is not among `slugs`, and for a text that is no plain line, is too long to be
    read whole, or occurs twice.
    """
    families = json.loads(data)
    if not isinstance(families, dict):
        message = f"declarations are {type(families).__name__}, not an object of lists"
        raise ValueError(message)
    seen: set[str] = set()
    found: dict[str, tuple[str, ...]] = {}
    for slug, texts in families.items():
        if slug not in slugs or slug == UNSPECIFIED:
            message = f"{slug!r} is no family that can be learned"
            raise ValueError(message)
        if not isinstance(texts, list) or not texts:
            message = f"{slug!r} has no list of texts"
            raise ValueError(message)
        for text in texts:
            _check(text, seen)
        found[slug] = tuple(texts)
    return MappingProxyType(found)


def _check(text: object, seen: set[str]) -> None:
    if not isinstance(text, str) or not text.isprintable() or text != text.strip() or not text:
        message = f"{text!r} is no plain line of text"
        raise ValueError(message)
    if len(text) > DECLARATION_CHARS:
        message = f"{len(text)} characters, more than {DECLARATION_CHARS}"
        raise ValueError(message)
    if text.casefold() in seen:
        message = f"{text!r} occurs twice"
        raise ValueError(message)
    seen.add(text.casefold())


DECLARATIONS: Final = parse_declarations(
    resources.files("ioint_node.scoring").joinpath("declarations.json").read_bytes(),
    frozenset(load_taxonomy().families),
)
