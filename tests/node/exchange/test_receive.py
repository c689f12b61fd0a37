"""Many segments in one transaction: each gets its own answer, and memory says what the store says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from ioint_node.admission import Accepted, Ignored, Limits, Recent, Rejected
from ioint_node.errors import BusyError
from ioint_node.flows import believe, receive
from ioint_node.flows import intake as intakes
from ioint_node.flows.evidence import read_dossiers
from ioint_node.flows.intake import Intake, IntakeLimits
from ioint_node.flows.receive import Delivered, receive_batch, receive_segments
from ioint_node.reputation.beliefs import Beliefs
from ioint_node.reputation.dossier import Dossier, Dossiers
from ioint_node.store import log
from ioint_node.store.schema import indicators, records
from ioint_protocol import (
    Dispute,
    RecordKey,
    Report,
    Sighting,
    Withdrawal,
    build_segment,
    canonical,
    encode_record,
    parse_segment,
    record_id,
)
from nacl.signing import SigningKey
from sqlalchemy import event, select

from tests.node.exchange.said import chain

Make = Callable[..., Awaitable[Any]]
DAY_MS = 86_400_000
TODAY = 20_000
NOW = TODAY * DAY_MS + 36_000_000


def report(subject: str, *, bad: int = 0, det: str = "ad" * 32) -> bytes:
    public = subject.startswith("pkg:")
    return encode_record(
        Report(
            tax="2026.11",
            kind="subject" if public else "pattern",
            pat=None if public else subject,
            subj=subject if public else None,
            intents=(),
            basis="threshold",
            bad=bad,
            seen=bad + 1,
            agents=0,
            day_from=TODAY,
            day_until=TODAY,
            det=det,
            tlp="green",
        )
    )


def story(net: Any) -> list[tuple[str, bytes]]:
    """Reports, sightings, disputes, withdrawals, a statement said twice, and two records before their report."""
    pattern, other, package = net.patterns[0], net.patterns[1], "pkg:pypi/name"
    said = [report(pattern, bad=bad) for bad in range(4)]
    late = report(other, bad=2)
    early = [
        encode_record(Sighting(of=record_id(late), seen=2, day=TODAY)),
        encode_record(Dispute(of=record_id(late), reason="too_broad", day=TODAY)),
    ]
    back = encode_record(Withdrawal(of=record_id(said[1]), reason="mistake"))
    dispute = encode_record(Dispute(of=record_id(said[0]), reason="expected_use", day=TODAY))
    logs = [
        chain(net, net[0], [said[0], report(package)], [said[1]], [back], [said[0], said[2]]),
        chain(net, net[1], early, [said[3], report(package, bad=3)]),
        chain(net, net[2], [late], [dispute]),
    ]
    return [
        (net[number].member, wires[at])
        for at in range(4)
        for number, wires in enumerate(logs)
        if at < len(wires)
    ]


def held(dossier: Dossier) -> Any:
    return (
        {author: list(said) for author, said in dossier.said.items()},
        dossier.firsts,
        dossier.novel,
        dossier.concluded,
        dossier.last_day,
    )


async def rows(node: Any) -> list[Any]:
    """The indicator rows without what tells in which transaction they were written."""
    async with node.store.read() as connection:
        found = await connection.execute(
            select(
                indicators.c.id,
                indicators.c.state,
                indicators.c.score,
                indicators.c.tier,
                indicators.c.effect,
            ).order_by(indicators.c.id)
        )
        return [tuple(row) for row in found]


async def test_all_at_once_or_one_by_one_comes_to_the_same(make: Make) -> None:
    net = await make()
    batch = story(net)
    answers = await receive_batch(net[4].parts, [Delivered(wire=w, by=by) for by, w in batch], NOW)
    assert all(isinstance(answer, Accepted) for answer in answers)
    for by, wire in batch:
        assert isinstance((await receive_segments(net[3].parts, [wire], by, NOW))[0], Accepted)
    assert await rows(net[4]) == await rows(net[3])
    assert len(await rows(net[4])) == 3


@pytest.mark.parametrize("size", [1, 3, 8])
async def test_memory_says_what_the_store_says(make: Make, size: int) -> None:
    net = await make()
    batch, parts = story(net), net[4].parts
    for at in range(0, len(batch), size):
        await receive_batch(parts, [Delivered(wire=w, by=by) for by, w in batch[at : at + size]], NOW + at)
    subjects = [net.patterns[0], net.patterns[1], "pkg:pypi/name"]
    async with net[4].store.read() as connection:
        read = await read_dossiers(connection, subjects)
    kept = parts.dossiers.take(subjects)
    assert sorted(kept) == sorted(subjects)
    assert {s: held(d) for s, d in kept.items()} == {s: held(d) for s, d in read.items()}


async def test_one_bad_segment_costs_only_who_delivered_it(make: Make) -> None:
    net = await make()
    (good,), (bad,) = (
        chain(net, net[0], [report(net.patterns[0])]),
        chain(net, net[1], [report(net.patterns[1])]),
    )
    broken = bytearray(bad)
    broken[-3] ^= 1
    batch = [
        Delivered(wire=bytes(broken), by=net[1].member),
        Delivered(wire=good, by=net[0].member),
        Delivered(wire=b"garbage", by=net[2].member),
    ]
    answers = await receive_batch(net[4].parts, batch, NOW)
    assert [type(answer) for answer in answers] == [Rejected, Accepted, Rejected]
    assert net[4].belief(net.patterns[0]).groups == 1


async def test_what_follows_a_segment_that_was_not_taken_is_a_gap(make: Make) -> None:
    net = await make()
    first, second, third = chain(net, net[0], *[[report(p)] for p in net.patterns[:3]])
    broken = bytearray(second)
    broken[-3] ^= 1
    answers = await receive_segments(net[4].parts, [first, bytes(broken), third], net[0].member, NOW)
    assert [type(answer) for answer in answers] == [Accepted, Rejected, Ignored]
    assert answers[2] == Ignored(reason="gap")


async def test_a_quota_ends_a_log_within_a_batch(make: Make) -> None:
    net = await make()
    parts = replace(net[4].parts, limits=Limits(records_per_hour=3))
    wires = chain(
        net,
        net[0],
        [report(net.patterns[0]), report(net.patterns[1])],
        *[[report(p)] for p in net.patterns[2:5]],
    )
    answers = await receive_segments(parts, wires, net[0].member, NOW)
    assert [getattr(answer, "reason", "") for answer in answers] == ["", "", "quota", "gap"]


async def test_two_histories_in_one_batch_convict_their_author(make: Make) -> None:
    net = await make()
    one, two = (chain(net, net[0], [report(p)])[0] for p in net.patterns[:2])
    answers = await receive_segments(net[4].parts, [one, two], net[1].member, NOW)
    assert isinstance(answers[0], Accepted)
    assert answers[1] == Ignored(reason="equivocation")
    assert net[4].belief(net.patterns[0]).state == "unknown"
    async with net[4].store.read() as connection:
        assert await log.equivocators(connection) == {net[0].member}


async def test_a_fault_of_ours_with_one_segment_is_nobody_elses(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = await make()
    whole = believe.enter

    async def failing(connection: Any, parts: Any, roster: Any, arrivals: Any, now: int) -> Any:
        believed = await whole(connection, parts, roster, arrivals, now)
        if any(arrival.segment.author == net[1].member for arrival in arrivals):
            raise LookupError("a fault of ours")
        return believed

    monkeypatch.setattr(receive, "enter", failing)
    pattern = net.patterns[0]
    batch = [
        Delivered(wire=chain(net, node, [report(pattern, det=f"{at}0" * 32)])[0], by=node.member)
        for at, node in enumerate(net.nodes[:3])
    ]
    answers = await receive_batch(net[4].parts, batch, NOW)
    assert [type(answer) for answer in answers] == [Accepted, LookupError, Accepted]
    assert net[4].belief(pattern).groups == 2
    monkeypatch.undo()
    assert isinstance((await receive_batch(net[4].parts, batch[1:2], NOW))[0], Accepted)
    assert net[4].belief(pattern).groups == 3


async def test_beliefs_do_not_depend_on_what_is_held_in_memory(make: Make) -> None:
    net = await make()
    forgetful = net[3].parts
    for at, (by, wire) in enumerate(story(net)):
        await receive_segments(net[4].parts, [wire], by, NOW + at)
        await receive_segments(replace(forgetful, dossiers=Dossiers()), [wire], by, NOW + at)
    assert await rows(net[3]) == await rows(net[4])
    assert net[3].parts.beliefs.all() == net[4].parts.beliefs.all()


async def test_a_record_of_a_later_version_is_stored_and_never_believed(make: Make) -> None:
    net = await make()
    later = canonical.encode({"v": 2, "pat": net.patterns[1], "new": ["x"]})
    first, second = chain(net, net[0], [later, report(net.patterns[0])], [report(net.patterns[2])])
    answers = await receive_segments(net[4].parts, [first, second], net[0].member, NOW)
    assert answers[0] == Accepted(author=net[0].member, seq=1, records=2, unread=1)
    assert net[4].belief(net.patterns[1]) is None
    assert net[4].belief(net.patterns[2]).groups == 1
    async with net[4].store.read() as connection:
        stored = await connection.execute(select(records.c.kind, records.c.body).order_by(records.c.seq))
        assert tuple(stored.all()[0]) == ("unread", later)
        assert await log.segments_between(connection, net[0].member, 1, 2) == [first, second]


async def test_what_was_stored_lately_costs_no_question_to_the_store(make: Make) -> None:
    net = await make()
    (wire,) = chain(net, net[0], [report(net.patterns[0])])
    await receive_segments(net[4].parts, [wire], net[0].member, NOW)
    closed = replace(net[4].parts, store=None)
    assert await receive_segments(closed, [wire], net[1].member, NOW) == [Ignored(reason="duplicate")]


def test_of_recent_segments_the_oldest_are_forgotten() -> None:
    recent = Recent(limit=2)
    for head in ("a", "b", "c"):
        recent.note(head)
    assert [head in recent for head in "abc"] == [False, True, True]


async def test_what_comes_while_one_batch_is_received_is_the_next(make: Make) -> None:
    net = await make()
    intake = Intake(net[4].parts, lambda: NOW)
    wires = chain(net, net[0], *[[report(p)] for p in net.patterns[:9]])
    task = asyncio.create_task(intake.run())
    answers = await asyncio.gather(*(intake.receive(wire, net[0].member) for wire in wires))
    task.cancel()
    assert [type(answer) for answer in answers] == [Accepted] * 9
    assert intake.counts["segments"] == 9
    assert intake.counts["batches"] <= 2


async def test_who_delivers_while_the_queue_is_full_waits(make: Make) -> None:
    net = await make()
    intake = Intake(net[4].parts, lambda: NOW, IntakeLimits(waiting_segments=2, batch_segments=1))
    wires = chain(net, net[0], *[[report(p)] for p in net.patterns[:6]])
    deliveries = [asyncio.create_task(intake.receive(wire, net[0].member)) for wire in wires]
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(intake._waiting) == 2
    task = asyncio.create_task(intake.run())
    answers = await asyncio.gather(*deliveries)
    task.cancel()
    assert [type(answer) for answer in answers] == [Accepted] * 6


async def test_who_waits_when_the_node_stops_is_told_to_try_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = await make()
    begun = asyncio.Event()

    async def endless(*_: object) -> Any:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(intakes, "receive_batch", endless)
    intake = Intake(net[4].parts, lambda: NOW)
    task = asyncio.create_task(intake.run())
    first = asyncio.create_task(intake.receive(b"one", net[0].member))
    await begun.wait()
    second = asyncio.create_task(intake.receive(b"another", net[0].member))
    await asyncio.sleep(0)
    task.cancel()
    for waiting in (first, second):
        with pytest.raises(BusyError, match="stopping"):
            await waiting


async def test_a_database_that_fails_makes_everyone_wait_and_loses_nothing(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = await make()
    wires = chain(net, net[0], *[[report(p)] for p in net.patterns[:3]])

    async def busy(*_: object, **__: object) -> Any:
        raise BusyError("the disk is full")

    with monkeypatch.context() as full:
        full.setattr(type(net[4].store), "write", busy)
        with pytest.raises(BusyError):
            await receive_segments(net[4].parts, wires, net[0].member, NOW)
    fresh = replace(net[4].parts, beliefs=Beliefs())
    answers = await receive_segments(fresh, wires, net[0].member, NOW)
    assert [type(answer) for answer in answers] == [Accepted] * 3


async def test_what_a_newer_roster_no_longer_lets_stand_convicts_nobody(make: Make) -> None:
    net = await make()
    liar, new_key = net[0], SigningKey(b"a new record key, from height 2.")
    first, second = chain(net, liar, [report(net.patterns[0])], [report(net.patterns[1])])
    await receive_segments(net[4].parts, [first, second], liar.member, NOW)
    rotated = replace(
        net.roster,
        members=tuple(
            replace(
                member,
                record_keys=(*member.record_keys, RecordKey(key=bytes(new_key.verify_key).hex(), from_seq=2)),
            )
            if member.id == liar.member
            else member
            for member in net.roster.members
        ),
    )
    parts = replace(net[4].parts, roster=lambda: rotated)
    head = parse_segment(first).head
    other = build_segment(new_key, net.consortium, liar.member, 2, head, 1, [report(net.patterns[2])])
    assert await receive_segments(parts, [other], net[1].member, NOW) == [Ignored(reason="gap")]
    async with net[4].store.read() as connection:
        assert await log.equivocators(connection) == frozenset()
    # The one that fell is gone: now there is room for the one that stands.
    (taken,) = await receive_segments(parts, [other], net[1].member, NOW)
    assert isinstance(taken, Accepted)


async def test_heads_are_found_without_reading_the_logs(make: Make) -> None:
    net = await make()
    wires = chain(net, net[0], *[[report(p)] for p in net.patterns[:5]])
    await receive_segments(net[4].parts, wires, net[0].member, NOW)
    asked: list[tuple[str, Any]] = []

    def note(_c: object, _r: object, statement: str, parameters: Any, *_: object) -> None:
        asked.append((statement, parameters))

    event.listen(net[4].store.engine.sync_engine, "before_cursor_execute", note)
    async with net[4].store.read() as connection:
        assert await log.vector(connection) == {net[0].member: (5, parse_segment(wires[-1]).head)}
        statement, parameters = asked[-1]
        plan = (await connection.exec_driver_sql(f"explain query plan {statement}", parameters)).all()
    assert not [row for row in plan if "SCAN segments" in row[3]]
