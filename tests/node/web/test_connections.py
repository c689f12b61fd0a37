"""What happens before a route is asked: bytes that are no request, heads that never end, too many connections."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from ioint_node.web import WebLimits

from tests.node.web.conftest import WAIT_S
from tests.node.web.test_stream import say, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.node.web.conftest import Node

ALIVE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = ALIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
OPEN = b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKEN\r\n"
SECRET = b"ioint_this-is-not-to-be-seen-again"


@asynccontextmanager
async def connected(node: Node) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    try:
        async with asyncio.timeout(WAIT_S):
            yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def parted(answer: bytes) -> tuple[int, dict[str, str], dict[str, object]]:
    """Status, headers by their names in lower case, and the JSON body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, json.loads(body)


MALFORMED = {
    "not HTTP": b"\x16\x03\x01" + SECRET + b"\r\n\r\n",
    "no method": SECRET + b"\r\n\r\n",
    "a long line": b"GET /" + SECRET * 1_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: x\r\nA: " + SECRET * 1_000 + b"\r\n\r\n",
    "no host": b"GET /" + SECRET + b" HTTP/1.1\r\n\r\n",
    "a bad URL": b"GET http://[" + SECRET + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "two lengths": OPEN + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + SECRET,
    "a bad chunk": OPEN + b"Transfer-Encoding: chunked\r\n\r\n" + SECRET,
    "an unknown transfer": OPEN + b"Transfer-Encoding: " + SECRET + b"\r\n\r\nabc",
    "an encoding without a decoder": OPEN + b"Content-Encoding: br\r\nContent-Length: 3\r\n\r\nabc",
    "a control character": b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
    + SECRET
    + b"\r\x0bX\r\n\r\n",
    "a zero": b"GET /api/v1/" + SECRET + b"\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
}


