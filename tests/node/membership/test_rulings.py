"""Rulings go from roster to roster for as long as they hold."""

from __future__ import annotations

from ioint_node.membership import follow
from ioint_node.membership.changes import changes
from ioint_protocol import REVIEW_DAYS, RULING_DAYS, Ruling

from tests.node.membership.founding import DAY_MS, FIRST, NOW, after, member

TODAY = NOW // DAY_MS
FALSE = Ruling(kind="false", author=member("a").id, of="f" * 64, day=TODAY)
REVIEW = Ruling(kind="review", author="", of="1" * 64, day=TODAY)


def test_rulings_are_ordered_and_reach_whoever_follows() -> None:
    second = after(FIRST, rulings=(FALSE, REVIEW))
    assert follow(FIRST, second.files).roster.rulings == (REVIEW, FALSE)


def test_what_holds_no_more_is_left_out_of_the_next_version() -> None:
    held = after(FIRST, rulings=(FALSE, REVIEW))
    held = after(held, now=NOW + (REVIEW_DAYS - 1) * DAY_MS)
    assert held.roster.rulings == (REVIEW, FALSE)
    held = after(held, now=NOW + REVIEW_DAYS * DAY_MS)
    assert held.roster.rulings == (FALSE,)
    held = after(held, now=NOW + RULING_DAYS * DAY_MS)
    assert held.roster.rulings == ()


def test_the_person_who_signs_sees_each_ruling_that_comes_goes_or_changes() -> None:
    second = after(FIRST, rulings=(FALSE, REVIEW))
    of = f"{FALSE.of} by {FALSE.author}"
    told = {
        change.of: (change.before[:7], change.after[:6]) for change in changes(FIRST.roster, second.roster)
    }
    assert told == {of: ("", "false "), REVIEW.of: ("", "review")}
    stands = Ruling(kind="stands", author=FALSE.author, of=FALSE.of, day=TODAY)
    third = after(second, rulings=(stands,))
    told = {
        change.of: (change.before[:6], change.after[:6]) for change in changes(second.roster, third.roster)
    }
    assert told == {of: ("false ", "stands"), REVIEW.of: ("review", "")}
