"""The MISP feed: what a server fetches, what it fetches again, and what it is told of what is gone."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pytest
from ioint_node.flows.placing import Placing
from ioint_node.store import placements
from ioint_protocol import Withdrawal, encode_record, record_id
from pymisp import MISPEvent

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

FEED = "/feeds/misp/"
SECOND = 1_000


class Feed:
    """What a MISP server knows of the feed after a look."""

    def __init__(self, node: Node, role: str = "soc") -> None:
        self.node, self.role = node, role
        self.placing = Placing(node.parts.store)

    async def settle(self) -> None:
        await self.placing.run(self.node.clock.now)
        self.node.clock.now += 2 * SECOND

    async def manifest(self) -> dict[str, Any]:
        return dict(await self.node.json(f"{FEED}manifest.json", self.role))

    async def events(self) -> dict[str, dict[str, Any]]:
        found = {}
        for name in await self.manifest():
            found[name] = (await self.node.json(f"{FEED}{name}.json", self.role))["Event"]
        return found

    async def objects(self) -> dict[str, dict[str, Any]]:
        """Every object by the id of its indicator."""
        return {
            value(one, "indicator-id"): one
            for event in (await self.events()).values()
            for one in event["Object"]
        }


def value(made: dict[str, Any], relation: str) -> str:
    return str(next(one["value"] for one in made["Attribute"] if one["object_relation"] == relation))


@pytest.fixture
async def feed(node: Node) -> Feed:
    first, second, third = node.patterns(3)
    await node.hear("contoso", node.report(first, tlp="clear"), node.report(second, tlp="green"))
    await node.hear("fabrikam", node.report(first, tlp="clear"), node.report(third, tlp="amber_strict"))
    feed = Feed(node)
    await feed.settle()
    return feed


async def test_the_manifest_names_every_event_and_each_can_be_fetched(feed: Feed) -> None:
    manifest, events = await feed.manifest(), await feed.events()
    assert manifest.keys() == events.keys()
    assert manifest
    for name, heading in manifest.items():
        assert events[name]["uuid"] == name
        assert int(events[name]["timestamp"]) == heading["timestamp"]
        assert {tag["name"] for tag in heading["Tag"]} == {tag["name"] for tag in events[name]["Tag"]}


async def test_pymisp_reads_an_event_and_computes_the_same_feed(feed: Feed) -> None:
    hashes = await (await feed.node.get(f"{FEED}hashes.csv")).text()
    ours = {tuple(line) for line in csv.reader(hashes.splitlines())}
    theirs = set()
    manifest = await feed.manifest()
    for name, event in (await feed.events()).items():
        read = MISPEvent()
        read.load(json.dumps({"Event": event}))
        made = read.to_feed(with_meta=True)["Event"]
        correlating = [one for each in read.objects for one in each.attributes if not one.disable_correlation]
        theirs |= {(digest, name) for one in correlating for digest in one.hash_values("md5")}
        assert {digest for digest, event in theirs if event == name} <= set(made["_hashes"])
        expected = {
            key: str(item) if key in ("analysis", "threat_level_id") else item
            for key, item in made["_manifest"][name].items()
            if key != "Tag"
        }
        assert {key: manifest[name][key] for key in expected} == expected
        assert [one["name"] for one in read.tags] == [one["name"] for one in manifest[name]["Tag"]]
    assert ours == theirs
    assert ours


async def test_only_what_the_token_may_see_is_in_the_feed(feed: Feed) -> None:
    first, second, third = feed.node.patterns(3)
    assert (await feed.objects()).keys() == {first, second}  # clearance amber
    assert (await Feed(feed.node, "admin").objects()).keys() == {first, second, third}
    hashes = await (await feed.node.get(f"{FEED}hashes.csv")).text()
    assert third not in hashes


async def test_a_live_indicator_may_be_looked_for_and_carries_its_tags(feed: Feed) -> None:
    first = feed.node.patterns(1)[0]
    made = (await feed.objects())[first]
    (pattern,) = [one for one in made["Attribute"] if one["object_relation"] == "pattern"]
    names = {tag["name"] for tag in pattern["Tag"]}
    assert pattern["to_ids"]
    assert {"tlp:clear", 'ioint:state="watched"'} <= names
    assert any(name.startswith("ioint:intent=") for name in names)
    assert value(made, "reporters") == "2"


async def test_what_only_this_node_knows_is_in_no_event(feed: Feed) -> None:
    for event in (await feed.events()).values():
        relations = {one["object_relation"] for made in event["Object"] for one in made["Attribute"]}
        assert not relations & {"local-hits", "blast-radius", "effect", "tier", "why", "first-reporter"}
        assert "own rate" not in json.dumps(event)
        assert not any(
            feed.node.consortium.member(name) in json.dumps(event) for name in ("contoso", "fabrikam")
        )


async def test_only_the_event_that_changed_is_newer(feed: Feed) -> None:
    before = await feed.manifest()
    await feed.node.hear("initech", feed.node.report(feed.node.patterns(1)[0], tlp="clear"))
    await feed.settle()
    after = await feed.manifest()
    newer = {name for name, one in after.items() if one["timestamp"] > before[name]["timestamp"]}
    holding = {
        name
        for name, event in (await feed.events()).items()
        if feed.node.patterns(1)[0] in {value(made, "indicator-id") for made in event["Object"]}
    }
    assert newer == holding
    assert len(newer) == 1
    assert before.keys() == after.keys()


async def test_a_change_in_the_second_of_the_look_is_dated_later(feed: Feed) -> None:
    first = feed.node.patterns(1)[0]
    await feed.node.hear("initech", feed.node.report(first, tlp="clear"))
    during = await feed.manifest()
    feed.node.clock.now += 2 * SECOND
    after = await feed.manifest()
    assert any(after[name]["timestamp"] > during[name]["timestamp"] for name in after)


async def test_whoever_has_the_newest_manifest_need_not_fetch_it_again(feed: Feed) -> None:
    for path in ("manifest.json", "hashes.csv", f"{next(iter(await feed.manifest()))}.json"):
        answer = await feed.node.get(f"{FEED}{path}")
        again = await feed.node.get(f"{FEED}{path}", headers={"If-None-Match": answer.headers["ETag"]})
        assert (answer.status, again.status, await again.read()) == (200, 304, b"")
    tag = (await feed.node.get(f"{FEED}manifest.json")).headers["ETag"]
    await feed.node.hear("initech", feed.node.report(feed.node.patterns(1)[0], tlp="clear"))
    await feed.settle()
    newer = await feed.node.get(f"{FEED}manifest.json", headers={"If-None-Match": tag})
    assert newer.status == 200


async def test_what_was_taken_back_stays_in_its_event_as_deleted(feed: Feed) -> None:
    second = feed.node.patterns(2)[1]
    report = feed.node.report(second, tlp="green")
    said = record_id(encode_record(report))
    await feed.node.hear("contoso", Withdrawal(of=said, reason="false_positive"))
    await feed.settle()
    made = (await feed.objects())[second]
    assert made["deleted"]
    assert value(made, "state") == "withdrawn"
    assert not any(one["to_ids"] for one in made["Attribute"])


async def test_who_knew_what_is_now_above_the_clearance_is_told_that_it_is_gone(feed: Feed) -> None:
    first = feed.node.patterns(1)[0]
    before = (await feed.objects())[first]
    await feed.node.hear("initech", feed.node.report(first, tlp="amber_strict"))
    await feed.settle()
    after = (await feed.objects())[first]
    assert after["uuid"] == before["uuid"]
    assert after["deleted"]
    assert [one["object_relation"] for one in after["Attribute"]] == ["indicator-id"]
    assert int(after["timestamp"]) >= int(before["timestamp"])


async def test_an_event_is_cut_at_its_bound(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placements, "EVENT_INDICATORS", 2)
    await node.hear("contoso", *[node.report(name) for name in node.patterns(30)])
    feed = Feed(node)
    await feed.settle()
    events = await feed.events()
    assert max(len(event["Object"]) for event in events.values()) == 2
    assert sum(len(event["Object"]) for event in events.values()) == 30


@pytest.mark.parametrize("path", ["x.json", "00000000-0000-4000-8000-000000000000.json"])
async def test_an_event_that_is_not_there_is_not_found(feed: Feed, path: str) -> None:
    assert (await feed.node.get(f"{FEED}{path}")).status == 404


async def test_the_feed_needs_a_token(feed: Feed) -> None:
    assert (await feed.node.client.get(f"{FEED}manifest.json")).status == 401
    assert (await feed.node.get(f"{FEED}manifest.json", "agent")).status == 403
