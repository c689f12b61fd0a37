"""A member that has turned hostile: its own key, on its own host, with libp2p itself and nothing of a node.

`python -m tests.hosts.hostile HOME CONSORTIUM` reads one JSON order a line, `{"case", "victim", …}`, does it, and
answers one JSON line. A case returns what the victim made of it, as far as the victim told. What breaks the transport
alone is in `tests/network/attacker.py` and is done from here too.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import trio
from ioint_node.config import load_keys
from ioint_node.peers.wire import Unframer, frame
from ioint_protocol import (
    Report,
    build_segment,
    bundle,
    encode_record,
    equivocation_proof,
    parse_segment,
    sync,
)
from ioint_protocol.segment import GENESIS
from ioint_taxonomy import load_catalogue, load_taxonomy
from libp2p.abc import IHost, INetStream
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.custom_types import TProtocol

from tests.network import attacker

FRAME_BYTES: Final = 327_680
ANSWER_S: Final = 8.0
MESSAGE_BYTES: Final = 10 * 2**20
STREAMS: Final = 1_000
REPLAYS: Final = 25
GARBAGE: Final = (b"", b"\xff" * 64, b'{"v":1}', b"IOSG" + bytes(range(256)), b"[" * 5_000, b"z" * 300_000)
IDLE: Final = 300
IDLE_S: Final = 60.0
FLOOD_S: Final = 3.0
PULLS_UNREAD: Final = 2_000
"""Requests whose answers are not read: many times what a stream's window holds."""
UNREAD_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """Who we are, and whom an order is about: `victim` is a multiaddr, `author` a member whose log it has."""

    keys: KeyPair
    home: Path
    consortium: str
    member: str
    victim: str
    author: str = ""
    stale: bytes = b""

    def segment(self, seq: int, prev: str, *, agents: int, author: str = "") -> bytes:
        """A well-formed lie: a report of a pattern that nobody met; `agents` makes another of it.

        Signed with our key, whoever the author is said to be.
        """
        today = int(time.time()) // 86_400
        lie = Report(
            tax=load_taxonomy().version,
            kind="pattern",
            pat=max(load_catalogue().entries),
            intents=("goal_hijack",),
            basis="threshold",
            bad=agents,
            seen=agents,
            agents=agents,
            day_from=today,
            day_until=today,
            det="0" * 64,
            tlp="green",
        )
        key = load_keys(self.home).record_key
        return build_segment(key, self.consortium, author or self.member, seq, prev, 1, [encode_record(lie)])


class Talk:
    """A stream of one protocol to a victim: requests and answers, one after the other."""

    def __init__(self, stream: INetStream) -> None:
        self.stream, self._unframer = stream, Unframer(FRAME_BYTES)

    async def ask(self, body: bytes) -> bytes | None:
        """The answer to a request, or None when the victim ends the stream."""
        try:
            with trio.fail_after(ANSWER_S):
                await self.stream.write(frame(body))
                while (answer := self._unframer.next()) is None:
                    data = await self.stream.read(65_536)
                    if not data:
                        return None
                    self._unframer.feed(data)
                return answer
        except Exception:
            return None


async def talk(host: IHost, peer: Any, protocol: str) -> Talk:
    with trio.fail_after(ANSWER_S):
        return Talk(await host.new_stream(peer, [TProtocol(protocol)]))


async def push(us: Hostile, victim: str, wires: Sequence[bytes]) -> list[str]:
    """Push segments and tell what the victim says of each: `accepted`, or why not."""
    async with attacker.connected(victim, us.keys) as (host, peer):
        line = await talk(host, peer, sync.PUSH)
        answers = [await line.ask(wire) for wire in wires]
    told = [sync.decode_push_answer(answer) for answer in answers if answer is not None]
    return [answer.why or answer.result for answer in told]


async def lie(us: Hostile) -> object:
    """Begin an own log, as any member may."""
    return await push(us, us.victim, [us.segment(1, GENESIS, agents=3)])


async def replay(us: Hostile) -> object:
    """Send again what was sent long ago: our own, and the log of another member that the victim itself hands out."""
    async with attacker.connected(us.victim, us.keys) as (host, peer):
        line = await talk(host, peer, sync.PULL)
        answer = await line.ask(
            sync.encode_pull_request(sync.Range(author=us.author, from_seq=1, to_seq=100))
        )
    old = sync.decode_pull_answer(answer or b"")
    return await push(us, us.victim, [us.segment(1, GENESIS, agents=3), *old] * REPLAYS)


