"""A user's view of a node: HTTP with a token, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from ioint_node.errors import NodeError


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """How long the demo waits for a node, and for the story to move on."""

    request_s: float = 30.0
    poll_s: float = 0.05


class AnswerError(NodeError):
    """A node answered with an error; the message holds status and body."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}: {text[:300]}")
        self.status = status


class Client:
    """Requests to one node with one token."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, token: str, limits: ClientLimits | None = None
    ) -> None:
        self._http = http
        self.url = url
        self.headers = {"Authorization": f"Bearer {token}"}
        self._limits = limits or ClientLimits()

    async def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 - JSON of the contract
        """GET and decode JSON."""
        return await self._call("GET", path, params=query)

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON of the contract
        """POST JSON and decode the answer; an empty answer is None."""
        return await self._call("POST", path, data=msgspec.json.encode(body))

    async def items(self, path: str, **query: str) -> AsyncIterator[Mapping[str, Any]]:
        """Every item of a list, page by page."""
        cursor: str | None = None
        while True:
            page = await self.get(path, **query, **({"cursor": cursor} if cursor else {}))
            for item in page["items"]:
                yield item
            cursor = page["next"]
            if cursor is None:
                return

    async def until(self, path: str, holds: Callable[[Any], bool], *, within_s: float, **query: str) -> Any:  # noqa: ANN401
        """Poll a route until its answer satisfies `holds`; None when it did not within the time."""
        deadline = asyncio.get_running_loop().time() + within_s
        while True:
            answer = await self.get(path, **query)
            if holds(answer):
                return answer
            if asyncio.get_running_loop().time() > deadline:
                return None
            await asyncio.sleep(self._limits.poll_s)

    async def events(self, seen: Callable[[Mapping[str, Any]], None]) -> None:
        """Follow the stream as an engine does, from now on, until cancelled."""
        last = "0"
        while True:
            headers = {**self.headers, "Accept": "text/event-stream", "Last-Event-ID": last}
            try:
                async with self._http.get(
                    f"{self.url}/api/v1/stream", headers=headers, timeout=aiohttp.ClientTimeout(total=None)
                ) as answer:
                    if answer.status != 200:
                        raise AnswerError(answer.status, await answer.text())
                    async for line in answer.content:
                        text = line.decode().rstrip("\n")
                        if text.startswith("id:"):
                            last = text[3:].strip()
                        elif text.startswith("data:"):
                            seen(msgspec.json.decode(text[5:]))
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
                await asyncio.sleep(self._limits.poll_s)

    async def _call(self, method: str, path: str, **rest: Any) -> Any:  # noqa: ANN401
        headers = {**self.headers, "Content-Type": "application/json"}
        timeout = aiohttp.ClientTimeout(total=self._limits.request_s)
        async with self._http.request(
            method, self.url + path, headers=headers, timeout=timeout, **rest
        ) as answer:
            body = await answer.read()
            if answer.status >= 400:
                raise AnswerError(answer.status, body.decode(errors="replace"))
            return msgspec.json.decode(body) if body else None
