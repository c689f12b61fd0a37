"""The client with a real node: it declares, asks, guards functions, and goes on while the node is killed."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from ioint_node.client import (
    AsyncClient,
    Client,
    ClientError,
    ClientLimits,
    NeedsApproval,
    NodeRefusedError,
    NoSessionError,
    Refused,
)

from tests.node.client.conftest import RealNode

pytestmark = pytest.mark.network
LIMITS = ClientLimits(probe_s=0.05, probe_most_s=0.2, poll_s=0.05)
TASK = "answer support questions about orders of our customers"


@pytest.fixture
def client(node: RealNode) -> Iterator[Client]:
    with Client(node.url, node.tokens["engine"], limits=LIMITS) as opened:
        yield opened


@pytest.fixture
async def tasks(node: RealNode) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(node.url, node.tokens["engine"], limits=LIMITS) as opened:
        yield opened


def stored(node: RealNode, session: str) -> list[str]:
    """The actions of a session that the node knows, oldest first."""
    found = node.get(f"/api/v1/sessions/{session}")
    decisions = found["decisions"]
    assert isinstance(decisions, list)
    return [str(one["action_id"]) for one in decisions]


def back(client: Client) -> None:
    """Wait until the node was heard again, and all that waited was sent."""
    deadline = time.monotonic() + 20.0
    while client.flush():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_session_declares_asks_tells_and_ends_with_its_outcome(node: RealNode, client: Client) -> None:
    with client.session(actor="a-1", declared=TASK) as session:
        assert session.opened is not None
        assert session.opened.declared.family == "support_customer"
        session.prompt("where is order 1177?")
        decision = session.act("get_order", {"order_id": "1177"}, server="shop")
        session.tool_result(decision.action_id, {"order": 1177, "state": "sent"})
        session.response("It was sent.")
        assert (
            session.act("get_order", {"order_id": "1177"}, server="shop", action_id=decision.action_id)
            == decision
        )
    assert (decision.source, decision.allowed, decision.age_s) == ("node", True, 0.0)
    assert decision.trust is not None
    assert decision.step is not None
    assert node.get(f"/api/v1/sessions/{session.id}")["outcome"] == "done"


def test_a_block_that_fails_is_a_session_that_failed(node: RealNode, client: Client) -> None:
    with pytest.raises(KeyError), client.session(actor="a-1", declared=TASK) as session:
        raise KeyError
    assert node.get(f"/api/v1/sessions/{session.id}")["outcome"] == "failed"


def test_a_guarded_function_runs_when_it_may_and_tells_what_it_gave(node: RealNode, client: Client) -> None:
    with client.session(actor="a-2", declared=TASK) as session:

        @session.guard
        def get_order(order_id: str) -> str:
            return f"order {order_id} was sent"

        @client.guarded(tool="search_orders")
        def find(text: str) -> list[str]:
            raise ValueError(text)

        assert get_order("1177") == "order 1177 was sent"
        with pytest.raises(ValueError, match="lost"):
            find("lost")
    with pytest.raises(NoSessionError):
        find("lost")
    tools = [one["tool"] for one in node.get(f"/api/v1/sessions/{session.id}")["decisions"]]  # type: ignore[attr-defined]
    assert sorted(tools) == ["get_order", "search_orders"]


def test_what_waits_for_a_person_runs_when_one_has_approved(node: RealNode, client: Client) -> None:
    sent: list[str] = []
    with client.session(actor="a-3", declared=TASK) as session:

        @session.guard(tool="send_email")
        def send(to: str, body: str) -> None:
            sent.append(to)

        with pytest.raises(NeedsApproval) as held:
            send("ann@example.org", "your order was sent")
        assert sent == []
        approval = held.value.decision.approval
        assert approval is not None
        assert approval.id is not None
        headers = {"Authorization": f"Bearer {node.tokens['admin']}"}
        address = f"{node.url}/api/v1/approvals/{approval.id}"
        answer = httpx.post(address, json={"approve": True}, headers=headers, trust_env=False)
        assert answer.status_code == 200, answer.text
        send("ann@example.org", "your order was sent")
    assert sent == ["ann@example.org"]


def test_waiting_for_a_person_has_an_end(client: Client) -> None:
    with client.session(actor="a-4", declared=TASK) as session, pytest.raises(NeedsApproval):
        session.check("send_email", {"to": "ann@example.org"}, wait_s=0.12)


async def test_tasks_have_the_same_doors(node: RealNode, tasks: AsyncClient) -> None:
    async with await tasks.session(actor="a-5", declared=TASK) as session:

        @tasks.guarded()
        async def get_order(order_id: str) -> str:
            return order_id

        async def send_email(to: str) -> None:
            raise AssertionError(to)

        assert await get_order("1177") == "1177"
        with pytest.raises(Refused):
            await session.guard(send_email)("ann@example.org")
        await session.feedback("satisfied", positive=True)
        answer = await session.scope_request(verbs=["read"], resources=["business_record"])
        assert answer.state
    assert node.get(f"/api/v1/sessions/{session.id}")["outcome"] == "done"


def test_a_token_that_does_not_open_stops_the_work(node: RealNode, client: Client) -> None:
    with (
        Client(node.url, node.tokens["agent"], limits=LIMITS) as other,
        pytest.raises(NodeRefusedError) as refused,
    ):
        other.session(actor="somebody-else", declared=TASK)
    assert (refused.value.status, refused.value.name) == (403, "other_actor")
    with Client(node.url, "no-token", limits=LIMITS) as other, pytest.raises(NodeRefusedError):
        other.session(actor="a-17", declared=TASK)


def test_a_token_is_neither_shown_nor_logged(node: RealNode, caplog: pytest.LogCaptureFixture) -> None:
    token = node.tokens["engine"]
    with caplog.at_level(logging.DEBUG), Client(node.url, token, limits=LIMITS) as client:
        session = client.session(actor="a-6", declared=TASK)
        shown = f"{client!r} {session!r} {vars(client)} {client.counts}"
        session.close()
    assert token not in shown + caplog.text


def test_a_killed_node_stops_nothing_that_may_go_on_and_hears_all_of_it_later(
    node: RealNode, client: Client
) -> None:
    """Deciding goes on without the node, no refusal is forgotten, and nothing that happened is lost."""
    session = client.session(actor="a-7", declared=TASK)
    first = session.act("get_order", {"order_id": "1"}, server="shop")
    held = session.act("send_email", {"to": "ann@example.org", "body": "one"})
    assert held.held
    node.kill()
    read = session.act("get_order", {"order_id": "2"}, server="shop")
    mail = session.act("send_email", {"to": "bob@example.org", "body": "two"})
    pay = session.act("send_money", {"recipient": "GB33", "amount": 10})
    session.tool_result(read.action_id, "order 2 was sent")
    session.feedback("satisfied", positive=True)
    begin = time.perf_counter()
    many = [session.act("get_order", {"order_id": str(n)}, server="shop") for n in range(200)]
    each_s = (time.perf_counter() - begin) / 200
    assert (read.source, read.allowed) == ("fail_mode", True)
    assert (mail.source, mail.allowed) == ("cache", False)
    assert (pay.source, pay.allowed) == ("fail_mode", False)
    assert read.trust is not None
    assert each_s < LIMITS.connect_s / 5  # a dead node costs next to nothing
    beside = client.session(actor="a-8", declared=TASK)
    assert beside.opened is None
    assert beside.act("get_order", {"order_id": "3"}, server="shop").source == "fail_mode"
    assert beside.close() is None
    node.start()
    back(client)
    assert client.counts["backlog"] == 0
    assert stored(node, session.id) == [one.action_id for one in (first, held, read, mail, pay, *many)]
    assert node.get(f"/api/v1/sessions/{beside.id}")["outcome"] == "done"
    assert session.act("get_order", {"order_id": "4"}, server="shop").source == "node"
    counts = client.counts
    assert (counts["sent_late"], counts["away"], counts["refused_away"]) == (3 + 2 + 200 + 3, 204, 2)
    session.close()


def test_threads_share_a_client_and_a_session(node: RealNode, client: Client) -> None:
    session = client.session(actor="a-11", declared=TASK)
    with ThreadPoolExecutor(4) as pool:
        asked = pool.map(lambda n: session.act("get_order", {"order_id": str(n)}, server="shop"), range(24))
        made = {decision.action_id for decision in asked}
    assert set(stored(node, session.id)) == made
    session.close()


def test_a_session_that_the_node_never_wrote_is_opened_again(client: Client) -> None:
    lost = client.session(actor="a-9", declared=TASK, session_id="gone-1")
    lost._state.id = "gone-2"
    lost._state.opening = replace(
        lost._state.opening, body=lost._state.opening.body.replace(b"gone-1", b"gone-2")
    )
    assert lost.act("get_order", {"order_id": "1"}, server="shop").source == "node"
    lost.close()


async def test_a_snapshot_has_where_changes_go_on(tasks: AsyncClient) -> None:
    pages = [page async for page in tasks.snapshot()]
    assert pages[0].policy["fail_mode"]["value"] == "closed"
    assert pages[-1].next is None


@pytest.mark.parametrize("mode", [0o644, 0o640])
def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "agent.token"
    path.write_text("token\n")
    path.chmod(mode)
    with pytest.raises(ClientError, match="chmod 600"):
        Client.from_token_file("http://127.0.0.1:1", path)
    path.chmod(0o600)
    Client.from_token_file("http://127.0.0.1:1", path).close()


@pytest.mark.parametrize(
    "url", ["http://node.example.org", "ftp://x", "https://user:pass@x", "http://x?token=1"]
)
def test_a_token_goes_to_another_machine_through_tls_alone(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        Client(url, "token")


def test_the_example_runs(node: RealNode, tmp_path: Path) -> None:
    token = tmp_path / "agent.token"
    token.touch(mode=0o600)
    token.write_text(node.tokens["agent"])
    script = Path(__file__).parents[3] / "docs/examples/guarded_agent.py"
    done = subprocess.run(
        [sys.executable, script, node.url, token, "a-17"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("not mailed yet, a person is asked: ")


async def test_the_stream_keeps_the_memory_true(node: RealNode, tasks: AsyncClient) -> None:
    """A person halts an actor; the node dies; the actor stays halted."""
    session = await tasks.session(actor="a-10", declared=TASK)
    assert (await session.act("get_order", {"order_id": "1"}, server="shop")).allowed
    heard = asyncio.Event()

    async def follow() -> None:
        async for event in tasks.events(0):
            if event.event == "response" and event.actor == "a-10":
                heard.set()
                return

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(follow())
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(
                f"{node.url}/api/v1/agents/a-10/respond",
                json={"action": "suspend", "reason": "a test"},
                headers={"Authorization": f"Bearer {node.tokens['soc']}"},
            )
        assert answer.status_code == 201, answer.text
        await heard.wait()
    node.kill()
    assert not (await session.act("get_order", {"order_id": "1"}, server="shop")).allowed
