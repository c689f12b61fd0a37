"""The public bundle at its door: nothing until it is turned on, and then only what is for everybody."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientSession
from ioint_node.flows.public import PublicLimits, PublicParts, Publishing
from ioint_node.formats import bundle
from ioint_node.store import public
from ioint_node.store.engine import WriterLimits, open_store
from ioint_node.store.schema import public_bundles
from ioint_node.web import WebLimits, build_web, serve
from ioint_protocol import Withdrawal, encode_record, record_id
from nacl.signing import SigningKey
from sqlalchemy import delete
from stix2validator import validate_instance

from tests.node.web import conftest
from tests.node.web.test_ocsf_feed import CANARY, out_of_scope

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

FEED = "/feeds/public.json"
DAY = 86_400_000
KEY = SigningKey(b"feed".ljust(32, b"."))
PUBLIC = bytes(KEY.verify_key)


@pytest.fixture
async def open_node(tmp_path: Path, empty_database: Path) -> AsyncIterator[Node]:
    """A node whose operator publishes."""
    shutil.copy(empty_database, tmp_path / "node.db")
    clock = conftest.Clock()
    consortium = conftest.make_consortium(conftest.NOW)
    url = f"sqlite+aiosqlite:///{tmp_path / 'node.db'}"
    async with open_store(url, WriterLimits(group_s=0.001)) as store:
        parts = conftest.make_parts(store, consortium, clock, WebLimits(), [])
        parts = replace(parts, publishes=True)
        made = await store.write(conftest.make_tokens)
        async with (
            serve(build_web(parts), "127.0.0.1", 0, parts) as at,
            ClientSession(base_url=at) as client,
        ):
            yield conftest.Node(
                parts=parts,
                client=client,
                url=at,
                consortium=consortium,
                clock=clock,
                keys={role: one.token for role, one in made.items()},
                peers=[],
            )


def publishing(node: Node, limits: PublicLimits | None = None, consortium: str = "c") -> Publishing:
    return Publishing(
        PublicParts(
            store=node.parts.store,
            catalogue=node.parts.exchange.catalogue,
            key=KEY,
            introduction=lambda: bundle.key_document(
                PUBLIC, member="m", consortium=consortium, record_key=None
            ),
            limits=limits or PublicLimits(),
        )
    )


async def read(node: Node) -> bundle.Checked:
    answer = await node.client.get(FEED)
    assert answer.status == 200, await answer.text()
    body = bundle.opened(await answer.read(), bundle.BUNDLE_TYPE, PUBLIC)
    return bundle.checked(body, now=node.clock.now)


def patterns_in(found: bundle.Checked) -> dict[str, dict[str, Any]]:
    return {
        ours["pattern_id"]: dict(one)
        for one in found.objects
        if one["type"] == "indicator"
        for ours in one["extensions"].values()
    }


@pytest.mark.parametrize("path", [FEED, "/feeds/public-key.json"])
async def test_nothing_is_published_unless_the_operator_wants_it(node: Node, path: str) -> None:
    await node.hear("contoso", node.report(node.patterns(1)[0], tlp="clear"))
    assert (await node.client.get(path)).status == 404


async def test_everybody_reads_what_is_clear_and_nothing_else(open_node: Node) -> None:
    node = open_node
    names = node.patterns(4)
    labels = ("clear", "green", "amber", "amber_strict")
    await node.hear("contoso", *[node.report(n, tlp=label) for n, label in zip(names, labels, strict=True)])
    await publishing(node).run(node.clock.now)
    assert patterns_in(await read(node)).keys() == {names[0]}


async def test_one_word_that_is_not_for_everybody_takes_it_out(open_node: Node) -> None:
    node, job = open_node, publishing(open_node)
    name = node.patterns(1)[0]
    await node.hear("contoso", node.report(name, tlp="clear"))
    await job.run(node.clock.now)
    before = await read(node)
    await node.hear("fabrikam", node.report(name, tlp="green"))
    await job.run(node.clock.now)
    after = await read(node)
    assert (len(patterns_in(before)), len(patterns_in(after))) == (1, 0)
    assert after.seq > before.seq


async def test_what_was_taken_back_is_published_as_revoked(open_node: Node) -> None:
    node, job = open_node, publishing(open_node)
    report = node.report(node.patterns(1)[0], tlp="clear")
    await node.hear("contoso", report)
    await job.run(node.clock.now)
    assert "revoked" not in next(iter(patterns_in(await read(node)).values()))
    await node.hear("contoso", Withdrawal(of=record_id(encode_record(report)), reason="false_positive"))
    await job.run(node.clock.now)
    assert next(iter(patterns_in(await read(node)).values()))["revoked"] is True


async def test_the_bundle_is_stix(open_node: Node) -> None:
    node = open_node
    await node.hear("contoso", *[node.report(name, tlp="clear") for name in node.patterns(10)])
    await publishing(node).run(node.clock.now)
    answer = await node.client.get(FEED)
    told = json.loads(bundle.opened(await answer.read(), bundle.BUNDLE_TYPE, PUBLIC))
    found = validate_instance(told["bundle"])
    assert found.is_valid, found


async def test_it_is_signed_anew_when_it_changes_and_before_it_is_over(open_node: Node) -> None:
    node, job = open_node, publishing(open_node)
    await node.hear("contoso", node.report(node.patterns(1)[0], tlp="clear"))
    await job.run(node.clock.now)
    first = await read(node)
    node.clock.now += DAY
    await job.run(node.clock.now)
    assert (await read(node)).seq == first.seq
    node.clock.now += 3 * DAY
    await job.run(node.clock.now)
    renewed = await read(node)
    assert renewed.seq > first.seq
    assert renewed.expires > first.expires
    assert renewed.objects == first.objects
    await node.hear("contoso", node.report(node.patterns(2)[1], tlp="clear"))
    await job.run(node.clock.now)
    assert (await read(node)).seq > renewed.seq


async def test_a_restart_signs_nothing_anew(open_node: Node) -> None:
    node = open_node
    await node.hear("contoso", node.report(node.patterns(1)[0], tlp="clear"))
    await publishing(node).run(node.clock.now)
    seq = (await read(node)).seq
    node.clock.now += 60_000
    await publishing(node).run(node.clock.now)
    assert (await read(node)).seq == seq


async def test_numbers_go_on_after_a_backup_was_brought_back(open_node: Node) -> None:
    node = open_node
    await publishing(node).run(node.clock.now)
    seq = (await read(node)).seq
    dates = {"issued": "2026-01-01T00:00:00.000Z", "expires": "2026-01-02T00:00:00.000Z"}
    body = bundle.payload([], seq=1, omitted=0, **dates)
    envelope = bundle.sign(body, bundle.BUNDLE_TYPE, KEY)
    older = public.PublicBundle(
        seq=1, content="", expires_at=dates["expires"], envelope=envelope, key_document=b"{}"
    )

    async def restore(connection: Any) -> None:
        await connection.execute(delete(public_bundles))
        await public.put(connection, older)

    await node.parts.store.write(restore)
    node.clock.now += 5_000
    await publishing(node).run(node.clock.now)
    assert (await read(node)).seq > seq


async def test_a_bundle_is_bounded_and_says_what_is_left_out(open_node: Node) -> None:
    node = open_node
    await node.hear("contoso", *[node.report(name, tlp="clear") for name in node.patterns(5)])
    await publishing(node, PublicLimits(indicators=3, objects_bytes=3_000)).run(node.clock.now)
    found = await read(node)
    assert found.indicators + found.omitted == 5
    assert 0 < found.indicators < 3


async def test_nothing_of_own_agents_is_published(open_node: Node) -> None:
    node = open_node
    await out_of_scope(node)
    for entry in node.patterns(20):
        await node.hear("contoso", node.report(entry, tlp="clear"))
    await publishing(node).run(node.clock.now)
    found = await read(node)
    told = json.dumps(found.objects)
    members = [node.consortium.member(name) for name in conftest.NAMES]
    assert found.indicators == 20
    assert [word for word in (CANARY, "a-1", "s-1", *members, *conftest.NAMES) if f'"{word}"' in told] == []
    assert CANARY not in told
    assert not any(member in told for member in members)


async def test_who_has_the_newest_need_not_fetch_it_again(open_node: Node) -> None:
    node = open_node
    await publishing(node).run(node.clock.now)
    tag = (await node.client.get(FEED)).headers["ETag"]
    assert (await node.client.get(FEED, headers={"If-None-Match": tag})).status == 304


async def test_before_the_first_bundle_readers_are_told_to_wait(open_node: Node) -> None:
    answer = await open_node.client.get(FEED)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "60")


async def test_the_key_is_at_the_door_and_says_for_whom_it_speaks_now(open_node: Node) -> None:
    node = open_node
    for consortium in ("one", "two"):
        await publishing(node, consortium=consortium).run(node.clock.now)
        document = await (await node.client.get("/feeds/public-key.json")).read()
        assert bundle.key_of(document) == PUBLIC
        assert json.loads(document)["consortium"] == consortium
        await read(node)
