"""What comes of a dispute, and what rulings leave of a group's standing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.reputation.disputes import (
    STATES,
    Dispute,
    Outcome,
    Standing,
    deadline,
    outcome,
    standings,
)
from ioint_node.reputation.rule import DISPUTE_DAYS, MICRO, Statement, electorate, network_part, ruled
from ioint_protocol import RULING_DAYS, Member, RecordKey, Release, Roster, Ruling

OPENED = 20_000
REPORT, SAID = "a" * 64, "d" * 64
A, B, C = ("a" * 32, "b" * 32, "c" * 32)


def roster(*rulings: Ruling) -> Roster:
    members = tuple(
        Member(id=key * 32, name=key, node_key="", record_keys=(RecordKey(key=""),), group=group, since=1)
        for key, group in (("a", "one"), ("b", "one"), ("c", "two"))
    )
    return Roster(
        version=2,
        consortium="c" * 64,
        issued_day=OPENED,
        members=members,
        taxonomy=Release(version="2026.11", digest="0" * 64),
        catalogue="1" * 64,
        rulings=rulings,
    )


def ruling(kind: str, author: str = A, of: str = REPORT, day: int = OPENED + 3) -> Ruling:
    return Ruling(kind=kind, author=author, of=of, day=day)


def disputed(author: str = C, day: int = OPENED) -> Statement:
    return Statement(id=SAID, author=author, kind="dispute", of=REPORT, day=day)


def came_of(
    *rulings: Ruling, today: int = OPENED + 5, withdrawn: bool = False, recanted: str = ""
) -> Outcome:
    dispute = Dispute(
        said=disputed(),
        reporters=(A, B),
        recanted=frozenset(recanted and [key * 32 for key in recanted]),
        report_day=OPENED,
        withdrawn=withdrawn,
    )
    return outcome(dispute, roster(*rulings), today)


def state(*rulings: Ruling, today: int = OPENED + 5, withdrawn: bool = False) -> str:
    return came_of(*rulings, today=today, withdrawn=withdrawn).state


def test_a_dispute_is_open_for_fourteen_days_and_then_lapses() -> None:
    assert state(today=OPENED) == "open"
    assert state(today=OPENED + DISPUTE_DAYS - 1) == "open"
    assert state(today=OPENED + DISPUTE_DAYS) == "lapsed"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (ruling("false"), "upheld"),
        (ruling("false", B), "upheld"),
        (ruling("stands"), "rejected"),
        (ruling("false", C, SAID), "rejected"),
        (ruling("false", A, SAID), "open"),
        (ruling("stands", day=OPENED - 1), "rejected"),  # clocks differ
        (ruling("stands", day=OPENED - 2), "open"),  # it was disputed after that
        (ruling("false", day=OPENED - 2), "open"),  # another signed the same words
        (ruling("false", of="e" * 64), "open"),
        (Ruling(kind="review", author="", of=REPORT, day=OPENED), "open"),
    ],
)
def test_a_ruling_on_the_report_or_the_dispute_decides_it(given: Ruling, expected: str) -> None:
    found = came_of(given)
    assert found.state == expected
    assert found.ruling == (None if expected == "open" else given)


def test_a_ruling_that_comes_too_late_finds_it_lapsed() -> None:
    late = ruling("false", day=OPENED + DISPUTE_DAYS)
    assert state(late, today=OPENED + DISPUTE_DAYS) == "lapsed"
    assert state(ruling("false", day=OPENED + DISPUTE_DAYS - 1), today=OPENED + 40) == "upheld"


def test_without_a_roster_the_days_alone_decide() -> None:
    states = [outcome(Dispute(said=disputed(), reporters=()), None, OPENED + days).state for days in (0, 14)]
    assert states == ["open", "lapsed"]


def test_a_dispute_lapses_with_the_report_that_it_names() -> None:
    assert came_of(recanted="a").state == "open"
    assert came_of(recanted="ab").state == "lapsed"
    early = [ruling("false", author, day=OPENED - 2) for author in (A, B)]
    assert came_of(*early).state == "lapsed"


def test_the_deadline_is_that_of_the_first_dispute_in_the_group() -> None:
    dispute = Dispute(said=disputed(A), reporters=(C,), disputed={A: OPENED, B: OPENED - 5, C: OPENED - 9})
    assert deadline(dispute, roster()) == OPENED - 5 + DISPUTE_DAYS
    assert deadline(dispute, None) == OPENED + DISPUTE_DAYS


def test_withdrawing_a_dispute_does_not_undo_what_was_ruled() -> None:
    assert state(withdrawn=True) == "withdrawn"
    assert state(ruling("stands"), withdrawn=True) == "rejected"


RULINGS = st.builds(
    Ruling,
    kind=st.sampled_from(["false", "stands", "review"]),
    author=st.sampled_from([A, B, C, ""]),
    of=st.sampled_from([REPORT, SAID]),
    day=st.integers(OPENED - 20, OPENED + 20),
)


@given(st.lists(RULINGS, max_size=4), st.integers(OPENED, OPENED + 45), st.booleans())
def test_a_state_once_decided_stays(rulings: list[Ruling], today: int, withdrawn: bool) -> None:
    before, later = (state(*rulings, today=day, withdrawn=withdrawn) for day in (today, today + 7))
    assert before in STATES
    assert later == before or (before, later) == ("open", "lapsed")


@given(st.lists(RULINGS, max_size=4, unique_by=lambda r: (r.of, r.author)), st.integers(OPENED, OPENED + 29))
def test_a_dispute_has_a_voice_for_as_long_as_it_is_open_and_a_report_that_it_names_lives(
    rulings: list[Ruling], today: int
) -> None:
    told = roster(*rulings)
    found = network_part(
        [*(Statement(id=REPORT, author=who, kind="report", day=OPENED) for who in (A, B)), disputed()],
        electorate(told, today),
        today,
        ruled=ruled(told, today),
    )
    heard = {one.id for voice in found.voices for one in voice.statements}
    came = state(*rulings, today=today)
    if came == "upheld":
        everybody = {(A, REPORT), (B, REPORT)} <= ruled(told, today).void
        assert everybody <= (SAID not in heard)
    else:
        assert (SAID in heard) == (came == "open")


def test_each_false_statement_halves_the_standing_of_the_whole_group_until_the_last_ruling_ends() -> None:
    told = roster(
        ruling("false", A, "1" * 64, OPENED - 10),
        ruling("false", B, "2" * 64, OPENED),
        ruling("stands", C, "3" * 64, OPENED),
    )
    assert standings(told, OPENED) == {"one": Standing(amount=MICRO // 4, until=OPENED + RULING_DAYS)}
    first_over = OPENED - 10 + RULING_DAYS
    assert standings(told, first_over) == {"one": Standing(amount=MICRO // 2, until=OPENED + RULING_DAYS)}
    assert standings(told, OPENED + RULING_DAYS) == {}