async def garbage(us: Hostile) -> object:
    """Say what no protocol knows, to every protocol: an answer is a refusal, none is a stream that was ended."""
    said = 0
    async with attacker.connected(us.victim, us.keys) as (host, peer):
        for protocol in sync.PROTOCOLS:
            for body in GARBAGE:
                await (await talk(host, peer, protocol)).ask(body)
                said += 1
    return said


async def changed_byte(us: Hostile) -> object:
    """The next segment of our own log with its last byte changed."""
    head = parse_segment(us.segment(1, GENESIS, agents=3)).head
    wire = us.segment(2, head, agents=4)
    return await push(us, us.victim, [wire[:-1] + bytes([wire[-1] ^ 1])])


async def ten_megabytes(us: Hostile) -> object:
    """One message of 10 MB, sent for as long as somebody takes it."""
    async with attacker.connected(us.victim, us.keys) as (host, peer):
        line = await talk(host, peer, sync.PUSH)
        sent = 0
        try:
            with trio.fail_after(ANSWER_S):
                await line.stream.write(b"\x80\x80\x80\x05")  # 10 MB, as a varint
                while sent < MESSAGE_BYTES:
                    await line.stream.write(b"z" * 65_536)
                    sent += 65_536
        except Exception as error:
            return f"{sent} bytes: {type(error).__name__}"
    return sent


async def thousand_streams(us: Hostile) -> object:
    """Open streams, all at once, and hold what opens; tells how many did not."""
    refused = 0
    async with attacker.connected(us.victim, us.keys) as (host, peer):
        with trio.move_on_after(ANSWER_S):
            async with trio.open_nursery() as nursery:
                tried = 0

                async def one() -> None:
                    nonlocal refused, tried
                    try:
                        await talk(host, peer, sync.PUSH)
                    except Exception:
                        refused += 1
                    tried += 1
                    if tried == STREAMS:
                        nursery.cancel_scope.cancel()

                for _ in range(STREAMS):
                    nursery.start_soon(one)
    return refused


async def pull_flood(us: Hostile) -> object:
    """Ask for the same log on many streams at once, as fast as answers come."""
    asked = 0
    body = sync.encode_pull_request(sync.Range(author=us.author, from_seq=1, to_seq=256))
    async with attacker.connected(us.victim, us.keys) as (host, peer):

        async def one() -> None:
            nonlocal asked
            while True:
                line = await talk(host, peer, sync.PULL)
                while await line.ask(body) is not None:
                    asked += 1

        async def ever() -> None:
            while True:
                try:
                    await one()
                except Exception:
                    await trio.lowlevel.checkpoint()

        with trio.move_on_after(FLOOD_S):
            async with trio.open_nursery() as nursery:
                for _ in range(14):  # fewer than the streams that a member may have
                    nursery.start_soon(ever)
    return asked


async def slow_reader(us: Hostile) -> object:
    """Ask and never read an answer; tells how it ends."""
    body = frame(sync.encode_pull_request(sync.Range(author=us.author, from_seq=1, to_seq=256)))
    async with attacker.connected(us.victim, us.keys) as (host, peer):
        line = await talk(host, peer, sync.PULL)
        muxed: Any = line.stream.muxed_stream  # type: ignore[attr-defined]
        try:
            with trio.fail_after(UNREAD_S):
                for _ in range(PULLS_UNREAD):
                    await line.stream.write(body)
                while not muxed.closed:  # noqa: ASYNC110 - the library tells nobody
                    await trio.sleep(0.05)
        except trio.TooSlowError:
            return "endured"
        except Exception as error:
            return f"ended: {type(error).__name__}"
    return "ended"


async def stale_roster(us: Hostile) -> object:
    """Tell the victim, when it asks for the roster, of one that was replaced, in files that it may have asked for."""
    files = bundle.read_files(us.stale)
    later = {name: data for name, data in files.items() if bundle.kind_of(name) != "root"}
    return await lure(us, sync.ROSTER, {sync.ROSTER: bundle.write_files(later)})


async def lying_source(us: Hostile) -> object:
    """Claim to have much more of a member's log than there is, and hand out garbage for it."""
    heads = sync.encode_heads_answer({us.author: (10**6, "f" * 64)}, have="")
    garbage = sync.encode_pull_answer([b"IOSG" + bytes(200)])
    return await lure(us, sync.PULL, {sync.ROSTER: b"", sync.HEADS: heads, sync.PULL: garbage})