async def test_what_is_no_request_is_refused_and_counted_without_an_echo(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    for name, request in MALFORMED.items():
        answer = await node.say(request, role="engine")
        status, headers, problem = parted(answer)
        assert (status, problem["type"]) == (400, "urn:ioint:problem:bad_http"), name
        assert headers["content-type"] == "application/problem+json", name
        assert headers["server"] == "ioint", name
        assert SECRET not in answer, name
    assert node.parts.refusals == {"bad_http": len(MALFORMED)}
    assert [one for one in caplog.records if one.levelno >= logging.INFO] == []


async def test_a_refusal_without_a_route_is_in_the_metrics(node: Node) -> None:
    await node.say(MALFORMED["not HTTP"])
    text = await (await node.get("/metrics")).text()
    assert 'ioint_refused_total{name="bad_http"} 1' in text


async def test_an_unknown_expectation_is_refused_without_an_echo(node: Node) -> None:
    answer = await node.say(LAST.replace(b"Host: x", b"Host: x\r\nExpect: " + SECRET))
    status, headers, problem = parted(answer)
    assert (status, headers["server"], problem["status"]) == (417, "ioint", 417)
    assert SECRET not in answer
    assert node.parts.refusals == {"bad_http": 1}


async def test_a_bug_outside_the_routes_is_logged_with_its_traceback_and_answered_without(
    node: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> str:
        raise ZeroDivisionError("the word is swordfish")

    monkeypatch.setattr("ioint_node.web.app._method", broken)
    answer = await node.say(LAST)
    status, headers, problem = parted(answer)
    assert (status, headers["server"], problem["type"]) == (500, "ioint", "urn:ioint:problem:internal")
    assert b"swordfish" not in answer
    assert "ZeroDivisionError" in caplog.text
    assert node.parts.refusals == {"internal": 1}


@pytest.mark.parametrize("coding", [b"deflate", b"gzip"])
async def test_a_body_that_is_not_encoded_as_it_says_is_refused(
    node: Node, coding: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    request = OPEN + b"Content-Encoding: " + coding + b"\r\nContent-Length: 7\r\n\r\ngarbage"
    status, _, problem = parted(await node.say(request, role="engine"))
    assert (status, problem["type"]) == (400, "urn:ioint:problem:bad_body")
    assert node.parts.refusals == {"bad_body": 1}
    assert [one for one in caplog.records if one.levelno >= logging.INFO] == []


@pytest.mark.parametrize(
    ("header", "rest"),
    [
        (b"Transfer-Encoding: chunked", b"zz\r\nabc"),
        (b"Content-Encoding: deflate\r\nContent-Length: 4", b"x\x9c\xab\x56"),
    ],
)
async def test_a_body_that_turns_bad_while_it_is_read_is_refused_at_once(
    node: Node, header: bytes, rest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = asyncio.Event()

    def noted(*_: object) -> str:
        reading.set()
        return "application/json"

    monkeypatch.setattr("aiohttp.web.Request.content_type", property(noted))
    async with connected(node) as (reader, writer):
        token = node.keys["engine"].encode()
        head = OPEN.replace(b"TOKEN", token) + b"Content-Type: application/json\r\n" + header + b"\r\n\r\n"
        writer.write(head)
        await reading.wait()
        writer.write(rest)
        status, _, problem = parted(await reader.read())
    assert (status, problem["type"]) == (400, "urn:ioint:problem:bad_body")


async def test_a_caller_that_leaves_in_the_middle_of_a_body_is_no_bug(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(node) as (_, writer):
        writer.write(OPEN.replace(b"TOKEN", node.keys["engine"].encode()) + b"Content-Length: 70\r\n\r\n{")
        await writer.drain()
        writer.close()
        await until(lambda: node.parts.refusals["bad_body"] == 1)
    assert [one for one in caplog.records if one.levelno >= logging.INFO] == []


class TestShortTimes:
    @pytest.fixture
    def limits(self) -> WebLimits:
        return WebLimits(header_s=0.05)

    @pytest.mark.parametrize("begun", [b"", b"GET", ALIVE[:-2]])
    async def test_a_head_that_does_not_end_ends_the_connection(self, node: Node, begun: bytes) -> None:
        assert await node.say(begun) == b""
        assert node.parts.refusals == {"slow_head": 1}

    async def test_bytes_that_trickle_do_not_buy_time(self, node: Node) -> None:
        async with connected(node) as (reader, writer):
            writer.write(ALIVE[:-2] + b"A: ")
            while not reader.at_eof():
                writer.write(b"a")
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1), 0.01)
        assert node.parts.refusals["slow_head"] == 1

    async def test_a_second_head_has_the_same_bound(self, node: Node) -> None:
        async with connected(node) as (reader, writer):
            writer.write(ALIVE)
            await reader.readuntil(b"}")
            writer.write(b"GET /he")
            assert await reader.read() == b""
        assert node.parts.refusals == {"slow_head": 1}

    async def test_a_connection_between_two_requests_is_kept(self, node: Node) -> None:
        async with connected(node) as (reader, writer):
            writer.write(ALIVE)
            await reader.readuntil(b"}")
            assert await node.say(b"GET") == b""
            writer.write(ALIVE)
            await reader.readuntil(b"}")

    async def test_a_stream_goes_on_whatever_comes_behind_its_request(self, node: Node) -> None:
        async with connected(node) as (reader, writer):
            writer.write(
                f"GET /api/v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {node.keys['soc']}\r\n\r\n".encode()
            )
            await until(lambda: node.parts.hub.subscribers == 1)
            writer.write(b"GET /he")
            assert await node.say(b"GET") == b""
            await say(node)
            assert b"event: trust" in await reader.readuntil(b"event: trust\n")
        assert node.parts.refusals == {"slow_head": 1}


class TestNoIdleness:
    @pytest.fixture
    def limits(self) -> WebLimits:
        return WebLimits(idle_s=0.05)

    async def test_a_connection_without_a_next_request_is_closed(self, node: Node) -> None:
        answer = await node.say(ALIVE)
        assert answer.endswith(b"}")


class TestFewConnections:
    @pytest.fixture
    def limits(self) -> WebLimits:
        return WebLimits(connections=2)

    async def test_one_too_many_is_closed_until_another_leaves(self, node: Node) -> None:
        async with AsyncExitStack() as stack:
            for _ in range(2):
                reader, writer = await stack.enter_async_context(connected(node))
                writer.write(ALIVE)
                await reader.readuntil(b"}")
            async with connected(node) as (reader, _):
                assert await reader.read() == b""
            assert node.parts.refusals == {"too_many_connections": 1}
        async with asyncio.timeout(WAIT_S):
            while True:
                with suppress(ConnectionError):
                    if await node.say(LAST):
                        break
