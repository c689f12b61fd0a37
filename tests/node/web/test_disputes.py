"""Disputes as the SOC sees them: who disputes what, until when, and what the stewards ruled."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from ioint_node.flows import believe, disputes
from ioint_node.store import tokens
from ioint_node.store.schema import stream
from ioint_node.store.times import day_of, day_text
from ioint_protocol import Dispute, Record, Ruling, Withdrawal, encode_record, record_id
from sqlalchemy import select

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

DAY_MS = 86_400_000
PATH = "/api/v1/disputes"


def named(record: Record) -> str:
    return record_id(encode_record(record))


async def dispute(node: Node, pattern: str, *, by: str = "fabrikam") -> tuple[str, Dispute]:
    """Contoso reports a pattern and another disputes it: the report's id, and the dispute."""
    report = node.report(pattern)
    await node.hear("contoso", report)
    said = Dispute(of=named(report), reason="expected_use", day=day_of(node.clock.now))
    await node.hear(by, said)
    return named(report), said


def rule(node: Node, *rulings: Ruling) -> None:
    roster = node.consortium.roster
    node.consortium.roster = replace(roster, version=roster.version + 1, rulings=rulings)


async def listed(node: Node, **params: str) -> list[dict[str, Any]]:
    return list((await node.json(PATH, params=params))["items"])


async def test_a_dispute_tells_who_disputes_what_why_and_until_when(node: Node) -> None:
    (pattern,) = node.patterns(1)
    report, said = await dispute(node, pattern)
    (row,) = await listed(node)
    today = day_of(node.clock.now)
    assert row == {
        "id": named(said),
        "pattern": pattern,
        "label": node.parts.exchange.catalogue.entries[pattern].title,
        "report": report,
        "reporters": [{"id": node.consortium.member("contoso"), "name": "contoso"}],
        "disputer": {"id": node.consortium.member("fabrikam"), "name": "fabrikam"},
        "reason": "expected_use",
        "opened": day_text(today),
        "deadline": day_text(today + 14),
        "state": "open",
        "ruling": None,
        "ruled": None,
        "tlp": "amber",
    }
    shown = await node.json(f"/api/v1/patterns/{pattern}")
    assert shown["disputes"] == [row]


async def test_a_ruling_in_the_roster_decides_it_and_lowers_the_standing_of_who_was_wrong(node: Node) -> None:
    (pattern,) = node.patterns(1)
    report, _ = await dispute(node, pattern)
    today = day_of(node.clock.now)
    rule(node, Ruling(kind="false", author=node.consortium.member("contoso"), of=report, day=today))
    (row,) = await listed(node)
    assert (row["state"], row["ruling"], row["ruled"]) == ("upheld", "false", day_text(today))
    members = (await node.json("/api/v1/members"))["items"]
    told = {m["name"]: (m["standing"], m["standing_until"]) for m in members}
    assert told["contoso"] == (0.5, day_text(today + 84))
    assert told["fabrikam"] == (1.0, None)


async def test_an_outcome_stays_for_as_long_as_the_records(node: Node) -> None:
    lapsed, rejected, withdrawn = node.patterns(3)
    await dispute(node, lapsed)
    report, _ = await dispute(node, rejected)
    _, said = await dispute(node, withdrawn)
    await node.hear("fabrikam", Withdrawal(of=named(said), reason="mistake"))
    author = node.consortium.member("contoso")
    rule(node, Ruling(kind="stands", author=author, of=report, day=day_of(node.clock.now)))
    node.clock.now += 20 * DAY_MS
    states = {row["pattern"]: row["state"] for row in await listed(node)}
    assert states == {lapsed: "lapsed", rejected: "rejected", withdrawn: "withdrawn"}
    for state in ("lapsed", "rejected", "withdrawn"):
        assert [row["state"] for row in await listed(node, state=state)] == [state]
    assert await listed(node, state="open") == []


async def test_pages_follow_one_another_also_where_a_state_is_asked_for(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disputes, "AT_A_TIME", 2)
    monkeypatch.setattr(disputes, "LOOKED_AT", 2)
    patterns = node.patterns(7)
    author, today, rulings = node.consortium.member("contoso"), day_of(node.clock.now), []
    for index, pattern in enumerate(patterns):
        report, _ = await dispute(node, pattern)
        if index % 3 == 0:
            rulings.append(Ruling(kind="false", author=author, of=report, day=today))
    rule(node, *rulings)
    for params, wanted in (({}, patterns), ({"state": "upheld"}, patterns[::3])):
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await node.json(
                PATH, params={"limit": "2", **params} | ({"cursor": cursor} if cursor else {})
            )
            assert len(page["items"]) <= 2
            found += [row["pattern"] for row in page["items"]]
            cursor = page["next"]
        assert sorted(found) == sorted(wanted)
        assert len(set(found)) == len(found)


