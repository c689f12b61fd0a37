"""What a change of keys and a departure mean for what a member signs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from ioint_node.admission import Rejected
from ioint_node.errors import ConflictError
from ioint_node.flows import leaving
from ioint_node.flows.joining import JoiningParts
from ioint_node.flows.publish import LEAVING, flush
from ioint_node.flows.roster import RosterBook
from ioint_node.membership import Membership
from ioint_node.store import outgoing
from ioint_protocol import RecordKey, Roster, SigningKey, Steward
from ioint_protocol.segment import parse_segment
from ioint_protocol.sync import RosterVersions

Make = Callable[..., Awaitable[Any]]
DAY_MS = 86_400_000
TODAY = 20_000
NOW = TODAY * DAY_MS + 36_000_000
NEW = SigningKey(b"\x77" * 32)


def with_key(roster: Roster, member: str, from_seq: int) -> Roster:
    newer = RecordKey(key=bytes(NEW.verify_key).hex(), from_seq=from_seq)
    return replace(
        roster,
        version=2,
        members=tuple(
            replace(each, record_keys=(*each.record_keys, newer)) if each.id == member else each
            for each in roster.members
        ),
    )


def renamed(net: Any, which: int, roster: Roster) -> Any:
    """A node that has another roster in force."""
    node = net[which]
    return replace(node, parts=replace(node.parts, roster=lambda: roster))


async def test_a_new_record_key_signs_from_its_height_on(make: Make) -> None:
    net = await make()
    first, second = net.patterns[:2]
    await net[0].find_bad(first)
    roster = with_key(net.roster, net[0].member, 2)
    author = renamed(net, 0, roster)
    author = replace(author, parts=replace(author.parts, later_key=lambda seq: NEW if seq >= 2 else None))
    assert await author.find_bad(second, session="later") == 1
    old, new = await author.own_wires()
    reader = renamed(net, 1, roster)
    assert (await net.hand(old, reader, net[2])).records == 1
    assert (await net.hand(new, reader, net[2])).records == 1
    kids = [parse_segment(wire).signatures[0].kid for wire in (old, new)]
    assert kids[0] != kids[1]


async def test_what_a_stolen_key_signs_above_its_end_is_nobodys_word(make: Make) -> None:
    net = await make()
    await net[0].find_bad(net.patterns[0])
    (first,) = await net[0].own_wires()
    reader = renamed(net, 1, with_key(net.roster, net[0].member, 2))
    await net.hand(first, reader, net[2])
    body = parse_segment(first).bodies[0].replace(b'"bad":0', b'"bad":9').replace(b'"seen":0', b'"seen":9')
    stolen = net.sign(net[0], 2, parse_segment(first).head, [body])
    assert await net.hand(stolen, reader, net[2]) == Rejected(reason="unknown_signer")


async def test_records_wait_until_the_roster_names_the_key_of_their_height(make: Make) -> None:
    net = await make()
    await net[0].find_bad(net.patterns[0])
    hasty = replace(net[0], parts=replace(net[0].parts, later_key=lambda seq: NEW if seq >= 2 else None))
    assert await hasty.find_bad(net.patterns[1], session="later") == 0
    named = with_key(net.roster, net[0].member, 2)
    settled = replace(hasty, parts=replace(hasty.parts, roster=lambda: named))
    assert await flush(settled.parts, NOW) == 1


def joining(node: Any, roster: Roster, left: list[str]) -> JoiningParts:
    async def note() -> None:
        left.append(node.name)

    held = Membership(roster=roster, files={}, versions=RosterVersions(root=1, timestamp=1))
    return JoiningParts(store=node.store, book=RosterBook(held), left=note)


async def test_leaving_takes_back_all_that_was_said_and_ends_when_everyone_heard(make: Make) -> None:
    net = await make()
    leaver = net[0]
    left: list[str] = []
    doors = joining(leaver, net.roster, left)
    for number, pattern in enumerate(net.patterns[:3]):
        await leaver.find_bad(pattern, session=f"s-{number}")
    await net.deliver()
    assert net[1].effect(net.patterns[0]) > 0

    assert await leaving.withdraw_all(leaver.parts, doors, by="test", now=NOW) == 3
    seen = await leaving.progress(leaver.parts, NOW)
    assert (seen.standing, seen.unsigned, sorted(seen.undelivered)) == (
        0,
        0,
        sorted(n.member for n in net.nodes[1:]),
    )
    assert not seen.done
    await net.deliver()
    assert (await leaving.progress(leaver.parts, NOW)).done
    assert [net[1].effect(pattern) for pattern in net.patterns[:3]] == [0, 0, 0]

    await leaving.end(leaver.parts, doors, NOW)
    assert (doors.book.last, left) == (None, ["org0"])


async def test_leaving_again_takes_nothing_back_twice(make: Make) -> None:
    net = await make()
    doors = joining(net[0], net.roster, [])
    await net[0].find_bad(net.patterns[0])
    assert await leaving.withdraw_all(net[0].parts, doors, by="test", now=NOW) == 1
    assert await leaving.withdraw_all(net[0].parts, doors, by="test", now=NOW) == 0


async def test_who_is_leaving_says_nothing_new(make: Make) -> None:
    net = await make()
    leaver, doors = net[0], joining(net[0], net.roster, [])
    await leaver.find_bad(net.patterns[0])
    await leaving.withdraw_all(leaver.parts, doors, by="test", now=NOW)
    assert await leaver.find_bad(net.patterns[1], session="later") == 0
    assert (await leaving.progress(leaver.parts, NOW)).standing == 0
    async with leaver.store.read() as connection:
        (refused,) = await outgoing.about(connection, net.patterns[1])
    assert (refused.state, refused.reason) == ("refused", LEAVING)


async def test_nobody_leaves_with_words_that_still_count_unless_it_has_to(make: Make) -> None:
    net = await make()
    leaver, left = net[0], list[str]()
    doors = joining(leaver, net.roster, left)
    await leaver.find_bad(net.patterns[0])
    with pytest.raises(ConflictError, match="not heard yet"):
        await leaving.end(leaver.parts, doors, NOW)
    await leaving.end(leaver.parts, doors, NOW, at_once=True)
    assert left == ["org0"]


async def test_a_roster_that_is_being_installed_ends_before_the_leaving(make: Make) -> None:
    net = await make()
    doors = joining(net[0], net.roster, [])
    async with doors.book.turn:
        ending = asyncio.ensure_future(leaving.end(net[0].parts, doors, NOW, at_once=True))
        await asyncio.sleep(0)
        assert doors.book.last is not None
    await ending
    assert doors.book.last is None


async def test_a_steward_does_not_leave_before_another_took_its_place(make: Make) -> None:
    net = await make()
    council = (Steward(member=net[0].member, steward_key="1" * 64, clock_key="2" * 64),)
    doors = joining(net[0], replace(net.roster, council=council), [])
    with pytest.raises(ConflictError, match="is a steward"):
        await leaving.withdraw_all(net[0].parts, doors, by="test", now=NOW)
