"""What MISP installs: its own schema holds for the object template, ids stay, and every tag of the feed is declared."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from ioint_node.cli import main
from ioint_node.cli.taxonomy import FORMS
from ioint_node.formats import vocabulary
from ioint_node.formats.misp import Heading, Shown, event
from ioint_taxonomy import load_taxonomy
from jsonschema import Draft4Validator
from pymisp import MISPObject

from tests.node.formats.test_bundle import row

TAXONOMY = load_taxonomy()
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def uuids(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [item for key, item in value.items() if key == "uuid"]
        return own + [each for item in value.values() for each in uuids(item)]
    return [each for item in value for each in uuids(item)] if isinstance(value, list) else []


def test_the_object_template_is_one_by_misps_own_schema() -> None:
    schema = json.loads(
        resources.files("pymisp").joinpath("data/misp-objects/schema_objects.json").read_text()
    )
    Draft4Validator(schema).validate(vocabulary.object_template())


def test_pymisp_builds_our_object_from_the_template(tmp_path: Path) -> None:
    place = tmp_path / vocabulary.OBJECT_NAME
    place.mkdir()
    (place / "definition.json").write_text(json.dumps(vocabulary.object_template()))
    heading = Heading(
        member="m", name="2026-11/L11/1", layer="Outcome", slug="outcome", tlp="clear", time_s=1
    )
    shown = Shown(row=row(), tlp="clear", changed_at="2026-11-18T00:00:00.000Z", pattern={"steps": []})
    (made,) = event(heading, [shown], [])["Event"]["Object"]
    built = MISPObject(vocabulary.OBJECT_NAME, strict=True, misp_objects_path_custom=str(tmp_path))
    for attribute in made["Attribute"]:
        built.add_attribute(attribute["object_relation"], attribute["value"])
    assert built.template_uuid == made["template_uuid"]
    types = {one.object_relation: one.type for one in built.attributes}
    assert types == {one["object_relation"]: one["type"] for one in made["Attribute"]}


def test_every_tag_of_the_feed_is_in_the_taxonomy() -> None:
    told = vocabulary.machinetag(TAXONOMY)
    declared = {
        f'ioint:{values["predicate"]}="{entry["value"]}"'
        for values in told["values"]
        for entry in values["entry"]
    }
    heading = Heading(
        member="m", name="2026-11/L11/1", layer="x", slug=TAXONOMY.layers[0].slug, tlp="clear", time_s=1
    )
    shown = [
        Shown(
            row=row(state=state, intents=list(TAXONOMY.intents)),
            tlp="clear",
            changed_at="2026-11-18",
            pattern=None,
        )
        for state in vocabulary.STATES
    ]
    made = event(heading, shown, [])["Event"]
    tags = [tag["name"] for one in made["Object"] for each in one["Attribute"] for tag in each.get("Tag", [])]
    tags += [tag["name"] for tag in made["Tag"]]
    assert {tag for tag in tags if tag.startswith("ioint:")} <= declared
    assert not any(re.search(r"[\s:]", predicate["value"]) for predicate in told["predicates"])


def test_numbers_are_those_that_misp_takes() -> None:
    entries = [entry for values in vocabulary.machinetag(TAXONOMY)["values"] for entry in values["entry"]]
    assert all(0 <= entry.get("numerical_value", 0) <= 100 for entry in entries)
    assert vocabulary.version_of(TAXONOMY) == 202611001


def test_ids_are_stable_and_no_two_are_the_same() -> None:
    every = [content for make in FORMS.values() for content in make(TAXONOMY).values()]
    found = uuids(every)
    assert len(found) == len(set(found))
    assert all(UUID.fullmatch(one) for one in found)
    assert vocabulary.OBJECT_UUID == "1bdaf4d8-74c0-5017-9ba7-a1c095c6db8c"
    assert vocabulary.galaxy()["uuid"] == "4da049c9-5e37-52b7-b46a-fa42cd7f2aad"


def test_every_cluster_has_a_name_of_its_own() -> None:
    values = vocabulary.clusters(TAXONOMY)["values"]
    assert len({one["value"] for one in values}) == len(values) == len(TAXONOMY.intents)


@pytest.mark.parametrize("named", FORMS)
def test_the_command_writes_every_file(
    named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["taxonomy", "export", "--form", named, "--output", str(tmp_path), "-o", "json"]) == 0
    written = json.loads(capsys.readouterr().out)["written"]
    assert [json.loads(Path(name).read_text()) for name in written] == list(FORMS[named](TAXONOMY).values())
