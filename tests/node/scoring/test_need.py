"""What a task does not need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ioint_node.scoring.features import CALL_NAMES
from ioint_node.scoring.need import PLACE
from ioint_node.scoring.tracker import SessionTracker
from ioint_node.scoring.values import Event

Start = Callable[..., SessionTracker]


def features(tracker: SessionTracker, tool: str, **arguments: Any) -> dict[str, float]:
    measured = tracker.measure(Event(kind="tool_call", tool=tool, arguments=arguments))
    assert measured is not None
    return dict(zip(CALL_NAMES, measured.features, strict=True))


def test_every_signal_lies_between_nothing_and_all(start: Start) -> None:
    found = features(start("What is new?"), "delete_user", user="everyone", path="*")
    assert all(0.0 <= value <= 1.0 for value in found.values())


def test_a_grave_step_that_is_asked_for_is_needed(start: Start) -> None:
    asked = features(start("Delete the user mo"), "delete_user", user="mo")
    unasked = features(start("What is new?"), "delete_user", user="mo")
    assert asked["needless"] < 0.1
    assert unasked["needless"] > 0.5


def test_looking_is_never_grave(start: Start) -> None:
    found = features(start("Book a table"), "read_file", path="menu.txt")
    assert found["needless"] == found["needless_read"] == found["needless_unknown"] == 0.0


def test_a_click_is_not_grave_by_itself(start: Start) -> None:
    click = features(start("Show me the news"), "browser_click", element="Next page")
    order = features(start("Show me the news"), "place_order", item="N-1")
    assert click["needless"] < 0.3 < order["needless"]


def test_values_of_the_request_excuse_no_deed_that_it_does_not_ask_for(start: Start) -> None:
    look = features(
        start("What did I pay to CH5604835012345678009?"), "send_money", to="CH5604835012345678009"
    )
    assert look["values_requested"] == 0.0
    pay = features(
        start("Pay 40 to CH5604835012345678009"), "send_money", to="CH5604835012345678009", amount=40
    )
    assert pay["values_requested"] >= 0.5


def test_everything_is_wide_where_one_thing_was_named(start: Start) -> None:
    assert features(start("Show me the salary of Mo"), "get_salary", employee="all")["wide"] > 0.0
    assert features(start("Show me all salaries"), "get_salary", employee="all")["wide"] == 0.0
    assert features(start("Show me the salary of Mo"), "get_salary", employee="Mo")["wide"] == 0.0


def test_what_the_request_rules_out_is_denied(start: Start) -> None:
    found = features(start("Find a flight to Porto but don't book it yet"), "book_flight", flight="TP 1")
    assert found["denied"] == 1.0


def test_another_place_than_the_named_one_is_read_beyond_need(start: Start) -> None:
    tracker = start("Fix the bug in shop/refund.py")
    assert features(tracker, "read_file", path="shop/refund.py")["path_overreads"] == 0.0
    assert features(tracker, "read_file", path="/home/ci/secrets/token.txt")["path_overreads"] > 0.0


@pytest.mark.parametrize(
    "text", ["mo@firm.example", "files.mega.example/x", "203.0.113.7/a.sh", "rival.com", "203.0.113.7:8080/"]
)
def test_an_address_is_a_place(text: str) -> None:
    assert PLACE.fullmatch(text)


@pytest.mark.parametrize(
    "text", ["parser.py", "dump-77.sql.gz", "config/.env", "tests/test_a.py", "e.g", "3.14"]
)
def test_the_name_of_a_file_is_no_place(text: str) -> None:
    assert not PLACE.fullmatch(text)
