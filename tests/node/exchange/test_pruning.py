"""Logs lose their dead beginnings, and nobody can make anyone lose more."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ioint_node.admission import Accepted, Ignored, Rejected
from ioint_node.flows.prune import KEPT_DAYS, prune, weigh
from ioint_node.flows.receive import receive_segment
from ioint_node.flows.sync import CaughtUp, catch_up
from ioint_node.flows.why import why
from ioint_node.store import log
from ioint_protocol import Report, Withdrawal, build_segment, encode_record, parse_segment, record_id, sync

Make = Callable[..., Awaitable[Any]]
DAY_MS = 86_400_000
TODAY = 20_000
NOW = TODAY * DAY_MS + 36_000_000
LATER = NOW + (KEPT_DAYS + 1) * DAY_MS


def report(pattern: str, day: int = TODAY, *, det: str = "ad" * 32) -> bytes:
    return encode_record(
        Report(
            tax="2026.11",
            kind="pattern",
            pat=pattern,
            intents=(),
            basis="threshold",
            bad=0,
            seen=0,
            agents=0,
            day_from=day,
            day_until=day,
            det=det,
            tlp="green",
        )
    )


async def seqs(node: Any, author: Any) -> list[int]:
    async with node.store.read() as connection:
        wires = await log.segments_between(connection, author.member, 1, 10_000)
    return [parse_segment(wire).header.seq for wire in wires]


async def grown(make: Make, size: int = 4) -> Any:
    """A consortium whose first member said two things long ago, which its second heard, and two things now."""
    net = await make(size)
    for number, now in enumerate((NOW, NOW, LATER, LATER)):
        await net[0].find_bad(net.patterns[number], session=f"s{number}", now=now)
        await net.catch_up(net[1], net[0], now)
    return net


async def test_what_its_author_lets_be_forgotten_is_dropped_once_it_is_dead_here(make: Make) -> None:
    net = await grown(make)
    assert await prune(net[1].store, NOW + 20 * DAY_MS) == 0
    assert await prune(net[1].store, LATER) == 2
    assert await prune(net[1].store, LATER) == 0
    assert await seqs(net[1], net[0]) == [3, 4]
    assert net[1].belief(net.patterns[2]).tier == "precautionary"


async def test_what_its_author_still_holds_live_is_kept_however_old(make: Make) -> None:
    net = await make(3)
    first = net.sign(net[0], 1, "", [report(net.patterns[0])])
    second = net.sign(net[0], 2, parse_segment(first).head, [report(net.patterns[1], TODAY + KEPT_DAYS)])
    for wire in (first, second):
        await net.hand(wire, net[1], net[0], LATER)
    assert await prune(net[1].store, LATER + 100 * DAY_MS) == 0


async def test_a_newcomer_begins_where_the_author_says_and_believes_the_same(make: Make) -> None:
    net = await grown(make)
    await prune(net[1].store, LATER)
    brought = await net.catch_up(net[3], net[1], LATER)
    assert (brought.accepted, brought.rejected) == (2, None)
    assert await seqs(net[3], net[0]) == [3, 4]
    assert await net[3].vector() == await net[1].vector()
    for pattern in net.patterns[:4]:
        ours, theirs = [(await why(n.parts, pattern, LATER))["network"] for n in (net[3], net[0])]
        assert ours == theirs


async def test_who_was_away_for_long_goes_on_after_the_gap(make: Make) -> None:
    net = await grown(make)
    await net.hand((await net[0].own_wires())[0], net[2], net[0])
    await prune(net[1].store, LATER)
    assert (await net.catch_up(net[2], net[1], LATER)).accepted == 2
    assert await seqs(net[2], net[0]) == [1, 3, 4]
    await prune(net[2].store, LATER)
    assert await seqs(net[2], net[0]) == [3, 4]


async def test_a_peer_cannot_hide_what_is_live_behind_a_later_beginning(make: Make) -> None:
    net = await grown(make)
    wires = await net[0].own_wires()

    async def hide(protocol: str, body: bytes) -> bytes:
        if protocol == sync.PULL and sync.decode_pull_request(body).from_seq < 4:
            return sync.encode_pull_answer(wires[3:])
        return bytes(await net[0].answer(protocol, body))

    brought = await catch_up(net[2].parts, hide, net[1].member, LATER)
    assert brought.accepted == 0
    assert await seqs(net[2], net[0]) == []


@pytest.mark.parametrize(("newest", "refusal"), [("forged", "unknown_signer"), ("nothing", None)])
async def test_a_beginning_that_the_author_did_not_sign_for_is_not_taken(
    make: Make, newest: str, refusal: str | None
) -> None:
    net = await grown(make)
    wires = await net[0].own_wires()
    last, bodies = parse_segment(wires[3]).header, parse_segment(wires[3]).bodies
    forged = build_segment(net[1].key, net.consortium, last.author, last.seq, last.prev, last.seq, bodies)

    async def lie(protocol: str, body: bytes) -> bytes:
        if protocol != sync.PULL:
            return bytes(await net[0].answer(protocol, body))
        if sync.decode_pull_request(body).from_seq == 4:
            return sync.encode_pull_answer([forged] if newest == "forged" else [])
        return sync.encode_pull_answer(wires[3:])

    brought = await catch_up(net[2].parts, lie, net[1].member, LATER)
    assert (brought.accepted, brought.rejected) == (0, refusal)
    assert await seqs(net[2], net[0]) == []


async def test_our_own_log_comes_back_from_members_that_have_forgotten_its_beginning(
    make: Make, empty: Path
) -> None:
    net = await grown(make)
    await prune(net[1].store, LATER)
    fresh = Path(shutil.copyfile(empty, net[0].path.with_name("fresh.db")))
    bare = await net.restored(net[0], fresh)
    assert (await net.catch_up(bare, net[1], LATER)).accepted == 2
    assert await bare.find_bad(net.patterns[4], session="after", now=LATER) == 1
    assert [parse_segment(wire).header.seq for wire in await bare.own_wires()] == [3, 4, 5]
    assert isinstance(await net.hand((await bare.own_wires())[-1], net[1], bare, LATER), Accepted)


async def test_an_author_that_takes_back_what_may_be_forgotten_is_refused(make: Make) -> None:
    net = await make(2)
    taken_back = encode_record(Withdrawal(of=record_id(report(net.patterns[0])), reason="mistake"))
    first = build_segment(net[0].key, net.consortium, net[0].member, 1, "0" * 64, 1, [taken_back])
    head = parse_segment(first).head
    second = build_segment(net[0].key, net.consortium, net[0].member, 2, head, 2, [report(net.patterns[0])])
    third = build_segment(
        net[0].key, net.consortium, net[0].member, 3, parse_segment(second).head, 1, [report(net.patterns[1])]
    )
    for wire in (first, second):
        assert isinstance(await net.hand(wire, net[1], net[0]), Accepted)
    assert await net.hand(third, net[1], net[0]) == Rejected(reason="rollback")


async def test_an_author_that_lets_live_records_be_forgotten_waits_until_they_are_dead(make: Make) -> None:
    net = await make(2)
    first = net.sign(net[0], 1, "", [report(net.patterns[0])])
    head = parse_segment(first).head
    second = build_segment(net[0].key, net.consortium, net[0].member, 2, head, 2, [report(net.patterns[1])])
    await net.hand(first, net[1], net[0])
    assert await net.hand(second, net[1], net[0]) == Ignored(reason="early")
    assert isinstance(await net.hand(second, net[1], net[0], NOW + 30 * DAY_MS), Accepted)


async def test_a_pull_below_what_is_held_is_answered_from_the_lowest(make: Make) -> None:
    net = await grown(make)
    await prune(net[1].store, LATER)
    asked = sync.encode_pull_request(sync.Range(author=net[0].member, from_seq=1, to_seq=1))
    (wire,) = sync.decode_pull_answer(await net[1].answer(sync.PULL, asked))
    assert parse_segment(wire).header.seq == 3


async def test_a_newcomer_crosses_a_gap_that_a_member_has_in_its_copy(make: Make) -> None:
    net = await make(4)
    for number in range(12):
        await net[0].find_bad(net.patterns[number], session=f"s{number}")
    await net.hand((await net[0].own_wires())[0], net[2], net[0])
    await net.catch_up(net[1], net[0])
    await net[0].find_bad(net.patterns[12], session="s12", now=LATER)
    await net.catch_up(net[1], net[0], LATER)
    await prune(net[1].store, LATER)
    await net.catch_up(net[2], net[1], LATER)
    assert await seqs(net[2], net[0]) == [1, 13]
    await net.catch_up(net[3], net[2], LATER)
    assert await seqs(net[3], net[0]) == [1, 13]


async def test_catching_up_twice_brings_nothing_the_second_time(make: Make) -> None:
    net = await grown(make)
    assert await net.catch_up(net[1], net[0], LATER) == CaughtUp()


async def test_of_who_is_no_member_any_more_all_that_is_dead_goes(make: Make) -> None:
    net = await make(3)
    for author in net.nodes[:2]:
        first = net.sign(author, 1, "", [report(net.patterns[0])])
        second = net.sign(author, 2, parse_segment(first).head, [report(net.patterns[1], TODAY + KEPT_DAYS)])
        for wire in (first, second):
            await net.hand(wire, net[2], author, LATER)
    assert await prune(net[2].store, LATER, standing={net[1].member, net[2].member}) == 1
    assert await seqs(net[2], net[0]) == [2]
    assert await seqs(net[2], net[1]) == [1, 2]
    assert await prune(net[2].store, LATER + KEPT_DAYS * DAY_MS, standing={net[1].member}) == 1
    assert await seqs(net[2], net[0]) == []


async def test_who_lets_nothing_be_forgotten_is_held_up_to_a_bound(make: Make) -> None:
    net = await make(3)
    first = net.sign(net[0], 1, "", [report(net.patterns[0])])
    second = net.sign(net[0], 2, parse_segment(first).head, [report(net.patterns[1])])
    await net.hand(first, net[1], net[0])
    tight = replace(net[1].parts, limits=replace(net[1].parts.limits, held_bytes=len(first) - 1))
    await weigh(tight)
    assert await receive_segment(tight, second, net[2].member, NOW) == Ignored(reason="quota")
    wide = replace(tight, limits=net[1].parts.limits)
    assert isinstance(await receive_segment(wide, second, net[2].member, NOW), Accepted)
