"""What a member can say in bulk: novel patterns, and records about a report that has not come."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from ioint_node.admission import Accepted
from ioint_node.errors import ConflictError
from ioint_node.flows.believe import refresh_all
from ioint_node.flows.opinions import publish_record, withdraw_pattern
from ioint_node.flows.why import why
from ioint_node.reputation.gate import PARAMS
from ioint_node.reputation.novel import NovelLimits
from ioint_node.store import log
from ioint_protocol import (
    Dispute,
    Pattern,
    Report,
    Sighting,
    Withdrawal,
    encode_record,
    parse_pattern,
    parse_segment,
    pattern_id,
    record_id,
)
from sqlalchemy import event

Make = Callable[..., Awaitable[Any]]
DAY_MS = 86_400_000
TODAY = 20_000
NOW = TODAY * DAY_MS + 36_000_000
VERBS = ("delete", "execute", "pay", "send")
BROAD = parse_pattern({"gaps": 0, "steps": [{"v": ["pay"]}, {"v": ["pay"]}]})


def specific(number: int = 0) -> Pattern:
    """One of many patterns, each with a step that says where a value came from."""
    steps: list[dict[str, Any]] = [{"p": ["memory"], "v": ["pay"]}]
    steps += [{"v": [VERBS[number // 4**place % 4]]} for place in range(5)]
    return parse_pattern({"gaps": 1, "steps": steps})


def report(pattern: Pattern | str, *, bad: int = 0) -> Report:
    return Report(
        tax="2026.11",
        kind="pattern",
        pat=pattern,
        intents=(),
        basis="threshold",
        bad=bad,
        seen=bad,
        agents=0,
        day_from=TODAY,
        day_until=TODAY,
        det="ad" * 32,
        tlp="green",
    )


async def reason(node: Any, pattern: Pattern) -> str:
    return str((await why(node.parts, pattern_id(pattern), NOW))["local"]["reason"])


async def test_a_novel_pattern_acts_only_after_its_own_rate_was_measured(make: Make) -> None:
    net = await make()
    novel, later = specific(), NOW + 2 * DAY_MS
    name = pattern_id(novel)
    await net[2].history(ordinary=3_000)
    await publish_record(net[0].parts, report(novel), by="token:t", now=NOW)
    await net.deliver()
    assert net[2].parts.beliefs.patterns() == {name: novel}
    assert (await net[2].restarted()).parts.beliefs.patterns() == {name: novel}
    assert net[2].effect(name) == 0.0
    assert "own rate not known yet" in (await why(net[2].parts, name, NOW))["line"]
    for node in net.nodes[2:4]:
        await node.history(ordinary=3_000, day=TODAY + 1)
    for number in range(9):
        await net[3].see(name, session=f"daily-{number}", day=TODAY + 1, judged="benign")
    for node in net.nodes[1:4]:
        await refresh_all(node.parts, later)
        node.parts.beliefs.heard(later)
    assert [node.effect(name, later) for node in net.nodes[1:4]] == [0.0, 0.05, 0.0]


async def test_a_flood_of_novel_patterns_puts_no_more_to_match_than_a_group_has_first_reports(
    make: Make,
) -> None:
    net = await make()
    bodies = [encode_record(report(specific(number), bad=5)) for number in range(256)]
    assert isinstance(await net.hand(net.sign(net[4], 1, "", bodies), net[0], net[4]), Accepted)
    beliefs = net[0].parts.beliefs
    assert len(beliefs.all()) == 256
    assert len(beliefs.patterns()) == PARAMS.first_reports
    assert beliefs.waiting() == 256 - PARAMS.first_reports
    left_out = next(b for b in beliefs.all().values() if b.measured_from is None)
    assert (await why(net[0].parts, left_out.pattern, NOW))["local"]["reason"] == "over_quota"


async def test_a_group_keeps_its_oldest_novel_patterns_and_the_next_moves_up(make: Make) -> None:
    net = await make()
    viewer = replace(net[1], parts=replace(net[1].parts, novel=NovelLimits(per_group=1)))
    first, second = specific(0), specific(1)
    for number, novel in enumerate((first, second)):
        await publish_record(net[0].parts, report(novel), by="token:t", now=NOW + number)
        wire = (await net[0].own_wires())[-1]
        await net.hand(wire, viewer, net[0], NOW + number)
    assert viewer.parts.beliefs.patterns() == {pattern_id(first): first}
    assert await reason(viewer, second) == "no_place"
    await withdraw_pattern(net[0].parts, pattern_id(first), reason="mistake", by="token:t", now=NOW + 2)
    await net.hand((await net[0].own_wires())[-1], viewer, net[0], NOW + 3)
    assert viewer.parts.beliefs.patterns() == {pattern_id(second): second}


async def test_a_pattern_of_ordinary_work_is_advisory_and_never_leaves_here(make: Make) -> None:
    net = await make()
    for node in net.nodes[:4]:
        wire = net.sign(node, 1, "", [encode_record(report(BROAD, bad=5))])
        assert isinstance(await net.hand(wire, net[4], node), Accepted)
    belief = net[4].belief(pattern_id(BROAD))
    assert (belief.state, belief.tier, belief.effect) == ("malicious", "advisory", 0.0)
    assert net[4].parts.beliefs.patterns() == {}
    assert await reason(net[4], BROAD) == "too_broad"
    with pytest.raises(ConflictError, match="no step says that a value came from others"):
        await publish_record(net[4].parts, report(BROAD), by="token:t", now=NOW)


async def test_records_that_came_before_their_report_get_its_subject_in_few_statements(make: Make) -> None:
    net = await make()
    said = encode_record(report(net.patterns[0]))
    early = [
        encode_record(Sighting(of=record_id(said), seen=seen, day=day))
        for seen in range(10)
        for day in range(TODAY - 19, TODAY + 1)
    ]
    await net.hand(net.sign(net[4], 1, "", early), net[0], net[4])
    updates: list[str] = []

    def count(_c: object, _r: object, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE records"):
            updates.append(statement)

    event.listen(net[0].store.engine.sync_engine, "before_cursor_execute", count)
    await net.hand(net.sign(net[3], 1, "", [said]), net[0], net[3])
    assert len(updates) == 1
    async with net[0].store.read() as connection:
        about = await log.records_about(connection, [net.patterns[0]])
    assert len(about[net.patterns[0]]) == len(early) + 1
    assert net[0].belief(net.patterns[0]).groups == 2


async def test_a_dispute_taken_back_before_its_report_came_is_taken_back(make: Make) -> None:
    net = await make()
    said = encode_record(report(net.patterns[0]))
    dispute = encode_record(Dispute(of=record_id(said), reason="expected_use", day=TODAY))
    back = encode_record(Withdrawal(of=record_id(dispute), reason="mistake"))
    first = net.sign(net[4], 1, "", [dispute])
    await net.hand(first, net[0], net[4])
    await net.hand(net.sign(net[4], 2, parse_segment(first).head, [back]), net[0], net[4])
    await net.hand(net.sign(net[3], 1, "", [said]), net[0], net[3])
    network = (await why(net[0].parts, net.patterns[0], NOW))["network"]
    assert (network["benign"], network["withdrawn"]) == (0, 1)


async def test_one_author_has_so_many_records_that_wait_for_their_report(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = await make()
    monkeypatch.setattr(log, "AUTHOR_ORPHANS", 4)
    said = encode_record(report(net.patterns[0]))
    early = [encode_record(Sighting(of=record_id(said), seen=seen, day=TODAY)) for seen in range(9)]
    first = net.sign(net[4], 1, "", early[:3])
    await net.hand(first, net[0], net[4])
    await net.hand(net.sign(net[4], 2, parse_segment(first).head, early[3:]), net[0], net[4])
    await net.hand(net.sign(net[3], 1, "", [said]), net[0], net[3])
    async with net[0].store.read() as connection:
        about = await log.records_about(connection, [net.patterns[0]])
        assert (await log.vector(connection))[net[4].member][0] == 2
    assert len(about[net.patterns[0]]) == 4 + 1
