"""Spans that wait: until their trace ends, is idle, old or large, and never more of them than may."""

from __future__ import annotations

from typing import Any

from ioint_node.telemetry import Buffer, Sender, TelemetryLimits
from ioint_node.telemetry.values import Origin, Span

from tests.node.telemetry.spans import ENGINE

LIMITS = TelemetryLimits(settle_s=1.0, idle_s=30.0, age_s=300.0)
SAYS = {"gen_ai.operation.name": "chat"}


def span(number: int, *, trace: str = "t", parent: str = "p", **more: Any) -> Span:
    origin = Origin(actor="shop")
    return Span(
        trace=trace, id=f"{number}", parent=parent, origin=origin, weight=100, **({"attributes": SAYS} | more)
    )


def names(buffer: Buffer, now: int) -> list[list[str]]:
    return [list(trace.spans) for trace in buffer.due(now)]


def test_a_trace_is_due_a_moment_after_its_first_span_has_ended() -> None:
    buffer = Buffer(LIMITS)
    buffer.add(ENGINE, span(1), 0)
    buffer.add(ENGINE, span(2, parent=""), 1_000)
    buffer.add(ENGINE, span(3), 1_500)
    assert names(buffer, 1_900) == []
    assert names(buffer, 2_000) == [["1", "2", "3"]]


def test_a_trace_without_its_end_is_due_when_nothing_more_comes() -> None:
    buffer = Buffer(LIMITS)
    buffer.add(ENGINE, span(1), 0)
    buffer.add(ENGINE, span(2), 29_000)
    assert names(buffer, 31_000) == []
    assert names(buffer, 60_000) == [["1", "2"]]
    assert buffer.counts["early"] == 2


def test_a_trace_that_goes_on_and_on_is_due_when_it_is_old() -> None:
    buffer = Buffer(LIMITS)
    for number in range(31):
        buffer.add(ENGINE, span(number), number * 10_000)
    assert [len(each) for each in names(buffer, 300_000)] == [31]


def test_a_large_trace_is_due_at_once() -> None:
    buffer = Buffer(TelemetryLimits(trace_spans=3))
    for number in range(3):
        buffer.add(ENGINE, span(number), 0)
    assert names(buffer, 0) == [["0", "1", "2"]]


def test_a_buffer_that_is_nearly_full_gives_up_the_oldest() -> None:
    buffer = Buffer(TelemetryLimits(spans=8))
    for number in range(7):
        buffer.add(ENGINE, span(number, trace=f"t{number}"), number)
    assert names(buffer, 7) == [["0"], ["1"]]


def test_a_full_buffer_says_so_and_has_room_again() -> None:
    buffer = Buffer(TelemetryLimits(bytes=1_000))
    for number in range(10):
        buffer.add(ENGINE, span(number), 0)
    assert buffer.is_full
    buffer.due(0, all_of_them=True)
    assert (buffer.is_full, buffer.spans, buffer.bytes, len(buffer)) == (False, 0, 0, 0)


def test_what_comes_again_after_its_trace_was_told_is_known() -> None:
    buffer = Buffer(LIMITS)
    buffer.add(ENGINE, span(1, parent=""), 0)
    buffer.due(5_000)
    buffer.add(ENGINE, span(1, parent=""), 6_000)
    assert buffer.counts["repeated"] == 1
    assert [trace.fresh for trace in buffer.due(0, all_of_them=True)] == [0]


def test_what_comes_late_finds_where_it_belongs() -> None:
    buffer = Buffer(LIMITS)
    buffer.add(ENGINE, span(1, parent="", attributes={"gen_ai.agent.name": "support"}), 0)
    buffer.due(5_000)
    buffer.add(ENGINE, span(2, parent="1"), 6_000)
    [trace] = buffer.due(0, all_of_them=True)
    assert trace.known["1"].agent == "support"


def test_what_is_remembered_of_told_traces_is_bounded() -> None:
    buffer = Buffer(TelemetryLimits(told_spans=10, trace_spans=4))
    for number in range(100):
        buffer.add(ENGINE, span(number, trace=f"t{number // 3}"), number)
        buffer.due(number, all_of_them=True)
    assert sum(map(len, buffer._told.values())) <= 10


def test_another_senders_spans_are_another_trace() -> None:
    buffer = Buffer(LIMITS)
    buffer.add(Sender(id="1", actor="a"), span(1), 0)
    buffer.add(Sender(id="2", actor="b"), span(1), 0)
    assert len(buffer) == 2


def test_spans_that_say_nothing_are_counted_and_not_told() -> None:
    buffer = Buffer(LIMITS)
    buffer.add(ENGINE, span(1, attributes={}), 0)
    [trace] = buffer.due(0, all_of_them=True)
    assert trace.spans == {}
    assert buffer.counts["ignored"] == 1