async def test_disputes_of_one_pattern_or_one_member(node: Node) -> None:
    first, second = node.patterns(2)
    await dispute(node, first, by="fabrikam")
    await dispute(node, second, by="initech")
    assert [row["pattern"] for row in await listed(node, pattern=first)] == [first]
    by = node.consortium.member("initech")
    assert [row["pattern"] for row in await listed(node, author=by)] == [second]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("state=closed", 400),
        ("author=contoso", 400),
        ("pattern=xy", 400),
        (f"pattern={'0' * 64}", 404),
        ("cursor=nonsense", 400),
    ],
)
async def test_what_cannot_be_asked_for_is_refused(node: Node, query: str, status: int) -> None:
    assert (await node.get(f"{PATH}?{query}")).status == status


async def test_only_people_see_the_list_and_none_what_is_above_their_clearance(node: Node) -> None:
    (pattern,) = node.patterns(1)
    report = node.report(pattern, tlp="red")
    await node.hear("contoso", report)
    said = Dispute(of=named(report), reason="expected_use", day=day_of(node.clock.now))
    await node.hear("fabrikam", said)
    assert (await node.get(PATH, "agent")).status == 403
    assert await listed(node) == []


async def opinion(node: Node, pattern: str, reason: str = "expected_use") -> tuple[int, str]:
    answer = await node.post(
        f"/api/v1/patterns/{pattern}/opinion", {"kind": "dispute", "reason": reason}, "soc"
    )
    return answer.status, await answer.text()


async def test_the_same_report_is_not_disputed_twice_but_a_newer_one_is(node: Node) -> None:
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern))
    status, text = await opinion(node, pattern)
    made = json.loads(text)
    assert (status, made["report"]) == (201, named(node.report(pattern)))
    assert made["reporter"] == {"id": node.consortium.member("contoso"), "name": "contoso"}
    assert made["deadline"] == day_text(day_of(node.clock.now) + 14)
    node.clock.now += DAY_MS
    status, text = await opinion(node, pattern, "too_broad")
    assert status == 409
    assert f"lapses on {day_text(day_of(node.clock.now) + 13)}" in text
    await node.hear("initech", node.report(pattern))
    assert (await opinion(node, pattern))[0] == 201
    assert [row["state"] for row in await listed(node)] == ["open", "open"]


async def test_what_was_taken_back_or_is_only_our_own_is_not_disputed(node: Node) -> None:
    withdrawn, own, same = node.patterns(3)
    report = node.report(withdrawn)
    await node.hear("contoso", report)
    await node.hear("contoso", Withdrawal(of=named(report), reason="mistake"))
    assert (await opinion(node, withdrawn))[0] == 404
    await node.hear("northwind", node.report(own))
    status, text = await opinion(node, own)
    assert status == 404
    assert "withdrawal" in text
    for name in ("northwind", "contoso"):
        await node.hear(name, node.report(same))
    assert (await opinion(node, same))[0] == 409


async def test_a_dispute_that_waits_for_its_report_is_listed_without_a_pattern(node: Node) -> None:
    await node.hear("fabrikam", Dispute(of="e" * 64, reason="too_broad", day=day_of(node.clock.now)))
    assert (
        await listed(node) == []
    )  # whatever the report's label will be, it is as closed as can be until then
    made = await node.parts.store.write(lambda c: tokens.create(c, "soc", None, "red", None))
    node.keys["soc"] = made.token
    (row,) = await listed(node)
    assert (row["pattern"], row["report"], row["reporters"]) == (None, "e" * 64, [])


async def test_a_roster_with_a_ruling_makes_engines_hear_of_what_it_changed(node: Node) -> None:
    (pattern,) = node.patterns(1)
    report = node.report(pattern, bad=2)
    for name in ("contoso", "fabrikam"):
        await node.hear(name, report)
    today = day_of(node.clock.now)

    async def told(*rulings: Ruling) -> tuple[int, bool]:
        rule(node, *rulings)
        await believe.refresh_all(node.parts.exchange, node.clock.now)
        (row,) = (await node.json("/api/v1/indicators"))["items"]
        async with node.parts.store.read() as connection:
            newest = select(stream.c.body).order_by(stream.c.seq.desc()).limit(1)
            heard = json.loads((await connection.execute(newest)).scalar_one())
        names = ("state", "score", "revoked")
        assert [heard[name] for name in names] == [row[name] for name in names]
        return row["reporters"], row["revoked"]

    false = [
        Ruling(kind="false", author=node.consortium.member(name), of=named(report), day=today)
        for name in ("contoso", "fabrikam")
    ]
    assert await told(*false[:1]) == (1, False)
    assert await told(*false) == (0, True)
    assert await told() == (2, False)
