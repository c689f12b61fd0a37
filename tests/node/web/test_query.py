"""What members said, as the SOC sees it: rows, receipts, pages, clearance, opinions, what left."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from ioint_node.reputation.receipt import Closing, LocalLine, SegmentLine, read
from ioint_node.store import peers
from ioint_node.store.indicators import COLUMNS
from ioint_node.store.schema import matches
from ioint_node.store.times import day_of, to_text
from ioint_protocol import Withdrawal, encode_record, record_id, verify_inclusion

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from tests.node.web.conftest import Node


async def note_match(node: Node, pattern: str, session: str) -> None:
    values = {
        "pattern": pattern,
        "session_id": session,
        "actor": "a-1",
        "action_id": "1",
        "day": day_of(node.clock.now),
        "at": to_text(node.clock.now),
        "judged": "open",
    }
    await node.parts.store.write(lambda connection: connection.execute(matches.insert().values(values)))


async def test_an_indicator_row_has_the_fields_of_the_contract_in_their_order(node: Node) -> None:
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern))
    await note_match(node, pattern, "s-1")
    (row,) = (await node.json("/api/v1/indicators"))["items"]
    assert list(row)[: len(COLUMNS)] == list(COLUMNS)
    assert (row["id"], row["first_reporter"], row["reporters"]) == (pattern, "contoso", 1)
    assert (row["seen_locally"], row["local_hits"], row["blast_radius"]) == (True, 1, 1)
    assert row["reported_by"] == [node.consortium.member("contoso")]


async def test_pages_follow_one_another_without_gap_or_repetition(node: Node) -> None:
    patterns = node.patterns(7)
    await node.hear("contoso", *(node.report(pattern) for pattern in patterns))
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await node.json(
            "/api/v1/indicators", params={"limit": "2"} | ({"cursor": cursor} if cursor else {})
        )
        assert len(page["items"]) <= 2
        found += [row["id"] for row in page["items"]]
        cursor = page["next"]
    assert sorted(found) == list(patterns)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 2),
        ({"state": "watched"}, 2),
        ({"state": "malicious,benign"}, 0),
        ({"kind": "pattern", "since": "2020-01-01"}, 2),
        ({"since": "2999-01-01"}, 0),
        ({"q": "no such words anywhere"}, 0),
        ({"q": "100%"}, 0),
        ({"filter": "state:watched kind:pattern"}, 2),
        ({"filter": 'state:benign q:"a b"'}, 0),
    ],
)
async def test_filters_say_which_indicators(node: Node, query: dict[str, str], count: int) -> None:
    await node.hear("contoso", *(node.report(pattern) for pattern in node.patterns(2)))
    assert len((await node.json("/api/v1/indicators", params=query))["items"]) == count


async def test_nobody_sees_what_is_above_its_clearance(node: Node) -> None:
    low, high = node.patterns(2)
    await node.hear("contoso", node.report(low, tlp="green"), node.report(high, tlp="red"))
    for path in ("/api/v1/indicators", "/api/v1/records", "/api/v1/snapshot"):
        seen = {row.get("subject", row["id"]) for row in (await node.json(path, "soc"))["items"]}
        assert seen == {low}, path
        assert len((await node.json(path, "admin"))["items"]) == 2
    assert (await node.json(f"/api/v1/patterns/{high}"))["state"] == "unknown"
    assert (await node.get(f"/api/v1/patterns/{high}/why")).status == 404
    assert (await node.get(f"/api/v1/patterns/{high}/why", "admin")).status == 200


async def test_a_catalogue_pattern_that_nobody_reported_is_unknown_and_not_safe(node: Node) -> None:
    (pattern,) = node.patterns(1)
    row = await node.json(f"/api/v1/patterns/{pattern}")
    assert (row["state"], row["score"], row["reported_by"]) == ("unknown", 0, [])
    assert row["catalogue"]["pattern"]


async def test_the_catalogue_is_listed_whole_with_what_is_known(node: Node) -> None:
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern))
    await note_match(node, pattern, "s-1")
    page = await node.json("/api/v1/patterns", params={"limit": "500"})
    assert [row["id"] for row in page["items"]] == sorted(node.parts.exchange.catalogue.entries)
    known = next(row for row in page["items"] if row["id"] == pattern)
    assert (known["state"], known["local_hits"]) == ("watched", 1)


async def test_the_receipt_names_the_voices_and_the_records(node: Node) -> None:
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern))
    receipt = await node.json(f"/api/v1/patterns/{pattern}/why")
    assert [voice["group"] for voice in receipt["network"]["voices"]] == ["contoso"]
    (record,) = (await node.json("/api/v1/records", params={"kind": "report"}))["items"]
    assert record["id"] == receipt["records"][0]["id"]
    assert record["bytes_b64"] == receipt["records"][0]["bytes_b64"]


async def test_the_receipt_tells_each_step_from_a_record_to_the_number(node: Node) -> None:
    (pattern,) = node.patterns(1)
    for name in ("contoso", "fabrikam", "initech"):
        await node.hear(name, node.report(pattern))
    network = (await node.json(f"/api/v1/patterns/{pattern}/why"))["network"]
    assert [voice["removed_for"] for voice in network["voices"]] == [
        ["corroboration", "consensus"],
        ["consensus"],
        [],
    ]
    (said,) = network["voices"][0]["members"]
    assert (said["raw"], said["decayed"], said["age_days"]) == (677_012, 677_012, 0)
    assert {one["step"]: one["text"] for one in network["steps"]} == {
        "voices": "accusing 2.03, benign 0.00, of 5 groups",
        "corroboration": "without the 1 largest (contoso) 1.35 is left",
        "consensus": "without the 2 largest (contoso, fabrikam) 0.68 is left",
        "rule": "corroborated (suspicious): 1.35 is left without the 1 largest, at least 0.75; not so without 2",
        "score": "100 × 2.03 / (2.03 + 0.00 + 0.75) = 73",
        "confidence": "100 × 3 of 4 groups × freshness 1.00 = 75",
    }


async def test_a_receipt_leaves_line_by_line_as_far_as_its_reader_may_see(node: Node) -> None:
    low, high = node.patterns(2)
    await node.hear("contoso", node.report(low, tlp="green"), node.report(high, tlp="red"))
    await node.hear("fabrikam", node.report(low, tlp="green"))
    place = f"/api/v1/patterns/{low}/why/export"
    complete = {}
    for role in ("soc", "admin"):
        answer = await node.get(place, role)
        assert (answer.status, answer.content_type) == (200, "application/jsonl")
        lines = list(read((await answer.read()).splitlines(keepends=True)))
        segments = [line for line in lines if isinstance(line, SegmentLine)]
        (end,) = (line for line in lines if isinstance(line, Closing))
        complete[role] = (end.complete, len(segments), any(isinstance(line, LocalLine) for line in lines))
    assert complete == {"soc": (False, 1, True), "admin": (True, 2, True)}
    alone = await (await node.get(place, params={"part": "network"})).read()
    assert not any(isinstance(line, LocalLine) for line in read(alone.splitlines(keepends=True)))
    assert (await node.get(place, params={"part": "local"})).status == 400
    assert (await node.get(f"/api/v1/patterns/{high}/why/export")).status == 404
    assert (await node.get(f"/api/v1/patterns/{node.patterns(3)[2]}/why/export")).status == 404


async def test_a_withdrawal_shows_at_once(node: Node) -> None:
    (pattern,) = node.patterns(1)
    report = node.report(pattern)
    await node.hear("contoso", report)
    await node.hear("contoso", Withdrawal(of=record_id(encode_record(report)), reason="mistake"))
    row = await node.json(f"/api/v1/patterns/{pattern}")
    assert (row["state"], row["revoked"], row["effect"]) == ("withdrawn", True, 0.0)


async def test_members_peers_rosters_and_status_say_who_there_is(node: Node) -> None:
    node.peers.append(
        {"member": node.consortium.member("contoso"), "connected_since": to_text(node.clock.now)}
    )
    members = (await node.json("/api/v1/members"))["items"]
    assert {row["name"] for row in members if not row["own"]} == {
        "contoso",
        "fabrikam",
        "initech",
        "umbrella",
    }
    assert all(row["refused"] == {} and row["quarantined_at"] is None for row in members)
    assert (await node.json("/api/v1/peers"))["items"] == node.peers
    assert (await node.json("/api/v1/rosters"))["items"] == []
    status = await node.json("/api/v1/status")
    assert (status["member"], status["peers"]) == (
        node.consortium.member("northwind"),
        {"known": 1, "connected": 1},
    )


async def test_allow_takes_the_effect_away_until_it_is_taken_back(node: Node) -> None:
    (pattern,) = node.patterns(1)
    for name in ("contoso", "fabrikam", "initech"):
        await node.hear(name, node.report(pattern, bad=2))
    before = (await node.json(f"/api/v1/patterns/{pattern}"))["effect"]
    assert before > 0
    answer = await node.post(
        f"/api/v1/patterns/{pattern}/opinion", {"kind": "allow", "reason": "ours"}, "soc"
    )
    assert answer.status == 201, await answer.text()
    assert (await node.json(f"/api/v1/patterns/{pattern}"))["effect"] == 0
    (override,) = (await node.json("/api/v1/overrides"))["items"]
    assert (override["kind"], override["subject"]) == ("allow", pattern)
    gone = await node.client.delete(f"/api/v1/patterns/{pattern}/opinion/allow", headers=node.headers("soc"))
    assert (await gone.json())["removed"] is True
    assert (await node.json(f"/api/v1/patterns/{pattern}"))["effect"] == before


async def test_what_an_honest_relay_brings_now_and_then_is_told_from_what_is_refused(node: Node) -> None:
    relay = node.consortium.member("contoso")

    async def count(connection: AsyncConnection) -> None:
        for reason in ("duplicate", "gap", "inactive_author", "bad_root", "quota"):
            await peers.note_refusal(connection, relay, reason)

    await node.parts.store.write(count)
    (row,) = [row for row in (await node.json("/api/v1/members"))["items"] if row["id"] == relay]
    assert set(row["refused"]) - set(row["passed_over"]) == {"bad_root", "quota"}


async def test_a_muted_pattern_says_so(node: Node) -> None:
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern))
    body = {"kind": "mute", "reason": "noise", "expires": None}
    assert (await node.post(f"/api/v1/patterns/{pattern}/opinion", body, "soc")).status == 201
    assert (await node.json("/api/v1/indicators"))["items"][0]["muted"] is True


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"kind": "applaud"}, 400),
        ({"kind": "dispute", "reason": "bad mood"}, 400),
        ({"kind": "dispute", "expires": None}, 400),
        ({"kind": "withdraw", "reason": "mistake"}, 404),
        ({"kind": "mute", "reason": "x", "expires": "soon"}, 400),
    ],
)
async def test_an_opinion_without_sense_is_refused(node: Node, body: dict[str, Any], status: int) -> None:
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern))
    assert (await node.post(f"/api/v1/patterns/{pattern}/opinion", body, "soc")).status == status


async def test_a_dispute_is_shown_with_its_bytes_before_and_after_it_leaves(node: Node) -> None:
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern))
    body = {"kind": "dispute", "reason": "expected_use"}
    answer = await node.post(f"/api/v1/patterns/{pattern}/opinion", body, "soc")
    assert answer.status == 201, await answer.text()
    (record,) = (await answer.json())["records"]
    (row,) = (await node.json("/api/v1/outgoing"))["items"]
    assert (row["id"], row["kind"], row["subject"]) == (record, "dispute", pattern)
    assert row["bytes_b64"]
    assert row["explain"]


async def test_only_a_held_record_can_be_decided(node: Node) -> None:
    assert (await node.json("/api/v1/approvals"))["items"] == []
    answer = await node.post(f"/api/v1/approvals/{'0' * 64}", {"approve": True}, "admin")
    assert answer.status == 404


async def test_a_record_is_proven_to_whoever_has_the_roster(node: Node) -> None:
    first, second = node.patterns(2)
    await node.hear("contoso", node.report(first), node.report(second))
    record = (await node.json("/api/v1/records"))["items"][0]
    (item,) = (await node.json(f"/api/v1/records/{record['id']}/proof"))["items"]
    book = node.consortium.roster
    found = verify_inclusion(base64.b64decode(item["proof_b64"]), book.consortium, book)
    assert found.record.body == base64.b64decode(record["bytes_b64"])
    assert (found.author, found.seq, found.head) == (record["author"], item["seq"], item["head"])


async def test_one_record_of_two_members_has_a_proof_for_each(node: Node) -> None:
    report = node.report(node.patterns(1)[0])
    for name in ("contoso", "fabrikam"):
        await node.hear(name, report)
    record = (await node.json("/api/v1/records"))["items"][0]["id"]
    path = f"/api/v1/records/{record}/proof"
    authors = {node.consortium.member(name) for name in ("contoso", "fabrikam")}
    assert {item["author"] for item in (await node.json(path))["items"]} == authors
    for author in authors:
        (item,) = (await node.json(path, params={"author": author}))["items"]
        assert item["author"] == author


@pytest.mark.parametrize(
    ("path", "status"),
    [("%C3%A9/proof", 404), (f"{'A' * 64}/proof", 404), (f"{'0' * 64}/proof?author=%C3%A9", 400)],
)
async def test_a_proof_is_asked_for_by_ids_alone(node: Node, path: str, status: int) -> None:
    assert (await node.get(f"/api/v1/records/{path}")).status == status


async def test_there_is_no_proof_of_what_nobody_signed(node: Node) -> None:
    answer = await node.get(f"/api/v1/records/{'0' * 64}/proof")
    assert answer.status == 404
