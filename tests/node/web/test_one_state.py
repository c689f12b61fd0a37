"""Score, validity and revocation are views of one state: no door contradicts another, whatever happened."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from ioint_node.flows import believe
from ioint_node.formats import stix
from ioint_node.store.schema import stream
from ioint_node.store.times import day_of, day_text
from ioint_node.web.problems import TAXII_TYPE
from ioint_node.web.taxii import INDICATORS
from ioint_protocol import Dispute, Ruling, Sighting, Withdrawal, encode_record, record_id
from sqlalchemy import select

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

DAY_MS = 86_400_000
OTHERS = ("contoso", "fabrikam", "initech")


async def corroborated(node: Node, pattern: str) -> str:
    """Three groups report it; the id of their report."""
    report = node.report(pattern, bad=2)
    for name in OTHERS:
        await node.hear(name, report)
    return record_id(encode_record(report))


async def withdrawn(node: Node, pattern: str) -> None:
    of = await corroborated(node, pattern)
    for name in OTHERS:
        await node.hear(name, Withdrawal(of=of, reason="mistake"))


async def withdrawn_by_one(node: Node, pattern: str) -> None:
    of = await corroborated(node, pattern)
    await node.hear("contoso", Withdrawal(of=of, reason="mistake"))


async def withdrawn_days_later(node: Node, pattern: str) -> None:
    of = await corroborated(node, pattern)
    node.clock.now += 9 * DAY_MS
    for name in OTHERS:
        await node.hear(name, Withdrawal(of=of, reason="mistake"))


async def expired(node: Node, pattern: str) -> None:
    await corroborated(node, pattern)
    node.clock.now += 30 * DAY_MS
    await believe.refresh_all(node.parts.exchange, node.clock.now)


async def allowed_here(node: Node, pattern: str) -> None:
    await corroborated(node, pattern)
    body = {"kind": "allow", "reason": "ours"}
    assert (await node.post(f"/api/v1/patterns/{pattern}/opinion", body, "soc")).status == 201


async def disputed(node: Node, pattern: str) -> None:
    of = await corroborated(node, pattern)
    for name in ("umbrella", "northwind"):
        await node.hear(name, Dispute(of=of, reason="expected_use", day=day_of(node.clock.now)))


async def ruled_false(node: Node, pattern: str) -> None:
    of = await corroborated(node, pattern)
    authors = sorted(node.consortium.member(name) for name in OTHERS)
    node.consortium.roster = replace(
        node.consortium.roster,
        version=2,
        rulings=tuple(
            Ruling(kind="false", author=author, of=of, day=day_of(node.clock.now)) for author in authors
        ),
    )
    await believe.refresh_all(node.parts.exchange, node.clock.now)


async def its_reporters_are_suspended(node: Node, pattern: str) -> None:
    await corroborated(node, pattern)
    node.consortium.roster = replace(
        node.consortium.roster,
        version=2,
        members=tuple(
            replace(m, state="suspended") if m.name in OTHERS else m for m in node.consortium.roster.members
        ),
    )
    await believe.refresh_all(node.parts.exchange, node.clock.now)


async def nobody_dissents(node: Node, pattern: str) -> None:
    await corroborated(node, pattern)


async def only_disputes_are_left(node: Node, pattern: str) -> None:
    of = await corroborated(node, pattern)
    for name in OTHERS:
        await node.hear(name, Dispute(of=of, reason="false_positive", day=day_of(node.clock.now)))


Happens = Callable[["Node", str], Awaitable[None]]
EVENTS: dict[Happens, str] = {
    nobody_dissents: "malicious",
    withdrawn: "withdrawn",
    withdrawn_by_one: "suspicious",
    withdrawn_days_later: "withdrawn",
    expired: "unknown",
    allowed_here: "malicious",
    disputed: "disputed",
    ruled_false: "withdrawn",
    its_reporters_are_suspended: "unknown",
    only_disputes_are_left: "benign",
}


async def doors(node: Node, pattern: str) -> dict[str, Any]:
    """The row as each door tells it."""
    (listed,) = (await node.json("/api/v1/indicators"))["items"]
    (snapped,) = (await node.json("/api/v1/snapshot"))["items"]
    shown = await node.json(f"/api/v1/patterns/{pattern}")
    path = f"/taxii2/ioint/collections/{INDICATORS}/objects/{stix.indicator_id(pattern)}/"
    page = json.loads(await (await node.get(path, headers={"Accept": TAXII_TYPE})).read())
    async with node.parts.store.read() as connection:
        newest = select(stream.c.body).order_by(stream.c.seq.desc()).limit(1)
        heard = json.loads((await connection.execute(newest)).scalar_one())
    return {"list": listed, "snapshot": snapped, "pattern": shown, "stix": page["objects"][0], "sse": heard}


@pytest.mark.parametrize("happens", EVENTS, ids=lambda happens: happens.__name__)
async def test_no_door_contradicts_another(node: Node, happens: Happens) -> None:
    (pattern,) = node.patterns(1)
    await happens(node, pattern)
    told = await doors(node, pattern)
    row = told["list"]
    assert row["state"] == EVENTS[happens]
    assert told["snapshot"] == row
    assert {name: told["pattern"][name] for name in row} == row
    for name in ("state", "tier", "score", "confidence", "effect", "revoked"):
        assert told["sse"][name] == row[name], name
    made = told["stix"]
    ours = made["extensions"][stix.EXTENSION]
    assert {name: ours[name] for name in ("state", "score", "tier", "effect")} == {
        name: row[name] for name in ("state", "score", "tier", "effect")
    }
    assert (made["confidence"], made.get("revoked", False)) == (row["confidence"], row["revoked"])
    assert made["valid_from"] < made["valid_until"]
    check_validity(row, made, day_text(day_of(node.clock.now)))


def check_validity(row: dict[str, Any], made: dict[str, Any], today: str) -> None:
    """Who looks at the state, at the score, at the validity or at `revoked` alone learns the same."""
    assert row["revoked"] == (row["state"] == "withdrawn")
    over = row["state"] in {"withdrawn", "unknown"}
    assert (row["valid_until"] <= today) == over
    assert (made["valid_until"][:10] <= today) == over
    assert made["valid_until"][:10] == max(row["valid_until"], made["valid_from"][:10])
    if over:
        assert (row["score"], row["confidence"], row["tier"], row["effect"]) == (0, 0, "none", 0)
    if row["allowed"]:
        assert row["effect"] == 0


async def test_a_later_sighting_prolongs_an_indicator_and_makes_it_fresh(node: Node) -> None:
    (pattern,) = node.patterns(1)
    of = await corroborated(node, pattern)
    first = (await node.json("/api/v1/indicators"))["items"][0]
    node.clock.now += 21 * DAY_MS
    await believe.refresh_all(node.parts.exchange, node.clock.now)
    (faded,) = (await node.json("/api/v1/indicators"))["items"]
    await node.hear("umbrella", Sighting(of=of, seen=1, day=day_of(node.clock.now)))
    (fresh,) = (await node.json("/api/v1/indicators"))["items"]
    assert faded["valid_until"] == first["valid_until"] < fresh["valid_until"]
    assert (faded["last_seen"], fresh["last_seen"]) == (first["last_seen"], day_text(day_of(node.clock.now)))
    assert faded["confidence"] < first["confidence"]
    assert fresh["confidence"] > faded["confidence"]


async def test_a_dispute_prolongs_nothing(node: Node) -> None:
    (pattern,) = node.patterns(1)
    of = await corroborated(node, pattern)
    (before,) = (await node.json("/api/v1/indicators"))["items"]
    node.clock.now += 5 * DAY_MS
    await node.hear("umbrella", Dispute(of=of, reason="expected_use", day=day_of(node.clock.now)))
    (after,) = (await node.json("/api/v1/indicators"))["items"]
    assert after["disputed"]
    assert (after["last_seen"], after["valid_until"]) == (before["last_seen"], before["valid_until"])
