"""What is labelled above a reader's clearance does not exist for it: on every door that the node has."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from ioint_node.privacy.labels import SHAREABLE
from ioint_node.store import tokens, webhooks
from ioint_node.store.clearance import LABELS, visible
from ioint_node.store.outgoing import Outgoing, add
from ioint_node.store.times import to_text
from ioint_node.web.problems import TAXII_TYPE
from ioint_node.web.taxii import INDICATORS
from ioint_protocol import Dispute, Report, encode_record, parse_pattern, pattern_id, record_id
from msgspec import structs

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

WAIT_S = 10
GZIP = b"\x1f\x8b"
RESOURCES = dict(zip(SHAREABLE, ("secret", "hr_record", "payment", "permission"), strict=True))
TAXII = f"/taxii2/ioint/collections/{INDICATORS}/objects/"


def report(node: Node, label: str) -> Report:
    """A report of a novel pattern of its own, so that nothing else names what it is about."""
    steps = [{"r": [RESOURCES[label]], "v": ["read"]}, {"f": [0], "v": ["send"], "x": 1}]
    base = node.report(node.patterns(1)[0], bad=2, tlp=label)
    return structs.replace(base, pat=parse_pattern({"gaps": 1, "steps": steps}), intents=())


def marks(node: Node, label: str) -> set[str]:
    """What gives away that something with this label is there: ids of its records and pattern, and its bytes."""
    body = encode_record(report(node, label))
    name = record_id(body)
    about = encode_record(Dispute(of=name, reason="too_broad", day=report(node, label).day_until))
    return {
        name,
        record_id(about),
        pattern_id(report(node, label).pat),
        base64.b64encode(body).decode(),
        base64.b64encode(about).decode(),
    }


@pytest.fixture
async def told(node: Node) -> Node:
    """A node that holds a report of each label, a dispute of each, and one of its own of each."""
    for label in SHAREABLE:
        await node.hear("contoso", report(node, label))
        name = record_id(encode_record(report(node, label)))
        await node.hear("fabrikam", Dispute(of=name, reason="too_broad", day=report(node, label).day_until))
        own = Outgoing(
            id=name,
            kind="report",
            subject=pattern_id(report(node, label).pat),
            body=encode_record(report(node, label)),
            explain=[],
            state="held",
            reason="waits",
            not_before=to_text(node.clock.now),
            at=to_text(node.clock.now),
            category="novel",
            tlp=label,
        )
        await node.parts.store.write(partial(add, record=own))
    return node


async def key(node: Node, clearance: str, role: str) -> dict[str, str]:
    made = await node.parts.store.write(
        lambda connection: tokens.create(connection, role, None, clearance, None, now=node.clock.now)
    )
    return {"Authorization": f"Bearer {made.token}"}


async def doors(node: Node) -> list[str]:
    """Every GET route that answers, with every pattern and record of the reports where it takes one."""
    described = await node.json("/openapi.json")
    ids = [pattern_id(report(node, label).pat) for label in SHAREABLE]
    found = []
    for path, methods in described["paths"].items():
        if "get" not in methods or path == "/api/v1/stream":
            continue
        if "{pattern}" in path:
            found += [path.replace("{pattern}", one) for one in ids]
        elif "{" not in path:
            found.append(path)
    assert len(found) > 25
    return [*found, TAXII, "/taxii2/ioint/collections/"]


async def all_that_is_told(node: Node, clearance: str) -> dict[str, str]:
    """What each door answers; a caller's own question is no answer."""
    headers = await key(node, clearance, "admin") | {"Accept": "*/*"}
    said = {}
    for path in await doors(node):
        wanted = headers | ({"Accept": TAXII_TYPE} if path.startswith("/taxii2") else {})
        async with node.client.get(path, headers=wanted) as answer:
            asked = path.split("/")[-3:] if answer.status == 404 else []
            body = await answer.read()
            text = (gzip.decompress(body) if body.startswith(GZIP) else body).decode(errors="replace")
            for part in filter(None, asked):
                text = text.replace(part, "")
            said[path] = text
    return said


def hidden(node: Node, clearance: str) -> set[str]:
    return {mark for label in SHAREABLE if label not in visible(clearance) for mark in marks(node, label)}


def shown(node: Node, clearance: str) -> set[str]:
    return {mark for label in SHAREABLE if label in visible(clearance) for mark in marks(node, label)}


@pytest.mark.parametrize("clearance", LABELS)
async def test_no_door_tells_what_is_labelled_above_the_clearance(told: Node, clearance: str) -> None:
    said = await all_that_is_told(told, clearance)
    away = hidden(told, clearance)
    assert {(path, mark) for path, text in said.items() for mark in away if mark in text} == set()
    everything = "\n".join(said.values())
    assert {mark for mark in shown(told, clearance) if mark not in everything} == set()


@pytest.mark.parametrize("clearance", LABELS)
async def test_the_stream_tells_no_more(told: Node, clearance: str) -> None:
    headers = await key(told, clearance, "engine") | {"Last-Event-ID": "0"}
    patterns = {label: pattern_id(report(told, label).pat) for label in SHAREABLE}
    wanted = {name for label, name in patterns.items() if label in visible(clearance)}
    heard: set[str] = set()
    async with told.client.get("/api/v1/stream", headers=headers) as answer, asyncio.timeout(WAIT_S):
        while not wanted <= heard:
            line = (await answer.content.readline()).decode()
            if line.startswith("data: "):
                heard.add(str(json.loads(line[6:]).get("pattern")))
    assert heard & set(patterns.values()) == wanted


@pytest.mark.parametrize("clearance", LABELS)
async def test_a_webhook_is_given_no_more(told: Node, clearance: str) -> None:
    async with told.parts.store.read() as connection:
        rows, _ = await webhooks.pending(connection, 0, ("reputation", "withdrawal"), clearance, 1_000)
    heard = {json.loads(row.body).get("pattern") for row in rows}
    patterns = {label: pattern_id(report(told, label).pat) for label in SHAREABLE}
    assert heard == {name for label, name in patterns.items() if label in visible(clearance)}


async def test_who_reported_is_not_told_above_the_clearance(told: Node) -> None:
    await told.hear("initech", _copy(told, "clear"))
    headers = await key(told, "clear", "soc")
    rows: list[dict[str, Any]] = (
        await (await told.client.get("/api/v1/indicators", headers=headers)).json()
    )["items"]
    assert [row["reported_by"] for row in rows] == [
        sorted([told.consortium.member("contoso"), told.consortium.member("initech")])
    ]


def _copy(node: Node, label: str) -> Report:
    return report(node, label)
