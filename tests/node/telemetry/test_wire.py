"""What exporters send, decoded: both encodings say the same, and what is malformed names its fault."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from ioint_node.telemetry import Sender, TelemetryLimits, TooManyError, WireError, decode
from ioint_node.telemetry.wire import actor_of, origin_of

from tests.node.telemetry.spans import ENGINE, TRACE, add, agent, request, spans_of, tool

LIMITS = TelemetryLimits()


def as_json(made: Any) -> dict[str, Any]:
    """OTLP's JSON of a request: protobuf's own, with ids in hex."""
    said: dict[str, Any] = MessageToDict(made)
    for resource, sent in zip(said["resourceSpans"], made.resource_spans, strict=True):
        for scope, given_scope in zip(resource["scopeSpans"], sent.scope_spans, strict=True):
            for span, given_span in zip(scope["spans"], given_scope.spans, strict=True):
                span["traceId"], span["spanId"] = given_span.trace_id.hex(), given_span.span_id.hex()
                if given_span.parent_span_id:
                    span["parentSpanId"] = given_span.parent_span_id.hex()
                span["kind"] = given_span.kind
                if "status" in span:
                    span["status"]["code"] = given_span.status.code
    return said


def read_json(value: Any) -> Any:
    return decode(json.dumps(value).encode(), "traces", ENGINE, LIMITS, json=True)


def sent() -> Any:
    made = request()
    add(made, 1, agent(), error="it broke")
    add(made, 2, tool("lookup", "c1", order=7, deep={"list": [1, 2.5, True, "x"]}), parent=1)
    add(made, 3, {"http.method": "GET"}, parent=2)
    add(made, 4, {}, parent=2, events={"gen_ai.user.message": {"content": "hello"}})
    return made


def test_both_encodings_say_the_same() -> None:
    made = sent()
    read = read_json(as_json(made)).spans
    assert [(one.id, one.parent, one.name, one.start, one.end, one.error) for one in read] == [
        (one.id, one.parent, one.name, one.start, one.end, one.error)
        if one.says
        else (one.id, one.parent, "span", 3 * 10**9, 3 * 10**9, None)
        for one in spans_of(made)
    ]
    assert [(one.attributes, one.events) for one in read] == [
        (one.attributes, one.events) for one in spans_of(made)
    ]


def test_ids_of_json_are_hex() -> None:
    [span] = read_json(as_json(only_agent())).spans
    assert (span.trace, span.id) == (TRACE, "0000000000000001")


def only_agent() -> Any:
    made = request()
    add(made, 1, agent())
    return made


@pytest.mark.parametrize("given", [1_700_000_000_000_000_000, "1700000000000000000"])
def test_integers_of_json_are_numbers_or_text(given: int | str) -> None:
    said = as_json(only_agent())
    said["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["startTimeUnixNano"] = given
    assert read_json(said).spans[0].start == 1_700_000_000_000_000_000


def test_unknown_fields_of_json_are_ignored() -> None:
    said = as_json(only_agent()) | {"later": 1}
    said["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["alsoLater"] = {"a": [1]}
    assert len(read_json(said).spans) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("traceId", "xyz"),
        ("traceId", "0" * 32),
        ("spanId", "00"),
        ("spanId", 16 * "0"),
        ("parentSpanId", "1"),
    ],
)
def test_a_span_with_a_malformed_id_is_refused_alone(field: str, value: str) -> None:
    said = as_json(sent())
    said["resourceSpans"][0]["scopeSpans"][0]["spans"][0][field] = value
    batch = read_json(said)
    assert len(batch.spans) == 3
    assert batch.rejected == {"trace id or span id is malformed": 1}


@pytest.mark.parametrize("service", ["", "unknown_service", "unknown_service:python"])
def test_a_service_without_a_name_is_refused_with_what_to_do(service: str) -> None:
    made = request(service)
    add(made, 1, agent())
    batch = decode(made.SerializeToString(), "traces", ENGINE, LIMITS, json=False)
    assert batch.spans == []
    assert "OTEL_SERVICE_NAME" in next(iter(batch.rejected))


def test_an_agents_token_speaks_of_that_agent_whatever_its_resource_says() -> None:
    made = request("another", **{"ioint.actor.id": "victim"})
    add(made, 1, agent("victim"))
    batch = decode(made.SerializeToString(), "traces", Sender(id="t", actor="a-1"), LIMITS, json=False)
    assert actor_of(batch.spans[0].origin, "victim") == "a-1"


def test_an_agents_name_stays_below_its_service() -> None:
    origin = origin_of({"service.name": "shop/admin", "service.namespace": "eu"})
    assert origin is not None
    assert actor_of(origin, "../root\n") == "eu.shop_admin/.._root_"
    assert actor_of(origin, "x" * 900).startswith("eu.shop_admin/xxx")
    assert len(actor_of(origin, "x" * 900)) <= 256


def test_what_says_nothing_of_agents_only_links() -> None:
    made = request()
    add(made, 2, {"http.method": "GET", "session.id": "s", "server.address": "h"}, parent=1)
    [span] = spans_of(made)
    assert not span.says
    assert span.parent == "0000000000000001"


@pytest.mark.parametrize("in_json", [False, True])
def test_more_than_one_request_may_hold_is_refused_before_it_is_decoded(in_json: bool) -> None:
    made = request()
    for number in range(1, 40):
        add(made, number, agent())
    few = TelemetryLimits(records=30, json_objects=30)
    body = json.dumps(as_json(made)).encode() if in_json else made.SerializeToString()
    with pytest.raises(TooManyError):
        decode(body, "traces", ENGINE, few, json=in_json)


def test_as_many_records_as_may_be_are_read() -> None:
    made = request()
    for number in range(1, 40):
        add(made, number, agent())
    # The resource with its one attribute, and its one scope, are fields too.
    enough = TelemetryLimits(records=42)
    assert len(decode(made.SerializeToString(), "traces", ENGINE, enough, json=False).spans) == 39


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'{"resourceSpans": 7}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "%s", "spanId": "%s", "kind": 1,'
        b' "startTimeUnixNano": "1e9"}]}]}]}' % (b"1" * 32, b"1" * 16),
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "\xff"}]}]}]}',
        b'{"resourceSpans": ' + b"[" * 100_000,
        b"",
    ],
)
def test_json_that_is_no_export_request_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        decode(body, "traces", Sender(id="t", actor="a"), LIMITS, json=True)


def test_deep_values_are_cut_and_not_followed() -> None:
    value: Any = {"stringValue": "end"}
    for _ in range(60):
        value = {"kvlistValue": {"values": [{"key": "k", "value": value}]}}
    said = as_json(only_agent())
    attributes = said["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"]
    attributes.append({"key": "gen_ai.tool.call.arguments", "value": value})
    assert "end" not in json.dumps(read_json(said).spans[0].attributes)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.booleans(), st.sampled_from(["traces", "logs"]))
def test_no_bytes_raise_anything_but_a_wire_error(data: bytes, in_json: bool, signal: Any) -> None:
    with suppress(WireError):
        decode(data, signal, ENGINE, LIMITS, json=in_json)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_request_with_a_changed_byte_raises_nothing_but_a_wire_error(data: st.DataObject) -> None:
    wire = bytearray(sent().SerializeToString())
    wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    with suppress(WireError):
        decode(bytes(wire), "traces", ENGINE, LIMITS, json=False)
