"""TAXII 2.1 and STIX 2.1 as the standards have them; tests/clients has those who know nothing of this project."""

from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from ioint_node.formats import stix
from ioint_node.store import tokens
from ioint_node.store.times import from_text
from ioint_node.web.problems import TAXII_TYPE
from ioint_node.web.requests import cursor_text
from ioint_node.web.taxii import CONTRIBUTIONS, DEFINITIONS, INDICATORS
from ioint_protocol import Withdrawal, encode_record, record_id
from msgspec.structs import replace

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
    assert [one["id"] for one in listed["collections"]] == [INDICATORS, DEFINITIONS, CONTRIBUTIONS]
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
        (f"{ROOT}status/1/", {}, 404, "not_found"),
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


CONTRIBUTED = f"{ROOT}collections/{CONTRIBUTIONS}/"
AT = "2026-11-18T12:00:00.000Z"


def stix_object(kind: str, number: int = 1, modified: str = AT, **rest: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "spec_version": "2.1",
        "id": f"{kind}--{number:08x}-0000-4000-8000-000000000000",
        "created": AT,
        "modified": modified,
        **rest,
    }


async def contribute(node: Node, *objects: dict[str, Any], role: str = "soc") -> Any:
    answer = await node.client.post(
        f"{CONTRIBUTED}objects/",
        data=json.dumps({"objects": objects}),
        headers={**node.headers(role), "Content-Type": TAXII_TYPE, "Accept": TAXII_TYPE},
    )
    assert answer.status == 202, await answer.text()
    return json.loads(await answer.read())


async def test_an_opinion_against_an_indicator_is_a_dispute_that_the_members_hear(node: Node) -> None:
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern))
    said = stix_object(
        "opinion",
        opinion="strongly-disagree",
        object_refs=[stix.indicator_id(pattern)],
        labels=["ioint:reason:expected_use"],
    )
    status = await contribute(node, said)
    assert (status["status"], status["success_count"], status["failure_count"]) == ("complete", 1, 0)
    (row,) = (await node.json("/api/v1/indicators"))["items"]
    assert row["disputed"] is True
    disputes = (await node.json(f"/api/v1/patterns/{pattern}"))["disputes"]
    assert [one["reason"] for one in disputes] == ["expected_use"]
    again = await contribute(node, said)
    assert again["successes"][0]["message"] == "taken before"
    assert (await poll(node, f"{ROOT}status/{status['id']}/"))[0] == status
    kept, _ = await poll(node, f"{CONTRIBUTED}objects/")
    assert kept["objects"] == [said]


async def test_what_means_nothing_is_a_failure_with_its_reason_and_is_not_kept(node: Node) -> None:
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern, tlp="red"))
    refs = [stix.indicator_id(pattern)]
    status = await contribute(
        node,
        stix_object("malware", name="x", is_family=False),
        stix_object("opinion", 2, opinion="agree", object_refs=refs),
        stix_object("sighting", 3, sighting_of_ref="malware--00000001-0000-4000-8000-000000000000"),
        stix_object("indicator", 4, pattern="[software:name = 'x']", pattern_type="stix", valid_from=AT),
        {"type": "opinion", "id": "opinion--1"},
    )
    assert status["failure_count"] == 5
    said = {one["id"].partition("--")[0]: one["message"] for one in status["failures"]}
    assert said["malware"].startswith("type: malware says nothing")
    assert said["sighting"] == "sighting_of_ref: name an indicator of this node"
    assert said["indicator"].startswith("pattern: no public subject")
    assert "no such indicator that this token may see" in [one["message"] for one in status["failures"]]
    assert (await poll(node, f"{CONTRIBUTED}objects/"))[0] == {}


async def test_an_indicator_of_a_public_model_is_reported_and_a_sighting_seconds_it(node: Node) -> None:
    subject = "pkg:huggingface/owner/name"
    about = replace(node.report(node.patterns(1)[0], bad=2), kind="subject", pat=None, subj=subject)
    await node.hear("contoso", about)  # so that its name is known to be public
    said = stix_object(
        "indicator",
        pattern="[url:value = 'https://huggingface.co/owner/name']",
        pattern_type="stix",
        valid_from=AT,
        labels=["ioint:intent:goal_hijack"],
        object_marking_refs=[stix.marking_id("green")],
    )
    status = await contribute(node, said)
    (told,) = status["successes"]
    assert told["message"].startswith(f"reported {subject}: ready")
    (left,) = (await node.json("/api/v1/outgoing"))["items"]
    assert (left["kind"], left["subject"], left["tlp"]) == ("report", subject, "green")
    (known,) = only_indicators((await poll(node))[0])
    assert known["pattern"] == said["pattern"]
    seen = stix_object("sighting", 2, sighting_of_ref=known["id"])
    told = (await contribute(node, seen))["failures"][0]["message"]
    assert told.startswith("already said")


