"""A database that is older than what was published: one history all the same."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ioint_node.flows import ownlog, publish
from ioint_node.flows.ownlog import ANCHORED_SEGMENTS, FileAnchor, Lost, anchored, fasten
from ioint_node.store import log, outbox, outgoing
from ioint_protocol import Dispute, encode_record, parse_segment

Make = Callable[..., Awaitable[Any]]
NOW = 20_000 * 86_400_000 + 36_000_000
DISPUTE = encode_record(Dispute(of="0f" * 32, reason="expected_use", day=20_000))


async def seqs(node: Any) -> list[int]:
    return [parse_segment(wire).header.seq for wire in await node.own_wires()]


async def reason(node: Any) -> str | None:
    async with node.store.read() as connection:
        return await publish.halted(connection, node.parts)


async def convicted(node: Any, member: str) -> bool:
    async with node.store.read() as connection:
        return member in await log.equivocators(connection)


async def lose(node: Any) -> None:
    """The members never got what waits for them."""
    for member in {m.id for m in node.parts.roster().members}:
        await node.store.write(partial(outbox.drop, destination=member))


async def test_a_restored_copy_enters_what_it_signed_since_and_goes_on_from_there(make: Make) -> None:
    net = await make()
    await net[0].find_bad(net.patterns[0])
    copy = net[0].copied("old.db")
    await net[0].find_bad(net.patterns[1], session="later")
    await net.deliver()
    signed = await net[0].own_wires()
    old = await net.restored(net[0], copy)
    assert await old.find_bad(net.patterns[2], session="after") == 2
    assert (await old.own_wires())[:2] == signed
    assert await seqs(old) == [1, 2, 3]
    for wire in await old.own_wires():
        await net.hand(wire, net[1], old)
    assert not await convicted(net[1], old.member)
    assert net[1].belief(net.patterns[2]) is not None


async def test_a_copy_that_is_older_than_the_anchor_reaches_signs_nothing_until_a_member_refills_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownlog, "ANCHORED_SEGMENTS", 2)
    net = await make()
    copy = net[0].copied("old.db")
    for number in range(4):
        await net[0].find_bad(net.patterns[number], session=f"s{number}")
    await net.deliver()
    signed = await net[0].own_wires()
    old = await net.restored(net[0], copy)
    last = net.patterns[4]
    assert await old.find_bad(last, session="after") == 0
    told = await reason(old)
    assert told is not None
    assert "it is an older copy" in told
    assert (await net.catch_up(old, net[1])).accepted == len(signed)
    assert await reason(old) is None
    assert await publish.flush(old.parts, NOW) == 1
    assert (await old.own_wires())[:-1] == signed
    assert (await seqs(old))[-1] == len(signed) + 1


async def test_without_database_and_anchor_nothing_is_signed_before_the_first_contact(
    make: Make, empty: Path
) -> None:
    net = await make()
    for number in range(2):
        await net[0].find_bad(net.patterns[number], session=f"s{number}")
    await net.deliver()
    fresh = Path(shutil.copyfile(empty, net[0].path.with_name("fresh.db")))
    contact = False
    bare = await net.restored(
        net[0],
        fresh,
        anchor=FileAnchor(net[0].path.with_name("none.anchor")),
        in_contact=lambda: contact,
    )
    assert await bare.find_bad(net.patterns[2], session="after") == 0
    assert await seqs(bare) == []
    await net.catch_up(bare, net[1])
    contact = True
    assert await publish.flush(bare.parts, NOW) == 1
    assert await seqs(bare) == [1, 2, 3]


async def test_a_deleted_database_is_refilled_and_says_nothing_twice(make: Make, empty: Path) -> None:
    net = await make()
    for number in range(2):
        await net[0].find_bad(net.patterns[number], session=f"s{number}")
    await net.deliver()
    fresh = Path(shutil.copyfile(empty, net[0].path.with_name("fresh.db")))
    bare = await net.restored(net[0], fresh)
    await net.catch_up(bare, net[1])
    assert await bare.vector() == await net[0].vector()
    assert await bare.find_bad(net.patterns[0], session="s0") == 0
    async with bare.store.read() as connection:
        left, _ = await outgoing.list_outgoing(connection, 10, state="left")
    assert {row.subject for row in left} == set(net.patterns[:2])
    assert all(row.explain for row in left)


async def test_what_was_ready_in_the_copy_and_left_since_does_not_leave_again(make: Make) -> None:
    net = await make(mode="hold")
    await net[0].find_bad(net.patterns[0])
    async with net[0].store.read() as connection:
        (held,), _ = await outgoing.list_outgoing(connection, 10)
    copy = net[0].copied("old.db")
    await publish.decide(net[0].parts, held.id, True, "token:t", NOW)
    await net.deliver()
    old = await net.restored(net[0], copy)
    await publish.flush(old.parts, NOW)
    async with old.store.read() as connection:
        assert await outgoing.ready(connection, NOW, 10) == ()
        found = await outgoing.get(connection, held.id)
    assert found is not None
    assert (found.state, found.segment) == ("left", 1)


async def test_after_a_crash_between_anchor_and_commit_the_same_segment_is_stored_and_sent(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = await make()

    async def crash(*_: object, **__: object) -> None:
        raise OSError("power")

    with monkeypatch.context() as power:
        power.setattr(publish, "enter", crash)
        with pytest.raises(OSError, match="power"):
            await net[0].find_bad(net.patterns[0])
    assert await seqs(net[0]) == []
    (signed,) = anchored(net[0].parts.anchor)
    assert await publish.flush(net[0].parts, NOW) == 1
    assert await net[0].own_wires() == [signed.wire]
    await net.deliver()
    assert net[1].effect(net.patterns[0]) == 0.05


async def test_several_commits_lost_at_once_come_back_from_the_anchor(make: Make) -> None:
    net = await make()
    copy = net[0].copied("old.db")
    for number in range(3):
        await net[0].find_bad(net.patterns[number], session=f"s{number}")
    await lose(net[0])
    old = await net.restored(net[0], copy)
    assert await publish.flush(old.parts, NOW) == 3
    assert await old.own_wires() == await net[0].own_wires()


async def test_a_node_that_was_convicted_never_signs_again_and_says_what_to_do(make: Make) -> None:
    net = await make()
    await net[0].find_bad(net.patterns[0])
    other = net.sign(net[0], 1, "", [DISPUTE])
    await net.hand(other, net[0], net[1])
    assert await convicted(net[0], net[0].member)
    told = await reason(net[0])
    assert told is not None
    assert "Ask a steward" in told
    assert await net[0].find_bad(net.patterns[1], session="after") == 0
    assert await seqs(net[0]) == [1]


async def test_a_database_with_another_history_than_the_anchor_is_not_signed_onto(make: Make) -> None:
    net = await make()
    await net[0].find_bad(net.patterns[0])
    (mine,) = await net[0].own_wires()
    forged = FileAnchor(net[0].path.with_name("other.anchor"))
    fasten(forged, net.sign(net[0], 1, "", [DISPUTE]))
    apart = replace(net[0], parts=replace(net[0].parts, anchor=forged))
    assert "another segment 1" in (await reason(apart) or "")
    assert await apart.find_bad(net.patterns[1], session="after") == 0
    assert await apart.own_wires() == [mine]


async def test_an_anchor_that_cannot_be_read_stops_signing(make: Make) -> None:
    net = await make()
    path = net[0].path.with_name("torn.anchor")
    path.write_bytes(b"torn")
    torn = replace(net[0], parts=replace(net[0].parts, anchor=FileAnchor(path)))
    assert "cannot be read" in (await reason(torn) or "")
    assert await torn.find_bad(net.patterns[0]) == 0


async def test_the_anchor_keeps_a_bounded_number_of_segments_through_a_restart(
    make: Make, tmp_path: Path
) -> None:
    net = await make()
    path = tmp_path / "a.anchor"
    for seq in range(1, ANCHORED_SEGMENTS + 4):
        fasten(FileAnchor(path), net.sign(net[0], seq, "0f" * 32 if seq > 1 else "", [DISPUTE]))
    kept = [segment.header.seq for segment in anchored(FileAnchor(path))]
    assert kept == list(range(ANCHORED_SEGMENTS + 3, 3, -1))
    assert path.stat().st_mode & 0o077 == 0


async def test_what_a_lost_segment_is_waits_for_nobody(make: Make) -> None:
    net = await make()
    copy = net[0].copied("old.db")
    await net[0].find_bad(net.patterns[0])
    old = await net.restored(net[0], copy)
    async with old.store.read() as connection:
        assert isinstance(await ownlog.outlook(connection, old.parts, old.member), Lost)
    assert await reason(old) is None
