"""Links are spread so that whoever captures some groups captures some links, and nobody can compute whose."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ioint_node.peers.selection import SelectionLimits, choose
from ioint_protocol import Member, RecordKey

LIMITS = SelectionLimits()
NOW_S = 1_800_000_000


def member(number: int, *, group: str, sponsor: str = "") -> Member:
    return Member(
        id=f"{number:032x}",
        name=f"m{number}",
        node_key="",
        record_keys=(RecordKey(key=""),),
        group=group,
        sponsor=sponsor,
        since=1,
    )


@cache
def consortium(size: int, groups: int, hostile: int, hostile_groups: int) -> tuple[Member, ...]:
    """So many members in groups; the first `hostile` of them in few groups of their own, each with another sponsor."""
    liars = [member(n, group=f"h{n % hostile_groups}", sponsor=f"{size - n:032x}") for n in range(hostile)]
    return (*liars, *(member(n, group=f"g{n % groups}") for n in range(hostile, size)))


def secret(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_a_small_consortium_is_dialled_whole() -> None:
    everyone = consortium(LIMITS.everyone, 1, 0, 1)
    assert choose(everyone, secret(1), NOW_S) == {one.id for one in everyone}


@settings(max_examples=25)
@given(
    own=st.integers(1, 2**64),
    size=st.sampled_from([60, 200, 512]),
    groups=st.integers(4, 60),
    hostile_groups=st.integers(1, 3),
    now_s=st.integers(0, 2**33),
)
def test_thirty_in_a_hundred_hostile_members_in_few_groups_never_hold_every_link(
    own: int, size: int, groups: int, hostile_groups: int, now_s: int
) -> None:
    hostile = size * 3 // 10
    chosen = choose(consortium(size, groups, hostile, hostile_groups), secret(own), now_s)
    assert len(chosen) == LIMITS.outbound
    captured = sum(int(one, 16) < hostile for one in chosen)
    assert captured <= hostile_groups * LIMITS.outbound * LIMITS.group_share < LIMITS.outbound


def test_who_has_a_third_of_the_members_in_a_twentieth_of_the_groups_gets_few_links() -> None:
    members = consortium(512, 57, 153, 3)
    shares = [sum(int(one, 16) < 153 for one in choose(members, secret(own), NOW_S)) for own in range(1, 61)]
    assert sum(shares) / len(shares) < 1.5
    assert max(shares) <= 6


@settings(max_examples=25)
@given(own=st.integers(1, 2**64), groups=st.integers(1, 40), now_s=st.integers(0, 2**33))
def test_no_group_has_more_than_its_share(own: int, groups: int, now_s: int) -> None:
    members = {one.id: one for one in consortium(200, groups, 0, 1)}
    chosen = choose(tuple(members.values()), secret(own), now_s)
    most = max(Counter(members[one].group for one in chosen).values())
    assert most <= max(LIMITS.outbound * LIMITS.group_share, 0)


def test_two_nodes_choose_other_members_and_one_node_the_same() -> None:
    members = consortium(300, 100, 0, 1)
    one, other = (choose(members, secret(own), NOW_S) for own in (1, 2))
    assert one == choose(tuple(reversed(members)), secret(1), NOW_S)
    assert len(one & other) < LIMITS.outbound / 2


def test_some_links_change_hands_slowly_and_the_others_stay() -> None:
    members = consortium(300, 100, 0, 1)
    quarter = LIMITS.rotate_s // LIMITS.rotating
    steps = [choose(members, secret(1), NOW_S + n * quarter) for n in range(5)]
    changes = [len(before - after) for before, after in pairwise(steps)]
    assert all(change <= 2 for change in changes)
    assert LIMITS.outbound - LIMITS.rotating <= len(steps[0] & steps[4]) < LIMITS.outbound


def test_a_member_that_comes_or_goes_moves_few_links() -> None:
    members = consortium(300, 100, 0, 1)
    before = choose(members, secret(1), NOW_S)
    gone = next(iter(before))
    after = choose([one for one in members if one.id != gone], secret(1), NOW_S)
    assert len(before - {gone} - after) <= 3


@pytest.mark.parametrize("size", [30, 200])
def test_where_one_founder_vouched_for_all_there_are_links_all_the_same(size: int) -> None:
    members = [member(n, group=f"g{n}", sponsor=f"{0:032x}") for n in range(size)]
    assert len(choose(members, secret(1), NOW_S)) == LIMITS.outbound * LIMITS.sponsor_share


def test_where_a_sponsors_share_leaves_next_to_nothing_it_does_not_count() -> None:
    limits = SelectionLimits(outbound=4, sponsor_share=0.25, rotating=1, everyone=5)
    members = [member(n, group=f"g{n}", sponsor=f"{0:032x}") for n in range(30)]
    assert len(choose(members, secret(1), NOW_S, limits)) == limits.least