async def test_a_contributed_object_is_taken_out_and_nothing_else_is(node: Node) -> None:
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern))
    key = stix.indicator_id(pattern)
    said = stix_object("opinion", opinion="disagree", object_refs=[key])
    await contribute(node, said)

    async def delete(path: str, role: str = "soc") -> int:
        return (await node.client.delete(path, headers=node.headers(role))).status

    assert await delete(f"{CONTRIBUTED}objects/{said['id']}/", "engine") == 403
    assert await delete(f"{OBJECTS}{key}/") == 403
    assert await delete(f"{CONTRIBUTED}objects/{said['id']}/?match[version]=2020-01-01T00:00:00Z") == 404
    assert await delete(f"{CONTRIBUTED}objects/{said['id']}/") == 200
    assert await delete(f"{CONTRIBUTED}objects/{said['id']}/") == 404
    (row,) = (await node.json("/api/v1/indicators"))["items"]
    assert row["disputed"] is True


@pytest.mark.parametrize(
    ("role", "path", "headers", "body", "status", "code"),
    [
        ("engine", f"{CONTRIBUTED}objects/", {}, b'{"objects":[{}]}', 403, "forbidden"),
        ("soc", OBJECTS, {}, b'{"objects":[{}]}', 403, "not_writable"),
        ("soc", f"{ROOT}collections/nothing/objects/", {}, b'{"objects":[{}]}', 404, "not_found"),
        ("soc", f"{CONTRIBUTED}objects/", {"Content-Type": "application/json"}, b"{}", 415, "media_type"),
        ("soc", f"{CONTRIBUTED}objects/", {"Accept": "text/html"}, b"{}", 406, "not_acceptable"),
        ("soc", f"{CONTRIBUTED}objects/", {}, b"{", 400, "bad_json"),
        ("soc", f"{CONTRIBUTED}objects/", {}, b"{}", 422, "bad_envelope"),
        ("soc", f"{CONTRIBUTED}objects/", {}, b'{"objects":[1]}', 422, "bad_envelope"),
        ("soc", f"{CONTRIBUTED}objects/", {}, b" " * 1_100_000, 413, "too_large"),
    ],
)
async def test_bad_contributions_are_refused_as_the_standard_has_it(
    node: Node, role: str, path: str, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    sent = {**node.headers(role), "Content-Type": TAXII_TYPE, "Accept": TAXII_TYPE, **headers}
    answer = await node.client.post(path, data=io.BytesIO(body), headers=sent)
    told = json.loads(await answer.read())
    assert (answer.status, told["error_code"], told["http_status"]) == (status, code, str(status))
    assert answer.headers["Content-Type"] == TAXII_TYPE


async def test_without_a_token_the_answer_says_how_to_sign_in(node: Node) -> None:
    answer = await node.client.get("/taxii2/")
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert answer.headers["Content-Type"] == TAXII_TYPE


async def test_a_status_is_its_askers_alone(node: Node) -> None:
    status = await contribute(node, stix_object("malware"))
    assert (await node.get(f"{ROOT}status/{status['id']}/", "admin")).status == 404
    assert (await node.get(f"{ROOT}status/nothing/", "soc")).status == 404


async def test_a_saved_filter_is_a_collection(node: Node) -> None:
    low, high = node.patterns(2)
    await node.hear("contoso", node.report(low, tlp="green"), node.report(high, tlp="amber"))
    answer = await node.post("/api/v1/filters", {"name": "open ones", "filter": "tlp:green"}, "soc")
    assert answer.status == 201, await answer.text()
    key = (await answer.json())["id"]
    listed, _ = await poll(node, f"{ROOT}collections/")
    assert key in [one["id"] for one in listed["collections"]]
    page, headers = await poll(node, f"{ROOT}collections/{key}/objects/")
    assert [one["id"] for one in only_indicators(page)] == [stix.indicator_id(low)]
    after = headers["X-TAXII-Date-Added-Last"]
    page, headers = await poll(node, f"{ROOT}collections/{key}/objects/", added_after=after)
    assert page == {}
    assert headers["X-TAXII-Date-Added-Last"] == after
    manifest, _ = await poll(node, f"{ROOT}collections/{key}/manifest/", match_type="relationship", limit="1")
    assert manifest["more"] is True
    assert (await node.get(f"{ROOT}collections/{key}/objects/{stix.indicator_id(high)}/")).status == 404


@pytest.mark.parametrize("kind", [*stix.GROUP_TYPES, "attack-pattern", "identity"])
async def test_every_type_can_be_walked_alone_and_every_object_be_had_by_its_id(
    node: Node, kind: str
) -> None:
    first, second, third = node.patterns(3)
    report = node.report(second)
    await node.hear("contoso", node.report(first), report, node.report(third))
    await node.hear("contoso", Withdrawal(of=record_id(encode_record(report)), reason="mistake"))
    found: list[str] = []
    params = {"match_type": kind, "limit": "1"}
    while True:
        page, _ = await poll(node, **params)
        found += [one["id"] for one in page["objects"]]
        assert all(one["type"] == kind for one in page["objects"])
        if not page["more"]:
            break
        params["next"] = page["next"]
    assert len(set(found)) == len(found) > 0
    for key in found[:3]:
        page, _ = await poll(node, f"{OBJECTS}{key}/")
        assert [one["id"] for one in page["objects"]] == [key]
    page, _ = await poll(node, match_id=",".join(found))
    assert sorted(one["id"] for one in page["objects"]) == sorted(found)


async def test_a_collection_is_found_by_its_alias_too(node: Node) -> None:
    await node.hear("contoso", node.report(node.patterns(1)[0]))
    by_id, _ = await poll(node)
    by_alias, _ = await poll(node, f"{ROOT}collections/indicators/objects/")
    assert by_alias == by_id
    assert (await node.get(f"{ROOT}collections/nobody/", headers={"Accept": TAXII_TYPE})).status == 404


@pytest.mark.parametrize("position", ["9" * 18, "253402300800000000"])
async def test_a_cursor_of_no_instant_is_refused(node: Node, position: str) -> None:
    asked = hashlib.blake2b(f"{OBJECTS}?".encode(), digest_size=8).hexdigest()
    answer = await node.get(
        OBJECTS, params={"next": cursor_text(position, asked)}, headers={"Accept": TAXII_TYPE}
    )
    assert answer.status == 400


async def test_an_object_that_is_too_large_or_of_no_time_is_refused_and_says_nothing(node: Node) -> None:
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern))
    about = {"opinion": "disagree", "object_refs": [stix.indicator_id(pattern)]}
    status = await contribute(
        node,
        stix_object("opinion", 1, explanation="x" * 40_000, **about),
        stix_object("opinion", 2, modified="2026-13-45T99:99:99Z", **about),
    )
    assert [one["message"].partition(":")[0] for one in status["failures"]] == ["object", "modified"]
    assert (await poll(node, f"{CONTRIBUTED}objects/"))[0] == {}
    (row,) = (await node.json("/api/v1/indicators"))["items"]
    assert row["disputed"] is False


async def test_nobody_replaces_a_contribution_that_it_may_not_see(node: Node) -> None:
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern, tlp="green"))
    about = {"opinion": "disagree", "object_refs": [stix.indicator_id(pattern)]}
    said = stix_object("opinion", **about, object_marking_refs=[stix.marking_id("amber")])
    await contribute(node, said)
    made = await node.parts.store.write(
        lambda connection: tokens.create(connection, "soc", None, "green", None, now=node.clock.now)
    )
    node.keys["open"] = made.token
    other = said | {"modified": "2026-11-19T12:00:00.000Z", "object_marking_refs": [stix.marking_id("green")]}
    status = await contribute(node, other, role="open")
    assert [one["message"] for one in status["failures"]] == ["id: another object has it"]
    kept, _ = await poll(node, f"{CONTRIBUTED}objects/")
    assert kept["objects"] == [said]
