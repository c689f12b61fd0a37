"""The floor of propagation: as many nodes in this process, plain TCP on loopback, one signature verified per frame.

A frame is its length, an Ed25519 signature over the SHA-256 of its body, and the body. A node that heard one verifies
it, notes when, and passes it on where the topology says so. Nothing is parsed, stored, acknowledged or believed.
"""

from __future__ import annotations

import asyncio
import hashlib
import struct
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from nacl.signing import SigningKey, VerifyKey

from ioint_node.bench.place import BenchError

HEARD_S = 30.0
TURN = 4  # frames between two turns of the event loop
_LENGTH = struct.Struct(">I")
_SIGNATURE_BYTES = 64
_HEAD_BYTES = _LENGTH.size + _SIGNATURE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Relayed:
    """CPU seconds of this process, and seconds from each frame's sending to its hearing at the last node."""

    cpu_s: float
    latencies: tuple[float, ...]


class Ear(asyncio.Protocol):
    """One node's ear: verifies each frame, and hands it to `heard`."""

    def __init__(self, key: VerifyKey, heard: Callable[[bytes], None]) -> None:
        self._key, self._heard = key, heard
        self._buffer = bytearray()

    def data_received(self, data: bytes) -> None:
        """Hear every frame that is complete with this piece."""
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= _LENGTH.size:
            end = at + _LENGTH.size + _LENGTH.unpack_from(self._buffer, at)[0]
            if len(self._buffer) < end:
                break
            frame = bytes(self._buffer[at:end])
            digest = hashlib.sha256(memoryview(frame)[_HEAD_BYTES:]).digest()
            self._key.verify(digest, frame[_LENGTH.size : _HEAD_BYTES])
            self._heard(frame)
            at = end
        del self._buffer[:at]


def framed(key: SigningKey, body: bytes) -> bytes:
    """The frame of a body."""
    signature = key.sign(hashlib.sha256(body).digest()).signature
    return _LENGTH.pack(_SIGNATURE_BYTES + len(body)) + signature + body


async def relay(nodes: int, bodies: Sequence[bytes], *, in_line: bool, every_s: float = 0.0) -> Relayed:
    """Send these bodies from the first node to all others, one every `every_s` or as fast as it goes.

    Raises:
        BenchError: not everybody heard everything in time.
    """
    key = SigningKey.generate()
    said: dict[bytes, float] = {}
    latencies: list[float] = []
    missing = len(bodies) * (nodes - 1)
    everything = asyncio.Event()

    def heard(at: int, outs: Sequence[asyncio.WriteTransport], frame: bytes) -> None:
        nonlocal missing
        missing -= 1
        if at == nodes - 1:
            latencies.append(time.perf_counter() - said[frame[_LENGTH.size : _HEAD_BYTES]])
        for out in outs:
            out.write(frame)
        if not missing:
            everything.set()

    async with _connected(nodes, key.verify_key, heard, in_line=in_line) as outs:
        begin, cpu = time.perf_counter(), time.process_time()
        for number, body in enumerate(bodies):
            if every_s:
                await asyncio.sleep(begin + number * every_s - time.perf_counter())
            elif number % TURN == 0:
                await asyncio.sleep(0)
            frame = framed(key, body)
            said[frame[_LENGTH.size : _HEAD_BYTES]] = time.perf_counter()
            for out in outs:
                out.write(frame)
        try:
            async with asyncio.timeout(HEARD_S):
                await everything.wait()
        except TimeoutError:
            raise BenchError(f"the floor was not done within {HEARD_S:g} s") from None
        return Relayed(cpu_s=time.process_time() - cpu, latencies=tuple(latencies))


@asynccontextmanager
async def _connected(
    nodes: int,
    key: VerifyKey,
    heard: Callable[[int, Sequence[asyncio.WriteTransport], bytes], None],
    *,
    in_line: bool,
) -> AsyncIterator[Sequence[asyncio.WriteTransport]]:
    """The nodes, connected; gives the first one's ways out."""
    loop = asyncio.get_running_loop()
    outs: list[list[asyncio.WriteTransport]] = [[] for _ in range(nodes)]
    async with AsyncExitStack() as stack:
        for at in range(1, nodes):

            def ear(at: int = at) -> Ear:
                return Ear(key, lambda frame: heard(at, outs[at], frame))

            server = await loop.create_server(ear, "127.0.0.1", 0)
            stack.push_async_callback(server.wait_closed)
            stack.callback(server.close)
            port = server.sockets[0].getsockname()[1]
            transport, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", port)
            stack.callback(transport.close)
            outs[at - 1 if in_line else 0].append(transport)
        yield outs[0]
