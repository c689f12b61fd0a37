"""TAXII 2.1 and STIX 2.1, judged by clients, readers and a validator that know nothing of this project."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ioint_node.formats import stix
from ioint_node.web.taxii import DEFINITIONS, INDICATORS, ROOT
from ioint_protocol import Dispute, Report, Withdrawal, encode_record, record_id
from msgspec.structs import replace

from tests.node.web.conftest import Node, boundary, empty_database, limits, node

__all__ = ["boundary", "empty_database", "limits", "node"]  # fixtures

PACKAGE = "pkg:npm/left-pad@1.3.0"
MODEL = "pkg:huggingface/owner/name"


def subject_report(node: Node, subject: str) -> Report:
    (pattern,) = node.patterns(1)
    return replace(node.report(pattern, bad=2, tlp="green"), kind="subject", pat=None, subj=subject)


async def some_of_each(node: Node) -> list[str]:
    """Patterns and subjects, one withdrawn, one spoken against; returns the ids of the indicators of the patterns."""
    first, second, third = node.patterns(3)
    gone, doubted = node.report(second), node.report(third)
    await node.hear("contoso", node.report(first), gone, doubted)
    await node.hear("contoso", Withdrawal(of=record_id(encode_record(gone)), reason="mistake"))
    for name in ("fabrikam", "initech", "umbrella"):
        of = record_id(encode_record(doubted))
        await node.hear(name, Dispute(of=of, reason="false_positive", day=doubted.day_from))
    await node.hear("contoso", subject_report(node, PACKAGE), subject_report(node, MODEL))
    return [stix.indicator_id(one) for one in (first, second, third)]


async def read(node: Node, path: str) -> Any:
    answer = await node.get(path, "admin", headers={"Accept": "application/taxii+json;version=2.1"})
    assert answer.status == 200, await answer.text()
    return json.loads(await answer.read())


async def bundle(node: Node) -> dict[str, Any]:
    fixed = await read(node, f"{ROOT}collections/{DEFINITIONS}/objects/?limit=1000")
    found = await read(
        node,
        f"{ROOT}collections/{INDICATORS}/objects/?limit=1000&match[type]={','.join(stix.GROUP_TYPES)}",
    )
    assert not fixed["more"]
    assert not found["more"]
    return {
        "type": "bundle",
        "id": "bundle--5d0092c5-5f74-4287-9642-33f4c354e56d",
        "objects": fixed["objects"] + found["objects"],
    }


@pytest.mark.network
async def test_taxii2_client_reads_everything(node: Node) -> None:
    from taxii2client.v21 import Server, as_pages

    ids = await some_of_each(node)

    def visit() -> tuple[set[str], int]:
        server = Server(f"{node.url}/taxii2/", user="soc", password=node.keys["soc"])
        try:
            by_alias = {one.alias: one for one in server.default.collections}
            first, second = by_alias["indicators"], by_alias["definitions"]
            found = {
                one["id"]
                for page in as_pages(first.get_objects, per_request=2)
                for one in page["objects"]
                if one["type"] == "indicator"
            }
            assert first.get_manifest(limit=1)["more"] is True
            assert len(first.get_object(ids[0])["objects"]) == 1
            assert first.object_versions(ids[0])["versions"]
            return found, len(second.get_objects(limit=1000)["objects"])
        finally:
            server.close()

    found, definitions = await asyncio.to_thread(visit)
    assert found > set(ids)
    assert len(found) == 5
    assert definitions == 8 + len(node.parts.exchange.taxonomy.intents)


@pytest.mark.network
async def test_the_source_of_stix2_finds_objects_by_its_own_filters(node: Node) -> None:
    import stix2
    from taxii2client.v21 import Collection

    ids = await some_of_each(node)

    def visit() -> tuple[Any, list[Any], list[Any]]:
        collection = Collection(
            f"{node.url}{ROOT}collections/{INDICATORS}/", user="soc", password=node.keys["soc"]
        )
        try:
            source = stix2.TAXIICollectionSource(collection)
            one = source.get(ids[0])
            revoked = source.query(
                [stix2.Filter("revoked", "=", True), stix2.Filter("type", "=", "indicator")]
            )
            packages = source.query([stix2.Filter("external_references.external_id", "=", PACKAGE)])
            return one, revoked, packages
        finally:
            collection.close()

    one, revoked, packages = await asyncio.to_thread(visit)
    assert one.id == ids[0]
    assert [each.id for each in revoked] == [ids[1]]
    (package,) = packages
    assert package.pattern == "[software:name = 'left-pad' AND software:version = '1.3.0']"


async def test_stix2_parses_every_object_and_the_validator_finds_them_valid(
    node: Node, tmp_path: Path
) -> None:
    import stix2
    from stix2validator import ValidationOptions, validate_file

    await some_of_each(node)
    made = await bundle(node)
    assert {one["type"] for one in made["objects"]} >= {*stix.GROUP_TYPES, "attack-pattern", "identity"}
    for one in made["objects"]:
        assert stix2.parse(one)["id"] == one["id"]
    path = tmp_path / "bundle.json"
    path.write_text(json.dumps(made))
    result = validate_file(str(path), ValidationOptions(version="2.1"))
    assert result.is_valid, [str(one) for one in result.object_results for one in one.errors]


_TO_MISP = """
import json, sys, warnings
warnings.simplefilter("ignore")  # of what the converter imports
import stix2
from misp_stix_converter import ExternalSTIX2toMISPParser
parser = ExternalSTIX2toMISPParser()
parser.load_stix_bundle(stix2.parse(json.load(open(sys.argv[1]))))
parser.parse_stix_bundle()
print(json.dumps({"event": json.loads(parser.misp_event.to_json()), "errors": dict(parser.errors)}))
"""


async def test_misp_imports_packages_and_models_as_what_they_are(node: Node, tmp_path: Path) -> None:
    await some_of_each(node)
    path = tmp_path / "bundle.json"
    path.write_text(json.dumps(await bundle(node)))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _TO_MISP, str(path), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    found = json.loads(said)
    unread = {one for said in found["errors"].values() for one in said}
    assert unread <= {f"Unknown STIX object type: {name}" for name in ("note", "opinion")}  # of anybody's
    event = found["event"]
    urls = [(one["type"], one["value"], one["to_ids"]) for one in event["Attribute"]]
    assert ("url", "https://huggingface.co/owner/name", True) in urls
    software = [one for one in event["Object"] if one["name"] == "software"]
    assert {one["value"] for one in software[0]["Attribute"]} == {"left-pad", "1.3.0"}
