"""OTLP as it comes over HTTP: protobuf and JSON become the same spans.

Source: opentelemetry-proto, specification of OTLP/HTTP. In JSON, ids are hex (not base64 as protobuf's own JSON has
it), 64-bit integers are strings or numbers, names are lowerCamelCase, and unknown fields are ignored.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec
from google.protobuf.message import DecodeError
from msgspec import Struct
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from ioint_node.telemetry.values import Origin, Sender, Span, TelemetryLimits

R = TypeVar("R")
Signal = Literal["traces", "logs"]
# What the dialects read begins so. All else, most of what spans carry, is not even decoded.
_READ = (
    "gen_ai.", "llm.", "input.", "output.", "openinference.", "tool.", "tool_call.", "traceloop.association.",
    "traceloop.span.", "traceloop.entity.", "mcp.", "ioint.", "agent.", "agent_name",
    "final_result", "tool_arguments", "tool_response",
)  # fmt: skip
# What spans of any program may carry, and what says nothing of agents alone.
_BESIDE = ("error.type", "server.address", "server.port", "session.id", "metadata")
_ALL = _READ + _BESIDE
# What is long and repeats what other attributes say.
_SKIPPED = frozenset(
    {
        "gen_ai.task.input", "gen_ai.task.output", "gen_ai.workflow.edges", "gen_ai.workflow.nodes",
        "llm.invocation_parameters", "traceloop.entity.path",
    }
)  # fmt: skip
_EVENTS = ("gen_ai.",)
_EVERY = ("",)  # of the attributes of an event that is read
_RESOURCE = ("service.", "ioint.")
_REMOTE = 0x300  # of the flags of a span: it is known, and so, that the parent is in another process
_HELD = 400  # bytes of a span without its attributes, about
_SORTED = msgspec.json.Encoder(order="sorted")
_HEX = re.compile(r"[0-9a-f]+\Z")
_UNKNOWN = "unknown_service"
_NAMELESS = "the resource has no service.name of its own (set OTEL_SERVICE_NAME)"
_NAME_CHARS = 256
_ACTOR_CHARS = 256  # as sessions take it
_SERVICE_CHARS = 128
_SAID = 160  # characters of a decoder's message


class WireError(Exception):
    """What came is no OTLP, and will not be when it is sent again."""


class TooManyError(WireError):
    """There is more in one request than may be."""


class Batch(Struct, kw_only=True):
    """What one request held: spans to keep, and how many were refused for which reason."""

    spans: list[Span] = []
    rejected: dict[str, int] = {}

    def reject(self, reason: str, count: int = 1) -> None:
        """Count records that are refused."""
        self.rejected[reason] = self.rejected.get(reason, 0) + count

    @property
    def refused(self) -> int:
        """How many records were refused."""
        return sum(self.rejected.values())


def decode(data: bytes, signal: Signal, sender: Sender, limits: TelemetryLimits, *, json: bool) -> Batch:
    """The spans of a request's body.

    Raises:
        TooManyError: it holds too much to be decoded.
        WireError: it is malformed.
    """
    reader = _Reader(sender, limits)
    read = _read_json if json else _read_protobuf
    read(data, signal, reader)
    return reader.batch


class _Reader:
    """Takes the records of one request, resource by resource."""

    def __init__(self, sender: Sender, limits: TelemetryLimits) -> None:
        self.limits = limits
        self.batch = Batch()
        # Whoever speaks with an agent's own token speaks of that agent, whatever else it says.
        self._sender = None if sender.actor is None else Origin(actor=sender.actor, exact=True)

    def take(
        self,
        scopes: Iterable[Sequence[R]],
        resource: Mapping[str, Any],
        reading: Callable[[R, Origin, TelemetryLimits], Span | str],
    ) -> None:
        """Read the records of the scopes of a resource, as far as they can be taken."""
        origin, batch = self._sender or origin_of(resource), self.batch
        for records in scopes:
            if origin is None:
                batch.reject(_NAMELESS, len(records))
                continue
            for record in records:
                found = reading(record, origin, self.limits)
                if isinstance(found, str):
                    batch.reject(found)
                else:
                    batch.spans.append(found)


def origin_of(attributes: Mapping[str, Any]) -> Origin | None:
    """The actor that a resource names, None where it names none.

    `ioint.actor.id` is it as it stands. Else it is `service.name`, below its namespace: what whoever runs the service
    has set, and no text of a span. `service.instance.id` is another after every restart, and would make a stranger of
    whoever has just been started.
    """
    named = attributes.get("ioint.actor.id")
    if isinstance(named, str) and named:
        return Origin(actor=_printable(named, _ACTOR_CHARS), exact=True)
    service, space = attributes.get("service.name"), attributes.get("service.namespace")
    if not isinstance(service, str) or not service or service.startswith(_UNKNOWN):
        return None
    whole = f"{space}.{service}" if isinstance(space, str) and space else service
    return Origin(actor=_printable(whole.replace("/", "_"), _SERVICE_CHARS))


def actor_of(origin: Origin, agent: str) -> str:
    """The actor of an agent of this name; a name only ever subdivides the service that it came from."""
    if origin.exact or not agent:
        return origin.actor
    return f"{origin.actor}/{_printable(agent.replace('/', '_'), _ACTOR_CHARS - _SERVICE_CHARS - 1)}"


def _printable(text: str, most: int) -> str:
    return "".join(each if each.isprintable() else "_" for each in text[: max(1, most)])


# --- protobuf ---


def _read_protobuf(data: bytes, signal: Signal, reader: _Reader) -> None:
    limits = reader.limits
    _check_records(data, limits.records)
    try:
        if signal == "traces":
            for resource in ExportTraceServiceRequest.FromString(data).resource_spans:
                named = _pairs(resource.resource.attributes, limits, _RESOURCE)
                reader.take((scope.spans for scope in resource.scope_spans), named, _span_of)
        else:
            for held in ExportLogsServiceRequest.FromString(data).resource_logs:
                named = _pairs(held.resource.attributes, limits, _RESOURCE)
                reader.take((scope.log_records for scope in held.scope_logs), named, _record_of)
    except DecodeError as error:
        raise WireError(f"the body is no protobuf of an export request: {str(error)[:_SAID]}") from None


def _check_records(data: bytes, most: int) -> None:
    """Refuse a message with too many records before it is decoded: one of two bytes becomes an object of hundreds.

    Resources, scopes and records are each a field of bytes, of number 1, 2 and 2; what is malformed is the decoder's.
    """
    seen = 0
    waiting = [(0, len(data), 0)]
    while waiting:
        at, end, depth = waiting.pop()
        while at < end:
            seen += 1
            if seen > most:
                raise TooManyError(f"more than {most} records: send smaller batches")
            tag, at = _varint(data, at)
            if tag & 7 != 2:
                at = _skipped(data, at, tag & 7)
                continue
            length, at = _varint(data, at)
            if tag >> 3 == (1, 2, 2)[depth] and depth < 2:
                waiting.append((at, min(at + length, end), depth + 1))
            at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at a place, and the place behind it."""
    number = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return number, at


