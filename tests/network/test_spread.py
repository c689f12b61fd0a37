"""Who hears of a segment: a few at once, over groups, and in the end everybody, also where many pass nothing on."""

from __future__ import annotations

import hashlib
from collections import deque
from functools import cache

import pytest
from ioint_node.admission import Limits
from ioint_node.flows.spread import Plan, order, plan
from ioint_node.peers.selection import choose
from ioint_protocol import Member

LIMITS = Limits()
HEAD = "ab" * 32
NOW_S = 1_800_000_000


def member(number: int, *, group: str) -> Member:
    return Member(id=f"{number:032x}", name=f"m{number}", node_key="", record_keys=(), group=group, since=1)


def members(count: int, groups: int) -> list[Member]:
    return [member(number, group=f"g{number % groups}") for number in range(count)]


def planned(count: int, connected: int, *, whole: bool = True, own: bool = True) -> Plan:
    others = members(count, count)
    near = {one.id for one in others[:connected]}
    return plan(others, near, HEAD, us="us", whole=whole, own=own, limits=LIMITS)


def test_our_own_goes_whole_to_a_few_and_its_head_to_all_others_that_are_connected() -> None:
    found = planned(30, 20)
    assert len(found.push) == LIMITS.push_members
    assert len(found.announce) == 20 - LIMITS.push_members
    assert not set(found.push) & set(found.announce)


def test_anothers_is_passed_on_to_a_bounded_few() -> None:
    found = planned(30, 20, own=False)
    assert (len(found.push), len(found.announce)) == (LIMITS.relay_members, LIMITS.relay_announcements)


@pytest.mark.parametrize("own", [True, False])
def test_what_is_too_large_goes_whole_to_nobody(own: bool) -> None:
    found = planned(30, 20, whole=False, own=own)
    assert found.push == ()
    assert len(found.announce) == (20 if own else LIMITS.relay_announcements)


def test_while_nobody_is_connected_our_own_waits_for_a_few_and_anothers_for_none() -> None:
    assert planned(30, 0) == Plan(push=planned(30, 0).push)
    assert len(planned(30, 0).push) == LIMITS.push_members
    assert planned(30, 0, own=False) == Plan()


def test_every_group_is_served_before_any_has_two() -> None:
    many = members(40, 8)
    groups = {one.id: one.group for one in many}
    served = [groups[name] for name in order(many, HEAD, "us")]
    assert len(set(served[:8])) == 8
    assert sorted(served[:8]) == sorted(served[8:16])


def test_each_sender_and_each_segment_has_an_order_of_its_own() -> None:
    many = members(40, 40)
    orders = {order(many, head, us) for head in (HEAD, "cd" * 32) for us in ("us", "them")}
    assert len(orders) == 4
    assert order(many, HEAD, "us") == order(list(reversed(many)), HEAD, "us")


@cache
def links(count: int, groups: int) -> dict[str, frozenset[str]]:
    """Who is connected with whom when each dials those of its own choice."""
    everyone = members(count, groups)
    found: dict[str, set[str]] = {one.id: set() for one in everyone}
    for one in everyone:
        secret = hashlib.sha256(one.id.encode()).digest()
        for other in choose([each for each in everyone if each is not one], secret, NOW_S):
            found[one.id].add(other)
            found[other].add(one.id)
    return {name: frozenset(others) for name, others in found.items()}


def reached(count: int, groups: int, silent: frozenset[str]) -> tuple[set[str], int]:
    """Who gets a segment of the last member without any comparing, and over how many hands at most."""
    everyone, near = members(count, groups), links(count, groups)
    origin = everyone[-1].id
    hands = {origin: 0}
    waiting = deque([(origin, "")])
    while waiting:
        holder, bringer = waiting.popleft()
        if holder in silent:
            continue
        others = [one for one in everyone if one.id not in {holder, bringer, origin}]
        found = plan(others, near[holder], HEAD, us=holder, whole=True, own=holder == origin, limits=LIMITS)
        for name in (*found.push, *found.announce):
            if name not in hands:
                hands[name] = hands[holder] + 1
                waiting.append((name, holder))
    return set(hands), max(hands.values())


@pytest.mark.parametrize(("count", "groups"), [(20, 20), (200, 60), (512, 100)])
def test_a_segment_reaches_everybody_over_few_hands(count: int, groups: int) -> None:
    got, most = reached(count, groups, frozenset())
    assert len(got) >= count * 0.99
    assert most <= 7


def test_where_three_in_ten_pass_nothing_on_nearly_all_others_get_it_before_any_comparing() -> None:
    silent = frozenset(one.id for one in members(512, 100)[:153])
    got, _ = reached(512, 100, silent)
    assert len(got - silent) >= (512 - len(silent)) * 0.95
