"""The layer for the ATLAS Navigator: what is seen, of what the token may see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ioint_taxonomy import load_framework

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

LAYER = "/feeds/navigator.json"


def mapped(node: Node, intents: Iterable[str]) -> set[str]:
    taxonomy = node.parts.exchange.taxonomy
    return {
        name
        for slug in intents
        for (framework, _), names in taxonomy.intents[slug].mappings.items()
        if framework == "atlas"
        for name in names
    }


def scored(layer: dict[str, Any]) -> dict[str, int]:
    return {one["techniqueID"]: one["score"] for one in layer["techniques"]}


async def seen_pattern(node: Node, tlp: str = "clear") -> str:
    """A catalogue pattern that is reported and mapped to ATLAS."""
    for name, entry in sorted(node.parts.exchange.catalogue.entries.items()):
        if mapped(node, entry.intents):
            await node.hear("contoso", node.report(name, tlp=tlp))
            return name
    raise AssertionError("no pattern is mapped to ATLAS")


async def test_what_is_seen_is_scored_by_its_highest_indicator(node: Node) -> None:
    name = await seen_pattern(node)
    layer = await node.json(LAYER)
    row = await node.json(f"/api/v1/patterns/{name}")
    assert scored(layer) == dict.fromkeys(mapped(node, row["intents"]), row["score"])
    assert (layer["versions"]["layer"], layer["domain"]) == ("4.5", "atlas-atlas")


async def test_every_technique_is_one_of_atlas(node: Node) -> None:
    for name in node.patterns(40):
        await node.hear("contoso", node.report(name))
    layer = await node.json(LAYER)
    known = load_framework("atlas")
    assert scored(layer).keys() <= known.keys()
    assert len(layer["techniques"]) > 1
    legend = {item["color"] for item in layer["legendItems"]}
    assert {one["color"] for one in layer["techniques"]} <= legend == set(layer["gradient"]["colors"])


async def test_what_is_above_the_clearance_colours_nothing(node: Node) -> None:
    await seen_pattern(node, "amber_strict")
    assert (await node.json(LAYER))["techniques"] == []
    assert (await node.json(LAYER, "admin"))["techniques"] != []


async def test_a_layer_that_is_the_same_is_not_sent_again(node: Node) -> None:
    tag = (await node.get(LAYER)).headers["ETag"]
    assert (await node.get(LAYER, headers={"If-None-Match": tag})).status == 304
    await seen_pattern(node)
    assert (await node.get(LAYER, headers={"If-None-Match": tag})).status == 200
