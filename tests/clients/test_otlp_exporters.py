"""Exporters of others, in both encodings, and the spans that the official MCP SDK makes."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients.telling import Session, target

pytestmark = pytest.mark.network
SCRIPTS = Path(__file__).parent / "js"


@pytest.fixture(scope="module")
def javascript() -> str:
    """The Node.js that is installed with the clients; in CI its absence is a failure."""
    found = shutil.which(str(SCRIPTS / "node_modules" / ".bin" / "node"))
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            "the JavaScript clients are not installed: run `make interop`"
        )
    return found


@pytest.fixture(scope="module")
def from_javascript(javascript: str, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Session]:
    async def send(folder: Path) -> Mapping[str, Session]:
        async with target(folder) as node:
            await node.run(javascript, str(SCRIPTS / "otlp_agent.mjs"))
            return await node.told()

    return asyncio.run(send(tmp_path_factory.mktemp("javascript")))


@pytest.fixture(scope="module")
def from_mcp(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Session]:
    async def send(folder: Path) -> Mapping[str, Session]:
        async with target(folder) as node:
            await node.python("mcp_client.py")
            return await node.told()

    return asyncio.run(send(tmp_path_factory.mktemp("mcp")))


def test_spans_in_chunked_and_compressed_json_are_read(from_javascript: Mapping[str, Session]) -> None:
    assert from_javascript["shop/support"].actions == [("get_order_status", {"order_id": 7})]


def test_what_was_said_in_log_records_joins_its_trace(from_javascript: Mapping[str, Session]) -> None:
    session = from_javascript["shop/support"]
    assert [one["text"] for one in session.of("prompt")] == ["Where is my order 7?"]
    assert [one["text"] for one in session.of("tool_result")] == ['{"status":"shipped"}']
    assert session.declared == "Answers questions about the status of orders.\nWhere is my order 7?"


def test_the_tokens_of_a_model_are_told(from_javascript: Mapping[str, Session]) -> None:
    data = [one["data"] for one in from_javascript["shop/support"].of("response")]
    assert data == [{"tokens": 17}]


def test_a_call_through_mcp_is_one_action_of_the_client(from_mcp: Mapping[str, Session]) -> None:
    assert list(from_mcp) == ["shop/support"]
    assert from_mcp["shop/support"].actions == [("get_order_status", {})]
