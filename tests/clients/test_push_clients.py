"""Programs that others wrote hear the stream and verify what webhooks post: EventSource and Standard Webhooks."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import pytest
from ioint_node.webhook_keys import make_secret, signed

from tests.interop.conftest import find_node
from tests.node.web.conftest import Node, boundary, empty_database, limits, node
from tests.node.web.test_stream import say

__all__ = ["boundary", "empty_database", "limits", "node"]  # fixtures
pytestmark = pytest.mark.network
FOLDER = Path(__file__).parent / "js"
WAIT_S = 30.0


@pytest.fixture(scope="module")
def javascript() -> str:
    """The Node.js to run; in CI its absence is a failure."""
    found = find_node()
    if found is None or not (FOLDER / "node_modules" / "eventsource").exists():
        reason = "the JavaScript clients are not installed: run `npm ci` in tests/clients/js"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    return found


async def test_an_event_source_hears_the_stream_and_comes_back_for_what_it_missed(
    node: Node, javascript: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        javascript,
        str(FOLDER / "stream.mjs"),
        f"{node.url}/api/v1/stream?events=trust",
        node.keys["engine"],
        "4",
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(WAIT_S):
        assert await process.stdout.readline() == b"open\n"
        while not node.parts.hub.subscribers:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0)
        first = await say(node, 2)
        heard = [json.loads(await process.stdout.readline()) for _ in first]
        for transport in [one.transport for group in node.parts.hub._groups.values() for one in group]:
            transport.abort()
        missed = await say(node, 2)
        assert await process.stdout.readline() == b"open\n"
        heard += [json.loads(await process.stdout.readline()) for _ in missed]
        await process.wait()
    assert [int(one["id"]) for one in heard] == first + missed
    assert {one["event"] for one in heard} == {"trust"}


async def test_a_post_verifies_with_the_library_for_javascript(javascript: str) -> None:
    secret, body = make_secret("v1"), b'{"type":"response","data":{"seq":7,"text":"\xc3\xa9"}}'
    headers = signed([make_secret("v1"), secret], "msg_1_7", int(time.time()), body)
    process = await asyncio.create_subprocess_exec(
        javascript,
        str(FOLDER / "webhook.mjs"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=FOLDER,
    )
    given = json.dumps({"secret": secret, "headers": headers, "body": body.decode()}).encode()
    async with asyncio.timeout(WAIT_S):
        said, _ = await process.communicate(given)
    assert json.loads(said) == json.loads(body)
