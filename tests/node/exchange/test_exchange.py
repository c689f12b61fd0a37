"""Five organisations: a warning that arrives, and what one of them can do that means harm."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from ioint_node.admission import Accepted, Ignored, Rejected
from ioint_node.errors import ConflictError, NotFoundError
from ioint_node.flows.believe import refresh_all
from ioint_node.flows.opinions import confirm_pattern, dispute_pattern, withdraw_pattern
from ioint_node.flows.preview import preview
from ioint_node.flows.publish import decide, flush
from ioint_node.flows.why import why
from ioint_node.reputation.gate import Params
from ioint_node.store import indicators, log, outbox, outgoing, overrides, peers
from ioint_node.store.indicators import COLUMNS
from ioint_protocol import Report, decode_record, encode_record, parse_segment

Make = Callable[..., Awaitable[Any]]
DAY_MS = 86_400_000
TODAY = 20_000
NOW = TODAY * DAY_MS + 36_000_000
CANARY = "canary-7f3a"


def slander(pattern: str, *, bad: int = 5, det: str = "ad" * 32, day: int = TODAY) -> bytes:
    return encode_record(
        Report(
            tax="2026.11",
            kind="pattern",
            pat=pattern,
            intents=(),
            basis="threshold",
            bad=bad,
            seen=bad,
            agents=0,
            day_from=day,
            day_until=day,
            det=det,
            tlp="green",
        )
    )


async def test_one_organisations_incident_warns_the_others_by_precaution(make: Make) -> None:
    net = await make()
    pattern = net.patterns[0]
    assert await net[0].find_bad(pattern) == 1
    await net.deliver()
    for node in net.nodes[1:]:
        belief = node.belief(pattern)
        assert (belief.state, belief.tier, belief.effect) == ("watched", "precautionary", 0.05)
        assert node.effect(pattern) == 0.05
    own = net[0].belief(pattern)
    assert (own.state, own.tier, own.effect) == ("watched", "advisory", 0.0)
    assert (await why(net[0].parts, pattern, NOW))["local"]["reason"] == "only_our_own"


async def test_three_organisations_corroborate_and_every_node_computes_the_same_integers(make: Make) -> None:
    net = await make()
    pattern = net.patterns[0]
    for node in net.nodes[:3]:
        await node.find_bad(pattern)
    await net.deliver()
    found = [(await why(node.parts, pattern, NOW))["network"] for node in net.nodes]
    assert all(each == found[0] for each in found)
    assert (found[0]["tier"], found[0]["after_b"], found[0]["score"]) == ("corroborated", 1_354_024, 73)
    assert net[4].effect(pattern) == 0.10


async def test_the_same_bytes_of_two_members_are_two_statements(make: Make) -> None:
    net = await make()
    body = slander(net.patterns[0], bad=0)
    for node in net.nodes[:2]:
        assert isinstance(await net.hand(net.sign(node, 1, "", [body]), net[4], node), Accepted)
    assert net[4].belief(net.patterns[0]).groups == 2


async def test_slander_of_a_pattern_in_daily_use_has_no_effect(make: Make) -> None:
    net = await make()
    pattern, liar, victim = net.patterns[0], net[4], net[0]
    await victim.history(ordinary=2_000)
    for number in range(20):
        await victim.see(pattern, session=f"daily-{number}", day=TODAY - 2, judged="benign")
    assert isinstance(await net.hand(net.sign(liar, 1, "", [slander(pattern)]), victim, liar), Accepted)
    belief = victim.belief(pattern)
    assert (belief.tier, belief.effect, victim.effect(pattern)) == ("advisory", 0.0, 0.0)
    assert (await why(victim.parts, pattern, NOW))["local"]["reason"] == "not_cheap_here"


async def test_a_hit_does_not_switch_its_own_warning_off(make: Make) -> None:
    net = await make()
    pattern, victim = net.patterns[0], net[1]
    await net[0].find_bad(pattern)
    await net.deliver()
    for number in range(3):
        await victim.see(pattern, session=f"hit-{number}", judged="flagged")
        await victim.see(pattern, session=f"open-{number}", judged="open")
    await refresh_all(victim.parts, NOW)
    assert victim.effect(pattern) == 0.10  # what was flagged here is evidence of our own


async def test_only_five_first_reports_of_a_group_and_week_become_precautionary(make: Make) -> None:
    net = await make()
    bodies = [slander(pattern) for pattern in net.patterns[:7]]
    await net.hand(net.sign(net[4], 1, "", bodies), net[0], net[4])
    tiers = [net[0].belief(pattern).tier for pattern in net.patterns[:7]]
    assert (tiers.count("precautionary"), tiers.count("advisory")) == (5, 2)


async def test_a_replay_changes_nothing_and_costs_nobody(make: Make) -> None:
    net = await make()
    await net[0].find_bad(net.patterns[0])
    await net.deliver()
    (wire,) = await net[0].own_wires()
    before = await net[1].events("reputation")
    assert await net.hand(wire, net[1], net[4]) == Ignored(reason="duplicate")
    assert await net[1].events("reputation") == before


async def test_garbage_and_changed_bytes_are_rejected_for_the_one_who_delivers(make: Make) -> None:
    net = await make()
    await net[0].find_bad(net.patterns[0])
    (wire,) = await net[0].own_wires()
    changed = bytearray(wire)
    changed[-3] ^= 1
    assert isinstance(await net.hand(b"garbage", net[1], net[4]), Rejected)
    assert isinstance(await net.hand(bytes(changed), net[1], net[4]), Rejected)
    assert await net.hand(wire, net[1], net[4]) == Accepted(author=net[0].member, seq=1, records=1)


async def test_two_histories_quarantine_their_author_and_void_its_voice(make: Make) -> None:
    net = await make()
    pattern, liar, victim = net.patterns[0], net[4], net[0]
    one = net.sign(liar, 1, "", [slander(pattern)])
    two = net.sign(liar, 1, "", [slander(net.patterns[1])])
    assert isinstance(await net.hand(one, victim, liar), Accepted)
    assert victim.effect(pattern) == 0.05
    assert await net.hand(two, victim, net[1]) == Ignored(reason="equivocation")
    assert (victim.belief(pattern).state, victim.effect(pattern)) == ("unknown", 0.0)
    async with victim.store.read() as connection:
        assert liar.member in await peers.quarantined(connection)
        assert net[1].member not in await peers.quarantined(connection)
    more = net.sign(liar, 2, parse_segment(one).head, [slander(net.patterns[2])])
    assert await net.hand(more, victim, liar) == Ignored(reason="quarantined")


async def test_a_segment_after_a_missing_one_waits_for_catch_up(make: Make) -> None:
    net = await make()
    first = net.sign(net[0], 1, "", [slander(net.patterns[0])])
    second = net.sign(net[0], 2, parse_segment(first).head, [slander(net.patterns[1])])
    assert await net.hand(second, net[1], net[0]) == Ignored(reason="gap")
    assert isinstance(await net.hand(first, net[1], net[0]), Accepted)
    assert isinstance(await net.hand(second, net[1], net[0]), Accepted)


async def test_a_withdrawal_takes_effect_at_once_and_every_engine_hears_it(make: Make) -> None:
    net = await make()
    pattern = net.patterns[0]
    await net[0].find_bad(pattern)
    await net.deliver()
    await withdraw_pattern(net[0].parts, pattern, reason="false_positive", by="token:t", now=NOW + 1000)
    await net.deliver(NOW + 2000)
    for node in net.nodes:
        assert (node.belief(pattern).state, node.effect(pattern)) == ("withdrawn", 0.0)
        (event,) = map(json.loads, await node.events("withdrawal"))
        assert (event["pattern"], event["revoked"], event["after"]) == (pattern, True, 0.0)
    with pytest.raises(NotFoundError):
        await withdraw_pattern(net[0].parts, pattern, reason="mistake", by="token:t", now=NOW + 3000)


async def test_after_a_withdrawal_the_next_session_says_nothing_by_itself(make: Make) -> None:
    net = await make()
    await net[0].find_bad(net.patterns[0])
    await withdraw_pattern(net[0].parts, net.patterns[0], reason="false_positive", by="token:t", now=NOW)
    await net[0].see(net.patterns[0], session="second", judged="flagged")
    assert await net[0].find_bad(net.patterns[0], session="third") == 0


async def test_disputes_make_a_corroborated_pattern_disputed(make: Make) -> None:
    net = await make()
    pattern = net.patterns[0]
    for node in net.nodes[:3]:
        await node.find_bad(pattern)
    await net.deliver()
    for node in net.nodes[3:]:
        await dispute_pattern(node.parts, pattern, reason="expected_use", by="token:t", now=NOW)
    await net.deliver()
    assert {(n.belief(pattern).state, n.effect(pattern)) for n in net.nodes} == {("disputed", 0.05)}


async def test_a_dispute_that_arrives_before_its_report_counts_once_the_report_is_known(make: Make) -> None:
    net = await make()
    pattern, late = net.patterns[0], net[4]
    for node in net.nodes[:3]:
        await node.find_bad(pattern)
    async with net[3].store.read() as connection:
        assert await log.head(connection, net[0].member) is None
    for node in net.nodes[:3]:
        await net.hand((await node.own_wires())[0], net[3], node)
    await dispute_pattern(net[3].parts, pattern, reason="expected_use", by="token:t", now=NOW)
    await net.hand((await net[3].own_wires())[0], late, net[3])
    assert late.belief(pattern) is None
    for node in net.nodes[:3]:
        await net.hand((await node.own_wires())[0], late, node)
    ours = (await why(late.parts, pattern, NOW))["network"]
    assert ours == (await why(net[3].parts, pattern, NOW))["network"]
    assert ours["benign"] == 1_000_000


async def test_catch_up_in_any_order_of_authors_gives_the_same_integers(make: Make) -> None:
    net = await make()
    for index, node in enumerate(net.nodes[:4]):
        for pattern in net.patterns[index : index + 3]:
            await node.find_bad(pattern, session=f"s-{index}-{pattern}")
    await net.deliver()
    logs = [await node.own_wires() for node in net.nodes[:4]]
    other = await make()
    for author in (3, 1, 0, 2):
        for wire in logs[author]:
            await other.hand(wire, other[4], other[author])
    for pattern in net.patterns[:6]:
        assert (await why(other[4].parts, pattern, NOW))["network"] == (
            await why(net[4].parts, pattern, NOW)
        )["network"]
    assert await other[4].vector() == await net[4].vector()


async def test_a_restart_resumes_from_the_store(make: Make) -> None:
    net = await make()
    pattern = net.patterns[0]
    await net[0].find_bad(pattern)
    await net.deliver()
    again = await net[1].restarted()
    assert again.belief(pattern) == net[1].belief(pattern)
    assert again.effect(pattern) == 0.05
    sender = await net[0].restarted()
    assert await sender.find_bad(net.patterns[1], session="later") == 1
    assert [parse_segment(wire).header.seq for wire in await sender.own_wires()] == [1, 2]


async def test_a_network_that_fell_silent_fades(make: Make) -> None:
    net = await make()
    pattern = net.patterns[0]
    await net[0].find_bad(pattern)
    await net.deliver()
    assert net[1].effect(pattern, NOW + 3_600_000) == 0.05
    assert 0 < net[1].effect(pattern, NOW + 3 * DAY_MS) < 0.05
    assert net[1].effect(pattern, NOW + 8 * DAY_MS) == 0.0


async def test_a_report_ends_thirty_days_after_its_day(make: Make) -> None:
    net = await make()
    pattern = net.patterns[0]
    await net[0].find_bad(pattern)
    await net.deliver()
    await refresh_all(net[1].parts, NOW + 30 * DAY_MS)
    assert net[1].belief(pattern).state == "unknown"


async def test_without_a_roster_nothing_is_received_and_nothing_leaves(make: Make) -> None:
    net = await make()
    alone = replace(net[1], parts=replace(net[1].parts, roster=lambda: None))
    wire = net.sign(net[0], 1, "", [slander(net.patterns[0])])
    assert await net.hand(wire, alone, net[0]) == Ignored(reason="no_roster")
    assert await alone.find_bad(net.patterns[0]) == 0


async def test_no_string_of_ours_is_in_any_outgoing_byte(make: Make) -> None:
    net = await make()
    for number, pattern in enumerate(net.patterns[:3]):
        await net[0].find_bad(pattern, session=f"{CANARY}-{number}")
    wires = await net[0].own_wires()
    assert wires
    assert not any(CANARY.encode() in wire or CANARY[:8].encode() in wire for wire in wires)


async def test_hold_shows_the_bytes_and_lets_them_leave_on_approval(make: Make) -> None:
    net = await make(mode="hold")
    pattern = net.patterns[0]
    assert await net[0].find_bad(pattern) == 0
    async with net[0].store.read() as connection:
        (held,), _ = await outgoing.list_outgoing(connection, 10, state="held")
    assert {row["field"] for row in held.explain} >= {"pat", "bad", "day_until", "det"}
    await decide(net[0].parts, held.id, True, "token:t", NOW)
    (wire,) = await net[0].own_wires()
    assert parse_segment(wire).bodies == ((await _body(net[0], held.id)),)
    with pytest.raises(ConflictError):
        await decide(net[0].parts, held.id, True, "token:t", NOW)


async def test_what_an_operator_refuses_never_leaves(make: Make) -> None:
    net = await make(mode="hold")
    await net[0].find_bad(net.patterns[0])
    async with net[0].store.read() as connection:
        (held,), _ = await outgoing.list_outgoing(connection, 10)
    await decide(net[0].parts, held.id, False, "token:t", NOW)
    assert await flush(net[0].parts, NOW + DAY_MS) == 0


async def test_the_same_pattern_is_said_once_until_its_count_doubles(make: Make) -> None:
    net = await make()
    pattern = net.patterns[0]
    left = [await net[0].find_bad(pattern, session="first")]
    left.append(await net[0].find_bad(pattern, session="first"))
    await net[0].see(pattern, session="second", judged="flagged")
    left.append(await net[0].find_bad(pattern, session="third"))
    left.append(await net[0].find_bad(pattern, session="third"))
    assert left == [1, 0, 1, 0]


async def test_a_sample_shows_what_a_report_would_say(make: Make) -> None:
    net = await make()
    (sample,) = await preview(net[0].parts, None, NOW, sure=0.9)
    assert sample["state"] == "ready"
    assert sample["bytes"] < 600


async def test_an_indicator_row_has_the_columns_of_the_contract(make: Make) -> None:
    net = await make()
    pattern = net.patterns[0]
    await net[1].see(pattern, session="earlier", day=TODAY - 3, judged="flagged")
    await net[0].find_bad(pattern)
    await net.deliver()
    async with net[1].store.read() as connection:
        row = await indicators.get(connection, pattern)
    assert row is not None
    assert tuple(row)[: len(COLUMNS)] == COLUMNS
    assert (row["first_reporter"], row["reporters"], row["seen_locally"]) == ("org0", 1, True)
    assert (row["local_hits"], row["blast_radius"], row["tlp"]) == (1, 1, "green")
    assert "1 of 5 groups accuse" in row["why"]


async def test_a_new_segment_is_passed_on_but_never_back(make: Make) -> None:
    net = await make(5)
    wire = net.sign(net[0], 1, "", [slander(net.patterns[0])])
    await net.hand(wire, net[1], net[2])
    async with net[1].store.read() as connection:
        waiting = await outbox.waiting(connection)
    assert set(waiting) == {net[3].member, net[4].member}


async def test_an_analysts_word_is_a_report_with_its_own_basis(make: Make) -> None:
    net = await make(mode="hold")
    pattern = net.patterns[0]
    with pytest.raises(ConflictError):
        await confirm_pattern(net[0].parts, pattern, by="token:t", now=NOW)
    await net[0].see(pattern, session="borderline")
    await confirm_pattern(net[0].parts, pattern, by="token:t", now=NOW)
    (wire,) = await net[0].own_wires()
    (body,) = parse_segment(wire).bodies
    record = decode_record(body)
    assert isinstance(record, Report)
    assert (record.basis, record.pat) == ("analyst", pattern)


async def test_a_pattern_of_everyday_work_is_not_reported_and_the_rate_is_named(make: Make) -> None:
    net = await make()
    pattern = net.patterns[0]
    await net[0].history(ordinary=1_000)
    for number in range(9):
        await net[0].see(pattern, session=f"daily-{number}", judged="benign")
    assert await net[0].find_bad(pattern) == 0
    async with net[0].store.read() as connection:
        (refused,), _ = await outgoing.list_outgoing(connection, 10, state="refused")
    assert "2.25 times in 1,000" in refused.reason


async def test_a_better_supported_pattern_takes_the_budget_of_a_weaker_one(make: Make) -> None:
    net = await make()
    weak, *strong = net.patterns[:4]
    viewer = replace(net[4], parts=replace(net[4].parts, params=Params(tolerance=0.031)))
    await viewer.history(ordinary=10_000)
    for pattern in (weak, *strong):
        await viewer.see(pattern, session=f"once-{pattern}", day=TODAY - 2, judged="benign")
    await net.hand(net.sign(net[0], 1, "", [slander(weak, bad=5)]), viewer, net[0])
    assert viewer.effect(weak) == 0.05
    bodies = [slander(pattern, bad=0) for pattern in strong]
    for node in net.nodes[1:3]:
        await net.hand(net.sign(node, 1, "", bodies), viewer, node)
    assert ([viewer.effect(pattern) for pattern in strong], viewer.effect(weak)) == ([0.05] * 3, 0.0)
    assert (await why(viewer.parts, weak, NOW))["local"]["reason"] == "over_budget"


async def test_what_a_person_allows_has_no_effect_until_it_ends(make: Make) -> None:
    net = await make()
    pattern, viewer = net.patterns[0], net[1]
    await net[0].find_bad(pattern)
    await net.deliver()
    allow = partial(
        overrides.put,
        subject=pattern,
        kind="allow",
        reason="known",
        by="token:t",
        expires=NOW + 1000,
        now=NOW,
    )
    await viewer.store.write(allow)
    await refresh_all(viewer.parts, NOW)
    assert viewer.effect(pattern) == 0.0
    await refresh_all(viewer.parts, NOW + 2000)
    assert viewer.effect(pattern) == 0.05


async def _body(node: Any, record: str) -> bytes:
    async with node.store.read() as connection:
        found = await outgoing.get(connection, record)
    assert found is not None
    return found.body
