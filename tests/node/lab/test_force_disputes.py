"""Liars dispute one live report after the other, each for as long as it speaks."""

from ioint_node.lab.force_disputes import Disputes
from ioint_node.reputation.rule import Statement

HERE, THERE = frozenset({"a"}), frozenset({"b"})


def report(name: str, day: int) -> Statement:
    return Statement(id=name, author="a", kind="report", bad=0, seen=0, day=day)


FIRST, SECOND = report("first", 0), report("second", 3)


def named(disputes: Disputes, audience: frozenset[str] = HERE) -> list[tuple[str, int]]:
    return [(one.of, one.day) for one in disputes.heard("p", audience)]


def test_the_newest_is_disputed_for_its_days_again_each_week_and_then_another() -> None:
    disputes = Disputes(("liar",))
    for day in range(28):
        disputes.speak("p", HERE, [FIRST, SECOND] if day >= 3 else [FIRST], day)
    assert named(disputes) == [("first", 0), ("first", 7), ("second", 14), ("second", 21)]


def test_what_was_disputed_to_its_end_is_not_disputed_again() -> None:
    disputes = Disputes(("liar",))
    assert disputes.speak("p", HERE, [FIRST], 0)
    assert not disputes.speak("p", HERE, [FIRST], 14)


def test_a_report_that_ended_makes_room_for_the_next_at_once() -> None:
    disputes = Disputes(("liar",))
    disputes.speak("p", HERE, [FIRST], 0)
    assert disputes.speak("p", HERE, [SECOND], 4)
    assert named(disputes)[-1] == ("second", 4)


def test_each_audience_is_lied_to_for_itself() -> None:
    disputes = Disputes(("liar", "other"))
    disputes.speak("p", HERE, [FIRST], 0)
    assert len(named(disputes)) == 2
    assert named(disputes, THERE) == []
    assert disputes.speak("p", THERE, [FIRST], 9)


def test_without_liars_nothing_is_disputed() -> None:
    assert not Disputes(()).speak("p", HERE, [FIRST], 0)