async def forged_proof(us: Hostile) -> object:
    """Claim that another member has two histories, and prove it with our own signatures under its key's name."""
    one, other = (us.segment(1, GENESIS, agents=agents, author=us.author) for agents in (3, 6))
    heads = sync.encode_heads_answer({us.author: sync.CONVICTED}, have="")
    # The key of a member's beginning and the member have one id.
    ours, theirs = bytes.fromhex(load_keys(us.home).member), bytes.fromhex(us.author)
    proof = sync.encode_proof_answer([equivocation_proof(one, other).replace(ours, theirs)])
    return await lure(us, sync.PROOF, {sync.ROSTER: b"", sync.HEADS: heads, sync.PROOF: proof})


async def idle_connections(us: Hostile) -> object:
    """Hold as many connections open as we can, from one address, and say nothing on any of them."""
    _, _, address, _, port, *_ = us.victim.split("/")
    opened = 0

    async def one() -> None:
        nonlocal opened
        while True:
            try:
                async with await trio.open_tcp_stream(address, int(port)) as stream:
                    opened += 1
                    await stream.receive_some(1)
            except OSError:
                await trio.sleep(0.05)

    with trio.move_on_after(IDLE_S):
        async with trio.open_nursery() as nursery:
            for _ in range(IDLE):
                nursery.start_soon(one)
    return opened


async def equivocate(us: Hostile) -> object:
    """Two histories: the second segment of one height convicts us."""
    return await push(us, us.victim, [us.segment(1, GENESIS, agents=3), us.segment(1, GENESIS, agents=6)])


async def roster_of(us: Hostile) -> object:
    """What the victim tells somebody who has no roster yet, in hex."""
    async with attacker.connected(us.victim, us.keys) as (host, peer):
        answer = await (await talk(host, peer, sync.ROSTER)).ask(b'{"root":0,"timestamp":0}')
        return (answer or b"").hex()


async def lure(us: Hostile, wanted: str, answers: Mapping[str, bytes]) -> int:
    """Let the victim ask us; each protocol has one answer. Returns how often it asked for what is `wanted`."""
    asked = 0
    first = trio.Event()

    async def serve(stream: INetStream) -> None:
        nonlocal asked
        protocol, line = str(stream.get_protocol()), Unframer(FRAME_BYTES)
        while data := await stream.read(4_096):
            line.feed(data)
            while line.next() is not None:
                await stream.write(frame(answers[protocol]))
                if protocol == wanted:
                    asked += 1
                    first.set()

    async with attacker.connected(us.victim, us.keys, dict.fromkeys(answers, serve)) as (host, peer):
        with trio.move_on_after(ANSWER_S):
            await first.wait()
            # The victim has read our answer when it has answered what we ask after it on the same connection.
            await (await talk(host, peer, sync.HEADS)).ask(sync.encode_heads_request({}))
    return asked


def _transport(case: attacker.Case) -> Callable[[Hostile], Awaitable[object]]:
    return lambda us: case(us.victim, us.keys)


CASES: dict[str, Callable[[Hostile], Awaitable[object]]] = {
    **{name: _transport(case) for name, case in attacker.CASES.items()},
    **{
        case.__name__: case
        for case in (
            lie,
            replay,
            garbage,
            changed_byte,
            ten_megabytes,
            thousand_streams,
            pull_flood,
            slow_reader,
            stale_roster,
            lying_source,
            forged_proof,
            idle_connections,
            equivocate,
            roster_of,
        )
    },
}


async def main(home: Path, consortium: str) -> None:
    keys = load_keys(home)
    async for line in trio.wrap_file(sys.stdin):
        order = json.loads(line)
        us = Hostile(
            keys=create_new_key_pair(keys.node_seed),
            home=home,
            consortium=consortium,
            member=keys.member,
            victim=order["victim"],
            author=order.get("author", ""),
            stale=bytes.fromhex(order.get("stale", "")),
        )
        try:
            outcome = await CASES[order["case"]](us)
        except (Exception, BaseExceptionGroup) as error:
            outcome = f"failed: {type(error).__name__}: {error}"
        sys.stdout.write(json.dumps({"outcome": outcome}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    trio.run(main, Path(sys.argv[1]), sys.argv[2])