def _skipped(data: bytes, at: int, kind: int) -> int:
    if kind == 0:
        return _varint(data, at)[1]
    return at + {1: 8, 5: 4}.get(kind, 0)  # groups have ends of their own, and each counts


def _span_of(span: Any, origin: Origin, limits: TelemetryLimits) -> Span | str:  # noqa: ANN401 - a protobuf message
    trace, own, parent = span.trace_id, span.span_id, span.parent_span_id
    if len(trace) != 16 or len(own) != 8 or len(parent) not in {0, 8} or not any(trace) or not any(own):
        return "trace id or span id is malformed"
    attributes = _pairs(span.attributes, limits, _ALL)
    events = (
        tuple(
            (event.name, _pairs(event.attributes, limits, _EVERY))
            for event in span.events
            if event.name.startswith(_EVENTS)
        )
        if span.events
        else ()
    )
    failed = span.status.code == 2
    if not events and not _telling(attributes):
        return Span(
            trace=trace.hex(),
            id=own.hex(),
            parent=_parent(parent),
            remote=span.flags & _REMOTE == _REMOTE,
            origin=origin,
            weight=_HELD,
        )
    start = span.start_time_unix_nano
    return Span(
        trace=trace.hex(),
        id=own.hex(),
        parent=_parent(parent),
        name=span.name[:_NAME_CHARS],
        kind=span.kind,
        start=start,
        end=max(start, span.end_time_unix_nano),
        remote=span.flags & _REMOTE == _REMOTE,
        error=(span.status.message[:_NAME_CHARS] or "error") if failed else None,
        attributes=attributes,
        events=events,
        origin=origin,
        weight=_weight(attributes, events),
    )


def _record_of(record: Any, origin: Origin, limits: TelemetryLimits) -> Span | str:  # noqa: ANN401 - as above
    name = record.event_name
    attributes = _pairs(record.attributes, limits, (*_ALL, "event.name"))
    name = name or str(attributes.pop("event.name", ""))
    body = _value(record.body, limits.value_depth) if record.HasField("body") else None
    at = record.time_unix_nano or record.observed_time_unix_nano
    return _log((record.trace_id.hex(), record.span_id.hex()), name, at, attributes, body, origin=origin)


