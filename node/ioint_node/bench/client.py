"""A closed loop over HTTP/1.1 with kept connections: each sends its next request when the last answer is complete."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ioint_node.bench.place import BenchError

ANSWER_S = 30.0
SHOWN = 200  # characters of an answer that was none


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One POST: the path and the JSON body; without a body a GET."""

    path: str
    body: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a load took: the latency of each request in seconds, and the server's CPU seconds in all."""

    latencies: tuple[float, ...]
    cpu_s: float


async def load(
    url: str, token: str, lanes: Sequence[Sequence[Request]], pid: int, *, settle_s: float
) -> Sent:
    """Send every lane over a connection of its own, all at once; `settle_s` lets the server finish what it writes.

    Raises:
        BenchError: an answer was no success.
    """
    before = cpu_of(pid)
    found = await asyncio.gather(*(_lane(url, token, lane) for lane in lanes))
    await asyncio.sleep(settle_s)
    return Sent(latencies=tuple(one for lane in found for one in lane), cpu_s=cpu_of(pid) - before)


def cpu_of(pid: int) -> float:
    """CPU seconds of a process so far, in ticks of the system (10 ms)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _lane(url: str, token: str, requests: Sequence[Request]) -> list[float]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 20)
    latencies = []
    try:
        for data in _encoded(parts.netloc, token, requests):
            begin = time.perf_counter()
            writer.write(data)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ANSWER_S)
            body = await reader.readexactly(_length(head))
            latencies.append(time.perf_counter() - begin)
            if not head.startswith(b"HTTP/1.1 2"):
                raise BenchError(f"{head.splitlines()[0].decode()}: {body[:SHOWN].decode(errors='replace')}")
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return latencies


def _encoded(host: str, token: str, requests: Sequence[Request]) -> Iterator[bytes]:
    for request in requests:
        what = "GET" if request.body is None else "POST"
        head = f"{what} {request.path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
        if request.body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(request.body)}\r\n"
        yield head.encode() + b"\r\n" + (request.body or b"")


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":", 1)[1])
    return 0
