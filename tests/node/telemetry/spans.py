"""Spans as exporters send them, made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ioint_node.telemetry import Sender, TelemetryLimits, decode
from ioint_node.telemetry.values import Span
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Status

ENGINE = Sender(id="e")
TRACE = "0af7651916cd43dd8448eb211c80319c"


def any_value(value: Any) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=map(any_value, value)))
        case dict():
            return AnyValue(kvlist_value=KeyValueList(values=pairs(value)))
        case _:
            return AnyValue(string_value=value)


def pairs(values: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]


def request(service: str = "shop", **resource: Any) -> ExportTraceServiceRequest:
    """A request with one resource and one scope and no span yet."""
    made = ExportTraceServiceRequest()
    named = {"service.name": service, **resource} if service else resource
    made.resource_spans.add().resource.attributes.extend(pairs(named))
    made.resource_spans[0].scope_spans.add()
    return made


def add(
    made: ExportTraceServiceRequest,
    number: int,
    attributes: Mapping[str, Any],
    *,
    parent: int = 0,
    name: str = "span",
    kind: int = 1,
    trace: str = TRACE,
    start: int | None = None,
    end: int | None = None,
    error: str | None = None,
    events: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Add a span; its number is its id, and its time in seconds unless another is given."""
    span = (
        made.resource_spans[0]
        .scope_spans[0]
        .spans.add(
            trace_id=bytes.fromhex(trace),
            span_id=number.to_bytes(8, "big"),
            parent_span_id=parent.to_bytes(8, "big") if parent else b"",
            name=name,
            kind=kind,
            start_time_unix_nano=(number if start is None else start) * 10**9,
            end_time_unix_nano=(number if end is None else end) * 10**9,
            attributes=pairs(attributes),
        )
    )
    for event, said in (events or {}).items():
        span.events.add(name=event, attributes=pairs(said))
    if error is not None:
        span.status.code = Status.STATUS_CODE_ERROR
        span.status.message = error


def spans_of(made: ExportTraceServiceRequest, sender: Sender = ENGINE) -> list[Span]:
    return decode(made.SerializeToString(), "traces", sender, TelemetryLimits(), json=False).spans


def agent(name: str = "support", **more: Any) -> dict[str, Any]:
    return {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name, **more}


def tool(name: str, call: str = "", **arguments: Any) -> dict[str, Any]:
    said = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.call.arguments": arguments,
    }
    return said | ({"gen_ai.tool.call.id": call} if call else {})