def _parent(given: bytes) -> str:
    return given.hex() if any(given) else ""


def _pairs(given: Sequence[KeyValue], limits: TelemetryLimits, wanted: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in given:
        key = pair.key
        if key.startswith(wanted) and key not in _SKIPPED:
            value = _value(pair.value, limits.value_depth)
            if value is not None and len(found) < limits.attributes:
                found[key] = value
    return found


def _value(value: AnyValue, depth: int) -> Any:  # noqa: ANN401 - any value of JSON
    which = value.WhichOneof("value")
    if which == "string_value":
        return value.string_value
    if which is None or depth <= 0 or which == "bytes_value":
        return None
    if which == "array_value":
        return [_value(one, depth - 1) for one in value.array_value.values]
    if which == "kvlist_value":
        return {pair.key: _value(pair.value, depth - 1) for pair in value.kvlist_value.values}
    return getattr(value, which)


# --- JSON ---


class _Any(Struct, rename="camel", gc=False):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    array_value: _Array | None = None
    kvlist_value: _List | None = None


class _Array(Struct, gc=False):
    values: list[_Any | None] = []


class _List(Struct, gc=False):
    values: list[_Pair] = []


class _Pair(Struct, gc=False):
    key: str = ""
    value: _Any | None = None


class _Event(Struct, rename="camel", gc=False):
    name: str = ""
    attributes: list[_Pair] = []


class _Status(Struct, gc=False):
    code: int = 0
    message: str = ""


class _Span(Struct, rename="camel", gc=False):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str | None = None
    name: str = ""
    kind: int = 0
    flags: int = 0
    start_time_unix_nano: int | str = 0
    end_time_unix_nano: int | str = 0
    attributes: list[_Pair] = []
    events: list[_Event] = []
    status: _Status | None = None


class _Record(Struct, rename="camel", gc=False):
    trace_id: str = ""
    span_id: str = ""
    event_name: str = ""
    time_unix_nano: int | str = 0
    observed_time_unix_nano: int | str = 0
    attributes: list[_Pair] = []
    body: _Any | None = None


class _Resource(Struct, gc=False):
    attributes: list[_Pair] = []


class _ScopeSpans(Struct, gc=False):
    spans: list[_Span] = []


class _ResourceSpans(Struct, rename="camel", gc=False):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] = []


class _Traces(Struct, rename="camel", gc=False):
    resource_spans: list[_ResourceSpans] = []


class _ScopeLogs(Struct, rename="camel", gc=False):
    log_records: list[_Record] = []


class _ResourceLogs(Struct, rename="camel", gc=False):
    resource: _Resource | None = None
    scope_logs: list[_ScopeLogs] = []


class _Logs(Struct, rename="camel", gc=False):
    resource_logs: list[_ResourceLogs] = []


_TRACES, _LOGS = msgspec.json.Decoder(_Traces), msgspec.json.Decoder(_Logs)


def _read_json(data: bytes, signal: Signal, reader: _Reader) -> None:
    limits = reader.limits
    if data.count(b"{") > limits.json_objects:
        raise TooManyError(f"more than {limits.json_objects} objects: send smaller batches")
    try:
        if signal == "traces":
            for resource in _TRACES.decode(data).resource_spans:
                named = _resource(resource.resource, limits)
                reader.take((scope.spans for scope in resource.scope_spans), named, _json_span)
        else:
            for held in _LOGS.decode(data).resource_logs:
                named = _resource(held.resource, limits)
                reader.take((scope.log_records for scope in held.scope_logs), named, _json_record)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"the body is no JSON of an export request: {str(error)[:_SAID]}") from None
    except RecursionError:
        raise WireError("the body is nested too deeply") from None
    except (ValueError, OverflowError):
        raise WireError("an integer is none of 64 bits") from None


def _resource(resource: _Resource | None, limits: TelemetryLimits) -> dict[str, Any]:
    return {} if resource is None else _json_pairs(resource.attributes, limits, _RESOURCE)


