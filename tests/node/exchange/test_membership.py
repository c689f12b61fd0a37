"""What a change of keys and a departure mean for what a member signs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from ioint_node.admission import Ignored, Rejected
from ioint_node.errors import ConflictError
from ioint_node.flows import leaving
from ioint_node.flows.joining import JoiningParts
from ioint_node.flows.proofs import receive_proof
from ioint_node.flows.publish import LEAVING, flush
from ioint_node.flows.rekeyed import take_back
from ioint_node.flows.roster import RosterBook
from ioint_node.membership import Membership
from ioint_node.store import log, outgoing, peers
from ioint_protocol import RecordKey, Roster, SigningKey, Steward, build_segment, equivocation_proof
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


def signed_by(key: SigningKey, net: Any, seq: int, prev: str, number: int) -> bytes:
    """A segment of the first node's, by a key of its."""
    return build_segment(key, net.consortium, net[0].member, seq, prev, 1, [dispute(number)])


def dispute(number: int) -> bytes:
    return b'{"of":"%064x","reason":"mistake","v":1}' % number


async def raced(net: Any) -> tuple[bytes, list[Any]]:
    """A member that signed height 2 with the old key for one and, after its rotation, with the new key for others.

    Gives the latter, and the nodes under the roster that names the new key from height 2 on.
    """
    await net[0].find_bad(net.patterns[0])
    await net[0].find_bad(net.patterns[1], session="later")
    first, old = await net[0].own_wires()
    new = signed_by(NEW, net, 2, parse_segment(first).head, 1)
    for node in net.nodes[1:]:
        await net.hand(first, node, net[0])
    await net.hand(old, net[1], net[0])
    assert net[1].belief(net.patterns[1]) is not None
    roster = with_key(net.roster, net[0].member, 2)
    later = [renamed(net, which, roster) for which in range(len(net.nodes))]
    for node in later[2:]:
        await net.hand(new, node, net[0])
    return new, later


async def test_a_newer_roster_takes_back_what_a_key_signed_above_its_end(make: Make) -> None:
    net = await make(4)
    new, later = await raced(net)
    assert await take_back(later[1].parts, NOW) == (net[0].member,)
    assert (await later[1].vector())[net[0].member][0] == 1
    belief = later[1].belief(net.patterns[1])
    assert (belief.state, belief.effect) == ("unknown", 0.0)
    assert later[1].belief(net.patterns[0]).state != "unknown"
    assert (await net.hand(new, later[1], net[2])).seq == 2
    assert await later[1].vector() == await later[2].vector()
    assert await take_back(later[1].parts, NOW) == ()
    restarted = await later[1].restarted()
    assert restarted.belief(net.patterns[1]).effect == 0.0


async def test_who_signed_one_height_with_its_old_and_its_new_key_splits_nobody(make: Make) -> None:
    net = await make(4)
    _, later = await raced(net)
    for _ in range(2):
        for one in later[1:]:
            for other in later[1:]:
                if one is not other:
                    assert (await net.catch_up(one, other)).rejected is None
    assert {str(await node.vector()) for node in later[1:]} == {str(await later[2].vector())}
    assert not any([await convicted(node, net[0].member) for node in later[1:]])


async def test_a_proof_by_a_key_that_ended_is_taken_back_and_costs_nobody(make: Make) -> None:
    net = await make(4)
    await net[0].find_bad(net.patterns[0])
    (first,) = await net[0].own_wires()
    one, other = (net.sign(net[0], 2, parse_segment(first).head, [dispute(n)]) for n in (1, 2))
    for wire in (first, one, other):
        await net.hand(wire, net[1], net[0])
    assert await convicted(net[1], net[0].member)
    assert net[1].effect(net.patterns[0]) == 0.0
    proof = equivocation_proof(one, other)
    roster = with_key(net.roster, net[0].member, 2)
    reader, judge = renamed(net, 2, roster), renamed(net, 1, roster)
    assert await receive_proof(reader.parts, proof, net[1].member, NOW) == Ignored(reason="unknown_signer")
    assert await take_back(judge.parts, NOW) == (net[0].member,)
    assert not await convicted(judge, net[0].member)
    assert judge.belief(net.patterns[0]).state != "unknown"
    async with judge.store.read() as connection:
        assert await peers.quarantined(connection) == frozenset()


async def test_a_node_never_cuts_its_own_log(make: Make) -> None:
    net = await make(4)
    await net[0].find_bad(net.patterns[0])
    await net[0].find_bad(net.patterns[1], session="later")
    own = renamed(net, 0, with_key(net.roster, net[0].member, 2))
    assert await take_back(own.parts, NOW) == ()
    assert len(await own.own_wires()) == 2


async def convicted(node: Any, member: str) -> bool:
    async with node.store.read() as connection:
        return member in await log.equivocators(connection)


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
