"""OTLP over HTTP: spans and log records of agents, as exporters and collectors of OpenTelemetry send them.

Both encodings come to the same port, and each is answered in its own, errors as `google.rpc.Status`. What is malformed
is refused for good (400); what comes while too much waits is to be sent again (503 with `Retry-After`). Single records
that cannot be taken are counted and named in a success, as the standard's partial success.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

import msgspec
from aiohttp import web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from ioint_node.errors import BusyError
from ioint_node.flows.telemetry import Telemetry
from ioint_node.store.tokens import Caller
from ioint_node.telemetry import Batch, Sender, TelemetryLimits, TooManyError, WireError, decode
from ioint_node.telemetry.wire import Signal
from ioint_node.web.described import Answer
from ioint_node.web.problems import JSON_TYPE, PROTOBUF_TYPE, Refusal
from ioint_node.web.site import Route, Site

_IN_LOOP_BYTES: Final = 65_536  # larger bodies are decoded in a thread
_TAKEN: Final = Answer(
    about="Taken; `partialSuccess` names how many records were not, and why.",
    content={JSON_TYPE: {"type": "object"}, PROTOBUF_TYPE: {"type": "string", "format": "binary"}},
)
_REFUSED: Final = {
    408: "The body came too slowly.",
    413: "The body is too large: send smaller batches.",
    415: "Neither protobuf nor JSON, or neither gzip nor plain.",
}
_PLAIN: Final = frozenset({"", "identity", "gzip"})


async def traces(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Take spans."""
    return await _export(site, request, caller, "traces")


async def logs(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Take log records."""
    return await _export(site, request, caller, "logs")


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    return tuple(
        Route(
            method="POST",
            path=f"/v1/{signal}",
            may="telemetry",
            summary=summary,
            handler=handler,
            answers={200: _TAKEN} | {status: Answer(about=about) for status, about in _REFUSED.items()},
        )
        for signal, summary, handler in (
            ("traces", "Take spans of agents (OTLP/HTTP)", traces),
            ("logs", "Take log records of agents (OTLP/HTTP)", logs),
        )
    )


async def _export(site: Site, request: web.Request, caller: Caller, signal: Signal) -> web.Response:
    telemetry = site.telemetry
    json = _is_json(request)
    try:
        telemetry.check_room()
    except BusyError as error:
        raise _busy(str(error), telemetry.limits) from None
    sender = Sender(id=caller.id, actor=caller.actor)
    held = 0
    try:
        data = bytearray()
        try:
            async with asyncio.timeout(telemetry.limits.body_s):
                async for chunk in request.content.iter_any():
                    held += len(chunk)
                    telemetry.reading += len(chunk)
                    _check_size(held, telemetry)
                    data += chunk
        except TimeoutError:
            raise Refusal(
                408, "slow_body", f"the body took more than {telemetry.limits.body_s:g} s"
            ) from None
        except (web.RequestPayloadError, ConnectionError):
            closing = {"Connection": "close"}
            detail = "the body is not encoded as its headers say, or broke off"
            raise Refusal(400, "bad_body", detail, headers=closing) from None
        batch = await _decoded(bytes(data), signal, sender, telemetry, json=json)
    finally:
        telemetry.reading -= held
    telemetry.take(sender, batch)
    return _answer(signal, batch, json=json)


def _is_json(request: web.Request) -> bool:
    kind = request.content_type
    if kind not in {JSON_TYPE, PROTOBUF_TYPE}:
        raise Refusal(415, "media_type", f"{kind[:64]}: send {PROTOBUF_TYPE} or {JSON_TYPE}")
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in _PLAIN:
        # aiohttp may know more of them; the standard asks for one, and each is a decoder that must be safe.
        raise Refusal(
            415,
            "content_encoding",
            f"{encoding[:32]}: send gzip or no encoding",
            headers={"Connection": "close"},
        )
    return kind == JSON_TYPE


def _check_size(held: int, telemetry: Telemetry) -> None:
    limits = telemetry.limits
    closing = {"Connection": "close"}
    if held > limits.body_bytes:
        detail = f"the body is larger than {limits.body_bytes} bytes: send smaller batches"
        raise Refusal(413, "too_large", detail, headers=closing)
    if telemetry.reading > limits.reading_bytes:
        raise _busy(
            f"bodies of {limits.reading_bytes} bytes are being read: try again later", limits, closing
        )


def _busy(detail: str, limits: TelemetryLimits, headers: dict[str, str] | None = None) -> Refusal:
    after = {"Retry-After": str(max(1, round(limits.retry_s))), **(headers or {})}
    return Refusal(503, "busy", detail, headers=after)


async def _decoded(data: bytes, signal: Signal, sender: Sender, telemetry: Telemetry, *, json: bool) -> Batch:
    read = partial(decode, data, signal, sender, telemetry.limits, json=json)
    try:
        if len(data) <= _IN_LOOP_BYTES:
            return read()
        async with telemetry.decoding:
            return await asyncio.to_thread(read)
    except TooManyError as error:
        raise Refusal(413, "too_many", str(error)) from None
    except WireError as error:
        raise Refusal(400, "bad_otlp", str(error)) from None


def _answer(signal: Signal, batch: Batch, *, json: bool) -> web.Response:
    message = "; ".join(f"{count}: {reason}" for reason, count in batch.rejected.items())
    if json:
        counted = "rejectedSpans" if signal == "traces" else "rejectedLogRecords"
        said = {"partialSuccess": {counted: str(batch.refused), "errorMessage": message}} if message else {}
        return web.Response(body=msgspec.json.encode(said), headers={"Content-Type": JSON_TYPE})
    body = b""
    if message and signal == "traces":
        spans = ExportTraceServiceResponse()
        spans.partial_success.rejected_spans = batch.refused
        spans.partial_success.error_message = message
        body = spans.SerializeToString()
    elif message:
        records = ExportLogsServiceResponse()
        records.partial_success.rejected_log_records = batch.refused
        records.partial_success.error_message = message
        body = records.SerializeToString()
    return web.Response(body=body, headers={"Content-Type": PROTOBUF_TYPE})
