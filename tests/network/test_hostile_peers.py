"""The exchange process against peers that break every rule: it goes on, and serves the honest one.

Pubsub attacks are absent because pubsub is not run: no such protocol is offered.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from ioint_node.peers import HEADS, PUSH, Exchange, Handlers, PeerAddress, PeerLimits, PeerUnavailable

pytestmark = [pytest.mark.network, pytest.mark.asyncio(loop_scope="module")]

DEADLINE_S = 20.0
LIMITS = PeerLimits(
    upgrade_s=1.0,
    half_open=48,
    half_open_per_address=24,
    connections=4,
    frame_s=1.0,
    ping_every_s=1.0,
    ping_s=3.0,
    redial_first_s=0.1,
    redial_max_s=1.0,
    restart_first_s=0.05,
    restart_max_s=0.5,
)
ROOM_BYTES = 96 * 2**20
"""How much the process may grow under attack: a few connections' unread bytes."""


def seed_of(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


@dataclass
class Side:
    """One node's exchange with a handler that echoes, and two words that make it misbehave."""

    name: str
    limits: PeerLimits = LIMITS
    port: int = 0
    release: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        handlers = Handlers(push=self.answer, heads=self.answer, pull=self.answer, roster=self.answer)
        self.exchange = Exchange(
            seed=seed_of(self.name), listen=("127.0.0.1", self.port), handlers=handlers, limits=self.limits
        )

    async def answer(self, member: str, body: bytes) -> bytes:
        if body == b"raise":
            raise RuntimeError("a bug of ours")
        if body == b"wait":
            self.waiting.set()
            await self.release.wait()
        return b"\x02" + member.encode() + body

    def address(self, *, dial: bool) -> PeerAddress:
        assert self.exchange.peer_id is not None
        addresses = self.exchange.listen_addresses() if dial else ()
        return PeerAddress(member=self.name, peer_id=self.exchange.peer_id, addresses=addresses)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                await self.exchange.wait_change()

    def refused(self, member: str, reason: str) -> int:
        found = [row["refused"] for row in self.exchange.status() if row["member"] == member]
        return int(found[0].get(reason, 0)) if found else 0


class Attacker:
    """The hostile process and its command line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def does(self, case: str, victim: str, *, name: str = "hostile") -> object:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        command = json.dumps({"case": case, "victim": victim, "name": name}) + "\n"
        self.process.stdin.write(command.encode())
        async with asyncio.timeout(DEADLINE_S):
            line = await self.process.stdout.readline()
        return json.loads(line)["outcome"] if line else None


@asynccontextmanager
async def attacking() -> AsyncIterator[Attacker]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).parent / "attacker.py"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield Attacker(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def running(side: Side) -> AsyncIterator[Side]:
    task = asyncio.create_task(side.exchange.run())
    try:
        await side.until(side.exchange.listen_addresses)
        yield side
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def peer_id_of(name: str) -> str:
    from ioint_protocol import keys
    from nacl.signing import SigningKey

    return keys.peer_id(bytes(SigningKey(seed_of(name)).verify_key))


@dataclass
class Scene:
    """A victim, an honest peer that dials it, and a hostile process whose key is on the victim's list."""

    victim: Side
    honest: Side
    attacker: Attacker

    @property
    def target(self) -> str:
        return self.victim.exchange.listen_addresses()[0]

    @property
    def hostile(self) -> PeerAddress:
        return PeerAddress(member="hostile", peer_id=peer_id_of("hostile"))

    def admit(self) -> None:
        self.victim.exchange.set_peers([self.honest.address(dial=False), self.hostile])

    async def honest_connects(self) -> None:
        self.honest.exchange.set_peers([self.victim.address(dial=True)])
        await self.honest.until(self.honest.exchange.connected)
        await self.victim.until(lambda: "honest" in self.victim.exchange.connected())

    async def honest_leaves(self) -> None:
        self.honest.exchange.set_peers([])
        await self.victim.until(lambda: "honest" not in self.victim.exchange.connected())

    async def is_unharmed(self) -> None:
        assert self.victim.exchange.restarts == 0, "the process was replaced"
        await self.honest.until(self.honest.exchange.connected)
        answer = await self.honest.exchange.request("victim", PUSH, b"still there?", timeout_s=10)
        assert answer == b"\x02honeststill there?"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene() -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        attacker = await stack.enter_async_context(attacking())
        victim, honest = await asyncio.gather(
            stack.enter_async_context(running(Side("victim"))),
            stack.enter_async_context(running(Side("honest"))),
        )
        scene = Scene(victim, honest, attacker)
        scene.admit()
        await scene.honest_connects()
        yield scene


async def raw(target: str, data: bytes, *, source: str = "127.0.0.1") -> asyncio.StreamWriter:
    """A TCP connection that has sent these bytes."""
    port = int(target.split("/tcp/")[1].split("/", maxsplit=1)[0])
    _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    writer.write(data)
    return writer


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def shown_to_others(pid: int | None) -> bytes:
    """What the system tells of a process: its arguments and its environment."""
    return Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()


MULTISTREAM = b"\x13/multistream/1.0.0\n"


async def test_a_member_is_served_and_named_by_its_key(scene: Scene) -> None:
    assert await scene.attacker.does("connect", scene.target) == "\r\x02hostilehello"
    await scene.is_unharmed()


@pytest.mark.parametrize("before", [b"", MULTISTREAM + b"\x07/noise\n"], ids=["raw", "noise"])
async def test_garbage_before_the_handshake_is_refused(scene: Scene, before: bytes) -> None:
    count = scene.victim.exchange.refused_strangers().get("handshake", 0)
    writers = [await raw(scene.target, before + os.urandom(4096)) for _ in range(20)]
    for writer in writers:
        writer.close()
    await scene.victim.until(
        lambda: scene.victim.exchange.refused_strangers().get("handshake", 0) >= count + 20
    )
    await scene.is_unharmed()


async def test_a_stranger_that_announces_an_endless_line_costs_no_memory(scene: Scene) -> None:
    pid = scene.victim.exchange.process_id
    assert pid is not None
    before = peak_bytes(pid)
    count = scene.victim.exchange.refused_strangers().get("handshake", 0)
    for _ in range(6):
        writer = await raw(scene.target, b"\x80\x80\x80\x80\x04" + b"z" * 2**24)  # 1 GiB follows, it says
        with suppress(ConnectionError):
            await writer.drain()
        writer.transport.abort()
    await scene.victim.until(
        lambda: scene.victim.exchange.refused_strangers().get("handshake", 0) >= count + 6
    )
    await scene.is_unharmed()
    assert peak_bytes(pid) - before < 2**25


@pytest.mark.parametrize("security", ["/plaintext/2.0.0", "/secio/1.0.0", "/tls/1.0.0"])
async def test_no_other_security_than_noise_is_offered(scene: Scene, security: str) -> None:
    port = int(scene.target.split("/tcp/")[1].split("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    name = security.encode() + b"\n"
    writer.write(MULTISTREAM + bytes([len(name)]) + name)
    async with asyncio.timeout(5):
        answer = await reader.readexactly(len(MULTISTREAM) + 4)
    writer.close()
    assert answer == MULTISTREAM + b"\x03na\n"


async def test_a_key_that_is_not_on_the_list_is_refused_before_any_stream(scene: Scene) -> None:
    refused = scene.victim.exchange.refused_strangers
    count = refused().get("not_a_member", 0)
    assert str(await scene.attacker.does("connect", scene.target, name="stranger")).startswith("failed")
    await scene.victim.until(lambda: refused().get("not_a_member", 0) > count)
    await scene.is_unharmed()


async def test_a_removed_member_is_refused_and_a_readmitted_one_is_served(scene: Scene) -> None:
    scene.victim.exchange.set_peers([scene.honest.address(dial=False)])
    try:
        assert str(await scene.attacker.does("connect", scene.target)).startswith("failed")
    finally:
        scene.admit()
    assert await scene.attacker.does("connect", scene.target) == "\r\x02hostilehello"
    await scene.is_unharmed()


@pytest.mark.parametrize("case", ["ecdsa_identity", "rsa_identity"])
async def test_an_identity_that_is_not_ed25519_is_refused_unparsed(scene: Scene, case: str) -> None:
    refused = scene.victim.exchange.refused_strangers
    count = refused().get("not_ed25519", 0)
    assert str(await scene.attacker.does(case, scene.target)).startswith("failed")
    await scene.victim.until(lambda: refused().get("not_ed25519", 0) > count)
    await scene.is_unharmed()


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("oversized_frame", "frame_too_large"),
        ("endless_varint", "bad_frame"),
        ("unfinished_frame", "slow_frame"),
        ("reset_mid_frame", "stream_failed"),
        ("many_streams", "too_many_streams"),
        ("beyond_the_window", "buffers_full"),
    ],
)
async def test_a_hostile_member_is_refused_by_name_and_harms_nobody(
    scene: Scene, case: str, reason: str
) -> None:
    pid = scene.victim.exchange.process_id
    assert pid is not None
    before = peak_bytes(pid)
    outcome = await scene.attacker.does(case, scene.target)
    assert not str(outcome).startswith("failed"), outcome
    await scene.victim.until(lambda: scene.victim.refused("hostile", reason))
    await scene.is_unharmed()
    assert peak_bytes(pid) - before < ROOM_BYTES
    scene.victim.release.set()


async def test_garbage_where_the_muxer_expects_frames_ends_only_that_connection(scene: Scene) -> None:
    pid = scene.victim.exchange.process_id
    assert pid is not None
    before = peak_bytes(pid)
    assert not str(await scene.attacker.does("muxer_garbage", scene.target)).startswith("failed")
    await scene.victim.until(lambda: "hostile" not in scene.victim.exchange.connected())
    await scene.is_unharmed()
    assert peak_bytes(pid) - before < ROOM_BYTES


async def test_inbound_places_are_given_back(scene: Scene) -> None:
    assert await scene.attacker.does("reconnect", scene.target) == 5  # more than LIMITS.connections
    await scene.honest_leaves()
    await scene.honest_connects()
    await scene.is_unharmed()


async def test_idle_connections_from_elsewhere_do_not_keep_an_honest_peer_out(scene: Scene) -> None:
    await scene.honest_leaves()
    writers = [await raw(scene.target, b"", source="127.0.0.2") for _ in range(150)]
    try:
        refused = scene.victim.exchange.refused_strangers
        await scene.victim.until(lambda: refused().get("too_many_from_address", 0) >= 100)
        await scene.honest_connects()
        await scene.is_unharmed()
    finally:
        for writer in writers:
            writer.transport.abort()


async def test_our_own_bug_in_an_answer_is_the_peers_refused_request_and_no_more(scene: Scene) -> None:
    with pytest.raises(PeerUnavailable):
        await scene.honest.exchange.request("victim", HEADS, b"raise", timeout_s=5)
    await scene.victim.until(lambda: scene.victim.refused("honest", "no_answer"))
    await scene.is_unharmed()


async def test_a_peer_killed_in_the_middle_of_a_frame_is_noticed(scene: Scene) -> None:
    async with attacking() as doomed:
        await doomed.does("die", scene.target)
        await scene.victim.until(lambda: "hostile" not in scene.victim.exchange.connected())
    await scene.is_unharmed()


async def test_a_peer_that_stopped_answering_is_dropped_and_comes_back(scene: Scene) -> None:
    pid = scene.honest.exchange.process_id
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        await scene.victim.until(lambda: "honest" not in scene.victim.exchange.connected())
    finally:
        os.kill(pid, signal.SIGCONT)
    await scene.victim.until(lambda: "honest" in scene.victim.exchange.connected())
    await scene.honest.until(lambda: "victim" in scene.honest.exchange.connected())
    await scene.is_unharmed()


async def test_a_killed_exchange_process_is_replaced_and_its_peers_come_back(scene: Scene) -> None:
    victim, honest = scene.victim, scene.honest
    victim.release.clear()
    victim.waiting.clear()
    pending = asyncio.create_task(honest.exchange.request("victim", HEADS, b"wait", timeout_s=10))
    own = asyncio.create_task(victim.exchange.request("honest", HEADS, b"wait", timeout_s=10))
    async with asyncio.timeout(5):
        await victim.waiting.wait()
        await honest.waiting.wait()
    pid = victim.exchange.process_id
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    for request in (pending, own):
        with pytest.raises(PeerUnavailable):
            await request
    victim.release.set()
    honest.release.set()
    await victim.until(lambda: victim.exchange.process_id not in (None, pid))
    await honest.until(lambda: "victim" in honest.exchange.connected())
    assert victim.exchange.restarts == 1
    answer = await honest.exchange.request("victim", PUSH, b"again")
    assert answer == b"\x02honestagain"


async def test_a_port_that_is_taken_is_not_shared_and_the_log_says_so(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    port = int(scene.target.split("/tcp/")[1].split("/")[0])
    second = Side("second", port=port)
    task = asyncio.create_task(second.exchange.run())
    try:
        await second.until(lambda: second.exchange.restarts)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in caplog.text


async def test_the_exchange_process_ends_with_its_node() -> None:
    async with running(Side("brief")) as side:
        pid = side.exchange.process_id
        assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_the_key_is_in_neither_the_arguments_nor_the_environment(scene: Scene) -> None:
    seen = shown_to_others(scene.victim.exchange.process_id)
    assert seed_of("victim").hex().encode() not in seen
    assert seed_of("victim") not in seen
