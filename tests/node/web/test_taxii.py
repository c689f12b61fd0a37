"""TAXII 2.1 and STIX 2.1 as the standards have them; tests/clients has those who know nothing of this project."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from ioint_node.formats import stix
from ioint_node.store.times import from_text
from ioint_node.web.problems import TAXII_TYPE
from ioint_node.web.taxii import DEFINITIONS, INDICATORS
from ioint_protocol import Withdrawal, encode_record, record_id

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

ROOT = "/taxii2/ioint/"
OBJECTS = f"{ROOT}collections/{INDICATORS}/objects/"


async def poll(node: Node, path: str = OBJECTS, role: str = "soc", **params: str) -> tuple[Any, Any]:
    named = {
        name.replace("match_", "match[") + ("]" if "match_" in name else ""): v for name, v in params.items()
    }
    answer = await node.get(path, role, params=named, headers={"Accept": TAXII_TYPE})
    assert answer.status == 200, await answer.text()
    assert answer.headers["Content-Type"] == TAXII_TYPE
    return json.loads(await answer.read()), answer.headers


def only_indicators(page: Any) -> list[Any]:
    return [one for one in page.get("objects", []) if one["type"] == "indicator"]


async def test_discovery_leads_to_the_collections(node: Node) -> None:
    discovery, _ = await poll(node, "/taxii2/")
    assert discovery["default"].endswith(ROOT)
    root, _ = await poll(node, ROOT)
    assert TAXII_TYPE in root["versions"]
    listed, _ = await poll(node, f"{ROOT}collections/")
    assert [one["id"] for one in listed["collections"]] == [INDICATORS, DEFINITIONS]
    one, _ = await poll(node, f"{ROOT}collections/{INDICATORS}/")
    assert (one["can_read"], one["can_write"]) == (True, False)


async def test_an_empty_collection_is_an_empty_envelope(node: Node) -> None:
    page, headers = await poll(node)
    assert page == {}
    assert "X-TAXII-Date-Added-First" not in headers


async def test_a_poll_that_goes_on_from_the_last_header_gets_exactly_what_is_new(node: Node) -> None:
    patterns = node.patterns(3)
    await node.hear("contoso", *(node.report(pattern) for pattern in patterns[:2]))
    page, headers = await poll(node)
    assert {one["id"] for one in only_indicators(page)} == {stix.indicator_id(p) for p in patterns[:2]}
    last = headers["X-TAXII-Date-Added-Last"]
    assert (await poll(node, added_after=last))[0] == {}
    await node.hear("fabrikam", node.report(patterns[2]))
    page, headers = await poll(node, added_after=last)
    assert [one["id"] for one in only_indicators(page)] == [stix.indicator_id(patterns[2])]
    assert from_text(headers["X-TAXII-Date-Added-Last"]) > from_text(last)


async def test_pages_are_in_the_order_of_addition_and_complete(node: Node) -> None:
    patterns = node.patterns(9)
    await node.hear("contoso", *(node.report(pattern) for pattern in patterns))
    for limit in ("1", "2", "7", "60"):
        found, params = [], {"limit": limit}
        dates: list[str] = []
        while True:
            page, headers = await poll(node, **params)
            assert 0 < len(page["objects"]) <= int(limit)
            found += [one["id"] for one in page["objects"] if one["type"] in stix.GROUP_TYPES]
            dates += [headers["X-TAXII-Date-Added-First"], headers["X-TAXII-Date-Added-Last"]]
            if not page["more"]:
                break
            params = {"limit": limit, "next": page["next"]}
        assert dates == sorted(dates)
        assert len(set(found)) == len(found)
        groups = [one for one in found if one.startswith("indicator--")]
        assert set(groups) == {stix.indicator_id(pattern) for pattern in patterns}
        assert dates[-1].endswith("000Z"), "who keeps milliseconds hears the last group twice"


async def test_markings_travel_with_the_indicators_that_use_them(node: Node) -> None:
    low, high = node.patterns(2)
    await node.hear("contoso", node.report(low, tlp="green"), node.report(high, tlp="red"))
    page, _ = await poll(node)
    markings = [one["id"] for one in page["objects"] if one["type"] == "marking-definition"]
    assert markings == [stix.marking_id("green")]
    assert [one["id"] for one in only_indicators(page)] == [stix.indicator_id(low)]
    page, _ = await poll(node, role="admin")
    assert [one["type"] for one in page["objects"]].count("marking-definition") == 2
    known = {one["id"] for one in page["objects"]}
    for one in page["objects"]:
        for name in ("created_by_ref", "source_ref", "target_ref", "sighting_of_ref"):
            assert one.get(name) is None or one[name] in known
    assert len((await poll(node, role="admin", match_type="indicator"))[0]["objects"]) == 2


async def test_one_object_its_manifest_and_its_versions_agree(node: Node) -> None:
    pattern, other = node.patterns(2)
    await node.hear("contoso", node.report(pattern), node.report(other))
    key = stix.indicator_id(pattern)
    page, _ = await poll(node, f"{OBJECTS}{key}/")
    (found,) = page["objects"]
    manifest, _ = await poll(node, f"{ROOT}collections/{INDICATORS}/manifest/", match_id=key)
    (entry,) = manifest["objects"]
    versions, _ = await poll(node, f"{OBJECTS}{key}/versions/")
    assert [found["modified"]] == [entry["version"]] == versions["versions"]
    assert (await poll(node, match_id=key, match_version=found["modified"]))[0]["objects"] == [found]
    assert (await poll(node, match_version="2020-01-01T00:00:00Z"))[0] == {}
    assert (await poll(node, match_spec_version="2.0"))[0] == {}
    assert (await poll(node, match_type="malware"))[0] == {}


async def test_a_withdrawn_indicator_is_revoked_in_a_newer_version(node: Node) -> None:
    (pattern,) = node.patterns(1)
    report = node.report(pattern)
    await node.hear("contoso", report)
    (before,) = only_indicators((await poll(node))[0])
    await node.hear("contoso", Withdrawal(of=record_id(encode_record(report)), reason="mistake"))
    (after,) = only_indicators((await poll(node))[0])
    assert "revoked" not in before
    assert after["revoked"] is True
    assert (after["id"], after["created"]) == (before["id"], before["created"])
    assert after["modified"] > before["modified"]


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        (OBJECTS, {"Accept": "text/html"}, 406, "not_acceptable"),
        ("/taxii2/", {"Host": "x:y:z"}, 400, "bad_host"),
        (OBJECTS, {"Accept": "application/taxii+json;version=3.0"}, 406, "not_acceptable"),
        (f"{OBJECTS}?limit=0", {}, 400, "bad_field"),
        (f"{OBJECTS}?limit=-1", {}, 400, "bad_field"),
        (f"{OBJECTS}?added_after=soon", {}, 400, "bad_field"),
        (f"{OBJECTS}?added_after=9999-12-31T23:59:59-23:59", {}, 400, "bad_field"),
        (f"{OBJECTS}?added_after=0001-01-01T00:00:00%2B23:59", {}, 400, "bad_field"),
        (f"{OBJECTS}?match[version]=9999-12-31T23:59:59-23:59", {}, 400, "bad_field"),
        (f"{OBJECTS}?match[version]=0001-01-01T00:00:00%2B23:59", {}, 400, "bad_field"),
        (f"{OBJECTS}?next=nonsense", {}, 400, "bad_field"),
        (f"{OBJECTS}?colour=red", {}, 400, "unknown_field"),
        (f"{ROOT}collections/{'0' * 8}/", {}, 404, "not_found"),
        (f"{OBJECTS}indicator--{'0' * 8}/", {}, 404, "not_found"),
        (f"{ROOT}status/1/", {}, 404, "no_route"),
    ],
)
async def test_errors_have_the_body_of_the_standard(
    node: Node, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    answer = await node.get(path, headers=headers)
    assert answer.status == status
    assert answer.headers["Content-Type"] == TAXII_TYPE
    body = json.loads(await answer.read())
    assert (body["http_status"], body["error_code"]) == (str(status), code)
    assert body["title"]


async def test_a_cursor_belongs_to_its_filters(node: Node) -> None:
    await node.hear("contoso", *(node.report(pattern) for pattern in node.patterns(3)))
    page, _ = await poll(node, limit="1")
    answer = await node.get(OBJECTS, params={"next": page["next"], "match[type]": "indicator"})
    assert answer.status == 400


async def test_writing_is_refused(node: Node) -> None:
    answer = await node.client.post(OBJECTS, data=b"{}", headers=node.headers("admin"))
    assert answer.status == 405
    assert answer.headers["Content-Type"] == TAXII_TYPE