def _json_span(span: _Span, origin: Origin, limits: TelemetryLimits) -> Span | str:
    trace, own, parent = span.trace_id.lower(), span.span_id.lower(), (span.parent_span_id or "").lower()
    if not _is_id(trace, 32) or not _is_id(own, 16) or not (parent == "" or len(parent) == 16):
        return "trace id or span id is malformed"
    attributes = _json_pairs(span.attributes, limits, _ALL)
    events = tuple(
        (event.name, _json_pairs(event.attributes, limits, _EVERY))
        for event in span.events
        if event.name.startswith(_EVENTS)
    )
    start = _integer(span.start_time_unix_nano)
    failed = span.status is not None and span.status.code == 2
    told = bool(events) or _telling(attributes)
    return Span(
        trace=trace,
        id=own,
        parent=parent if parent.strip("0") else "",
        name=span.name[:_NAME_CHARS],
        kind=span.kind,
        start=start,
        end=max(start, _integer(span.end_time_unix_nano)),
        remote=span.flags & _REMOTE == _REMOTE,
        error=(span.status.message[:_NAME_CHARS] or "error") if failed and span.status else None,
        attributes=attributes if told else {},
        events=events,
        origin=origin,
        weight=_weight(attributes, events),
    )


def _json_record(record: _Record, origin: Origin, limits: TelemetryLimits) -> Span | str:
    attributes = _json_pairs(record.attributes, limits, (*_ALL, "event.name"))
    name = record.event_name or str(attributes.pop("event.name", ""))
    body = None if record.body is None else _json_value(record.body, limits.value_depth)
    at = _integer(record.time_unix_nano) or _integer(record.observed_time_unix_nano)
    return _log((record.trace_id.lower(), record.span_id.lower()), name, at, attributes, body, origin=origin)


def _json_pairs(given: list[_Pair], limits: TelemetryLimits, wanted: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in given:
        if pair.value is not None and pair.key.startswith(wanted) and pair.key not in _SKIPPED:
            value = _json_value(pair.value, limits.value_depth)
            if value is not None and len(found) < limits.attributes:
                found[pair.key] = value
    return found


def _json_value(value: _Any | None, depth: int) -> Any:  # noqa: ANN401 - any value of JSON
    if value is None or (value.string_value is None and depth <= 0):
        return None
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return _integer(value.int_value)
    if value.array_value is not None:
        return [_json_value(one, depth - 1) for one in value.array_value.values]
    if value.kvlist_value is not None:
        return {pair.key: _json_value(pair.value, depth - 1) for pair in value.kvlist_value.values}
    return value.bool_value if value.bool_value is not None else value.double_value


def _integer(given: int | str) -> int:
    number = int(given) if isinstance(given, int) or len(given) <= 20 else 1 << 64
    if not -(1 << 63) <= number < 1 << 64:
        raise OverflowError
    return number


def _is_id(text: str, length: int) -> bool:
    return len(text) == length and _HEX.match(text) is not None and bool(text.strip("0"))


# --- both ---


def _log(
    ids: tuple[str, str], name: str, at: int, attributes: dict[str, Any], body: object, *, origin: Origin
) -> Span | str:
    """A log record, of a trace and a span, as a span of no length below the one that it was written in."""
    trace, span = ids
    if not name.startswith(_EVENTS) and not _telling(attributes):
        # What other programs log says nothing of agents: it is taken, and forgotten.
        return Span(trace=trace, id="", origin=origin, log=True)
    if not _is_id(trace, 32):
        return "the log record belongs to no trace"
    content = body if isinstance(body, dict) else {} if body is None else {"content": body}
    events = ((name, content | attributes),) if name.startswith(_EVENTS) else ()
    return Span(
        trace=trace,
        # A record has no id: the same one again is the same text at the same time.
        id=f"{span}.{at:x}.{hash_of(name, content, attributes)}",
        parent=span if span.strip("0") else "",
        name=name,
        start=at,
        end=at,
        attributes=attributes,
        events=events,
        origin=origin,
        log=True,
        weight=_weight(attributes, events),
    )


def hash_of(*parts: object) -> str:
    """A short name for what values say, the same in every process."""
    return hashlib.blake2b(_SORTED.encode(parts), digest_size=8).hexdigest()


def _telling(attributes: dict[str, Any]) -> bool:
    """Whether there is more than what every program's spans may carry."""
    return any(not key.startswith(_BESIDE) for key in attributes)


def _weight(attributes: dict[str, Any], events: tuple[tuple[str, dict[str, Any]], ...]) -> int:
    held = _HELD
    for part in (attributes, *(said for _, said in events)):
        for key, value in part.items():
            held += len(key) + (len(value) if isinstance(value, str) else _size(value)) + 100
    return held


def _size(value: Any) -> int:  # noqa: ANN401 - any value of JSON
    if isinstance(value, dict):
        return sum(len(key) + _size(one) + 100 for key, one in value.items())
    if isinstance(value, list):
        return sum(map(_size, value)) + 100
    return len(value) if isinstance(value, str) else 32
