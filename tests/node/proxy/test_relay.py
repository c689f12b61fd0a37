"""The relay between two ends that a test plays: what passes, what is stopped, and in which order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest
from ioint_node.client import AsyncClient, Decision
from ioint_node.proxy.judge import Judge, Terms
from ioint_node.proxy.limits import ProxyLimits
from ioint_node.proxy.messages import Wanted
from ioint_node.proxy.relay import Relay, ServerEnded, Side
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

WAIT_S = 10


class Scripted(Judge):
    """Decides as the test says, and notes what it is told."""

    def __init__(self, decide: Callable[[Wanted], Decision], terms: Terms | None = None) -> None:
        super().__init__(AsyncClient("http://127.0.0.1:1", "token"), terms or Terms())
        self.by = decide
        self.asked: list[str] = []
        self.told: list[tuple[str, str, str | None]] = []
        self.gate = anyio.Event()
        self.gate.set()

    async def decide(self, wanted: Wanted) -> Decision:
        self.asked.append(wanted.tool)
        await self.gate.wait()
        return self.by(wanted)

    async def result(self, action_id: str, text: str, *, error: str | None) -> None:
        self.told.append((action_id, text, error))


class Ends:
    """What a client and a server do at the two ends of the relay."""

    def __init__(self, streams: list[Any]) -> None:
        (self.to_relay, _), (_, self.from_relay), (_, self.at_server), (self.of_server, _) = streams

    async def ask(self, message: JSONRPCMessage) -> None:
        await self.to_relay.send(SessionMessage(message))

    async def answer(self, message: JSONRPCMessage) -> None:
        await self.of_server.send(SessionMessage(message))

    async def heard(self) -> Any:
        with anyio.fail_after(WAIT_S):
            return (await self.from_relay.receive()).message

    async def served(self) -> Any:
        with anyio.fail_after(WAIT_S):
            return (await self.at_server.receive()).message


@asynccontextmanager
async def relayed(judge: Judge) -> AsyncIterator[Ends]:
    streams: list[Any] = [anyio.create_memory_object_stream[Any](16) for _ in range(4)]
    up, down, asked, given = streams
    relay = Relay(Side(read=up[1], write=down[0]), Side(read=given[1], write=asked[0]), judge)
    async with AsyncExitStack() as stack, anyio.create_task_group() as group:
        for stream in (*up, *down, *asked, *given):
            stack.push_async_callback(stream.aclose)

        async def run() -> None:
            try:
                await relay.run()
            except ServerEnded:
                down[0].close()

        group.start_soon(run)
        yield Ends(streams)
        group.cancel_scope.cancel()


def call(tool: str, name: int | str = 1, **params: Any) -> JSONRPCRequest:
    return JSONRPCRequest(jsonrpc="2.0", id=name, method="tools/call", params={"name": tool, **params})


def result(name: int | str = 1, **said: Any) -> JSONRPCResponse:
    return JSONRPCResponse(
        jsonrpc="2.0", id=name, result={"content": [{"type": "text", "text": "ok"}], **said}
    )


def yes(_wanted: Wanted) -> Decision:
    return Decision(action_id="a-1", allowed=True)


def no(_wanted: Wanted) -> Decision:
    return Decision(action_id="a-1", allowed=False, response="suspend")


@pytest.mark.parametrize(
    "message",
    [
        JSONRPCRequest(
            jsonrpc="2.0", id="x", method="something/new", params={"deep": [{"a": 1.5, "b": None}]}
        ),
        JSONRPCRequest(jsonrpc="2.0", id=7, method="ping"),
        JSONRPCNotification(jsonrpc="2.0", method="notifications/roots/list_changed"),
        JSONRPCResponse(jsonrpc="2.0", id="s-1", result={"roots": []}),
    ],
)
async def test_what_is_no_call_passes_as_it_is_in_both_directions(message: JSONRPCMessage) -> None:
    judge = Scripted(no)
    async with relayed(judge) as ends:
        await ends.ask(message)
        assert await ends.served() == message
    assert judge.asked == []


@pytest.mark.parametrize(
    "message",
    [
        JSONRPCRequest(jsonrpc="2.0", id="s-1", method="sampling/createMessage", params={"messages": []}),
        JSONRPCNotification(jsonrpc="2.0", method="notifications/progress", params={"progress": 0.5}),
        JSONRPCNotification(jsonrpc="2.0", method="notifications/new"),
    ],
)
async def test_what_a_server_says_by_itself_passes_as_it_is(message: JSONRPCMessage) -> None:
    async with relayed(Scripted(no)) as ends:
        await ends.answer(message)
        assert await ends.heard() == message


async def test_an_answer_to_what_the_server_was_not_asked_does_not_pass() -> None:
    judge = Scripted(yes)
    judge.gate = anyio.Event()
    note = JSONRPCNotification(jsonrpc="2.0", method="notifications/message")
    async with relayed(judge) as ends:
        await ends.ask(call("get"))
        await ends.answer(result())
        await ends.answer(note)
        assert await ends.heard() == note
        judge.gate.set()
        await ends.served()
        await ends.answer(result())
        assert await ends.heard() == result()
    assert len(judge.told) == 1


async def test_an_id_that_is_used_already_is_refused() -> None:
    async with relayed(Scripted(yes)) as ends:
        await ends.ask(call("get"))
        await ends.served()
        await ends.ask(call("other"))
        assert (await ends.heard()).error.code == -32600


async def test_a_fault_in_judging_runs_nothing_and_ends_nothing() -> None:
    def fails(wanted: Wanted) -> Decision:
        raise ZeroDivisionError if wanted.tool == "bad" else NotImplementedError

    judge = Scripted(fails)
    async with relayed(judge) as ends:
        await ends.ask(call("bad"))
        assert (await ends.heard()).result["isError"] is True
        judge.by = yes
        await ends.ask(call("good", 2))
        assert (await ends.served()).id == 2


async def test_an_allowed_call_passes_as_it_is_and_its_result_is_told_first() -> None:
    judge = Scripted(yes)
    async with relayed(judge) as ends:
        await ends.ask(call("get", arguments={"a": [1, {"b": 2}]}, _meta={"progressToken": 3}))
        assert await ends.served() == call("get", arguments={"a": [1, {"b": 2}]}, _meta={"progressToken": 3})
        await ends.answer(result())
        assert await ends.heard() == result()
    assert judge.told == [("a-1", "ok", None)]


async def test_a_refused_call_never_reaches_the_server() -> None:
    async with relayed(Scripted(no)) as ends:
        await ends.ask(call("send"))
        answer = await ends.heard()
        assert answer.result["isError"] is True
        await ends.ask(JSONRPCRequest(jsonrpc="2.0", id=2, method="ping"))
        assert (await ends.served()).method == "ping"


async def test_nothing_waits_for_a_call_that_is_judged() -> None:
    judge = Scripted(yes)
    judge.gate = anyio.Event()
    async with relayed(judge) as ends:
        await ends.ask(call("get"))
        await ends.ask(JSONRPCRequest(jsonrpc="2.0", id=2, method="ping"))
        assert (await ends.served()).method == "ping"
        judge.gate.set()
        assert (await ends.served()).method == "tools/call"


async def test_a_call_that_is_cancelled_while_it_is_judged_never_reaches_the_server() -> None:
    judge = Scripted(yes)
    judge.gate = anyio.Event()
    stop = JSONRPCNotification(jsonrpc="2.0", method="notifications/cancelled", params={"requestId": 1})
    async with relayed(judge) as ends:
        await ends.ask(call("get"))
        await ends.ask(stop)
        await ends.ask(JSONRPCRequest(jsonrpc="2.0", id=2, method="ping"))
        assert (await ends.served()).method == "ping"
        judge.gate.set()
        await ends.ask(call("get", 3))
        assert (await ends.served()).id == 3
        await ends.ask(stop.model_copy(update={"params": {"requestId": 3}}))
        assert (await ends.served()).params == {"requestId": 3}


async def test_a_server_that_ends_answers_everything_with_an_error() -> None:
    async with relayed(Scripted(yes)) as ends:
        await ends.ask(call("get", "a"))
        await ends.served()
        await ends.of_server.aclose()
        answer = await ends.heard()
        assert isinstance(answer, JSONRPCError)
        assert answer.id == "a"
        with pytest.raises(anyio.EndOfStream):
            await ends.heard()


async def test_a_line_that_is_no_message_is_answered_as_such_and_harms_nothing() -> None:
    async with relayed(Scripted(yes)) as ends:
        await ends.to_relay.send(ValueError("no JSON"))
        assert (await ends.heard()).error.code == -32700
        await ends.of_server.send(ValueError("no JSON"))
        await ends.ask(call("get"))
        assert (await ends.served()).id == 1


async def test_too_many_calls_at_once_are_refused() -> None:
    judge = Scripted(yes, Terms(limits=ProxyLimits(judged=2)))
    async with relayed(judge) as ends:
        for name in (1, 2):
            await ends.ask(call("get", name))
            await ends.served()
        await ends.ask(call("get", 3))
        assert (await ends.heard()).error.code == -32011
        await ends.answer(result(1))
        assert (await ends.heard()).id == 1
        await ends.ask(call("get", 4))
        assert (await ends.served()).id == 4


async def test_what_a_server_asks_for_belongs_to_the_same_action() -> None:
    judge = Scripted(yes)
    async with relayed(judge) as ends:
        await ends.ask(call("get"))
        await ends.served()
        await ends.answer(result(resultType="input_required", requestState="s"))
        await ends.heard()
        await ends.ask(call("get", 2, requestState="s", inputResponses={"k": {}}))
        await ends.served()
        await ends.answer(result(2))
        await ends.heard()
        assert judge.asked == ["get"]
        await ends.ask(call("other", 3, requestState="s"))
        await ends.served()
    assert judge.asked == ["get", "other"]  # the state of one call lets no other pass
    assert judge.told == [("a-1", "ok", None)]


async def test_the_result_of_a_task_is_that_of_its_call() -> None:
    judge = Scripted(yes)
    later = JSONRPCRequest(jsonrpc="2.0", id=2, method="tasks/result", params={"taskId": "t"})
    async with relayed(judge) as ends:
        await ends.ask(call("get"))
        await ends.served()
        await ends.answer(JSONRPCResponse(jsonrpc="2.0", id=1, result={"task": {"taskId": "t"}}))
        await ends.heard()
        await ends.ask(later)
        await ends.served()
        await ends.answer(result(2))
        await ends.heard()
    assert judge.told == [("a-1", "ok", None)]


async def test_a_tool_that_fails_and_a_call_that_is_an_error_are_told_as_such() -> None:
    judge = Scripted(yes)
    async with relayed(judge) as ends:
        await ends.ask(call("get"))
        await ends.served()
        await ends.answer(result(isError=True))
        await ends.heard()
    assert judge.told == [("a-1", "ok", "the tool says that it failed")]


async def test_who_only_watches_refuses_nothing() -> None:
    async with relayed(Scripted(no, Terms(watch=True))) as ends:
        await ends.ask(call("send"))
        assert (await ends.served()).params == {"name": "send"}
