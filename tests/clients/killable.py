"""A node in a process of its own that can be killed: members' records arrive as they would, each when a line comes.

python -m tests.clients.killable DATABASE     # says where it listens; takes the number of a segment on each line
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from ioint_node.flows import believe
from ioint_node.flows.receive import receive_segment
from ioint_node.store.engine import WriterLimits, open_store
from ioint_node.web import WebLimits, WebParts, build_web, serve
from ioint_protocol import Record, Withdrawal, encode_record, record_id

from tests.node.web.conftest import NOW, Clock, Node, make_consortium, make_parts

MEMBERS = ("contoso", "fabrikam", "initech", "umbrella")
PATTERNS = 10


def script(parts: WebParts) -> Sequence[tuple[str, bytes]]:
    """The members' segments, in order, the same at every start: reports of patterns, and some of them taken back."""
    consortium, said = make_consortium(NOW), []
    names = sorted(parts.exchange.catalogue.entries)[:PATTERNS]
    node = Node.__new__(Node)
    node.parts, node.clock = parts, Clock()
    for member in MEMBERS:
        for name in names:
            report = node.report(name)
            said.append((member, consortium.segment(member, report)))
            if member == "contoso":
                back: Record = Withdrawal(of=record_id(encode_record(report)), reason="mistake")
                said.append((member, consortium.segment(member, back)))
    return tuple(said)


async def main(database: str) -> None:
    """Serve and take segments until standard input ends or the process does."""
    limits, clock = WebLimits(heartbeat_s=1.0), Clock()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with open_store(f"sqlite+aiosqlite:///{database}", WriterLimits(group_s=0.001)) as store:
        consortium = make_consortium(NOW)
        parts = make_parts(store, consortium, clock, limits, [])
        await believe.reload(parts.exchange, clock.now)
        segments = script(parts)
        async with serve(build_web(parts), "127.0.0.1", 0, parts) as url:
            print(url, len(segments), flush=True)  # noqa: T201 - how the test learns it
            while line := await reader.readline():
                member, wire = segments[int(line)]
                await receive_segment(parts.exchange, wire, consortium.member(member), clock.now)
                print(int(line), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
