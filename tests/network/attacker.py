"""A member that has turned hostile, as a process: reads one JSON command a line, does it, answers one JSON line.

It is libp2p itself, unguarded, so that what it sends is what a real peer could send.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

import trio
from libp2p import new_host
from libp2p.abc import IHost, INetStream
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.rsa import create_new_key_pair as create_rsa_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import StreamHandlerFn, TProtocol
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.security.noise import messages
from libp2p.security.noise.pb import noise_pb2
from libp2p.security.noise.transport import PROTOCOL_ID, Transport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # the library ships no types

PUSH = TProtocol("/ioint/push/1.0.0")
Case = Callable[[str, KeyPair], Awaitable[object]]


def keys_of(name: str) -> KeyPair:
    return create_new_key_pair(hashlib.sha256(name.encode()).digest())


@asynccontextmanager
async def connected(
    victim: str, keys: KeyPair, serves: Mapping[str, StreamHandlerFn] | None = None
) -> AsyncIterator[tuple[IHost, Any]]:
    info = info_from_p2p_addr(Multiaddr(victim))
    noise = Transport(keys, noise_privkey=create_noise_key_pair().private_key)
    host = new_host(key_pair=keys, sec_opt={PROTOCOL_ID: noise}, muxer_opt={TProtocol(YAMUX): Yamux})
    for protocol, handler in (serves or {}).items():
        host.set_stream_handler(TProtocol(protocol), handler)
    async with host.run(listen_addrs=[Multiaddr("/ip4/127.0.0.1/tcp/0")]):
        try:
            with trio.fail_after(5):
                await host.connect(info)
            yield host, info.peer_id
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(2):
                await host.close()


async def push_stream(host: IHost, victim: Any) -> INetStream:
    with trio.fail_after(5):
        return await host.new_stream(victim, [PUSH])


async def ends(stream: INetStream) -> str:
    """How the victim ends a stream: by a close or by a reset."""
    with trio.fail_after(8):
        try:
            while await stream.read(1024):
                pass
        except Exception as error:
            return type(error).__name__
    return "closed"


async def connect(victim: str, keys: KeyPair) -> object:
    async with connected(victim, keys) as (host, peer):
        stream = await push_stream(host, peer)
        await stream.write(b"\x05hello")
        with trio.fail_after(5):
            return (await stream.read(64)).decode(errors="replace")


async def reconnect(victim: str, keys: KeyPair) -> object:
    for _ in range(5):
        await connect(victim, keys)
    return 5


async def oversized_frame(victim: str, keys: KeyPair) -> object:
    async with connected(victim, keys) as (host, peer):
        stream = await push_stream(host, peer)
        await stream.write(b"\x80\x80\x40" + b"z" * 1000)
        return await ends(stream)


async def endless_varint(victim: str, keys: KeyPair) -> object:
    async with connected(victim, keys) as (host, peer):
        stream = await push_stream(host, peer)
        await stream.write(b"\xff" * 100)
        return await ends(stream)


async def unfinished_frame(victim: str, keys: KeyPair) -> object:
    async with connected(victim, keys) as (host, peer):
        stream = await push_stream(host, peer)
        await stream.write(b"\x64half")
        return await ends(stream)


async def reset_mid_frame(victim: str, keys: KeyPair) -> object:
    async with connected(victim, keys) as (host, peer):
        for _ in range(30):
            stream = await push_stream(host, peer)
            await stream.write(b"\xe8\x07abc")
            await stream.reset()
    return 30


async def many_streams(victim: str, keys: KeyPair) -> object:
    opened = 0
    async with connected(victim, keys) as (host, peer):

        async def one() -> None:
            nonlocal opened
            try:
                await push_stream(host, peer)
            except Exception:
                return
            opened += 1

        with trio.move_on_after(8):
            async with trio.open_nursery() as nursery:
                for _ in range(200):
                    nursery.start_soon(one)
    return opened


async def beyond_the_window(victim: str, keys: KeyPair) -> object:
    async with connected(victim, keys) as (host, peer):
        stream = await push_stream(host, peer)
        await stream.write(b"\x04wait")
        inner: Any = stream.muxed_stream  # type: ignore[attr-defined]
        sent = 0
        try:
            with trio.move_on_after(8):
                while sent < 64 * 2**20:
                    inner.send_window = 2**30
                    await stream.write(b"z" * 2**20)
                    sent += 2**20
        except Exception as error:
            return type(error).__name__
    return sent


async def muxer_garbage(victim: str, keys: KeyPair) -> object:
    async with connected(victim, keys) as (host, peer):
        network: Any = host.get_network()
        session = network.get_connections(peer)[0].muxed_conn.secured_conn
        sent = 0
        try:
            with trio.move_on_after(3):
                for size in (1, 12, 13, 4_096, 60_000) * 8:
                    await session.write(os.urandom(size))
                    sent += size
        except Exception as error:
            return type(error).__name__
    return sent


async def ecdsa_identity(victim: str, keys: KeyPair) -> object:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    noise = create_noise_key_pair()
    signed = messages.SIGNED_DATA_PREFIX.encode() + noise.public_key.to_bytes()
    # libp2p's key message: field 1 the type (3 = ECDSA), field 2 the bytes.
    identity = b"\x08\x03\x12" + bytes([len(public)]) + public
    wire = noise_pb2.NoiseHandshakePayload(
        identity_key=identity, identity_sig=private.sign(signed, ec.ECDSA(hashes.SHA256()))
    ).SerializeToString()
    with patch.object(messages.NoiseHandshakePayload, "serialize", lambda _: wire):
        return await connect(victim, keys)


async def rsa_identity(victim: str, keys: KeyPair) -> object:
    del keys
    return await connect(victim, create_rsa_key_pair())


async def die(victim: str, keys: KeyPair) -> object:
    async with connected(victim, keys) as (host, peer):
        stream = await push_stream(host, peer)
        await stream.write(b"\x64half")
        os.kill(os.getpid(), 9)
    return None


CASES: dict[str, Case] = {
    case.__name__: case
    for case in (
        connect,
        reconnect,
        oversized_frame,
        endless_varint,
        unfinished_frame,
        reset_mid_frame,
        many_streams,
        beyond_the_window,
        muxer_garbage,
        ecdsa_identity,
        rsa_identity,
        die,
    )
}


async def main() -> None:
    async for line in trio.wrap_file(sys.stdin):
        command = json.loads(line)
        try:
            outcome = await CASES[command["case"]](command["victim"], keys_of(command["name"]))
        except (Exception, BaseExceptionGroup) as error:
            outcome = f"failed: {type(error).__name__}"
        sys.stdout.write(json.dumps({"outcome": outcome}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    trio.run(main)
