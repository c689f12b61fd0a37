"""Worlds out of recorded sessions: who owns what, who hears whom, and what is kept out of what."""

import pytest
from ioint_node.lab.organisations import Plan, World, liars_of, make_world
from ioint_node.lab.replay import MALICIOUS, ORDINARY, Call, Limits, Scored

PATTERNS = ("common", "rare")


def session(number: int, kind: str) -> Scored:
    suite = f"suite {number % 3}"
    done = ("common",) if kind == ORDINARY and number % 4 == 0 else ()
    return Scored(
        id=str(number),
        suite=suite,
        task=f"{suite}/{number % 48}",
        campaign=f"{suite}/goal" if kind == MALICIOUS else "",
        kind=kind,
        first_bad=0 if kind == MALICIOUS else None,
        limits=Limits(borderline=0.0, out_of_scope=2.0, publish=4.0),
        calls=(Call(event=0, drift=-1.0, effect_class="mutate", completed=done),),
    )


SESSIONS = [session(number, MALICIOUS if number % 5 == 0 else ORDINARY) for number in range(480)]


def world(*, hard: bool = False, hostile: float = 0.0, honest: int = 9) -> World:
    return make_world(SESSIONS, Plan(honest=honest, hard=hard, hostile=hostile), PATTERNS, seed=1)


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("honest", [2, 9])
def test_no_task_belongs_to_two_organisations(hard: bool, honest: int) -> None:
    owners: dict[str, set[str]] = {}
    for meeting in world(hard=hard, honest=honest).meetings:
        owners.setdefault(SESSIONS[meeting.session].task, set()).add(meeting.member)
    assert all(len(names) == 1 for names in owners.values())


def test_in_the_hard_world_only_those_are_heard_who_do_other_work() -> None:
    made = world(hard=True, hostile=0.25)
    for one in made.members.values():
        others = one.hears - {one.name, *made.liars}
        assert others
        assert all(made.members[name].suites.isdisjoint(one.suites) for name in others)
        assert one.hears >= {*made.liars}


def test_what_makes_the_history_is_never_judged_and_what_is_new_is_in_no_history() -> None:
    made = world()
    met = {meeting.session for meeting in made.meetings}
    history = [one for place, one in enumerate(SESSIONS) if place not in met]
    assert history
    assert all(one.kind == ORDINARY for one in history)
    new = {SESSIONS[meeting.session].task for meeting in made.meetings if meeting.new}
    assert new
    assert new.isdisjoint(one.task for one in history)


def test_sessions_come_in_order_within_the_days_of_the_world() -> None:
    made = world()
    times = [meeting.at for meeting in made.meetings]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= made.days


def test_the_same_seed_makes_the_same_world_and_liars_change_nothing_of_it() -> None:
    assert world() == world()
    assert world(hostile=0.33).meetings == world().meetings


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.1, 3), (0.2, 8), (0.33, 15)])
def test_liars_are_that_share_of_all(share: float, count: int) -> None:
    assert liars_of(Plan(honest=30, hostile=share)) == count


def test_liars_accuse_first_what_ordinary_work_completes_most() -> None:
    assert world().slandered == ("common", "rare")
