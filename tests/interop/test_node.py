"""A member whose node is another program, in another language, on another libp2p."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from ioint_node.config import load_config, load_keys
from ioint_node.config.files import write_private
from ioint_node.demo import stage
from ioint_node.demo.cast import SHIPPED
from ioint_node.demo.client import Client
from ioint_node.demo.play import Playback, read_recorded
from ioint_protocol import build_segment
from ioint_protocol.segment import GENESIS
from nacl.signing import SigningKey

from tests.interop.conftest import FOLDER

pytestmark = [pytest.mark.network, pytest.mark.asyncio(loop_scope="module")]

WITHIN_S = 30.0
POLL_S = 0.05
QUIET_PORTS = (20_000, 32_000)
DAY_S = 86_400
INCIDENT = "demo-08"
PACKAGE = {"kind": "subject", "subj": "pkg:npm/not-a-real-package@9.9.9", "bad": 2, "seen": 3}
NETWORK_PART = {
    "P": "accusing",
    "N": "benign",
    "P_b": "after_b",
    "N_b": "benign_after_b",
    "P_q": "after_q",
    "n": "groups",
    "b": "b",
    "q": "q",
    "tier": "tier",
    "state": "state",
    "score": "score",
    "confidence": "confidence",
}
WITHDRAWAL = b'{"of":"%s","reason":"mistake","v":1}' % (b"a" * 64)
NAMES = ("alpha", "beta", "gamma")  # gamma's node is the JavaScript one


class JavaScriptNode:
    """The process and its command line: one JSON object a line, one JSON answer a line."""

    def __init__(
        self, process: asyncio.subprocess.Process, introduced: Mapping[str, Any], key: SigningKey
    ) -> None:
        self._process = process
        self.member = str(introduced["member"])
        self.consortium = str(introduced["consortium"])
        self.key = key  # of its records

    async def does(self, what: str, **more: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **more}).encode() + b"\n")
        return await _line(self._process)

    async def reports(self) -> list[Mapping[str, Any]]:
        return [record for record in await self.does("records") if record["type"] == "report"]


@dataclass(frozen=True, kw_only=True)
class Consortium:
    """Two nodes of this project and one of the other kind, all founders, each a group of its own."""

    alpha: stage.Organisation
    beta: stage.Organisation
    gamma: JavaScriptNode
    http: aiohttp.ClientSession

    def soc(self, organisation: stage.Organisation) -> Client:
        return organisation.client(self.http, "soc")

    async def records(self, organisation: stage.Organisation) -> list[Mapping[str, Any]]:
        return [row async for row in self.soc(organisation).items("/api/v1/records")]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def consortium(javascript: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Consortium]:
    homes = [tmp_path_factory.mktemp("interop") / name for name in NAMES]
    ports = [(free_port(), free_port()) for _ in NAMES]
    await asyncio.gather(
        *(stage._prepare(home, home.name, each) for home, each in zip(homes, ports, strict=True))
    )
    await stage._found(homes)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        gamma = await stack.enter_async_context(javascript_node(javascript, homes[2]))
        alpha, beta = await asyncio.gather(*(started(stack, http, home) for home in homes[:2]))
        yield Consortium(alpha=alpha, beta=beta, gamma=gamma, http=http)


def free_port() -> int:
    """A port below those that the system gives away by itself, so that it is still free when a node wants it."""
    chance = random.SystemRandom()
    for port in chance.sample(range(*QUIET_PORTS), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


async def started(stack: AsyncExitStack, http: aiohttp.ClientSession, home: Path) -> stage.Organisation:
    process = await stage._start(home, hostile=False, network=True)
    stack.push_async_callback(stage._stop, process)
    return await stage._ready(http, home, home.name, process, hostile=False)


@asynccontextmanager
async def javascript_node(javascript: str, home: Path) -> AsyncIterator[JavaScriptNode]:
    """The other program, with the keys of a home that the real commands made."""
    shown = json.loads(await stage.command("consortium", "show", "--home", str(home), "-o", "json"))
    keys, config = load_keys(home), load_config(home)
    settings = {
        "node_seed": keys.node_seed.hex(),
        "record_seed": keys.record_seed.hex(),
        "roster": (home / "roster.bin").read_bytes().hex(),
        "consortium": shown["consortium"],
        "listen": f"/ip4/127.0.0.1/tcp/{config.exchange_port}",
    }
    path = home / "javascript.json"
    write_private(path, json.dumps(settings).encode())
    process = await asyncio.create_subprocess_exec(
        javascript,
        str(FOLDER / "node.mjs"),
        str(path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield JavaScriptNode(process, await _line(process), keys.record_key)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), WITHIN_S)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _line(process: asyncio.subprocess.Process) -> Any:
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        answer = json.loads(await process.stdout.readline())
    assert "error" not in answer, answer["error"]
    return answer["ok"]


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    """Ask again until the answer is truthy; a bound, not a pause, decides when to give up."""
    deadline = time.monotonic() + WITHIN_S
    while not (found := await look()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(POLL_S)
    return found


async def play_incident(consortium: Consortium) -> None:
    """An agent of alpha does something out of scope, and alpha reports it."""
    recorded = next(each for each in read_recorded(SHIPPED) if each.session_id == INCIDENT)
    client = consortium.alpha.client(consortium.http, "engine")
    playback = Playback(client, recorded, agent="a-1", session_id="s-1")
    await playback.open()
    while await playback.step() is not None:
        pass
    await playback.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def told(consortium: Consortium) -> Consortium:
    """The same, once alpha has reported an incident and gamma has answered with a sighting and a report."""
    for other in (consortium.alpha, consortium.beta):
        await consortium.gamma.does("dial", member=other.member)
    await play_incident(consortium)
    heard = await until(consortium.gamma.reports)
    sighting = {"v": 1, "of": heard[0]["id"], "seen": 1, "day": today()}
    own = {**heard[0]["value"], **PACKAGE, "day_from": today(), "day_until": today()}
    del own["pat"]
    answers = await consortium.gamma.does(
        "publish", values=[sighting, own], push=[consortium.alpha.member], announce=[consortium.beta.member]
    )
    assert answers == [{"r": "accepted", "why": ""}] * 2
    return consortium


def today() -> int:
    return int(time.time()) // DAY_S


async def opinion_of(client: Client, subject: str, kind: str) -> Mapping[str, Any]:
    """The network part of a node's receipt, under the specification's names."""
    rows = [row async for row in client.items("/api/v1/indicators")]
    shown = next(row["id"] for row in rows if row["kind"] == kind and subject in {row["id"], row["label"]})
    found = (await client.get(f"/api/v1/patterns/{shown}/why"))["network"]
    return {name: found[told] for name, told in NETWORK_PART.items()}


async def test_it_shakes_hands_with_both_nodes(consortium: Consortium) -> None:
    for other in (consortium.alpha, consortium.beta):
        reached = await consortium.gamma.does("dial", member=other.member)
        assert reached == {"peer": other.peer_id, "encryption": "/noise", "multiplexer": "/yamux/1.0.0"}


async def test_a_node_sees_it_as_a_connected_peer(told: Consortium) -> None:
    page = await told.alpha.client(told.http, "admin").get("/api/v1/peers")
    assert told.gamma.member in {row["member"] for row in page["items"] if row["connected_since"] is not None}


async def test_what_a_node_reports_is_pushed_to_it_and_verifies(told: Consortium) -> None:
    heard = {report["id"] for report in await told.gamma.reports() if report["author"] == told.alpha.member}
    assert heard
    assert heard == {
        row["id"] for row in await told.records(told.alpha) if row["author"] == told.alpha.member
    }


@pytest.mark.parametrize("name", ["alpha", "beta"])
async def test_its_segment_is_stored_and_its_records_are_shown(told: Consortium, name: str) -> None:
    own = {
        record["id"] for record in await told.gamma.does("records") if record["author"] == told.gamma.member
    }
    assert len(own) == 2

    async def shown() -> bool:
        rows = await told.records(getattr(told, name))
        return own == {row["id"] for row in rows if row["author"] == told.gamma.member}

    assert await until(shown)


@pytest.mark.parametrize("kind", ["pattern", "subject"])
async def test_it_computes_the_same_opinion_from_the_same_records(told: Consortium, kind: str) -> None:
    reports = await told.gamma.reports()
    subject = next(report["subject"] for report in reports if report["value"]["kind"] == kind)
    ours = await told.gamma.does("opinion", subject=subject, kind=kind, today=today())
    theirs = await opinion_of(told.soc(told.alpha), subject, kind)
    assert {name: ours[name] for name in NETWORK_PART} == theirs


async def test_a_proof_that_a_node_gives_for_one_record_verifies(told: Consortium) -> None:
    record = (await told.gamma.reports())[0]
    (item,) = (await told.soc(told.beta).get(f"/api/v1/records/{record['id']}/proof"))["items"]
    shown = await told.gamma.does("included", proof=item["proof_b64"])
    assert shown == {name: item[name] for name in ("author", "seq", "index")} | {"id": record["id"]}


async def test_a_log_that_it_lost_comes_back_by_pulling(told: Consortium) -> None:
    before = await told.gamma.does("heads")
    await told.gamma.does("forget")
    answers = await told.gamma.does("sync", member=told.alpha.member)
    assert {answer["r"] for answer in answers} == {"accepted"}
    assert await told.gamma.does("heads") == before


async def test_with_nothing_new_the_node_says_that_both_hold_the_same(told: Consortium) -> None:
    await told.gamma.does("sync", member=told.alpha.member)
    assert await told.gamma.does("sync", member=told.alpha.member) is None


async def test_a_segment_signed_for_another_consortium_is_refused_by_name(told: Consortium) -> None:
    _, head = (await told.gamma.does("heads"))[told.gamma.member]
    wire = build_segment(told.gamma.key, "c" * 64, told.gamma.member, 2, head, 1, [WITHDRAWAL])
    answer = await told.gamma.does("push", wire=wire.hex(), to=told.beta.member)
    assert answer == {"r": "rejected", "why": "bad_signature"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def convicted(told: Consortium) -> Consortium:
    """The same, once beta has seen two histories signed by gamma: nothing more is taken from gamma after this."""
    other = build_segment(
        told.gamma.key, told.gamma.consortium, told.gamma.member, 1, GENESIS, 1, [WITHDRAWAL]
    )
    answer = await told.gamma.does("push", wire=other.hex(), to=told.beta.member)
    assert answer == {"r": "ignored", "why": "equivocation"}
    return told


async def test_a_proof_that_a_node_made_convinces_it(convicted: Consortium) -> None:
    # It may have come already: the node announces it.
    await convicted.gamma.does("sync", member=convicted.beta.member)
    assert (await convicted.gamma.does("heads"))[convicted.gamma.member] == [0, "0" * 64]


async def test_the_proof_reaches_the_other_node_too(convicted: Consortium) -> None:
    async def same() -> bool:
        await convicted.gamma.does("sync", member=convicted.beta.member)
        return await convicted.gamma.does("sync", member=convicted.alpha.member) is None

    assert await until(same)


async def test_a_newer_roster_is_taken_over_and_whom_it_suspends_is_let_go(convicted: Consortium) -> None:
    alpha, beta, gamma = convicted.alpha, convicted.beta, convicted.gamma
    assert beta.member in await gamma.does("connected")
    await stage.command("consortium", "suspend", beta.member, "--home", str(alpha.home))

    async def renewed() -> bool:
        await gamma.does("renew", member=alpha.member)  # unless an announcement brought it
        return bool((await gamma.does("roster"))["version"] == 2)

    assert await until(renewed)
    assert await gamma.does("connected") == [alpha.member]


async def test_keys_that_others_may_read_are_refused(javascript: str, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text("{}")
    path.chmod(0o644)
    process = await asyncio.create_subprocess_exec(
        javascript, str(FOLDER / "node.mjs"), str(path), stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert process.returncode == 1
    assert b"0600" in said
