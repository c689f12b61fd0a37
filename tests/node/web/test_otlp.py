"""The doors of OTLP: what is answered in which encoding, what hostile bodies cost, and what becomes of sessions."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # ships no types
from ioint_node.telemetry import TelemetryLimits
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.clients.telling import Target, target
from tests.node.telemetry.spans import add, agent, request, tool

pytestmark = pytest.mark.network
PROTOBUF = "application/x-protobuf"
JSON = "application/json"


@pytest.fixture
def limits() -> TelemetryLimits:
    return TelemetryLimits()


@pytest.fixture
async def node(tmp_path: Path, limits: TelemetryLimits) -> AsyncIterator[Target]:
    async with target(tmp_path, limits) as made:
        yield made


async def post(
    node: Target,
    body: bytes,
    *,
    kind: str = PROTOBUF,
    role: str = "engine",
    path: str = "/v1/traces",
    **headers: str,
) -> tuple[ClientResponse, bytes]:
    sent = {"Authorization": f"Bearer {node.tokens[role]}", "Content-Type": kind, **headers}
    async with (
        ClientSession(base_url=node.url) as client,
        client.post(path, data=body, headers=sent) as answer,
    ):
        return answer, await answer.read()


def work(service: str = "shop", trace: str = "ab" * 16, **said: Any) -> Any:
    """An agent that looks something up."""
    made = request(service)
    add(made, 1, agent(**said), trace=trace, end=9)
    add(made, 2, {**tool("lookup", order="7"), "gen_ai.tool.call.result": "found"}, parent=1, trace=trace)
    return made


async def test_success_is_empty_in_protobuf_and_an_empty_object_in_json(node: Target) -> None:
    answer, body = await post(node, work().SerializeToString())
    assert (answer.status, answer.content_type, body) == (200, PROTOBUF, b"")
    answer, body = await post(node, b'{"resourceSpans":[]}', kind=JSON)
    assert (answer.status, answer.content_type, body) == (200, JSON, b"{}")


async def test_gzip_is_read_and_other_encodings_are_refused(node: Target) -> None:
    packed = gzip.compress(work().SerializeToString())
    answer, _ = await post(node, packed, **{"Content-Encoding": "gzip"})
    assert answer.status == 200
    assert node.telemetry.buffer.spans == 2
    for other in ("deflate", "br", "snappy"):
        answer, body = await post(node, packed, **{"Content-Encoding": other})
        assert answer.status in {400, 415}, other
        if answer.status == 415:
            assert Status.FromString(body).code == 3


async def test_a_body_that_is_no_gzip_is_refused(node: Target) -> None:
    answer, _ = await post(node, work().SerializeToString(), **{"Content-Encoding": "gzip"})
    assert answer.status == 400


async def test_what_is_no_export_request_is_refused_in_its_own_encoding(node: Target) -> None:
    answer, body = await post(node, b"\xff\xff\xff")
    assert (answer.status, answer.content_type) == (400, PROTOBUF)
    assert Status.FromString(body).code == 3
    assert "no protobuf" in Status.FromString(body).message
    answer, body = await post(node, b"[", kind=JSON)
    assert (answer.status, answer.content_type) == (400, JSON)
    assert json.loads(body)["code"] == 3


async def test_another_media_type_is_refused(node: Target) -> None:
    answer, body = await post(node, b"x", kind="text/plain")
    assert (answer.status, answer.content_type) == (415, JSON)
    assert set(json.loads(body)) == {"code", "message"}


async def test_nobody_sends_without_a_token_that_may(node: Target) -> None:
    answer, body = await post(node, b"", Authorization="Bearer nonsense")
    assert answer.status == 401
    assert Status.FromString(body).code == 16
    answer, body = await post(node, b"", role="soc")
    assert answer.status == 403
    assert Status.FromString(body).code == 7


async def test_what_single_spans_lack_is_told_as_a_partial_success(node: Target) -> None:
    made = work()
    made.MergeFrom(work(service=""))
    answer, body = await post(node, made.SerializeToString())
    assert answer.status == 200
    partial = ExportTraceServiceResponse.FromString(body).partial_success
    assert partial.rejected_spans == 2
    assert "OTEL_SERVICE_NAME" in partial.error_message
    told = {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "1"}]}]}]}
    answer, body = await post(node, json.dumps(told).encode(), kind=JSON)
    assert json.loads(body)["partialSuccess"]["rejectedSpans"] == "1"


async def test_what_is_refused_stands_in_the_log_once_a_minute(
    node: Target, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        await post(node, work(service="").SerializeToString())
    (line,) = [one for one in caplog.messages if one.startswith("telemetry_rejected")]
    assert "2: the resource has no service.name" in line


async def test_a_log_record_of_an_agent_without_a_trace_is_counted(node: Target) -> None:
    made = ExportLogsServiceRequest()
    made.resource_logs.add().resource.CopyFrom(work().resource_spans[0].resource)
    scope = made.resource_logs[0].scope_logs.add()
    scope.log_records.add(event_name="gen_ai.user.message")
    scope.log_records.add(event_name="http.request")
    answer, body = await post(node, made.SerializeToString(), path="/v1/logs")
    assert answer.status == 200
    partial = ExportLogsServiceResponse.FromString(body).partial_success
    assert (partial.rejected_log_records, partial.error_message) == (
        1,
        "1: the log record belongs to no trace",
    )


class TestSmall:
    """Bounds small enough to be reached."""

    @pytest.fixture
    def limits(self) -> TelemetryLimits:
        return TelemetryLimits(body_bytes=100_000, spans=4)

    async def test_a_bomb_is_refused_before_it_is_unpacked(self, node: Target) -> None:
        bomb = gzip.compress(bytes(50_000_000))
        answer, body = await post(node, bomb, **{"Content-Encoding": "gzip"})
        assert answer.status == 413
        assert Status.FromString(body).code == 11
        assert node.telemetry.reading == 0

    async def test_senders_are_told_to_wait_while_too_much_waits(self, node: Target) -> None:
        for trace in ("aa", "bb"):
            await post(node, work(trace=trace * 16).SerializeToString())
        answer, body = await post(node, work().SerializeToString())
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert Status.FromString(body).code == 14
        await node.told()
        answer, _ = await post(node, work().SerializeToString())
        assert answer.status == 200


async def test_a_million_tiny_spans_are_refused_before_they_become_objects(node: Target) -> None:
    spans = b"\x12\x00" * 1_000_000
    scope = b"\x12" + _length(len(spans)) + spans
    bomb = gzip.compress(b"\x0a" + _length(len(scope)) + scope, 1)
    answer, body = await post(node, bomb, role="agent", **{"Content-Encoding": "gzip"})
    assert answer.status == 413
    assert "smaller batches" in Status.FromString(body).message


def _length(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*found, number))


async def test_an_agents_token_tells_of_its_own_actor_alone(node: Target) -> None:
    await post(node, work("victim").SerializeToString(), role="agent")
    assert list(await node.told()) == ["a-1"]


async def test_an_agents_token_tells_nothing_in_anothers_session(node: Target) -> None:
    theirs = work(**{"ioint.session.id": "s-1"})
    await post(node, theirs.SerializeToString())
    await node.told()
    await post(node, work(**{"ioint.session.id": "s-1"}).SerializeToString(), role="agent")
    sessions = {one.row["id"]: one for one in (await node.told()).values()}
    assert len(sessions["s-1"].actions) == 1
    assert node.telemetry.counts["foreign"] == 1


async def test_a_span_does_not_lead_into_another_actors_session(node: Target) -> None:
    await post(node, work("shop", **{"ioint.session.id": "s-1"}).SerializeToString())
    await node.told()
    await post(node, work("mole", trace="cd" * 16, **{"ioint.session.id": "s-1"}).SerializeToString())
    told = await node.told()
    assert told["shop/support"].row["id"] == "s-1"
    assert [len(one.actions) for one in told.values()] == [1, 1]


async def test_a_trace_that_is_sent_again_changes_nothing(node: Target) -> None:
    for _ in range(2):
        await post(node, work().SerializeToString())
        first = await node.told()
    assert len(first["shop/support"].events) == 2
    assert node.telemetry.buffer.counts["repeated"] == 2


async def test_a_trace_that_is_sent_again_after_a_restart_changes_nothing(node: Target) -> None:
    await post(node, work().SerializeToString())
    before = await node.told()
    node.telemetry.__init__(node.telemetry.parts, node.clock)  # type: ignore[misc] # memory is empty
    await post(node, work().SerializeToString())
    after = await node.told()
    assert [list(one.events) for one in after.values()] == [list(one.events) for one in before.values()]


async def test_a_run_ends_with_its_trace_and_a_conversation_when_nothing_more_is_said(node: Target) -> None:
    await post(node, work().SerializeToString())
    await post(node, work("chat", trace="cd" * 16, **{"gen_ai.conversation.id": "talk"}).SerializeToString())
    told = await node.told()
    assert told["shop/support"].row["outcome"] == "done"
    assert told["chat/support"].row["state"] == "open"
    node.clock.now += round(node.telemetry.limits.close_s * 1000) + 1
    assert (await node.told())["chat/support"].row["outcome"] == "done"


async def test_a_trace_of_which_no_end_comes_is_given_up(node: Target) -> None:
    made = request()
    add(made, 2, tool("lookup"), parent=1)
    await post(node, made.SerializeToString())
    await node.told()
    node.clock.now += round(node.telemetry.limits.close_s * 1000) + 1
    assert (await node.told())["shop"].row["outcome"] == "aborted"


async def test_what_waits_is_told_when_the_node_stops(node: Target) -> None:
    running = asyncio.create_task(node.telemetry.run())
    await asyncio.sleep(0)
    await post(node, work().SerializeToString())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [one.row["actor"] for one in await node.sessions()] == ["shop/support"]


async def test_the_next_turn_of_a_conversation_goes_on_in_its_session(node: Target) -> None:
    for trace in ("aa", "bb"):
        made = work(trace=trace * 16, **{"gen_ai.conversation.id": "talk"})
        await post(node, made.SerializeToString())
        await node.told()
    [session] = await node.sessions()
    assert len(session.actions) == 2


async def test_what_comes_after_the_end_begins_another_session(node: Target) -> None:
    await post(node, work().SerializeToString())
    await node.told()
    late = request()
    add(late, 3, tool("send_email"), parent=1, trace="ab" * 16)
    await post(node, late.SerializeToString())
    await node.told()
    sessions = await node.sessions()
    assert sorted(len(one.actions) for one in sessions) == [1, 1]
    assert {one.row["actor"] for one in sessions} == {"shop/support"}


async def test_an_action_under_the_name_of_one_that_was_decided_is_judged_where_it_does_something_else(
    node: Target,
) -> None:
    headers = {"Authorization": f"Bearer {node.tokens['engine']}"}
    async with ClientSession(base_url=node.url, headers=headers) as client:
        opening = {
            "session_id": "s-1",
            "actor": {"id": "shop", "kind": "agent"},
            "declared": {"text": "look up orders"},
        }
        async with client.post("/api/v1/sessions", json=opening) as answer:
            assert answer.status == 201
        action = {"action_id": "act-1", "tool": "lookup", "arguments": {"order": "7"}}
        async with client.post("/api/v1/sessions/s-1/actions", json=action) as answer:
            assert answer.status == 200
    made = request()
    named = {"ioint.session.id": "s-1", "ioint.action.id": "act-1"}
    add(made, 2, {**tool("send_money", amount="4800", recipient="DE02120300000000202051"), **named})
    await post(node, made.SerializeToString())
    [session] = (await node.told()).values()
    assert [one["tool"] for one in session.events if one["kind"] == "tool_call"] == ["lookup", "send_money"]


async def test_an_action_that_was_decided_before_is_not_judged_twice(node: Target) -> None:
    headers = {"Authorization": f"Bearer {node.tokens['engine']}"}
    async with ClientSession(base_url=node.url, headers=headers) as client:
        opening = {
            "session_id": "s-1",
            "actor": {"id": "shop", "kind": "agent"},
            "declared": {"text": "look up orders"},
        }
        async with client.post("/api/v1/sessions", json=opening) as answer:
            assert answer.status == 201
        action = {"action_id": "act-1", "tool": "lookup", "arguments": {"order": "7"}}
        async with client.post("/api/v1/sessions/s-1/actions", json=action) as answer:
            assert answer.status == 200
    made = request()
    named = {"ioint.session.id": "s-1", "ioint.action.id": "act-1", "gen_ai.tool.call.result": "found"}
    add(made, 2, {**tool("lookup", order="7"), **named})
    await post(node, made.SerializeToString())
    [session] = (await node.told()).values()
    assert [one["kind"] for one in session.events] == ["tool_call", "tool_result"]
    assert session.row["state"] == "open"  # whoever opened it closes it
