"""The stage: homes, a consortium and running nodes, made with the commands that an operator types."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from ioint_node.config import Config, RunInfo, load_config, read_run
from ioint_node.demo.client import Client
from ioint_node.errors import NodeError

TOKEN_ROLES = ("admin", "soc", "engine")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLimits:
    """How long the parts of the stage may take."""

    command_s: float = 60.0
    ready_s: float = 90.0
    connect_s: float = 60.0
    stop_s: float = 10.0


LIMITS = StageLimits()


class StageError(NodeError):
    """The stage could not be set; the message holds what the command or node said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """One organisation of the demo with its running node."""

    name: str
    home: Path
    hostile: bool
    process: asyncio.subprocess.Process
    url: str
    peer_id: str
    member: str
    tokens: dict[str, str]

    def client(self, http: aiohttp.ClientSession, role: str) -> Client:
        """A client with this organisation's token of a role."""
        return Client(http, self.url, self.tokens[role])


@asynccontextmanager
async def stage(
    root: Path, names: Sequence[str], *, network: bool, say: Callable[[str], None]
) -> AsyncIterator[tuple[Organisation, ...]]:
    """Make a home for every name, one consortium of all, and run the nodes; the last one is hostile.

    Raises:
        StageError: a command failed or a node did not become ready.
    """
    homes = [root / name for name in names]
    say("each organisation makes its home, keys and member card")
    await asyncio.gather(*(_prepare(home, name, port) for home, name, port in _ports(homes, names)))
    say("one of them founds the consortium; the others join it by its signed roster")
    await _found(homes)
    processes: list[asyncio.subprocess.Process] = []
    try:
        say("the nodes start, each a process of its own with its own database")
        for home, name in zip(homes, names, strict=True):
            processes.append(await _start(home, hostile=name == names[-1], network=network))
        async with aiohttp.ClientSession() as http:
            pairs = zip(homes, names, processes, strict=True)
            organisations = await asyncio.gather(
                *(
                    _ready(http, home, name, process, hostile=name == names[-1])
                    for home, name, process in pairs
                )
            )
            if network:
                say("they find each other over libp2p")
                await asyncio.gather(*(_connected(http, organisation) for organisation in organisations))
        yield tuple(organisations)
    finally:
        await asyncio.gather(*(_stop(process) for process in processes))


async def command(*arguments: str) -> bytes:
    """Run an `ioint` command and return its standard output.

    Raises:
        StageError: it failed; the message is its last line.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ioint_node",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await asyncio.wait_for(process.communicate(), LIMITS.command_s)
    if process.returncode:
        last = error.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise StageError(f"`ioint {' '.join(arguments)}` failed: {last[0]}")
    return out


def _ports(homes: Sequence[Path], names: Sequence[str]) -> list[tuple[Path, str, tuple[int, int]]]:
    # Held open together, so that the system cannot give one of them twice.
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2 * len(homes))]
    free = [int(taken.getsockname()[1]) for taken in held]
    for taken in held:
        taken.close()
    return [
        (home, name, (free[2 * index], free[2 * index + 1]))
        for index, (home, name) in enumerate(zip(homes, names, strict=True))
    ]


async def _prepare(home: Path, name: str, ports: tuple[int, int]) -> None:
    web, exchange = ports
    await command(
        "init", "--home", str(home), "--org", name, "--publish", "catalogue",
        "--web-port", str(web), "--exchange-port", str(exchange),
    )  # fmt: skip
    await command("consortium", "card", "--home", str(home), "--output", str(home / "card.json"))


async def _found(homes: Sequence[Path]) -> None:
    founder, *others = homes
    cards = [argument for home in others for argument in ("--card", str(home / "card.json"))]
    await command("consortium", "create", "--home", str(founder), "--name", "demo", *cards)
    roster = str(founder / "roster.bin")
    await asyncio.gather(
        *(command("consortium", "join", "--home", str(home), "--roster", roster) for home in others)
    )


async def _start(home: Path, *, hostile: bool, network: bool) -> asyncio.subprocess.Process:
    module = ("ioint_node.demo.hostile",) if hostile else ("ioint_node", "run")
    roles = () if network else ("--role", "web,scorer,jobs")
    with (home / "node.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", *module, "--home", str(home), *roles,
            stdin=asyncio.subprocess.PIPE if hostile else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if hostile else log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip


async def _ready(
    http: aiohttp.ClientSession, home: Path, name: str, process: asyncio.subprocess.Process, *, hostile: bool
) -> Organisation:
    config = load_config(home)
    run = await _until_listening(http, config, process)
    local = Client(http, run.url, config.token_file.read_text().strip())
    tokens = {role: str((await local.post("/api/v1/tokens", _terms(role)))["token"]) for role in TOKEN_ROLES}
    status = await local.get("/api/v1/status")
    return Organisation(
        name=name,
        home=home,
        hostile=hostile,
        process=process,
        url=run.url,
        peer_id=run.peer_id,
        member=str(status["member"]),
        tokens=tokens,
    )


def _terms(role: str) -> dict[str, Any]:
    return {"role": role, "tlp": "red" if role == "admin" else "amber"}


async def _until_listening(
    http: aiohttp.ClientSession, config: Config, process: asyncio.subprocess.Process
) -> RunInfo:
    deadline = asyncio.get_running_loop().time() + LIMITS.ready_s
    while asyncio.get_running_loop().time() < deadline:
        if process.returncode is not None:
            raise StageError(f"the node of {config.org} ended at once: see {config.home / 'node.log'}")
        if (run := read_run(config)) is not None:
            try:
                async with http.get(f"{run.url}/readyz") as answer:
                    if answer.status == 200:
                        return run
            except aiohttp.ClientConnectionError:
                pass
        await asyncio.sleep(0.1)
    raise StageError(
        f"the node of {config.org} was not ready in {LIMITS.ready_s:.0f} s: see {config.home / 'node.log'}"
    )


async def _connected(http: aiohttp.ClientSession, organisation: Organisation) -> None:
    found = await organisation.client(http, "admin").until(
        "/api/v1/peers",
        lambda page: all(peer["connected_since"] is not None for peer in page["items"]),
        within_s=LIMITS.connect_s,
    )
    if found is None:
        raise StageError(f"{organisation.name} did not reach every peer in {LIMITS.connect_s:.0f} s")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), LIMITS.stop_s)
    except TimeoutError:
        process.kill()
        await process.wait()


async def order(organisation: Organisation, **what: Any) -> dict[str, Any]:  # noqa: ANN401 - a JSON line
    """Tell the hostile organisation's driver what to do, and wait until it has done it."""
    process = organisation.process
    if process.stdin is None or process.stdout is None:
        raise StageError(f"{organisation.name} takes no orders: only the hostile node does")
    process.stdin.write(msgspec.json.encode(what) + b"\n")
    await process.stdin.drain()
    line = await asyncio.wait_for(process.stdout.readline(), LIMITS.command_s)
    if not line:
        raise StageError(f"the hostile node ended: see {organisation.home / 'node.log'}")
    answer: dict[str, Any] = msgspec.json.decode(line)
    return answer
